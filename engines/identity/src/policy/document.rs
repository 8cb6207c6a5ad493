//! Reading and checking policy documents.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::condition::Condition;
use super::json::Unambiguous;
use super::pattern::{ArnPattern, Pattern};
use super::principal::{self, Named};

/// What a document is attached to, which decides what its statements must and may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To a user or role, or to a session: names resources, no principals.
    Identity,
    /// To a role, saying who may assume it: names principals, no resources.
    Trust,
    /// To a resource: names principals and resources.
    Resource,
}

/// Why a document is refused, in the words that IAM uses. (`MalformedPolicyDocument`, 400)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPolicy {
    /// Not JSON.
    #[error("This policy contains invalid Json")]
    Json,
    /// JSON of another shape.
    #[error("Syntax errors in policy.")]
    Syntax,
    /// A statement lacks what it must have.
    #[error("Missing required field {0}")]
    Missing(&'static str),
    /// A statement has what it must not have.
    #[error("Has prohibited field {0}")]
    Prohibited(&'static str),
    /// An identity statement without resources.
    #[error("Policy statement must contain resources.")]
    NoResources,
    /// A statement without actions.
    #[error("Policy statement must contain actions.")]
    NoActions,
    /// An action without its service.
    #[error("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")]
    Vendor,
    /// A resource that is no ARN.
    #[error("Resource {0} must be in ARN format or \"*\".")]
    Resource(String),
    /// A principal that cannot be.
    #[error("{0}")]
    Principal(String),
    /// A condition that cannot be.
    #[error("{0}")]
    Condition(String),
    /// Two statements of one name.
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    DoubleSid,
    /// A version of the language that does not exist.
    #[error("The policy must contain a valid version string.")]
    Version,
    /// A trust policy for something else than assuming.
    #[error("AssumeRole policy may only specify STS AssumeRole actions.")]
    NotAssumeRole,
    /// Too many statements or values to be evaluated on every request.
    #[error("The policy has too many {0}; the most is {1}.")]
    TooMany(&'static str, usize),
}

/// Most statements in a document.
const STATEMENTS: usize = 512;
/// Most values of one element of a statement.
const VALUES: usize = 1_024;

/// A document, taken apart and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(super) statements: Vec<Statement>,
}

/// Whom a statement is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Principals {
    Of(Vec<Named>),
    AllBut(Vec<Named>),
}

/// `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resources {
    pub(super) negated: bool,
    pub(super) patterns: Vec<ArnPattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) allow: bool,
    pub(super) principals: Option<Principals>,
    pub(super) negated_actions: bool,
    /// In lower case, as actions are compared without regard to case.
    pub(super) actions: Vec<Pattern>,
    pub(super) resources: Option<Resources>,
    pub(super) conditions: Vec<Condition>,
}

impl Policy {
    /// Reads a document and checks it for its kind.
    pub fn parse(text: &str, kind: Kind) -> Result<Self, MalformedPolicy> {
        let Unambiguous(document) = serde_json::from_str(text).map_err(|_| MalformedPolicy::Json)?;
        let Value::Object(document) = document else { return Err(MalformedPolicy::Syntax) };
        let variables = match document.get("Version") {
            None => false,
            Some(Value::String(version)) if version == "2012-10-17" => true,
            Some(Value::String(version)) if version == "2008-10-17" => false,
            Some(_) => return Err(MalformedPolicy::Version),
        };
        if document.keys().any(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement")) {
            return Err(MalformedPolicy::Syntax);
        }
        let statements = match document.get("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => list.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            Some(_) => return Err(MalformedPolicy::Syntax),
            None => return Err(MalformedPolicy::Missing("Statement")),
        };
        if statements.len() > STATEMENTS {
            return Err(MalformedPolicy::TooMany("statements", STATEMENTS));
        }
        let mut sids = std::collections::HashSet::new();
        let mut read = Vec::with_capacity(statements.len());
        for statement in statements {
            let Value::Object(statement) = statement else { return Err(MalformedPolicy::Syntax) };
            match statement.get("Sid") {
                None => {}
                Some(Value::String(sid)) if sid.is_empty() || sids.insert(sid.clone()) => {}
                Some(Value::String(_)) => return Err(MalformedPolicy::DoubleSid),
                Some(_) => return Err(MalformedPolicy::Syntax),
            }
            read.push(Statement::parse(statement, kind, variables)?);
        }
        Ok(Self { statements: read })
    }
}

impl Policy {
    /// The ARNs of the users, roles and sessions that it names.
    pub(crate) fn named_arns(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().flat_map(|statement| statement.principals.iter().flat_map(Principals::named)).filter_map(
            |named| match named {
                Named::Arn(arn) => Some(arn.as_str()),
                _ => None,
            },
        )
    }

