//! The expiry: keys that go at a time, swept in bulk.
//!
//! Layout: keyspace, `at`, key → when it goes; keyspace, `by-time`, time, key → empty. Setting another time writes
//! another index entry; the old one is found stale by the sweep. Who reads a key that should be gone judges by `at`, or
//! by a time in its own record: the sweep is late by nature.

use bytes::Bytes;
use dormouse_model::Timestamp;
use dormouse_store::{CommitOutcome, Lane, Store};
use serde::{Deserialize, Serialize};

use crate::transact::commit_once;
use crate::{Change, Key, LayerError, Parts, Reads, record};

/// Most index entries that one sweep looks at; each is at most five keys of a batch.
pub const SWEEP_KEYS: usize = 150;

#[derive(Debug, Serialize, Deserialize)]
struct At {
    time: Timestamp,
}

/// The keys of one keyspace that go at a time.
#[derive(Debug, Clone)]
pub struct Expiry {
    base: Key,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// How many keys went.
    pub removed: usize,
    /// Whether more may be due.
    pub more: bool,
}

impl Expiry {
    /// Expiries kept under that keyspace.
    pub fn new(keyspace: &str) -> Self {
        Self { base: Key::new(keyspace) }
    }

    /// Adds to a batch that `key` goes at that time; an earlier or later time that was set before counts no more.
    pub fn set(&self, change: &mut Change, key: &[u8], at: Timestamp) -> Result<(), LayerError> {
        change.put(self.at(key), &At { time: at })?;
        change.put_bytes(self.by_time(at, key), Bytes::new());
        Ok(())
    }

    /// Adds to a batch that `key` does not go by itself any more.
    pub fn clear(&self, change: &mut Change, key: &[u8]) {
        change.delete(self.at(key));
    }

    /// Removes keys whose time has come, in the bulk lane. To be called again while there is `more`.
    pub async fn sweep(&self, store: &dyn Store) -> Result<Swept, LayerError> {
        let range = self.base.clone().text("by-time").children();
        let mut answers = Reads::new().read(range.read_keys(SWEEP_KEYS)).run(store).await?;
        let now = answers.time;
        let due: Vec<(Timestamp, Vec<u8>, Bytes)> = answers.items().into_iter().filter_map(parse).collect();
        let due: Vec<_> = due.into_iter().take_while(|(time, ..)| *time <= now).collect();
        let mut reads = Reads::new();
        for (_, key, _) in &due {
            reads = reads.get(self.at(key));
        }
        let mut current = reads.run(store).await?;
        let mut change = Change::new();
        let mut removed = 0;
        for (time, key, index) in &due {
            let item = current.items().pop();
            let at = item.as_ref().map(record::decode::<At>).transpose()?;
            if let Some(at) = at.filter(|at| at.value.time == *time) {
                change.remove(self.at(key), at.version);
                change.delete(Bytes::copy_from_slice(key));
                removed += 1;
            }
            change.delete(index.clone());
        }
        if change.is_empty() {
            return Ok(Swept { removed: 0, more: false });
        }
        match commit_once(store, Lane::Bulk, change.into_batch()).await? {
            CommitOutcome::Committed { .. } => Ok(Swept { removed, more: due.len() == SWEEP_KEYS }),
            // Somebody gave one of them another time: the next sweep sees that.
            CommitOutcome::Conflict { .. } => Ok(Swept { removed: 0, more: true }),
        }
    }

    fn at(&self, key: &[u8]) -> Key {
        self.base.clone().text("at").part(key)
    }

    fn by_time(&self, time: Timestamp, key: &[u8]) -> Key {
        self.base.clone().text("by-time").u64(time.0).part(key)
    }
}

fn parse(item: dormouse_store::Item) -> Option<(Timestamp, Vec<u8>, Bytes)> {
    let mut parts = Parts::of(&item.key);
    parts.part()?;
    parts.part()?;
    let (time, key) = (Timestamp(parts.u64()?), parts.part()?);
    Some((time, key, item.key))
}
