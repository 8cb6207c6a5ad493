//! Takes what the code prints, as lines that carry the invocation in progress.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use dormouse_model::RequestId;
use dormouse_sandbox::{LogLine, LogSink, Stream};
use tokio::net::unix::pipe::Receiver;

use crate::config::ProcessConfig;
use crate::door::Serving;

/// Read at one time.
const CHUNK_BYTES: usize = 16 * 1024;
/// Read at most when an invocation ends; a pipe holds 64 KiB unless the code enlarged it to at most 1 MiB.
const DRAIN_BYTES: usize = 1024 * 1024;
/// The time over which output is counted against its limit.
const WINDOW: Duration = Duration::from_secs(1);

/// Both pipes of one instance. Reading goes on until it is dropped.
pub(crate) struct Output {
    shared: Arc<Shared>,
    _readers: Serving,
}

struct Shared {
    pipes: [(Stream, Receiver); 2],
    sink: Arc<dyn LogSink>,
    line_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    request_id: Option<RequestId>,
    /// What was printed after the last line end, for each pipe.
    partial: [BytesMut; 2],
}

/// Whether a read goes by what the event loop has heard, or asks the system itself, which knows of the last byte.
#[derive(Clone, Copy)]
enum How {
    WhenReady,
    Now,
}

enum Read {
    Bytes(usize),
    Nothing,
    End,
}

impl Output {
    /// Reads both pipes from now on.
    pub(crate) fn new(out: OwnedFd, err: OwnedFd, sink: Arc<dyn LogSink>, config: &ProcessConfig) -> io::Result<Self> {
        let pipes = [(Stream::Stdout, Receiver::from_owned_fd(out)?), (Stream::Stderr, Receiver::from_owned_fd(err)?)];
        let shared =
            Arc::new(Shared { pipes, sink, line_bytes: config.log_line_bytes.max(1), state: Mutex::default() });
        let mut readers = Serving::default();
        for which in 0..shared.pipes.len() {
            readers.push(follow(Arc::clone(&shared), which, config.log_bytes_per_second.max(1)));
        }
        Ok(Self { shared, _readers: readers })
    }

    /// From now on lines belong to this invocation.
    pub(crate) fn begin(&self, request_id: RequestId) {
        self.shared.lock().request_id = Some(request_id);
    }

    /// Takes all that has been printed so far, ends open lines, and the invocation that they belong to.
    pub(crate) fn end(&self) {
        let mut state = self.shared.lock();
        for which in 0..self.shared.pipes.len() {
            let mut left = DRAIN_BYTES;
            while let Read::Bytes(count) = self.shared.read(&mut state, which, How::Now) {
                left = left.saturating_sub(count);
                if left == 0 {
                    break;
                }
            }
            if !state.partial[which].is_empty() {
                let text = state.partial[which].split().freeze();
                self.shared.line(&state, which, text);
            }
        }
        state.request_id = None;
    }

    /// Writes a line of the platform's own.
    pub(crate) fn say(&self, text: impl Into<Bytes>) {
        let request_id = self.shared.lock().request_id;
        self.shared.sink.line(LogLine { stream: Stream::Platform, request_id, text: text.into() });
    }
}

