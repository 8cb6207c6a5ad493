//! Keeping what is deleted while somebody copies.
//!
//! `held/` beside `blobs/` has a directory for each copy in progress: a file `lock`, locked by the process that copies,
//! and `blobs/`, laid out as the other, with what was deleted since. A directory whose lock is free belongs to a process
//! that was killed, and goes with the next deletion.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{BlobError, BlobResult};

/// As long as this lives, no blob under its directory is really gone: what is deleted, also by another process, is found
/// in [`Hold::blobs`].
#[derive(Debug)]
pub struct Hold {
    dir: PathBuf,
    _lock: File,
}

impl Hold {
    /// Holds the blobs of a directory, as [`crate::FilesystemBlobs::open`] takes it. Blocking.
    pub fn take(root: &Path) -> BlobResult<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = root.join("held").join(&name);
        let taken = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
            let lock = File::create(dir.join("lock"))?;
            lock.try_lock()?;
            // Before it was locked, a deletion may have taken it for one that was left behind.
            if dir.join("lock").exists() { Ok(lock) } else { Err(ErrorKind::Interrupted.into()) }
        };
        let lock = taken().map_err(|error: io::Error| failed("hold the blobs in", &dir, &error))?;
        Ok(Self { dir, _lock: lock })
    }

    /// Where what was deleted meanwhile is, laid out as `blobs/`.
    pub fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(%error, dir = %self.dir.display(), "held blobs could not be removed");
        }
    }
}

/// Gives every hold its link to a blob that is about to be deleted. Blocking.
pub(crate) fn keep(root: &Path, blob: &Path) -> BlobResult<()> {
    let holds = match fs::read_dir(root.join("held")) {
        Ok(holds) => holds,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("list", &root.join("held"), &error)),
    };
    for hold in holds.flatten().map(|entry| entry.path()) {
        keep_in(&hold, root, blob).map_err(|error| failed("keep a blob in", &hold, &error))?;
    }
    Ok(())
}

fn keep_in(hold: &Path, root: &Path, blob: &Path) -> io::Result<()> {
    match File::open(hold.join("lock")).map(|lock| lock.try_lock()) {
        Ok(Err(TryLockError::WouldBlock)) => {}
        Ok(Err(TryLockError::Error(error))) => return Err(error),
        // Whoever held is done or was killed.
        Ok(Ok(())) => return fs::remove_dir_all(hold),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let kept = hold.join(blob.strip_prefix(root).map_err(io::Error::other)?);
    if let Some(dir) = kept.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    match fs::hard_link(blob, &kept) {
        Err(error) if !matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => Err(error),
        _ => Ok(()),
    }
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> BlobError {
    BlobError::io(&format!("cannot {verb} {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlobName, Blobs, FilesystemBlobs};

    #[tokio::test]
    async fn what_is_deleted_is_kept_for_as_long_as_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = FilesystemBlobs::open(dir.path()).unwrap();
        let name = BlobName::new("code/a").unwrap();
        let put = || blobs.put(&name, crate::stream_of("bytes"));
        put().await.unwrap();
        let hold = Hold::take(dir.path()).unwrap();
        assert!(blobs.delete(&name).await.unwrap());
        assert_eq!(fs::read(hold.blobs().join("code/a~")).unwrap(), b"bytes");
        assert!(blobs.get(&name, None).await.unwrap().is_none());
        drop(hold);
        assert_eq!(fs::read_dir(dir.path().join("held")).unwrap().count(), 0);
        put().await.unwrap();
        // As a killed process leaves it.
        let left = dir.path().join("held/left");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("lock"), "").unwrap();
        assert!(blobs.delete(&name).await.unwrap());
        assert!(!left.exists());
    }
}
