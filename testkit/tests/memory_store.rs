//! The fake keeps to the seam like any adapter, and its faults do what they say.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_store::{Batch, CommitId, CommitOutcome, Expected, Store, StoreError};
use dormouse_testkit::store_suite::StoreFactory;
use dormouse_testkit::{Fault, MemoryStore};

struct Memory(MemoryStore);

#[async_trait]
impl StoreFactory for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }
}

dormouse_testkit::store_conformance!(Memory(MemoryStore::new()));

fn create(key: &'static str) -> Batch {
    let key = Bytes::from_static(key.as_bytes());
    Batch { expect: vec![(key.clone(), Expected::Absent)], put: vec![(key, Bytes::new())], ..Batch::default() }
}

#[tokio::test]
async fn faults_strike_the_commit_they_are_meant_for() {
    let store = MemoryStore::new();
    store.fail_commit(1, Fault::UnavailableBefore);
    store.fail_commit(2, Fault::UnavailableAfter);
    store.fail_commit(4, Fault::Conflict);
    store.fail_commit(5, Fault::Full);
    let unavailable = |answer| matches!(answer, Err(StoreError::Unavailable(_)));
    assert!(unavailable(store.commit(CommitId(1), create("a")).await));
    assert!(store.dump().is_empty());
    assert!(unavailable(store.commit(CommitId(1), create("a")).await));
    assert_eq!(store.dump().len(), 1);
    assert!(matches!(store.commit(CommitId(1), create("a")).await, Ok(CommitOutcome::Committed { .. })));
    assert!(matches!(store.commit(CommitId(2), create("b")).await, Ok(CommitOutcome::Conflict { .. })));
    assert!(matches!(store.commit(CommitId(3), create("b")).await, Err(StoreError::Full(_))));
    store.set_away(true);
    assert!(matches!(store.read(Vec::new()).await, Err(StoreError::Unavailable(_))));
    store.heal();
    assert!(matches!(store.commit(CommitId(4), create("b")).await, Ok(CommitOutcome::Committed { .. })));
}
