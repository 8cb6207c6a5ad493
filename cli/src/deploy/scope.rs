//! What the names in a template stand for: parameters, pseudo parameters, functions.

use std::collections::BTreeMap;

use super::template::Mistake;
use super::yaml::{Key, Kind, Node};

/// All that an intrinsic function can name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) stack: String,
    pub(crate) region: String,
    pub(crate) account: String,
    /// By name.
    pub(crate) parameters: BTreeMap<String, String>,
    /// Function names by logical id.
    pub(crate) functions: BTreeMap<String, String>,
}

impl Scope {
    /// The value with every intrinsic function carried out; `None` for `AWS::NoValue`.
    pub(crate) fn resolve(&self, node: &Node) -> Result<Option<Node>, Mistake> {
        let kind = match &node.kind {
            Kind::Scalar { .. } => return Ok(Some(node.clone())),
            Kind::List(items) => {
                let items: Result<Vec<Option<Node>>, Mistake> = items.iter().map(|item| self.resolve(item)).collect();
                Kind::List(items?.into_iter().flatten().collect())
            }
            Kind::Map(entries) => match entries.as_slice() {
                [(key, argument)] if is_intrinsic(&key.text) => return self.call(key, argument),
                entries => {
                    let mut resolved = Vec::new();
                    for (key, value) in entries {
                        if let Some(value) = self.resolve(value)? {
                            resolved.push((key.clone(), value));
                        }
                    }
                    Kind::Map(resolved)
                }
            },
        };
        Ok(Some(Node { line: node.line, kind }))
    }

    fn call(&self, key: &Key, argument: &Node) -> Result<Option<Node>, Mistake> {
        let text = match key.text.as_str() {
            "Ref" if argument.scalar() == Some("AWS::NoValue") => return Ok(None),
            "Ref" => self.reference(argument)?,
            "Fn::Sub" => self.substitute(argument)?,
            "Fn::GetAtt" => self.attribute(argument)?,
            "Fn::Join" => self.join(argument)?,
            other => {
                return Err(Mistake::new(
                    key.line,
                    format!("{other} is not supported yet; Ref, Fn::Sub, Fn::GetAtt and Fn::Join are"),
                ));
            }
        };
        Ok(Some(Node::text(key.line, text)))
    }

    fn reference(&self, argument: &Node) -> Result<String, Mistake> {
        let name = argument.scalar().ok_or_else(|| Mistake::new(argument.line, "Ref takes a name"))?;
        self.named(name).ok_or_else(|| self.unknown(argument.line, name))
    }

    fn named(&self, name: &str) -> Option<String> {
        let pseudo = match name {
            "AWS::Region" => Some(&self.region),
            "AWS::AccountId" => Some(&self.account),
            "AWS::StackName" => Some(&self.stack),
            "AWS::Partition" => return Some("aws".to_owned()),
            "AWS::URLSuffix" => return Some("amazonaws.com".to_owned()),
            _ => None,
        };
        pseudo.or_else(|| self.parameters.get(name)).or_else(|| self.functions.get(name)).cloned()
    }

    fn unknown(&self, line: usize, name: &str) -> Mistake {
        let known: Vec<&str> = self.parameters.keys().chain(self.functions.keys()).map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Mistake::new(line, format!("{name} names nothing in this template; its parameters and functions are: {known}"))
    }

    fn attribute(&self, argument: &Node) -> Result<String, Mistake> {
        let parts: Option<Vec<&str>> = argument.items().and_then(|items| items.iter().map(Node::scalar).collect());
        match parts.as_deref() {
            Some([name, attribute]) => self.attribute_of(argument.line, name, attribute),
            _ => Err(Mistake::new(argument.line, "Fn::GetAtt takes a resource and an attribute, such as Hello.Arn")),
        }
    }

    fn attribute_of(&self, line: usize, name: &str, attribute: &str) -> Result<String, Mistake> {
        let Self { region, account, stack, .. } = self;
        if let Some(function) = self.functions.get(name) {
            return match attribute {
                "Arn" => Ok(format!("arn:aws:lambda:{region}:{account}:function:{function}")),
                _ => Err(Mistake::new(line, format!("{name} has no attribute {attribute}; it has Arn"))),
            };
        }
        // The role that is made for a function has its logical id with `Role` behind it.
        match name.strip_suffix("Role").filter(|function| self.functions.contains_key(*function)) {
            Some(_) if attribute == "Arn" => Ok(format!("arn:aws:iam::{account}:role/{stack}-{name}")),
            _ => Err(self.unknown(line, name)),
        }
    }

