//! What runtimes do to the HTTP server, well and badly, over plain sockets.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use dormouse_model::{Clock as _, Invocation, RequestId, SystemClock};
use dormouse_runtime_api::{Answer, InitOutcome, Limits, Session};

/// The most that anything here may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
const NEXT: &str = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: x\r\n\r\n";

fn session() -> (Session, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    (Session::http(listener, Limits::default()).expect("served"), address)
}

fn invocation(payload: &'static str) -> Invocation {
    Invocation {
        request_id: RequestId::random(),
        invoked_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".parse().expect("an ARN"),
        payload: Bytes::from_static(payload.as_bytes()),
        deadline: SystemClock.now(),
        trace_id: String::new(),
        client_context: Some("{\"a\":1}".to_owned()),
    }
}

/// A runtime that talks over one connection, in a thread of its own.
struct Client(TcpStream);

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    fn connect(address: std::net::SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(LIMIT)).expect("set");
        Self(stream)
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("sent");
    }

    fn reply(&mut self) -> Reply {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            assert_eq!(
                self.0.read(&mut byte).expect("readable"),
                1,
                "closed after {:?}",
                String::from_utf8_lossy(&bytes)
            );
            bytes.push(byte[0]);
        }
        let head = String::from_utf8(bytes).expect("text").to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        self.0.read_exact(&mut body).expect("a body");
        let status = head[9..12].parse().expect("a status");
        Reply { status, head, body: String::from_utf8(body).expect("text") }
    }

    fn call(&mut self, text: &str) -> Reply {
        self.send(text);
        self.reply()
    }

    fn post(&mut self, path: &str, headers: &str, body: &str) -> Reply {
        let length = body.len();
        self.call(&format!(
            "POST /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
    }
}

fn id_of(reply: &Reply) -> String {
    let line = reply.head.lines().find_map(|line| line.strip_prefix("lambda-runtime-aws-request-id: "));
    line.expect("an id").to_owned()
}

/// Runs `runtime` beside the node's side of one invocation.
async fn beside(session: &mut Session, invocation: Invocation, runtime: impl FnOnce() + Send + 'static) -> Answer {
    let client = tokio::task::spawn_blocking(runtime);
    assert_eq!(tokio::time::timeout(LIMIT, session.ready()).await.expect("ready"), InitOutcome::Done);
    let answer = tokio::time::timeout(LIMIT, session.invoke(invocation)).await.expect("answered");
    client.await.expect("the runtime got what it expected");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_event_and_answer() {
    let (mut session, address) = session();
    let sent = invocation("{\"k\":1}");
    let id = sent.request_id.to_string();
    let answer = beside(&mut session, sent, move || {
        let mut client = Client::connect(address);
        let event = client.call(NEXT);
        assert_eq!((event.status, event.body.as_str()), (200, "{\"k\":1}"));
        assert_eq!(id_of(&event), id);
        for header in [
            "lambda-runtime-deadline-ms: ",
            "lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:000000000000:function:f\r\n",
            "lambda-runtime-client-context: {\"a\":1}\r\n",
            "content-type: application/json\r\n",
        ] {
            assert!(event.head.contains(header), "{header} is not in {}", event.head);
        }
        assert!(!event.head.contains("trace-id"), "an empty header is left out");
        let taken = client.post(&format!("invocation/{id}/response"), "", "42");
        assert_eq!((taken.status, taken.body.trim()), (202, "{\"status\":\"OK\"}"));
        let again = client.post(&format!("invocation/{id}/response"), "", "43");
        assert_eq!(again.status, 403);
        assert!(again.body.contains("\"errorType\":\"InvalidStateTransition\""), "{}", again.body);
    })
    .await;
    assert_eq!(answer, Answer::Response(Bytes::from_static(b"42")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_id_is_refused_and_the_right_one_still_counts() {
    let (mut session, address) = session();
    let answer = beside(&mut session, invocation("{}"), move || {
        let mut client = Client::connect(address);
        let id = id_of(&client.call(NEXT));
        for wrong in ["not-an-id".to_owned(), RequestId::random().to_string()] {
            let refused = client.post(&format!("invocation/{wrong}/response"), "", "0");
            assert_eq!(refused.status, 400);
            assert!(refused.body.contains("\"errorType\":\"InvalidRequestID\""), "{}", refused.body);
        }
        assert_eq!(client.call(NEXT).status, 403, "next while an answer is owed");
        assert_eq!(client.post("init/error", "", "{}").status, 403, "init is over");
        let header = "lambda-runtime-function-error-type: Runtime.Oops\r\n";
        assert_eq!(client.post(&format!("invocation/{id}/error"), header, "{\"errorMessage\":\"m\"}").status, 202);
    })
    .await;
    let Answer::Error { error_type, body, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((error_type.as_str(), &body[..]), ("Runtime.Oops", &b"{\"errorMessage\":\"m\"}"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_megabytes_are_too_large() {
    let (mut session, address) = session();
    let answer = beside(&mut session, invocation("{}"), move || {
        let mut client = Client::connect(address);
        let id = id_of(&client.call(NEXT));
        let refused = client.post(&format!("invocation/{id}/response"), "", &"x".repeat(7_000_000));
        assert_eq!(refused.status, 413);
        assert!(refused.body.contains("\"errorType\":\"RequestEntityTooLarge\""), "{}", refused.body);
    })
    .await;
    assert_eq!(answer, Answer::TooLarge { size_bytes: 7_000_000 });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_answer_passes() {
    let (mut session, address) = session();
    let most = dormouse_model::limits::RESPONSE_BYTES;
    let answer = beside(&mut session, invocation("{}"), move || {
        let mut client = Client::connect(address);
        let id = id_of(&client.call(NEXT));
        assert_eq!(client.post(&format!("invocation/{id}/response"), "", &"x".repeat(most)).status, 202);
    })
    .await;
    let Answer::Response(body) = answer else { panic!("{answer:?}") };
    assert_eq!(body.len(), most);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_answer_may_be_sent_again_on_another_connection() {
    let (mut session, address) = session();
    let answer = beside(&mut session, invocation("{}"), move || {
        let mut client = Client::connect(address);
        let id = id_of(&client.call(NEXT));
        let path = format!("/2018-06-01/runtime/invocation/{id}/response");
        client.send(&format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf"));
        drop(client);
        // The server hears of the loss when it hears of it; until then the answer counts as being sent.
        loop {
            let reply = Client::connect(address).post(&format!("invocation/{id}/response"), "", "7");
            if reply.status == 202 {
                break;
            }
            assert_eq!(reply.status, 403, "{}", reply.body);
        }
    })
    .await;
    assert_eq!(answer, Answer::Response(Bytes::from_static(b"7")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_wait_takes_the_place_of_an_earlier_one() {
    let (mut session, address) = session();
    let (waiting, both_wait) = std::sync::mpsc::channel();
    let client = tokio::task::spawn_blocking(move || {
        let mut first = Client::connect(address);
        first.send(NEXT);
        let mut second = Client::connect(address);
        // Until the first wait has arrived, the second would be the earlier one.
        first.0.set_read_timeout(Some(Duration::from_millis(20))).expect("set");
        loop {
            second.send(NEXT);
            let mut byte = [0];
            match first.0.peek(&mut byte) {
                Ok(_) => break,
                Err(_) => {
                    second = Client::connect(address);
                }
            }
        }
        first.0.set_read_timeout(Some(LIMIT)).expect("set");
        assert_eq!(first.reply().status, 403);
        waiting.send(()).expect("heard");
        let event = second.reply();
        assert_eq!(second.post(&format!("invocation/{}/response", id_of(&event)), "", "1").status, 202);
    });
    assert_eq!(session.ready().await, InitOutcome::Done);
    tokio::task::spawn_blocking(move || both_wait.recv().expect("both wait")).await.expect("joined");
    let answer = tokio::time::timeout(LIMIT, session.invoke(invocation("5"))).await.expect("answered");
    assert_eq!(answer, Answer::Response(Bytes::from_static(b"1")));
    client.await.expect("the runtime got what it expected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_init_is_reported_once() {
    let (mut session, address) = session();
    let client = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(address);
        let body = "{\"errorMessage\":\"no\",\"errorType\":\"Runtime.ImportModuleError\",\"stackTrace\":[]}";
        assert_eq!(client.post("init/error", "", body).status, 202);
        assert_eq!(client.post("init/error", "", body).status, 403);
        assert_eq!(client.call(NEXT).status, 403);
    });
    let InitOutcome::Error { error_type, message, .. } = session.ready().await else { panic!("init went well") };
    assert_eq!((error_type.as_str(), message.as_str()), ("Runtime.ImportModuleError", "no"));
    client.await.expect("the runtime got what it expected");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_supported_says_so() {
    let (mut session, address) = session();
    let answer = beside(&mut session, invocation("{}"), move || {
        let mut client = Client::connect(address);
        assert_eq!(client.call("GET /ping HTTP/1.1\r\nhost: x\r\n\r\n").body, "pong");
        assert_eq!(client.call("GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nhost: x\r\n\r\n").status, 403);
        assert_eq!(client.call("GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n").status, 404);
        assert_eq!(client.call("DELETE /ping HTTP/1.1\r\nhost: x\r\n\r\n").status, 405);
        let id = id_of(&client.call(NEXT));
        let mode = "lambda-runtime-function-response-mode: streaming\r\n";
        let refused = client.post(&format!("invocation/{id}/response"), mode, "42");
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains("InvalidFunctionResponseMode"), "{}", refused.body);
    })
    .await;
    let Answer::Error { error_type, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(error_type, "Runtime.InvalidResponseModeHeader");
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_and_slow_writers_do_not_keep_a_good_client_away() {
    let (mut session, address) = session();
    let answer = beside(&mut session, invocation("{}"), move || {
        let slow: Vec<Client> = (0..8)
            .map(|_| {
                let mut client = Client::connect(address);
                client.send("POST /2018-06-01/runtime/inv");
                client
            })
            .collect();
        let mut flood = Client::connect(address);
        // The server hangs up in the middle of it, so a failed write is right.
        drop(flood.0.write_all(format!("GET /ping HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(4_000_000)).as_bytes()));
        let mut client = Client::connect(address);
        let id = id_of(&client.call(NEXT));
        assert_eq!(client.post(&format!("invocation/{id}/response"), "", "1").status, 202);
        drop((slow, flood));
    })
    .await;
    assert_eq!(answer, Answer::Response(Bytes::from_static(b"1")));
}
