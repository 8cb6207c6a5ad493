//! The one thread that writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dormouse_model::Timestamp;
use dormouse_store::{Batch, CommitId, CommitOutcome, Expected, StoreError, Version, Watchers};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::OnFatal;
use crate::error::{Meaning, meaning, store_error};
use crate::queue::{Job, Next, Queue};
use crate::remembered::Remembered;
use crate::store::StoreClock;

/// Pages in the log after which that waits for readers, so that the log does not grow for ever.
const CHECKPOINT_WAITS_PAGES: i64 = 100_000;
/// Pages, about, that one batch writes beside its bytes.
const PAGES_PER_BATCH: usize = 4;
/// After so long without work what is left in the log is carried over too.
const IDLE: Duration = Duration::from_secs(2);
/// Pages, about, that removing a range writes.
const DELETE_RANGE_PAGES: usize = 200;
/// Most keys that one call removes of a range: a bounded unit of work.
const DELETE_RANGE_KEYS: usize = 2_000;

/// What the writer shares with the store.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) watchers: Watchers,
    pub(crate) clock: StoreClock,
    pub(crate) stopped: AtomicBool,
    pub(crate) on_fatal: OnFatal,
}

pub(crate) struct Writer {
    db: Connection,
    shared: Arc<Shared>,
    remembered: Remembered,
    version: u64,
    checkpoint_pages: usize,
    unwritten_pages: usize,
}

/// What became of one job of a group, before the group is on disk.
enum Done {
    Committed { version: Version, time: Timestamp, new: bool },
    Conflict(Vec<Bytes>),
    Deleted { more: bool },
}

impl Writer {
    /// Takes over where the last process stopped: the last version and time, and the ids that it remembered.
    pub(crate) fn new(db: Connection, shared: Arc<Shared>, checkpoint_pages: usize) -> rusqlite::Result<Self> {
        let mut remembered = Remembered::default();
        let mut version = 0;
        {
            let mut commits = db.prepare("SELECT version, time, id FROM commits ORDER BY version")?;
            let mut rows = commits.query([])?;
            while let Some(row) = rows.next()? {
                version = to_u64(row.get(0)?);
                let time = Timestamp(to_u64(row.get(1)?));
                shared.clock.not_before(time);
                let id: Vec<u8> = row.get(2)?;
                if let Ok(id) = <[u8; 16]>::try_from(id) {
                    remembered.insert(CommitId(u128::from_be_bytes(id)), Version(version), time);
                }
            }
        }
        Ok(Self { db, shared, remembered, version, checkpoint_pages, unwritten_pages: 1 })
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            match shared.queue.next((self.unwritten_pages > 0).then_some(IDLE)) {
                Next::Closed => break,
                Next::Idle => self.checkpoint(),
                Next::Group(jobs) if self.stopped() => jobs.into_iter().for_each(|job| job.refuse(stopped())),
                Next::Group(jobs) => {
                    self.write(jobs);
                    if self.unwritten_pages >= self.checkpoint_pages {
                        self.checkpoint();
                    }
                }
            }
        }
        if !self.stopped() {
            self.checkpoint();
        }
    }

    fn stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst)
    }

    /// Commits a group with one fsync and answers each job.
    fn write(&mut self, jobs: Vec<Job>) {
        let time = self.shared.clock.now();
        match self.apply(&jobs, time) {
            Ok(done) => {
                for (job, done) in jobs.iter().zip(&done) {
                    self.note(job, done);
                }
                jobs.into_iter().zip(done).for_each(|(job, done)| answer(job, done));
            }
            Err(error) => self.failed(jobs, &error),
        }
    }

    fn apply(&mut self, jobs: &[Job], time: Timestamp) -> rusqlite::Result<Vec<Done>> {
        let group = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut version = self.version;
        let mut in_group: HashMap<CommitId, Version> = HashMap::new();
        let mut done = Vec::with_capacity(jobs.len());
        for job in jobs {
            done.push(match job {
                Job::Commit { id, batch, .. } => {
                    let before = in_group.get(id).map(|version| (*version, time));
                    if let Some((version, time)) = before.or_else(|| self.remembered.get(*id)) {
                        Done::Committed { version, time, new: false }
                    } else {
                        let keys = broken_expectations(&group, batch)?;
                        if keys.is_empty() {
                            version += 1;
                            apply_batch(&group, batch, version)?;
                            remember(&group, version, time, *id)?;
                            in_group.insert(*id, Version(version));
                            Done::Committed { version: Version(version), time, new: true }
                        } else {
                            Done::Conflict(keys)
                        }
                    }
                }
                Job::DeleteRange { from, to, at_most, .. } => {
                    Done::Deleted { more: delete_range(&group, from, to, *at_most)? }
                }
            });
        }
        if version == self.version && !jobs.iter().any(|job| matches!(job, Job::DeleteRange { .. })) {
            group.rollback()?;
            return Ok(done);
        }
        if let Some(last) = self.remembered.forget(time) {
            let last = to_i64(last.0);
            group.prepare_cached("DELETE FROM commits WHERE version <= ?1")?.execute([last])?;
        }
        group.commit()?;
        self.version = version;
        Ok(done)
    }

    /// Remembers and announces what is on disk now.
    fn note(&mut self, job: &Job, done: &Done) {
        match (job, done) {
            (Job::Commit { id, batch, .. }, Done::Committed { version, time, new: true }) => {
                self.remembered.insert(*id, *version, *time);
                self.unwritten_pages += PAGES_PER_BATCH + dormouse_store::check::batch_bytes(batch) / 4096;
                let puts = batch.put.iter().map(|(key, _)| key);
                let keys = puts.chain(batch.add.iter().map(|(key, _)| key)).chain(&batch.delete);
                self.shared.watchers.touched(keys, *version);
            }
            (Job::DeleteRange { from, to, .. }, _) => {
                self.unwritten_pages += DELETE_RANGE_PAGES;
                self.shared.watchers.touched_range(from, to);
            }
            _ => {}
        }
    }

    fn failed(&mut self, jobs: Vec<Job>, error: &rusqlite::Error) {
        if matches!(meaning(error), Meaning::Lost) {
            self.fatal(&format!("the store could not be written: {error}"));
        } else {
            tracing::error!(%error, batches = jobs.len(), "a group of batches was not committed");
        }
        jobs.into_iter().for_each(|job| job.refuse(store_error(error)));
    }

    /// Carries what is in the log into the database.
    fn checkpoint(&mut self) {
        self.unwritten_pages = 0;
        let run = |mode: &str| {
            let sql = format!("PRAGMA wal_checkpoint({mode})");
            self.db.query_row(&sql, [], |row| row.get::<_, i64>(1))
        };
        let carried = match run("PASSIVE") {
            Ok(pages) if pages > CHECKPOINT_WAITS_PAGES => run("TRUNCATE"),
            carried => carried,
        };
        let Err(error) = carried else { return };
        match meaning(&error) {
            Meaning::Lost => self.fatal(&format!("the store's log could not be carried over: {error}")),
            // The log holds everything; it is tried again.
            _ => tracing::warn!(%error, "the store's log could not be carried over yet"),
        }
    }

    fn fatal(&self, why: &str) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        tracing::error!("{why}");
        (self.shared.on_fatal)(why);
    }
}

