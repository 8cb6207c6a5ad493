//! Read, decide purely, commit; again when somebody else was faster.

use std::time::Duration;

use bytes::Bytes;
use dormouse_model::Timestamp;
use dormouse_store::{Batch, CommitId, CommitOutcome, Lane, Store, StoreError, StoreResult, Version};

use crate::{Answers, Change, LayerError, Reads};

/// How often [`transact`] reads and decides before it gives up.
pub const CONFLICT_ATTEMPTS: u32 = 64;
/// How often a commit is repeated under its id when its answer was lost, before the loss is the answer.
const LOST_ANSWER_ATTEMPTS: u32 = 5;
/// The first pause before such a repetition; doubles each time.
const LOST_ANSWER_PAUSE: Duration = Duration::from_millis(20);
/// Conflicts after which there is a pause before the next attempt.
const EAGER_ATTEMPTS: u32 = 3;

/// What was decided on what was read.
#[derive(Debug)]
pub enum Decision<T> {
    /// Commit this and answer that.
    Commit(Change, T),
    /// Change nothing and answer that.
    Leave(T),
}

/// Reads, decides, commits, in the foreground lane. When what was decided on has changed in between, it starts over, so
/// `decide` may run several times and must do nothing but decide. A key that the decision rests on must be expected by
/// its change.
///
/// # Errors
/// Those of `decide`, as they are; those of the store; [`LayerError::Contended`] after [`CONFLICT_ATTEMPTS`].
pub async fn transact<T, E, F>(store: &dyn Store, reads: Reads, decide: F) -> Result<T, E>
where
    F: FnMut(&mut Answers) -> Result<Decision<T>, E> + Send,
    T: Send,
    E: From<LayerError> + Send,
{
    transact_in(store, Lane::Foreground, reads, decide).await
}

/// [`transact`] in a lane of choice.
pub async fn transact_in<T, E, F>(store: &dyn Store, lane: Lane, reads: Reads, mut decide: F) -> Result<T, E>
where
    F: FnMut(&mut Answers) -> Result<Decision<T>, E> + Send,
    T: Send,
    E: From<LayerError> + Send,
{
    let reads = reads.into_reads();
    for attempt in 1..=CONFLICT_ATTEMPTS {
        let snapshot = store.read(reads.clone()).await.map_err(LayerError::from)?;
        let decision = decide(&mut Answers::new(snapshot))?;
        let (change, answer) = match decision {
            Decision::Leave(answer) => return Ok(answer),
            Decision::Commit(change, answer) => (change, answer),
        };
        match commit_once(store, lane, change.into_batch()).await.map_err(LayerError::from)? {
            CommitOutcome::Committed { .. } => return Ok(answer),
            CommitOutcome::Conflict { .. } if attempt > EAGER_ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(u64::from(attempt))).await;
            }
            CommitOutcome::Conflict { .. } => {}
        }
    }
    Err(LayerError::Contended { attempts: CONFLICT_ATTEMPTS }.into())
}

/// Commits a change under a new id, repeating it under that id while its answer is lost.
///
/// # Errors
/// Those of the store; `Unavailable` when it is not known whether the change was made.
pub async fn commit(store: &dyn Store, change: Change) -> Result<Result<Committed, Conflict>, LayerError> {
    Ok(match commit_once(store, Lane::Foreground, change.into_batch()).await? {
        CommitOutcome::Committed { version, time } => Ok(Committed { version, time }),
        CommitOutcome::Conflict { keys } => Err(Conflict { keys }),
    })
}

/// A change that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The version that every key that was put or added to now has.
    pub version: Version,
    /// The store's clock at the commit.
    pub time: Timestamp,
}

/// A change that was not made, because these keys were not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// In the order in which they were expected.
    pub keys: Vec<Bytes>,
}

pub(crate) async fn commit_once(store: &dyn Store, lane: Lane, batch: Batch) -> StoreResult<CommitOutcome> {
    let id = CommitId::random();
    let mut pause = LOST_ANSWER_PAUSE;
    for _ in 1..LOST_ANSWER_ATTEMPTS {
        match store.commit_in(lane, id, batch.clone()).await {
            Err(StoreError::Unavailable(why)) => tracing::debug!(why, "a commit's answer was lost, repeating it"),
            answer => return answer,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    store.commit_in(lane, id, batch).await
}
