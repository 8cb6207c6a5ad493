//! The reference for warm calls: the best we can write for that one job. A request on one port is handed to whichever
//! runtime waits on the other (`next`), and its `response` is the answer. No signatures, no sandbox, no log.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

type Waiting = (Bytes, oneshot::Sender<Bytes>);

/// A bare Runtime API program that listens on two loopback ports.
pub(crate) struct Bare {
    pub(crate) invoke: SocketAddr,
    pub(crate) runtime_api: SocketAddr,
}

struct State {
    queue: tokio::sync::Mutex<mpsc::Receiver<Waiting>>,
    running: Mutex<HashMap<String, oneshot::Sender<Bytes>>>,
}

impl Bare {
    /// Starts it on the current runtime.
    pub(crate) async fn start() -> Result<Self> {
        let (send, receive) = mpsc::channel::<Waiting>(1024);
        let state = Arc::new(State { queue: receive.into(), running: Mutex::default() });
        let invoke = serve(move |request| {
            let send = send.clone();
            async move { invoke(request, send).await }
        })
        .await?;
        let runtime_api = serve(move |request| runtime(request, state.clone())).await?;
        Ok(Self { invoke, runtime_api })
    }
}

async fn serve<F, R>(handle: F) -> Result<SocketAddr>
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let handle = handle.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = handle(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

async fn invoke(request: Request<Incoming>, queue: mpsc::Sender<Waiting>) -> Response<Full<Bytes>> {
    let payload = body(request).await;
    let (answer, answered) = oneshot::channel();
    let _ = queue.send((payload, answer)).await;
    Response::new(Full::new(answered.await.unwrap_or_default()))
}

async fn runtime(request: Request<Incoming>, state: Arc<State>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    if path.ends_with("/invocation/next") {
        let Some((payload, answer)) = state.queue.lock().await.recv().await else {
            return status(StatusCode::GONE);
        };
        let id = uuid::Uuid::new_v4().to_string();
        if let Ok(mut running) = state.running.lock() {
            running.insert(id.clone(), answer);
        }
        let deadline = SystemTime::now() + Duration::from_secs(30);
        let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        return Response::builder()
            .header("Content-Type", "application/json")
            .header("Lambda-Runtime-Aws-Request-Id", id)
            .header("Lambda-Runtime-Deadline-Ms", deadline.to_string())
            .header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:bare")
            .header("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0")
            .body(Full::new(payload))
            .unwrap_or_default();
    }
    let id = path.split('/').nth_back(1).unwrap_or_default().to_owned();
    let payload = body(request).await;
    let answer = state.running.lock().ok().and_then(|mut running| running.remove(&id));
    match answer {
        Some(answer) => {
            let _ = answer.send(payload);
            status(StatusCode::ACCEPTED)
        }
        None => status(StatusCode::BAD_REQUEST),
    }
}

async fn body(request: Request<Incoming>) -> Bytes {
    request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"status\":\"OK\"}")));
    *response.status_mut() = status;
    response
}
