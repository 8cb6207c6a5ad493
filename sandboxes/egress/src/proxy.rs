//! Takes the sandbox's connections and makes the ones outside.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Shared;
use crate::grant::{Reason, Refusal, address_is_listed, address_is_open, target_is_granted};

/// How long the host may take to resolve a name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The host's network, as far as the proxy uses it.
#[async_trait]
pub trait Dialer: Send + Sync + 'static {
    /// All addresses of a name, in the order in which they are to be tried.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
    /// A connection.
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;
    /// Whether the address is one of this machine's own, which a grant must name itself.
    fn is_own(&self, address: IpAddr) -> bool;
}

/// The network of the machine that the node runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostDialer;

#[async_trait]
impl Dialer for HostDialer {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }

    fn is_own(&self, address: IpAddr) -> bool {
        // An address can be bound exactly when it is this machine's.
        address.is_loopback() || std::net::UdpSocket::bind((address, 0)).is_ok()
    }
}

/// How long accepting rests after it failed, say for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until it is dropped, which ends its connections.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, permits: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                connections.spawn(take(stream, shared.clone(), permits.clone().try_acquire_owned().ok()));
            }
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn take(mut inside: TcpStream, shared: Arc<Shared>, permit: Option<OwnedSemaphorePermit>) {
    let Ok(local) = inside.local_addr() else { return };
    let host = host_of(&shared, local.ip());
    let refused = match permit {
        Some(_permit) => carry(&mut inside, &shared, &host, local.port()).await.err(),
        None => Some(Reason::Limit),
    };
    // The line is written before the code sees its connection closed.
    if let Some(reason) = refused {
        shared.refuse(&Refusal { host, port: Some(local.port()), reason });
    }
}

/// What the code meant by the address that it connected to: the name that has it, or the address itself.
fn host_of(shared: &Shared, address: IpAddr) -> String {
    let name = match address.to_canonical() {
        IpAddr::V4(v4) => shared.names().name_of(v4).map(str::to_owned),
        IpAddr::V6(_) => None,
    };
    name.unwrap_or_else(|| address.to_canonical().to_string())
}

async fn carry(inside: &mut TcpStream, shared: &Shared, host: &str, port: u16) -> Result<(), Reason> {
    let mut outside = dial(shared, host, port).await?;
    let _ = inside.set_nodelay(true);
    let _ = outside.set_nodelay(true);
    // No limit on idleness: a frozen instance keeps its connections, as it keeps its memory. Both ends close with it.
    let _ = copy_bidirectional(inside, &mut outside).await;
    Ok(())
}

async fn dial(shared: &Shared, host: &str, port: u16) -> Result<TcpStream, Reason> {
    if !target_is_granted(&shared.grant, host, port) {
        return Err(Reason::NotGranted);
    }
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => match timeout(RESOLVE_TIMEOUT, shared.dialer.resolve(host, port)).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => addresses,
            _ => return Err(Reason::NoSuchName),
        },
    };
    let mut last = Reason::Unreachable;
    for address in addresses {
        if !may_dial(shared, port, address.ip()) {
            last = Reason::NotPublic(address.ip());
            continue;
        }
        if let Ok(Ok(stream)) = timeout(CONNECT_TIMEOUT, shared.dialer.connect(address)).await {
            return Ok(stream);
        }
        last = Reason::Unreachable;
    }
    Err(last)
}

