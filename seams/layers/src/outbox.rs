//! The outbox: events written in the batch of the change that they announce, consumed by deletion.
//!
//! Layout: keyspace, time, id → the event. There is no cursor: what is there was not consumed. A consumer that dies
//! between handling an event and deleting it handles it again.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_model::Timestamp;
use dormouse_store::{Hints, Lane, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::transact::commit_once;
use crate::{Change, Key, LayerError, Reads, Stored};

/// Longest wait for news: hints may be lost.
const WAIT: Duration = Duration::from_secs(1);
/// Most events that are consumed in one batch.
const CONSUME_BATCH: usize = 500;

/// Events of one kind on their way to one consumer.
pub struct Outbox<T> {
    store: Arc<dyn Store>,
    base: Key,
    event: PhantomData<fn() -> T>,
}

/// An event that was not consumed yet.
#[derive(Debug)]
pub struct Announced<T> {
    /// Where it is.
    pub key: Bytes,
    /// What it says.
    pub event: Stored<T>,
}

impl<T: Serialize + DeserializeOwned> Outbox<T> {
    /// The outbox of that keyspace.
    pub fn new(store: Arc<dyn Store>, keyspace: &str) -> Self {
        Self { store, base: Key::new(keyspace), event: PhantomData }
    }

    /// Adds an event to the batch of the change that it announces. `id` is unique at that time.
    pub fn announce(&self, change: &mut Change, time: Timestamp, id: &str, event: &T) -> Result<(), LayerError> {
        change.put(self.base.clone().u64(time.0).text(id), event)?;
        Ok(())
    }

    /// The oldest events that are still there, at most `limit`.
    pub async fn waiting(&self, limit: usize) -> Result<Vec<Announced<T>>, LayerError> {
        let found = Reads::new().range(&self.base.children(), limit).run(&*self.store).await?.many::<T>()?;
        Ok(found.into_iter().map(|(key, event)| Announced { key, event }).collect())
    }

    /// Adds to a batch that an event was consumed, together with what consuming it changed. The batch conflicts when it
    /// was consumed already.
    pub fn consume(&self, change: &mut Change, announced: &Announced<T>) {
        change.remove(announced.key.clone(), announced.event.version);
    }

    /// Removes events that were consumed.
    pub async fn consumed(&self, keys: impl IntoIterator<Item = Bytes>) -> Result<(), LayerError> {
        let keys: Vec<Bytes> = keys.into_iter().collect();
        for some in keys.chunks(CONSUME_BATCH) {
            let mut change = Change::new();
            some.iter().for_each(|key| {
                change.delete(key.clone());
            });
            commit_once(&*self.store, Lane::Foreground, change.into_batch()).await?;
        }
        Ok(())
    }

    /// Changes when there may be new events; see [`Outbox::wait`].
    pub fn hints(&self) -> Hints {
        self.store.watch(self.base.bytes())
    }

    /// Waits for a hint, at most a second.
    pub async fn wait(hints: &mut Hints) {
        let _ = tokio::time::timeout(WAIT, hints.changed()).await;
    }
}
