//! Promises about commits.

use std::sync::Arc;

use bytes::Bytes;
use dormouse_store::{
    BATCH_BYTES, BATCH_KEYS, Batch, CommitId, CommitOutcome, KEY_BYTES, Lane, Store, StoreError, VALUE_BYTES,
};

use super::{B, StoreFactory, b, get, number, value};

/// Values and versions are those of the commit, and what was deleted is gone.
pub async fn a_commit_is_read_back(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let first = B::new().put("a", "1").put("b", "").add("n", 5).done(&*store).await;
    for key in ["a", "b", "n"] {
        assert_eq!(get(&*store, key).await.map(|item| item.version), Some(first), "{key}");
    }
    let second = B::new().put("a", "2").delete("b").delete("never").done(&*store).await;
    assert!(second > first);
    assert_eq!(value(&*store, "a").await.as_deref(), Some("2"));
    assert_eq!(get(&*store, "b").await, None);
    assert_eq!(number(get(&*store, "n").await.as_ref()), 5);
}

/// All of a batch or nothing, and the conflict names exactly what was not as expected, in the order of the batch.
pub async fn a_conflict_changes_nothing_and_names_its_keys(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let old = B::new().put("a", "1").put("b", "1").done(&*store).await;
    let new = B::new().put("b", "2").done(&*store).await;
    let outcome = B::new().version("b", old).absent("a").put("c", "x").delete("a").add("n", 1).commit(&*store).await;
    assert_eq!(outcome, CommitOutcome::Conflict { keys: vec![b("b"), b("a")] });
    assert_eq!(value(&*store, "a").await.as_deref(), Some("1"));
    assert_eq!((get(&*store, "c").await, get(&*store, "n").await), (None, None));
    let outcome = B::new().version("gone", new).commit(&*store).await;
    assert_eq!(outcome, CommitOutcome::Conflict { keys: vec![b("gone")] });
    B::new().version("b", new).absent("c").put("c", "y").done(&*store).await;
    assert_eq!(value(&*store, "c").await.as_deref(), Some("y"));
}

/// Many who read, add one and write on the condition that nobody else did: every one counts.
pub async fn no_update_is_lost(factory: &dyn StoreFactory) {
    const TASKS: usize = 8;
    const EACH: usize = 25;
    let store = factory.open().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..EACH {
                    while !increment(&*store).await {}
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    assert_eq!(value(&*store, "count").await, Some((TASKS * EACH).to_string()));
}

async fn increment(store: &dyn Store) -> bool {
    let batch = match get(store, "count").await {
        None => B::new().absent("count").put("count", "1"),
        Some(item) => {
            let count: u64 = std::str::from_utf8(&item.value).expect("text").parse().expect("a number");
            B::new().version("count", item.version).put("count", &(count + 1).to_string())
        }
    };
    matches!(batch.commit(store).await, CommitOutcome::Committed { .. })
}

/// Two who each rest on what the other changes cannot both commit.
pub async fn no_write_skew_on_present_keys(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    for round in 0..50 {
        let at = B::new().put("x", "on").put("y", "on").done(&*store).await;
        let off = |mine: &'static str, other: &'static str| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let batch = B::new().version(mine, at).version(other, at).put(mine, "off");
                matches!(batch.commit(&*store).await, CommitOutcome::Committed { .. })
            })
        };
        let (x, y) = (off("x", "y"), off("y", "x"));
        let both = (x.await.expect("no panic"), y.await.expect("no panic"));
        assert!(both.0 ^ both.1, "round {round}: {both:?}");
    }
}

/// The same where what they rest on is that a key does not exist.
pub async fn no_write_skew_on_absent_keys(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    for round in 0..50 {
        let take = |mine: String, other: String| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let batch = B::new().absent(&mine).absent(&other).put(&mine, "taken");
                matches!(batch.commit(&*store).await, CommitOutcome::Committed { .. })
            })
        };
        let (x, y) = (format!("x{round}"), format!("y{round}"));
        let (first, second) = (take(x.clone(), y.clone()), take(y, x));
        let both = (first.await.expect("no panic"), second.await.expect("no panic"));
        assert!(both.0 ^ both.1, "round {round}: {both:?}");
    }
}

