//! From wire values to canonical ones: known members under their names in the model, each of the type that the model says.
//!
//! Canonical values are JSON: blobs are base64 text, timestamps seconds since the epoch. Unknown members are ignored, as
//! the services do, and a null is the same as an absent member. Whether a value satisfies its constraints is not asked
//! here.

use serde_json::{Map, Number, Value};

use crate::error::ApiError;
use crate::table::{Kind, Service, Shape, Structure};

/// Reads the JSON of a body, at most as deep as the parser's own limit of 128 levels.
pub(super) fn parse_json(body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::serialization(format!("The body of the request is not valid JSON: {error}. Send one JSON object."))
    })
}

/// Reads the members of a structure that stand in a JSON object into `into`.
pub(super) fn members_from_json(
    table: &Service,
    structure: &Structure,
    object: Map<String, Value>,
    path: &str,
    into: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    let mut object = object;
    for member in &structure.members {
        match object.remove(member.wire_name()) {
            None | Some(Value::Null) => {}
            Some(value) => {
                let path = join(path, &member.name);
                let value = from_json(table, table.shape(member.shape), value, &path)?;
                into.insert(member.name.clone(), value);
            }
        }
    }
    Ok(())
}

/// Reads one JSON value as the shape.
pub(super) fn from_json(table: &Service, shape: &Shape, value: Value, path: &str) -> Result<Value, ApiError> {
    match (&shape.kind, value) {
        (Kind::Structure(structure), Value::Object(object)) => {
            let mut members = Map::new();
            members_from_json(table, structure, object, path, &mut members)?;
            Ok(Value::Object(members))
        }
        (Kind::List { member, .. }, Value::Array(items)) => {
            let items = items
                .into_iter()
                .enumerate()
                .map(|(index, item)| from_json(table, table.shape(member.shape), item, &format!("{path}[{index}]")));
            Ok(Value::Array(items.collect::<Result<_, _>>()?))
        }
        (Kind::Map { value: item, .. }, Value::Object(entries)) => {
            let entries = entries.into_iter().filter(|(_, entry)| !entry.is_null()).map(|(key, entry)| {
                let entry = from_json(table, table.shape(item.shape), entry, &join(path, &key))?;
                Ok::<_, ApiError>((key, entry))
            });
            Ok(Value::Object(entries.collect::<Result<_, _>>()?))
        }
        (Kind::Text | Kind::Blob, value @ Value::String(_)) => Ok(value),
        (Kind::Boolean, value @ Value::Bool(_)) => Ok(value),
        (Kind::Double, value @ Value::Number(_)) => Ok(value),
        (Kind::Timestamp, value @ Value::Number(_)) => Ok(value),
        (Kind::Timestamp, Value::String(text)) => timestamp(&text, path),
        (Kind::Integer, Value::Number(number)) => whole(&number, i32::MIN.into(), i32::MAX.into(), path),
        (Kind::Long, Value::Number(number)) => whole(&number, i64::MIN, i64::MAX, path),
        (kind, value) => Err(ApiError::serialization(format!(
            "{} is {} where the operation takes {}.",
            subject(path),
            describe_value(&value),
            describe_kind(kind)
        ))),
    }
}

/// Reads the text of a label, a header, or a query or form parameter as a scalar shape.
pub(super) fn from_text(shape: &Shape, text: &str, path: &str) -> Result<Value, ApiError> {
    let wrong = || {
        let takes = describe_kind(&shape.kind);
        ApiError::serialization(format!("{} is {text:?} where the operation takes {takes}.", subject(path)))
    };
    match &shape.kind {
        Kind::Text | Kind::Blob => Ok(Value::String(text.to_owned())),
        Kind::Boolean => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(wrong()),
        },
        Kind::Integer => text.parse::<i32>().map(Value::from).map_err(|_| wrong()),
        Kind::Long => text.parse::<i64>().map(Value::from).map_err(|_| wrong()),
        Kind::Double => {
            let number = text.parse::<f64>().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or_else(wrong)
        }
        Kind::Timestamp => timestamp(text, path),
        Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. } => Err(wrong()),
    }
}

fn whole(number: &Number, least: i64, most: i64, path: &str) -> Result<Value, ApiError> {
    // Clients in languages without whole numbers write 3.0.
    let value = number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 9.0e15).then_some(float as i64)
    });
    match value {
        Some(value) if (least..=most).contains(&value) => Ok(Value::from(value)),
        _ => Err(ApiError::serialization(format!(
            "{} is {number} where the operation takes a whole number from {least} to {most}.",
            subject(path)
        ))),
    }
}

fn timestamp(text: &str, path: &str) -> Result<Value, ApiError> {
    let seconds = match text.parse::<jiff::Timestamp>() {
        Ok(time) => Some(time.as_millisecond() as f64 / 1000.0),
        Err(_) => text.parse::<f64>().ok(),
    };
    seconds.and_then(Number::from_f64).map(Value::Number).ok_or_else(|| {
        ApiError::serialization(format!("{} is {text:?} where the operation takes a time in ISO 8601.", subject(path)))
    })
}

fn subject(path: &str) -> &str {
    if path.is_empty() { "The body of the request" } else { path }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn describe_value(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn describe_kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Structure(_) | Kind::Map { .. } => "an object",
        Kind::List { .. } => "a list",
        Kind::Text => "a string",
        Kind::Integer | Kind::Long => "a whole number",
        Kind::Double => "a number",
        Kind::Boolean => "true or false",
        Kind::Blob => "bytes as base64",
        Kind::Timestamp => "a time",
    }
}
