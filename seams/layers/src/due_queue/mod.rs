//! The due-queue: items that become due, are taken under a lease, and are finished, retried or buried.
//!
//! ```text
//!            push                 take                     finish
//!   (nothing) ----> waiting until due ----> leased until T ------> (nothing)
//!                      ^                       |  |  |
//!                      |  retry, or T passed   |  |  | bury
//!                      +-----------------------+--+  +------> dead letter --redrive--> waiting
//! ```
//!
//! Layout, under the keyspace that is the queue's name:
//!
//! | key | value |
//! |---|---|
//! | `body`, id, part number | bytes of the body, in parts of [`VALUE_BYTES`](dormouse_store::VALUE_BYTES); written once |
//! | `due`, shard, due time, id | [`Entry`]: what moves. A leased item is one that is due when its lease ends |
//! | `dead`, id | [`DeadLetter`] |
//! | `dead-by-time`, time, id | empty |
//! | `count`, shard | how many items wait or are leased; a counter |
//! | `dead-count` | how many dead letters there are; a counter |
//! | `shards` | how many shards there are; never shrinks |
//!
//! An item moves by its entry, never by its body. Every change of an entry expects the version at which it was read, so
//! whoever lost a lease cannot finish, retry or bury what another has taken since.
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use dormouse_layers::{Change, LayerError};
//! # use dormouse_layers::due_queue::{DueQueue, NewItem, Retry, Settings};
//! # use dormouse_testkit::MemoryStore;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), LayerError> {
//! # let store = Arc::new(MemoryStore::new());
//! let queue = DueQueue::open(store, "mail", Settings::default()).await?;
//! let now = queue.now().await?;
//! // On disk when it returns. `push` does the same inside a batch of yours.
//! queue.send(NewItem::new("id-1", "hello", now)).await?;
//!
//! // One task for each shard takes; as many workers as you like handle what it hands out.
//! let mut owners: Vec<_> = queue.shards().map(|shard| queue.owner(shard)).collect();
//! for owner in &mut owners {
//!     for item in owner.take(10).await? {
//!         let sent = item.body == "hello";
//!         let mut change = Change::new();
//!         match sent {
//!             true => queue.finish(&mut change, &item),
//!             false => queue.retry(&mut change, &item, Retry::at(now + Duration::from_secs(60)))?,
//!         }
//!         // Add the records of your own that must change together with the item, then:
//!         queue.settle(change).await?;
//!     }
//! }
//! assert_eq!(queue.depth().await?.items, 0);
//! # Ok(()) }
//! ```

mod dead;
mod item;
mod keys;
mod owner;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use dormouse_model::Timestamp;
use dormouse_store::Store;

pub use dead::{DeadCursor, DeadLetter};
pub use item::{Entry, NewItem, Retry, Taken};
use keys::Keys;
pub use owner::{ShardOwner, TAKE_ITEMS};

use crate::{Change, Decision, LayerError, Reads, transact};

/// Most bytes in a body: 3 MiB, so that it fits into a batch with room for the caller's records.
pub const BODY_BYTES: usize = 3 * 1024 * 1024;
/// Most bytes in an id.
pub const ID_BYTES: usize = 256;

/// What an operator or a test may set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Least number of shards. Each has one owner at a time, so it bounds how many take at once. Never shrinks.
    pub shards: u32,
    /// How long a taken item is hidden. Longer than any attempt may take, or renewed.
    pub lease: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { shards: 4, lease: Duration::from_secs(60) }
    }
}

/// A queue in the store. Clones are the same queue.
#[derive(Clone)]
pub struct DueQueue {
    store: Arc<dyn Store>,
    keys: Keys,
    shards: u32,
    lease: Duration,
}

/// How many items there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Waiting or leased.
    pub items: u64,
    /// Buried.
    pub dead: u64,
    /// When the item that has been due longest became due, or will be due next. Of a leased item, the end of its lease.
    pub oldest_due: Option<Timestamp>,
    /// The store's clock.
    pub time: Timestamp,
}

/// What became of an item that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is on disk.
    New,
    /// An item of that id was there already; nothing was changed.
    Known,
}

