use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_front::{Front, FrontSettings, Listener, Request, Response, Surface, Surfaces, TlsSettings, response};
use dormouse_model::SystemClock;
use dormouse_telemetry::Metrics;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A surface that is a function.
struct Answer(Box<dyn Fn(Request) -> Answering + Send + Sync>);

#[async_trait]
impl Surface for Answer {
    async fn serve(&self, request: Request) -> Response {
        (self.0)(request).await
    }
}

/// A front door with one function behind it, for everything but `/_dormouse/`, which says `admin`.
pub(crate) struct Door {
    pub(crate) front: Front,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
}

pub(crate) fn door<F, A>(settings: FrontSettings, answer: F) -> Door
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    door_with(settings, None, answer)
}

pub(crate) fn door_with<F, A>(settings: FrontSettings, tls: Option<TlsSettings>, answer: F) -> Door
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    let surfaces = Surfaces {
        aws: Arc::new(Answer(Box::new(move |request| Box::pin(answer(request))))),
        admin: Arc::new(Answer(Box::new(|_| Box::pin(async { text("admin") })))),
    };
    let metrics = Metrics::new();
    let front = Front::new(settings, tls, surfaces, Arc::new(SystemClock), &metrics).expect("a front door");
    let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let address = listener.address();
    front.accept_from(listener);
    Door { front, address, metrics }
}

pub(crate) fn text(text: impl Into<bytes::Bytes>) -> Response {
    response(::http::StatusCode::OK, "text/plain", text)
}

impl Door {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Sends bytes on a connection of their own and returns all that comes back until its end.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.expect("sent");
        rest(&mut stream).await
    }
}

/// All that comes until the connection ends, which it may do by a reset.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        all.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// One answer with a `content-length`: its head and its body.
pub(crate) async fn one(stream: &mut (impl AsyncRead + Unpin)) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8(head).expect("text");
    let length = header(&head, "content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a body");
    (head, String::from_utf8(body).expect("text"))
}

/// Asserts that the one answer before the end of a connection is a refusal that was made before any surface was asked:
/// with a request id, a sentence, and its announced length.
pub(crate) fn refused_with(answer: &str, status: u16) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    header(head, "x-amzn-requestid").expect("an id").parse::<dormouse_model::RequestId>().expect("a UUID");
    assert_eq!(header(head, "connection"), Some("close"), "{answer}");
    assert_eq!(header(head, "content-length"), Some(body.len().to_string().as_str()), "{answer}");
    assert!(body.starts_with("{\"message\":\"") && body.ends_with(".\"}"), "{answer}");
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
