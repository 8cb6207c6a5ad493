//! Promises about reads and hints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dormouse_store::key::{KeyRange, after};
use dormouse_store::{Batch, CommitId, Found, KEY_BYTES, READ_PARTS, Read, StoreError};

use super::{B, StoreFactory, b, get, number, range};
use crate::{Rng, seed};

/// From inclusive, to exclusive, at most the limit, in both directions, with and without values.
pub async fn ranges_have_ends_limits_and_directions(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    for key in ["a", "b", "c", "d", "e"] {
        B::new().put(key, &format!("value of {key}")).done(&*store).await;
    }
    let read = |from: &str, to: &str, limit, reverse, keys_only| Read::Range {
        from: b(from),
        to: b(to),
        limit,
        reverse,
        keys_only,
    };
    for (asked, keys) in [
        (read("b", "d", 10, false, false), "bc"),
        (read("b", "d", 10, true, false), "cb"),
        (read("", "z", 2, false, false), "ab"),
        (read("", "z", 2, true, true), "ed"),
        (read("c", "c", 10, false, false), ""),
        (read("d", "b", 10, false, false), ""),
        (read("d", "b", 10, true, false), ""),
        (read("a", "z", 0, false, false), ""),
        (read("aa", "cc", usize::MAX, false, true), "bc"),
    ] {
        let items = range(&*store, asked.clone()).await;
        let found: Vec<u8> = items.iter().flat_map(|item| item.key.to_vec()).collect();
        assert_eq!(String::from_utf8_lossy(&found), keys, "{asked:?}");
        let Read::Range { keys_only, .. } = asked else { unreachable!("all are ranges") };
        assert!(items.iter().all(|item| item.value.is_empty() == keys_only), "{asked:?}");
    }
    let long =
        Read::Range { from: b("a"), to: vec![0xFF; KEY_BYTES + 2].into(), limit: 1, reverse: false, keys_only: false };
    assert!(matches!(store.read(vec![long]).await, Err(StoreError::Limit(_))));
    let many = vec![Read::Get(b("a")); READ_PARTS + 1];
    assert!(matches!(store.read(many).await, Err(StoreError::Limit(_))));
}

/// Keys are bytes, of any value, and sort by them.
pub async fn every_byte_sorts(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let mut rng = Rng::new(seed("every_byte_sorts"));
    let mut keys: Vec<Bytes> = (0..=255).map(|byte| Bytes::from(vec![byte])).collect();
    keys.extend((0..=255).map(|byte| Bytes::from(vec![7, byte, 0])));
    for _ in 0..200 {
        let len = 1 + rng.index(6);
        keys.push(rng.bytes(len).into());
    }
    keys.sort();
    keys.dedup();
    for some in keys.chunks(100) {
        let put = some.iter().map(|key| (key.clone(), key.clone())).collect();
        store.commit(CommitId::random(), Batch { put, ..Batch::default() }).await.expect("it commits");
    }
    let all = range(&*store, KeyRange::all().read(10_000)).await;
    assert_eq!(all.iter().map(|item| item.key.clone()).collect::<Vec<_>>(), keys);
    assert!(all.iter().all(|item| item.key == item.value));
    let seven = range(&*store, KeyRange::prefix(&[7]).read(10_000)).await;
    assert!(seven.iter().all(|item| item.key[0] == 7) && seven.len() > 256);
    let behind = range(&*store, KeyRange::all().after(&[254]).read_last(10_000)).await;
    assert!(behind.iter().rev().map(|item| &item.key).eq(keys.iter().filter(|key| ***key > [254][..])));
    assert_eq!(after(b"a").as_ref(), b"a\0");
}

/// All parts of a read see the same commits.
pub async fn reads_are_snapshots(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    B::new().add("x", 0).add("y", 0).done(&*store).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        tokio::spawn(async move {
            for _ in 0..200 {
                B::new().add("x", 1).add("y", -1).done(&*store).await;
            }
            done.store(true, Ordering::SeqCst);
        })
    };
    while !done.load(Ordering::SeqCst) {
        let reads = vec![Read::Get(b("x")), KeyRange::prefix(b"y").read(1), Read::Get(b("x"))];
        let found = store.read(reads).await.expect("it reads").found;
        let numbers: Vec<i64> = found
            .iter()
            .map(|found| match found {
                Found::One(item) => number(item.as_ref()),
                Found::Many(items) => number(items.first()),
            })
            .collect();
        assert!(numbers[0] == -numbers[1] && numbers[0] == numbers[2], "{numbers:?}");
    }
    writer.await.expect("no panic");
}

/// A read that begins after a commit was acknowledged sees it.
pub async fn own_writes_are_visible_at_once(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for round in 0..20 {
                    let key = format!("k{task}");
                    let version = B::new().put(&key, &round.to_string()).done(&*store).await;
                    assert_eq!(get(&*store, &key).await.map(|item| item.version), Some(version));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
}

/// Neither between reads and commits nor across a restart.
pub async fn time_never_goes_back(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let before = store.read(Vec::new()).await.expect("it reads").time;
    let outcome = B::new().put("a", "1").commit(&*store).await;
    let dormouse_store::CommitOutcome::Committed { time, .. } = outcome else { panic!("a conflict") };
    let after = store.read(vec![Read::Get(b("a"))]).await.expect("it reads").time;
    assert!(before <= time && time <= after && before.0 > 0);
    drop(store);
    let store = factory.open().await;
    assert!(store.read(Vec::new()).await.expect("it reads").time >= time);
}

/// A hint for each prefix that was touched, by puts, additions, deletes and removed ranges, and for no other.
pub async fn watchers_hear_of_their_prefix(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    B::new().put("b/1", "x").put("r/1", "x").done(&*store).await;
    let mut quiet = store.watch(b("quiet/"));
    let prefixes = ["a/", "b/", "n", "r/"];
    let mut heard: Vec<_> = prefixes.iter().map(|prefix| store.watch(b(prefix))).collect();
    B::new().put("a/1", "x").delete("b/1").add("n", 1).put("quiet", "x").done(&*store).await;
    store.delete_range(b("r/"), b("r0"), 10).await.expect("it deletes");
    for (prefix, hints) in prefixes.iter().zip(&mut heard) {
        let hint = tokio::time::timeout(Duration::from_secs(10), hints.changed()).await;
        assert!(matches!(hint, Ok(Ok(()))), "{prefix}");
    }
    quiet.mark_unchanged();
    B::new().put("a/2", "x").done(&*store).await;
    tokio::time::timeout(Duration::from_secs(10), heard[0].changed()).await.expect("a hint").expect("the store lives");
    assert!(!quiet.has_changed().expect("the store lives"));
}
