//! `deploy`: a SAM template becomes functions, by the public API alone.
//!
//! ```text
//! yaml -> template (globals, names) -> function (typed) -> archive (zip) -> apply (create or update, wait)
//! ```

mod apply;
mod archive;
mod function;
mod ignore;
mod roles;
mod scope;
pub(crate) mod stack;
mod template;
mod yaml;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::args::Deploy;
use crate::client::{Client, elements};
use crate::failure::Failure;
use crate::output::{self, Table};
use apply::Change;
use scope::Scope;
use template::{Contents, Template};

/// The account of no one, with which a template is read before a platform is asked.
const ANY_ACCOUNT: &str = "000000000000";

/// A template on disk, known to be without mistakes.
pub(crate) struct Project {
    dir: PathBuf,
    template: Template,
    scope: Scope,
}

impl Project {
    /// Reads and checks the template that the command line names.
    pub(crate) fn read(args: &Deploy) -> Result<Self, Failure> {
        let here = args.dir == Path::new(".");
        let path = if here { args.template.clone() } else { args.dir.join(&args.template) };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::usage(format!(
                "the template {} cannot be read ({error}); name another with --template, or start one with `dormouse init`",
                path.display()
            ))
        })?;
        let stack = match &args.name {
            Some(name) => name.clone(),
            None => directory_name(&args.dir)?,
        };
        check_stack_name(&stack)?;
        let mut scope =
            Scope { stack, region: "us-east-1".to_owned(), account: ANY_ACCOUNT.to_owned(), ..Scope::default() };
        for parameter in &args.parameters {
            let pair = parameter.split_once('=');
            let (name, value) =
                pair.ok_or_else(|| Failure::usage(format!("--parameter {parameter} takes NAME=VALUE")))?;
            scope.parameters.insert(name.to_owned(), value.to_owned());
        }
        let template = Template::parse(&path.display().to_string(), &text).map_err(Failure::usage)?;
        // The directory of the template is what CodeUri is relative to.
        let dir = path.parent().map_or_else(|| args.dir.clone(), Path::to_path_buf);
        let project = Self { dir, template, scope };
        project.contents(&project.scope)?;
        Ok(project)
    }

    fn contents(&self, scope: &Scope) -> Result<Contents, Failure> {
        self.template.contents(scope, &self.dir).map_err(Failure::usage)
    }
}

fn directory_name(dir: &Path) -> Result<String, Failure> {
    let real = std::fs::canonicalize(dir)
        .map_err(|error| Failure::usage(format!("the directory {} cannot be used: {error}", dir.display())))?;
    let name = real.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() {
        Err(Failure::usage("the directory's name makes no stack name; give one with --name"))
    } else {
        Ok(name)
    }
}

fn check_stack_name(stack: &str) -> Result<(), Failure> {
    let fits = stack.len() <= 64 && stack.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits && stack.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{stack:?} is not a stack name: it takes 1 to 64 letters, digits and dashes, no dash first"
    )))
}

/// Carries the template out on a platform, and tells what changed.
pub(crate) fn apply(client: &Client, project: Project, dry_run: bool, json: bool) -> Result<(), Failure> {
    let account = account_of(client)?;
    let scope = Scope { account, region: client.target().region.clone(), ..project.scope.clone() };
    let contents = project.contents(&scope)?;
    contents.warnings.iter().for_each(output::warning);
    if contents.functions.is_empty() {
        output::warning("the template holds no function");
    }
    let mut changes = Vec::new();
    for function in &contents.functions {
        let plan = apply::Apply { client, scope: &scope, function, dry_run };
        let change =
            plan.run().map_err(|failure| Failure::failed(format!("{}: {}", function.name, failure.message)))?;
        if json {
            output::json(&described(&change, &scope.stack))?;
        }
        changes.push(change);
    }
    if !json {
        tell(&changes, &contents)?;
    }
    Ok(())
}

fn account_of(client: &Client) -> Result<String, Failure> {
    let answer = client.sts("GetCallerIdentity").map_err(crate::client::CallError::into_failure)?;
    let account = elements(&answer, "Account").into_iter().next();
    account.ok_or_else(|| Failure::failed("the platform did not say which account the keys belong to"))
}

fn described(change: &Change, stack: &str) -> serde_json::Value {
    json!({
        "stack": stack,
        "name": change.name,
        "action": change.action,
        "changed": change.changed,
        "code_bytes": change.code_bytes,
        "version": change.version,
        "alias": change.alias,
    })
}

fn tell(changes: &[Change], contents: &Contents) -> Result<(), Failure> {
    let mut table = Table::new(&["FUNCTION", "WHAT", "CHANGED"]);
    for change in changes {
        let version = change.version.iter().map(|version| match &change.alias {
            Some(alias) => format!("version {version} as {alias}"),
            None => format!("version {version}"),
        });
        let changed: Vec<String> = change.changed.iter().map(|part| (*part).to_owned()).chain(version).collect();
        table.row([change.name.clone(), change.action.to_owned(), changed.join(", ")]);
    }
    table.print()?;
    if !contents.outputs.is_empty() {
        output::line("")?;
        let mut table = Table::new(&["OUTPUT", "VALUE"]);
        contents.outputs.iter().for_each(|(name, value)| table.row([name.clone(), value.clone()]));
        table.print()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_names_are_checked() {
        assert!(check_stack_name("shop-2").is_ok());
        for name in ["", "-a", "a b", "a_b", &"x".repeat(65)] {
            assert!(check_stack_name(name).is_err(), "{name:?} was taken");
        }
    }

    #[test]
    fn a_directory_names_its_stack() {
        let dir = tempfile::tempdir().expect("a directory");
        let project = dir.path().join("my_shop.v2");
        std::fs::create_dir(&project).expect("made");
        assert_eq!(directory_name(&project).expect("a name"), "my-shop-v2");
    }
}
