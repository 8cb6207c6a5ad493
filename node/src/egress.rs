//! Plugs the egress proxy into the process driver.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_egress::{Dialer, Egress, HostDialer, RESOLVER, Refusal, Refusals, needs};
use dormouse_jail::{Listen, LocalRange, Mount};
use dormouse_model::EgressGrant;
use dormouse_process::{EgressDoor, EgressPlan, InstanceIdentity, async_listener};
use dormouse_sandbox::{LogLine, LogSink, Stream};
use tokio::net::{TcpListener, UdpSocket};

/// The way out of sandboxes through the host's network.
pub(crate) struct HostEgress {
    /// Ports that a grant of `all` covers.
    open_ports: Vec<u16>,
    dialer: Arc<dyn Dialer>,
}

impl HostEgress {
    pub(crate) fn new(open_ports: Vec<u16>) -> Self {
        Self { open_ports, dialer: Arc::new(HostDialer) }
    }
}

/// Refusals as lines of the function's log.
struct InLog(Arc<dyn LogSink>);

impl Refusals for InLog {
    fn refused(&self, refusal: &Refusal) {
        self.0.line(LogLine { stream: Stream::Platform, request_id: None, text: refusal.to_string().into() });
    }
}

#[async_trait]
impl EgressDoor for HostEgress {
    fn plan(&self, grant: &EgressGrant) -> EgressPlan {
        let needs = needs(grant, &self.open_ports);
        let ports = needs.ports.iter().map(|port| Listen::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port))));
        let ranges = needs.ranges.iter().map(|range| LocalRange { base: range.base, prefix: range.prefix });
        EgressPlan {
            // The resolver is there even when nothing is granted: it is what tells the log what was asked for.
            sockets: std::iter::once(Listen::Udp(RESOLVER)).chain(ports).collect(),
            local_ranges: ranges.collect(),
            mounts: vec![Mount::File {
                target: PathBuf::from("/etc/resolv.conf"),
                content: format!("nameserver {}\n", RESOLVER.ip()),
                executable: false,
            }],
        }
    }

    async fn serve(
        &self,
        sockets: Vec<OwnedFd>,
        grant: EgressGrant,
        instance: Arc<InstanceIdentity>,
        log: Arc<dyn LogSink>,
    ) {
        match taken(sockets) {
            Ok((resolver, listeners)) => {
                let dialer = Arc::clone(&self.dialer);
                let _serving = Egress::serve(grant, resolver, listeners, dialer, Arc::new(InLog(log)));
                std::future::pending::<()>().await;
            }
            Err(error) => tracing::warn!(%error, instance = instance.instance, "nothing leaves this instance"),
        }
    }
}

/// The sockets of [`HostEgress::plan`], in its order.
fn taken(sockets: Vec<OwnedFd>) -> std::io::Result<(UdpSocket, Vec<TcpListener>)> {
    let mut sockets = sockets.into_iter();
    let resolver = sockets.next().ok_or_else(|| std::io::Error::other("the sandbox opened no resolver"))?;
    let resolver = std::net::UdpSocket::from(resolver);
    resolver.set_nonblocking(true)?;
    let listeners = sockets.map(async_listener).collect::<Result<_, _>>()?;
    Ok((UdpSocket::from_std(resolver)?, listeners))
}