async fn follow(shared: Arc<Shared>, which: usize, bytes_per_window: usize) {
    let mut window = Window::new(Instant::now(), bytes_per_window);
    loop {
        if shared.pipes[which].1.readable().await.is_err() {
            return;
        }
        let read = shared.read(&mut shared.lock(), which, How::WhenReady);
        match read {
            Read::Bytes(count) => {
                if let Some(pause) = window.count(count, Instant::now()) {
                    tokio::time::sleep(pause).await;
                }
            }
            Read::Nothing => {}
            Read::End => return,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A sink does not panic; should one, then a line is lost and the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One read, and the lines in it.
    fn read(&self, state: &mut State, which: usize, how: How) -> Read {
        let mut chunk = [0; CHUNK_BYTES];
        let pipe = &self.pipes[which].1;
        let read = match how {
            How::WhenReady => pipe.try_read(&mut chunk),
            How::Now => rustix::io::read(pipe, &mut chunk).map_err(io::Error::from),
        };
        let count = match read {
            Ok(0) => return Read::End,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Read::Nothing,
            Err(_) => return Read::End,
        };
        let mut rest = &chunk[..count];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.take(state, which, &rest[..end]);
            let text = state.partial[which].split().freeze();
            self.line(state, which, text);
            rest = &rest[end + 1..];
        }
        self.take(state, which, rest);
        Read::Bytes(count)
    }

    /// Adds to the open line, and splits it where it grows too long.
    fn take(&self, state: &mut State, which: usize, mut text: &[u8]) {
        while state.partial[which].len() + text.len() > self.line_bytes {
            let room = self.line_bytes - state.partial[which].len();
            state.partial[which].extend_from_slice(&text[..room]);
            text = &text[room..];
            let full = state.partial[which].split().freeze();
            self.line(state, which, full);
        }
        state.partial[which].extend_from_slice(text);
    }

    fn line(&self, state: &State, which: usize, text: Bytes) {
        self.sink.line(LogLine { stream: self.pipes[which].0, request_id: state.request_id, text });
    }
}

/// Counts bytes against a limit per [`WINDOW`].
struct Window {
    since: Instant,
    limit: usize,
    count: usize,
}

impl Window {
    fn new(since: Instant, limit: usize) -> Self {
        Self { since, limit, count: 0 }
    }

    /// Adds what was read; how long to rest when that is more than allowed.
    fn count(&mut self, bytes: usize, now: Instant) -> Option<Duration> {
        if now.duration_since(self.since) >= WINDOW {
            (self.since, self.count) = (now, 0);
        }
        self.count += bytes;
        let over = self.count >= self.limit;
        over.then(|| WINDOW.saturating_sub(now.duration_since(self.since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[derive(Default)]
    struct Lines(Mutex<Vec<LogLine>>);

    impl LogSink for Lines {
        fn line(&self, line: LogLine) {
            self.0.lock().expect("no panic").push(line);
        }
    }

    fn pipes(line_bytes: usize) -> (Output, Arc<Lines>, [std::fs::File; 2]) {
        let lines = Arc::new(Lines::default());
        let pair = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).expect("a pipe");
        let ((out, out_end), (err, err_end)) = (pair(), pair());
        let config = ProcessConfig { log_line_bytes: line_bytes, ..ProcessConfig::new("/nowhere") };
        let output = Output::new(out, err, Arc::clone(&lines) as Arc<dyn LogSink>, &config).expect("registered");
        (output, lines, [out_end.into(), err_end.into()])
    }

    fn texts(lines: &Lines) -> Vec<(Stream, bool, String)> {
        let lines = lines.0.lock().expect("no panic");
        let text = |line: &LogLine| String::from_utf8_lossy(&line.text).into_owned();
        lines.iter().map(|line| (line.stream, line.request_id.is_some(), text(line))).collect()
    }

    #[tokio::test]
    async fn all_that_was_printed_is_there_when_the_invocation_ends() {
        let (output, lines, [mut out, mut err]) = pipes(100);
        let id = RequestId::random();
        output.begin(id);
        out.write_all(b"one\ntwo\nopen").expect("written");
        err.write_all(b"oops").expect("written");
        output.end();
        out.write_all(b"later\n").expect("written");
        output.end();
        let expected = [
            (Stream::Stdout, true, "one"),
            (Stream::Stdout, true, "two"),
            (Stream::Stdout, true, "open"),
            (Stream::Stderr, true, "oops"),
            (Stream::Stdout, false, "later"),
        ];
        assert_eq!(texts(&lines), expected.map(|(stream, of, text)| (stream, of, text.to_owned())));
    }

    #[tokio::test]
    async fn a_long_line_is_split() {
        let (output, lines, [mut out, _err]) = pipes(4);
        out.write_all(b"abcdefghij\nk\n\n").expect("written");
        output.end();
        let texts: Vec<String> = texts(&lines).into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(texts, ["abcd", "efgh", "ij", "k", ""]);
    }

    #[test]
    fn a_flood_rests_until_its_window_is_over() {
        let start = Instant::now();
        let mut window = Window::new(start, 100);
        assert_eq!(window.count(60, start), None);
        let later = start + Duration::from_millis(400);
        assert_eq!(window.count(60, later), Some(Duration::from_millis(600)));
        assert_eq!(window.count(60, start + WINDOW), None);
    }
}
