//! Reads segments, oldest first.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::segments::{self, Segment};
use crate::logs::record;
use crate::{LogCursor, LogPage, LogQuery, TelemetryError, TelemetryResult};

/// How far the time of a record may be from the time at which it was written, when segments are chosen by time.
const SLACK: Duration = Duration::from_secs(60);
/// Most bytes of text in a page, and most bytes that are searched for one.
const PAGE_BYTES: usize = 8 << 20;
const SEARCH_BYTES: u64 = 64 << 20;

/// One page, read on a thread where waiting for a disk harms nobody.
pub(super) async fn page(shared: Arc<Shared>, query: LogQuery) -> TelemetryResult<LogPage> {
    let read = tokio::task::spawn_blocking(move || {
        let directory = segments::directory(&shared.settings.directory, &query.function);
        read(&directory, &query).map_err(TelemetryError::files(directory))
    });
    read.await.unwrap_or(Err(TelemetryError::Closed))
}

/// What a page has gathered.
struct Gathering<'a> {
    query: &'a LogQuery,
    limit: usize,
    page: LogPage,
    text_bytes: usize,
    searched: u64,
}

/// Why reading a segment stopped.
enum Stop {
    /// Its end, so far.
    End,
    /// The page is full.
    Full,
    /// What follows is too late for the query.
    TooLate,
}

pub(super) fn read(directory: &Path, query: &LogQuery) -> io::Result<LogPage> {
    let start = query.after.unwrap_or_default();
    let segments: Vec<_> =
        segments::list(directory)?.into_iter().filter(|segment| segment.number >= start.segment).collect();
    let page = LogPage { cursor: start, ..LogPage::default() };
    let limit = query.limit.clamp(1, LogQuery::LIMIT);
    let mut gathering = Gathering { query, limit, page, text_bytes: 0, searched: 0 };
    for (n, segment) in segments.iter().enumerate() {
        let next = segments.get(n + 1);
        if next.is_some_and(|next| next.number < (query.since - SLACK).0) {
            continue;
        }
        if segment.number > (query.until + SLACK).0 {
            break;
        }
        let offset = if segment.number == start.segment { start.offset } else { 0 };
        match gathering.segment(directory, *segment, offset)? {
            Stop::End => {}
            Stop::TooLate => break,
            Stop::Full => {
                gathering.page.more = true;
                break;
            }
        }
    }
    Ok(gathering.page)
}

impl Gathering<'_> {
    /// Reads on in one segment. Its last line counts only with its newline: it may be in the making.
    fn segment(&mut self, directory: &Path, segment: Segment, offset: u64) -> io::Result<Stop> {
        let mut file = match File::open(segment.path(directory)) {
            // Retention was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stop::End),
            file => BufReader::with_capacity(64 << 10, file?),
        };
        file.seek(SeekFrom::Start(offset))?;
        self.page.cursor = LogCursor { segment: segment.number, offset };
        let mut line = Vec::new();
        loop {
            if self.is_full() {
                return Ok(Stop::Full);
            }
            line.clear();
            let length = file.read_until(b'\n', &mut line)? as u64;
            if line.pop() != Some(b'\n') {
                return Ok(Stop::End);
            }
            let before = self.page.cursor;
            self.page.cursor.offset += length;
            self.searched += length;
            if self.line(&line) {
                self.page.cursor = before;
                return Ok(Stop::TooLate);
            }
        }
    }

    /// Takes one line. True when it is later than anything that the query wants.
    fn line(&mut self, line: &[u8]) -> bool {
        match record::read(line) {
            None => self.page.torn += 1,
            Some(record) if record.time > self.query.until + SLACK => return true,
            Some(record) if self.query.wants(&record) => {
                self.text_bytes += record.text.len();
                self.page.records.push(record);
            }
            Some(_) => {}
        }
        false
    }

    fn is_full(&self) -> bool {
        self.page.records.len() >= self.limit || self.text_bytes >= PAGE_BYTES || self.searched >= SEARCH_BYTES
    }
}
