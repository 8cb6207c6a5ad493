use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::desk::Desk;
use super::reply::{self, Reply};
use super::route::{Call, NoRoute, route};
use crate::answer::{error_answer, init_error};
use crate::{Answer, Limits};

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";
/// How long accepting rests after it failed, say for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// TCP or unix, both the same to the server.
pub(crate) trait Listener: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Waits for one.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(Self::accept(self).await?.0)
    }
}

/// Serves until it is aborted; connections end with it.
pub(crate) async fn serve(listener: impl Listener, desk: Arc<Desk>, limits: Arc<Limits>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok(stream) => drop(connections.spawn(connection(stream, Arc::clone(&desk), Arc::clone(&limits)))),
                Err(error) => {
                    tracing::debug!(%error, "a connection to the Runtime API could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    desk: Arc<Desk>,
    limits: Arc<Limits>,
) {
    let head_bytes = limits.head_bytes;
    let service = service_fn(move |request| {
        let (desk, limits) = (Arc::clone(&desk), Arc::clone(&limits));
        async move { Ok::<_, Infallible>(answer(&desk, &limits, request).await) }
    });
    let served = http1::Builder::new()
        .auto_date_header(false)
        .max_buf_size(head_bytes)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the Runtime API broke");
    }
}

async fn answer(desk: &Desk, limits: &Limits, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    match route(&head.method, head.uri.path()) {
        Ok(Call::Next) => next(desk).await,
        Ok(Call::Response { id }) => response(desk, limits, id, &head.headers, body).await,
        Ok(Call::Error { id }) => error(desk, limits, id, &head.headers, body).await,
        Ok(Call::InitError) => report_init_error(desk, limits, &head.headers, body).await,
        Ok(Call::Ping) => reply::pong(),
        Ok(Call::Restore) => reply::error(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            "This runtime was not started from a snapshot, so there is nothing to restore.",
        ),
        Err(NoRoute::Path) => {
            reply::error(StatusCode::NOT_FOUND, "NotFound", "The Runtime API 2018-06-01 has no such path.")
        }
        Err(NoRoute::Method { allowed }) => reply::wrong_method(allowed),
    }
}

async fn next(desk: &Desk) -> Reply {
    let wait = match desk.next() {
        Ok(wait) => wait,
        Err(refusal) => return reply::refused(&refusal),
    };
    match wait.event().await {
        Some(invocation) => reply::event(invocation),
        None => reply::error(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            "A later request for the next event took the place of this one.",
        ),
    }
}

async fn response(desk: &Desk, limits: &Limits, id: &str, headers: &HeaderMap, body: Incoming) -> Reply {
    let permit = match desk.begin_answer(id) {
        Ok(permit) => permit,
        Err(refusal) => return reply::refused(&refusal),
    };
    if let Some(message) = unsupported_mode(headers) {
        let error_type = "Runtime.InvalidResponseModeHeader";
        let told = serde_json::json!({ "errorMessage": message, "errorType": error_type }).to_string();
        permit.answer(error_answer(Some(error_type), Bytes::from(told), false));
        return reply::error(StatusCode::BAD_REQUEST, "InvalidFunctionResponseMode", message);
    }
    match collect(body, limits.response_bytes).await {
        Collected::Whole(body) => permit.answer(Answer::Response(body)),
        Collected::TooLarge { size_bytes } => {
            permit.answer(Answer::TooLarge { size_bytes });
            return too_large(limits);
        }
        Collected::Broken => return broken(),
    }
    reply::accepted()
}

/// Why the response's mode cannot be served; buffered is the only one so far, and has no name on the wire.
fn unsupported_mode(headers: &HeaderMap) -> Option<&'static str> {
    let mode = headers.get(RESPONSE_MODE)?;
    if mode.as_bytes().eq_ignore_ascii_case(b"streaming") {
        return Some("Streamed responses are not implemented yet; send the response without a response mode.");
    }
    Some("The response mode is unknown; leave the header Lambda-Runtime-Function-Response-Mode away.")
}

async fn error(desk: &Desk, limits: &Limits, id: &str, headers: &HeaderMap, body: Incoming) -> Reply {
    let permit = match desk.begin_answer(id) {
        Ok(permit) => permit,
        Err(refusal) => return reply::refused(&refusal),
    };
    match collect(body, limits.response_bytes).await {
        Collected::Whole(body) => permit.answer(error_answer(error_type(headers), body, false)),
        Collected::TooLarge { size_bytes } => {
            permit.answer(Answer::TooLarge { size_bytes });
            return too_large(limits);
        }
        Collected::Broken => return broken(),
    }
    reply::accepted()
}

async fn report_init_error(desk: &Desk, limits: &Limits, headers: &HeaderMap, body: Incoming) -> Reply {
    if let Err(refusal) = desk.may_fail_init() {
        return reply::refused(&refusal);
    }
    let body = match collect(body, limits.response_bytes).await {
        Collected::Whole(body) => body,
        Collected::TooLarge { .. } => return too_large(limits),
        Collected::Broken => return broken(),
    };
    match desk.init_error(init_error(error_type(headers), body)) {
        Ok(()) => reply::accepted(),
        Err(refusal) => reply::refused(&refusal),
    }
}

fn error_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(ERROR_TYPE)?.to_str().ok()
}

fn too_large(limits: &Limits) -> Reply {
    let message = format!("The payload is larger than the {} bytes that are allowed.", limits.response_bytes);
    reply::error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

fn broken() -> Reply {
    reply::error(StatusCode::BAD_REQUEST, "TruncatedRequest", "The body ended before its announced length.")
}

enum Collected {
    Whole(Bytes),
    TooLarge { size_bytes: u64 },
    Broken,
}

/// Reads a body up to `limit`. One that is larger is read to its end without being kept, so that a client which only
/// listens after it has sent everything still hears the 413; one that announces more than twice the limit is cut off.
async fn collect(mut body: Incoming, limit: usize) -> Collected {
    let announced = body.size_hint().exact();
    let cut_off = (limit as u64).saturating_mul(2);
    if let Some(size_bytes) = announced.filter(|size| *size > cut_off) {
        return Collected::TooLarge { size_bytes };
    }
    let mut kept: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    let mut size: u64 = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Collected::Broken };
        let Ok(data) = frame.into_data() else { continue };
        size += data.len() as u64;
        if size > cut_off {
            return Collected::TooLarge { size_bytes: size };
        }
        if size > limit as u64 {
            (kept, joined) = (None, BytesMut::new());
            continue;
        }
        // Most answers come in one piece, which then needs no copy.
        match (kept.take(), joined.is_empty()) {
            (None, true) => kept = Some(data),
            (first, _) => {
                if let Some(first) = first {
                    joined.reserve(announced.and_then(|size| usize::try_from(size).ok()).unwrap_or(0));
                    joined.extend_from_slice(&first);
                }
                joined.extend_from_slice(&data);
            }
        }
    }
    if size > limit as u64 {
        return Collected::TooLarge { size_bytes: size };
    }
    Collected::Whole(kept.unwrap_or_else(|| joined.freeze()))
}
