use std::future::Future;
use std::net::SocketAddr;

use dormouse_model::{FunctionArn, RequestId, Timestamp, VersionNumber};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::RequestBody;
use crate::front::Stage;

/// One request, before anyone has looked at what it means.
pub struct Request {
    /// Ours, new for each request; it is in the answer as `x-amzn-RequestId`.
    pub id: RequestId,
    /// Who is at the other end of the connection.
    pub peer: Peer,
    /// Whether it came over TLS.
    pub tls: bool,
    /// When its header was complete.
    pub received: Timestamp,
    /// Method, target, header fields.
    pub parts: http::request::Parts,
    /// What follows the header.
    pub body: RequestBody,
    pub(crate) stage: Option<watch::Receiver<Stage>>,
}

impl Request {
    /// A request that did not come over a connection: for tests of surfaces.
    pub fn new(peer: Peer, received: Timestamp, request: http::Request<bytes::Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        Self { id: RequestId::random(), peer, tls: false, received, parts, body: body.into(), stage: None }
    }

    /// Ends when a drain begins: for answers that would otherwise go on for ever. The drain waits until it is dropped.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + use<> {
        let stage = self.stage.clone();
        async move {
            match stage {
                Some(mut stage) => Stage::Open.past(&mut stage).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Runs something to its end even if the client hangs up. A drain waits for it as it waits for a request.
    pub fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let held = self.stage.clone();
        tokio::spawn(async move {
            let output = work.await;
            drop(held);
            output
        })
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Someone on the network.
    Tcp(SocketAddr),
    /// Code in one of our own sandboxes. The identity belongs to the connection and cannot be forged by the code; it says
    /// where a request comes from, not what it may do: that takes a signature, as for anyone.
    Instance(InstanceIdentity),
}

impl Peer {
    /// Whether this is a process on this machine outside of all sandboxes.
    pub fn is_loopback(&self) -> bool {
        matches!(self, Self::Tcp(address) if address.ip().to_canonical().is_loopback())
    }

    /// For the log.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Instance(identity) => format!("{} of {}", identity.instance, identity.function),
        }
    }

    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Instance(_) => "instance",
        }
    }
}

/// An instance of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceIdentity {
    /// The instance's name.
    pub instance: String,
    /// What it runs.
    pub function: FunctionArn,
    /// Which version of it.
    pub version: VersionNumber,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_in_both_families() {
        for (address, is) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("10.0.0.1:1", false),
            ("[::ffff:10.0.0.1]:1", false),
        ] {
            assert_eq!(Peer::Tcp(address.parse().expect("an address")).is_loopback(), is, "{address}");
        }
    }
}
