//! Accepted asynchronous events, beside the store seam in process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use dormouse_store::{Batch, CommitId, CommitOutcome, Store};
use dormouse_store_sqlite::{Settings, SqliteStore};

use crate::api::{self, File, Function};
use crate::load;
use crate::measure::{Better, ROUNDS, Rounds, Row};
use crate::platform::Platform;

const SENDERS: usize = 64;
const ROUND: Duration = Duration::from_secs(3);
/// For how long nothing ends when nothing is left to run.
const STILL: Duration = Duration::from_secs(1);

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
    let mut executed = Vec::new();
    for _ in 0..ROUNDS {
        rounds.reference.push(batches_per_second(&store).await?);
        let path = "/2015-03-31/functions/taker/invocations";
        let kind = [("x-amz-invocation-type", "Event")];
        let request = api::request_with(&platform, "lambda", "POST", path, b"{\"n\": 1}", &kind)?;
        let (before, start) = (finished(&platform).await?, Instant::now());
        rounds.ours.push(load::run(platform.address, &request, SENDERS, ROUND, 202).await?.per_second);
        executed.push((finished(&platform).await? - before) / start.elapsed().as_secs_f64());
        drained(&platform).await?;
    }
    let what = "events accepted, 64 senders; store batches, 64 writers";
    Ok(vec![
        Row::ratio("async", what, "/s", Better::Higher, 0.5, &rounds),
        Row::beside("async", "events executed and removed while those were accepted", "/s", Better::Higher, &executed),
    ])
}

/// Waits until nothing accepted waits any more, so that the store's turn is the store's alone.
async fn drained(platform: &Platform) -> Result<()> {
    let mut before = -1.0;
    loop {
        let now = finished(platform).await?;
        if now == before {
            return Ok(());
        }
        before = now;
        tokio::time::sleep(STILL).await;
    }
}

/// Events that have ended so far.
async fn finished(platform: &Platform) -> Result<f64> {
    let request = format!("GET /_dormouse/metrics HTTP/1.1\r\nHost: {}\r\n\r\n", platform.address);
    let answer = load::Connection::open(platform.address).await?.send(request.as_bytes()).await?;
    ensure!(answer.status == 200, "the metrics answered {}", answer.status);
    let text = String::from_utf8(answer.body)?;
    let lines = text.lines().filter(|line| line.starts_with("dormouse_async_finished_total"));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
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
