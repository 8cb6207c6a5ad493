//! Records: `serde` values as JSON, whose unknown fields survive being written back.

use std::collections::BTreeMap;

use bytes::Bytes;
use dormouse_model::Timestamp;
use dormouse_store::key::KeyRange;
use dormouse_store::{Found, Item, RANGE_ITEMS, Read, Snapshot, Store, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::LayerError;
use crate::error::printable;

/// A record with its version and with what was in it that `T` does not know.
///
/// Fields that a newer program wrote are kept when the record is written back with [`Stored::encode`] or
/// `Change::update`, at every depth of objects within objects. Within lists they are not: put what may grow fields into
/// a map. A field never changes its name or its meaning; give it a new one.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    /// What the record says.
    pub value: T,
    /// The commit that wrote it.
    pub version: Version,
    unknown: Unknown,
}

impl<T: Serialize> Stored<T> {
    /// The bytes to write back, with the fields that `T` does not know.
    pub fn encode(&self) -> Result<Bytes, serde_json::Error> {
        if self.unknown.is_empty() {
            return Ok(serde_json::to_vec(&self.value)?.into());
        }
        let mut json = serde_json::to_value(&self.value)?;
        self.unknown.merge_into(&mut json);
        Ok(serde_json::to_vec(&json)?.into())
    }
}

/// The bytes of a new record.
pub fn encode<T: Serialize>(key: &[u8], value: &T) -> Result<Bytes, LayerError> {
    match serde_json::to_vec(value) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(LayerError::Value { key: printable(key), detail: error.to_string() }),
    }
}

/// The record in an item.
pub fn decode<T: Serialize + DeserializeOwned>(item: &Item) -> Result<Stored<T>, LayerError> {
    let broken = |error: serde_json::Error| LayerError::Record { key: printable(&item.key), detail: error.to_string() };
    let value: T = serde_json::from_slice(&item.value).map_err(broken)?;
    let was: Value = serde_json::from_slice(&item.value).map_err(broken)?;
    let known = serde_json::to_value(&value).map_err(broken)?;
    Ok(Stored { value, version: item.version, unknown: Unknown::between(&was, &known) })
}

/// Fields that a type did not know, by their place.
#[derive(Debug, Clone, Default)]
struct Unknown {
    fields: Map<String, Value>,
    within: BTreeMap<String, Unknown>,
}

impl Unknown {
    /// What is in `was` and not in `known`, which is what the decoded value says.
    fn between(was: &Value, known: &Value) -> Self {
        let mut unknown = Self::default();
        let (Value::Object(was), Value::Object(known)) = (was, known) else { return unknown };
        for (name, value) in was {
            match known.get(name) {
                None => {
                    unknown.fields.insert(name.clone(), value.clone());
                }
                Some(known) => {
                    let inner = Self::between(value, known);
                    if !inner.is_empty() {
                        unknown.within.insert(name.clone(), inner);
                    }
                }
            }
        }
        unknown
    }

    fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.within.is_empty()
    }

    /// Adds the fields where their object still is; what the value itself says goes before.
    fn merge_into(&self, json: &mut Value) {
        let Value::Object(object) = json else { return };
        for (name, value) in &self.fields {
            object.entry(name.clone()).or_insert_with(|| value.clone());
        }
        for (name, inner) in &self.within {
            if let Some(json) = object.get_mut(name) {
                inner.merge_into(json);
            }
        }
    }
}

/// What to read in one snapshot. Answers come in the same order.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    reads: Vec<Read>,
}

impl Reads {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One record.
    #[must_use]
    pub fn get(mut self, key: impl Into<Bytes>) -> Self {
        self.reads.push(Read::Get(key.into()));
        self
    }

    /// The first `limit` records of a range.
    #[must_use]
    pub fn range(self, range: &KeyRange, limit: usize) -> Self {
        self.read(range.read(limit))
    }

    /// Anything that the store can read.
    #[must_use]
    pub fn read(mut self, read: Read) -> Self {
        self.reads.push(read);
        self
    }

    /// Reads them all from one snapshot.
    pub async fn run(self, store: &dyn Store) -> Result<Answers, LayerError> {
        Ok(Answers::new(store.read(self.reads).await?))
    }

    pub(crate) fn into_reads(self) -> Vec<Read> {
        self.reads
    }
}

