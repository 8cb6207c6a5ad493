//! kill -9 at any moment: what was acknowledged is there.
//!
//! The child is this test binary again. It commits from several tasks and says each acknowledged batch on its stdout; the
//! parent counts, kills, opens the directory and compares.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dormouse_store::key::KeyRange;
use dormouse_store::{Batch, CommitId, CommitOutcome, Found, Read, Store};
use dormouse_store_sqlite::{OpenError, Settings, SqliteStore};
use dormouse_testkit::{Rng, seed};

const DIR: &str = "DORMOUSE_KILL_TEST_DIR";
const ROUND: &str = "DORMOUSE_KILL_TEST_ROUND";

fn key(kind: &str, round: u64, number: u64) -> Bytes {
    format!("{kind}/{round:04}/{number:08}").into()
}

fn batch(round: u64, number: u64) -> Batch {
    let put = ["a", "b"].map(|kind| (key(kind, round, number), Bytes::from(vec![7; 300])));
    Batch { put: put.into(), add: vec![(Bytes::from_static(b"count"), 1)], ..Batch::default() }
}

fn id(round: u64, number: u64) -> CommitId {
    CommitId(u128::from(round) << 64 | u128::from(number))
}

fn open(dir: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(dir, Settings { checkpoint_pages: 200, ..Settings::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test below"]
async fn child() {
    let dir = std::env::var(DIR).expect("started by the test below");
    let round = std::env::var(ROUND).unwrap().parse().unwrap();
    let store = Arc::new(open(Path::new(&dir)).unwrap());
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, next) = (Arc::clone(&store), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    // A task that ends ends the child, which the parent notices.
                    let outcome = store.commit(id(round, number), batch(round, number)).await;
                    let Ok(CommitOutcome::Committed { .. }) = outcome else { return };
                    // One write for each line, past the buffer of the test harness.
                    std::io::stdout().lock().write_all(format!("acked {number}\n").as_bytes()).unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// The numbers that a child said it was promised, until it was killed behind about `enough` of them.
fn run_and_kill(dir: &Path, round: u64, enough: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acked = Vec::new();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        // The last line may be cut short, and the harness prints lines of its own.
        acked.extend(line.strip_prefix("acked ").and_then(|number| number.parse::<u64>().ok()));
        if acked.len() == enough {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acked.len() >= enough, "the child ended by itself after {} batches", acked.len());
    acked
}

async fn numbers(store: &SqliteStore, kind: &str, round: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut rest = KeyRange::prefix(format!("{kind}/{round:04}/").as_bytes());
    loop {
        let found = store.read(vec![rest.read_keys(10_000)]).await.unwrap().found.remove(0);
        let Found::Many(items) = found else { panic!("a get in answer to a range") };
        let Some(last) = items.last() else { return numbers };
        rest = rest.after(&last.key);
        let number = |key: &[u8]| std::str::from_utf8(&key[key.len() - 8..]).unwrap().parse::<u64>().unwrap();
        numbers.extend(items.iter().map(|item| number(&item.key)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlasts_kill_9() {
    let mut rng = Rng::new(seed("what_was_acknowledged_outlasts_kill_9"));
    let rounds = std::env::var("DORMOUSE_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(60);
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    for round in 0..rounds {
        let mut acked = run_and_kill(dir.path(), round, 1 + rng.index(1_500));
        acked.sort_unstable();
        let store = open(dir.path()).unwrap();
        let (a, b) = (numbers(&store, "a", round).await, numbers(&store, "b", round).await);
        assert_eq!(a, b, "round {round}: batches are whole");
        let lost: Vec<&u64> = acked.iter().filter(|number| a.binary_search(number).is_err()).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
        // An answer that was lost with the process is asked for again under its id.
        for number in a.iter().rev().take(5) {
            store.commit(id(round, *number), batch(round, *number)).await.unwrap();
        }
        count += a.len();
        let found = store.read(vec![Read::Get(Bytes::from_static(b"count"))]).await.unwrap().found.remove(0);
        let Found::One(Some(item)) = found else { panic!("the counter is gone") };
        assert_eq!(i64::from_be_bytes(item.value.as_ref().try_into().unwrap()), count as i64, "round {round}");
    }
}