    fn substitute(&self, argument: &Node) -> Result<String, Mistake> {
        let takes = || Mistake::new(argument.line, "Fn::Sub takes a text, or a list of a text and a map of values");
        let (template, own) = match (&argument.kind, argument.items()) {
            (Kind::Scalar { text, .. }, _) => (text.as_str(), None),
            (_, Some([template, own])) => (template.scalar().ok_or_else(takes)?, Some(own)),
            _ => return Err(takes()),
        };
        let mut values = BTreeMap::new();
        for (key, value) in own.and_then(Node::entries).unwrap_or_default() {
            let value = self.resolve(value)?.and_then(|value| value.scalar().map(str::to_owned));
            values.insert(key.text.as_str(), value.ok_or_else(takes)?);
        }
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            text.push_str(before);
            let unclosed = || Mistake::new(argument.line, "a ${ of Fn::Sub is not closed");
            let (name, after) = after.split_once('}').ok_or_else(unclosed)?;
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                text.push_str(&format!("${{{literal}}}"));
                continue;
            }
            let value = values.get(name).cloned().or_else(|| self.named(name));
            let value = match (value, name.split_once('.')) {
                (Some(value), _) => value,
                (None, Some((resource, attribute))) => self.attribute_of(argument.line, resource, attribute)?,
                (None, None) => return Err(self.unknown(argument.line, name)),
            };
            text.push_str(&value);
        }
        text.push_str(rest);
        Ok(text)
    }

    fn join(&self, argument: &Node) -> Result<String, Mistake> {
        let takes = || Mistake::new(argument.line, "Fn::Join takes a separator and a list of texts");
        let Some([separator, list]) = argument.items() else { return Err(takes()) };
        let separator = separator.scalar().ok_or_else(takes)?;
        let list = self.resolve(list)?.ok_or_else(takes)?;
        let texts: Option<Vec<&str>> = list.items().and_then(|items| items.iter().map(Node::scalar).collect());
        Ok(texts.ok_or_else(takes)?.join(separator))
    }
}

fn is_intrinsic(key: &str) -> bool {
    key == "Ref" || key == "Condition" || key.starts_with("Fn::")
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse;
    use super::*;

    fn scope() -> Scope {
        Scope {
            stack: "shop".to_owned(),
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            parameters: BTreeMap::from([("Stage".to_owned(), "test".to_owned())]),
            functions: BTreeMap::from([("Hello".to_owned(), "shop-Hello".to_owned())]),
        }
    }

    fn resolve(text: &str) -> Result<serde_json::Value, String> {
        let node = parse(text).expect("YAML");
        let resolved = scope().resolve(&node).map_err(|mistake| mistake.reason)?;
        Ok(resolved.map(|node| node.json()).unwrap_or_default())
    }

    #[test]
    fn intrinsics_are_carried_out() {
        for (text, expected) in [
            ("!Ref Stage", "test"),
            ("!Ref Hello", "shop-Hello"),
            ("!Sub 'a-${Stage}-${AWS::Region}-${!x}'", "a-test-us-east-1-${x}"),
            (
                "!Sub ['${a}/${Hello.Arn}', {a: !Ref Stage}]",
                "test/arn:aws:lambda:us-east-1:000000000000:function:shop-Hello",
            ),
            ("!GetAtt HelloRole.Arn", "arn:aws:iam::000000000000:role/shop-HelloRole"),
            ("!Join ['-', [a, !Ref Stage]]", "a-test"),
            ("{Ref: AWS::StackName}", "shop"),
        ] {
            assert_eq!(resolve(text).expect(text), expected, "{text}");
        }
        assert_eq!(resolve("{a: !Ref AWS::NoValue, b: 1}").expect("a map"), serde_json::json!({"b": 1}));
    }

    #[test]
    fn what_cannot_be_carried_out_is_named() {
        for (text, part) in [
            ("!Ref Nobody", "Nobody names nothing"),
            ("!GetAtt Hello.Name", "has no attribute Name"),
            ("!Sub '${Nobody}'", "Nobody names nothing"),
            ("!Sub '${Stage'", "not closed"),
            ("!If [a, b, c]", "Fn::If is not supported yet"),
        ] {
            let reason = resolve(text).expect_err(text);
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }
}
