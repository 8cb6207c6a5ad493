//! What waits for the writer: two lanes, bounded by the bytes that wait.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dormouse_store::{Batch, CommitId, CommitOutcome, Lane, StoreError, StoreResult, check};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Most bytes of batches that wait in a lane, in KiB; who comes later waits for room.
const LANE_KIB: u32 = 64 * 1024;
/// Most batches that are committed with one fsync.
const GROUP_JOBS: usize = 512;
/// Bytes of batches after which a group takes no more.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// After so many groups without a bulk job, one is taken along: slowly, but it goes on.
const BULK_PATIENCE: u32 = 16;

/// Something for the writer to do, and where its answer goes.
pub(crate) enum Job {
    Commit { id: CommitId, batch: Batch, answer: oneshot::Sender<StoreResult<CommitOutcome>> },
    DeleteRange { from: Bytes, to: Bytes, at_most: usize, answer: oneshot::Sender<StoreResult<bool>> },
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Commit { batch, .. } => check::batch_bytes(batch),
            Self::DeleteRange { .. } => 0,
        }
    }

    pub(crate) fn refuse(self, error: StoreError) {
        // Whoever asked may have gone.
        match self {
            Self::Commit { answer, .. } => drop(answer.send(Err(error))),
            Self::DeleteRange { answer, .. } => drop(answer.send(Err(error))),
        }
    }
}

struct Waiting {
    job: Job,
    _room: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Lanes {
    foreground: VecDeque<Waiting>,
    bulk: VecDeque<Waiting>,
    groups_without_bulk: u32,
    closed: bool,
}

pub(crate) struct Queue {
    lanes: Mutex<Lanes>,
    news: Condvar,
    foreground_room: Arc<Semaphore>,
    bulk_room: Arc<Semaphore>,
}

/// What the writer does next.
pub(crate) enum Next {
    Group(Vec<Job>),
    /// Nothing came for a while.
    Idle,
    Closed,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let room = || Arc::new(Semaphore::new(LANE_KIB as usize));
        Self { lanes: Mutex::default(), news: Condvar::new(), foreground_room: room(), bulk_room: room() }
    }

    /// Waits for room, then queues.
    pub(crate) async fn push(&self, lane: Lane, job: Job) -> StoreResult<()> {
        let kib = u32::try_from(job.bytes() / 1024 + 1).unwrap_or(LANE_KIB).min(LANE_KIB);
        let room = match lane {
            Lane::Foreground => &self.foreground_room,
            Lane::Bulk => &self.bulk_room,
        };
        let room = Arc::clone(room).acquire_many_owned(kib).await.map_err(|_| closed())?;
        let mut lanes = self.lock();
        if lanes.closed {
            return Err(closed());
        }
        let waiting = Waiting { job, _room: room };
        match lane {
            Lane::Foreground => lanes.foreground.push_back(waiting),
            Lane::Bulk => lanes.bulk.push_back(waiting),
        }
        drop(lanes);
        self.news.notify_one();
        Ok(())
    }

    /// Waits at most `idle` for work. What was queued before [`Queue::close`] is still done.
    pub(crate) fn next(&self, idle: Option<Duration>) -> Next {
        let mut lanes = self.lock();
        while lanes.foreground.is_empty() && lanes.bulk.is_empty() {
            if lanes.closed {
                return Next::Closed;
            }
            match idle {
                None => lanes = self.news.wait(lanes).unwrap_or_else(PoisonError::into_inner),
                Some(idle) => {
                    let (again, timeout) = self.news.wait_timeout(lanes, idle).unwrap_or_else(PoisonError::into_inner);
                    lanes = again;
                    if timeout.timed_out() && lanes.foreground.is_empty() && lanes.bulk.is_empty() && !lanes.closed {
                        return Next::Idle;
                    }
                }
            }
        }
        Next::Group(lanes.group())
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.foreground_room.close();
        self.bulk_room.close();
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    fn group(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        let mut bytes = 0;
        while jobs.len() < GROUP_JOBS && bytes < GROUP_BYTES {
            let Some(next) = self.foreground.pop_front() else { break };
            bytes += next.job.bytes();
            jobs.push(next.job);
        }
        if jobs.is_empty() || self.groups_without_bulk >= BULK_PATIENCE {
            jobs.extend(self.bulk.pop_front().map(|next| next.job));
            self.groups_without_bulk = 0;
        } else if !self.bulk.is_empty() {
            self.groups_without_bulk += 1;
        }
        jobs
    }
}

pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &'static str) -> (Job, oneshot::Receiver<StoreResult<CommitOutcome>>) {
        let (answer, received) = oneshot::channel();
        let batch = Batch { delete: vec![Bytes::from_static(name.as_bytes())], ..Batch::default() };
        (Job::Commit { id: CommitId(0), batch, answer }, received)
    }

    fn names(next: Next) -> Vec<Bytes> {
        let Next::Group(jobs) = next else { panic!("no group") };
        let name = |job: Job| match job {
            Job::Commit { mut batch, .. } => batch.delete.remove(0),
            Job::DeleteRange { .. } => panic!("not queued here"),
        };
        jobs.into_iter().map(name).collect()
    }

    #[tokio::test]
    async fn bulk_waits_for_the_foreground_but_not_for_ever() {
        let queue = Queue::new();
        queue.push(Lane::Bulk, job("bulk").0).await.unwrap();
        for _ in 0..BULK_PATIENCE {
            queue.push(Lane::Foreground, job("front").0).await.unwrap();
            queue.push(Lane::Foreground, job("front").0).await.unwrap();
            assert_eq!(names(queue.next(None)), ["front", "front"]);
        }
        queue.push(Lane::Foreground, job("front").0).await.unwrap();
        assert_eq!(names(queue.next(None)), ["front", "bulk"]);
    }

    #[tokio::test]
    async fn a_closed_queue_finishes_what_it_has() {
        let queue = Queue::new();
        queue.push(Lane::Foreground, job("last").0).await.unwrap();
        queue.close();
        assert!(queue.push(Lane::Foreground, job("late").0).await.is_err());
        assert_eq!(names(queue.next(None)), ["last"]);
        assert!(matches!(queue.next(None), Next::Closed));
    }

    #[test]
    fn an_idle_queue_says_so() {
        assert!(matches!(Queue::new().next(Some(Duration::from_millis(1))), Next::Idle));
    }
}
