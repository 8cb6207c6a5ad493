//! Two readers of the same bytes must not see two different requests: what could be read in two ways is refused, and what
//! is left of a connection after a refusal is no request.

use dormouse_front::FrontSettings;
use tokio::io::AsyncWriteExt;

use crate::support::{Door, door, rest, text};

/// Answers with what it took for the method, the path and the body.
fn telling() -> Door {
    door(FrontSettings::default(), |request| async move {
        let (method, path) = (request.parts.method.clone(), request.parts.uri.path().to_owned());
        match request.body.collect().await {
            Ok(body) => text(format!("<{method} {path} {}>", String::from_utf8_lossy(&body))),
            Err(error) => dormouse_front::response(error.status(), "text/plain", error.to_string()),
        }
    })
}

/// The requests that were answered, as they were understood, and the statuses of all answers.
async fn understood(door: &Door, bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    let mut stream = door.connect().await;
    stream.write_all(bytes).await.expect("sent");
    stream.shutdown().await.expect("closed");
    let answers = rest(&mut stream).await;
    let requests = answers.split('<').skip(1).filter_map(|part| part.split('>').next()).map(str::to_owned).collect();
    let lines = answers.lines().filter_map(|line| line.split_once("HTTP/1.1 "));
    let statuses = lines.filter_map(|(_, status)| status.get(..3)).filter(|code| code.parse::<u16>().is_ok());
    let statuses = statuses.map(str::to_owned).collect();
    (requests, statuses)
}

/// Behind each of these heads stands a whole other request.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn lengths_that_contradict_are_refused() {
    let door = telling();
    for fields in [
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4, 5",
        "content-length: +4",
        "content-length: -4",
        "content-length: 0x4",
        "content-length: 4 4",
        "content-length: 18446744073709551616",
        "content-length:",
        "transfer-encoding: xchunked",
        "transfer-encoding: identity",
        "transfer-encoding: chunked, identity",
        "transfer-encoding : chunked",
        "transfer-encoding: \x0bchunked",
        "transfer-encoding:\r\n chunked",
        " content-length: 4",
        "content-length: 4\r\n\tx: y",
        "a: b\rc: d",
        "a: b\0c",
        "a\0: b",
        "a b: c",
        ": b",
    ] {
        let bytes = format!("POST /seen HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n0\r\n\r\n{HIDDEN}");
        let (requests, statuses) = understood(&door, bytes.as_bytes()).await;
        assert_eq!((requests, statuses), (vec![], vec!["400".to_owned()]), "{fields:?}");
    }
    let older = format!("POST /seen HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}");
    let (requests, statuses) = understood(&door, older.as_bytes()).await;
    assert_eq!((requests, statuses), (vec![], vec!["400".to_owned()]));
}

/// The standard lets a server take the chunks and forget the length, or refuse; never take the length.
#[tokio::test]
async fn chunks_go_before_a_length() {
    let door = telling();
    for fields in ["content-length: 5\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 5"]
    {
        let bytes = format!("POST /seen HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n3\r\nabc\r\n0\r\n\r\n{HIDDEN}");
        let (requests, _) = understood(&door, bytes.as_bytes()).await;
        assert_eq!(requests.first().map(String::as_str), Some("POST /seen abc"), "{fields:?}");
    }
}

#[tokio::test]
async fn chunks_that_are_broken_are_no_body() {
    let door = telling();
    for body in [
        "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabc0\r\n\r\n",
        "\r\n3\r\nabc\r\n0\r\n\r\n",
    ] {
        let bytes = format!("POST /seen HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{body}{HIDDEN}");
        let (requests, statuses) = understood(&door, bytes.as_bytes()).await;
        assert_eq!(requests, Vec::<String>::new(), "{body:?} was a body; {statuses:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_refused_is_the_last_of_its_connection() {
    let door = telling();
    for line in ["GET /a b HTTP/1.1", "GET /a HTTP/2.5", "GET  /a HTTP/1.1", "GE(T /a HTTP/1.1", "GET /\x7f HTTP/1.1"] {
        let (requests, statuses) = understood(&door, format!("{line}\r\nhost: x\r\n\r\n{HIDDEN}").as_bytes()).await;
        assert_eq!((requests, statuses), (vec![], vec!["400".to_owned()]), "{line:?}");
    }
}