fn may_dial(shared: &Shared, port: u16, address: IpAddr) -> bool {
    address_is_listed(&shared.grant, port, address)
        || (address_is_open(&shared.grant, address) && !shared.dialer.is_own(address))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Mutex;

    use dormouse_model::EgressGrant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UdpSocket;

    use super::*;
    use crate::{Egress, Refusals};

    /// Resolves every name to one address, and connects to a server of the test whatever the address.
    struct OneServer {
        resolves_to: IpAddr,
        server: SocketAddr,
    }

    #[async_trait]
    impl Dialer for OneServer {
        async fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![SocketAddr::new(self.resolves_to, port)])
        }
        async fn connect(&self, _: SocketAddr) -> io::Result<TcpStream> {
            TcpStream::connect(self.server).await
        }
        fn is_own(&self, _: IpAddr) -> bool {
            false
        }
    }

    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);
    impl Refusals for Kept {
        fn refused(&self, refusal: &Refusal) {
            self.0.lock().expect("no panic").push(refusal.to_string());
        }
    }

    /// A sandbox whose loopback is ours: 127.0.0.1 stands for a literal address that code connects to.
    async fn through(grant: &str, resolves_to: IpAddr) -> (io::Result<String>, Vec<String>) {
        let echo = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = echo.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = echo.accept().await {
                let _ = stream.write_all(b"hello").await;
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let inside = listener.local_addr().expect("an address");
        let grant: EgressGrant = grant.replace("PORT", &inside.port().to_string()).parse().expect("a grant");
        let resolver = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let refusals = Arc::new(Kept::default());
        let dialer = Arc::new(OneServer { resolves_to, server });
        let egress = Egress::serve(grant, resolver, vec![listener], dialer, refusals.clone());
        let mut stream = TcpStream::connect(inside).await.expect("the proxy");
        let mut text = String::new();
        let read = stream.read_to_string(&mut text).await.map(|_| text);
        drop(egress);
        let lines = refusals.0.lock().expect("no panic").clone();
        (read, lines)
    }

    #[tokio::test]
    async fn a_granted_address_is_dialled_and_spliced() {
        let (read, refused) = through("127.0.0.1:PORT", Ipv4Addr::LOCALHOST.into()).await;
        assert_eq!((read.expect("an answer").as_str(), refused.len()), ("hello", 0));
    }

    #[tokio::test]
    async fn what_is_not_granted_is_closed_and_named() {
        let (read, refused) = through("other.org:PORT", Ipv4Addr::LOCALHOST.into()).await;
        assert_eq!(read.unwrap_or_default(), "");
        assert!(
            refused[0].starts_with("EGRESS refused 127.0.0.1:") && refused[0].contains("dormouse:egress"),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn localhost_is_the_loopback_by_any_name() {
        let (read, refused) = through("localhost:PORT", Ipv4Addr::LOCALHOST.into()).await;
        assert_eq!((read.expect("an answer").as_str(), refused.len()), ("hello", 0));
    }

    #[tokio::test]
    async fn a_flood_of_refusals_is_a_few_lines() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let inside = listener.local_addr().expect("an address");
        let resolver = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let refusals = Arc::new(Kept::default());
        let _egress = Egress::serve(EgressGrant::All, resolver, vec![listener], Arc::new(HostDialer), refusals.clone());
        let from = std::time::Instant::now();
        for _ in 0..200 {
            let mut stream = TcpStream::connect(inside).await.expect("the proxy");
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        let most = crate::REFUSALS_PER_SECOND as usize * (from.elapsed().as_secs() as usize + 2);
        let told = refusals.0.lock().expect("no panic").len();
        assert!((1..=most).contains(&told), "{told} lines");
    }

    #[tokio::test]
    async fn everything_does_not_mean_the_loopback() {
        let (read, refused) = through("all", Ipv4Addr::LOCALHOST.into()).await;
        assert_eq!(read.unwrap_or_default(), "");
        assert!(refused[0].contains("it leads to 127.0.0.1"), "{refused:?}");
    }

    #[tokio::test]
    async fn names_resolve_when_some_port_of_them_is_granted() {
        let refusals = Arc::new(Kept::default());
        let resolver = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = resolver.local_addr().expect("an address");
        let grant = "a.org:443".parse().expect("a grant");
        let _egress = Egress::serve(grant, resolver, vec![], Arc::new(HostDialer), refusals.clone());
        let client = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        client.connect(address).await.expect("the resolver");
        let mut answers = Vec::new();
        for label in ["a", "b"] {
            let query = [b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01", label.as_bytes(), b"\x03org\0\0\x01\0\x01"].concat();
            client.send(&query).await.expect("sent");
            let mut answer = [0; 512];
            let length = client.recv(&mut answer).await.expect("an answer");
            answers.push(answer[..length].to_vec());
        }
        assert_eq!(answers[0][answers[0].len() - 4..], [198, 18, 0, 1]);
        assert_eq!(answers[1][3] & 0x0f, 3, "no such name");
        assert!(refusals.0.lock().expect("no panic")[0].starts_with("EGRESS refused b.org: not granted"));
    }
}
