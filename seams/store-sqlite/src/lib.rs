//! The store seam on SQLite: one writer that groups waiting batches into one fsync.
//!
//! A data directory holds `store.db` with SQLite's `-wal` and `-shm` beside it, and `lock`, which the process that has
//! the directory open holds. Batches wait in two lanes; the writer thread takes what waits into one transaction, judges
//! each batch on its own, and commits them with one fsync. Reads run on connections of their own, each in a snapshot
//! that begins after the last acknowledged commit.
//!
//! After a failed write or fsync nothing can be promised any more: what the kernel holds may differ from what is on
//! disk. [`Settings::on_fatal`] is called, which ends the process, and every later call is refused.

mod backup;
mod error;
mod lock;
mod queue;
mod readers;
mod remembered;
mod schema;
mod store;
mod writer;

use std::sync::Arc;

use dormouse_model::{Clock, SystemClock};

pub use backup::{BackupError, Checked, backup_beside, check_backup, restore};
pub use error::OpenError;
pub use lock::DirLock;
pub use schema::FORMAT;
pub use store::SqliteStore;

/// The database in the data directory.
pub const FILE_NAME: &str = "store.db";

/// Called with a sentence when nothing can be promised any more.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// What an operator or a test may set.
#[derive(Clone)]
pub struct Settings {
    /// The clock under the store's; the store's never goes back.
    pub clock: Arc<dyn Clock>,
    /// Connections for reading, which is how many reads run at once.
    pub readers: usize,
    /// Memory for the page cache of the writer, in KiB. Each reader has an eighth of it.
    pub cache_kib: u32,
    /// Pages in the write-ahead log, about, after which they are carried into the database.
    pub checkpoint_pages: usize,
    /// Ends the process. The default says why on stderr and exits with [`FATAL_EXIT_CODE`].
    pub on_fatal: OnFatal,
    /// The SQLite VFS to use, by its registered name: for tests that cut the power.
    pub vfs: Option<String>,
}

/// How a process ends that could not write what it promised (`EX_IOERR` of sysexits.h).
pub const FATAL_EXIT_CODE: i32 = 74;

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            readers: 4,
            cache_kib: 8 * 1024,
            checkpoint_pages: 2_000,
            on_fatal: Arc::new(exit),
            vfs: None,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing may be drained or flushed as if it had been written")]
fn exit(why: &str) {
    eprintln!("dormouse: {why}; stopping, because what is on disk is not known any more");
    std::process::exit(FATAL_EXIT_CODE);
}
