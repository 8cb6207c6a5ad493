use std::sync::Arc;
use std::time::{Duration, Instant};

use dormouse_front::{FrontSettings, ResponseBody, raise_open_files, response};
use dormouse_telemetry::names;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::support::{Door, door, one, refused_with, rest, text};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(3600);

/// Answers with the body's length, or with what was wrong with it.
fn measuring(settings: FrontSettings, limit: u64) -> Door {
    door(settings, move |mut request| async move {
        request.body.limit(limit);
        match request.body.collect().await {
            Ok(body) => text(body.len().to_string()),
            Err(error) => response(error.status(), "text/plain", error.to_string()),
        }
    })
}

#[tokio::test]
async fn a_header_that_is_too_large_is_refused() {
    let door = measuring(FrontSettings { max_header_bytes: 8_192, ..FrontSettings::default() }, 10);
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "x".repeat(20_000));
    let answer = door.exchange(long.as_bytes()).await;
    refused_with(&answer, 431);
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200));
    let answer = door.exchange(many.as_bytes()).await;
    refused_with(&answer, 431);
}

/// The client sends on while it is refused, as clients do that do not look for an answer before they are done.
#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_words_that_arrive() {
    let door = measuring(FrontSettings::default(), 1_000);
    for head in ["content-length: 4000000", "transfer-encoding: chunked"] {
        let mut stream = door.connect().await;
        stream.write_all(format!("POST / HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n").as_bytes()).await.expect("sent");
        let (mut reading, mut writing) = stream.split();
        let sending = async {
            for _ in 0..400 {
                let chunk = if head.starts_with("transfer") {
                    format!("2710\r\n{}\r\n", "x".repeat(10_000))
                } else {
                    "x".repeat(10_000)
                };
                if writing.write_all(chunk.as_bytes()).await.is_err() {
                    break;
                }
            }
            let _ = writing.shutdown().await;
        };
        let (answer, ()) = tokio::join!(rest(&mut reading), sending);
        assert!(answer.starts_with("HTTP/1.1 413"), "{head}: {answer}");
        assert!(answer.ends_with("larger than the 1000 bytes that are allowed"), "{head}: {answer}");
    }
    let answer =
        door.exchange(b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nfour").await;
    assert!(answer.ends_with("\r\n\r\n4"), "{answer}");
}

/// The second large body has no room as long as the first is held, and a small one needs none.
#[tokio::test]
async fn large_bodies_wait_for_room() {
    let settings = FrontSettings { body_memory_bytes: 6 << 20, body_memory_wait: SHORT, ..FrontSettings::default() };
    let (held, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let door = door(settings, {
        let (held, release) = (Arc::clone(&held), Arc::clone(&release));
        move |request| {
            let (held, release) = (Arc::clone(&held), Arc::clone(&release));
            async move {
                let holds = request.parts.uri.path() == "/hold";
                match request.body.collect().await {
                    Ok(body) if holds => {
                        held.notify_one();
                        release.notified().await;
                        text(body.len().to_string())
                    }
                    Ok(body) => text(body.len().to_string()),
                    Err(error) => response(error.status(), "text/plain", error.to_string()),
                }
            }
        }
    });
    let ask = |path: &str, size: usize| {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; size]].concat()
    };
    let hold = ask("/hold", 2 << 20);
    let first = async {
        let answer = door.exchange(&hold).await;
        assert!(answer.ends_with("2097152"), "{answer}");
    };
    let others = async {
        held.notified().await;
        // Only its head: what is refused is not read.
        let mut stream = door.connect().await;
        let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2097152\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("sent");
        let (head, body) = one(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 503") && body.contains("memory"), "{head}{body}");
        assert!(head.to_ascii_lowercase().contains("connection: close"), "{head}");
        assert!(door.exchange(&ask("/", 1 << 20)).await.ends_with("1048576"), "a small one needs no room");
        release.notify_one();
    };
    tokio::join!(first, others);
    let answer = door.exchange(&ask("/", 2 << 20)).await;
    assert!(answer.ends_with("2097152"), "{answer}");
}

/// Whoever is answered before the body was read must not send the next request on this connection.
#[tokio::test]
async fn an_answer_before_the_end_of_the_body_closes() {
    let door = door(FrontSettings::default(), |_| async { text("without reading".to_owned()) });
    let mut stream = door.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nfour").await.expect("sent");
    let (head, _) = one(&mut stream).await;
    assert!(head.to_ascii_lowercase().contains("connection: close"), "{head}");
    let mut stream = door.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.expect("sent");
    let (head, _) = one(&mut stream).await;
    assert!(!head.to_ascii_lowercase().contains("connection: close"), "{head}");
}

#[tokio::test]
async fn a_header_that_never_ends_is_not_waited_for() {
    let settings = FrontSettings { header_timeout: SHORT, idle_timeout: LONG, ..FrontSettings::default() };
    let door = measuring(settings, 10);
    let mut stream = door.connect().await;
    let started = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nhost").await.expect("sent");
    assert_eq!(rest(&mut stream).await, "");
    assert!(started.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_header_in_trickles_has_no_more_time() {
    let settings = FrontSettings { header_timeout: SHORT, idle_timeout: LONG, ..FrontSettings::default() };
    let door = measuring(settings, 10);
    let (mut reading, mut writing) = door.connect().await.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    });
    assert_eq!(rest(&mut reading).await, "");
    trickle.await.expect("cut off");
}

