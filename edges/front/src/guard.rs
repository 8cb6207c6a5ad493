//! The stream under a connection: ends it when the client is too slow, or when it is idle in a drain, and writes our own
//! refusals in the place of hyper's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::FrontSettings;
use crate::Peer;
use crate::pace::{Pace, Phase};
use crate::refusal::Refusals;

/// A client that still sends when we have answered would lose the answer to a reset, if we closed at once. So we read on,
/// for no more than this.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 8 << 20;

/// What is no request that a surface could be asked for, hyper answers by itself with a bare head: the status is the same
/// in the answer that goes out instead.
pub(crate) struct Refused {
    refusals: Arc<Refusals>,
    peer: Peer,
    /// The answer, and how much of it is out.
    answer: Option<(Vec<u8>, usize)>,
}

impl Refused {
    pub(crate) fn new(refusals: Arc<Refusals>, peer: Peer) -> Self {
        Self { refusals, peer, answer: None }
    }

    /// Writes all of the answer in the place of a head, which counts as written then.
    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        head: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (refusals, peer) = (&self.refusals, &self.peer);
        let (answer, out) = self.answer.get_or_insert_with(|| (refusals.answer(status_of(head), peer), 0));
        while *out < answer.len() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, &answer[*out..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => *out += written,
            }
        }
        Poll::Ready(Ok(head.len()))
    }
}

/// The status in `HTTP/1.1 400 Bad Request`.
fn status_of(head: &[u8]) -> StatusCode {
    head.get(9..12).and_then(|digits| StatusCode::from_bytes(digits).ok()).unwrap_or(StatusCode::BAD_REQUEST)
}

pub(crate) struct Guard<S> {
    stream: S,
    settings: Arc<FrontSettings>,
    pace: Arc<Pace>,
    refused: Refused,
    /// Fires no later than the deadline that applies; it may fire too early, and is then set anew. So a request that
    /// follows another touches no timer.
    read_timer: Option<Pin<Box<Sleep>>>,
    /// Set while the client takes nothing of what we have for it.
    write_timer: Option<Pin<Box<Sleep>>>,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Guard<S> {
    pub(crate) fn new(stream: S, settings: Arc<FrontSettings>, pace: Arc<Pace>, refused: Refused) -> Self {
        Self { stream, settings, pace, refused, read_timer: None, write_timer: None, linger: None }
    }

    /// Ready when the client has run out of time for what we wait for.
    ///
    /// The timer runs whatever we wait for, and never further ahead than the idle timeout: when an answer has gone out,
    /// hyper may rely on the wake-up that it asked for here before, in another phase, and not ask again.
    fn poll_read_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.pace.deadline(&self.settings);
        let tick = |now: Instant| {
            let latest = now + self.settings.idle_timeout;
            deadline.map_or(latest, |deadline| deadline.min(latest))
        };
        let timer = self.read_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(tick(Instant::now()))));
        if let Some(deadline) = deadline.filter(|deadline| timer.deadline() > *deadline) {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(());
            }
            timer.as_mut().reset(tick(now));
        }
        Poll::Pending
    }

    /// Passes on how a write went, unless nothing has been written for too long.
    fn watch_write<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.write_timer = None;
            return wrote;
        }
        let limit = self.settings.write_timeout;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.pace.is_over() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            if buf.filled().len() > before && this.pace.phase() == Phase::Idle {
                this.pace.enter(Phase::Header, Instant::now());
            }
            return Poll::Ready(read);
        }
        ready!(this.poll_read_deadline(cx));
        match this.pace.phase() {
            // An end between requests is an ordinary one.
            Phase::Idle => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the header of a request took too long"))),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = if this.pace.is_answering() {
            Pin::new(&mut this.stream).poll_write(cx, buf)
        } else {
            this.refused.poll_write(&mut this.stream, cx, buf)
        };
        this.watch_write(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.pace.is_answering() {
            let head = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
            return self.poll_write(cx, head);
        }
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.watch_write(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        if flushed.is_ready() {
            this.pace.flushed();
        }
        this.watch_write(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.watch_write(cx, shut))?;
            if !this.pace.has_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        let (timer, left) = this.linger.get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER)), LINGER_BYTES));
        let mut scratch = [0; 8 << 10];
        loop {
            if timer.as_mut().poll(cx).is_ready() || *left == 0 {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            *left = left.saturating_sub(buf.filled().len());
        }
    }
}
