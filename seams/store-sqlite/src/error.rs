use std::path::PathBuf;

use dormouse_store::StoreError;
use rusqlite::{ErrorCode, ffi};

/// Why a data directory was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "the data directory {} is in use by {}; stop that one first, or choose another directory",
        dir.display(), owner
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// `process 123`, as far as it said so.
        owner: String,
    },
    /// The directory or a file in it cannot be made, read or written.
    #[error("cannot use {}: {detail}; a directory that this user may write in is needed", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The disk is full.
    #[error("cannot open {}: the disk is full; make room and start again", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// The file is not one of this product's.
    #[error("{} is not a store of Dormouse ({detail}); it was left as it is", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        detail: String,
    },
    /// A newer program wrote it.
    #[error(
        "{} has format {found}, this program knows up to {known}; use the version of Dormouse that wrote it, or a newer one",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// The database is damaged.
    #[error("{} is damaged ({detail}); restore a backup into an empty directory", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
}

/// What an SQLite error means for a call.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// No room. Nothing was changed.
    Full,
    /// A write or fsync failed: what is on disk is not known.
    Lost,
    /// The file is damaged.
    Corrupt,
    /// Anything else: not now.
    Unavailable,
}

pub(crate) fn meaning(error: &rusqlite::Error) -> Meaning {
    let Some(error) = error.sqlite_error() else { return Meaning::Unavailable };
    match error.code {
        ErrorCode::DiskFull => Meaning::Full,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Meaning::Corrupt,
        ErrorCode::SystemIoFailure => match error.extended_code {
            // The shared-memory index cannot grow: the disk is full, and nothing was written yet.
            ffi::SQLITE_IOERR_SHMSIZE => Meaning::Full,
            ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS => Meaning::Corrupt,
            ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_NOMEM => Meaning::Unavailable,
            _ => Meaning::Lost,
        },
        _ => Meaning::Unavailable,
    }
}

pub(crate) fn store_error(error: &rusqlite::Error) -> StoreError {
    let detail = error.to_string();
    match meaning(error) {
        Meaning::Full => StoreError::Full(detail),
        Meaning::Corrupt => StoreError::Corrupt(detail),
        Meaning::Lost | Meaning::Unavailable => StoreError::Unavailable(detail),
    }
}

pub(crate) fn open_error(path: &std::path::Path, error: &rusqlite::Error) -> OpenError {
    let (path, detail) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { path, detail: "not an SQLite database".to_owned() },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Corrupt { path, detail },
        Some(ErrorCode::DiskFull) => OpenError::Full { path },
        _ => OpenError::Io { path, detail },
    }
}
