//! The suite of the blob seam over the filesystem, and what only a filesystem has.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::Arc;

use bytes::Bytes;
use dormouse_blob::{BlobError, BlobName, Blobs, ByteStream, FilesystemBlobs, stream_of};

fn open() -> (Arc<dyn Blobs>, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    (Arc::new(FilesystemBlobs::open(dir.path()).expect("it opens")), dir)
}

dormouse_testkit::blob_conformance!(open());

fn files(dir: &std::path::Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[tokio::test]
async fn what_an_earlier_process_left_unfinished_is_swept() {
    let (blobs, dir) = open();
    blobs.put(&BlobName::new("kept").unwrap(), stream_of("x")).await.unwrap();
    drop(blobs);
    let incoming = dir.path().join("incoming");
    std::fs::write(incoming.join("7"), "half").unwrap();
    let blobs = FilesystemBlobs::open(dir.path()).unwrap();
    assert_eq!(files(&incoming), 0);
    assert_eq!(blobs.size(&BlobName::new("kept").unwrap()).await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_put_that_is_given_up_or_fails_leaves_no_file() {
    let (blobs, dir) = open();
    let incoming = dir.path().join("incoming");
    let name = BlobName::new("x").unwrap();
    let broken: ByteStream = Box::pin(futures_util::stream::iter([
        Ok(Bytes::from_static(b"half")),
        Err(BlobError::Source("gone".to_owned())),
    ]));
    blobs.put(&name, broken).await.unwrap_err();
    assert_eq!(files(&incoming), 0);
    let (pieces, never) = tokio::sync::mpsc::channel::<()>(1);
    let waits: ByteStream = Box::pin(futures_util::stream::unfold(never, |mut never| async move {
        never.recv().await;
        None
    }));
    let put = tokio::spawn(async move { blobs.put(&name, waits).await });
    while files(&incoming) == 0 {
        tokio::task::yield_now().await;
    }
    put.abort();
    assert!(put.await.unwrap_err().is_cancelled());
    while files(&incoming) > 0 {
        tokio::task::yield_now().await;
    }
    drop(pieces);
}

#[tokio::test]
async fn a_storage_that_cannot_be_written_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = FilesystemBlobs::open(&file.join("below")).err().expect("a file is no directory");
    assert!(matches!(&refused, BlobError::Io(why) if why.contains("below")), "{refused}");
}
