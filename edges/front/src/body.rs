use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::FrontSettings;
use crate::pace::{Pace, Patience, least_pace};
use crate::room::{PeerRoom, Share};

/// The body of a request. It is read from the client only as fast as it is asked for, and `100 Continue` is sent when it
/// is first asked for.
pub struct RequestBody {
    source: Source,
    limit_bytes: u64,
    received_bytes: u64,
}

enum Source {
    Whole(Option<Bytes>),
    Client(Box<Client>),
}

struct Client {
    incoming: Incoming,
    settings: Arc<FrontSettings>,
    pace: Arc<Pace>,
    room: Arc<PeerRoom>,
    /// What it holds of the room, in bytes.
    held_bytes: u64,
    patience: Patience,
    sleep: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

/// Why a body did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// 413. The rest was not read.
    #[error("the body of the request is larger than the {limit_bytes} bytes that are allowed")]
    TooLarge {
        /// What is allowed.
        limit_bytes: u64,
    },
    /// 408. The connection is of no more use.
    #[error("the body of the request came too slowly: at least {bytes_per_sec} bytes a second are needed")]
    TooSlow {
        /// What is needed.
        bytes_per_sec: u64,
    },
    /// 503. Nothing was read.
    #[error("this node reads as many large requests as it has memory for; try again soon")]
    NoRoom,
    /// 400, though hardly anyone is there to read it.
    #[error("the body of the request broke off: {0}")]
    BrokeOff(String),
}

impl BodyError {
    /// The status that fits.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::TooLarge { .. } => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow { .. } => http::StatusCode::REQUEST_TIMEOUT,
            Self::NoRoom => http::StatusCode::SERVICE_UNAVAILABLE,
            Self::BrokeOff(_) => http::StatusCode::BAD_REQUEST,
        }
    }
}

impl RequestBody {
    pub(crate) fn from_client(
        incoming: Incoming,
        settings: Arc<FrontSettings>,
        pace: Arc<Pace>,
        room: Arc<PeerRoom>,
    ) -> Self {
        let limit_bytes = settings.max_body_bytes;
        let ended = incoming.is_end_stream();
        let (held_bytes, patience, sleep) = (0, Patience::default(), None);
        let client = Client { incoming, settings, pace, room, held_bytes, patience, sleep, ended };
        Self { source: Source::Client(Box::new(client)), limit_bytes, received_bytes: 0 }
    }

    /// Allows no more than so many bytes; never raises the limit of the front door.
    pub fn limit(&mut self, bytes: u64) {
        self.limit_bytes = self.limit_bytes.min(bytes);
    }

    /// How many bytes the client has announced; absent when it streams.
    pub fn announced_bytes(&self) -> Option<u64> {
        match &self.source {
            Source::Whole(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Client(client) => client.incoming.size_hint().exact(),
        }
    }

    /// The next bytes; none at the end. Dropping the future loses nothing.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.announced_bytes().is_some_and(|more| self.received_bytes.saturating_add(more) > self.limit_bytes) {
            return Err(BodyError::TooLarge { limit_bytes: self.limit_bytes });
        }
        let next = match &mut self.source {
            Source::Whole(bytes) => bytes.take(),
            Source::Client(client) => {
                let received = self.received_bytes;
                std::future::poll_fn(|cx| client.poll_chunk(cx, received)).await?
            }
        };
        self.received_bytes += next.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if self.received_bytes > self.limit_bytes {
            return Err(BodyError::TooLarge { limit_bytes: self.limit_bytes });
        }
        Ok(next)
    }

    /// All of it. A large body first waits for room, and counts until the last part of the bytes is dropped.
    pub async fn collect(mut self) -> Result<Bytes, BodyError> {
        let share = self.share().await?;
        let bytes = self.gather().await?;
        Ok(match share {
            Some(share) => share.keep_for(bytes),
            None => bytes,
        })
    }

    /// Room for all that may come. What is over the limit gets none, because it is not read.
    async fn share(&mut self) -> Result<Option<Share>, BodyError> {
        let most = self.announced_bytes().unwrap_or(self.limit_bytes);
        let Source::Client(client) = &mut self.source else { return Ok(None) };
        if most > self.limit_bytes {
            return Ok(None);
        }
        let share = client.room.take(most, &client.settings).await?;
        client.held_bytes = if share.is_some() { most } else { 0 };
        Ok(share)
    }

    async fn gather(mut self) -> Result<Bytes, BodyError> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return Ok(first) };
        // What the client announced is only a promise: no more room than this is made for it ahead.
        let ahead = self.announced_bytes().unwrap_or(0).min(1 << 20);
        let mut all = BytesMut::with_capacity(first.len() + second.len() + usize::try_from(ahead).unwrap_or(0));
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(more) = self.chunk().await? {
            all.extend_from_slice(&more);
        }
        Ok(all.freeze())
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        let bytes = (!bytes.is_empty()).then_some(bytes);
        Self { source: Source::Whole(bytes), limit_bytes: u64::MAX, received_bytes: 0 }
    }
}

impl Client {
    fn poll_chunk(&mut self, cx: &mut Context<'_>, received: u64) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
                ready!(self.poll_patience(cx, received));
                let bytes_per_sec = least_pace(self.held_bytes, &self.settings);
                return Poll::Ready(Err(BodyError::TooSlow { bytes_per_sec }));
            };
            self.patience.go_on(Instant::now);
            return match frame {
                None => {
                    self.ended = true;
                    Poll::Ready(Ok(None))
                }
                Some(Err(error)) => Poll::Ready(Err(BodyError::BrokeOff(error.to_string()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => Poll::Ready(Ok(Some(data))),
                    // Trailers mean nothing to anyone behind us.
                    Err(_) => continue,
                },
            };
        }
    }

    /// Ready when the client has been waited for long enough.
    fn poll_patience(&mut self, cx: &mut Context<'_>, received: u64) -> Poll<()> {
        let least = least_pace(self.held_bytes, &self.settings);
        let deadline = self.patience.wait(Instant::now(), received, least, &self.settings);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if !self.ended && !self.incoming.is_end_stream() {
            self.pace.leave_unread();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_whole_body_is_read_within_its_limit() {
        assert_eq!(RequestBody::from(Bytes::new()).collect().await.expect("a body"), "");
        let mut body = RequestBody::from(Bytes::from("four"));
        body.limit(4);
        body.limit(10);
        assert_eq!(body.collect().await.expect("a body"), "four");
        let mut body = RequestBody::from(Bytes::from("fives"));
        body.limit(4);
        assert_eq!(body.collect().await, Err(BodyError::TooLarge { limit_bytes: 4 }));
    }
}
