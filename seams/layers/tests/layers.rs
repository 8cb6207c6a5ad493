//! Lease, outbox, counter, expiry, transact: by what they promise.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dormouse_layers::due_queue::{DueQueue, NewItem, Settings};
use dormouse_layers::lease::Acquired;
use dormouse_layers::{
    Change, Counter, Decision, Expiry, Key, LayerError, Lease, Outbox, Reads, commit, get, scan, transact,
};
use dormouse_model::Clock;
use dormouse_store::Store;
use dormouse_testkit::{Fault, MemoryStore, SimClock, TokioClock};
use serde::{Deserialize, Serialize};

const TTL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
}

fn note(text: &str) -> Note {
    Note { text: text.to_owned() }
}

fn store() -> (SimClock, MemoryStore) {
    let clock = SimClock::default();
    (clock.clone(), MemoryStore::with_clock(Arc::new(clock)))
}

async fn acquire(store: &MemoryStore, owner: &str) -> Acquired {
    Lease::acquire(store, Key::new("lease").text("shard"), owner, TTL).await.unwrap()
}

fn held(acquired: Acquired) -> Lease {
    match acquired {
        Acquired::Yes(lease) => lease,
        Acquired::No { owner, .. } => panic!("{owner} holds it"),
    }
}

#[tokio::test]
async fn a_lease_has_one_owner_until_it_runs_out() {
    let (clock, store) = store();
    let mut first = held(acquire(&store, "a").await);
    clock.advance(TTL / 2);
    first.renew(&store, TTL).await.unwrap();
    clock.advance(TTL / 2);
    assert!(matches!(acquire(&store, "b").await, Acquired::No { owner, .. } if owner == "a"));
    clock.advance(TTL / 2);
    let second = held(acquire(&store, "b").await);
    assert_eq!(second.epoch, first.epoch + 1);
    assert!(matches!(first.renew(&store, TTL).await, Err(LayerError::LeaseLost)));
    let mut late = Change::new();
    first.guard(&mut late);
    late.put(Key::new("x"), &note("from the former owner")).unwrap();
    assert!(commit(&store, late).await.unwrap().is_err());
    first.release(&store).await.unwrap();
    assert!(matches!(acquire(&store, "c").await, Acquired::No { owner, .. } if owner == "b"));
    second.release(&store).await.unwrap();
    held(acquire(&store, "c").await);
}

