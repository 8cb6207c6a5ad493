//! What every adapter of the store seam keeps to. One function for each promise; [`store_conformance!`] makes a test of
//! each.

mod commits;
mod mixes;
mod reads;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_store::{Batch, CommitId, CommitOutcome, Expected, Found, Item, Read, Store, Version};

pub use commits::*;
pub use mixes::*;
pub use reads::*;

/// Makes the store under test: empty at first, and with what it held when it is opened again after the former was
/// dropped.
#[async_trait]
pub trait StoreFactory: Send + Sync {
    /// Opens it.
    async fn open(&self) -> Arc<dyn Store>;
}

/// A test for each promise of the store seam, over the factory that the expression makes anew for each.
#[macro_export]
macro_rules! store_conformance {
    ($factory:expr) => {
        $crate::store_conformance!(@each $factory;
            a_commit_is_read_back
            a_conflict_changes_nothing_and_names_its_keys
            no_update_is_lost
            no_write_skew_on_present_keys
            no_write_skew_on_absent_keys
            a_repeated_id_gets_the_first_answer
            a_repeated_id_is_known_after_reopening
            ids_repeated_at_the_same_time_commit_once
            a_conflict_is_judged_anew
            versions_are_never_reused
            additions_saturate_and_count_from_zero
            additions_commute
            limits_are_kept
            what_is_at_the_limits_fits
            bulk_commits_are_commits
            delete_range_removes_what_lies_in_it
            ranges_have_ends_limits_and_directions
            every_byte_sorts
            reads_are_snapshots
            own_writes_are_visible_at_once
            time_never_goes_back
            watchers_hear_of_their_prefix
            everything_is_there_after_reopening
            concurrent_transfers_keep_the_sum
            a_mix_agrees_with_a_model
        );
    };
    (@each $factory:expr; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let factory = $factory;
                $crate::store_suite::$promise(&factory).await;
            }
        )*
    };
}

/// A batch under construction, briefly.
#[derive(Default)]
pub(crate) struct B(Batch);

impl B {
    pub(crate) fn new() -> Self {
        Self::default()
    }
    pub(crate) fn put(mut self, key: &str, value: &str) -> Self {
        self.0.put.push((b(key), b(value)));
        self
    }
    pub(crate) fn add(mut self, key: &str, by: i64) -> Self {
        self.0.add.push((b(key), by));
        self
    }
    pub(crate) fn delete(mut self, key: &str) -> Self {
        self.0.delete.push(b(key));
        self
    }
    pub(crate) fn version(mut self, key: &str, version: Version) -> Self {
        self.0.expect.push((b(key), Expected::Version(version)));
        self
    }
    pub(crate) fn absent(mut self, key: &str) -> Self {
        self.0.expect.push((b(key), Expected::Absent));
        self
    }
    pub(crate) async fn commit(self, store: &dyn Store) -> CommitOutcome {
        self.commit_as(store, CommitId::random()).await
    }
    pub(crate) async fn commit_as(self, store: &dyn Store, id: CommitId) -> CommitOutcome {
        store.commit(id, self.0).await.expect("the store takes the batch")
    }
    /// Commits what cannot conflict.
    pub(crate) async fn done(self, store: &dyn Store) -> Version {
        match self.commit(store).await {
            CommitOutcome::Committed { version, .. } => version,
            CommitOutcome::Conflict { keys } => panic!("a conflict on {keys:?}"),
        }
    }
}

pub(crate) fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(crate) async fn get(store: &dyn Store, key: &str) -> Option<Item> {
    let mut snapshot = store.read(vec![Read::Get(b(key))]).await.expect("the store reads");
    match snapshot.found.remove(0) {
        Found::One(item) => item,
        Found::Many(_) => panic!("a range in answer to a get"),
    }
}

pub(crate) async fn value(store: &dyn Store, key: &str) -> Option<String> {
    get(store, key).await.map(|item| String::from_utf8_lossy(&item.value).into_owned())
}

pub(crate) async fn range(store: &dyn Store, read: Read) -> Vec<Item> {
    let mut snapshot = store.read(vec![read]).await.expect("the store reads");
    match snapshot.found.remove(0) {
        Found::Many(items) => items,
        Found::One(_) => panic!("a get in answer to a range"),
    }
}

pub(crate) fn number(item: Option<&Item>) -> i64 {
    item.map_or(0, |item| i64::from_be_bytes(item.value.as_ref().try_into().expect("a counter has 8 bytes")))
}