    /// Means by an ARN only whoever has the unique id that is given for it. An ARN without one stays as it is.
    pub(crate) fn bind(mut self, ids: &BTreeMap<String, String>) -> Self {
        let principals = self.statements.iter_mut().filter_map(|statement| statement.principals.as_mut());
        for named in principals.flat_map(Principals::named_mut) {
            if let Named::Arn(arn) = named
                && let Some(id) = ids.get(arn)
            {
                *named = Named::Id(id.clone());
            }
        }
        self
    }
}

impl Principals {
    fn named(&self) -> &[Named] {
        let (Self::Of(named) | Self::AllBut(named)) = self;
        named
    }

    fn named_mut(&mut self) -> &mut [Named] {
        let (Self::Of(named) | Self::AllBut(named)) = self;
        named
    }
}

impl Statement {
    fn parse(object: &Map<String, Value>, kind: Kind, variables: bool) -> Result<Self, MalformedPolicy> {
        const KNOWN: [&str; 9] = [
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        if object.keys().any(|key| !KNOWN.contains(&key.as_str())) {
            return Err(MalformedPolicy::Syntax);
        }
        let allow = match object.get("Effect") {
            Some(Value::String(effect)) if effect == "Allow" => true,
            Some(Value::String(effect)) if effect == "Deny" => false,
            Some(_) => return Err(MalformedPolicy::Syntax),
            None => return Err(MalformedPolicy::Missing("Effect")),
        };
        let (negated_actions, actions) = actions(object, kind)?;
        Ok(Self {
            allow,
            principals: principals(object, kind)?,
            negated_actions,
            actions,
            resources: resources(object, kind, variables)?,
            conditions: conditions(object, variables)?,
        })
    }
}

/// A string or a list of strings.
pub(super) fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) if list.len() <= VALUES => {
            list.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    }
}

/// One of two elements that exclude each other: whether it is the negated one, and its value.
fn either<'a>(
    object: &'a Map<String, Value>,
    name: &str,
    negated: &str,
) -> Result<Option<(bool, &'a Value)>, MalformedPolicy> {
    match (object.get(name), object.get(negated)) {
        (Some(_), Some(_)) => Err(MalformedPolicy::Syntax),
        (Some(value), None) => Ok(Some((false, value))),
        (None, Some(value)) => Ok(Some((true, value))),
        (None, None) => Ok(None),
    }
}

fn principals(object: &Map<String, Value>, kind: Kind) -> Result<Option<Principals>, MalformedPolicy> {
    match (either(object, "Principal", "NotPrincipal")?, kind) {
        (None, Kind::Identity) => Ok(None),
        (Some(_), Kind::Identity) => Err(MalformedPolicy::Prohibited("Principal")),
        (None, Kind::Trust | Kind::Resource) => Err(MalformedPolicy::Missing("Principal")),
        (Some((false, value)), _) => Ok(Some(Principals::Of(principal::parse(value)?))),
        // Allowing all but some lets in everyone whom nobody thought of; trust policies may not, and nobody here should.
        (Some((true, _)), Kind::Trust) => Err(MalformedPolicy::Prohibited("NotPrincipal")),
        (Some((true, value)), _) if object.get("Effect").and_then(Value::as_str) == Some("Deny") => {
            Ok(Some(Principals::AllBut(principal::parse(value)?)))
        }
        (Some((true, _)), _) => Err(MalformedPolicy::Prohibited("NotPrincipal")),
    }
}

fn actions(object: &Map<String, Value>, kind: Kind) -> Result<(bool, Vec<Pattern>), MalformedPolicy> {
    let (negated, value) = either(object, "Action", "NotAction")?.ok_or(MalformedPolicy::NoActions)?;
    let texts = strings(value).ok_or(MalformedPolicy::Syntax)?;
    if texts.is_empty() {
        return Err(MalformedPolicy::NoActions);
    }
    let mut patterns = Vec::with_capacity(texts.len());
    for text in &texts {
        let vendor = text.split_once(':').is_some_and(|(vendor, action)| !vendor.is_empty() && !action.is_empty());
        if text != "*" && !vendor {
            return Err(MalformedPolicy::Vendor);
        }
        if kind == Kind::Trust && (negated || !text.to_ascii_lowercase().starts_with("sts:")) {
            return Err(MalformedPolicy::NotAssumeRole);
        }
        patterns.push(Pattern::parse(&text.to_ascii_lowercase(), true, false));
    }
    Ok((negated, patterns))
}

fn resources(object: &Map<String, Value>, kind: Kind, variables: bool) -> Result<Option<Resources>, MalformedPolicy> {
    let Some((negated, value)) = either(object, "Resource", "NotResource")? else {
        return match kind {
            Kind::Trust => Ok(None),
            Kind::Identity => Err(MalformedPolicy::NoResources),
            Kind::Resource => Err(MalformedPolicy::Missing("Resource")),
        };
    };
    if kind == Kind::Trust {
        return Err(MalformedPolicy::Prohibited("Resource"));
    }
    let texts = strings(value).ok_or(MalformedPolicy::Syntax)?;
    if texts.is_empty() {
        return Err(MalformedPolicy::NoResources);
    }
    let mut patterns = Vec::with_capacity(texts.len());
    for text in &texts {
        if text != "*" && !(text.starts_with("arn:") && text.len() > 4) {
            return Err(MalformedPolicy::Resource(text.clone()));
        }
        patterns.push(ArnPattern::parse(text, variables));
    }
    Ok(Some(Resources { negated, patterns }))
}

