use std::path::PathBuf;
use std::time::Duration;

/// What the front door bounds. Named `front.*` in the configuration.
#[derive(Debug, Clone)]
pub struct FrontSettings {
    /// Most connections from outside; the next one is answered 503 and closed. Also the most from inside sandboxes.
    pub max_connections: usize,
    /// Most bytes of a request's line and header fields together; more is answered 431. At least 8,192.
    pub max_header_bytes: usize,
    /// Most header fields; more is answered 431.
    pub max_headers: usize,
    /// Most bytes of a body, unless the surface sets less.
    pub max_body_bytes: u64,
    /// From the first byte of a header to its last.
    pub header_timeout: Duration,
    /// From one request to the first byte of the next, and from the connection to the first.
    pub idle_timeout: Duration,
    /// How long a body may be waited for in all, plus the time that its bytes take at `body_min_bytes_per_sec`.
    pub body_grace: Duration,
    /// See `body_grace`.
    pub body_min_bytes_per_sec: u64,
    /// What bodies of more than 1 MiB may hold together while they are read and handled; the next one waits. One address
    /// holds at most half of it.
    pub body_memory_bytes: u64,
    /// How long a body of more than 1 MiB may take in all, beside `body_grace`: it has to come the faster, the more memory it
    /// holds meanwhile.
    pub body_memory_time: Duration,
    /// How long it waits before it is answered 503.
    pub body_memory_wait: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub write_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
}

impl Default for FrontSettings {
    fn default() -> Self {
        Self {
            max_connections: 16_384,
            max_header_bytes: 64 << 10,
            max_headers: 128,
            max_body_bytes: 128 << 20,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(350),
            body_grace: Duration::from_secs(20),
            body_min_bytes_per_sec: 4 << 10,
            body_memory_bytes: 512 << 20,
            body_memory_time: Duration::from_secs(300),
            body_memory_wait: Duration::from_secs(20),
            write_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

/// Where the certificate is. Both files are looked at again and again, and a pair that is good replaces the old one for
/// new connections; a pair that is not is complained about, and the old one stays.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// PEM, the leaf first. `tls.cert`.
    pub certificate: PathBuf,
    /// PEM. `tls.key`.
    pub key: PathBuf,
    /// How often the files are looked at. `tls.reload_secs`.
    pub reload: Duration,
}

impl TlsSettings {
    /// With the default interval.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into(), reload: Duration::from_secs(2) }
    }
}
