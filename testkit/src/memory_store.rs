//! The store seam in memory: for tests of what is built on it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_model::{Clock, SystemClock, Timestamp};
use dormouse_store::{
    Batch, COMMIT_ID_REMEMBERED, CommitId, CommitOutcome, Expected, Found, Hints, Item, Lane, RANGE_ITEMS, Read,
    Snapshot, Store, StoreError, StoreResult, Version, Watchers, check,
};

/// What goes wrong with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Somebody else was faster: all expectations fail, nothing is changed. Waits for a batch that expects something.
    Conflict,
    /// The store could not be reached; nothing was changed.
    UnavailableBefore,
    /// The commit happened, its answer was lost.
    UnavailableAfter,
    /// The disk is full.
    Full,
}

type Plan = Box<dyn FnMut(u64, &Batch) -> Option<Fault> + Send>;

/// A correct store without a disk, and with faults on demand. Clones are the same store, so that a test can keep one for
/// its injections.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    watchers: Watchers,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    items: BTreeMap<Bytes, (Bytes, Version)>,
    version: u64,
    time: Timestamp,
    remembered: HashMap<CommitId, (Version, Timestamp)>,
    commits: u64,
    faults: BTreeMap<u64, Fault>,
    plan: Option<Plan>,
    away: bool,
    reads: u64,
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store on this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { clock, watchers: Watchers::default(), state: Mutex::default() }) }
    }

    /// Lets the `nth` commit from now on, 1 being the next, go wrong.
    pub fn fail_commit(&self, nth: u64, fault: Fault) {
        let mut state = self.lock();
        let at = state.commits + nth;
        state.faults.insert(at, fault);
    }

    /// Asks `plan` before each commit, by its number and batch, whether it goes wrong.
    pub fn fail_by(&self, plan: impl FnMut(u64, &Batch) -> Option<Fault> + Send + 'static) {
        self.lock().plan = Some(Box::new(plan));
    }

    /// No more faults.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.plan = None;
        state.away = false;
    }

    /// While away, every call answers `Unavailable` and changes nothing.
    pub fn set_away(&self, away: bool) {
        self.lock().away = away;
    }

    /// How many commits were asked for, also those that failed.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// How many reads were asked for: what a warm path is judged by.
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// Everything in it, in order.
    pub fn dump(&self) -> Vec<Item> {
        self.lock().items.iter().map(|(key, found)| item(key, found, false)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self, state: &mut State) -> Timestamp {
        state.time = state.time.max(self.shared.clock.now());
        state.time
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn fault_for(&mut self, batch: &Batch) -> Option<Fault> {
        self.commits += 1;
        let number = self.commits;
        let planned = self.plan.as_mut().and_then(|plan| plan(number, batch));
        let fault = self.faults.remove(&number).or(planned)?;
        if fault == Fault::Conflict && batch.expect.is_empty() {
            self.faults.insert(number + 1, fault);
            return None;
        }
        Some(fault)
    }

    fn broken_expectations(&self, batch: &Batch) -> Vec<Bytes> {
        let holds = |key: &Bytes, expected: &Expected| match (self.items.get(key), expected) {
            (Some((_, version)), Expected::Version(expected)) => version == expected,
            (None, Expected::Absent) => true,
            _ => false,
        };
        batch.expect.iter().filter(|(key, expected)| !holds(key, expected)).map(|(key, _)| key.clone()).collect()
    }

    fn apply(&mut self, batch: Batch) -> Version {
        self.version += 1;
        let version = Version(self.version);
        for (key, by) in batch.add {
            let old = self.items.get(&key).map_or(0, |(value, _)| number(value));
            let new = Bytes::copy_from_slice(&old.saturating_add(by).to_be_bytes());
            self.items.insert(key, (new, version));
        }
        for (key, value) in batch.put {
            self.items.insert(key, (value, version));
        }
        for key in batch.delete {
            self.items.remove(&key);
        }
        version
    }

    fn range(&self, from: &Bytes, to: &Bytes) -> impl DoubleEndedIterator<Item = (&Bytes, &(Bytes, Version))> {
        self.items.range::<Bytes, _>((Bound::Included(from), Bound::Excluded(to.max(from))))
    }

    fn find(&self, read: &Read) -> Found {
        match read {
            Read::Get(key) => Found::One(self.items.get(key).map(|found| item(key, found, false))),
            Read::Range { from, to, .. } if from >= to => Found::Many(Vec::new()),
            Read::Range { from, to, limit, reverse, keys_only } => {
                let limit = (*limit).min(RANGE_ITEMS);
                let show = |(key, found): (&Bytes, &(Bytes, Version))| item(key, found, *keys_only);
                Found::Many(match reverse {
                    false => self.range(from, to).take(limit).map(show).collect(),
                    true => self.range(from, to).rev().take(limit).map(show).collect(),
                })
            }
        }
    }
}

fn item(key: &Bytes, (value, version): &(Bytes, Version), keys_only: bool) -> Item {
    let value = if keys_only { Bytes::new() } else { value.clone() };
    Item { key: key.clone(), value, version: *version }
}

fn number(value: &[u8]) -> i64 {
    value.try_into().map_or(0, i64::from_be_bytes)
}

fn unavailable<T>(why: &str) -> StoreResult<T> {
    Err(StoreError::Unavailable(why.to_owned()))
}

#[async_trait]
impl Store for MemoryStore {
    async fn read(&self, reads: Vec<Read>) -> StoreResult<Snapshot> {
        check::check_reads(&reads)?;
        let mut state = self.lock();
        state.reads += 1;
        if state.away {
            return unavailable("injected: the store is away");
        }
        let time = self.now(&mut state);
        Ok(Snapshot { found: reads.iter().map(|read| state.find(read)).collect(), time })
    }

    async fn commit_in(&self, _lane: Lane, id: CommitId, batch: Batch) -> StoreResult<CommitOutcome> {
        check::check_batch(&batch)?;
        let mut state = self.lock();
        if state.away {
            return unavailable("injected: the store is away");
        }
        let time = self.now(&mut state);
        let fault = state.fault_for(&batch);
        match fault {
            Some(Fault::UnavailableBefore) => return unavailable("injected: before the commit"),
            Some(Fault::Full) => return Err(StoreError::Full("injected: the disk is full".to_owned())),
            _ => {}
        }
        state.remembered.retain(|_, (_, at)| time.since(*at) <= COMMIT_ID_REMEMBERED);
        if let Some(&(version, time)) = state.remembered.get(&id) {
            return Ok(CommitOutcome::Committed { version, time });
        }
        if fault == Some(Fault::Conflict) {
            return Ok(CommitOutcome::Conflict { keys: batch.expect.into_iter().map(|(key, _)| key).collect() });
        }
        let keys = state.broken_expectations(&batch);
        if !keys.is_empty() {
            return Ok(CommitOutcome::Conflict { keys });
        }
        let touched: Vec<Bytes> = changed_keys(&batch).cloned().collect();
        let version = state.apply(batch);
        state.remembered.insert(id, (version, time));
        drop(state);
        self.shared.watchers.touched(&touched, version);
        match fault {
            Some(Fault::UnavailableAfter) => unavailable("injected: after the commit"),
            _ => Ok(CommitOutcome::Committed { version, time }),
        }
    }

    async fn delete_range(&self, from: Bytes, to: Bytes, at_most: usize) -> StoreResult<bool> {
        check::check_range(&from, &to)?;
        let more = {
            let mut state = self.lock();
            if state.away {
                return unavailable("injected: the store is away");
            }
            let doomed: Vec<Bytes> = state.range(&from, &to).take(at_most).map(|(key, _)| key.clone()).collect();
            for key in &doomed {
                state.items.remove(key);
            }
            state.range(&from, &to).next().is_some()
        };
        self.shared.watchers.touched_range(&from, &to);
        Ok(more)
    }

    fn watch(&self, prefix: Bytes) -> Hints {
        self.shared.watchers.watch(prefix)
    }
}

fn changed_keys(batch: &Batch) -> impl Iterator<Item = &Bytes> {
    let puts = batch.put.iter().map(|(key, _)| key);
    puts.chain(batch.add.iter().map(|(key, _)| key)).chain(&batch.delete)
}
