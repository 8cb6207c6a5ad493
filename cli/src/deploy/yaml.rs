//! YAML as a tree that knows its lines. Short-form intrinsics (`!Sub x`) become their long form (`{Fn::Sub: x}`); JSON is
//! read as the YAML that it is.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::Value;

/// Nesting that no template needs.
const DEPTH_MAX: usize = 64;
/// Nodes of a template, aliases expanded.
const NODES_MAX: usize = 200_000;

/// A value and the line that it begins on, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Text as it was written; a plain one may also be a number, a truth value or null.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file. Keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The text is not YAML, or none that a template can be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

impl Node {
    pub(crate) fn text(line: usize, text: impl Into<String>) -> Self {
        Self { line, kind: Kind::Scalar { text: text.into(), plain: false } }
    }

    pub(crate) fn entries(&self) -> Option<&[(Key, Node)]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?.iter().find(|(name, _)| name.text == key).map(|(_, value)| value)
    }

    pub(crate) fn items(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text of a scalar, as it was written.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The value in JSON, plain scalars read by the core schema of YAML 1.2.
    pub(crate) fn json(&self) -> Value {
        match &self.kind {
            Kind::Scalar { plain: true, .. } if self.is_null() => Value::Null,
            Kind::Scalar { text, plain: true } => match text.as_str() {
                "true" | "True" => Value::Bool(true),
                "false" | "False" => Value::Bool(false),
                text if is_number(text) => {
                    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
                }
                text => Value::String(text.to_owned()),
            },
            Kind::Scalar { text, .. } => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|(key, value)| (key.text.clone(), value.json())).collect())
            }
        }
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'-')
}

/// Reads one document.
pub(crate) fn parse(text: &str) -> Result<Node, Broken> {
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, span) => return Err(broken(&span, "it is empty")),
            (event, span) => return reader.node(event, &span, 0),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Broken> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Broken { line: error.marker().line(), reason: error.info().to_owned() }),
            None => Err(Broken { line: 1, reason: "it ends too early".to_owned() }),
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Broken> {
        if depth > DEPTH_MAX {
            return Err(broken(span, "it is nested too deeply"));
        }
        self.count(1, span)?;
        let line = span.start.line();
        let (kind, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (Kind::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }, anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => (self.list(depth)?, anchor, tag),
            Event::MappingStart(anchor, tag) => (self.map(depth)?, anchor, tag),
            Event::Alias(anchor) => return self.alias(anchor, span),
            _ => return Err(broken(span, "a value is missing")),
        };
        let node = tagged(Node { line, kind }, tag.as_deref())?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Node, Broken> {
        let node = self.anchors.get(&anchor).cloned().ok_or_else(|| broken(span, "an alias names no anchor"))?;
        self.count(size(&node), span)?;
        Ok(node)
    }

    /// Aliases of aliases grow without bound; this is the bound.
    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), Broken> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX { Err(broken(span, "it has too many values")) } else { Ok(()) }
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Broken> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(items)),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Broken> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Kind::Map(entries)),
                Event::Scalar(text, ..) => Key { text: text.into_owned(), line: span.start.line() },
                _ => return Err(broken(&span, "a key is not a text")),
            };
            if entries.iter().any(|(known, _)| known.text == key.text) {
                return Err(Broken { line: key.line, reason: format!("the key {} stands here twice", key.text) });
            }
            let (event, span) = self.next()?;
            entries.push((key, self.node(event, &span, depth + 1)?));
        }
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Scalar { .. } => 0,
        Kind::List(items) => items.iter().map(size).sum(),
        Kind::Map(entries) => entries.iter().map(|(_, value)| size(value)).sum(),
    }
}

fn broken(span: &Span, reason: &str) -> Broken {
    Broken { line: span.start.line(), reason: reason.to_owned() }
}

/// A tag of one exclamation mark is an intrinsic function; the tags of YAML itself say what the value is anyway.
fn tagged(node: Node, tag: Option<&Tag>) -> Result<Node, Broken> {
    let Some(tag) = tag else { return Ok(node) };
    if tag.is_yaml_core_schema() {
        let is_text = tag.suffix == "str";
        return Ok(match node.kind {
            Kind::Scalar { text, .. } if is_text => Node::text(node.line, text),
            kind => Node { line: node.line, kind },
        });
    }
    let line = node.line;
    if tag.handle != "!" {
        return Err(Broken { line, reason: format!("the tag {}{} is not known", tag.handle, tag.suffix) });
    }
    let (name, argument) = match tag.suffix.as_str() {
        "Ref" | "Condition" => (tag.suffix.clone(), node),
        "GetAtt" => ("Fn::GetAtt".to_owned(), attribute(node)),
        other => (format!("Fn::{other}"), node),
    };
    Ok(Node { line, kind: Kind::Map(vec![(Key { text: name, line }, argument)]) })
}

/// `Thing.Arn` is written as a list in the long form.
fn attribute(node: Node) -> Node {
    let split = node.scalar().and_then(|text| text.split_once('.')).map(|(a, b)| (a.to_owned(), b.to_owned()));
    match split {
        Some((name, attribute)) => {
            let items = vec![Node::text(node.line, name), Node::text(node.line, attribute)];
            Node { line: node.line, kind: Kind::List(items) }
        }
        None => node,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_their_lines_and_their_text() {
        let node = parse("a: 1\nb:\n  c: '1'\n  d: [x, 010, 2012-10-17, ~, true]\n").expect("YAML");
        assert_eq!(node.json(), json!({"a": 1, "b": {"c": "1", "d": ["x", "010", "2012-10-17", null, true]}}));
        let d = node.get("b").and_then(|b| b.get("d")).expect("there");
        assert_eq!(d.line, 4);
        assert_eq!(d.items().expect("a list")[1].scalar(), Some("010"));
        assert_eq!(node.entries().expect("a map")[1].0.line, 2);
    }

    #[test]
    fn short_forms_become_long_forms() {
        let node = parse("a: !Sub '${X}-b'\nb: !GetAtt F.Arn\nc: !Ref P\nd: !Join ['-', [a, !Ref P]]\n").expect("YAML");
        let expected = json!({
            "a": {"Fn::Sub": "${X}-b"}, "b": {"Fn::GetAtt": ["F", "Arn"]}, "c": {"Ref": "P"},
            "d": {"Fn::Join": ["-", ["a", {"Ref": "P"}]]},
        });
        assert_eq!(node.json(), expected);
    }

    #[test]
    fn json_is_read_too() {
        assert_eq!(
            parse("{\n  \"a\": [1, \"x\\n\"],\n\t\"b\": null\n}").expect("JSON").json(),
            json!({"a": [1, "x\n"], "b": null})
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, part) in
            [("a: 1\nb: [", 2, ""), ("a: 1\na: 2\n", 2, "twice"), ("", 1, "empty"), ("a: 1\n? [b]\n: c\n", 2, "key")]
        {
            let error = parse(text).expect_err(text);
            assert!(error.reason.contains(part), "{text:?}: {}", error.reason);
            assert!((line..=line + 1).contains(&error.line), "{text:?}: line {}", error.line);
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..10 {
            let refs = vec![format!("*a{}", n - 1); 10].join(", ");
            bomb.push_str(&format!("a{n}: &a{n} [{refs}]\n"));
        }
        assert!(parse(&bomb).expect_err("a refusal").reason.contains("too many"));
        assert!(parse(&"[".repeat(5_000)).is_err());
    }
}