#[tokio::test]
async fn an_owner_that_starts_anew_has_its_lease_at_once_and_fences_itself() {
    let (_, store) = store();
    let before = held(acquire(&store, "a").await);
    let after = held(acquire(&store, "a").await);
    let mut change = Change::new();
    before.guard(&mut change);
    assert!(commit(&store, change).await.unwrap().is_err());
    let mut change = Change::new();
    after.guard(&mut change);
    assert!(commit(&store, change).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_shard_is_taken_from_only_under_its_lease() {
    let (clock, store) = store();
    let queue = DueQueue::open(Arc::new(store.clone()), "q", Settings { shards: 1, lease: TTL }).await.unwrap();
    queue.send(NewItem::new("a", "x", clock.now())).await.unwrap();
    let former = held(acquire(&store, "a").await);
    clock.advance(TTL);
    let lease = held(acquire(&store, "b").await);
    let late = queue.owner(0).fenced_by(&former).take(1).await;
    assert!(matches!(late, Err(LayerError::LeaseLost)), "{late:?}");
    assert_eq!(queue.owner(0).fenced_by(&lease).take(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_outbox_gives_events_in_order_until_they_are_consumed() {
    let (clock, store) = store();
    let outbox = Outbox::<Note>::new(Arc::new(store.clone()), "out");
    let mut hints = outbox.hints();
    for id in ["1", "2", "3"] {
        let mut change = Change::new();
        change.create(Key::new("thing").text(id), &note("changed")).unwrap();
        outbox.announce(&mut change, clock.now(), id, &note(id)).unwrap();
        commit(&store, change).await.unwrap().unwrap();
        clock.advance(Duration::from_millis(1));
    }
    assert!(hints.has_changed().unwrap());
    Outbox::<Note>::wait(&mut hints).await;
    let waiting = outbox.waiting(2).await.unwrap();
    assert_eq!(waiting.iter().map(|each| each.event.value.text.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    // Consumed once, together with what it caused.
    for expected in [true, false] {
        let mut change = Change::new();
        outbox.consume(&mut change, &waiting[0]);
        change.add(Key::new("caused"), 1);
        assert_eq!(commit(&store, change).await.unwrap().is_ok(), expected);
    }
    outbox.consumed(waiting.into_iter().map(|each| each.key)).await.unwrap();
    let left = outbox.waiting(10).await.unwrap();
    assert_eq!((left.len(), left[0].event.value.text.as_str()), (1, "3"));
}

#[tokio::test]
async fn a_counter_is_the_sum_over_nodes() {
    let (_, store) = store();
    for (node, by) in [("n1", 5), ("n2", -2), ("n1", 1)] {
        let mut change = Change::new();
        Counter::new("calls", node).add(&mut change, "f", by);
        commit(&store, change).await.unwrap().unwrap();
    }
    let counter = Counter::new("calls", "n3");
    assert_eq!((counter.sum(&store, "f").await.unwrap(), counter.sum(&store, "g").await.unwrap()), (4, 0));
}

#[tokio::test]
async fn keys_go_when_their_time_has_come_and_not_before() {
    let (clock, store) = store();
    let expiry = Expiry::new("exp");
    let now = clock.now();
    for (name, secs) in [("a", 1), ("b", 2), ("moved", 1), ("kept", 1)] {
        let key = Key::new("thing").text(name).bytes();
        let mut change = Change::new();
        change.put(key.clone(), &note(name)).unwrap();
        expiry.set(&mut change, &key, now + Duration::from_secs(secs)).unwrap();
        commit(&store, change).await.unwrap().unwrap();
    }
    let mut change = Change::new();
    expiry.set(&mut change, &Key::new("thing").text("moved").bytes(), now + Duration::from_secs(60)).unwrap();
    expiry.clear(&mut change, &Key::new("thing").text("kept").bytes());
    commit(&store, change).await.unwrap().unwrap();
    assert_eq!(expiry.sweep(&store).await.unwrap().removed, 0);
    clock.advance(Duration::from_secs(1));
    let swept = expiry.sweep(&store).await.unwrap();
    assert_eq!((swept.removed, swept.more), (1, false));
    let left = async || {
        let things = scan::<Note>(&store, Key::new("thing").children(), 100).await.unwrap();
        things.into_iter().map(|(_, thing)| thing.value.text).collect::<Vec<_>>()
    };
    assert_eq!(left().await, ["b", "kept", "moved"]);
    clock.advance(Duration::from_secs(59));
    assert_eq!(expiry.sweep(&store).await.unwrap().removed, 2);
    assert_eq!(left().await, ["kept"]);
    assert_eq!(store.dump().len(), 1, "nothing of the expiry itself is left");
}

#[tokio::test]
async fn many_keys_are_swept_in_steps() {
    let (clock, store) = store();
    let expiry = Expiry::new("exp");
    for number in 0..400_u64 {
        let mut change = Change::new();
        let key = Key::new("thing").u64(number).bytes();
        change.put(key.clone(), &note("x")).unwrap();
        expiry.set(&mut change, &key, clock.now()).unwrap();
        commit(&store, change).await.unwrap().unwrap();
    }
    let mut removed = 0;
    loop {
        let swept = expiry.sweep(&store).await.unwrap();
        removed += swept.removed;
        if !swept.more {
            break;
        }
    }
    assert_eq!((removed, store.dump().len()), (400, 0));
}

async fn append(store: &dyn Store, attempts: &AtomicU32) -> Result<u32, LayerError> {
    transact(store, Reads::new().get(Key::new("n")), |answers| {
        attempts.fetch_add(1, Ordering::SeqCst);
        let mut change = Change::new();
        let next = match answers.one::<u32>()? {
            Some(mut stored) => {
                stored.value += 1;
                change.update(Key::new("n"), &stored)?;
                stored.value
            }
            None => {
                change.create(Key::new("n"), &1)?;
                1
            }
        };
        Ok(Decision::Commit(change, next))
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_transaction_survives_conflicts_and_lost_answers() {
    let store = MemoryStore::with_clock(Arc::new(TokioClock::start()));
    let attempts = AtomicU32::new(0);
    store.fail_commit(1, Fault::Conflict);
    store.fail_commit(2, Fault::UnavailableAfter);
    store.fail_commit(4, Fault::UnavailableBefore);
    assert_eq!(append(&store, &attempts).await.unwrap(), 1);
    assert_eq!(append(&store, &attempts).await.unwrap(), 2);
    assert_eq!(attempts.load(Ordering::SeqCst), 3, "only the conflict was decided anew");
    assert_eq!(get::<u32>(&store, Key::new("n")).await.unwrap().unwrap().value, 2);
    store.fail_by(|_, _| Some(Fault::Conflict));
    assert!(matches!(append(&store, &attempts).await, Err(LayerError::Contended { .. })));
    store.fail_by(|_, _| Some(Fault::UnavailableBefore));
    assert!(matches!(append(&store, &attempts).await, Err(LayerError::Store(_))));
    store.heal();
    assert_eq!(append(&store, &attempts).await.unwrap(), 3);
}
