//! The store seam: ordered keys with versions, one way to read and one way to write.
//!
//! All state of the product is in here. [`Store::read`] is one consistent snapshot; [`Store::commit`] is atomic, durable
//! when it returns, and conditional on the versions that the caller read. There are no interactive transactions and no
//! locks: an engine reads, decides purely, and commits what it decided; on [`CommitOutcome::Conflict`] it reads again.
//!
//! Expectations cover keys, never ranges. To act on emptiness, mark the owner record as closing, look, then remove or
//! reopen; whatever is created under an owner expects the owner's version.

pub mod check;
mod error;
pub mod key;
mod watchers;

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_model::Timestamp;

pub use error::{StoreError, StoreResult};
pub use watchers::Watchers;

/// Most bytes in a key.
pub const KEY_BYTES: usize = 2_000;
/// Most bytes in a value: 512 KiB. Bigger things go to the blob seam.
pub const VALUE_BYTES: usize = 512 * 1024;
/// Most keys in a batch, counting expectations, puts, adds and deletes.
pub const BATCH_KEYS: usize = 1_000;
/// Most bytes of keys and values in a batch: 4 MiB.
pub const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Most items that one range read returns.
pub const RANGE_ITEMS: usize = 10_000;
/// Most parts of one read.
pub const READ_PARTS: usize = 1_000;
/// Least time for which the id of a commit is remembered. A commit that is repeated later may happen twice.
pub const COMMIT_ID_REMEMBERED: std::time::Duration = std::time::Duration::from_secs(120);

/// The number of the commit that last wrote a key. Grows with every commit; never reused, also not after a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// The caller's name for one commit. A commit whose answer was lost is repeated under the same id and gets the first
/// answer again, for at least [`COMMIT_ID_REMEMBERED`]. Only commits that happened are remembered: after a conflict the
/// same id is judged anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommitId(pub u128);

impl CommitId {
    /// One that nobody else uses.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().as_u128())
    }
}

/// One part of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// One key.
    Get(Bytes),
    /// The keys from `from` (inclusive) to `to` (exclusive), in byte order. None when `to` does not lie behind `from`.
    Range {
        /// First key that may be returned.
        from: Bytes,
        /// First key that may not.
        to: Bytes,
        /// At most so many items, and never more than [`RANGE_ITEMS`].
        limit: usize,
        /// From the end towards the start.
        reverse: bool,
        /// Leave the values out.
        keys_only: bool,
    },
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The key.
    pub key: Bytes,
    /// The value; empty when only keys were asked for. A counter that `add` wrote is 8 bytes, big-endian, signed.
    pub value: Bytes,
    /// The commit that wrote it.
    pub version: Version,
}

/// The answer to one [`Read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// To [`Read::Get`].
    One(Option<Item>),
    /// To [`Read::Range`], in the order asked for.
    Many(Vec<Item>),
}

/// All answers of one read, from one snapshot.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// One for each [`Read`], in their order.
    pub found: Vec<Found>,
    /// The store's clock.
    pub time: Timestamp,
}

/// What a key must be for a batch to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It was last written by this commit.
    Version(Version),
    /// It does not exist.
    Absent,
}

/// Changes that are made together or not at all. A key may be put, added to or deleted at most once in a batch, and
/// expected at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Conditions; a key may be expected and changed in one batch.
    pub expect: Vec<(Bytes, Expected)>,
    /// Written.
    pub put: Vec<(Bytes, Bytes)>,
    /// Added to; an absent key, or one whose value is not 8 bytes long, counts as zero. Commutes, so it never conflicts.
    /// Saturates at the ends of `i64`.
    pub add: Vec<(Bytes, i64)>,
    /// Removed; removing what is not there is no error.
    pub delete: Vec<Bytes>,
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// On disk.
    Committed {
        /// The version that every put and added key now has.
        version: Version,
        /// The store's clock at the commit.
        time: Timestamp,
    },
    /// Nothing was changed: these keys were not as expected.
    Conflict {
        /// In the order of [`Batch::expect`].
        keys: Vec<Bytes>,
    },
}

/// How urgent a commit is to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lane {
    /// Someone waits for it.
    #[default]
    Foreground,
    /// Bulk work (clean-up, re-indexing) that must not delay the foreground.
    Bulk,
}

/// News that something under a prefix may have changed. May be lost, late or doubled; the keys may not.
pub type Hints = tokio::sync::watch::Receiver<u64>;

/// The seam. One adapter for each kind of database; they all pass one conformance suite.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// One consistent snapshot in one round trip. It includes every commit that this process saw committed before.
    async fn read(&self, reads: Vec<Read>) -> StoreResult<Snapshot>;

    /// Atomic; durable when it returns.
    async fn commit_in(&self, lane: Lane, id: CommitId, batch: Batch) -> StoreResult<CommitOutcome>;

    /// [`Store::commit_in`] the foreground lane.
    async fn commit(&self, id: CommitId, batch: Batch) -> StoreResult<CommitOutcome> {
        self.commit_in(Lane::Foreground, id, batch).await
    }

    /// Removes at most `at_most` keys from `from` (inclusive) to `to` (exclusive). True when more are left. Each call is
    /// atomic; a range is not removed as a whole. Runs in the bulk lane.
    async fn delete_range(&self, from: Bytes, to: Bytes, at_most: usize) -> StoreResult<bool>;

    /// Changes whenever a commit of this process, or as far as the adapter hears of it another's, touched the prefix.
    fn watch(&self, prefix: Bytes) -> Hints;
}
