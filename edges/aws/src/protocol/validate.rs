//! Whether canonical values satisfy what the model demands, with the services' own messages: all that is wrong is said at
//! once.

use std::fmt::Write;

use serde_json::Value;

use crate::table::{Constraints, Kind, Member, Service, Shape, ShapeId};

/// Most characters of a value that a message repeats.
const SHOWN_CHARS: usize = 512;
/// Most violations that one message names.
const NAMED_VIOLATIONS: usize = 20;

/// Checks a canonical value against its shape. The error is the message, such as `1 validation error detected: Value 'a
/// b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: ...`.
pub(super) fn validate(table: &Service, shape: ShapeId, value: &Value) -> Result<(), String> {
    let mut violations = Vec::new();
    check(table, table.shape(shape), value, "", &mut violations);
    if violations.is_empty() {
        return Ok(());
    }
    let count = violations.len();
    violations.truncate(NAMED_VIOLATIONS);
    let noun = if count == 1 { "error" } else { "errors" };
    Err(format!("{count} validation {noun} detected: {}", violations.join("; ")))
}

fn check(table: &Service, shape: &Shape, value: &Value, path: &str, violations: &mut Vec<String>) {
    for constraint in broken(&shape.constraints, &shape.kind, value) {
        violations.push(violation(shape, value, path, &constraint));
    }
    match (&shape.kind, value) {
        (Kind::Structure(structure), Value::Object(members)) => {
            for member in &structure.members {
                let path = join(path, &member.name);
                match members.get(&member.name) {
                    Some(value) => check(table, table.shape(member.shape), value, &path, violations),
                    None if member.required => violations
                        .push(format!("Value null at '{path}' failed to satisfy constraint: Member must not be null")),
                    None => {}
                }
            }
        }
        (Kind::List { member, .. }, Value::Array(items)) => {
            check_items(table, shape, value, member, items.iter(), "Member", path, violations);
        }
        (Kind::Map { key, value: item, .. }, Value::Object(entries)) => {
            let keys: Vec<Value> = entries.keys().cloned().map(Value::String).collect();
            check_items(table, shape, value, key, keys.iter(), "Map keys", path, violations);
            check_items(table, shape, value, item, entries.values(), "Map value", path, violations);
        }
        _ => {}
    }
}

/// Items of a list, keys or values of a map: scalars are named in one violation of the whole, structures one by one.
#[expect(clippy::too_many_arguments, reason = "one place for three kinds of items")]
fn check_items<'a>(
    table: &Service,
    whole: &Shape,
    whole_value: &Value,
    member: &Member,
    items: impl Iterator<Item = &'a Value>,
    what: &str,
    path: &str,
    violations: &mut Vec<String>,
) {
    let shape = table.shape(member.shape);
    for (index, item) in items.enumerate() {
        if matches!(shape.kind, Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. }) {
            check(table, shape, item, &format!("{path}.{}.member", index + 1), violations);
            continue;
        }
        let constraints = broken(&shape.constraints, &shape.kind, item);
        if !constraints.is_empty() {
            let constraint = format!("{what} must satisfy constraint: [{}]", constraints.join(", "));
            let hidden = whole.sensitive || shape.sensitive;
            violations.push(violation_of(hidden, whole_value, path, &constraint));
            return;
        }
    }
}

fn violation(shape: &Shape, value: &Value, path: &str, constraint: &str) -> String {
    violation_of(shape.sensitive, value, path, constraint)
}

fn violation_of(hidden: bool, value: &Value, path: &str, constraint: &str) -> String {
    let shown = if hidden { "***".to_owned() } else { show(value) };
    format!("Value '{shown}' at '{path}' failed to satisfy constraint: {constraint}")
}

/// Which demands a value does not meet, in words.
fn broken(constraints: &Constraints, kind: &Kind, value: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let Constraints { min, max, pattern, allowed } = constraints;
    if let (Some(measured), true) = (measure(value), min.is_some() || max.is_some()) {
        let noun = if matches!(kind, Kind::Integer | Kind::Long | Kind::Double) { "value" } else { "length" };
        if let Some(max) = max.filter(|max| measured > *max) {
            broken.push(format!("Member must have {noun} less than or equal to {max}"));
        }
        if let Some(min) = min.filter(|min| measured < *min) {
            broken.push(format!("Member must have {noun} greater than or equal to {min}"));
        }
    }
    let Value::String(text) = value else { return broken };
    if let Some(pattern) = pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
        broken.push(format!("Member must satisfy regular expression pattern: {}", pattern.text()));
    }
    if !allowed.is_empty() && !allowed.contains(text) {
        broken.push(format!("Member must satisfy enum value set: [{}]", allowed.join(", ")));
    }
    broken
}

