//! The due-queue, by what it promises.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_layers::due_queue::{DeadCursor, DueQueue, NewItem, Retry, Sent, Settings, ShardOwner, Taken};
use dormouse_layers::{Change, LayerError};
use dormouse_model::Clock;
use dormouse_testkit::{Fault, MemoryStore, SimClock};
use serde_json::json;

const LEASE: Duration = Duration::from_secs(60);

struct Bench {
    clock: SimClock,
    store: MemoryStore,
    queue: DueQueue,
}

async fn bench(shards: u32) -> Bench {
    let clock = SimClock::default();
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    let queue = DueQueue::open(Arc::new(store.clone()), "q", Settings { shards, lease: LEASE }).await.unwrap();
    Bench { clock, store, queue }
}

impl Bench {
    async fn send(&self, id: &str) {
        let sent = self.queue.send(NewItem::new(id, format!("body of {id}"), self.clock.now())).await.unwrap();
        assert_eq!(sent, Sent::New);
    }

    async fn finish(&self, item: &Taken) -> Result<(), LayerError> {
        let mut change = Change::new();
        self.queue.finish(&mut change, item);
        self.queue.settle(change).await
    }
}

async fn ids(owner: &mut ShardOwner, max: usize) -> Vec<String> {
    owner.take(max).await.unwrap().into_iter().map(|item| item.id).collect()
}

