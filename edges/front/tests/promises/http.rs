use std::collections::BTreeSet;
use std::sync::Arc;

use dormouse_front::{FrontSettings, InstanceIdentity, Peer, ResponseBody};
use dormouse_model::{RequestId, VersionNumber};
use dormouse_telemetry::names;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::support::{door, header, one, refused_with, rest, text};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_connection_carries_many_requests_each_with_its_own_id() {
    let door = door(FrontSettings::default(), |request| async move { text(request.id.to_string()) });
    let mut stream = door.connect().await;
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        stream.write_all(GET).await.expect("sent");
        let (head, body) = one(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(header(&head, "x-amzn-requestid"), Some(body.as_str()));
        body.parse::<RequestId>().expect("a UUID");
        ids.insert(body);
    }
    assert_eq!(ids.len(), 20);
    assert_eq!(door.metrics.counter(&names::REQUESTS).with(["aws", "2xx"]).get(), 20);
    assert_eq!(door.metrics.counter(&names::CONNECTIONS_ACCEPTED).with(["tcp"]).get(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let door = door(FrontSettings::default(), |request| async move { text(request.parts.uri.path().to_owned()) });
    let mut stream = door.connect().await;
    let many: String = (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nhost: x\r\n\r\n")).collect();
    stream.write_all(many.as_bytes()).await.expect("sent");
    for n in 0..50 {
        assert_eq!(one(&mut stream).await.1, format!("/{n}"));
    }
}

#[tokio::test]
async fn our_own_paths_go_to_the_admin_surface() {
    let door = door(FrontSettings::default(), |_| async { text("aws") });
    let answer = door.exchange(b"GET /_dormouse/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\nadmin"), "{answer}");
}

#[tokio::test]
async fn a_panic_is_a_500_and_no_more() {
    let door = door(FrontSettings::default(), |request| async move {
        assert_ne!(request.parts.uri.path(), "/panic", "as asked for");
        text("fine")
    });
    let mut stream = door.connect().await;
    stream.write_all(b"GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let (head, body) = one(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 500") && header(&head, "x-amzn-requestid").is_some(), "{head}");
    assert!(!body.contains("as asked for"), "the client was told what is internal: {body}");
    stream.write_all(GET).await.expect("sent");
    assert_eq!(one(&mut stream).await.1, "fine");
    assert_eq!(door.metrics.counter(&names::REQUESTS_PANICKED).with(["aws"]).get(), 1);
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_when_its_body_is_wanted() {
    let door = door(FrontSettings::default(), |request| async move {
        match request.parts.uri.path() {
            "/no" => dormouse_front::response(http::StatusCode::FORBIDDEN, "text/plain", "no"),
            _ => text(request.body.collect().await.expect("a body")),
        }
    });
    let ask =
        |path: &str| format!("POST {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    let mut stream = door.connect().await;
    stream.write_all(ask("/yes").as_bytes()).await.expect("sent");
    let (head, _) = one(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 100"), "{head}");
    stream.write_all(b"body").await.expect("sent");
    assert_eq!(one(&mut stream).await.1, "body");
    stream.write_all(ask("/no").as_bytes()).await.expect("sent");
    let (head, _) = one(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let door = door(FrontSettings::default(), |_| async { text("never") });
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\na b: c\r\n\r\n",
    ] {
        refused_with(&door.exchange(bytes).await, 400);
    }
    // Also behind a good one on the same connection, whose answer is left alone.
    let mut stream = door.connect().await;
    for _ in 0..2 {
        stream.write_all(GET).await.expect("sent");
        assert_eq!(one(&mut stream).await.1, "never");
    }
    stream.write_all(b"GET\r\n\r\n").await.expect("sent");
    refused_with(&rest(&mut stream).await, 400);
    let both = door.exchange(&[GET, b"GET\r\n\r\n"].concat()).await;
    let (first, second) = both.split_once("never").expect("the first is answered");
    assert!(first.starts_with("HTTP/1.1 200") && second.starts_with("HTTP/1.1 400"), "{both}");
    refused_with(second, 400);
}

/// A client that hangs up ends the surface's work, except what the surface wants ended properly.
#[tokio::test]
async fn a_hang_up_is_noticed_and_spawned_work_goes_on() {
    struct OnDrop(Arc<Notify>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let [started, dropped, go_on, finished] = [(); 4].map(|()| Arc::new(Notify::new()));
    let shared = [&started, &dropped, &go_on, &finished].map(Arc::clone);
    let door = door(FrontSettings::default(), move |request| {
        let [started, dropped, go_on, finished] = shared.clone();
        async move {
            let _dropped = OnDrop(dropped);
            let work = request.spawn(async move {
                started.notify_one();
                go_on.notified().await;
                finished.notify_one();
            });
            work.await.expect("finished");
            text("never seen")
        }
    });
    let mut stream = door.connect().await;
    stream.write_all(GET).await.expect("sent");
    started.notified().await;
    drop(stream);
    dropped.notified().await;
    go_on.notify_one();
    finished.notified().await;
}

#[tokio::test]
async fn a_stream_that_is_not_ended_is_visibly_cut() {
    let door = door(FrontSettings::default(), |request| async move {
        let (sender, body) = ResponseBody::stream(1);
        let whole = request.parts.uri.path() == "/whole";
        tokio::spawn(async move {
            sender.send("part".into()).await.expect("sent");
            if whole {
                sender.end().await.expect("ended");
            }
        });
        http::Response::new(body)
    });
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = door.exchange(ask("/whole").as_bytes()).await;
    assert!(answer.ends_with("4\r\npart\r\n0\r\n\r\n"), "{answer:?}");
    let answer = door.exchange(ask("/cut").as_bytes()).await;
    assert!(answer.contains("transfer-encoding: chunked") && !answer.ends_with("0\r\n\r\n"), "{answer:?}");
}

#[tokio::test]
async fn a_connection_out_of_a_sandbox_says_which() {
    let door = door(FrontSettings::default(), |request| async move {
        match request.peer {
            Peer::Instance(who) => text(format!("{} {}", who.instance, who.function)),
            Peer::Tcp(_) => text("from outside"),
        }
    });
    let identity = InstanceIdentity {
        instance: "i-7".to_owned(),
        function: "arn:aws:lambda:us-east-1:000000000000:function:f".parse().expect("an ARN"),
        version: VersionNumber::Latest,
    };
    let (mut inside, outside) = tokio::io::duplex(1024);
    door.front.serve_stream(outside, Peer::Instance(identity));
    inside.write_all(GET).await.expect("sent");
    assert_eq!(one(&mut inside).await.1, "i-7 arn:aws:lambda:us-east-1:000000000000:function:f");
    assert_eq!(door.metrics.gauge(&names::CONNECTIONS).with(["instance"]).get(), 1);
    inside.shutdown().await.expect("closed");
    assert_eq!(inside.read(&mut [0; 8]).await.expect("the end"), 0);
    let _ = rest(&mut inside).await;
}
