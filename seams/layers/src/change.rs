use bytes::Bytes;
use dormouse_store::{Batch, Expected, Version};
use serde::Serialize;

use crate::error::printable;
use crate::{LayerError, Stored, record};

/// A batch that is being put together from records.
///
/// A key may be changed once in it. `expect_*` without a change guards a decision that was made on a record that stays
/// as it is, an owner for instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    batch: Batch,
}

impl Change {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a record that must not exist yet.
    pub fn create<T: Serialize>(&mut self, key: impl Into<Bytes>, value: &T) -> Result<&mut Self, LayerError> {
        let key = key.into();
        self.expect_absent(key.clone());
        self.put(key, value)
    }

    /// Writes a record back, on the condition that nobody has since it was read, and with the fields that its type does
    /// not know.
    pub fn update<T: Serialize>(&mut self, key: impl Into<Bytes>, stored: &Stored<T>) -> Result<&mut Self, LayerError> {
        let key = key.into();
        let bytes =
            stored.encode().map_err(|error| LayerError::Value { key: printable(&key), detail: error.to_string() })?;
        self.expect(key.clone(), stored.version);
        Ok(self.put_bytes(key, bytes))
    }

    /// Writes a record, whatever was there.
    pub fn put<T: Serialize>(&mut self, key: impl Into<Bytes>, value: &T) -> Result<&mut Self, LayerError> {
        let key = key.into();
        let bytes = record::encode(&key, value)?;
        Ok(self.put_bytes(key, bytes))
    }

    /// Writes bytes, whatever was there.
    pub fn put_bytes(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        self.batch.put.push((key.into(), value.into()));
        self
    }

    /// Removes a record, on the condition that nobody has changed it since it was read.
    pub fn remove(&mut self, key: impl Into<Bytes>, version: Version) -> &mut Self {
        let key = key.into();
        self.expect(key.clone(), version);
        self.delete(key)
    }

    /// Removes a key, whatever was there.
    pub fn delete(&mut self, key: impl Into<Bytes>) -> &mut Self {
        self.batch.delete.push(key.into());
        self
    }

    /// Adds to a number; several additions to one are summed.
    pub fn add(&mut self, key: impl Into<Bytes>, by: i64) -> &mut Self {
        let key = key.into();
        // A batch names a key once; one that finishes an item and pushes another may count both in one shard.
        match self.batch.add.iter_mut().find(|(known, _)| *known == key) {
            Some((_, sum)) => *sum = sum.saturating_add(by),
            None => self.batch.add.push((key, by)),
        }
        self
    }

    /// Holds only if the key was last written by this commit.
    pub fn expect(&mut self, key: impl Into<Bytes>, version: Version) -> &mut Self {
        self.batch.expect.push((key.into(), Expected::Version(version)));
        self
    }

    /// Holds only if the key does not exist.
    pub fn expect_absent(&mut self, key: impl Into<Bytes>) -> &mut Self {
        self.batch.expect.push((key.into(), Expected::Absent));
        self
    }

    /// Holds only if the key is as it was read: of that version, or absent.
    pub fn expect_as<T>(&mut self, key: impl Into<Bytes>, read: Option<&Stored<T>>) -> &mut Self {
        match read {
            Some(stored) => self.expect(key, stored.version),
            None => self.expect_absent(key),
        }
    }

    /// Adds everything of another change. The two must not touch the same keys.
    pub fn join(&mut self, other: Change) -> &mut Self {
        self.batch.expect.extend(other.batch.expect);
        self.batch.put.extend(other.batch.put);
        for (key, by) in other.batch.add {
            self.add(key, by);
        }
        self.batch.delete.extend(other.batch.delete);
        self
    }

    /// Whether it changes nothing and expects nothing.
    pub fn is_empty(&self) -> bool {
        self.batch == Batch::default()
    }

    /// What the store takes.
    pub fn into_batch(self) -> Batch {
        self.batch
    }
}

impl From<Change> for Batch {
    fn from(change: Change) -> Self {
        change.batch
    }
}
