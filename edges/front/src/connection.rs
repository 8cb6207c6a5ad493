//! One connection: its requests, one after the other.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use dormouse_model::{Clock, RequestId};
use dormouse_telemetry::{Counter, Gauge, Histogram, Metrics, names};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::front::Stage;
use crate::guard::{Guard, Refused};
use crate::pace::{Pace, Phase};
use crate::refusal::Refusals;
use crate::room::{BodyRoom, PeerRoom};
use crate::{FrontSettings, Peer, REQUEST_ID_HEADER, Request, RequestBody, Response, SurfaceKind, Surfaces};
use crate::{response, surface_of};

/// What all connections share.
pub(crate) struct Serving {
    pub(crate) settings: Arc<FrontSettings>,
    pub(crate) refusals: Arc<Refusals>,
    room: Arc<BodyRoom>,
    surfaces: Surfaces,
    clock: Arc<dyn Clock>,
    http1: http1::Builder,
    counted: [Counted; SurfaceKind::ALL.len()],
    open: [Gauge; 2],
    accepted: [Counter; 2],
}

/// The metrics of one surface.
struct Counted {
    /// By class of status, from 1xx to 5xx.
    requests: [Counter; 5],
    seconds: Histogram,
    panicked: Counter,
}

impl Serving {
    pub(crate) fn new(settings: FrontSettings, surfaces: Surfaces, clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        let mut http1 = http1::Builder::new();
        // Our guard keeps time instead, for idle connections and headers apart.
        http1.header_read_timeout(None);
        http1.max_buf_size(settings.max_header_bytes.max(8_192));
        http1.max_headers(settings.max_headers);
        let counted = SurfaceKind::ALL.map(|kind| {
            let (name, requests) = (kind.as_str(), metrics.counter(&names::REQUESTS));
            Counted {
                requests: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| requests.with([name, class])),
                seconds: metrics.histogram(&names::REQUEST_SECONDS).with([name]),
                panicked: metrics.counter(&names::REQUESTS_PANICKED).with([name]),
            }
        });
        let (open, accepted) = (metrics.gauge(&names::CONNECTIONS), metrics.counter(&names::CONNECTIONS_ACCEPTED));
        Self {
            refusals: Arc::new(Refusals::new()),
            room: Arc::new(BodyRoom::new(&settings)),
            settings: Arc::new(settings),
            surfaces,
            clock,
            http1,
            counted,
            open: ["tcp", "instance"].map(|peer| open.with([peer])),
            accepted: ["tcp", "instance"].map(|peer| accepted.with([peer])),
        }
    }
}

/// What the requests of one connection share.
struct Connection {
    serving: Arc<Serving>,
    peer: Peer,
    tls: bool,
    pace: Arc<Pace>,
    room: Arc<PeerRoom>,
    stage: watch::Receiver<Stage>,
}

/// Counts a connection as long as it is open.
struct Open<'a>(&'a Gauge);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.change(-1);
    }
}

/// Serves a connection to its end, or until the drain is over.
pub(crate) async fn serve<S>(serving: Arc<Serving>, stream: S, peer: Peer, tls: bool, stage: watch::Receiver<Stage>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let kind = usize::from(peer.as_str() == "instance");
    serving.accepted[kind].inc();
    serving.open[kind].change(1);
    let _open = Open(&serving.open[kind]);
    let pace = Arc::new(Pace::new(Instant::now()));
    let refused = Refused::new(Arc::clone(&serving.refusals), peer.clone());
    let guard = Guard::new(stream, Arc::clone(&serving.settings), Arc::clone(&pace), refused);
    let (mut draining, mut cut) = (stage.clone(), stage.clone());
    let room = Arc::new(PeerRoom::of(&serving.room, &peer));
    let own = Arc::new(Connection { serving: Arc::clone(&serving), peer, tls, pace: Arc::clone(&pace), room, stage });
    let service = service_fn(move |request| {
        let started = Instant::now();
        own.pace.enter(Phase::Busy, started);
        answer(Arc::clone(&own), started, request)
    });
    let mut connection = std::pin::pin!(serving.http1.serve_connection(TokioIo::new(guard), service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = Stage::Open.past(&mut draining) => {
            pace.drain();
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = Stage::Draining.past(&mut cut) => return,
            }
        }
    };
    if let Err(error) = ended {
        // Clients go away, are slow, or do not speak HTTP; none of it is news.
        tracing::debug!(%error, "connection ended");
    }
}

async fn answer(
    connection: Arc<Connection>,
    started: Instant,
    request: http::Request<Incoming>,
) -> Result<Response, Infallible> {
    let (serving, pace) = (&connection.serving, &connection.pace);
    let (parts, body) = request.into_parts();
    let kind = surface_of(parts.uri.path());
    let id = RequestId::random();
    let request = Request {
        id,
        peer: connection.peer.clone(),
        tls: connection.tls,
        received: serving.clock.now(),
        parts,
        body: RequestBody::from_client(
            body,
            Arc::clone(&serving.settings),
            Arc::clone(pace),
            Arc::clone(&connection.room),
        ),
        stage: Some(connection.stage.clone()),
    };
    let counted = &serving.counted[kind as usize];
    // What a surface shares with others it must keep usable in a panic, as it must for any other early end.
    let served = AssertUnwindSafe(serving.surfaces.get(kind).serve(request)).catch_unwind().await;
    let mut response = served.unwrap_or_else(|panic| {
        counted.panicked.inc();
        tracing::error!(request_id = %id, panic = panic_text(&*panic), "a request's handler panicked");
        let message = r#"{"message":"The service failed. Its log names the request by its id."}"#;
        response(StatusCode::INTERNAL_SERVER_ERROR, "application/json", message)
    });
    let class = usize::from(response.status().as_u16() / 100).clamp(1, 5) - 1;
    counted.requests[class].inc();
    counted.seconds.observe(started.elapsed());
    name_request(&mut response, id);
    if pace.has_unread() {
        // What is left of the body makes the connection useless for the next request, and the client has to know.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let pace = Arc::clone(pace);
    response.body_mut().done = Some(Box::new(move || pace.enter(Phase::Idle, Instant::now())));
    Ok(response)
}

/// Puts the request's id into the answer, unless the surface has.
fn name_request(response: &mut Response, id: RequestId) {
    const NAME: HeaderName = HeaderName::from_static(REQUEST_ID_HEADER);
    if !response.headers().contains_key(&NAME) {
        let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = id.0.hyphenated().encode_lower(&mut buffer);
        let value = HeaderValue::from_str(text).expect("hexadecimal digits and dashes are fit for a header");
        response.headers_mut().insert(NAME, value);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}
