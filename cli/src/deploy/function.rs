//! One function of a template, its properties typed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dormouse_model::{EgressGrant, FunctionName};
use serde_json::{Map, Value, json};

use super::template::Mistake;
use super::yaml::{Key, Node};

/// What a function is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Function {
    pub(crate) logical_id: String,
    pub(crate) name: String,
    pub(crate) code: Code,
    /// The members of a Lambda configuration that the template sets, by their names in the API.
    pub(crate) configuration: Map<String, Value>,
    pub(crate) architectures: Option<Value>,
    pub(crate) role: Role,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) reserved_concurrency: Option<u64>,
    pub(crate) event_invoke: Option<Value>,
    pub(crate) alias: Option<String>,
}

/// Where the code is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Code {
    /// A directory to pack, or a zip to send as it is.
    Path(PathBuf),
    /// The text of the one file, and the file's name.
    Inline { file: &'static str, text: String },
}

/// Which role the function runs under.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Role {
    /// One that exists.
    Existing(String),
    /// One to make: ARNs of managed policies, and policy documents.
    Own { managed: Vec<String>, inline: Vec<Value> },
}

/// The tag that grants outbound traffic.
pub(crate) const EGRESS_TAG: &str = "dormouse:egress";

const SUPPORTED: [&str; 18] = [
    "FunctionName",
    "CodeUri",
    "InlineCode",
    "Handler",
    "Runtime",
    "MemorySize",
    "Timeout",
    "Description",
    "Environment",
    "EphemeralStorage",
    "Architectures",
    "Role",
    "Policies",
    "Tags",
    "ReservedConcurrentExecutions",
    "EventInvokeConfig",
    "AutoPublishAlias",
    "LoggingConfig",
];

/// Known to SAM and not to us yet. Source: the resource reference of SAM.
const NOT_YET: [&str; 32] = [
    "AssumeRolePolicyDocument",
    "AutoPublishAliasAllProperties",
    "AutoPublishCodeSha256",
    "CapacityProviderConfig",
    "CodeSigningConfigArn",
    "DeadLetterQueue",
    "DeploymentPreference",
    "DurableConfig",
    "Events",
    "FileSystemConfigs",
    "FunctionScalingConfig",
    "FunctionUrlConfig",
    "ImageConfig",
    "ImageUri",
    "KmsKeyArn",
    "Layers",
    "PackageType",
    "PermissionsBoundary",
    "PropagateTags",
    "ProvisionedConcurrencyConfig",
    "PublishToLatestPublished",
    "RecursiveLoop",
    "RolePath",
    "RuntimeManagementConfig",
    "SnapStart",
    "SourceKMSKeyArn",
    "TenancyConfig",
    "Tracing",
    "VersionDeletionPolicy",
    "VersionDescription",
    "VpcConfig",
    "Connectors",
];

/// Every function that writes logs has it, whatever else it may do.
const BASIC_EXECUTION: &str = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";

impl Function {
    /// Reads a resource whose intrinsics are carried out. Gives the function when it can be made, all mistakes, and what
    /// the user should know.
    pub(crate) fn read(
        key: &Key,
        name: String,
        resource: &Node,
        dir: &Path,
    ) -> (Option<Self>, Vec<Mistake>, Vec<String>) {
        let mut reader =
            Properties { id: &key.text, line: key.line, resource, mistakes: Vec::new(), warnings: Vec::new() };
        let function = reader.function(name, dir);
        let function = if reader.mistakes.is_empty() { function } else { None };
        (function, reader.mistakes, reader.warnings)
    }
}

struct Properties<'a> {
    id: &'a str,
    line: usize,
    resource: &'a Node,
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
}

