//! Who hands out the items of one shard.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dormouse_model::Timestamp;
use dormouse_store::{Hints, Item, Version};

use super::{DueQueue, Entry, Taken};
use crate::{Change, LayerError, Reads, record};

/// Most items that are taken at once: each is three keys of a batch, and the owner's lease is one.
pub const TAKE_ITEMS: usize = 300;
/// Most bytes of bodies that are taken at once, unless a single one is longer.
const TAKE_BYTES: usize = 8 * 1024 * 1024;
/// How far behind the low-water mark a scan begins: an item may be committed a little after its due time.
const LOW_WATER_LAG: Duration = Duration::from_secs(5);
/// How often a scan begins at the very start, for items that were committed long after their due time.
const REWIND_EVERY: Duration = Duration::from_secs(15);
/// Longest wait for news: hints may be lost.
const WAIT: Duration = Duration::from_secs(1);
/// How often an owner looks again when a worker settled an item that it was about to take.
const TAKE_ATTEMPTS: u32 = 8;

/// Takes from one shard. Keeps a low-water mark, below which nothing waits, so that a scan does not walk what is gone.
pub struct ShardOwner {
    queue: DueQueue,
    shard: u32,
    hints: Hints,
    low_water: Timestamp,
    rewound: Timestamp,
    next_due: Option<Timestamp>,
    time: Timestamp,
    fence: Option<(Bytes, Version)>,
}

/// An entry that was chosen to be taken.
struct Chosen {
    id: String,
    key: Bytes,
    version: Version,
    entry: Entry,
}

/// What to take of what a scan found.
struct Choice {
    chosen: Vec<Chosen>,
    /// The due time of the first that was found and not chosen.
    next_due: Option<Timestamp>,
}

impl ShardOwner {
    pub(super) fn new(queue: DueQueue, shard: u32) -> Self {
        let hints = queue.store.watch(queue.keys.watched(shard));
        let start = Timestamp::default();
        Self { queue, shard, hints, low_water: start, rewound: start, next_due: None, time: start, fence: None }
    }

    /// Takes only while this lease is held: for shards that are divided among nodes.
    #[must_use]
    pub fn fenced_by(mut self, lease: &crate::lease::Lease) -> Self {
        self.fence = Some(lease.fence());
        self
    }

    /// Leases at most `max` due items, those that are due longest first. Returns none when nothing is due.
    ///
    /// # Errors
    /// Those of the store; [`LayerError::LeaseLost`] when the shard is fenced and another owns it. Nothing is lost: what
    /// was leased without an answer is due again when the lease ends.
    pub async fn take(&mut self, max: usize) -> Result<Vec<Taken>, LayerError> {
        let max = max.min(TAKE_ITEMS);
        for _ in 0..TAKE_ATTEMPTS {
            self.hints.mark_unchanged();
            let from = self.scan_from();
            let range = self.queue.keys.shard_from(self.shard, from);
            let mut answers = Reads::new().range(&range, max + 1).run(&*self.queue.store).await?;
            self.time = answers.time;
            let choice = self.choose(answers.items(), max)?;
            if choice.chosen.is_empty() {
                self.advance(from, choice.next_due);
                return Ok(Vec::new());
            }
            if let Some(taken) = self.lease(choice.chosen).await? {
                self.advance(from, choice.next_due);
                return self.with_bodies(taken).await;
            }
        }
        Err(LayerError::Contended { attempts: TAKE_ATTEMPTS })
    }

    /// Waits until there may be something to take: an item became due, a hint came, or a second has passed. Returns at
    /// once when something was left by the last take; after one that failed, the caller pauses by itself.
    pub async fn wait(&mut self) {
        let until_due = self.next_due.map_or(WAIT, |due| due.since(self.time));
        let hint = async {
            if self.hints.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(until_due.min(WAIT), hint).await;
    }

    fn scan_from(&self) -> Timestamp {
        match self.time.since(self.rewound) >= REWIND_EVERY {
            true => Timestamp::default(),
            false => self.low_water - LOW_WATER_LAG,
        }
    }

    /// Everything from `from` on was seen up to now or, if something was left, up to that.
    fn advance(&mut self, from: Timestamp, next_due: Option<Timestamp>) {
        if from == Timestamp::default() {
            self.rewound = self.time;
        }
        self.low_water = next_due.map_or(self.time, |due| due.min(self.time));
        self.next_due = next_due;
    }

    fn choose(&self, found: Vec<Item>, max: usize) -> Result<Choice, LayerError> {
        let mut choice = Choice { chosen: Vec::new(), next_due: None };
        let mut bytes = 0;
        for item in found {
            let Some((due, id)) = self.queue.keys.parse_due(&item.key) else { continue };
            let entry = record::decode::<Entry>(&item)?.value;
            bytes += entry.body_bytes;
            let full = choice.chosen.len() == max || (bytes > TAKE_BYTES && !choice.chosen.is_empty());
            if due > self.time || full {
                choice.next_due = Some(due);
                break;
            }
            choice.chosen.push(Chosen { id, key: item.key, version: item.version, entry });
        }
        Ok(choice)
    }

    /// Moves the chosen to the end of their lease. `None` when one of them was settled in between.
    async fn lease(&self, chosen: Vec<Chosen>) -> Result<Option<Vec<Taken>>, LayerError> {
        let until = self.time + self.queue.lease;
        let mut change = Change::new();
        if let Some((key, version)) = &self.fence {
            change.expect(key.clone(), *version);
        }
        let mut taken = Vec::with_capacity(chosen.len());
        for Chosen { id, key, version, mut entry } in chosen {
            entry.attempts = entry.attempts.saturating_add(1);
            let leased = self.queue.keys.due(self.shard, until, &id);
            match leased == key {
                true => change.expect(key, version),
                false => change.remove(key, version),
            };
            change.put(leased.clone(), &entry)?;
            let (shard, body) = (self.shard, Bytes::new());
            taken.push(Taken {
                id,
                body,
                entry,
                leased_until: until,
                taken: self.time,
                shard,
                key: leased,
                version: Version(0),
            });
        }
        match crate::commit(&*self.queue.store, change).await? {
            Ok(committed) => {
                taken.iter_mut().for_each(|item| item.version = committed.version);
                Ok(Some(taken))
            }
            Err(conflict) if self.fence.as_ref().is_some_and(|(key, _)| conflict.keys.contains(key)) => {
                Err(LayerError::LeaseLost)
            }
            Err(_) => Ok(None),
        }
    }

    async fn with_bodies(&self, taken: Vec<Taken>) -> Result<Vec<Taken>, LayerError> {
        let mut reads = Reads::new();
        for item in &taken {
            for part in 0..item.entry.body_parts {
                reads = reads.get(self.queue.keys.body(&item.id, part.into()));
            }
        }
        let mut answers = reads.run(&*self.queue.store).await?;
        let mut whole = Vec::with_capacity(taken.len());
        for mut item in taken {
            let parts: Vec<Item> = (0..item.entry.body_parts).flat_map(|_| answers.items()).collect();
            item.body = join(parts);
            match item.body.len() == item.entry.body_bytes {
                true => whole.push(item),
                // Bodies go in the batch that removes their entry. Keep it for whoever looks into it.
                false => tracing::error!(id = item.id, "the body of a queued item is damaged; it stays queued"),
            }
        }
        Ok(whole)
    }
}

pub(super) fn join(mut parts: Vec<Item>) -> Bytes {
    match parts.len() {
        1 => parts.remove(0).value,
        _ => {
            let mut body = BytesMut::new();
            parts.iter().for_each(|part| body.extend_from_slice(&part.value));
            body.freeze()
        }
    }
}
