//! What every adapter of the blob seam keeps to. One function for each promise; [`blob_conformance!`] makes a test of
//! each.

use std::sync::Arc;

use bytes::Bytes;
use dormouse_blob::{BlobError, BlobName, Blobs, ByteStream, stream_of};
use futures_util::StreamExt;

use crate::{Rng, seed};

/// A test for each promise of the blob seam, over the storage that the expression opens: `(Arc<dyn Blobs>, kept)`, where
/// `kept` lives as long as the test.
#[macro_export]
macro_rules! blob_conformance {
    ($open:expr) => {
        $crate::blob_conformance!(@each $open;
            a_blob_is_read_back
            ranges_are_parts
            what_is_absent_is_absent
            a_body_that_fails_leaves_nothing
            a_name_written_again_is_replaced_as_a_whole
            names_list_in_order
            names_and_prefixes_may_overlap
            writers_do_not_disturb_each_other
        );
    };
    (@each $open:expr; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let (blobs, _kept) = $open;
                $crate::blob_suite::$promise(blobs).await;
            }
        )*
    };
}

fn name(text: &str) -> BlobName {
    BlobName::new(text).expect("a good name")
}

async fn put(blobs: &dyn Blobs, to: &str, bytes: impl Into<Bytes>) {
    blobs.put(&name(to), stream_of(bytes)).await.expect("it is written");
}

async fn get(blobs: &dyn Blobs, from: &str) -> Option<Bytes> {
    let blob = blobs.get(&name(from), None).await.expect("it is read")?;
    let size = blob.size_bytes;
    let bytes = blob.bytes().await.expect("it is read");
    assert_eq!(size, bytes.len() as u64);
    Some(bytes)
}

/// Empty, small and big, sent in pieces.
pub async fn a_blob_is_read_back(blobs: Arc<dyn Blobs>) {
    let mut rng = Rng::new(seed("a_blob_is_read_back"));
    for (number, size) in [0, 1, 70_000, 3_000_000].into_iter().enumerate() {
        let bytes = Bytes::from(rng.bytes(size));
        let pieces: Vec<_> = bytes.chunks(10_001).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let to = format!("sizes/{number}");
        let written = blobs.put(&name(&to), Box::pin(futures_util::stream::iter(pieces))).await.expect("it is written");
        assert_eq!(written, size as u64);
        assert_eq!(blobs.size(&name(&to)).await.expect("it answers"), Some(size as u64));
        assert!(get(&*blobs, &to).await == Some(bytes), "{size} bytes");
    }
}

/// What of a range lies in the blob.
pub async fn ranges_are_parts(blobs: Arc<dyn Blobs>) {
    put(&*blobs, "digits", "0123456789").await;
    for (range, part) in [(0..10, "0123456789"), (2..5, "234"), (8..100, "89"), (10..20, ""), (50..60, ""), (4..4, "")]
    {
        let blob = blobs.get(&name("digits"), Some(range.clone())).await.expect("it is read").expect("it is there");
        assert_eq!(blob.size_bytes, 10, "the size is that of the whole");
        assert_eq!(blob.bytes().await.expect("it is read"), part, "{range:?}");
    }
}

/// Not an error, and deleting makes it so.
pub async fn what_is_absent_is_absent(blobs: Arc<dyn Blobs>) {
    put(&*blobs, "a/b", "x").await;
    for absent in ["a", "a/b/c", "c", "a/bb"] {
        assert_eq!(get(&*blobs, absent).await, None, "{absent}");
        assert_eq!(blobs.size(&name(absent)).await.expect("it answers"), None, "{absent}");
        assert!(!blobs.delete(&name(absent)).await.expect("it answers"), "{absent}");
    }
    assert!(blobs.delete(&name("a/b")).await.expect("it answers"));
    assert_eq!(get(&*blobs, "a/b").await, None);
    assert_eq!(blobs.list("", None, 10).await.expect("it lists"), []);
}

/// The error is the answer, and the name is not taken.
pub async fn a_body_that_fails_leaves_nothing(blobs: Arc<dyn Blobs>) {
    let broken: ByteStream = Box::pin(futures_util::stream::iter([
        Ok(Bytes::from_static(b"half")),
        Err(BlobError::Source("the client hung up".to_owned())),
    ]));
    let refused = blobs.put(&name("half"), broken).await;
    assert!(matches!(refused, Err(BlobError::Source(_))), "{refused:?}");
    assert_eq!(get(&*blobs, "half").await, None);
    assert_eq!(blobs.list("", None, 10).await.expect("it lists"), []);
}

/// Readers of the former go on with it.
pub async fn a_name_written_again_is_replaced_as_a_whole(blobs: Arc<dyn Blobs>) {
    let (old, new) = (vec![1_u8; 2_000_000], vec![2_u8; 1_000]);
    put(&*blobs, "x", old.clone()).await;
    let mut reader = blobs.get(&name("x"), None).await.expect("it is read").expect("it is there").body;
    let mut read = reader.next().await.expect("a piece").expect("it is read").to_vec();
    put(&*blobs, "x", new.clone()).await;
    while let Some(piece) = reader.next().await {
        read.extend_from_slice(&piece.expect("it is read"));
    }
    assert!(read == old);
    assert_eq!(get(&*blobs, "x").await, Some(new.into()));
}

/// By prefix, behind a name, at most so many.
pub async fn names_list_in_order(blobs: Arc<dyn Blobs>) {
    let names = ["a", "a-b", "a/b", "a/b/c", "ab", "b/a"];
    for each in names.iter().rev() {
        put(&*blobs, each, "x").await;
    }
    for (prefix, after, limit, expected) in [
        ("", None, 100, &names[..]),
        ("", Some("a-b"), 2, &["a/b", "a/b/c"][..]),
        ("a/", None, 100, &["a/b", "a/b/c"]),
        ("a/b", None, 100, &["a/b", "a/b/c"]),
        ("ab", None, 100, &["ab"]),
        ("c", None, 100, &[]),
        ("../", None, 100, &[]),
        ("", None, 0, &[]),
    ] {
        let after = after.map(name);
        let listed = blobs.list(prefix, after.as_ref(), limit).await.expect("it lists");
        assert_eq!(listed.iter().map(BlobName::as_str).collect::<Vec<_>>(), expected, "{prefix:?} {after:?}");
    }
}

/// `a` and `a/b` are two blobs.
pub async fn names_and_prefixes_may_overlap(blobs: Arc<dyn Blobs>) {
    put(&*blobs, "a/b", "below").await;
    put(&*blobs, "a", "above").await;
    put(&*blobs, "a/b/c", "deep").await;
    assert_eq!(get(&*blobs, "a").await.as_deref(), Some(&b"above"[..]));
    assert_eq!(get(&*blobs, "a/b").await.as_deref(), Some(&b"below"[..]));
    assert_eq!(get(&*blobs, "a/b/c").await.as_deref(), Some(&b"deep"[..]));
}

/// Many at once, also under one name: one of them wins as a whole.
pub async fn writers_do_not_disturb_each_other(blobs: Arc<dyn Blobs>) {
    let tasks: Vec<_> = (0..16_u8)
        .map(|task| {
            let blobs = Arc::clone(&blobs);
            tokio::spawn(async move {
                put(&*blobs, "same", vec![task; 50_000]).await;
                put(&*blobs, &format!("dir{}/own{task}", task % 3), vec![task; 1_000]).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let same = get(&*blobs, "same").await.expect("it is there");
    assert!(same.len() == 50_000 && same.iter().all(|byte| *byte == same[0]));
    assert_eq!(blobs.list("dir", None, 100).await.expect("it lists").len(), 16);
}
