//! Usage in files: `<directory>/<day>.usage`, one frame a row, rows of the same key and hour adding up.
//!
//! Records are summed in memory and written every [`UsageSettings::linger`]: what a kill may lose. A day's file is folded
//! into one row for each key and hour when it has grown, by writing a new file and renaming it over the old one. Rows that
//! cannot be written wait in memory for the disk.

mod days;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_model::{AccountId, Timestamp};
use tokio::sync::oneshot;

use super::{UsageKey, UsageRecord, UsageRecords, UsageRow, UsageSums};
use crate::{Counter, Metrics, TelemetryError, TelemetryResult};
use writer::Counted;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Where usage is kept, and for how long.
#[derive(Debug, Clone)]
pub struct UsageSettings {
    /// Made if it is not there.
    pub directory: PathBuf,
    /// How long sums may wait in memory; what a kill may lose. Named `usage.linger_ms`.
    pub linger: Duration,
    /// Most rows that wait in memory while the disk cannot be written; what goes beyond is lost and counted. Named
    /// `usage.waiting_rows`.
    pub waiting_rows: usize,
    /// A day's file that has grown by so much is folded. Named `usage.fold_bytes`.
    pub fold_bytes: u64,
    /// Days that lie longer ago go. Named `usage.retention_secs`.
    pub retention_age: Duration,
}

impl UsageSettings {
    /// The defaults, in a directory.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            linger: Duration::from_secs(5),
            waiting_rows: 100_000,
            fold_bytes: 8 << 20,
            retention_age: Duration::from_secs(400 * 24 * 3600),
        }
    }
}

/// Rows by the start of their hour and their key.
type Rows = BTreeMap<(Timestamp, UsageKey), UsageSums>;

/// [`UsageRecords`] in files. Dropping it writes what waits and ends its thread.
pub struct FileUsage {
    shared: Arc<Shared>,
    counted: Counted,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    settings: UsageSettings,
    state: Mutex<State>,
    news: Condvar,
    lost: Counter,
}

#[derive(Default)]
struct State {
    rows: Rows,
    flushes: Vec<oneshot::Sender<()>>,
    stopped: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to a row, unless that would be one row too many.
    fn add(&self, state: &mut State, hour: Timestamp, key: UsageKey, sums: &UsageSums) {
        let full = state.rows.len() >= self.settings.waiting_rows;
        let row = (hour, key);
        if full && !state.rows.contains_key(&row) {
            self.lost.inc();
            return;
        }
        state.rows.entry(row).or_default().add(sums);
    }
}

impl FileUsage {
    /// Makes the directory if needed and starts the writer. Counts what is recorded in the metrics, too.
    pub fn open(settings: UsageSettings, metrics: &Metrics) -> TelemetryResult<Self> {
        let directory = settings.directory.clone();
        std::fs::create_dir_all(&directory).map_err(TelemetryError::files(&directory))?;
        let lost = metrics.counter(&crate::names::USAGE_LOST).with([]);
        let shared = Arc::new(Shared { settings, state: Mutex::default(), news: Condvar::new(), lost });
        let writer = writer::Writer::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("dormouse-usage".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(TelemetryError::files(directory))?;
        Ok(Self { shared, counted: Counted::new(metrics), writer: Mutex::new(Some(thread)) })
    }
}

impl Drop for FileUsage {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.news.notify_one();
        if let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // A writer that panicked has said so; there is nobody left to tell.
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl UsageRecords for FileUsage {
    fn record(&self, record: UsageRecord) {
        self.counted.count(&record);
        let sums = UsageSums::of(&record);
        let hour = Timestamp(record.time.0 - record.time.0 % HOUR_MS);
        let UsageRecord { account, function, version, alias, .. } = record;
        let mut state = self.shared.lock();
        let was_empty = state.rows.is_empty();
        self.shared.add(&mut state, hour, UsageKey { account, function, version, alias }, &sums);
        drop(state);
        if was_empty {
            self.shared.news.notify_one();
        }
    }

    async fn flush(&self) {
        let (done, written) = oneshot::channel();
        self.shared.lock().flushes.push(done);
        self.shared.news.notify_one();
        // An error means that the writer has ended, and it writes all it has before it does.
        let _ = written.await;
    }

    async fn read(&self, account: Option<AccountId>, from: Timestamp, to: Timestamp) -> TelemetryResult<Vec<UsageRow>> {
        self.flush().await;
        let directory = self.shared.settings.directory.clone();
        let read = tokio::task::spawn_blocking(move || {
            days::read(&directory, account.as_ref(), from, to).map_err(TelemetryError::files(directory))
        });
        read.await.unwrap_or(Err(TelemetryError::Closed))
    }
}

#[cfg(test)]
mod tests;
