use bytes::Bytes;
use dormouse_model::RequestId;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output of the code.
    Stdout,
    /// Standard error of the code.
    Stderr,
    /// The platform itself: INIT_START, START, END, REPORT and refusals.
    Platform,
}

/// One line of a function's log, without its line end. Not necessarily UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Where it came from.
    pub stream: Stream,
    /// The invocation that was in progress; absent during init and between invocations.
    pub request_id: Option<RequestId>,
    /// The text.
    pub text: Bytes,
}

/// Takes the lines of one instance, in order. Never blocks and never fails: a sink that cannot keep up drops lines and
/// says later how many.
pub trait LogSink: Send + Sync + 'static {
    /// Takes one line.
    fn line(&self, line: LogLine);
}
