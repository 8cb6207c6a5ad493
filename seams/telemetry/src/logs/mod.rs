//! The lines that functions print and that the platform writes around their invocations.

pub(crate) mod file;
mod record;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_model::{AccountId, FunctionName, RequestId, Timestamp, VersionNumber};
use serde::{Deserialize, Serialize};

use crate::{TelemetryError, TelemetryResult};

/// Whose log: one function of one account, all versions together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionKey {
    /// The owner.
    pub account: AccountId,
    /// The function.
    pub function: FunctionName,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output of the code.
    Stdout,
    /// Standard error of the code.
    Stderr,
    /// The platform: INIT_START, START, END, REPORT, refusals, and what the log says of itself.
    Platform,
}

/// One line of a function's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// When the line was taken from the function.
    pub time: Timestamp,
    /// The version that printed it.
    pub version: VersionNumber,
    /// The instance that printed it; the name of its log stream. Empty for what belongs to no instance.
    pub instance: String,
    /// Where it came from.
    pub stream: LogStream,
    /// The invocation that was in progress; absent during init and between invocations.
    pub request_id: Option<RequestId>,
    /// The text without its line end. Not necessarily UTF-8. What is longer than the limit of the log is cut.
    pub text: Bytes,
}

/// A place in one function's log: behind the last record that was read. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogCursor {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

impl fmt::Display for LogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.segment, self.offset)
    }
}

impl FromStr for LogCursor {
    type Err = TelemetryError;

    fn from_str(text: &str) -> TelemetryResult<Self> {
        let no_cursor = || TelemetryError::Cursor(text.to_owned());
        let number = |part: &str| match part.bytes().all(|b| b.is_ascii_hexdigit()) {
            true => u64::from_str_radix(part, 16).map_err(|_| no_cursor()),
            false => Err(no_cursor()),
        };
        let (segment, offset) = text.split_once('-').ok_or_else(no_cursor)?;
        Ok(Self { segment: number(segment)?, offset: number(offset)? })
    }
}

/// Which records to read, oldest first.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// Whose.
    pub function: FunctionKey,
    /// Not before; inclusive.
    pub since: Timestamp,
    /// Not after; inclusive.
    pub until: Timestamp,
    /// Only of this invocation.
    pub request_id: Option<RequestId>,
    /// At most so many records in a page; no more than [`LogQuery::LIMIT`] are returned.
    pub limit: usize,
    /// Where the last page ended; absent for the first one.
    pub after: Option<LogCursor>,
}

impl LogQuery {
    /// Most records in one page.
    pub const LIMIT: usize = 10_000;

    /// Everything that a function's log holds.
    pub fn all(function: FunctionKey) -> Self {
        Self {
            function,
            since: Timestamp(0),
            until: Timestamp(u64::MAX),
            request_id: None,
            limit: Self::LIMIT,
            after: None,
        }
    }

    pub(crate) fn wants(&self, record: &LogRecord) -> bool {
        (self.since..=self.until).contains(&record.time)
            && self.request_id.is_none_or(|id| record.request_id == Some(id))
    }
}

/// Some records, in the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPage {
    /// At most [`LogQuery::limit`].
    pub records: Vec<LogRecord>,
    /// Continue from here: with the next page, or later with what has been written since.
    pub cursor: LogCursor,
    /// Whether there may be more now. A page may also be short, or empty, because it has searched long enough.
    pub more: bool,
    /// Lines that were passed over because they were not whole.
    pub torn: u64,
}

/// The logs of all functions.
#[async_trait]
pub trait FunctionLogs: Send + Sync + 'static {
    /// Takes one record. Never blocks and never fails: what does not fit is dropped, and the log itself says later how
    /// much that was.
    fn append(&self, function: &FunctionKey, record: LogRecord);

    /// Returns when all that was appended before can be read.
    async fn flush(&self);

    /// One page. Includes all that was appended before the call. A function without a log has an empty one.
    async fn read(&self, query: LogQuery) -> TelemetryResult<LogPage>;

    /// Records from where the query begins, then each as it is written, without an end. `until` and `limit` are not
    /// looked at.
    fn follow(&self, query: LogQuery) -> Box<dyn LogFollow>;
}

/// A reader that waits for news.
#[async_trait]
pub trait LogFollow: Send {
    /// The next records, at least one. Waits for them as long as it takes; dropping the future loses none.
    async fn next(&mut self) -> TelemetryResult<Vec<LogRecord>>;
}
