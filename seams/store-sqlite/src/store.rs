use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_model::{Clock, Timestamp};
use dormouse_store::{
    Batch, CommitId, CommitOutcome, Hints, Lane, Read, Snapshot, Store, StoreResult, Watchers, check,
};
use tokio::sync::oneshot;

use crate::error::open_error;
use crate::lock::sync_dir;
use crate::queue::{Job, Queue, closed};
use crate::readers::{Readers, read_all};
use crate::writer::{Shared, Writer, stopped};
use crate::{BackupError, DirLock, FILE_NAME, OpenError, Settings, backup, schema};

/// The store in one data directory.
///
/// [`SqliteStore::close`] ends it; dropping it does the same and lets the directory go.
pub struct SqliteStore {
    readers: Readers,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    path: PathBuf,
    // Last, so that it is let go of last.
    _lock: DirLock,
}

/// The machine's clock, never going back, also not across a restart.
pub(crate) struct StoreClock {
    clock: Arc<dyn Clock>,
    latest: AtomicU64,
}

impl StoreClock {
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp(self.latest.fetch_max(now.0, Ordering::SeqCst).max(now.0))
    }

    pub(crate) fn not_before(&self, time: Timestamp) {
        self.latest.fetch_max(time.0, Ordering::SeqCst);
    }
}

impl SqliteStore {
    /// Opens the data directory, made if need be. Blocking.
    ///
    /// # Errors
    /// A sentence for the operator: see [`OpenError`].
    pub fn open(dir: &Path, settings: Settings) -> Result<Self, OpenError> {
        let lock = DirLock::take(dir)?;
        let path = dir.join(FILE_NAME);
        let io = |error: std::io::Error| OpenError::Io { path: dir.to_owned(), detail: error.to_string() };
        let db = schema::open_writer(&path, &settings)?;
        // The names of the new files must outlast a power cut before anything in them is acknowledged.
        sync_dir(dir).map_err(io)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent).map_err(io)?;
        }
        let readers = Readers::open(&path, &settings)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(),
            watchers: Watchers::default(),
            clock: StoreClock { clock: settings.clock, latest: AtomicU64::new(0) },
            stopped: AtomicBool::new(false),
            on_fatal: settings.on_fatal,
        });
        let checkpoint_pages = settings.checkpoint_pages;
        let writer =
            Writer::new(db, Arc::clone(&shared), checkpoint_pages).map_err(|error| open_error(&path, &error))?;
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(|| writer.run()).map_err(io)?;
        Ok(Self { readers, shared, writer: Mutex::new(Some(thread)), path, _lock: lock })
    }

    /// Writes a copy of the store as it is now to a new file, while commits go on. The copy is complete, checked for
    /// being readable and on disk when this returns.
    ///
    /// # Errors
    /// [`BackupError`]; nothing is left at `to` then.
    pub async fn backup(&self, to: &Path) -> Result<(), BackupError> {
        let to = to.to_owned();
        let prepared = backup::prepare(&to)?;
        let partial = prepared.clone();
        let copied = self.readers.run(move |db| backup::copy(db, &partial)).await;
        if let Err(error) = copied {
            backup::remove(&prepared);
            return Err(BackupError::Store(error));
        }
        match tokio::task::spawn_blocking(move || backup::finish(&prepared, &to)).await {
            Ok(finished) => finished,
            Err(_) => Err(BackupError::Store(closed())),
        }
    }

    /// Ends the store. What was queued is on disk when this returns, and in the database itself: no log stays beside it
    /// unless another process reads it. Whatever is asked for later is refused.
    pub async fn close(&self) {
        // The connection that is closed last removes the log; the writer's can.
        self.readers.close().await;
        self.shared.queue.close();
        let writer = self.take_writer();
        if tokio::task::spawn_blocking(move || join(writer)).await.is_err() {
            tracing::error!("the end of the store's writer could not be waited for");
        }
    }

    fn take_writer(&self) -> Option<JoinHandle<()>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn check_running(&self) -> StoreResult<()> {
        match self.shared.stopped.load(Ordering::SeqCst) {
            true => Err(stopped()),
            false => Ok(()),
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.shared.queue.close();
        join(self.take_writer());
    }
}

fn join(writer: Option<JoinHandle<()>>) {
    if writer.is_some_and(|writer| writer.join().is_err()) {
        tracing::error!("the writer of the store had panicked");
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn read(&self, reads: Vec<Read>) -> StoreResult<Snapshot> {
        check::check_reads(&reads)?;
        self.check_running()?;
        let found = match reads.is_empty() {
            true => Vec::new(),
            false => self.readers.run(move |db| read_all(db, &reads)).await?,
        };
        Ok(Snapshot { found, time: self.shared.clock.now() })
    }

    async fn commit_in(&self, lane: Lane, id: CommitId, batch: Batch) -> StoreResult<CommitOutcome> {
        check::check_batch(&batch)?;
        self.check_running()?;
        let (answer, answered) = oneshot::channel();
        self.shared.queue.push(lane, Job::Commit { id, batch, answer }).await?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn delete_range(&self, from: Bytes, to: Bytes, at_most: usize) -> StoreResult<bool> {
        check::check_range(&from, &to)?;
        self.check_running()?;
        let (answer, answered) = oneshot::channel();
        self.shared.queue.push(Lane::Bulk, Job::DeleteRange { from, to, at_most, answer }).await?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    fn watch(&self, prefix: Bytes) -> Hints {
        self.shared.watchers.watch(prefix)
    }
}
