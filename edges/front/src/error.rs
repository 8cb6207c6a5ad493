use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the front door does not open. The sentences are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// Someone else listens there.
    #[error("{0} is in use by another program: stop it, or choose another address with --listen")]
    InUse(SocketAddr),
    /// The port is a privileged one.
    #[error(
        "{0} may not be listened on by this user: choose a port from 1024 up with --listen, or grant CAP_NET_BIND_SERVICE"
    )]
    Forbidden(SocketAddr),
    /// No interface has the address.
    #[error("{0} is not an address of this machine: choose one that is with --listen, such as 127.0.0.1:4566")]
    NotOurs(SocketAddr),
    /// Anything else about the socket.
    #[error("{address} cannot be listened on: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The certificate or the key cannot be used.
    #[error(
        "{path} cannot be used for TLS: {reason}; tls.cert and tls.key take PEM files that this user can read",
        path = path.display()
    )]
    Tls {
        /// Which of the two files.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
