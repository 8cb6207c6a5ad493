//! What is answered before a surface has seen a request: what is not HTTP, a header that is too large, a connection too
//! many. Such an answer has a request id like any other, is told in the log, and ends the connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dormouse_model::RequestId;
use http::StatusCode;

use crate::{Peer, REQUEST_ID_HEADER};

/// Most lines in the log a second, so that whoever knocks all day does not fill it.
const LINES_PER_SEC: u32 = 10;

/// Makes such answers, and says in the log that it did.
pub(crate) struct Refusals {
    start: Instant,
    /// Which second it is, and how many lines there were in it.
    lines: AtomicU64,
}

impl Refusals {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), lines: AtomicU64::new(0) }
    }

    /// The answer, from its first byte to its last.
    pub(crate) fn answer(&self, status: StatusCode, peer: &Peer) -> Vec<u8> {
        let (id, message) = (RequestId::random(), message(status));
        if self.may_log(self.start.elapsed().as_secs()) {
            let status = status.as_u16();
            tracing::info!(request_id = %id, status, peer = %peer.shown(), "refused before it was routed: {message}");
        }
        write(status, id, message)
    }

    fn may_log(&self, second: u64) -> bool {
        let count = |lines: u64| if lines >> 32 == second { lines + 1 } else { second << 32 | 1 };
        let before = self.lines.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lines| Some(count(lines)));
        count(before.unwrap_or_default()) as u32 <= LINES_PER_SEC
    }
}

fn message(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "This is no request that HTTP/1.1 knows.",
        StatusCode::URI_TOO_LONG => "The target of the request is longer than this node takes.",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "The header of the request is larger than this node takes, or has more fields. Send a smaller one."
        }
        StatusCode::SERVICE_UNAVAILABLE => "This node has as many connections as it may. Try again soon.",
        _ => "This node does not take the request.",
    }
}

fn write(status: StatusCode, id: RequestId, message: &str) -> Vec<u8> {
    let body = format!("{{\"message\":\"{message}\"}}");
    let retry = if status == StatusCode::SERVICE_UNAVAILABLE { "retry-after: 1\r\n" } else { "" };
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nconnection: close\r\n{retry}{REQUEST_ID_HEADER}: {id}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        status.as_u16(),
        body.len()
    );
    [head, body].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_announces_its_length_and_names_itself() {
        let id = RequestId::random();
        for status in [400, 414, 431, 503, 505] {
            let status = StatusCode::from_u16(status).expect("a status");
            let bytes = write(status, id, message(status));
            let text = std::str::from_utf8(&bytes).expect("text");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
            assert!(head.contains(&format!("\r\nx-amzn-requestid: {id}\r\n")), "{head}");
        }
    }

    #[test]
    fn a_flood_is_a_few_lines_a_second() {
        let refusals = Refusals::new();
        let lines = |second| (0..1_000).filter(|_| refusals.may_log(second)).count();
        assert_eq!([lines(0), lines(0), lines(7), lines(8)], [10, 0, 10, 10]);
    }
}
