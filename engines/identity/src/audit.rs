//! The audit trail: one line for every control-plane call.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use dormouse_model::Timestamp;
use serde::Serialize;

/// Who did what to what, from where, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRecord {
    /// When the call ended, RFC 3339.
    #[serde(serialize_with = "as_text")]
    pub time: Timestamp,
    /// The caller's account; absent when nobody was believed.
    pub account: Option<String>,
    /// The caller's ARN.
    pub caller: Option<String>,
    /// The key that signed, or was claimed to.
    pub access_key_id: Option<String>,
    /// The address of the client.
    pub source_ip: Option<String>,
    /// `service:Operation`.
    pub action: String,
    /// The ARN, or `*`.
    pub resource: Option<String>,
    /// As it was answered.
    pub request_id: String,
    /// The error code; absent after success.
    pub error: Option<String>,
}

fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Takes audit records without waiting.
pub trait AuditSink: Send + Sync + 'static {
    /// Takes a record. Never blocks; what cannot be kept is counted and said in the log.
    fn record(&self, record: AuditRecord);
}

/// Records that may wait to be written.
const WAITING: usize = 16_384;
/// Bytes after which a file is put aside.
pub const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Files that are put aside and kept.
pub const FILES: usize = 16;

/// Writes JSON lines to `audit.jsonl` in a directory, from a thread of its own; full files become `audit.1.jsonl` (the
/// newest), `audit.2.jsonl`, ... Dropping it writes what waits.
pub struct FileAudit {
    queue: Option<SyncSender<AuditRecord>>,
    dropped: std::sync::Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl FileAudit {
    /// Opens the trail in a directory, which must exist.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Self::with_limits(directory, FILE_BYTES, FILES)
    }

    /// The same with another size of a file, and number of files put aside.
    pub fn with_limits(directory: &Path, file_bytes: u64, files: usize) -> io::Result<Self> {
        let trail = Trail::open(directory.to_owned(), file_bytes, files)?;
        let (queue, waiting) = sync_channel(WAITING);
        let dropped = std::sync::Arc::new(AtomicU64::new(0));
        let counter = std::sync::Arc::clone(&dropped);
        let writer =
            std::thread::Builder::new().name("audit".to_owned()).spawn(move || trail.run(&waiting, &counter))?;
        Ok(Self { queue: Some(queue), dropped, writer: Mutex::new(Some(writer)) })
    }
}

impl AuditSink for FileAudit {
    fn record(&self, record: AuditRecord) {
        let Some(queue) = &self.queue else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(record) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for FileAudit {
    fn drop(&mut self) {
        self.queue = None;
        let writer = self.writer.get_mut().map(Option::take).unwrap_or_default();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the audit trail's thread failed");
        }
    }
}

struct Trail {
    directory: PathBuf,
    file: File,
    bytes: u64,
    file_bytes: u64,
    files: usize,
}

impl Trail {
    fn open(directory: PathBuf, file_bytes: u64, files: usize) -> io::Result<Self> {
        let file = open_file(&directory)?;
        let bytes = file.metadata()?.len();
        Ok(Self { directory, file, bytes, file_bytes, files })
    }

    /// Writes in batches: whatever waits goes out in one write and one sync.
    fn run(mut self, waiting: &Receiver<AuditRecord>, dropped: &AtomicU64) {
        while let Ok(first) = waiting.recv() {
            let mut lines = Vec::new();
            for record in std::iter::once(first).chain(waiting.try_iter().take(WAITING)) {
                match serde_json::to_writer(&mut lines, &record) {
                    Ok(()) => lines.push(b'\n'),
                    Err(error) => tracing::error!(%error, "an audit record cannot be written as JSON"),
                }
            }
            if let Err(error) = self.write(&lines) {
                tracing::error!(%error, "the audit trail cannot be written; records are lost");
            }
            let lost = dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                tracing::error!(lost, "the audit trail could not keep up; records are lost");
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + lines.len() as u64 > self.file_bytes {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.bytes += lines.len() as u64;
        self.file.sync_data()
    }

    fn rotate(&mut self) -> io::Result<()> {
        let aside = |n: usize| self.directory.join(format!("audit.{n}.jsonl"));
        for n in (1..self.files).rev().filter(|n| aside(*n).exists()) {
            std::fs::rename(aside(n), aside(n + 1))?;
        }
        std::fs::rename(self.directory.join("audit.jsonl"), aside(1))?;
        self.file = open_file(&self.directory)?;
        self.bytes = 0;
        Ok(())
    }
}

fn open_file(directory: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(directory.join("audit.jsonl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: usize) -> AuditRecord {
        AuditRecord {
            time: Timestamp(1_795_325_324_007),
            account: Some("000000000000".to_owned()),
            caller: None,
            access_key_id: None,
            source_ip: Some("127.0.0.1".to_owned()),
            action: "iam:CreateRole".to_owned(),
            resource: None,
            request_id: n.to_string(),
            error: Some("AccessDenied".to_owned()),
        }
    }

    fn request_ids(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).expect("a file");
        let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["request_id"].clone();
        text.lines().map(|line| id(line).as_str().expect("text").to_owned()).collect()
    }

    #[test]
    fn every_record_is_a_line_and_files_are_put_aside() {
        let directory = tempfile::tempdir().expect("a directory");
        for n in 0..6 {
            // One at a time, so that each is a batch.
            let audit = FileAudit::with_limits(directory.path(), 600, 2).expect("opened");
            audit.record(record(n));
        }
        assert_eq!(request_ids(&directory.path().join("audit.jsonl")), ["4", "5"]);
        assert_eq!(request_ids(&directory.path().join("audit.1.jsonl")), ["2", "3"]);
        assert_eq!(request_ids(&directory.path().join("audit.2.jsonl")), ["0", "1"]);
    }
}