/// What `min` and `max` are about: the number, the characters, the items.
fn measure(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => Some(text.chars().count() as f64),
        Value::Array(items) => Some(items.len() as f64),
        Value::Object(entries) => Some(entries.len() as f64),
        Value::Null | Value::Bool(_) => None,
    }
}

/// A value as the services show it: `[a, b]`, `{k=v}`.
fn show(value: &Value) -> String {
    let mut shown = String::new();
    show_into(value, &mut shown);
    match shown.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &shown[..end]),
        None => shown,
    }
}

fn show_into(value: &Value, shown: &mut String) {
    // Far enough to be cut by the caller; a large value is not written out first.
    if shown.len() > 4 * SHOWN_CHARS {
        return;
    }
    match value {
        Value::String(text) => shown.push_str(text),
        Value::Array(items) => {
            shown.push('[');
            for (index, item) in items.iter().enumerate() {
                shown.push_str(if index == 0 { "" } else { ", " });
                show_into(item, shown);
            }
            shown.push(']');
        }
        Value::Object(entries) => {
            shown.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                let _ = write!(shown, "{comma}{key}=");
                show_into(item, shown);
            }
            shown.push('}');
        }
        scalar => {
            let _ = write!(shown, "{scalar}");
        }
    }
}

/// Members are named as the services name them: with a small first letter.
fn join(path: &str, name: &str) -> String {
    let mut chars = name.chars();
    let small: String = chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect();
    if path.is_empty() { small } else { format!("{path}.{small}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::table::ServiceId;

    fn message(operation: &str, value: Value) -> String {
        let table = ServiceId::Lambda.table();
        let input = table.operation(operation).and_then(|o| o.input).expect("an operation with input");
        validate(table, input, &value).expect_err("a violation")
    }

    #[test]
    fn one_violation_is_told_in_the_words_of_the_service() {
        assert_eq!(
            message("PutFunctionConcurrency", json!({ "FunctionName": "f", "ReservedConcurrentExecutions": -1 })),
            "1 validation error detected: Value '-1' at 'reservedConcurrentExecutions' failed to satisfy constraint: \
             Member must have value greater than or equal to 0"
        );
        let pattern = "(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?\
                       (\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?";
        assert_eq!(
            message("PublishVersion", json!({ "FunctionName": "a b" })),
            format!(
                "1 validation error detected: Value 'a b' at 'functionName' failed to satisfy constraint: Member must \
                 satisfy regular expression pattern: {pattern}"
            )
        );
    }

    #[test]
    fn all_violations_are_told_at_once() {
        let told = message("CreateFunction", json!({ "FunctionName": "f", "Timeout": 0, "PackageType": "Tar" }));
        assert!(told.starts_with("4 validation errors detected: "), "{told}");
        assert!(told.contains("Value null at 'role' failed to satisfy constraint: Member must not be null"), "{told}");
        assert!(told.contains("Value null at 'code'"), "{told}");
        assert!(told.contains("Value '0' at 'timeout'"), "{told}");
        assert!(told.contains("Member must satisfy enum value set: [Zip, Image]"), "{told}");
    }

    #[test]
    fn a_wrong_key_is_told_of_its_map_and_secrets_are_not_repeated() {
        let value = json!({ "FunctionName": "f", "Environment": { "Variables": { "1": "secret" } } });
        let told = message("UpdateFunctionConfiguration", value);
        assert!(told.contains("at 'environment.variables'"), "{told}");
        assert!(told.contains("Map keys must satisfy constraint: [Member must satisfy regular expression"), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn a_large_value_is_cut() {
        let told = message("PublishVersion", json!({ "FunctionName": "x".repeat(100_000) }));
        assert!(told.len() < 2_000, "{} bytes", told.len());
        assert!(told.contains("Member must have length less than or equal to"), "{told}");
    }
}