/// A commit whose answer was lost is repeated without happening twice, also when its expectations hold no more.
pub async fn a_repeated_id_gets_the_first_answer(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let id = CommitId(7 << 100);
    let batch = || B::new().absent("a").put("a", "1").add("n", 1);
    let first = batch().commit_as(&*store, id).await;
    B::new().put("a", "2").done(&*store).await;
    assert_eq!(batch().commit_as(&*store, id).await, first);
    assert_eq!(value(&*store, "a").await.as_deref(), Some("2"));
    assert_eq!(number(get(&*store, "n").await.as_ref()), 1);
}

/// Also when the store was closed in between.
pub async fn a_repeated_id_is_known_after_reopening(factory: &dyn StoreFactory) {
    let id = CommitId(u128::MAX);
    let store = factory.open().await;
    let first = B::new().add("n", 1).commit_as(&*store, id).await;
    drop(store);
    let store = factory.open().await;
    assert_eq!(B::new().add("n", 1).commit_as(&*store, id).await, first);
    assert_eq!(number(get(&*store, "n").await.as_ref()), 1);
}

/// Also when the repetition does not wait for the first.
pub async fn ids_repeated_at_the_same_time_commit_once(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    for round in 0..20_u128 {
        let same = |_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { B::new().add("n", 1).commit_as(&*store, CommitId(round)).await })
        };
        let mut answers = Vec::new();
        for task in (0..8).map(same).collect::<Vec<_>>() {
            answers.push(task.await.expect("no panic"));
        }
        assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
    }
    assert_eq!(number(get(&*store, "n").await.as_ref()), 20);
}

/// A conflict is not remembered.
pub async fn a_conflict_is_judged_anew(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let id = CommitId(3);
    B::new().put("a", "1").done(&*store).await;
    let batch = || B::new().absent("a").put("a", "2");
    assert!(matches!(batch().commit_as(&*store, id).await, CommitOutcome::Conflict { .. }));
    B::new().delete("a").done(&*store).await;
    assert!(matches!(batch().commit_as(&*store, id).await, CommitOutcome::Committed { .. }));
}

/// Whoever holds an old version cannot be fooled by a key that went and came back, also not across a restart.
pub async fn versions_are_never_reused(factory: &dyn StoreFactory) {
    let mut store = factory.open().await;
    let first = B::new().put("a", "1").done(&*store).await;
    B::new().delete("a").done(&*store).await;
    drop(store);
    store = factory.open().await;
    let second = B::new().put("a", "1").done(&*store).await;
    assert!(second > first);
    assert!(matches!(B::new().version("a", first).commit(&*store).await, CommitOutcome::Conflict { .. }));
}

/// Counters begin at zero, stop at the ends, and replace what is no counter.
pub async fn additions_saturate_and_count_from_zero(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    for (key, steps, sum) in
        [("up", vec![i64::MAX, 1, 5], i64::MAX), ("down", vec![i64::MIN, -1], i64::MIN), ("both", vec![3, -10, 0], -7)]
    {
        for step in steps {
            B::new().add(key, step).done(&*store).await;
        }
        assert_eq!(number(get(&*store, key).await.as_ref()), sum, "{key}");
    }
    B::new().put("text", "abc").done(&*store).await;
    B::new().add("text", 2).done(&*store).await;
    assert_eq!(number(get(&*store, "text").await.as_ref()), 2);
}

