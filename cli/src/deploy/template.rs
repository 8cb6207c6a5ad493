//! A SAM template: its shape, its globals, its functions. What we do not read is an error with its line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::function::Function;
use super::scope::Scope;
use super::yaml::{Key, Kind, Node, parse};

const FUNCTION_TYPE: &str = "AWS::Serverless::Function";
const TRANSFORM: &str = "AWS::Serverless-2016-10-31";

/// One thing that is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

impl Mistake {
    pub(crate) fn new(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

/// All mistakes of a template, one line each, in the order of the file.
#[derive(Debug)]
pub(crate) struct Mistakes(pub(crate) Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// A template as it was written.
#[derive(Debug)]
pub(crate) struct Template {
    /// How messages name it.
    name: String,
    root: Node,
}

/// What a template says once its names are known.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) functions: Vec<Function>,
    /// (name, value)
    pub(crate) outputs: Vec<(String, String)>,
    pub(crate) warnings: Vec<String>,
}

impl Template {
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Mistakes> {
        match parse(text) {
            Ok(root) => Ok(Self { name: name.to_owned(), root }),
            Err(broken) => Err(Mistakes(vec![format!("{name}:{}: not YAML: {}", broken.line, broken.reason)])),
        }
    }

    /// Reads it for one stack of one account. `given` are parameters by name; code is looked for below `dir`.
    pub(crate) fn contents(&self, scope: &Scope, dir: &Path) -> Result<Contents, Mistakes> {
        let mut reading = Reading { scope: scope.clone(), mistakes: Vec::new(), warnings: Vec::new() };
        let contents = reading.contents(&self.root, dir);
        let mut mistakes = reading.mistakes;
        if mistakes.is_empty() {
            return Ok(Contents { warnings: reading.warnings, ..contents });
        }
        mistakes.sort_by_key(|mistake| mistake.line);
        mistakes.dedup();
        let line = |mistake: &Mistake| format!("{}:{}: {}", self.name, mistake.line, mistake.reason);
        Err(Mistakes(mistakes.iter().map(line).collect()))
    }
}

/// A pass over the template that goes on after a mistake, so that all are told at once.
struct Reading {
    scope: Scope,
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
}

impl Reading {
    fn wrong(&mut self, line: usize, reason: impl Into<String>) {
        self.mistakes.push(Mistake::new(line, reason));
    }

    fn contents(&mut self, root: &Node, dir: &Path) -> Contents {
        self.shape(root);
        let nothing = Node { line: root.line, kind: Kind::Map(Vec::new()) };
        self.parameters(root.get("Parameters").unwrap_or(&nothing));
        let globals = self.globals(root.get("Globals"));
        let resources = match root.get("Resources") {
            Some(resources) if resources.entries().is_some() => resources,
            other => {
                let line = other.map_or(root.line, |node| node.line);
                self.wrong(line, "the template has no Resources; it takes a map of functions by logical id");
                &nothing
            }
        };
        let resources: Vec<(&Key, Node)> = self.resources(resources, globals.as_ref());
        for (key, properties) in &resources {
            let name = self.function_name(key, properties);
            self.scope.functions.insert(key.text.clone(), name);
        }
        let functions = resources.iter().filter_map(|(key, resource)| self.function(key, resource, dir)).collect();
        Contents { functions, outputs: self.outputs(root.get("Outputs").unwrap_or(&nothing)), warnings: Vec::new() }
    }

    fn shape(&mut self, root: &Node) {
        const KNOWN: [&str; 8] = [
            "AWSTemplateFormatVersion",
            "Transform",
            "Description",
            "Metadata",
            "Parameters",
            "Globals",
            "Resources",
            "Outputs",
        ];
        let Some(entries) = root.entries() else {
            return self.wrong(root.line, "a template is a map with Resources in it");
        };
        for (key, _) in entries.iter().filter(|(key, _)| !KNOWN.contains(&key.text.as_str())) {
            self.wrong(key.line, format!("{} is not supported yet; supported are {}", key.text, KNOWN.join(", ")));
        }
        match root.get("Transform") {
            Some(transform) if transform.scalar() != Some(TRANSFORM) => {
                self.wrong(transform.line, format!("the transform must be {TRANSFORM}"));
            }
            _ => {}
        }
    }

    fn parameters(&mut self, parameters: &Node) {
        let declared = parameters.entries().unwrap_or_default();
        let undeclared: Vec<String> = self
            .scope
            .parameters
            .keys()
            .filter(|name| !declared.iter().any(|(key, _)| key.text == **name))
            .cloned()
            .collect();
        for name in undeclared {
            self.wrong(parameters.line, format!("the template declares no parameter {name}"));
        }
        for (key, declaration) in declared {
            if self.scope.parameters.contains_key(&key.text) {
                continue;
            }
            match declaration.get("Default").and_then(Node::scalar) {
                Some(default) => drop(self.scope.parameters.insert(key.text.clone(), default.to_owned())),
                None => {
                    let reason =
                        format!("the parameter {} has no Default; give it with --parameter {0}=VALUE", key.text);
                    self.wrong(key.line, reason);
                    // It stays known, so that its uses are not told as mistakes of their own.
                    self.scope.parameters.insert(key.text.clone(), String::new());
                }
            }
        }
    }

    fn globals(&mut self, globals: Option<&Node>) -> Option<Node> {
        for (key, _) in globals.and_then(Node::entries).unwrap_or_default() {
            if key.text != "Function" {
                self.wrong(key.line, format!("Globals.{} is not supported yet; Globals.Function is", key.text));
            }
        }
        globals?.get("Function").cloned()
    }

    /// The functions, each with the globals merged into its properties.
    fn resources<'a>(&mut self, resources: &'a Node, globals: Option<&Node>) -> Vec<(&'a Key, Node)> {
        let mut found = Vec::new();
        for (key, resource) in resources.entries().unwrap_or_default() {
            let kind = resource.get("Type");
            match kind.and_then(Node::scalar) {
                Some(FUNCTION_TYPE) => {}
                Some(other) => {
                    let line = kind.map_or(key.line, |kind| kind.line);
                    let reason =
                        format!("{} has the type {other}, which is not supported yet; {FUNCTION_TYPE} is", key.text);
                    self.wrong(line, reason);
                    continue;
                }
                None => {
                    self.wrong(key.line, format!("the resource {} has no Type", key.text));
                    continue;
                }
            }
            for (attribute, _) in resource.entries().unwrap_or_default() {
                if !["Type", "Properties", "Metadata", "DependsOn"].contains(&attribute.text.as_str()) {
                    let reason = format!("{} of {} is not supported yet", attribute.text, key.text);
                    self.wrong(attribute.line, reason);
                }
            }
            found.push((key, with_globals(resource, globals)));
        }
        found
    }

    fn function_name(&mut self, key: &Key, resource: &Node) -> String {
        let default = format!("{}-{}", self.scope.stack, key.text);
        let Some(node) = resource.get("Properties").and_then(|properties| properties.get("FunctionName")) else {
            return default;
        };
        match self.scope.resolve(node) {
            Ok(name) => name.and_then(|name| name.scalar().map(str::to_owned)).unwrap_or(default),
            // Reading the function will tell of it.
            Err(_) => default,
        }
    }

    fn function(&mut self, key: &Key, resource: &Node, dir: &Path) -> Option<Function> {
        let resolved = match self.scope.resolve(resource) {
            Ok(resolved) => resolved?,
            Err(mistake) => {
                self.mistakes.push(Mistake { reason: format!("{}: {}", key.text, mistake.reason), ..mistake });
                return None;
            }
        };
        let name = self.scope.functions.get(&key.text).cloned().unwrap_or_default();
        let (function, mistakes, warnings) = Function::read(key, name, &resolved, dir);
        self.mistakes.extend(mistakes);
        self.warnings.extend(warnings);
        function
    }

    fn outputs(&mut self, outputs: &Node) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (key, output) in outputs.entries().unwrap_or_default() {
            let Some(value) = output.get("Value") else {
                self.wrong(key.line, format!("the output {} has no Value", key.text));
                continue;
            };
            match self.scope.resolve(value) {
                Ok(value) => {
                    let text = value.and_then(|value| value.scalar().map(str::to_owned)).unwrap_or_default();
                    found.push((key.text.clone(), text));
                }
                Err(mistake) => self.mistakes.push(mistake),
            }
        }
        found
    }
}

