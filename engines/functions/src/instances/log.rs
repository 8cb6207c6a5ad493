//! The log of one instance: what its code prints and what the platform writes around its invocations.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dormouse_model::{Clock, RequestId, VersionNumber, limits};
use dormouse_sandbox::{LogLine, LogSink, Stream};
use dormouse_telemetry::{FunctionKey, FunctionLogs, LogRecord, LogStream};

/// Takes lines from the sandbox and from the engine, in one order.
pub(crate) struct InstanceLog {
    pub(crate) logs: Arc<dyn FunctionLogs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) function: FunctionKey,
    pub(crate) version: VersionNumber,
    pub(crate) instance: String,
    tail: Mutex<Option<Tail>>,
}

/// The last bytes of the log of one invocation.
#[derive(Debug, Default, Clone)]
struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    fn push(&mut self, line: &[u8]) {
        // What lies before the last bytes of a very long line is dropped before it is copied.
        let line = &line[line.len().saturating_sub(limits::LOG_TAIL_BYTES)..];
        self.bytes.extend(line);
        self.bytes.push_back(b'\n');
        let surplus = self.bytes.len().saturating_sub(limits::LOG_TAIL_BYTES);
        self.bytes.drain(..surplus);
    }
}

impl InstanceLog {
    pub(crate) fn new(
        logs: Arc<dyn FunctionLogs>,
        clock: Arc<dyn Clock>,
        function: FunctionKey,
        version: VersionNumber,
        instance: String,
    ) -> Self {
        Self { logs, clock, function, version, instance, tail: Mutex::default() }
    }

    /// The same log with a tail of its own: one failed start may be the end of several invocations at one time.
    pub(crate) fn of_one_call(&self) -> Self {
        Self {
            logs: self.logs.clone(),
            clock: self.clock.clone(),
            function: self.function.clone(),
            version: self.version,
            instance: self.instance.clone(),
            tail: Mutex::new(self.tail().clone()),
        }
    }

    fn tail(&self) -> MutexGuard<'_, Option<Tail>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Collects the tail from here on.
    pub(crate) fn begin_tail(&self) {
        *self.tail() = Some(Tail::default());
    }

    /// What was collected.
    pub(crate) fn end_tail(&self) -> Option<Bytes> {
        self.tail().take().map(|tail| Vec::from(tail.bytes).into())
    }

    /// A line of the platform's own.
    pub(crate) fn platform(&self, request_id: Option<RequestId>, text: String) {
        self.line(LogLine { stream: Stream::Platform, request_id, text: text.into() });
    }
}

impl LogSink for InstanceLog {
    fn line(&self, line: LogLine) {
        if let Some(tail) = self.tail().as_mut() {
            tail.push(&line.text);
        }
        let stream = match line.stream {
            Stream::Stdout => LogStream::Stdout,
            Stream::Stderr => LogStream::Stderr,
            Stream::Platform => LogStream::Platform,
        };
        let record = LogRecord {
            time: self.clock.now(),
            version: self.version,
            instance: self.instance.clone(),
            stream,
            request_id: line.request_id,
            text: line.text,
        };
        self.logs.append(&self.function, record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_last_four_kilobytes() {
        let mut tail = Tail::default();
        tail.push(&[b'a'; 10_000]);
        tail.push(b"end");
        assert_eq!(tail.bytes.len(), limits::LOG_TAIL_BYTES);
        assert!(Vec::from(tail.bytes).ends_with(b"a\nend\n"));
    }
}