/// Additions from everywhere at once neither conflict nor get lost.
pub async fn additions_commute(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let tasks: Vec<_> = (1..=16)
        .map(|by| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..20 {
                    B::new().add("n", by).add("m", -by).done(&*store).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(number(get(&*store, "n").await.as_ref()), 20 * 136);
    assert_eq!(number(get(&*store, "m").await.as_ref()), -20 * 136);
}

/// What breaks a limit is refused as that, and changes nothing.
pub async fn limits_are_kept(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let big = |bytes| Bytes::from(vec![1; bytes]);
    let keys = |count: usize| (0..count).map(|n| b(&format!("k{n}"))).collect::<Vec<_>>();
    let many = BATCH_BYTES / VALUE_BYTES + 1;
    let broken = [
        Batch { put: vec![(big(KEY_BYTES + 1), b(""))], ..Batch::default() },
        Batch { put: vec![(b(""), b(""))], ..Batch::default() },
        Batch { put: vec![(b("a"), big(VALUE_BYTES + 1))], ..Batch::default() },
        Batch { put: keys(many).into_iter().map(|key| (key, big(VALUE_BYTES))).collect(), ..Batch::default() },
        Batch { delete: keys(BATCH_KEYS + 1), ..Batch::default() },
        Batch { put: vec![(b("a"), b("1"))], delete: vec![b("a")], ..Batch::default() },
        Batch { put: vec![(b("a"), b("1"))], add: vec![(b("a"), 1)], ..Batch::default() },
    ];
    for batch in broken {
        let refused = store.commit(CommitId::random(), batch).await;
        assert!(matches!(refused, Err(StoreError::Limit(_))), "{refused:?}");
    }
    assert_eq!(get(&*store, "a").await, None);
}

/// What just keeps to the limits is stored and read back.
pub async fn what_is_at_the_limits_fits(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let key = Bytes::from(vec![0xFF; KEY_BYTES]);
    let value = Bytes::from(vec![0; VALUE_BYTES]);
    let batch = Batch { put: vec![(key.clone(), value.clone())], ..Batch::default() };
    store.commit(CommitId::random(), batch).await.expect("it fits");
    let all = dormouse_store::key::KeyRange::all().read(10);
    let items = super::range(&*store, all).await;
    assert!(items.len() == 1 && items[0].key == key && items[0].value == value);
    let add = (0..BATCH_KEYS).map(|n| (b(&format!("k{n}")), 1)).collect();
    store.commit(CommitId::random(), Batch { add, ..Batch::default() }).await.expect("it fits");
}

/// The bulk lane differs in nothing but its urgency.
pub async fn bulk_commits_are_commits(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let id = CommitId::random();
    let batch = B::new().absent("a").put("a", "1").0;
    let first = store.commit_in(Lane::Bulk, id, batch.clone()).await.expect("an answer");
    assert!(matches!(first, CommitOutcome::Committed { .. }));
    assert_eq!(store.commit_in(Lane::Foreground, id, batch.clone()).await.expect("an answer"), first);
    let conflict = store.commit_in(Lane::Bulk, CommitId::random(), batch).await.expect("an answer");
    assert!(matches!(conflict, CommitOutcome::Conflict { .. }));
}

/// In steps, and nothing but what lies in the range.
pub async fn delete_range_removes_what_lies_in_it(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    for n in 0..10 {
        B::new().put(&format!("k{n}"), "v").done(&*store).await;
    }
    assert!(store.delete_range(b("k2"), b("k8"), 4).await.expect("an answer"), "more are left");
    let mut calls = 1;
    while store.delete_range(b("k2"), b("k8"), 4).await.expect("an answer") {
        calls += 1;
        assert!(calls < 10, "it comes to an end");
    }
    for n in 0..10 {
        assert_eq!(value(&*store, &format!("k{n}")).await.is_some(), !(2..8).contains(&n), "k{n}");
    }
    assert!(!store.delete_range(b("x"), b("a"), 4).await.expect("an answer"), "an empty range");
    assert!(!store.delete_range(b("a"), b("b"), 0).await.expect("an answer"), "nothing there");
}

/// Everything that was acknowledged.
pub async fn everything_is_there_after_reopening(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let mut versions = Vec::new();
    for n in 0..20 {
        versions.push(B::new().put(&format!("k{n}"), &"v".repeat(n * 100)).add("n", 1).done(&*store).await);
    }
    drop(store);
    let store = factory.open().await;
    for (n, version) in versions.into_iter().enumerate() {
        let item = get(&*store, &format!("k{n}")).await.expect("it is there");
        assert_eq!((item.version, item.value.len()), (version, n * 100));
    }
    assert_eq!(number(get(&*store, "n").await.as_ref()), 20);
}