fn conditions(object: &Map<String, Value>, variables: bool) -> Result<Vec<Condition>, MalformedPolicy> {
    let Some(block) = object.get("Condition") else { return Ok(Vec::new()) };
    let Value::Object(block) = block else { return Err(MalformedPolicy::Syntax) };
    let mut conditions = Vec::new();
    for (operator, keys) in block {
        let Value::Object(keys) = keys else { return Err(MalformedPolicy::Syntax) };
        for (key, values) in keys {
            let values = scalars(values).ok_or(MalformedPolicy::Syntax)?;
            let condition = Condition::parse(operator, key, &values, variables).map_err(MalformedPolicy::Condition)?;
            conditions.push(condition);
        }
    }
    Ok(conditions)
}

/// A string, number or boolean, or a list of them, as texts.
fn scalars(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Value::Array(list) if list.len() <= VALUES => list.iter().map(text).collect(),
        one => Some(vec![text(one)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(statement: &str) -> Result<Policy, MalformedPolicy> {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#), Kind::Identity)
    }

    fn trust(statement: &str) -> Result<Policy, MalformedPolicy> {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#), Kind::Trust)
    }

    #[test]
    fn ordinary_documents_are_read() {
        assert!(identity(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#).is_ok());
        assert!(
            identity(
                r#"[{"Sid":"a","Effect":"Deny","NotAction":["iam:*"],"NotResource":["arn:aws:s3:::x"],
            "Condition":{"Bool":{"aws:SecureTransport":false},"NumericLessThan":{"aws:MultiFactorAuthAge":[1,2]}}}]"#
            )
            .is_ok()
        );
        let lambda = r#"[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]"#;
        assert!(trust(lambda).is_ok());
        let accounts = r#"{"Effect":"Allow","Principal":{"AWS":["000000000000","arn:aws:iam::000000000000:user/a/b"]},
            "Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"sts:ExternalId":"x"}}}"#;
        assert!(trust(accounts).is_ok());
    }

    #[test]
    fn each_mistake_has_its_sentence() {
        let says = |result: Result<Policy, MalformedPolicy>| result.expect_err("it was accepted").to_string();
        assert_eq!(says(Policy::parse("{", Kind::Identity)), "This policy contains invalid Json");
        assert_eq!(says(Policy::parse("[]", Kind::Identity)), "Syntax errors in policy.");
        assert_eq!(says(identity("[]")), "Syntax errors in policy.");
        assert_eq!(says(identity(r#"{"Action":"*","Resource":"*"}"#)), "Missing required field Effect");
        assert_eq!(says(identity(r#"{"Effect":"Allow","Action":"*"}"#)), "Policy statement must contain resources.");
        assert_eq!(says(identity(r#"{"Effect":"Allow","Resource":"*"}"#)), "Policy statement must contain actions.");
        assert!(
            says(identity(r#"{"Effect":"Allow","Action":"read","Resource":"*"}"#)).contains("prefaced by a vendor")
        );
        assert!(says(identity(r#"{"Effect":"Allow","Action":"a:b","Resource":"x"}"#)).contains("ARN format"));
        let with_principal = r#"{"Effect":"Allow","Action":"a:b","Resource":"*","Principal":"*"}"#;
        assert_eq!(says(identity(with_principal)), "Has prohibited field Principal");
        assert_eq!(says(trust(with_principal)), "AssumeRole policy may only specify STS AssumeRole actions.");
        let assume = r#"{"Effect":"Allow","Action":"sts:AssumeRole"}"#;
        assert_eq!(says(trust(assume)), "Missing required field Principal");
        for principal in [r#"{"AWS":"bob"}"#, r#"{"AWS":"arn:aws:iam::000000000000:user/*"}"#, r#"{"Service":"x"}"#] {
            let text = format!(r#"{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{principal}}}"#);
            assert!(says(trust(&text)).starts_with("Invalid principal in policy"), "{principal}");
        }
        let twice = r#"[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"}]"#;
        assert!(says(identity(twice)).contains("SID"));
        for wrong in [
            r#"{"Effect":"allow","Action":"*","Resource":"*"}"#,
            r#"{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}"#,
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Colour":"red"}"#,
            r#"{"Effect":"Allow","Action":[1],"Resource":"*"}"#,
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":[]}"#,
        ] {
            assert_eq!(says(identity(wrong)), "Syntax errors in policy.", "{wrong}");
        }
        let twice = r#"{"Effect":"Deny","Action":"*","Resource":"*","Effect":"Allow"}"#;
        assert_eq!(says(identity(twice)), "This policy contains invalid Json");
        let deep = "[".repeat(100_000);
        assert_eq!(says(identity(&deep)), "This policy contains invalid Json");
    }
}
