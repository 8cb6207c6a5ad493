use std::os::fd::OwnedFd;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_jail::{Listen, LocalRange, Mount};
use dormouse_model::{EgressGrant, FunctionArn, VersionNumber};
use dormouse_sandbox::LogSink;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Who is behind a connection that comes out of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceIdentity {
    /// The instance's name in this node.
    pub instance: String,
    /// The function, without a qualifier; names the account.
    pub function: FunctionArn,
    /// The version that it runs.
    pub version: VersionNumber,
}

/// Serves the platform's own API to code in a sandbox.
#[async_trait]
pub trait PlatformDoor: Send + Sync + 'static {
    /// Serves one connection to its end. The future is dropped when the instance ends.
    async fn serve(&self, stream: TcpStream, instance: Arc<InstanceIdentity>);
}

/// What a sandbox must have for its granted traffic to leave it.
#[derive(Debug, Clone, Default)]
pub struct EgressPlan {
    /// Opened inside; handed to [`EgressDoor::serve`] in this order.
    pub sockets: Vec<Listen>,
    /// Address ranges that lead to those sockets.
    pub local_ranges: Vec<LocalRange>,
    /// Such as `/etc/resolv.conf`.
    pub mounts: Vec<Mount>,
}

/// Carries traffic out of a sandbox, as far as it is granted. Without one nothing leaves.
#[async_trait]
pub trait EgressDoor: Send + Sync + 'static {
    /// What the sandbox of a function with this grant must have.
    fn plan(&self, grant: &EgressGrant) -> EgressPlan;

    /// Serves the sockets of the plan. The future is dropped when the instance ends; refusals go to `log` as lines of
    /// the platform.
    async fn serve(
        &self,
        sockets: Vec<OwnedFd>,
        grant: EgressGrant,
        instance: Arc<InstanceIdentity>,
        log: Arc<dyn LogSink>,
    );
}

/// Tasks that end with the instance that they serve.
#[derive(Debug, Default)]
pub(crate) struct Serving(Vec<AbortHandle>);

impl Serving {
    pub(crate) fn push(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.push(tokio::spawn(task).abort_handle());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// A listener that was opened inside a sandbox, for the node's runtime.
pub fn async_listener(socket: impl Into<std::net::TcpListener>) -> std::io::Result<TcpListener> {
    let listener = socket.into();
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Accepts connections to the platform's endpoint, a limited number at a time, until it is dropped.
pub(crate) async fn accept_platform(
    listener: std::net::TcpListener,
    door: Arc<dyn PlatformDoor>,
    identity: Arc<InstanceIdentity>,
    connections_max: usize,
) {
    let listener = match async_listener(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, instance = identity.instance, "the platform endpoint of an instance is not served");
            return;
        }
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < connections_max => match accepted {
                Ok((stream, _)) => {
                    // Latency matters more than packets on a loopback; without it only slower.
                    drop(stream.set_nodelay(true));
                    let (door, identity) = (Arc::clone(&door), Arc::clone(&identity));
                    connections.spawn(async move { door.serve(stream, identity).await });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection from a sandbox could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// How long accepting rests after it failed, say for want of file descriptors.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
