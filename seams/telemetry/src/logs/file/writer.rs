//! The thread that writes. It ends when the log is closed, after all that was taken is written; a file that cannot be
//! written costs the records that were meant for it, which the log itself says once it can be written again.

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use dormouse_model::{Clock, Timestamp};

use super::queue::{Dropped, Waiting};
use super::segments::{self, Segment};
use super::{LogSettings, Shared};
use crate::append::append;
use crate::logs::record;
use crate::metrics::names;
use crate::{Counter, FunctionKey, LogRecord, LogStream, Metrics};

/// How many functions' segments and losses are remembered at most.
const REMEMBERED: usize = 4_096;
/// How long a function's segment is remembered after it was written.
const REMEMBER: Duration = Duration::from_secs(10);
/// How often a failing disk is complained about.
const COMPLAIN: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    current: HashMap<FunctionKey, Current>,
    lost: HashMap<FunctionKey, Dropped>,
    records: Counter,
    bytes: Counter,
    dropped_by_queue: Counter,
    dropped_by_disk: Counter,
    complained: Option<Instant>,
    swept: Option<Instant>,
}

/// The segment that a function writes to.
#[derive(Clone, Copy)]
struct Current {
    segment: Segment,
    length: u64,
    used: Instant,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        let dropped = metrics.counter(&names::LOG_DROPPED);
        Self {
            shared,
            clock,
            current: HashMap::new(),
            lost: HashMap::new(),
            records: metrics.counter(&names::LOG_RECORDS).with([]),
            bytes: metrics.counter(&names::LOG_BYTES).with([]),
            dropped_by_queue: dropped.with(["queue"]),
            dropped_by_disk: dropped.with(["disk"]),
            complained: None,
            swept: None,
        }
    }

    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let idle = if self.current.is_empty() { shared.settings.sweep } else { REMEMBER };
            let batch = shared.queue.take(shared.settings.linger, idle);
            for (function, waiting) in batch.waiting {
                self.write(&function, waiting);
                shared.followers.wake(&function);
            }
            for flushed in batch.flushes {
                // Who asked may have gone.
                let _ = flushed.send(());
            }
            if batch.stopped {
                return;
            }
            self.current.retain(|_, current| current.used.elapsed() < REMEMBER);
            self.sweep();
        }
    }

    /// Writes what one function has waiting.
    fn write(&mut self, function: &FunctionKey, waiting: Waiting) {
        let mut records = waiting.records;
        self.dropped_by_queue.add(waiting.dropped.map_or(0, |dropped| dropped.records));
        let own = records.len();
        let now = self.clock.now();
        records.extend(waiting.dropped.map(|dropped| note(now, dropped, "more was printed than fits into memory")));
        let lost = self.lost.remove(function);
        let version = records.last().map(|record| record.version);
        let note = lost.map(|lost| note(now, lost, "their file could not be written"));
        let (written, result) = self.append_all(function, note.into_iter().chain(records), now);
        let notes = usize::from(lost.is_some());
        let missing = (own + notes).saturating_sub(written) as u64;
        self.records.add((own as u64).saturating_sub(missing));
        let Err(error) = result else { return };
        let before = if written < notes { lost.map_or(0, |lost| lost.records) } else { 0 };
        self.lose(function, before, missing.saturating_sub(u64::from(before > 0)), version, &error);
    }

    /// Adds records to the function's segments, no more at once than fill one: however much has been waiting, retention
    /// goes by segments. Returns how many are there now.
    fn append_all(
        &mut self,
        function: &FunctionKey,
        records: impl Iterator<Item = LogRecord>,
        now: Timestamp,
    ) -> (usize, io::Result<()>) {
        let mut records = records.peekable();
        let mut written = 0;
        while records.peek().is_some() {
            let mut frames = Vec::new();
            while let Some(record) = records.next_if(|_| (frames.len() as u64) < self.shared.settings.segment_bytes) {
                record::write(&mut frames, record);
            }
            let (more, result) = self.append(function, &frames, now);
            written += more;
            if result.is_err() {
                return (written, result);
            }
        }
        (written, Ok(()))
    }

    /// Adds frames to the function's segment. Returns how many are there now.
    fn append(&mut self, function: &FunctionKey, frames: &[u8], now: Timestamp) -> (usize, io::Result<()>) {
        let directory = segments::directory(&self.shared.settings.directory, function);
        let segment = match self.segment(function, &directory, now) {
            Ok(segment) => segment,
            Err(error) => return (0, Err(error)),
        };
        let appended = append(&segment.path(&directory), frames, false);
        self.bytes.add(if appended.result.is_ok() { frames.len() as u64 } else { 0 });
        if appended.result.is_ok() && self.current.len() < REMEMBERED {
            let current = Current { segment, length: appended.length, used: Instant::now() };
            self.current.insert(function.clone(), current);
        } else {
            self.current.remove(function);
        }
        (appended.frames, appended.result)
    }

    /// The segment to write to, a new one when the last is full or old.
    fn segment(&self, function: &FunctionKey, directory: &Path, now: Timestamp) -> io::Result<Segment> {
        let settings = &self.shared.settings;
        let (last, length) = match self.current.get(function) {
            Some(current) => (Some(current.segment), current.length),
            None => last(directory)?,
        };
        if let Some(last) = last.filter(|last| !is_full(settings, *last, length, now)) {
            return Ok(last);
        }
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        segments::trim(directory, settings.retention_bytes.saturating_sub(settings.segment_bytes))?;
        Ok(Segment::after(last, now))
    }

    fn lose(
        &mut self,
        function: &FunctionKey,
        before: u64,
        now: u64,
        version: Option<dormouse_model::VersionNumber>,
        error: &io::Error,
    ) {
        self.dropped_by_disk.add(now);
        if let Some(version) = version.filter(|_| self.lost.len() < REMEMBERED) {
            self.lost.insert(function.clone(), Dropped { records: before + now, version });
        }
        if self.complained.is_none_or(|last| last.elapsed() > COMPLAIN) {
            self.complained = Some(Instant::now());
            let FunctionKey { account, function } = function;
            tracing::warn!(%account, %function, %error, lost = now, "function logs cannot be written; records are lost");
        }
    }

    /// Retention by age, over all functions.
    fn sweep(&mut self) {
        let settings = &self.shared.settings;
        if self.swept.is_some_and(|last| last.elapsed() < settings.sweep) {
            return;
        }
        self.swept = Some(Instant::now());
        let Some(oldest) = SystemTime::now().checked_sub(settings.retention_age) else { return };
        let swept = directories(&settings.directory).and_then(|accounts| {
            for function in
                accounts.iter().map(|account| directories(account)).collect::<io::Result<Vec<_>>>()?.concat()
            {
                segments::expire(&function, oldest)?;
            }
            Ok(())
        });
        self.current.clear();
        if let Err(error) = swept {
            tracing::warn!(%error, "old function logs cannot be removed");
        }
    }
}

fn is_full(settings: &LogSettings, segment: Segment, length: u64, now: Timestamp) -> bool {
    length >= settings.segment_bytes || now.since(Timestamp(segment.number)) >= settings.segment_age
}

fn last(directory: &Path) -> io::Result<(Option<Segment>, u64)> {
    match segments::list(directory)?.pop() {
        Some(last) => Ok((Some(last), std::fs::metadata(last.path(directory))?.len())),
        None => Ok((None, 0)),
    }
}

fn directories(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn note(time: Timestamp, dropped: Dropped, why: &str) -> LogRecord {
    let Dropped { records, version } = dropped;
    let (records, were) =
        if records == 1 { ("1 record".to_owned(), "was") } else { (format!("{records} records"), "were") };
    LogRecord {
        time,
        version,
        instance: String::new(),
        stream: LogStream::Platform,
        request_id: None,
        text: Bytes::from(format!("[dormouse] {records} of this log {were} dropped: {why}")),
    }
}
