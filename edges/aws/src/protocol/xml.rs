//! Writing XML: elements with text, nothing else.

use bytes::Bytes;
use serde_json::Value;

use super::query::member_name;
use crate::table::{Kind, Service, Shape};

/// An element that is being written; everything goes into one text.
pub(super) struct Element {
    text: String,
    name: String,
}

impl Element {
    /// The element around the whole document.
    pub(super) fn root(name: &str, namespace: &str) -> Self {
        let mut text = format!("<{name}");
        if !namespace.is_empty() {
            text.push_str(" xmlns=\"");
            escape(namespace, &mut text);
            text.push('"');
        }
        text.push('>');
        Self { text, name: name.to_owned() }
    }

    /// An element inside this one.
    pub(super) fn child(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.text.extend(["<", name, ">"]);
        content(self);
        self.text.extend(["</", name, ">"]);
    }

    /// An element with text inside this one.
    pub(super) fn text_child(&mut self, name: &str, text: &str) {
        self.child(name, |element| escape(text, &mut element.text));
    }

    /// The document.
    pub(super) fn finish(mut self) -> Bytes {
        self.text.extend(["</", &self.name, ">"]);
        self.text.into()
    }
}

/// Writes a canonical value as the content of an element.
pub(super) fn write_value(table: &Service, shape: &Shape, value: &Value, into: &mut Element) {
    match (&shape.kind, value) {
        (Kind::Structure(structure), Value::Object(values)) => {
            for member in &structure.members {
                if let Some(value) = values.get(&member.name).filter(|value| !value.is_null()) {
                    write_member(table, table.shape(member.shape), member.wire_name(), value, into);
                }
            }
        }
        (Kind::List { member, .. }, Value::Array(items)) => {
            let shape = table.shape(member.shape);
            for item in items {
                into.child(member_name(member.wire_name()), |element| write_value(table, shape, item, element));
            }
        }
        (Kind::Map { value: member, .. }, Value::Object(entries)) => {
            let shape = table.shape(member.shape);
            for (key, entry) in entries {
                into.child("entry", |element| {
                    element.text_child("key", key);
                    element.child("value", |element| write_value(table, shape, entry, element));
                });
            }
        }
        (Kind::Timestamp, Value::Number(seconds)) => into.text.push_str(&iso8601(seconds.as_f64().unwrap_or(0.0))),
        (_, Value::String(text)) => escape(text, &mut into.text),
        (_, scalar) => into.text.push_str(&scalar.to_string()),
    }
}

fn write_member(table: &Service, shape: &Shape, name: &str, value: &Value, into: &mut Element) {
    match (&shape.kind, value) {
        (Kind::List { member, flattened: true }, Value::Array(items)) => {
            for item in items {
                into.child(name, |element| write_value(table, table.shape(member.shape), item, element));
            }
        }
        _ => into.child(name, |element| write_value(table, shape, value, element)),
    }
}

/// Whole seconds, as the query services write them.
fn iso8601(seconds: f64) -> String {
    let time = jiff::Timestamp::from_second(seconds as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.to_string()
}

fn escape(text: &str, into: &mut String) {
    for char in text.chars() {
        match char {
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '&' => into.push_str("&amp;"),
            '"' => into.push_str("&quot;"),
            // A parser would turn it into a line feed.
            '\r' => into.push_str("&#13;"),
            '\t' | '\n' => into.push(char),
            // XML 1.0 has no way to say these.
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => into.push('\u{fffd}'),
            _ => into.push(char),
        }
    }
}