/// Maps are merged, lists joined, anything else is the function's own: as SAM merges its globals.
fn with_globals(resource: &Node, globals: Option<&Node>) -> Node {
    let Some(globals) = globals else { return resource.clone() };
    let Kind::Map(mut entries) = resource.kind.clone() else { return resource.clone() };
    match entries.iter_mut().find(|(key, _)| key.text == "Properties") {
        Some((_, properties)) => *properties = merged(globals, properties),
        None => {
            let key = Key { text: "Properties".to_owned(), line: resource.line };
            entries.push((key, globals.clone()));
        }
    }
    Node { line: resource.line, kind: Kind::Map(entries) }
}

fn merged(global: &Node, own: &Node) -> Node {
    let is_call =
        |entries: &[(Key, Node)]| matches!(entries, [(key, _)] if key.text == "Ref" || key.text.starts_with("Fn::"));
    match (&global.kind, &own.kind) {
        (Kind::Map(global), Kind::Map(entries)) if !is_call(global) && !is_call(entries) => {
            let mut all: BTreeMap<&str, (Key, Node)> = BTreeMap::new();
            for (key, value) in global {
                all.insert(&key.text, (key.clone(), value.clone()));
            }
            for (key, value) in entries {
                let value = match all.get(key.text.as_str()) {
                    Some((_, global)) => merged(global, value),
                    None => value.clone(),
                };
                all.insert(&key.text, (key.clone(), value));
            }
            Node { line: own.line, kind: Kind::Map(all.into_values().collect()) }
        }
        (Kind::List(global), Kind::List(items)) => {
            Node { line: own.line, kind: Kind::List(global.iter().chain(items).cloned().collect()) }
        }
        _ => own.clone(),
    }
}

#[cfg(test)]
mod tests;