impl DueQueue {
    /// The queue of that name, made if need be.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn open(store: Arc<dyn Store>, name: &str, settings: Settings) -> Result<Self, LayerError> {
        let keys = Keys::new(name);
        let wanted = settings.shards.max(1);
        let shards = transact(&*store, Reads::new().get(keys.shards()), |answers| {
            let mut change = Change::new();
            let shards = match answers.one::<u32>()? {
                Some(stored) if stored.value >= wanted => return Ok::<_, LayerError>(Decision::Leave(stored.value)),
                Some(mut stored) => {
                    stored.value = wanted;
                    change.update(keys.shards(), &stored)?;
                    wanted
                }
                None => {
                    change.create(keys.shards(), &wanted)?;
                    wanted
                }
            };
            Ok(Decision::Commit(change, shards))
        })
        .await?;
        Ok(Self { store, keys, shards, lease: settings.lease })
    }

    /// The shards, each of which needs one owner.
    pub fn shards(&self) -> Range<u32> {
        0..self.shards
    }

    /// The store's clock, by which due times are judged.
    pub async fn now(&self) -> Result<Timestamp, LayerError> {
        Ok(self.store.read(Vec::new()).await?.time)
    }

    /// The one who takes from a shard. There must be one at a time; a second is slower but not wrong, because whoever
    /// moves an entry expects its version.
    pub fn owner(&self, shard: u32) -> ShardOwner {
        ShardOwner::new(self.clone(), shard)
    }

    /// Adds an item to a batch. The batch conflicts when an item of that id is there already.
    ///
    /// # Errors
    /// [`LayerError::Limit`] when the body or the id is too long.
    pub fn push(&self, change: &mut Change, item: NewItem) -> Result<(), LayerError> {
        item.check()?;
        let shard = self.keys.shard_of(&item.id, self.shards);
        let entry = Entry {
            attempts: 0,
            enqueued: item.enqueued,
            body_bytes: item.body.len(),
            body_parts: item::parts_of(item.body.len()),
            state: item.state,
        };
        change.expect_absent(self.keys.body(&item.id, 0));
        for (number, part) in item::split(&item.body).enumerate() {
            change.put_bytes(self.keys.body(&item.id, number as u64), part);
        }
        change.put(self.keys.due(shard, item.due, &item.id), &entry)?;
        change.add(self.keys.count(shard), 1);
        Ok(())
    }

    /// Commits an item alone. Safe to repeat: an item of that id is stored once.
    pub async fn send(&self, item: NewItem) -> Result<Sent, LayerError> {
        let mut change = Change::new();
        self.push(&mut change, item)?;
        Ok(match crate::commit(&*self.store, change).await? {
            Ok(_) => Sent::New,
            Err(_) => Sent::Known,
        })
    }

    /// Adds to a batch that an item is done with, and its body gone.
    pub fn finish(&self, change: &mut Change, item: &Taken) {
        self.leave(change, item);
        self.delete_body(change, &item.id, item.entry.body_parts);
    }

    /// Adds to a batch that an item is tried again later.
    pub fn retry(&self, change: &mut Change, item: &Taken, retry: Retry) -> Result<(), LayerError> {
        let mut entry = item.entry.clone();
        if !retry.counted {
            entry.attempts = entry.attempts.saturating_sub(1);
        }
        if let Some(state) = retry.state {
            entry.state = state;
        }
        let key = self.keys.due(item.shard, retry.due, &item.id);
        match key == item.key {
            true => change.expect(item.key.clone(), item.version),
            false => change.remove(item.key.clone(), item.version),
        };
        change.put(key, &entry)?;
        Ok(())
    }

    /// Commits a batch that settles taken items.
    ///
    /// # Errors
    /// [`LayerError::LeaseLost`] when one of them was taken by another since, or another expectation of the batch does
    /// not hold; nothing was changed then.
    pub async fn settle(&self, change: Change) -> Result<(), LayerError> {
        match crate::commit(&*self.store, change).await? {
            Ok(_) => Ok(()),
            Err(_) => Err(LayerError::LeaseLost),
        }
    }

    /// Holds a taken item for `lease` more from now on.
    ///
    /// # Errors
    /// [`LayerError::LeaseLost`] when another has taken it since.
    pub async fn renew(&self, item: &mut Taken, lease: Duration) -> Result<(), LayerError> {
        let until = self.now().await? + lease;
        let key = self.keys.due(item.shard, until, &item.id);
        let mut change = Change::new();
        match key == item.key {
            true => change.expect(item.key.clone(), item.version),
            false => change.remove(item.key.clone(), item.version),
        };
        change.put(key.clone(), &item.entry)?;
        let committed = crate::commit(&*self.store, change).await?.map_err(|_| LayerError::LeaseLost)?;
        item.key = key;
        item.version = committed.version;
        item.leased_until = until;
        Ok(())
    }

    /// How many items there are, from counters.
    pub async fn depth(&self) -> Result<Depth, LayerError> {
        let mut reads = Reads::new().get(self.keys.dead_count());
        for shard in self.shards() {
            reads = reads.get(self.keys.count(shard)).read(self.keys.shard(shard).read_keys(1));
        }
        let mut answers = reads.run(&*self.store).await?;
        let dead = answers.counter();
        let mut items = 0;
        let mut oldest_due = None;
        for _ in self.shards() {
            items += answers.counter();
            let first = answers.items().first().and_then(|item| self.keys.parse_due(&item.key)).map(|(due, _)| due);
            oldest_due = [oldest_due, first].into_iter().flatten().min();
        }
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Depth { items: count(items), dead: count(dead), oldest_due, time: answers.time })
    }

    fn leave(&self, change: &mut Change, item: &Taken) {
        change.remove(item.key.clone(), item.version);
        change.add(self.keys.count(item.shard), -1);
    }

    fn delete_body(&self, change: &mut Change, id: &str, parts: u32) {
        for number in 0..parts {
            change.delete(self.keys.body(id, number.into()));
        }
    }
}
