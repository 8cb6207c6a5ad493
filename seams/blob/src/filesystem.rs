//! Blobs as files.
//!
//! `blobs/` holds a directory for each segment but the last, and the last as a file whose name ends in `~`, which no
//! segment has: so `a` and `a/b` can both be blobs. `held/` is what [`crate::Hold`] keeps. `incoming/` holds what is being written, and is swept at the start.

use std::collections::HashSet;
use std::io::{ErrorKind, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::StreamExt;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::{Blob, BlobError, BlobName, BlobResult, Blobs, ByteStream, LIST_NAMES, hold};

/// Ends the name of a file, so that it differs from that of a directory.
const FILE_MARK: char = '~';
/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// Blobs under a directory that belongs to this process alone.
pub struct FilesystemBlobs {
    root: PathBuf,
    blobs: PathBuf,
    incoming: PathBuf,
    next_incoming: AtomicU64,
    dirs: Arc<Dirs>,
}

/// The directories under the root that this process made last, or found and synced. Another put may have made one and
/// not have synced it yet, and so may a process before this one.
struct Dirs {
    root: PathBuf,
    synced: Mutex<HashSet<PathBuf>>,
}

/// Most directories that are remembered as synced.
const SYNCED_DIRS: usize = 10_000;

/// A file that is removed unless it was moved to its place.
struct Incoming {
    path: PathBuf,
    moved: bool,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.moved
            && let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished blob could not be removed");
        }
    }
}

impl FilesystemBlobs {
    /// Opens the storage in `dir`, made if need be, and removes what an earlier process left unfinished. Blocking.
    pub fn open(dir: &Path) -> BlobResult<Self> {
        let (blobs, incoming) = (dir.join("blobs"), dir.join("incoming"));
        for path in [&blobs, &incoming] {
            std::fs::create_dir_all(path).map_err(|error| io("make", path, &error))?;
        }
        let left = std::fs::read_dir(&incoming).map_err(|error| io("list", &incoming, &error))?;
        for entry in left {
            let path = entry.map_err(|error| io("list", &incoming, &error))?.path();
            std::fs::remove_file(&path).map_err(|error| io("remove", &path, &error))?;
        }
        sync_dir(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent)?;
        }
        let dirs = Arc::new(Dirs { root: blobs.clone(), synced: Mutex::default() });
        Ok(Self { root: dir.to_owned(), blobs, incoming, next_incoming: AtomicU64::new(0), dirs })
    }

    fn path(&self, name: &BlobName) -> PathBuf {
        let mut path = self.blobs.clone();
        path.extend(name.segments());
        let mut file = path.into_os_string();
        file.push(FILE_MARK.to_string());
        file.into()
    }

    async fn receive(&self, mut body: ByteStream) -> BlobResult<(Incoming, u64)> {
        let number = self.next_incoming.fetch_add(1, Ordering::Relaxed);
        let path = self.incoming.join(number.to_string());
        // Made together with its guard, so that the file goes also when this is given up while it is being made.
        let (file, incoming) = blocking(move || match std::fs::File::create_new(&path) {
            Ok(file) => Ok((file, Incoming { path, moved: false })),
            Err(error) => Err(io("make", &path, &error)),
        })
        .await?;
        let mut file = File::from_std(file);
        let failed = |error: std::io::Error| io("write", &incoming.path, &error);
        let mut size = 0;
        while let Some(piece) = body.next().await {
            let piece = piece?;
            size += piece.len() as u64;
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        Ok((incoming, size))
    }
}

#[async_trait]
impl Blobs for FilesystemBlobs {
    async fn put(&self, name: &BlobName, body: ByteStream) -> BlobResult<u64> {
        let (incoming, size) = self.receive(body).await?;
        let (dirs, path) = (Arc::clone(&self.dirs), self.path(name));
        blocking(move || place(incoming, &dirs, &path)).await?;
        Ok(size)
    }

    async fn get(&self, name: &BlobName, range: Option<Range<u64>>) -> BlobResult<Option<Blob>> {
        let path = self.path(name);
        let mut file = match File::open(&path).await {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(io("open", &path, &error)),
        };
        let failed = |error: std::io::Error| io("read", &path, &error);
        let size_bytes = file.metadata().await.map_err(failed)?.len();
        let range = range.unwrap_or(0..size_bytes);
        let (from, to) = (range.start.min(size_bytes), range.end.min(size_bytes));
        file.seek(SeekFrom::Start(from)).await.map_err(failed)?;
        Ok(Some(Blob { size_bytes, body: read(file, path, to.saturating_sub(from)) }))
    }

