use std::io::IoSlice;

use bytes::{Buf as _, Bytes, BytesMut};
use dormouse_model::{Invocation, RequestId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::answer::{error_answer, init_error};
use crate::frame::{Kind, PREFIX_BYTES, Prefix, read_prefix, write_invocation};
use crate::{Answer, InitOutcome, Limits};

/// Room for a frame of ordinary size; what is larger is allocated for its time.
const READ_BYTES: usize = 8 * 1024;
/// Up to this size an event is copied behind its head so that one plain write carries both.
const COPY_BYTES: usize = 16 * 1024;

/// The node's end of a framed channel. No task of its own: an invocation is one write and one read in the caller's.
#[derive(Debug)]
pub(crate) struct Framed {
    stream: UnixStream,
    buffer: BytesMut,
    out: Vec<u8>,
    limits: Limits,
}

/// A whole frame, or one whose body was too large and has been dropped.
enum Frame {
    Whole { kind: Kind, head: Bytes, body: Bytes },
    TooLarge { kind: Kind, head: Bytes, size_bytes: u64 },
}

impl Framed {
    pub(crate) fn new(stream: UnixStream, limits: Limits) -> Self {
        Self { stream, buffer: BytesMut::new(), out: Vec::new(), limits }
    }

    /// Waits for the end of the init phase.
    pub(crate) async fn ready(&mut self) -> InitOutcome {
        match self.read_frame().await {
            Ok(Frame::Whole { kind: Kind::Ready, .. }) => InitOutcome::Done,
            Ok(Frame::Whole { kind: Kind::InitError, head, body }) => init_error(text(&head), body),
            Ok(_) => InitOutcome::Closed { reason: "an answer came before the runtime was ready".to_owned() },
            Err(reason) => InitOutcome::Closed { reason },
        }
    }

    /// Runs one invocation. Not to be used again when the future was dropped.
    pub(crate) async fn invoke(&mut self, invocation: &Invocation) -> Answer {
        if let Err(error) = self.send(invocation).await {
            return Answer::Closed { reason: format!("the runtime no longer reads its channel: {error}") };
        }
        for _ in 0..=self.limits.misplaced_frames {
            let frame = match self.read_frame().await {
                Ok(frame) => frame,
                Err(reason) => return Answer::Closed { reason },
            };
            if let Some(answer) = answer(frame, invocation.request_id) {
                return answer;
            }
        }
        Answer::Closed { reason: "the runtime sent too many frames that belong to no invocation".to_owned() }
    }

    async fn send(&mut self, invocation: &Invocation) -> std::io::Result<()> {
        write_invocation(&mut self.out, invocation);
        let payload = &invocation.payload;
        if payload.len() <= COPY_BYTES {
            self.out.extend_from_slice(payload);
            return self.stream.write_all(&self.out).await;
        }
        let mut rest = Bytes::copy_from_slice(&self.out).chain(payload.clone());
        while rest.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 2];
            let used = rest.chunks_vectored(&mut slices);
            let sent = self.stream.write_vectored(&slices[..used]).await?;
            rest.advance(sent);
        }
        Ok(())
    }

    async fn read_frame(&mut self) -> Result<Frame, String> {
        let Prefix { kind, head_bytes, body_bytes } = self.read_prefix().await?;
        self.fill(head_bytes).await?;
        let head = self.buffer.split_to(head_bytes).freeze();
        if body_bytes > self.limits.response_bytes {
            self.discard(body_bytes).await?;
            return Ok(Frame::TooLarge { kind, head, size_bytes: body_bytes as u64 });
        }
        self.fill(body_bytes).await?;
        let body = self.buffer.split_to(body_bytes).freeze();
        Ok(Frame::Whole { kind, head, body })
    }

    async fn read_prefix(&mut self) -> Result<Prefix, String> {
        self.fill(PREFIX_BYTES).await?;
        let mut prefix = [0; PREFIX_BYTES];
        self.buffer.copy_to_slice(&mut prefix);
        read_prefix(&prefix)
    }

    /// Reads until the buffer holds `wanted` bytes.
    async fn fill(&mut self, wanted: usize) -> Result<(), String> {
        while self.buffer.len() < wanted {
            self.buffer.reserve(READ_BYTES.max(wanted - self.buffer.len()));
            if self.stream.read_buf(&mut self.buffer).await.map_err(|error| lost(&error))? == 0 {
                return Err("the runtime closed its channel".to_owned());
            }
        }
        Ok(())
    }

    /// Reads past `left` bytes without keeping them.
    async fn discard(&mut self, mut left: usize) -> Result<(), String> {
        loop {
            let here = left.min(self.buffer.len());
            self.buffer.advance(here);
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.fill(1).await?;
        }
    }
}

fn lost(error: &std::io::Error) -> String {
    format!("the runtime's channel failed: {error}")
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// What a frame answers to the invocation `id`; nothing when it belongs to another one or to none.
fn answer(frame: Frame, id: RequestId) -> Option<Answer> {
    let head = match &frame {
        Frame::Whole { head, .. } | Frame::TooLarge { head, .. } => head.clone(),
    };
    let (of, error_type) = match text(&head)?.split_once('\n') {
        Some((of, error_type)) => (of, Some(error_type)),
        None => (text(&head)?, None),
    };
    if of.parse::<RequestId>().ok()? != id {
        return None;
    }
    match frame {
        Frame::Whole { kind: Kind::Response, body, .. } => Some(Answer::Response(body)),
        Frame::Whole { kind: Kind::Error, body, .. } => Some(error_answer(error_type, body, false)),
        Frame::Whole { kind: Kind::LastError, body, .. } => Some(error_answer(error_type, body, true)),
        Frame::TooLarge { kind: Kind::Response | Kind::Error, size_bytes, .. } => Some(Answer::TooLarge { size_bytes }),
        _ => None,
    }
}
