//! Accepted asynchronous events, beside the store seam in process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use dormouse_store::{Batch, CommitId, CommitOutcome, Store};
use dormouse_store_sqlite::{Settings, SqliteStore};

use crate::api::{self, File, Function};
use crate::load;
use crate::measure::{Better, ROUNDS, Rounds, Row};
use crate::platform::Platform;

const SENDERS: usize = 64;
const ROUND: Duration = Duration::from_secs(3);

/// `async`: events accepted each second by 64 senders, beside batches of the store with 64 writers.
pub(crate) async fn accepted(dormouse: &Path) -> Result<Vec<Row>> {
    let platform = Platform::start(dormouse, &[("DORMOUSE_LOG__LEVEL", "warn")])?;
    let role = api::role(&platform).await?;
    let files = [File::text("index.py", "def handler(event, context):\n    return 1\n")];
    let function =
        Function { name: "taker", runtime: "python3.11", handler: "index.handler", memory_mb: 128, files: &files };
    api::create(&platform, &role, &function).await?;
    let seam = tempfile::Builder::new().prefix("dormouse-bench-").tempdir_in(platform.home())?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(seam.path(), Settings::default())?);
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        rounds.reference.push(batches_per_second(&store).await?);
        let path = "/2015-03-31/functions/taker/invocations";
        let kind = [("x-amz-invocation-type", "Event")];
        let request = api::request_with(&platform, "lambda", "POST", path, b"{\"n\": 1}", &kind)?;
        rounds.ours.push(load::run(platform.address, &request, SENDERS, ROUND, 202).await?.per_second);
    }
    Ok(vec![Row::ratio(
        "async",
        "events accepted, 64 senders; store batches, 64 writers",
        "/s",
        Better::Higher,
        0.5,
        &rounds,
    )])
}

async fn batches_per_second(store: &Arc<dyn Store>) -> Result<f64> {
    let start = Instant::now();
    let until = start + ROUND;
    let writers: Vec<_> = (0..SENDERS)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = 0_u64;
                while Instant::now() < until {
                    let id = uuid::Uuid::new_v4();
                    let key = Bytes::copy_from_slice(id.as_bytes());
                    let batch = Batch { put: vec![(key, Bytes::from_static(&[7; 256]))], ..Batch::default() };
                    match store.commit(CommitId(id.as_u128()), batch).await? {
                        CommitOutcome::Committed { .. } => done += 1,
                        CommitOutcome::Conflict { .. } => bail!("a new key conflicted"),
                    }
                }
                Ok(done)
            })
        })
        .collect();
    let mut done = 0;
    for writer in writers {
        done += writer.await??;
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}
