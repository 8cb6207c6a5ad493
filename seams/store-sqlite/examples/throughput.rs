//! How many durable commits a second: `cargo run -p dormouse-store-sqlite --example throughput [DIR]`.
//!
//! Batches of one 256-byte value under a new key, from 1, 8, 64 and 256 concurrent writers, on the disk of DIR.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dormouse_store::{Batch, CommitId, Read, Store};
use dormouse_store_sqlite::{Settings, SqliteStore};

const EACH: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("dormouse-throughput-{}", std::process::id()));
    let store = Arc::new(SqliteStore::open(&dir, Settings::default()).expect("the directory opens"));
    for writers in [1, 8, 64, 256] {
        let next = Arc::new(AtomicU64::new(writers << 40));
        let begun = Instant::now();
        let tasks: Vec<_> = (0..writers).map(|_| tokio::spawn(write(Arc::clone(&store), Arc::clone(&next)))).collect();
        let mut commits = 0;
        for task in tasks {
            commits += task.await.expect("no writer panics");
        }
        println!("{writers:>4} writers: {:>8.0} commits/s", commits as f64 / begun.elapsed().as_secs_f64());
    }
    let begun = Instant::now();
    let mut reads = 0;
    while begun.elapsed() < EACH / 3 {
        let key = (1_u64 << 40).to_be_bytes().to_vec().into();
        store.read(vec![Read::Get(key)]).await.expect("it reads");
        reads += 1;
    }
    println!("   1 reader:  {:>8.0} reads/s", f64::from(reads) / begun.elapsed().as_secs_f64());
    drop(store);
    std::fs::remove_dir_all(&dir).expect("the directory was made here");
}

async fn write(store: Arc<SqliteStore>, next: Arc<AtomicU64>) -> u64 {
    let begun = Instant::now();
    let mut commits = 0;
    while begun.elapsed() < EACH {
        let key = next.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec().into();
        let batch = Batch { put: vec![(key, Bytes::from_static(&[7; 256]))], ..Batch::default() };
        store.commit(CommitId::random(), batch).await.expect("it commits");
        commits += 1;
    }
    commits
}
