//! Copies of the store: taken while it works, checked, and put into an empty directory.

use std::fs::File;
use std::path::{Path, PathBuf};

use dormouse_store::StoreError;
use rusqlite::{Connection, OpenFlags};

use crate::lock::sync_dir;
use crate::writer::to_u64;
use crate::{DirLock, FILE_NAME, OpenError, Settings, schema};

/// Why a backup was not taken or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The place for it is taken.
    #[error("{} exists; choose a place where there is nothing", .0.display())]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot use {}: {detail}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not a whole store of a known format, or the directory is in use.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What a check of a backup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its format.
    pub format: u32,
    /// How many keys it holds.
    pub keys: u64,
    /// The number of the last commit in it.
    pub version: u64,
}

/// Where a copy is written before it has its name.
pub(crate) fn prepare(to: &Path) -> Result<PathBuf, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(&partial, &error)),
        _ => Ok(partial),
    }
}

/// Writes one snapshot of the store, without gaps, to a new file.
pub(crate) fn copy(db: &Connection, to: &Path) -> rusqlite::Result<()> {
    // The connection is for queries only, which forbids this too, although it writes nothing to the store.
    db.pragma_update(None, "query_only", false)?;
    let copied = db.execute("VACUUM INTO ?1", [to.to_string_lossy()]);
    db.pragma_update(None, "query_only", true)?;
    copied.map(|_| ())
}

/// Writes one snapshot of the store in `dir` to a new file, also while another process serves it: what that one commits
/// meanwhile is not held up and not in the copy. Blocking.
///
/// # Errors
/// [`BackupError`]; there is no new file then.
pub fn backup_beside(dir: &Path, to: &Path) -> Result<(), BackupError> {
    let path = dir.join(FILE_NAME);
    let partial = prepare(to)?;
    let db = schema::open_reader(&path, &Settings::default())?;
    schema::check_format(&db, &path)?;
    if let Err(error) = copy(&db, &partial) {
        remove(&partial);
        return Err(crate::error::open_error(&path, &error).into());
    }
    finish(&partial, to)
}

/// Checks a copy, makes it last and gives it its name.
pub(crate) fn finish(partial: &Path, to: &Path) -> Result<(), BackupError> {
    let finished = check_backup(partial).and_then(|_| place(partial, to));
    if finished.is_err() {
        remove(partial);
    }
    finished
}

pub(crate) fn remove(partial: &Path) {
    if let Err(error) = std::fs::remove_file(partial)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %partial.display(), %error, "a file could not be removed");
    }
}

/// Checks every page of a backup, and that this program knows its format. Blocking.
pub fn check_backup(path: &Path) -> Result<Checked, BackupError> {
    File::open(path).map_err(|error| io(path, &error))?;
    let open = |error: rusqlite::Error| crate::error::open_error(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = schema::connect(path, flags, &Settings::default()).map_err(open)?;
    let format = schema::check_format(&db, path)?;
    if format == 0 {
        return Err(OpenError::Foreign { path: path.into(), detail: "it is empty".to_owned() }.into());
    }
    schema::check_pages(&db, path, "integrity_check")?;
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).map(to_u64).map_err(open);
    let keys = number("SELECT count(*) FROM kv")?;
    let version = number("SELECT coalesce(max(version), 0) FROM commits")?;
    Ok(Checked { format, keys, version })
}

/// Puts a backup into a data directory that holds no store. The backup stays as it is. Blocking.
///
/// # Errors
/// [`BackupError`]; the directory holds no store then.
pub fn restore(backup: &Path, dir: &Path) -> Result<Checked, BackupError> {
    let _lock = DirLock::take(dir)?;
    let path = dir.join(FILE_NAME);
    let partial = prepare(&path)?;
    let restored = || {
        std::fs::copy(backup, &partial).map_err(|error| io(backup, &error))?;
        let checked = check_backup(&partial)?;
        // A log that was left behind by another database would be played into this one.
        for beside in ["-wal", "-shm"] {
            let mut left = path.as_os_str().to_owned();
            left.push(beside);
            remove(Path::new(&left));
        }
        place(&partial, &path)?;
        Ok(checked)
    };
    restored().inspect_err(|_| remove(&partial))
}

fn place(partial: &Path, to: &Path) -> Result<(), BackupError> {
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(partial).and_then(|file| file.sync_all());
    synced.and_then(|()| std::fs::rename(partial, to)).and_then(|()| sync_dir(dir)).map_err(|error| io(to, &error))
}

fn io(path: &Path, error: &std::io::Error) -> BackupError {
    BackupError::Io { path: path.to_owned(), detail: error.to_string() }
}
