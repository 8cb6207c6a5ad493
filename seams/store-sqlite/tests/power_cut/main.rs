//! The power goes: what was acknowledged is there, what was not is there as a whole or not at all.
//!
//! A store works on a VFS that records every write and sync. Then, for points of that record, the files are built as a
//! disk may hold them that lost any of what was not synced, and a store is opened on them. That this sees a missing sync
//! is shown by taking syncs out of the record.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod disk;
mod vfs;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use disk::{Event, Unsynced, rebuild};
use dormouse_store::{Batch, CommitId, CommitOutcome, Found, Read, Store, StoreError};
use dormouse_store_sqlite::{Settings, SqliteStore};
use dormouse_testkit::{Rng, seed};
use vfs::Recorder;

const BATCHES: usize = 160;
const TASKS: usize = 4;

fn key(kind: &str, batch: usize) -> Bytes {
    format!("{kind}/{batch:06}").into()
}

/// Two keys that must share their fate, a counter, and something that a later batch deletes again.
fn batch(number: usize) -> Batch {
    let value = Bytes::from(number.to_be_bytes().repeat(1 + number % 700));
    let mut batch = Batch {
        put: vec![(key("a", number), value.clone()), (key("b", number), value), (key("gone", number), Bytes::new())],
        add: vec![(Bytes::from_static(b"count"), 1)],
        ..Batch::default()
    };
    if let Some(earlier) = number.checked_sub(TASKS * 2) {
        batch.delete.push(key("gone", earlier));
    }
    batch
}

fn settings(vfs: Option<String>) -> Settings {
    Settings { vfs, readers: 1, checkpoint_pages: 60, ..Settings::default() }
}

/// Commits from several tasks at once, and gives the record of it.
async fn work() -> Vec<Event> {
    let (recorder, vfs) = Recorder::register();
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(dir.path(), settings(Some(vfs))).unwrap());
    let next = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, next) = (Arc::clone(&store), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= BATCHES {
                        return;
                    }
                    let outcome = store.commit(CommitId(number as u128), batch(number)).await.unwrap();
                    assert!(matches!(outcome, CommitOutcome::Committed { .. }));
                    recorder.push(Event::Ack { batch: number });
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let events = recorder.events();
    let is_checkpoint = |event: &&Event| matches!(event, Event::Sync { file } if file == "store.db");
    assert!(events.iter().filter(is_checkpoint).count() > 3, "the log was carried over and started over");
    events
}

/// Opens what is left of the disk and says what is wrong with it.
async fn check(events: &[Event], dir: &Path) -> Result<(), String> {
    let store = SqliteStore::open(dir, settings(None)).map_err(|error| format!("it does not open: {error}"))?;
    let acked = events.iter().filter_map(|event| match event {
        Event::Ack { batch } => Some(*batch),
        _ => None,
    });
    let acked: Vec<usize> = acked.collect();
    let reads = (0..BATCHES).flat_map(|number| [key("a", number), key("b", number)].map(Read::Get));
    let reads: Vec<Read> = reads.chain([Read::Get(Bytes::from_static(b"count"))]).collect();
    let found = store.read(reads).await.map_err(|error| format!("it does not read: {error}"))?.found;
    let value = |index: usize| match &found[index] {
        Found::One(item) => item.as_ref().map(|item| item.value.clone()),
        Found::Many(_) => None,
    };
    let mut present = 0_i64;
    for number in 0..BATCHES {
        let (a, b) = (value(number * 2), value(number * 2 + 1));
        let whole = batch(number).put[0].1.clone();
        match (&a, &b) {
            (None, None) if acked.contains(&number) => {
                return Err(format!("batch {number} was acknowledged and is lost"));
            }
            (None, None) => {}
            (Some(a), Some(b)) if *a == whole && *b == whole => present += 1,
            _ => return Err(format!("batch {number} is there in part")),
        }
    }
    let count = value(BATCHES * 2).map_or(0, |count| i64::from_be_bytes(count.as_ref().try_into().unwrap()));
    if count != present {
        return Err(format!("the counter says {count}, {present} batches are there"));
    }
    if let Some(&number) = acked.last() {
        // It is remembered too: repeating it changes nothing.
        let again = store.commit(CommitId(number as u128), batch(number)).await.map_err(|error| error.to_string())?;
        let version = store.read(vec![Read::Get(key("a", number))]).await.map_err(|error| error.to_string())?;
        let Found::One(Some(item)) = &version.found[0] else { return Err("it vanished".to_owned()) };
        if !matches!(again, CommitOutcome::Committed { version, .. } if version == item.version) {
            return Err(format!("repeating batch {number} gave {again:?}"));
        }
    }
    Ok(())
}

async fn cut(events: &[Event], unsynced: Unsynced, rng: &mut Rng) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    rebuild(events, unsynced, rng, dir.path());
    check(events, dir.path()).await
}

