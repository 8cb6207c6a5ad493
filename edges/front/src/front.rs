use std::io;
use std::sync::Arc;
use std::time::Duration;

use dormouse_model::Clock;
use dormouse_telemetry::{Counter, Metrics, names};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::connection::{self, Serving};
use crate::listen::Listener;
use crate::tls::Tls;
use crate::{FrontError, FrontSettings, Peer, Surfaces, TlsSettings};

/// How long to let connections end when the process has no file descriptor left for the next.
const OUT_OF_FILES: Duration = Duration::from_millis(50);

/// How far the front door is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Open,
    /// What is in progress ends; nothing new is taken.
    Draining,
    /// Everything ends now.
    Cut,
}

impl Stage {
    /// Resolves when the door is past `stage`, or gone.
    pub(crate) async fn past(self, told: &mut watch::Receiver<Self>) {
        let _ = told.wait_for(|now| *now > self).await;
    }
}

/// How a drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Whether everything ended within the limit.
    pub complete: bool,
    /// Connections that had not, and were cut.
    pub cut_connections: usize,
}

/// The front door. Clones are the same door.
#[derive(Clone)]
pub struct Front {
    shared: Arc<Shared>,
}

struct Shared {
    serving: Arc<Serving>,
    tls: Option<Arc<Tls>>,
    /// Everything that a drain waits for holds a receiver.
    stage: watch::Sender<Stage>,
    outside: Arc<Semaphore>,
    inside: Arc<Semaphore>,
    refused_full: Counter,
    refused_handshake: Counter,
    refused_draining: Counter,
}

impl Front {
    /// Reads the certificate, if there is one. Takes no connection yet. Needs a tokio runtime.
    pub fn new(
        settings: FrontSettings,
        tls: Option<TlsSettings>,
        surfaces: Surfaces,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, FrontError> {
        let tls = tls.map(|tls| Tls::load(tls, metrics).map(Arc::new)).transpose()?;
        let refused = metrics.counter(&names::CONNECTIONS_REFUSED);
        let slots = || Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS)));
        let (outside, inside) = (slots(), slots());
        let front = Self {
            shared: Arc::new(Shared {
                serving: Arc::new(Serving::new(settings, surfaces, clock, metrics)),
                tls,
                stage: watch::Sender::new(Stage::Open),
                outside,
                inside,
                refused_full: refused.with(["full"]),
                refused_handshake: refused.with(["handshake"]),
                refused_draining: refused.with(["draining"]),
            }),
        };
        front.watch_certificate();
        Ok(front)
    }

    /// Takes the connections of a socket, in the background, until the drain; the socket is closed then.
    pub fn accept_from(&self, listener: Listener) {
        let front = self.clone();
        let mut stage = self.shared.stage.subscribe();
        tokio::spawn(async move {
            let mut over = std::pin::pin!(Stage::Open.past(&mut stage));
            loop {
                tokio::select! {
                    biased;
                    () = &mut over => return,
                    accepted = listener.socket.accept() => match accepted {
                        Ok((stream, address)) => front.take(stream, Peer::Tcp(address)),
                        Err(error) => rest_after(&error).await,
                    },
                }
            }
        });
    }

    /// Serves a connection that came another way, such as out of a sandbox. Returns at once, with a handle to wait for the
    /// connection's end by; absent when the connection was refused.
    pub fn serve_stream<S>(&self, stream: S, peer: Peer) -> Option<JoinHandle<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let slots = if matches!(peer, Peer::Tcp(_)) { &self.shared.outside } else { &self.shared.inside };
        match Arc::clone(slots).try_acquire_owned() {
            Ok(slot) => self.serve(stream, peer, slot),
            Err(_) => {
                self.shared.refused_full.inc();
                None
            }
        }
    }

    /// Closes the sockets, lets what is in progress end within the limit, closes what is idle, then cuts the rest.
    pub async fn drain(&self, limit: Duration) -> Drained {
        let stage = &self.shared.stage;
        stage.send_replace(Stage::Draining);
        if tokio::time::timeout(limit, stage.closed()).await.is_ok() {
            return Drained { complete: true, cut_connections: 0 };
        }
        let cut_connections = self.connections();
        stage.send_replace(Stage::Cut);
        Drained { complete: false, cut_connections }
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        let taken = |slots: &Semaphore| self.shared.serving.settings.max_connections - slots.available_permits();
        taken(&self.shared.outside) + taken(&self.shared.inside)
    }

    fn take(&self, mut stream: TcpStream, peer: Peer) {
        // Without it an answer may wait for an acknowledgement of its head. It fails when the client has gone already.
        let _ = stream.set_nodelay(true);
        if let Ok(slot) = Arc::clone(&self.shared.outside).try_acquire_owned() {
            self.serve(stream, peer, slot);
            return;
        }
        self.shared.refused_full.inc();
        if self.shared.tls.is_none() {
            // Into an empty socket buffer: it does not wait. Who has gone need not be told.
            let answer = self.shared.serving.refusals.answer(http::StatusCode::SERVICE_UNAVAILABLE, &peer);
            let _ = stream.try_write(&answer);
            let _ = futures_util::FutureExt::now_or_never(stream.shutdown());
        }
    }

    fn serve<S>(&self, stream: S, peer: Peer, slot: OwnedSemaphorePermit) -> Option<JoinHandle<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stage = self.shared.stage.subscribe();
        if *stage.borrow() != Stage::Open {
            self.shared.refused_draining.inc();
            return None;
        }
        let shared = Arc::clone(&self.shared);
        let serving = Arc::clone(&shared.serving);
        Some(tokio::spawn(async move {
            match &shared.tls {
                None => connection::serve(serving, stream, peer, false, stage).await,
                Some(tls) => {
                    let handshake = tls.acceptor().accept(stream);
                    match tokio::time::timeout(serving.settings.handshake_timeout, handshake).await {
                        Ok(Ok(stream)) => connection::serve(serving, stream, peer, true, stage).await,
                        Ok(Err(error)) => {
                            shared.refused_handshake.inc();
                            tracing::debug!(%error, "TLS handshake failed");
                        }
                        Err(_) => shared.refused_handshake.inc(),
                    }
                }
            }
            drop(slot);
        }))
    }

    /// Looks for a new certificate, in the background, until the drain.
    fn watch_certificate(&self) {
        let Some(tls) = self.shared.tls.clone() else { return };
        let mut stage = self.shared.stage.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                () = tls.keep_current() => {}
                () = Stage::Open.past(&mut stage) => {}
            }
        });
    }
}

/// What cannot be accepted now may be later; what the client has taken back is no error of ours.
async fn rest_after(error: &io::Error) {
    let aborted = matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset);
    if !aborted {
        tracing::warn!(%error, "connections cannot be accepted");
        tokio::time::sleep(OUT_OF_FILES).await;
    }
}