pub(crate) fn stopped() -> StoreError {
    StoreError::Unavailable("the store stopped after a failed write".to_owned())
}

fn answer(job: Job, done: Done) {
    // Whoever asked may have gone; the commit stands.
    match (job, done) {
        (Job::Commit { answer, .. }, Done::Committed { version, time, .. }) => {
            drop(answer.send(Ok(CommitOutcome::Committed { version, time })));
        }
        (Job::Commit { answer, .. }, Done::Conflict(keys)) => drop(answer.send(Ok(CommitOutcome::Conflict { keys }))),
        (Job::DeleteRange { answer, .. }, Done::Deleted { more }) => drop(answer.send(Ok(more))),
        (job, _) => job.refuse(StoreError::Unavailable("the writer mixed up its answers".to_owned())),
    }
}

fn broken_expectations(group: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<Vec<Bytes>> {
    let mut broken = Vec::new();
    if batch.expect.is_empty() {
        return Ok(broken);
    }
    let mut version_of = group.prepare_cached("SELECT version FROM kv WHERE key = ?1")?;
    for (key, expected) in &batch.expect {
        let found: Option<i64> = version_of.query_row([key.as_ref()], |row| row.get(0)).optional()?;
        let holds = match (found, expected) {
            (Some(found), Expected::Version(version)) => to_u64(found) == version.0,
            (None, Expected::Absent) => true,
            _ => false,
        };
        if !holds {
            broken.push(key.clone());
        }
    }
    Ok(broken)
}

fn apply_batch(group: &Transaction<'_>, batch: &Batch, version: u64) -> rusqlite::Result<()> {
    let version = to_i64(version);
    let mut put = group.prepare_cached(
        "INSERT INTO kv (key, version, value) VALUES (?1, ?2, ?3)
         ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value",
    )?;
    for (key, value) in &batch.put {
        put.execute(params![key.as_ref(), version, value.as_ref()])?;
    }
    if !batch.add.is_empty() {
        let mut value_of = group.prepare_cached("SELECT value FROM kv WHERE key = ?1")?;
        for (key, by) in &batch.add {
            let old: Option<Vec<u8>> = value_of.query_row([key.as_ref()], |row| row.get(0)).optional()?;
            let old = old.and_then(|old| old.try_into().ok()).map_or(0, i64::from_be_bytes);
            put.execute(params![key.as_ref(), version, &old.saturating_add(*by).to_be_bytes()[..]])?;
        }
    }
    if !batch.delete.is_empty() {
        let mut delete = group.prepare_cached("DELETE FROM kv WHERE key = ?1")?;
        for key in &batch.delete {
            delete.execute([key.as_ref()])?;
        }
    }
    Ok(())
}

fn remember(group: &Transaction<'_>, version: u64, time: Timestamp, id: CommitId) -> rusqlite::Result<()> {
    let mut insert = group.prepare_cached("INSERT INTO commits (version, time, id) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![to_i64(version), to_i64(time.0), &id.0.to_be_bytes()[..]])?;
    Ok(())
}

fn delete_range(group: &Transaction<'_>, from: &[u8], to: &[u8], at_most: usize) -> rusqlite::Result<bool> {
    let at_most = i64::try_from(at_most.min(DELETE_RANGE_KEYS)).unwrap_or(i64::MAX);
    group
        .prepare_cached(
            "DELETE FROM kv WHERE key IN (SELECT key FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3)",
        )?
        .execute(params![from, to, at_most])?;
    group
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM kv WHERE key >= ?1 AND key < ?2)")?
        .query_row([from, to], |row| row.get(0))
}

/// SQLite has signed integers only; no version or time comes near the end of them.
pub(crate) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
