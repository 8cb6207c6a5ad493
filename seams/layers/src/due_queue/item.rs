use bytes::Bytes;
use dormouse_model::Timestamp;
use dormouse_store::{VALUE_BYTES, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BODY_BYTES, ID_BYTES};
use crate::LayerError;

/// An item that is not in the queue yet.
#[derive(Debug, Clone)]
pub struct NewItem {
    /// Unique in the queue, also among its dead letters. At most [`ID_BYTES`].
    pub id: String,
    /// What is to be handled. At most [`BODY_BYTES`].
    pub body: Bytes,
    /// When it may first be taken, by the store's clock.
    pub due: Timestamp,
    /// When it was accepted.
    pub enqueued: Timestamp,
    /// A small note of the caller that moves with the item: what it is for, what happened to it so far.
    pub state: Value,
}

impl NewItem {
    /// An item that is accepted now, without a note.
    pub fn new(id: impl Into<String>, body: impl Into<Bytes>, now: Timestamp) -> Self {
        Self { id: id.into(), body: body.into(), due: now, enqueued: now, state: Value::Null }
    }

    /// Not to be taken before that time.
    #[must_use]
    pub fn due(mut self, due: Timestamp) -> Self {
        self.due = due;
        self
    }

    /// With a note.
    #[must_use]
    pub fn state(mut self, state: Value) -> Self {
        self.state = state;
        self
    }

    pub(super) fn check(&self) -> Result<(), LayerError> {
        if self.body.len() > BODY_BYTES {
            let bytes = self.body.len();
            return Err(LayerError::Limit(format!("a body of {bytes} bytes, at most {BODY_BYTES} are allowed")));
        }
        if self.id.is_empty() || self.id.len() > ID_BYTES {
            let bytes = self.id.len();
            return Err(LayerError::Limit(format!("an id of {bytes} bytes, 1 to {ID_BYTES} are allowed")));
        }
        Ok(())
    }
}

/// What moves when an item moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// How often it was taken, less the attempts that were not counted.
    pub attempts: u32,
    /// When it was accepted.
    pub enqueued: Timestamp,
    /// How long the body is.
    pub body_bytes: usize,
    /// In how many parts the body is stored.
    pub body_parts: u32,
    /// The note of the caller.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub state: Value,
}

/// An item that is leased to whoever holds this.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its id.
    pub id: String,
    /// What is to be handled.
    pub body: Bytes,
    /// Attempts, this one included; the note; when it was accepted.
    pub entry: Entry,
    /// When others may take it again, by the store's clock.
    pub leased_until: Timestamp,
    /// The store's clock when it was taken.
    pub taken: Timestamp,
    pub(super) shard: u32,
    pub(super) key: Bytes,
    pub(super) version: Version,
}

impl Taken {
    /// The number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.entry.attempts
    }
}

/// How an item goes back into the queue.
#[derive(Debug, Clone)]
pub struct Retry {
    pub(super) due: Timestamp,
    pub(super) counted: bool,
    pub(super) state: Option<Value>,
}

impl Retry {
    /// To be taken again at that time; the attempt counts.
    pub fn at(due: Timestamp) -> Self {
        Self { due, counted: true, state: None }
    }

    /// The attempt does not count: the item was not really tried.
    #[must_use]
    pub fn uncounted(mut self) -> Self {
        self.counted = false;
        self
    }

    /// With another note.
    #[must_use]
    pub fn state(mut self, state: Value) -> Self {
        self.state = Some(state);
        self
    }
}

/// In how many parts a body of that length is stored; at least one, so that an empty body marks its id as taken.
pub(super) fn parts_of(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(VALUE_BYTES).max(1)).expect("a body has few parts")
}

pub(super) fn split(body: &Bytes) -> impl Iterator<Item = Bytes> + use<'_> {
    (0..parts_of(body.len()) as usize).map(|number| {
        let from = number * VALUE_BYTES;
        body.slice(from..body.len().min(from + VALUE_BYTES))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_split_into_values() {
        for (bytes, parts) in [(0, 1), (1, 1), (VALUE_BYTES, 1), (VALUE_BYTES + 1, 2), (BODY_BYTES, 6)] {
            let body = Bytes::from(vec![7; bytes]);
            let split: Vec<Bytes> = split(&body).collect();
            assert_eq!(split.len(), parts);
            assert_eq!(split.concat(), body);
        }
    }
}
