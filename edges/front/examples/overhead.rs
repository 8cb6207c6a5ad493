//! What the front door costs: requests per second through it and through bare hyper, client and server in one process.
//!
//! `cargo run --release -p dormouse-front --example overhead [connections] [seconds]`; several rounds in turn, because
//! machines drift.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_front::{Front, FrontSettings, Listener, Request, Response, Surface, Surfaces, response};
use dormouse_model::SystemClock;
use dormouse_telemetry::Metrics;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ROUNDS: usize = 5;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

struct Hello;

#[async_trait]
impl Surface for Hello {
    async fn serve(&self, _: Request) -> Response {
        response(http::StatusCode::OK, "text/plain", "hello")
    }
}

fn front() -> Result<SocketAddr, Box<dyn std::error::Error>> {
    let surfaces = Surfaces { admin: Arc::new(Hello), aws: Arc::new(Hello) };
    let front = Front::new(FrontSettings::default(), None, surfaces, Arc::new(SystemClock), &Metrics::new())?;
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address();
    front.accept_from(listener);
    Ok(address)
}

async fn bare() -> Result<SocketAddr, Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let hello = service_fn(|_| async {
                let response = http::Response::builder().header("content-type", "text/plain");
                Ok::<_, Infallible>(response.body(Full::new(Bytes::from("hello"))).unwrap_or_default())
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), hello));
        }
    });
    Ok(address)
}

/// Requests per second, one at a time on each connection.
async fn measure(address: SocketAddr, connections: usize, time: Duration) -> Result<f64, Box<dyn std::error::Error>> {
    let (count, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (count, over) = (Arc::clone(&count), Arc::clone(&over));
        clients.push(tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while !over.load(Ordering::Relaxed) {
                stream.write_all(REQUEST).await?;
                let mut length = 0;
                while !buffer[..length].ends_with(b"hello") {
                    length += stream.read(&mut buffer[length..]).await?;
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, std::io::Error>(())
        }));
    }
    let started = Instant::now();
    tokio::time::sleep(time).await;
    over.store(true, Ordering::Relaxed);
    let rate = count.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    for client in clients {
        client.await??;
    }
    Ok(rate)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u32>());
    let connections = arguments.next().transpose()?.unwrap_or(32) as usize;
    let time = Duration::from_secs(arguments.next().transpose()?.unwrap_or(2).into());
    let (bare, front) = (bare().await?, front()?);
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let of_bare = measure(bare, connections, time).await?;
        let of_front = measure(front, connections, time).await?;
        println!("bare {of_bare:>9.0}/s   front {of_front:>9.0}/s   ratio {:.3}", of_front / of_bare);
        ratios.push(of_front / of_bare);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.3} with {connections} connections", ratios[ROUNDS / 2]);
    Ok(())
}
