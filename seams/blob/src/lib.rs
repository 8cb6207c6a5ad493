//! The blob seam: streamed put, ranged get, delete, list.
//!
//! A blob is written once under a name that its writer chose and never changed. The bytes are on disk, and their name
//! too, before [`Blobs::put`] returns; only then may a record that names them be committed.

mod error;
mod filesystem;
mod hold;
mod name;

use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

pub use error::{BlobError, BlobResult};
pub use filesystem::FilesystemBlobs;
pub use hold::Hold;
pub use name::{BlobName, NAME_BYTES, NameProblem, SEGMENT_BYTES};

/// Most names that one listing returns.
pub const LIST_NAMES: usize = 10_000;

/// Bytes on their way, in pieces of any size.
pub type ByteStream = Pin<Box<dyn Stream<Item = BlobResult<Bytes>> + Send>>;

/// A blob that is being read.
pub struct Blob {
    /// How long the whole blob is, also when only a range of it is read.
    pub size_bytes: u64,
    /// The bytes asked for.
    pub body: ByteStream,
}

impl Blob {
    /// The bytes asked for, in memory. For what is known to be small.
    pub async fn bytes(self) -> BlobResult<Bytes> {
        collect(self.body).await
    }
}

/// The seam. One adapter for each kind of storage; they all pass one conformance suite.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Writes a blob; returns its length. It is there as a whole when this returns, and not at all before or when the
    /// body ends with an error. Writing a name again replaces the blob as a whole; who reads the former goes on with it.
    async fn put(&self, name: &BlobName, body: ByteStream) -> BlobResult<u64>;

    /// Reads a blob, or the part of a range that lies in it. `None` when there is none of that name.
    async fn get(&self, name: &BlobName, range: Option<Range<u64>>) -> BlobResult<Option<Blob>>;

    /// How long a blob is. `None` when there is none of that name.
    async fn size(&self, name: &BlobName) -> BlobResult<Option<u64>>;

    /// Removes a blob. False when there was none of that name.
    async fn delete(&self, name: &BlobName) -> BlobResult<bool>;

    /// The names that begin with `prefix` and come behind `after`, in byte order; at most `limit` and [`LIST_NAMES`].
    async fn list(&self, prefix: &str, after: Option<&BlobName>, limit: usize) -> BlobResult<Vec<BlobName>>;
}

/// A stream of bytes that are in memory.
pub fn stream_of(bytes: impl Into<Bytes>) -> ByteStream {
    Box::pin(futures_util::stream::iter([Ok(bytes.into())]))
}

/// All bytes of a stream, in memory.
pub async fn collect(mut stream: ByteStream) -> BlobResult<Bytes> {
    let mut all = bytes::BytesMut::new();
    while let Some(piece) = stream.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all.freeze())
}
