//! What a sandbox may reach outside.
//!
//! A sandbox has no network but its own loopback. Two things on it lead out, both served by the node:
//!
//! ```text
//!  code --- "where is example.com?" ---> resolver      answers 198.18.0.7, an address that is the sandbox itself,
//!                                                       if some port of the name is granted; else "no such name"
//!  code --- connects to 198.18.0.7:443 -> proxy        knows that .7 is example.com, checks name and port against the
//!                                                       grant, resolves on the host, checks the address, dials, splices
//! ```
//!
//! So a grant is about names, the check that counts is made on the address that is dialled, and no packet of the sandbox
//! ever reaches a network of the host. There is no IPv6 and no UDP to the outside.

mod dns;
mod grant;
mod names;
mod proxy;
mod resolver;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dormouse_model::EgressGrant;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

pub use grant::{Reason, Refusal};
pub use proxy::{Dialer, HostDialer};

use names::Names;

/// Where the resolver listens inside.
pub const RESOLVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 53);
/// Names are given addresses of this range, which is set aside for tests of networks and so is nobody's (RFC 2544).
pub const SYNTHETIC: Range = Range { base: Ipv4Addr::new(198, 18, 0, 0), prefix: 15 };
/// Most connections to the outside that one sandbox has at one time.
pub const CONNECTIONS: usize = 512;
/// Most names that one sandbox may have asked for.
pub const NAMES: usize = 4_096;

/// Addresses that are the sandbox itself: `base/prefix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub base: Ipv4Addr,
    /// Bits that are the same.
    pub prefix: u8,
}

/// What the sandbox must have for its grant to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Ports on which connections to the outside are taken, on every address.
    pub ports: Vec<u16>,
    /// Addresses to make local.
    pub ranges: Vec<Range>,
}

/// Most refusals of one sandbox that are told in a second: code that tries without end does not fill its log.
pub const REFUSALS_PER_SECOND: u32 = 20;

/// Hears of what was refused, so that it can be written to the function's log.
pub trait Refusals: Send + Sync + 'static {
    /// Called at most [`REFUSALS_PER_SECOND`] times a second for a sandbox; what is refused beyond that is not told.
    fn refused(&self, refusal: &Refusal);
}

/// What a grant needs of the sandbox. `open_ports` are those that a grant of everything covers.
pub fn needs(grant: &EgressGrant, open_ports: &[u16]) -> Needs {
    let mut ports: Vec<u16> = match grant {
        EgressGrant::None => vec![],
        EgressGrant::All => open_ports.to_vec(),
        EgressGrant::Listed(list) => list.iter().map(|item| item.port).collect(),
    };
    ports.sort_unstable();
    ports.dedup();
    let mut ranges = if ports.is_empty() { vec![] } else { vec![SYNTHETIC] };
    if let EgressGrant::Listed(list) = grant {
        let mut literals: Vec<Ipv4Addr> = list.iter().filter_map(|item| item.host.parse().ok()).collect();
        literals.sort_unstable();
        literals.dedup();
        let outside = literals.into_iter().filter(|address| !address.is_loopback() && !address.is_unspecified());
        ranges.extend(outside.map(|base| Range { base, prefix: 32 }));
    }
    Needs { ports, ranges }
}

/// Serves one sandbox until it is dropped.
pub struct Egress {
    _tasks: JoinSet<()>,
}

impl Egress {
    /// Takes the sockets that were opened inside the sandbox.
    pub fn serve(
        grant: EgressGrant,
        resolver: UdpSocket,
        listeners: Vec<TcpListener>,
        dialer: Arc<dyn Dialer>,
        refusals: Arc<dyn Refusals>,
    ) -> Self {
        let names = Mutex::new(Names::new(SYNTHETIC, NAMES));
        let shared = Arc::new(Shared { grant, names, dialer, refusals, told: Mutex::new((Instant::now(), 0)) });
        let mut tasks = JoinSet::new();
        tasks.spawn(resolver::serve(resolver, shared.clone()));
        let permits = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
        for listener in listeners {
            tasks.spawn(proxy::serve(listener, shared.clone(), permits.clone()));
        }
        Self { _tasks: tasks }
    }
}

/// What the resolver and the proxy of one sandbox have in common.
struct Shared {
    grant: EgressGrant,
    names: Mutex<Names>,
    dialer: Arc<dyn Dialer>,
    refusals: Arc<dyn Refusals>,
    /// Since when refusals are counted, and how many there were.
    told: Mutex<(Instant, u32)>,
}

impl Shared {
    fn refuse(&self, refusal: &Refusal) {
        let count = {
            let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if told.0.elapsed() >= Duration::from_secs(1) {
                *told = (Instant::now(), 0);
            }
            told.1 = told.1.saturating_add(1);
            told.1
        };
        if count <= REFUSALS_PER_SECOND {
            self.refusals.refused(refusal);
        }
    }

    fn names(&self) -> std::sync::MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Needs {
        needs(&text.parse().expect("a grant"), &[80, 443])
    }

    #[test]
    fn a_grant_needs_its_ports_and_no_more() {
        assert_eq!(of("none"), Needs { ports: vec![], ranges: vec![] });
        assert_eq!(of("all"), Needs { ports: vec![80, 443], ranges: vec![SYNTHETIC] });
        let literal = Range { base: Ipv4Addr::new(10, 0, 0, 9), prefix: 32 };
        let listed = of("a.org:443, b.org:443, 10.0.0.9:5432, 10.0.0.9:22, 127.0.0.1:9");
        assert_eq!(listed, Needs { ports: vec![9, 22, 443, 5432], ranges: vec![SYNTHETIC, literal] });
    }
}