#[tokio::test]
async fn items_come_in_the_order_in_which_they_are_due_and_leave_nothing_behind() {
    let bench = bench(1).await;
    let now = bench.clock.now();
    for (id, secs) in [("late", 30), ("second", 2), ("first", 1)] {
        bench.queue.send(NewItem::new(id, id, now).due(now + Duration::from_secs(secs))).await.unwrap();
    }
    let mut owner = bench.queue.owner(0);
    assert!(ids(&mut owner, 10).await.is_empty());
    bench.clock.advance(Duration::from_secs(2));
    let taken = owner.take(10).await.unwrap();
    assert_eq!(taken.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!((taken[0].attempt(), &taken[0].body), (1, &Bytes::from_static(b"first")));
    assert_eq!(bench.queue.depth().await.unwrap().items, 3);
    bench.clock.advance(Duration::from_secs(28));
    let last = owner.take(10).await.unwrap();
    for item in taken.iter().chain(&last) {
        bench.finish(item).await.unwrap();
    }
    let depth = bench.queue.depth().await.unwrap();
    assert_eq!((depth.items, depth.dead, depth.oldest_due), (0, 0, None));
    // The number of shards and the counter are all that stays.
    assert_eq!(bench.store.dump().len(), 2);
}

#[tokio::test]
async fn a_lease_that_ran_out_gives_the_item_to_another_and_fences_the_former() {
    let bench = bench(1).await;
    bench.send("a").await;
    let mut owner = bench.queue.owner(0);
    let slow = owner.take(1).await.unwrap().remove(0);
    assert!(ids(&mut owner, 1).await.is_empty());
    bench.clock.advance(LEASE);
    // As after kill -9: nobody remembers the first, but its attempt was counted.
    let second = bench.queue.owner(0).take(1).await.unwrap().remove(0);
    assert_eq!(second.attempt(), 2);
    assert!(matches!(bench.finish(&slow).await, Err(LayerError::LeaseLost)));
    let mut change = Change::new();
    bench.queue.bury(&mut change, &slow, "no", bench.clock.now()).unwrap();
    assert!(matches!(bench.queue.settle(change).await, Err(LayerError::LeaseLost)));
    bench.finish(&second).await.unwrap();
    assert!(matches!(bench.finish(&second).await, Err(LayerError::LeaseLost)));
}

#[tokio::test]
async fn a_renewed_lease_holds() {
    let bench = bench(1).await;
    bench.send("a").await;
    let mut owner = bench.queue.owner(0);
    let mut item = owner.take(1).await.unwrap().remove(0);
    for _ in 0..3 {
        bench.clock.advance(LEASE / 2);
        bench.queue.renew(&mut item, LEASE).await.unwrap();
        assert!(ids(&mut owner, 1).await.is_empty());
    }
    bench.finish(&item).await.unwrap();
}

#[tokio::test]
async fn a_retry_comes_later_with_its_note_and_counts_unless_told_not_to() {
    let bench = bench(1).await;
    bench.send("a").await;
    let mut owner = bench.queue.owner(0);
    for (round, counted, attempt) in [(0, true, 1), (1, false, 2), (2, true, 2), (3, true, 3)] {
        let item = owner.take(1).await.unwrap().remove(0);
        assert_eq!(item.attempt(), attempt, "round {round}");
        let retry = Retry::at(bench.clock.now() + Duration::from_secs(10)).state(json!({ "round": round }));
        let retry = if counted { retry } else { retry.uncounted() };
        let mut change = Change::new();
        bench.queue.retry(&mut change, &item, retry).unwrap();
        bench.queue.settle(change).await.unwrap();
        bench.clock.advance(Duration::from_millis(9_999));
        assert!(ids(&mut owner, 1).await.is_empty());
        bench.clock.advance(Duration::from_millis(1));
    }
    let item = owner.take(1).await.unwrap().remove(0);
    assert_eq!((item.entry.state, item.body), (json!({ "round": 3 }), Bytes::from_static(b"body of a")));
}

#[tokio::test]
async fn dead_letters_keep_everything_until_redriven_or_discarded() {
    let bench = bench(2).await;
    for id in ["a", "b", "c"] {
        bench.send(id).await;
        bench.clock.advance(Duration::from_secs(1));
        for shard in bench.queue.shards() {
            for item in bench.queue.owner(shard).take(10).await.unwrap() {
                let mut change = Change::new();
                bench.queue.bury(&mut change, &item, format!("{id} failed"), bench.clock.now()).unwrap();
                bench.queue.settle(change).await.unwrap();
            }
        }
    }
    let depth = bench.queue.depth().await.unwrap();
    assert_eq!((depth.items, depth.dead), (0, 3));
    let (page, next) = bench.queue.dead_letters(None, 2).await.unwrap();
    assert_eq!(page.iter().map(|letter| letter.reason.as_str()).collect::<Vec<_>>(), ["a failed", "b failed"]);
    let next = DeadCursor::from_text(&next.unwrap().to_text()).unwrap();
    let (page, end) = bench.queue.dead_letters(Some(&next), 2).await.unwrap();
    assert_eq!((page.len(), page[0].id.as_str(), page[0].entry.attempts, end), (1, "c", 1, None));

    let (letter, body) = bench.queue.dead_letter("b").await.unwrap().unwrap();
    assert_eq!((letter.id.as_str(), &body[..]), ("b", &b"body of b"[..]));
    assert!(bench.queue.redrive("b").await.unwrap());
    assert!(!bench.queue.redrive("b").await.unwrap());
    assert!(bench.queue.discard("a").await.unwrap());
    assert!(!bench.queue.discard("a").await.unwrap());
    assert_eq!(bench.queue.dead_letter("a").await.unwrap(), None);
    let depth = bench.queue.depth().await.unwrap();
    assert_eq!((depth.items, depth.dead), (1, 1));
    let mut taken = Vec::new();
    for shard in bench.queue.shards() {
        taken.extend(bench.queue.owner(shard).take(10).await.unwrap());
    }
    assert_eq!((taken.len(), taken[0].id.as_str(), taken[0].attempt()), (1, "b", 1));
    bench.finish(&taken[0]).await.unwrap();
}

#[tokio::test]
async fn an_id_is_stored_once() {
    let bench = bench(1).await;
    bench.send("a").await;
    let again = NewItem::new("a", "other", bench.clock.now());
    assert_eq!(bench.queue.send(again).await.unwrap(), Sent::Known);
    assert_eq!(bench.queue.depth().await.unwrap().items, 1);
    // An answer that is lost is asked for again, and the item is new, not known.
    bench.store.fail_commit(1, Fault::UnavailableAfter);
    bench.send("b").await;
}

#[tokio::test]
async fn bodies_of_any_length_come_back() {
    let bench = bench(1).await;
    let mut owner = bench.queue.owner(0);
    for bytes in [0, 1, 512 * 1024, 1024 * 1024, 3 * 1024 * 1024] {
        let body = Bytes::from(vec![7; bytes]);
        bench.queue.send(NewItem::new("x", body.clone(), bench.clock.now())).await.unwrap();
        let item = owner.take(1).await.unwrap().remove(0);
        assert!(item.body == body);
        bench.finish(&item).await.unwrap();
    }
    let long = NewItem::new("x", vec![0; 3 * 1024 * 1024 + 1], bench.clock.now());
    assert!(matches!(bench.queue.send(long).await, Err(LayerError::Limit(_))));
}

#[tokio::test]
async fn an_item_that_is_committed_long_after_its_due_time_is_found() {
    let bench = bench(1).await;
    let mut owner = bench.queue.owner(0);
    bench.send("a").await;
    let first = owner.take(10).await.unwrap().remove(0);
    bench.finish(&first).await.unwrap();
    let early = bench.clock.now();
    bench.clock.advance(Duration::from_secs(20));
    assert!(ids(&mut owner, 10).await.is_empty());
    bench.queue.send(NewItem::new("stale", "x", early)).await.unwrap();
    // Below the low-water mark now, found when the owner looks from the start again.
    bench.clock.advance(Duration::from_secs(15));
    assert_eq!(ids(&mut owner, 10).await, ["stale"]);
}

#[tokio::test(start_paused = true)]
async fn an_owner_wakes_when_something_comes_or_is_due() {
    let clock = dormouse_testkit::TokioClock::start();
    let store = Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
    let queue = DueQueue::open(store, "q", Settings { shards: 1, lease: LEASE }).await.unwrap();
    let mut owner = queue.owner(0);
    let due = clock.now() + Duration::from_millis(300);
    queue.send(NewItem::new("a", "x", clock.now()).due(due)).await.unwrap();
    assert!(owner.take(1).await.unwrap().is_empty());
    owner.wait().await;
    assert_eq!(clock.now(), due);
    let item = owner.take(1).await.unwrap().remove(0);
    let sender = queue.clone();
    let before = clock.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        sender.send(NewItem::new("b", "x", before.now())).await.unwrap();
    });
    // Its own commit is a hint too; the next one is the sender's.
    assert!(owner.take(1).await.unwrap().is_empty());
    owner.wait().await;
    assert_eq!(clock.now(), due + Duration::from_millis(50));
    assert_eq!(owner.take(1).await.unwrap()[0].id, "b");
    drop(item);
}

#[tokio::test]
async fn shards_grow_and_never_shrink() {
    let bench = bench(3).await;
    let open = |shards| DueQueue::open(Arc::new(bench.store.clone()), "q", Settings { shards, lease: LEASE });
    assert_eq!(open(1).await.unwrap().shards(), 0..3);
    assert_eq!(open(5).await.unwrap().shards(), 0..5);
}
