use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::OpenError;

/// The sole right to a data directory, for as long as this lives. The system lets go of it when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the directory, which is made if need be, readable for this user alone.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when another process, or another part of this one, has it.
    pub fn take(dir: &Path) -> Result<Self, OpenError> {
        let failed =
            |path: &Path, error: std::io::Error| OpenError::Io { path: path.into(), detail: error.to_string() };
        make_private(dir).map_err(|error| failed(dir, error))?;
        let path = dir.join("lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|error| failed(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let read = file.read_to_string(&mut owner);
                let known = read.is_ok() && !owner.trim().is_empty();
                let owner = if known { format!("process {}", owner.trim()) } else { "another process".to_owned() };
                return Err(OpenError::InUse { dir: dir.to_owned(), owner });
            }
            Err(TryLockError::Error(error)) => return Err(failed(&path, error)),
        }
        // For the sentence above; the lock is what counts, so a full disk is no reason to stop here.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

fn make_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes the names in a directory last.
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
