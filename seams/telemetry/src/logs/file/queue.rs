//! What waits to be written: bounded for all functions together and for each of them, so that one that prints without
//! end takes nothing from its neighbours.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dormouse_model::VersionNumber;
use tokio::sync::oneshot;

use super::LogSettings;
use crate::{FunctionKey, LogRecord};

/// What a record costs beyond its text.
const RECORD_OVERHEAD_BYTES: usize = 160;
/// Appended to a text that was cut.
const CUT: &[u8] = b"... (cut)";

pub(super) struct Queue {
    state: Mutex<State>,
    news: Condvar,
    total_bytes: usize,
    function_bytes: usize,
    record_bytes: usize,
}

#[derive(Default)]
struct State {
    waiting: HashMap<FunctionKey, Waiting>,
    bytes: usize,
    flushes: Vec<oneshot::Sender<()>>,
    stopped: bool,
}

/// What one function has waiting.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) records: Vec<LogRecord>,
    pub(super) dropped: Option<Dropped>,
    bytes: usize,
}

/// How many records did not fit, and the version of the last of them.
#[derive(Clone, Copy)]
pub(super) struct Dropped {
    pub(super) records: u64,
    pub(super) version: VersionNumber,
}

/// What the writer takes in one go.
pub(super) struct Batch {
    pub(super) waiting: HashMap<FunctionKey, Waiting>,
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    pub(super) stopped: bool,
}

impl Queue {
    pub(super) fn new(settings: &LogSettings) -> Self {
        Self {
            state: Mutex::default(),
            news: Condvar::new(),
            total_bytes: settings.queue_bytes,
            function_bytes: settings.function_queue_bytes,
            record_bytes: settings.record_bytes,
        }
    }

    pub(super) fn push(&self, function: &FunctionKey, mut record: LogRecord) {
        cut(&mut record, self.record_bytes);
        let bytes = record.text.len() + record.instance.len() + RECORD_OVERHEAD_BYTES;
        let mut state = self.lock();
        let State { waiting, bytes: total, .. } = &mut *state;
        let was_empty = waiting.is_empty();
        if !waiting.contains_key(function) {
            waiting.insert(function.clone(), Waiting::default());
        }
        let Some(own) = waiting.get_mut(function) else { return };
        if *total + bytes > self.total_bytes || own.bytes + bytes > self.function_bytes {
            let before = own.dropped.map_or(0, |dropped| dropped.records);
            own.dropped = Some(Dropped { records: before + 1, version: record.version });
            return;
        }
        own.bytes += bytes;
        own.records.push(record);
        let half = self.function_bytes / 2;
        let crossed = own.bytes > half && own.bytes - bytes <= half;
        *total += bytes;
        drop(state);
        if was_empty || crossed {
            self.news.notify_one();
        }
    }

    pub(super) fn flush(&self, done: oneshot::Sender<()>) {
        let mut state = self.lock();
        if state.stopped {
            return;
        }
        state.flushes.push(done);
        drop(state);
        self.news.notify_one();
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.news.notify_one();
    }

    /// Waits for records, then up to `linger` for more of them; not when someone waits for a flush. Returns empty after
    /// `idle` without news.
    pub(super) fn take(&self, linger: Duration, idle: Duration) -> Batch {
        let urgent = |state: &State| !state.flushes.is_empty() || state.stopped;
        let state = self.lock();
        let waited = self.news.wait_timeout_while(state, idle, |state| state.waiting.is_empty() && !urgent(state));
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + linger;
        while !urgent(&state) && !state.waiting.is_empty() && !self.crowded(&state) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.bytes = 0;
        let waiting = std::mem::take(&mut state.waiting);
        Batch { waiting, flushes: std::mem::take(&mut state.flushes), stopped: state.stopped }
    }

    fn crowded(&self, state: &State) -> bool {
        state.bytes > self.total_bytes / 2
            || state.waiting.values().any(|waiting| waiting.bytes > self.function_bytes / 2)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(record: &mut LogRecord, limit: usize) {
    if record.text.len() <= limit {
        return;
    }
    // Not within a character, if the text is one of characters.
    let mut end = limit;
    while end > limit.saturating_sub(3) && record.text[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    let mut text = record.text[..end].to_vec();
    text.extend_from_slice(CUT);
    record.text = text.into();
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use dormouse_model::Timestamp;

    use super::*;
    use crate::LogStream;

    fn key(name: &str) -> FunctionKey {
        let account = "000000000000".parse().expect("an account");
        FunctionKey { account, function: name.parse().expect("a name") }
    }

    fn record(text: impl Into<Bytes>) -> LogRecord {
        LogRecord {
            time: Timestamp(1),
            version: VersionNumber::Latest,
            instance: String::new(),
            stream: LogStream::Stdout,
            request_id: None,
            text: text.into(),
        }
    }

    fn queue(total: usize, function: usize) -> Queue {
        let settings =
            LogSettings { queue_bytes: total, function_queue_bytes: function, ..LogSettings::in_directory("/none") };
        Queue::new(&settings)
    }

    #[test]
    fn a_loud_function_leaves_room_for_a_quiet_one() {
        let queue = queue(10_000, 1_000);
        for _ in 0..50 {
            queue.push(&key("loud"), record("x"));
        }
        queue.push(&key("quiet"), record("y"));
        let batch = queue.take(Duration::ZERO, Duration::ZERO);
        let loud = &batch.waiting[&key("loud")];
        assert_eq!(loud.records.len() as u64 + loud.dropped.expect("dropped").records, 50);
        assert_eq!(batch.waiting[&key("quiet")].records.len(), 1);
        assert!(batch.waiting[&key("quiet")].dropped.is_none());
    }

    #[test]
    fn all_functions_together_are_bounded() {
        let queue = queue(1_000, 1_000);
        for n in 0..50 {
            queue.push(&key(&format!("f{n}")), record("x"));
        }
        let batch = queue.take(Duration::ZERO, Duration::ZERO);
        let kept: usize = batch.waiting.values().map(|waiting| waiting.records.len()).sum();
        assert_eq!(kept, 1_000 / (RECORD_OVERHEAD_BYTES + 1));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut long = record("aä".repeat(10));
        cut(&mut long, 8);
        assert_eq!(long.text, Bytes::from("aäaäa... (cut)"));
        let mut exact = record("12345678");
        cut(&mut exact, 8);
        assert_eq!(exact.text, Bytes::from("12345678"));
    }
}
