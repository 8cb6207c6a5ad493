//! The frames of the channel between the node and our own bootstraps.
//!
//! ```text
//! kind: u8 | head length: u32 LE | body length: u32 LE | head | body
//!
//! node to bootstrap   V  an invocation; head: id, deadline in ms, ARN, trace id, client context, one a line (the last
//!                        may hold line ends itself); body: the event
//! bootstrap to node   N  ready for the first event, which ends init; head and body empty
//!                     R  response and ready again; head: id; body: the response
//!                     E  error and ready again; head: id, error type, one a line; body: the error's JSON
//!                     L  as E, and the program ends itself
//!                     I  init failed; head: error type; body: the error's JSON
//! ```

use dormouse_model::Invocation;

/// Bytes before the head.
pub(crate) const PREFIX_BYTES: usize = 9;
/// The longest head that is taken from a bootstrap: an id and an error type fit many times.
pub(crate) const HEAD_BYTES_MAX: usize = 4096;

/// What a bootstrap may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ready,
    Response,
    Error,
    LastError,
    InitError,
}

/// The first bytes of a frame from a bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) kind: Kind,
    pub(crate) head_bytes: usize,
    pub(crate) body_bytes: usize,
}

/// Reads a prefix; the message says what is wrong with it.
pub(crate) fn read_prefix(bytes: &[u8; PREFIX_BYTES]) -> Result<Prefix, String> {
    let kind = match bytes[0] {
        b'N' => Kind::Ready,
        b'R' => Kind::Response,
        b'E' => Kind::Error,
        b'L' => Kind::LastError,
        b'I' => Kind::InitError,
        other => return Err(format!("a frame of the unknown kind {other} came")),
    };
    let length = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    let prefix = Prefix { kind, head_bytes: length(1), body_bytes: length(5) };
    if prefix.head_bytes > HEAD_BYTES_MAX {
        return Err(format!("a frame with a head of {} bytes came; {HEAD_BYTES_MAX} are allowed", prefix.head_bytes));
    }
    Ok(prefix)
}

/// Writes prefix and head of an invocation; the event follows as it is.
pub(crate) fn write_invocation(out: &mut Vec<u8>, invocation: &Invocation) {
    use std::io::Write as _;
    out.clear();
    out.resize(PREFIX_BYTES, 0);
    let Invocation { request_id, invoked_arn, deadline, trace_id, client_context, .. } = invocation;
    // A line end in the trace id would shift the fields after it.
    let trace_id = if trace_id.contains('\n') { "" } else { trace_id };
    let context = client_context.as_deref().unwrap_or_default();
    let millis = deadline.as_millis();
    write!(out, "{request_id}\n{millis}\n{invoked_arn}\n{trace_id}\n{context}").expect("a Vec takes every write");
    let head_bytes = length_bytes(out.len() - PREFIX_BYTES);
    let body_bytes = length_bytes(invocation.payload.len());
    out[0] = b'V';
    out[1..5].copy_from_slice(&head_bytes);
    out[5..9].copy_from_slice(&body_bytes);
}

fn length_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("payloads and contexts are bounded far below 4 GiB").to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse_model::{RequestId, Timestamp};

    #[test]
    fn an_invocation_is_written_in_lines() {
        let id = RequestId::random();
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        let mut out = vec![1, 2, 3];
        let invocation = Invocation {
            request_id: id,
            invoked_arn: arn.parse().expect("an ARN"),
            payload: bytes::Bytes::from_static(b"{}"),
            deadline: Timestamp(1234),
            trace_id: "Root=1\nx".to_owned(),
            client_context: Some("{\n}".to_owned()),
        };
        write_invocation(&mut out, &invocation);
        let head = format!("{id}\n1234\n{arn}\n\n{{\n}}");
        assert_eq!(&out[PREFIX_BYTES..], head.as_bytes());
        assert_eq!(out[0], b'V');
        assert_eq!(out[1..5], u32::try_from(head.len()).expect("short").to_le_bytes());
        assert_eq!(out[5..9], 2_u32.to_le_bytes());
    }

    proptest::proptest! {
        #[test]
        fn a_prefix_is_read_or_refused(bytes: [u8; PREFIX_BYTES]) {
            if let Ok(prefix) = read_prefix(&bytes) {
                assert!(b"NRELI".contains(&bytes[0]) && prefix.head_bytes <= HEAD_BYTES_MAX);
            }
        }
    }
}