#[tokio::test]
async fn an_idle_connection_ends_quietly() {
    let settings = FrontSettings { header_timeout: LONG, idle_timeout: SHORT, ..FrontSettings::default() };
    let door = measuring(settings, 10);
    let mut stream = door.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    assert_eq!(one(&mut stream).await.1, "0");
    assert_eq!(stream.read(&mut [0; 1]).await.expect("an end, no reset"), 0);
}

#[tokio::test]
async fn a_slow_body_is_not_waited_for() {
    let settings = FrontSettings { body_grace: SHORT, header_timeout: LONG, ..FrontSettings::default() };
    let door = measuring(settings, 100);
    let mut stream = door.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nfour").await.expect("sent");
    let (head, body) = one(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 408") && body.contains("too slowly"), "{head}{body}");
}

/// At a pace that is enough for a small body, a large one would hold its memory for months.
#[tokio::test]
async fn a_large_body_has_to_come_faster_than_a_small_one() {
    let settings = FrontSettings {
        body_grace: SHORT,
        body_min_bytes_per_sec: 1,
        body_memory_time: Duration::from_secs(2),
        ..FrontSettings::default()
    };
    let door = measuring(settings, 8 << 20);
    let mut large = door.connect().await;
    let head = |bytes: usize| format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
    large.write_all(head(4 << 20).as_bytes()).await.expect("sent");
    let mut small = door.connect().await;
    small.write_all(format!("{}{}", head(1 << 20), "x".repeat(3_600)).as_bytes()).await.expect("sent");
    large.write_all(&[b'x'; 3_600]).await.expect("sent");
    let (answer, body) = one(&mut large).await;
    assert!(answer.starts_with("HTTP/1.1 408") && body.contains("at least 2097152 bytes a second"), "{answer}{body}");
    // The small one sent as much, which gives it an hour.
    small.write_all(&vec![b'x'; (1 << 20) - 3_600]).await.expect("sent");
    assert_eq!(one(&mut small).await.1, "1048576");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_no_body() {
    let told = Arc::new(Notify::new());
    let telling = Arc::clone(&told);
    let door = door(FrontSettings::default(), move |request| {
        let telling = Arc::clone(&telling);
        async move {
            // The client is gone, so this runs on its own.
            let mut body = request.body;
            assert!(matches!(body.chunk().await, Ok(Some(_))));
            if body.chunk().await.is_err() {
                telling.notify_one();
            }
            text("to nobody")
        }
    });
    let mut stream = door.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nfour").await.expect("sent");
    stream.shutdown().await.expect("closed");
    told.notified().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let gone = Arc::new(Notify::new());
    let telling = Arc::clone(&gone);
    let door = door(FrontSettings { write_timeout: SHORT, ..FrontSettings::default() }, move |_| {
        let telling = Arc::clone(&telling);
        async move {
            let (sender, body) = ResponseBody::stream(1);
            tokio::spawn(async move {
                let piece = bytes::Bytes::from(vec![0; 1 << 20]);
                while sender.send(piece.clone()).await.is_ok() {}
                telling.notify_one();
            });
            http::Response::new(body)
        }
    });
    let mut stream = door.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    gone.notified().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let door = measuring(FrontSettings { max_connections: 2, ..FrontSettings::default() }, 10);
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = door.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        one(&mut stream).await;
        kept.push(stream);
    }
    let mut third = door.connect().await;
    let answer = rest(&mut third).await;
    refused_with(&answer, 503);
    assert!(answer.contains("retry-after: 1"), "{answer}");
    assert_eq!(door.metrics.counter(&names::CONNECTIONS_REFUSED).with(["full"]).get(), 1);
    // A place that is given up is taken again.
    let mut first = kept.remove(0);
    first.shutdown().await.expect("closed");
    rest(&mut first).await;
    loop {
        let mut again = door.connect().await;
        let _ = again.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        if rest(&mut again).await.starts_with("HTTP/1.1 200") {
            break;
        }
    }
}

/// Both ends are in this process, so each connection takes two files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_connections_are_served_when_they_wake() {
    let many = usize::try_from(raise_open_files() / 2 - 200).unwrap_or(usize::MAX).min(4_000);
    let door = measuring(FrontSettings::default(), 10);
    let mut streams = Vec::new();
    for _ in 0..many {
        streams.push(door.connect().await);
    }
    for stream in &mut streams {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    }
    for stream in &mut streams {
        assert_eq!(one(stream).await.1, "0");
    }
    assert_eq!(door.front.connections(), many);
    let drained = tokio::spawn({
        let front = door.front.clone();
        async move { front.drain(Duration::from_secs(60)).await }
    });
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0; 1]).await.expect("an end, no reset"), 0);
    }
    assert!(drained.await.expect("drained").complete);
}
