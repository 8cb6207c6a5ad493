//! Data directories that are in use, foreign, newer, damaged or copied.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use bytes::Bytes;
use dormouse_store::{Batch, CommitId, CommitOutcome, Found, Read, Store};
use dormouse_store_sqlite::{BackupError, FILE_NAME, FORMAT, OpenError, Settings, SqliteStore, check_backup, restore};

fn open(dir: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(dir, Settings::default())
}

fn refused(dir: &Path) -> String {
    open(dir).err().expect("it must not open").to_string()
}

fn put(key: &str, bytes: usize) -> Batch {
    Batch { put: vec![(key.to_owned().into(), vec![7; bytes].into())], ..Batch::default() }
}

async fn commit(store: &SqliteStore, batch: Batch) {
    let outcome = store.commit(CommitId::random(), batch).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed { .. }));
}

#[tokio::test]
async fn a_directory_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let said = refused(dir.path());
    assert!(said.contains("is in use by process") && said.contains(&std::process::id().to_string()), "{said}");
    assert!(matches!(restore(Path::new("/nowhere"), dir.path()), Err(BackupError::Open(OpenError::InUse { .. }))));
    drop(store);
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_store_that_is_closed_leaves_one_file_and_refuses_what_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()).unwrap());
    commit(&store, put("a", 100)).await;
    let queued: Vec<_> = (0..50)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(CommitId::random(), put(&format!("b{n:02}"), 10)).await })
        })
        .collect();
    let reading = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.read(vec![Read::Get("a".into())]).await }
    });
    tokio::task::yield_now().await;
    store.close().await;
    store.close().await;
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["lock", FILE_NAME]);
    store.commit(CommitId::random(), put("late", 1)).await.expect_err("closed");
    store.read(vec![Read::Get("a".into())]).await.expect_err("closed");
    reading.await.unwrap().ok();
    let mut kept = 1;
    for commit in queued {
        kept += usize::from(commit.await.unwrap().is_ok());
    }
    drop(store);
    let store = open(dir.path()).unwrap();
    let all = Read::Range { from: "a".into(), to: "z".into(), limit: 100, reverse: false, keys_only: true };
    let found = store.read(vec![all]).await.unwrap().found;
    assert!(matches!(&found[0], Found::Many(items) if items.len() == kept), "{kept} of {found:?}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for bad in [file.join("below"), "/proc/dormouse".into()] {
        let said = refused(&bad);
        assert!(said.contains(bad.to_str().unwrap()) && said.contains("write"), "{said}");
    }
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE_NAME);
    std::fs::write(&file, "This is a text about dormice. ".repeat(100)).unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::Foreign { .. })));
    assert_eq!(std::fs::read(&file).unwrap().len(), 3_000);
    std::fs::remove_file(&file).unwrap();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE other (a); INSERT INTO other VALUES (1)").unwrap();
    drop(other);
    assert!(matches!(open(dir.path()), Err(OpenError::Foreign { .. })));
}

#[test]
fn a_newer_format_is_refused_and_said() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let db = rusqlite::Connection::open(dir.path().join(FILE_NAME)).unwrap();
    db.pragma_update(None, "user_version", FORMAT + 1).unwrap();
    drop(db);
    let said = refused(dir.path());
    assert!(said.contains(&format!("format {}", FORMAT + 1)) && said.contains("newer"), "{said}");
}

#[tokio::test]
async fn a_damaged_database_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for number in 0..200 {
        commit(&store, put(&format!("k{number}"), 1_000)).await;
    }
    drop(store);
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join(FILE_NAME)).unwrap();
    for page in 3..20 {
        file.write_all_at(&[0x55; 4096], page * 4096).unwrap();
    }
    assert!(matches!(open(dir.path()), Err(OpenError::Corrupt { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_a_whole_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&dir.path().join("live")).unwrap());
    let (stop, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let writers: Vec<_> = (0..4)
        .map(|task| {
            let (store, stop, acked) = (Arc::clone(&store), Arc::clone(&stop), Arc::clone(&acked));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let mut batch = put(&format!("k{task}"), 5_000);
                    batch.add = vec![(Bytes::from_static(b"x"), 1), (Bytes::from_static(b"y"), -1)];
                    commit(&store, batch).await;
                    acked.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let to = dir.path().join("copy");
    let before = loop {
        let before = acked.load(Ordering::SeqCst);
        if before >= 20 {
            break before;
        }
        tokio::task::yield_now().await;
    };
    store.backup(&to).await.unwrap();
    let after = acked.load(Ordering::SeqCst) + 4;
    assert!(matches!(store.backup(&to).await, Err(BackupError::Exists(_))));
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let checked = check_backup(&to).unwrap();
    assert_eq!((checked.format, checked.keys), (FORMAT, 6));
    let restored = dir.path().join("restored");
    assert_eq!(restore(&to, &restored).unwrap(), checked);
    assert!(matches!(restore(&to, &restored), Err(BackupError::Exists(_))));
    let store = open(&restored).unwrap();
    let found = store.read(vec![Read::Get(b"x"[..].into()), Read::Get(b"y"[..].into())]).await.unwrap().found;
    let number = |found: &Found| match found {
        Found::One(Some(item)) => i64::from_be_bytes(item.value.as_ref().try_into().unwrap()),
        _ => panic!("it is there"),
    };
    let (x, y) = (number(&found[0]), number(&found[1]));
    assert!(x == -y && (before..=after).contains(&x), "{x} {y}, {before} to {after} were acknowledged");
    // It is a store like any other.
    commit(&store, put("more", 1)).await;
}

#[tokio::test]
async fn a_backup_that_is_damaged_or_none_is_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("live")).unwrap();
    for number in 0..100 {
        commit(&store, put(&format!("k{number}"), 1_000)).await;
    }
    let to = dir.path().join("copy");
    store.backup(&to).await.unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&to).unwrap();
    file.write_all_at(&[0x55; 4096], 4 * 4096).unwrap();
    let target = dir.path().join("target");
    assert!(restore(&to, &target).is_err());
    std::fs::write(&to, "").unwrap();
    assert!(matches!(restore(&to, &target), Err(BackupError::Open(OpenError::Foreign { .. }))));
    assert!(restore(&dir.path().join("nothing"), &target).is_err());
    assert!(!target.join(FILE_NAME).exists());
    // A place that cannot be written is an error, and nothing is left there.
    let nowhere = dir.path().join("missing").join("copy");
    assert!(store.backup(&nowhere).await.is_err());
}