fn cuts() -> usize {
    std::env::var("DORMOUSE_SOAK_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(400)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlasts_a_power_cut() {
    let mut rng = Rng::new(seed("what_was_acknowledged_outlasts_a_power_cut"));
    let events = work().await;
    for round in 0..cuts() {
        let at = rng.index(events.len() + 1);
        for unsynced in [Unsynced::Lost, Unsynced::Mixed, Unsynced::Kept] {
            if let Err(wrong) = cut(&events[..at], unsynced, &mut rng).await {
                panic!("round {round}, cut after {at} of {} events, unsynced {unsynced:?}: {wrong}", events.len());
            }
        }
    }
}

/// Without the syncs of one file, some cut must show a loss.
async fn some_cut_fails_without_syncs_of(file: &str) {
    let mut rng = Rng::new(seed("some_cut_fails_without_syncs_of"));
    let mut events = work().await;
    events.retain(|event| !matches!(event, Event::Sync { file: synced } if synced == file));
    for _ in 0..50 {
        // Late cuts: after the log was started over more than once.
        let at = events.len() / 2 + rng.index(events.len() / 2);
        if cut(&events[..at], Unsynced::Lost, &mut rng).await.is_err() {
            return;
        }
    }
    panic!("no cut of 50 showed that {file} was not synced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_not_synced_is_noticed() {
    some_cut_fails_without_syncs_of("store.db-wal").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_synced_is_noticed() {
    some_cut_fails_without_syncs_of("store.db").await;
}

/// Each single sync before an acknowledgement counts: without it, a cut right behind the acknowledgement shows a loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_commit_needs_its_own_sync() {
    let mut rng = Rng::new(seed("each_commit_needs_its_own_sync"));
    let events = work().await;
    let acks = events.iter().enumerate().filter(|(_, event)| matches!(event, Event::Ack { .. }));
    let acks: Vec<usize> = acks.map(|(at, _)| at).collect();
    let mut tried = 0;
    for _ in 0..200 {
        let ack = acks[rng.index(acks.len())];
        let is_log_sync = |event: &Event| matches!(event, Event::Sync { file } if file == "store.db-wal");
        let Some(sync) = events[..ack].iter().rposition(is_log_sync) else { continue };
        // Only where the acknowledged batch was written since the sync before: not after a checkpoint, say.
        let since = events[..sync].iter().rposition(|event| matches!(event, Event::Sync { .. } | Event::Ack { .. }));
        let wrote = events[since.map_or(0, |at| at + 1)..sync].iter();
        if wrote.filter(|event| matches!(event, Event::Write { file, .. } if file == "store.db-wal")).count() < 4
            || events[sync..ack].iter().any(|event| matches!(event, Event::Write { .. }))
        {
            continue;
        }
        let mut without = events[..=ack].to_vec();
        without.remove(sync);
        assert!(cut(&without, Unsynced::Lost, &mut rng).await.is_err(), "event {sync} is a sync that nothing needs");
        tried += 1;
        if tried == 10 {
            return;
        }
    }
    assert!(tried > 0, "no commit stood alone between two syncs");
}

fn settings_that_note(vfs: String) -> (Settings, Arc<Mutex<Vec<String>>>) {
    let fatal: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&fatal);
    let on_fatal = Arc::new(move |why: &str| noted.lock().unwrap().push(why.to_owned()));
    (Settings { on_fatal, ..settings(Some(vfs)) }, fatal)
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_promised() {
    let (recorder, vfs) = Recorder::register();
    let dir = tempfile::tempdir().unwrap();
    let (settings, fatal) = settings_that_note(vfs);
    let store = SqliteStore::open(dir.path(), settings).unwrap();
    store.commit(CommitId(1), batch(1)).await.unwrap();
    recorder.fail_syncs(1);
    let refused = store.commit(CommitId(2), batch(2)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(fatal.lock().unwrap().len(), 1, "{fatal:?}");
    // Also when the disk works again.
    assert!(matches!(store.commit(CommitId(3), batch(3)).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.read(vec![Read::Get(key("a", 1))]).await, Err(StoreError::Unavailable(_))));
    drop(store);
    let store = SqliteStore::open(dir.path(), self::settings(None)).unwrap();
    let found = store.read(vec![Read::Get(key("a", 1)), Read::Get(key("a", 3))]).await.unwrap().found;
    assert!(matches!(found[..], [Found::One(Some(_)), Found::One(None)]));
}

#[tokio::test]
async fn a_full_disk_is_an_answer_and_passes() {
    let (recorder, vfs) = Recorder::register();
    let dir = tempfile::tempdir().unwrap();
    let (settings, fatal) = settings_that_note(vfs);
    let store = SqliteStore::open(dir.path(), settings).unwrap();
    store.commit(CommitId(1), batch(1)).await.unwrap();
    recorder.fail_writes(1);
    let refused = store.commit(CommitId(2), batch(2)).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    let found = store.read(vec![Read::Get(key("a", 1)), Read::Get(key("a", 2))]).await.unwrap().found;
    assert!(matches!(found[..], [Found::One(Some(_)), Found::One(None)]));
    store.commit(CommitId(2), batch(2)).await.unwrap();
    assert!(fatal.lock().unwrap().is_empty());
}
