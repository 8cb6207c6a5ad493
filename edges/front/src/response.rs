use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// An answer.
pub type Response = http::Response<ResponseBody>;

/// An answer with a body of one kind.
pub fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(ResponseBody::from(body.into()));
    *response.status_mut() = status;
    let value = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert(http::header::CONTENT_TYPE, value);
    response
}

/// The body of an answer: all of it, or a stream.
pub struct ResponseBody {
    source: Source,
    /// Told when the body has been handed over or given up.
    pub(crate) done: Option<Box<dyn FnOnce() + Send + Sync>>,
}

enum Source {
    Whole(Bytes),
    Stream(mpsc::Receiver<Piece>),
}

enum Piece {
    Bytes(Bytes),
    End,
}

/// Why a client does not see the end of a stream: the connection is cut, so that it cannot take a part for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer was given up before its end")]
pub struct Abandoned;

/// The client has hung up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has hung up")]
pub struct Gone;

/// Writes a streamed answer.
pub struct ResponseSender(mpsc::Sender<Piece>);

impl ResponseSender {
    /// Hands on some bytes; waits while the client is slower than we are.
    pub async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.0.send(Piece::Bytes(bytes)).await.map_err(|_| Gone)
    }

    /// Ends the answer. One that is dropped without this is cut short, visibly for the client.
    pub async fn end(self) -> Result<(), Gone> {
        self.0.send(Piece::End).await.map_err(|_| Gone)
    }

    /// Resolves when the client has hung up.
    pub async fn gone(&self) {
        self.0.closed().await;
    }
}

impl ResponseBody {
    /// No bytes.
    pub fn empty() -> Self {
        Bytes::new().into()
    }

    /// A stream with room for so many pieces that the client has not taken.
    pub fn stream(pieces: usize) -> (ResponseSender, Self) {
        let (sender, receiver) = mpsc::channel(pieces.max(1));
        (ResponseSender(sender), Self { source: Source::Stream(receiver), done: None })
    }

    /// All bytes of it: for tests of surfaces.
    pub async fn collect(self) -> Result<Bytes, Abandoned> {
        http_body_util::BodyExt::collect(self).await.map(http_body_util::Collected::to_bytes)
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self { source: Source::Whole(bytes), done: None }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Abandoned;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Abandoned>>> {
        match &mut self.source {
            Source::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::Stream(pieces) => pieces.poll_recv(cx).map(|piece| match piece {
                Some(Piece::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
                Some(Piece::End) => None,
                None => Some(Err(Abandoned)),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.source, Source::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Stream(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_ends_only_when_it_is_ended() {
        let (sender, body) = ResponseBody::stream(4);
        sender.send(Bytes::from("a")).await.expect("sent");
        sender.send(Bytes::from("b")).await.expect("sent");
        sender.end().await.expect("ended");
        assert_eq!(body.collect().await.expect("a body"), "ab");
        let (sender, body) = ResponseBody::stream(4);
        sender.send(Bytes::from("a")).await.expect("sent");
        drop(sender);
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_sender_learns_that_nobody_listens() {
        let (sender, body) = ResponseBody::stream(1);
        drop(body);
        sender.gone().await;
        assert_eq!(sender.send(Bytes::from("a")).await, Err(Gone));
    }
}
