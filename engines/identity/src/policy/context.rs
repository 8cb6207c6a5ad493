use std::collections::BTreeMap;

/// What is known of a request, by condition key. Keys are compared without regard to case; values as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    entries: Vec<(String, Vec<String>)>,
}

impl Context {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets the only value of a key, such as `aws:SourceIp`.
    pub fn set(&mut self, key: &str, value: impl Into<String>) -> &mut Self {
        self.set_all(key, vec![value.into()])
    }

    /// Sets the values of a key that has several, such as `aws:TagKeys`.
    pub fn set_all(&mut self, key: &str, values: Vec<String>) -> &mut Self {
        let key = key.to_ascii_lowercase();
        match self.entries.iter_mut().find(|(k, _)| *k == key) {
            Some(entry) => entry.1 = values,
            None => self.entries.push((key, values)),
        }
        self
    }

    /// Sets the tags of the resource that is asked for, under a prefix: `aws`, or that of a service with a key of its own.
    pub fn set_resource_tags(&mut self, prefix: &str, tags: &BTreeMap<String, String>) -> &mut Self {
        for (key, value) in tags {
            self.set(&format!("{prefix}:ResourceTag/{key}"), value.clone());
        }
        self
    }

    /// Sets the tags that a request is to give: each value, and the keys together.
    pub fn set_request_tags<'a>(&mut self, tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> &mut Self {
        let mut keys = Vec::new();
        for (key, value) in tags {
            self.set(&format!("aws:RequestTag/{key}"), value.clone());
            keys.push(key.clone());
        }
        self.set_tag_keys(keys)
    }

    /// Sets the keys of the tags that a request gives or takes away. A request without tags has no such key.
    pub fn set_tag_keys(&mut self, keys: Vec<String>) -> &mut Self {
        if keys.is_empty() { self } else { self.set_all("aws:TagKeys", keys) }
    }

    /// Takes over what another knows; what both know is as the other has it.
    pub fn extend(&mut self, other: Self) -> &mut Self {
        for (key, values) in other.entries {
            self.set_all(&key, values);
        }
        self
    }

    /// The values of a key given in lower case.
    pub(crate) fn get(&self, key: &str) -> Option<&[String]> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, values)| values.as_slice())
    }

    /// The value of a key given in lower case that has exactly one.
    pub(crate) fn single(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            [value] => Some(value),
            _ => None,
        }
    }
}