/// The answers to [`Reads`], taken out in the order in which they were asked.
#[derive(Debug)]
pub struct Answers {
    found: std::vec::IntoIter<Found>,
    /// The store's clock at the snapshot, which leases and due times are judged by.
    pub time: Timestamp,
}

impl Answers {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self { found: snapshot.found.into_iter(), time: snapshot.time }
    }

    /// The next answer as the store gave it; `None` when more is taken out than was asked.
    pub fn found(&mut self) -> Option<Found> {
        self.found.next()
    }

    /// The next answer as items: none or one for a get, any number for a range.
    pub fn items(&mut self) -> Vec<Item> {
        match self.found.next() {
            Some(Found::One(item)) => item.into_iter().collect(),
            Some(Found::Many(items)) => items,
            None => Vec::new(),
        }
    }

    /// The next answer as a record; of a range the first.
    pub fn one<T: Serialize + DeserializeOwned>(&mut self) -> Result<Option<Stored<T>>, LayerError> {
        self.items().first().map(decode).transpose()
    }

    /// The next answer as records with their keys.
    pub fn many<T: Serialize + DeserializeOwned>(&mut self) -> Result<Vec<(Bytes, Stored<T>)>, LayerError> {
        self.items().into_iter().map(|item| Ok((item.key.clone(), decode(&item)?))).collect()
    }

    /// The next answer as a counter that `add` wrote; zero when it is absent. A range is summed.
    pub fn counter(&mut self) -> i64 {
        self.items().iter().map(counter_value).fold(0, i64::saturating_add)
    }
}

/// The number in an item that `add` wrote.
pub(crate) fn counter_value(item: &Item) -> i64 {
    item.value.as_ref().try_into().map_or(0, i64::from_be_bytes)
}

/// One record by its key.
pub async fn get<T: Serialize + DeserializeOwned>(
    store: &dyn Store,
    key: impl Into<Bytes>,
) -> Result<Option<Stored<T>>, LayerError> {
    Reads::new().get(key).run(store).await?.one()
}

/// At most `limit` records of a range, in order, read in pages. Each page is a snapshot of its own.
pub async fn scan<T: Serialize + DeserializeOwned>(
    store: &dyn Store,
    range: KeyRange,
    limit: usize,
) -> Result<Vec<(Bytes, Stored<T>)>, LayerError> {
    const PAGE: usize = 1_000;
    const _: () = assert!(PAGE <= RANGE_ITEMS);
    let mut records: Vec<(Bytes, Stored<T>)> = Vec::new();
    let mut rest = range;
    while records.len() < limit {
        let page = PAGE.min(limit - records.len());
        let items = Reads::new().range(&rest, page).run(store).await?.items();
        for item in &items {
            records.push((item.key.clone(), decode(item)?));
        }
        match items.last() {
            Some(last) if items.len() == page => rest = rest.after(&last.key),
            _ => break,
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Inner {
        size: u32,
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Record {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        inner: Inner,
        #[serde(default)]
        by_name: BTreeMap<String, Inner>,
    }

    fn stored(json: &Value) -> Stored<Record> {
        let value = serde_json::to_vec(json).unwrap().into();
        decode(&Item { key: Bytes::from_static(b"k"), value, version: Version(3) }).unwrap()
    }

    fn written(stored: &Stored<Record>) -> Value {
        serde_json::from_slice(&stored.encode().unwrap()).unwrap()
    }

    #[test]
    fn fields_of_a_newer_program_survive() {
        let mut record = stored(&json!({
            "name": "a", "note": "n", "colour": "blue",
            "inner": {"size": 1, "unit": "mm", "more": {"x": [1]}},
            "by_name": {"x": {"size": 1, "u": 1}, "y": {"size": 2, "u": 2}},
        }));
        record.value.name = "b".to_owned();
        record.value.note = None;
        record.value.inner.size = 5;
        record.value.by_name.remove("x");
        let expected = json!({
            "name": "b", "colour": "blue",
            "inner": {"size": 5, "unit": "mm", "more": {"x": [1]}},
            "by_name": {"y": {"size": 2, "u": 2}},
        });
        assert_eq!(written(&record), expected);
    }

    #[test]
    fn what_is_not_a_record_says_where() {
        let item = Item { key: Bytes::from_static(b"k\x00\x01"), value: Bytes::from_static(b"{"), version: Version(1) };
        let error = decode::<Record>(&item).unwrap_err().to_string();
        assert!(error.contains(r"k\x00\x01") && error.contains("EOF"), "{error}");
    }
}
