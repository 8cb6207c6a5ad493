use std::io;
use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};

use crate::FrontError;

/// Connections that the kernel holds for us until they are accepted.
const BACKLOG: u32 = 4_096;

/// A socket that takes connections, which wait until a [`crate::Front`] takes them. Made early, so that a port that is in
/// use is said before anything else is started.
pub struct Listener {
    pub(crate) socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens; port 0 takes a free one. Needs a tokio runtime.
    pub fn bind(address: SocketAddr) -> Result<Self, FrontError> {
        let listen = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let socket = socket.listen(BACKLOG)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        listen().map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => FrontError::InUse(address),
            io::ErrorKind::PermissionDenied => FrontError::Forbidden(address),
            io::ErrorKind::AddrNotAvailable => FrontError::NotOurs(address),
            _ => FrontError::Listen { address, source },
        })
    }

    /// Where it really listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Raises the soft limit of open files to the hard one. Returns what it is now; `u64::MAX` when there is none.
pub fn raise_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        return current.unwrap_or(u64::MAX);
    }
    maximum.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_a_sentence() {
        let first = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let error = Listener::bind(first.address()).err().expect("in use");
        let expected = "is in use by another program: stop it, or choose another address with --listen";
        assert_eq!(error.to_string(), format!("{} {expected}", first.address()));
        let error = Listener::bind("192.0.2.1:0".parse().expect("an address")).err().expect("not ours");
        assert!(matches!(error, FrontError::NotOurs(_)), "{error}");
    }

    #[test]
    fn open_files_are_raised_to_the_hard_limit() {
        let limit = raise_open_files();
        assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), limit);
        assert!(limit >= 1_024);
    }
}