impl Properties<'_> {
    fn wrong(&mut self, line: usize, reason: impl std::fmt::Display) {
        self.mistakes.push(Mistake::new(line, format!("{}: {reason}", self.id)));
    }

    fn property(&self, name: &str) -> Option<Node> {
        self.resource.get("Properties")?.get(name).filter(|node| !node.is_null()).cloned()
    }

    fn function(&mut self, name: String, dir: &Path) -> Option<Function> {
        self.known_properties();
        if let Err(error) = name.parse::<FunctionName>() {
            let line = self.property("FunctionName").map_or(self.line, |node| node.line);
            self.wrong(line, format_args!("{error}; set FunctionName, or a shorter stack name with --name"));
        }
        let configuration = self.configuration();
        let code = self.code(dir);
        let role = self.role();
        let tags = self.tags();
        let reserved_concurrency = self.number("ReservedConcurrentExecutions");
        let event_invoke = self.event_invoke();
        let alias = self.text("AutoPublishAlias");
        let architectures = self.property("Architectures").map(|node| node.json());
        Some(Function {
            logical_id: self.id.to_owned(),
            name,
            code: code?,
            configuration,
            architectures,
            role,
            tags,
            reserved_concurrency,
            event_invoke,
            alias,
        })
    }

    fn known_properties(&mut self) {
        let Some(properties) = self.resource.get("Properties") else {
            return self.wrong(self.line, "it has no Properties");
        };
        let Some(entries) = properties.entries() else {
            return self.wrong(properties.line, "Properties takes a map");
        };
        for (key, _) in entries {
            if SUPPORTED.contains(&key.text.as_str()) {
                continue;
            }
            let reason = if NOT_YET.contains(&key.text.as_str()) {
                format!("the property {} is not supported yet; supported are {}", key.text, SUPPORTED.join(", "))
            } else {
                let nearest = SUPPORTED.iter().min_by_key(|known| strsim::damerau_levenshtein(known, &key.text));
                format!("there is no property {}; the nearest is {}", key.text, nearest.unwrap_or(&""))
            };
            self.wrong(key.line, reason);
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let node = self.property(name)?;
        let text = node.scalar().map(str::to_owned);
        if text.is_none() {
            self.wrong(node.line, format_args!("{name} takes a text"));
        }
        text
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let node = self.property(name)?;
        let number = node.scalar().and_then(|text| text.parse().ok());
        if number.is_none() {
            self.wrong(node.line, format_args!("{name} takes a whole number"));
        }
        number
    }

    /// The members that Create- and UpdateFunctionConfiguration share.
    fn configuration(&mut self) -> Map<String, Value> {
        let mut members = Map::new();
        for name in ["Handler", "Runtime"] {
            match self.text(name) {
                Some(text) => drop(members.insert(name.to_owned(), json!(text))),
                None => self.wrong(self.line, format_args!("it needs the property {name}")),
            }
        }
        let description = self.text("Description").unwrap_or_default();
        members.insert("Description".to_owned(), json!(description));
        for (name, default) in [("MemorySize", 128), ("Timeout", 3)] {
            let number = self.number(name).unwrap_or(default);
            members.insert(name.to_owned(), json!(number));
        }
        let variables = self.texts("Environment", "Variables");
        members.insert("Environment".to_owned(), json!({ "Variables": variables }));
        let storage = self.property("EphemeralStorage");
        let size = storage.as_ref().and_then(|node| node.get("Size")?.scalar()?.parse::<u64>().ok());
        if let (Some(node), None) = (&storage, size) {
            self.wrong(node.line, "EphemeralStorage takes {Size: MB}");
        }
        members.insert("EphemeralStorage".to_owned(), json!({ "Size": size.unwrap_or(512) }));
        if let Some(logging) = self.logging() {
            members.insert("LoggingConfig".to_owned(), logging);
        }
        members
    }

    /// A map of texts, whatever scalars they were written as.
    fn texts(&mut self, name: &str, inner: &str) -> BTreeMap<String, String> {
        let Some(outer) = self.property(name) else { return BTreeMap::new() };
        for (key, _) in outer.entries().unwrap_or_default() {
            if key.text != inner {
                self.wrong(key.line, format_args!("there is no {name}.{}; it takes {inner}", key.text));
            }
        }
        let node = outer.get(inner).cloned();
        node.map(|node| self.map_of_texts(&format!("{name}.{inner}"), &node)).unwrap_or_default()
    }

    fn map_of_texts(&mut self, name: &str, node: &Node) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        let Some(entries) = node.entries() else {
            self.wrong(node.line, format_args!("{name} takes a map of texts"));
            return texts;
        };
        for (key, value) in entries {
            match value.scalar() {
                Some(text) => drop(texts.insert(key.text.clone(), text.to_owned())),
                None => self.wrong(value.line, format_args!("{name}.{} takes a text", key.text)),
            }
        }
        texts
    }

    fn logging(&mut self) -> Option<Value> {
        const KNOWN: [&str; 4] = ["LogFormat", "ApplicationLogLevel", "SystemLogLevel", "LogGroup"];
        let node = self.property("LoggingConfig")?;
        for (key, _) in node.entries().unwrap_or_default() {
            if !KNOWN.contains(&key.text.as_str()) {
                self.wrong(
                    key.line,
                    format_args!("there is no LoggingConfig.{}; it takes {}", key.text, KNOWN.join(", ")),
                );
            }
        }
        Some(node.json())
    }

    fn event_invoke(&mut self) -> Option<Value> {
        let node = self.property("EventInvokeConfig")?;
        let mut config = Map::new();
        for (key, value) in node.entries().unwrap_or_default() {
            match (key.text.as_str(), value.scalar().and_then(|text| text.parse::<u64>().ok())) {
                ("MaximumEventAgeInSeconds" | "MaximumRetryAttempts", Some(number)) => {
                    config.insert(key.text.clone(), json!(number));
                }
                ("MaximumEventAgeInSeconds" | "MaximumRetryAttempts", None) => {
                    self.wrong(value.line, format_args!("EventInvokeConfig.{} takes a whole number", key.text));
                }
                _ => {
                    let reason = format!(
                        "EventInvokeConfig.{} is not supported yet; MaximumEventAgeInSeconds and MaximumRetryAttempts are",
                        key.text
                    );
                    self.wrong(key.line, reason);
                }
            }
        }
        Some(Value::Object(config))
    }

    fn code(&mut self, dir: &Path) -> Option<Code> {
        match (self.property("CodeUri"), self.property("InlineCode")) {
            (Some(uri), None) => {
                let Some(text) = uri.scalar() else {
                    self.wrong(uri.line, "CodeUri takes a directory or a zip file; code in S3 is not supported yet");
                    return None;
                };
                if text.contains("://") {
                    self.wrong(
                        uri.line,
                        "CodeUri takes a directory or a zip file; code elsewhere is not supported yet",
                    );
                    return None;
                }
                let path = dir.join(text);
                if !path.exists() {
                    let shown = path.display();
                    self.wrong(
                        uri.line,
                        format_args!("CodeUri {shown} is not there; build the code first, or change CodeUri"),
                    );
                }
                Some(Code::Path(path))
            }
            (None, Some(code)) => self.inline_code(&code),
            (Some(_), Some(code)) => {
                self.wrong(code.line, "CodeUri and InlineCode exclude each other; keep one");
                None
            }
            (None, None) => {
                self.wrong(self.line, "it needs CodeUri or InlineCode");
                None
            }
        }
    }

    fn inline_code(&mut self, code: &Node) -> Option<Code> {
        let text = code.scalar().map(str::to_owned);
        let runtime = self.property("Runtime").and_then(|node| node.scalar().map(str::to_owned)).unwrap_or_default();
        let file = match runtime {
            runtime if runtime.starts_with("python") => Some("index.py"),
            runtime if runtime.starts_with("nodejs") => Some("index.js"),
            _ => None,
        };
        match (file, text) {
            (Some(file), Some(text)) => Some(Code::Inline { file, text }),
            (None, _) => {
                self.wrong(code.line, "InlineCode needs a python or nodejs runtime; put other code below CodeUri");
                None
            }
            (_, None) => {
                self.wrong(code.line, "InlineCode takes a text");
                None
            }
        }
    }

    fn role(&mut self) -> Role {
        let policies = self.property("Policies");
        if let Some(role) = self.property("Role") {
            if policies.is_some() {
                self.warnings.push(format!("{}: Policies is not used, because Role is set", self.id));
            }
            return match role.scalar() {
                Some(arn) if arn.starts_with("arn:") => Role::Existing(arn.to_owned()),
                _ => {
                    self.wrong(role.line, "Role takes the ARN of a role; leave it out to have one made");
                    Role::Existing(String::new())
                }
            };
        }
        let (mut managed, mut inline) = (vec![BASIC_EXECUTION.to_owned()], Vec::new());
        let list = match &policies {
            None => Vec::new(),
            Some(node) => node.items().map_or_else(|| vec![node.clone()], <[Node]>::to_vec),
        };
        for policy in list {
            match (policy.scalar(), policy.get("Statement")) {
                (Some(text), _) => managed.push(policy_arn(text)),
                (None, Some(_)) => inline.push(policy.json()),
                (None, None) => {
                    let name = policy.entries().and_then(|entries| entries.first()).map(|(key, _)| key.text.clone());
                    let name = name.unwrap_or_else(|| "a policy without Statement".to_owned());
                    let reason =
                        format!("{name} of Policies is not supported yet; name a managed policy or write a document");
                    self.wrong(policy.line, reason);
                }
            }
        }
        managed.sort();
        managed.dedup();
        Role::Own { managed, inline }
    }

    fn tags(&mut self) -> BTreeMap<String, String> {
        let mut tags = match self.property("Tags") {
            Some(node) => self.map_of_texts("Tags", &node),
            None => BTreeMap::new(),
        };
        let metadata = self.resource.get("Metadata").and_then(|metadata| metadata.get("Dormouse")).cloned();
        for (key, value) in metadata.as_ref().and_then(Node::entries).unwrap_or_default() {
            if key.text != "Egress" {
                self.wrong(key.line, format_args!("there is no Metadata.Dormouse.{}; it takes Egress", key.text));
                continue;
            }
            let words: Option<Vec<&str>> = match value.items() {
                Some(items) => items.iter().map(Node::scalar).collect(),
                None => value.scalar().map(|text| vec![text]),
            };
            match words.unwrap_or_default().join(",").parse::<EgressGrant>() {
                Ok(grant) => drop(tags.insert(EGRESS_TAG.to_owned(), grant.to_string())),
                Err(error) => self.wrong(value.line, format_args!("Metadata.Dormouse.Egress: {error}")),
            }
        }
        tags
    }
}

/// A managed policy by its name alone is one of AWS's own; those for Lambda's roles have a path.
fn policy_arn(text: &str) -> String {
    if text.starts_with("arn:") {
        return text.to_owned();
    }
    let path = if text.starts_with("AWSLambda") && text.ends_with("Role") { "service-role/" } else { "" };
    format!("arn:aws:iam::aws:policy/{path}{text}")
}
