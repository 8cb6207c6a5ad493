use std::sync::Arc;
use std::time::Duration;

use dormouse_front::{Drained, FrontSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{Door, door, header, one, rest, text};

const LONG: Duration = Duration::from_secs(60);

/// Answers when told to.
fn held() -> (Door, Arc<Notify>, Arc<Notify>) {
    let (started, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let shared = (Arc::clone(&started), Arc::clone(&go_on));
    let door = door(FrontSettings::default(), move |_| {
        let (started, go_on) = shared.clone();
        async move {
            started.notify_one();
            go_on.notified().await;
            text("done")
        }
    });
    (door, started, go_on)
}

fn drain(door: &Door, limit: Duration) -> tokio::task::JoinHandle<Drained> {
    let front = door.front.clone();
    tokio::spawn(async move { front.drain(limit).await })
}

#[tokio::test]
async fn what_is_in_progress_ends_and_what_is_idle_is_closed() {
    let (door, started, go_on) = held();
    let mut idle = door.connect().await;
    let mut busy = door.connect().await;
    busy.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    started.notified().await;
    let draining = drain(&door, LONG);
    assert_eq!(idle.read(&mut [0; 1]).await.expect("an end, no reset"), 0);
    assert!(!draining.is_finished());
    go_on.notify_one();
    let (head, body) = one(&mut busy).await;
    assert_eq!((header(&head, "connection"), body.as_str()), (Some("close"), "done"));
    assert_eq!(draining.await.expect("drained"), Drained { complete: true, cut_connections: 0 });
    assert!(TcpStream::connect(door.address).await.is_err(), "the socket is still open");
}

#[tokio::test]
async fn what_does_not_end_is_cut_at_the_limit() {
    let (door, started, _) = held();
    let mut busy = door.connect().await;
    busy.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    started.notified().await;
    let drained = door.front.drain(Duration::from_millis(50)).await;
    assert_eq!(drained, Drained { complete: false, cut_connections: 1 });
    assert_eq!(rest(&mut busy).await, "");
}

#[tokio::test]
async fn a_drain_waits_for_spawned_work_whose_client_has_gone() {
    let (started, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let shared = (Arc::clone(&started), Arc::clone(&go_on));
    let door = door(FrontSettings::default(), move |request| {
        let (started, go_on) = shared.clone();
        async move {
            let work = request.spawn(async move {
                started.notify_one();
                go_on.notified().await;
            });
            work.await.expect("done");
            text("done")
        }
    });
    let mut stream = door.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    started.notified().await;
    drop(stream);
    let draining = drain(&door, LONG);
    while door.front.connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!draining.is_finished());
    go_on.notify_one();
    assert!(draining.await.expect("drained").complete);
}
