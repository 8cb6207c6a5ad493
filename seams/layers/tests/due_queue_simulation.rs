//! Seeded simulation of the due-queue: senders, workers, crashes, a clock that jumps, and a store that fails.
//!
//! Nothing that was accepted is lost, nothing that was finished comes back, nobody settles what another has taken since.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dormouse_layers::due_queue::{DueQueue, NewItem, Retry, Settings, ShardOwner, Taken};
use dormouse_layers::{Change, LayerError};
use dormouse_model::Clock;
use dormouse_testkit::{Fault, MemoryStore, Rng, SimClock, seed};

const LEASE: Duration = Duration::from_secs(30);
const SHARDS: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Finished,
    Buried,
    /// The answer was lost for good: either may be.
    Unknown,
}

struct World {
    rng: Rng,
    clock: SimClock,
    store: MemoryStore,
    queue: DueQueue,
    owners: Vec<ShardOwner>,
    held: Vec<Taken>,
    accepted: BTreeSet<String>,
    ended: BTreeMap<String, End>,
    sent: u32,
    faulty: bool,
}

impl World {
    async fn new(seed: u64) -> Self {
        let clock = SimClock::default();
        let store = MemoryStore::with_clock(Arc::new(clock.clone()));
        let queue =
            DueQueue::open(Arc::new(store.clone()), "q", Settings { shards: SHARDS, lease: LEASE }).await.unwrap();
        let owners = queue.shards().map(|shard| queue.owner(shard)).collect();
        let (held, accepted, ended) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        Self { rng: Rng::new(seed), clock, store, queue, owners, held, accepted, ended, sent: 0, faulty: false }
    }

    async fn step(&mut self) {
        match self.rng.below(20) {
            0..5 => self.send().await,
            5..10 => self.take().await,
            10..16 => self.settle().await,
            16 => self.renew().await,
            17 => self.clock.advance(Duration::from_millis(self.rng.below(2_000))),
            18 if self.rng.one_in(4) => self.clock.advance(Duration::from_secs(self.rng.below(40))),
            19 if self.rng.one_in(6) => self.crash(),
            _ => self.toggle_faults(),
        }
    }

    fn toggle_faults(&mut self) {
        self.faulty = !self.faulty;
        match self.faulty {
            false => self.store.heal(),
            true => {
                let mut rng = self.rng.fork();
                self.store.fail_by(move |_, _| match rng.below(8) {
                    0 => Some(Fault::UnavailableBefore),
                    1 => Some(Fault::UnavailableAfter),
                    2 => Some(Fault::Full),
                    // Not Conflict: nobody else changes an entry here, so it would be a lie that the queue may believe.
                    _ => None,
                });
            }
        }
    }

    /// kill -9: what was held is held no more, and new owners begin from the store.
    fn crash(&mut self) {
        self.held.clear();
        self.owners = self.queue.shards().map(|shard| self.queue.owner(shard)).collect();
    }

    async fn send(&mut self) {
        self.sent += 1;
        let id = format!("item-{}", self.sent);
        let now = self.clock.now();
        let due = match self.rng.below(4) {
            0 => now + Duration::from_secs(self.rng.below(60)),
            1 => now - Duration::from_secs(self.rng.below(60)),
            _ => now,
        };
        if self.queue.send(NewItem::new(&id, id.clone(), now).due(due)).await.is_ok() {
            self.accepted.insert(id);
        }
    }

    async fn take(&mut self) {
        let shard = self.rng.index(self.owners.len());
        let max = 1 + self.rng.index(5);
        let Ok(taken) = self.owners[shard].take(max).await else { return };
        for item in taken {
            let end = self.ended.get(&item.id);
            assert!(end.is_none_or(|end| *end == End::Unknown), "{} came back after {end:?}", item.id);
            assert_eq!(item.body, item.id, "a body belongs to its id");
            self.held.push(item);
        }
    }

    async fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let index = self.rng.index(self.held.len());
        let item = self.held.swap_remove(index);
        let overtaken = self.held.iter().any(|other| other.id == item.id && other.attempt() > item.attempt());
        let mut change = Change::new();
        let end = match self.rng.below(6) {
            0 => {
                let due = self.clock.now() + Duration::from_secs(self.rng.below(30));
                self.queue.retry(&mut change, &item, Retry::at(due)).unwrap();
                None
            }
            1 => {
                self.queue.bury(&mut change, &item, "unlucky", self.clock.now()).unwrap();
                Some(End::Buried)
            }
            _ => {
                self.queue.finish(&mut change, &item);
                Some(End::Finished)
            }
        };
        match self.queue.settle(change).await {
            Ok(()) => {
                assert!(!overtaken, "{} was settled by who had lost it", item.id);
                let before = end.and_then(|end| self.ended.insert(item.id.clone(), end));
                assert!(before.is_none_or(|end| end == End::Unknown), "{} ended twice", item.id);
            }
            Err(LayerError::LeaseLost) => {}
            Err(LayerError::Store(_)) => {
                if end.is_some() {
                    self.ended.entry(item.id).or_insert(End::Unknown);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn renew(&mut self) {
        if let Some(item) = self.held.last_mut() {
            let _ = self.queue.renew(item, LEASE).await;
        }
    }

    /// With a healthy store everything that is left is taken and finished; then nothing may be missing.
    async fn drain(mut self) {
        self.store.heal();
        self.crash();
        for _ in 0..20 {
            self.clock.advance(LEASE);
            for shard in 0..self.owners.len() {
                while let Some(items) =
                    Some(self.owners[shard].take(50).await.unwrap()).filter(|items| !items.is_empty())
                {
                    for item in items {
                        let end = self.ended.get(&item.id);
                        assert!(end.is_none_or(|end| *end == End::Unknown), "{} came back after {end:?}", item.id);
                        let mut change = Change::new();
                        self.queue.finish(&mut change, &item);
                        self.queue.settle(change).await.unwrap();
                        self.ended.insert(item.id, End::Finished);
                    }
                }
            }
        }
        let (letters, _) = self.queue.dead_letters(None, 1_000).await.unwrap();
        let dead: BTreeSet<&str> = letters.iter().map(|letter| letter.id.as_str()).collect();
        for id in &self.accepted {
            match self.ended.get(id) {
                Some(End::Finished) => assert!(!dead.contains(id.as_str()), "{id} is finished and dead"),
                Some(End::Buried) => assert!(dead.contains(id.as_str()), "{id} was buried and is not there"),
                Some(End::Unknown) => {}
                None => panic!("{id} was accepted and is lost"),
            }
        }
        let depth = self.queue.depth().await.unwrap();
        assert_eq!((depth.items, depth.dead), (0, letters.len() as u64), "the counters agree");
        let bodies = self.store.dump().iter().filter(|item| item.key.starts_with(b"q\0\x01body\0\x01")).count();
        assert_eq!(bodies, letters.len(), "no body outlives its item");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_accepted_is_lost_and_nothing_finished_comes_back() {
    let first = seed("due_queue_simulation");
    let runs = std::env::var("DORMOUSE_SOAK_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(3_000);
    for run in 0..runs {
        let seed = first.wrapping_add(run);
        println!("run {run}: DORMOUSE_TEST_SEED={seed} DORMOUSE_SOAK_RUNS=1");
        let mut world = World::new(seed).await;
        for _ in 0..400 {
            world.step().await;
        }
        world.drain().await;
    }
}