    async fn size(&self, name: &BlobName) -> BlobResult<Option<u64>> {
        let path = self.path(name);
        match tokio::fs::metadata(&path).await {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(io("look at", &path, &error)),
        }
    }

    async fn delete(&self, name: &BlobName) -> BlobResult<bool> {
        let (root, path) = (self.root.clone(), self.path(name));
        blocking(move || {
            hold::keep(&root, &path)?;
            match std::fs::remove_file(&path) {
                Ok(()) => {
                    path.parent().map_or(Ok(()), sync_dir)?;
                    Ok(true)
                }
                Err(error) if is_absent(&error) => Ok(false),
                Err(error) => Err(io("remove", &path, &error)),
            }
        })
        .await
    }

    async fn list(&self, prefix: &str, after: Option<&BlobName>, limit: usize) -> BlobResult<Vec<BlobName>> {
        let (root, prefix, after) = (self.blobs.clone(), prefix.to_owned(), after.cloned());
        let mut names = blocking(move || names(&root, &prefix)).await?;
        names.sort_unstable();
        names.retain(|name| after.as_ref().is_none_or(|after| name > after));
        names.truncate(limit.min(LIST_NAMES));
        Ok(names)
    }
}

/// Moves a whole file to its name, and makes the name last.
fn place(mut incoming: Incoming, dirs: &Dirs, path: &Path) -> BlobResult<()> {
    let dir = path.parent().unwrap_or(&dirs.root);
    dirs.ensure(dir)?;
    std::fs::rename(&incoming.path, path).map_err(|error| io("name", path, &error))?;
    incoming.moved = true;
    sync_dir(dir)
}

impl Dirs {
    /// Makes a directory under the root, with those above it, so that they outlast a power cut.
    fn ensure(&self, dir: &Path) -> BlobResult<()> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if synced.len() >= SYNCED_DIRS {
            synced.clear();
        }
        let above: Vec<&Path> = dir.ancestors().take_while(|dir| *dir != self.root).collect();
        for dir in above.into_iter().rev().filter(|dir| !synced.contains(*dir)).collect::<Vec<_>>() {
            match std::fs::create_dir(dir) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(io("make", dir, &error)),
                _ => dir.parent().map_or(Ok(()), sync_dir)?,
            }
            synced.insert(dir.to_owned());
        }
        Ok(())
    }
}

fn read(file: File, path: PathBuf, left: u64) -> ByteStream {
    Box::pin(futures_util::stream::try_unfold((file, path, left), |(mut file, path, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let want = usize::try_from(left).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        let mut piece = BytesMut::zeroed(want);
        let got = file.read(&mut piece).await.map_err(|error| io("read", &path, &error))?;
        if got == 0 {
            return Err(BlobError::Io(format!("{} is shorter than it was", path.display())));
        }
        piece.truncate(got);
        Ok(Some((piece.freeze(), (file, path, left - got as u64))))
    }))
}

/// Every name that begins with `prefix`; walks only directories that can hold one.
fn names(root: &Path, prefix: &str) -> BlobResult<Vec<BlobName>> {
    let mut names = Vec::new();
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        let path = root.join(&dir);
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(io("list", &path, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| io("list", &path, &error))?;
            let file_name = entry.file_name();
            let Some(segment) = file_name.to_str() else { continue };
            match segment.strip_suffix(FILE_MARK) {
                Some(segment) => {
                    let name = BlobName::new(format!("{dir}{segment}"));
                    names.extend(name.ok().filter(|name| name.as_str().starts_with(prefix)));
                }
                None => {
                    let below = format!("{dir}{segment}/");
                    if below.starts_with(prefix) || prefix.starts_with(&below) {
                        dirs.push(below);
                    }
                }
            }
        }
    }
    Ok(names)
}

fn sync_dir(dir: &Path) -> BlobResult<()> {
    let synced = std::fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| io("sync", dir, &error))
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn io(verb: &str, path: &Path, error: &std::io::Error) -> BlobError {
    BlobError::io(&format!("cannot {verb} {}", path.display()), error)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> BlobResult<T> + Send + 'static) -> BlobResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(BlobError::Io("the process is stopping".to_owned())),
    }
}
