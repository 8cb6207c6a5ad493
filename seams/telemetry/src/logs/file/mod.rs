//! Function logs in files: `<directory>/<account>/<function>/<number>.log`, one frame a record.
//!
//! ```text
//! append -> queue (bounded, by function) -> writer thread -> segment -> next segment ... -> removed by age or size
//!                                               |
//!                                               +-> wakes followers
//! ```
//!
//! A function that prints nothing has neither an open file nor memory here. Segments are numbered by the time of their
//! making in milliseconds, or one more than the last if that is later, so their names say which times they can hold.

mod follow;
mod queue;
mod read;
mod segments;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_model::Clock;
use tokio::sync::oneshot;

use super::{FunctionKey, FunctionLogs, LogFollow, LogPage, LogQuery, LogRecord};
use crate::{Metrics, TelemetryError, TelemetryResult};
use follow::Followers;
use queue::Queue;

/// Where logs are kept, and how much of them.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Made if it is not there.
    pub directory: PathBuf,
    /// How long records may wait in memory; what a kill may lose. Named `logs.linger_ms`.
    pub linger: Duration,
    /// Most bytes that wait in memory for all functions together. Named `logs.queue_bytes`.
    pub queue_bytes: usize,
    /// Most bytes that wait in memory for one function. Named `logs.function_queue_bytes`.
    pub function_queue_bytes: usize,
    /// Most bytes of one record's text; the rest is cut. Named `logs.record_bytes`.
    pub record_bytes: usize,
    /// A segment that has reached this size is followed by a new one. Named `logs.segment_bytes`.
    pub segment_bytes: u64,
    /// A segment that has reached this age is followed by a new one. Named `logs.segment_age_secs`.
    pub segment_age: Duration,
    /// Most bytes that are kept of one function; oldest segments go first. Named `logs.retention_bytes`.
    pub retention_bytes: u64,
    /// Segments that were last written longer ago than this go. Named `logs.retention_secs`.
    pub retention_age: Duration,
    /// How often retention by age is looked at. Named `logs.sweep_secs`.
    pub sweep: Duration,
}

impl LogSettings {
    /// The defaults, in a directory.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            linger: Duration::from_millis(50),
            queue_bytes: 64 << 20,
            function_queue_bytes: 8 << 20,
            record_bytes: 256 << 10,
            segment_bytes: 8 << 20,
            segment_age: Duration::from_secs(24 * 3600),
            retention_bytes: 256 << 20,
            retention_age: Duration::from_secs(30 * 24 * 3600),
            sweep: Duration::from_secs(3600),
        }
    }
}

/// [`FunctionLogs`] in files. Dropping it writes what waits and ends its thread.
pub struct FileLogs {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What callers and the writer share.
struct Shared {
    settings: LogSettings,
    queue: Queue,
    followers: Followers,
}

impl FileLogs {
    /// Makes the directory if needed and starts the writer.
    pub fn open(settings: LogSettings, clock: Arc<dyn Clock>, metrics: &Metrics) -> TelemetryResult<Self> {
        let directory = settings.directory.clone();
        std::fs::create_dir_all(&directory).map_err(TelemetryError::files(&directory))?;
        let queue = Queue::new(&settings);
        let shared = Arc::new(Shared { settings, queue, followers: Followers::default() });
        let writer = writer::Writer::new(Arc::clone(&shared), clock, metrics);
        let thread = std::thread::Builder::new().name("dormouse-logs".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(TelemetryError::files(directory))?;
        Ok(Self { shared, writer: Mutex::new(Some(thread)) })
    }
}

impl Drop for FileLogs {
    fn drop(&mut self) {
        self.shared.queue.stop();
        if let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // A writer that panicked has said so; there is nobody left to tell.
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl FunctionLogs for FileLogs {
    fn append(&self, function: &FunctionKey, record: LogRecord) {
        self.shared.queue.push(function, record);
    }

    async fn flush(&self) {
        let (done, written) = oneshot::channel();
        self.shared.queue.flush(done);
        // An error means that the writer has ended, and it writes all it has before it does.
        let _ = written.await;
    }

    async fn read(&self, query: LogQuery) -> TelemetryResult<LogPage> {
        self.flush().await;
        read::page(Arc::clone(&self.shared), query).await
    }

    fn follow(&self, query: LogQuery) -> Box<dyn LogFollow> {
        Box::new(follow::FileFollow::new(Arc::clone(&self.shared), query))
    }
}

#[cfg(test)]
mod tests;
