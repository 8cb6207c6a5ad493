//! Runs a bootstrap as a plain child process, without any isolation, to try what it does with handlers.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use dormouse_model::{Clock as _, Invocation, RequestId, SystemClock};
use dormouse_runtime_api::{Answer, InitOutcome, Limits, Session};
use serde_json::Value;

/// The most that anything here may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Runtime {
    pub(crate) session: Session,
    pub(crate) code: tempfile::TempDir,
    child: Child,
}

/// Which bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    Nodejs,
}

impl Language {
    fn command(self) -> Vec<String> {
        let bootstraps = Path::new(env!("CARGO_MANIFEST_DIR")).join("bootstraps");
        let (program, arguments, file) = match self {
            Self::Python => ("python3", vec!["-X", "utf8", "-S"], "python/bootstrap.py"),
            Self::Nodejs => ("node", vec![], "nodejs/bootstrap.cjs"),
        };
        let mut command = vec![program.to_owned()];
        command.extend(arguments.into_iter().map(str::to_owned));
        command.push(bootstraps.join(file).display().to_string());
        command
    }
}

impl Runtime {
    /// Starts a bootstrap on these files, `(name, text)`.
    pub(crate) fn start(language: Language, handler: &str, files: &[(&str, &str)], env: &[(&str, &str)]) -> Self {
        let code = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            let path = code.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        // The shell moves the socket, which is its standard input, to the descriptor that bootstraps look at.
        let mut command = Command::new("sh");
        command.args(["-c", "exec 3<&0 </dev/null; exec \"$@\"", "sh"]).args(language.command());
        command.env("LAMBDA_TASK_ROOT", code.path()).env("_HANDLER", handler).env("AWS_LAMBDA_FUNCTION_NAME", "f");
        command.env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST").env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128");
        command.envs(env.iter().copied()).current_dir(code.path());
        let out = std::fs::File::create(code.path().join("stdout")).expect("a file");
        let err = std::fs::File::create(code.path().join("stderr")).expect("a file");
        let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(out).stderr(err).spawn().expect("sh runs");
        // The child has its own copy; with ours open the channel would never end.
        drop(command);
        let session = Session::framed(ours, Limits::default()).expect("registered");
        Self { session, code, child }
    }

    pub(crate) async fn ready(&mut self) -> InitOutcome {
        tokio::time::timeout(LIMIT, self.session.ready()).await.expect("init ends")
    }

    pub(crate) async fn answer(&mut self, payload: impl Into<Bytes>) -> (RequestId, Answer) {
        let invocation = invocation(payload);
        let id = invocation.request_id;
        (id, tokio::time::timeout(LIMIT, self.session.invoke(invocation)).await.expect("it answers"))
    }

    /// The response to an event.
    pub(crate) async fn respond(&mut self, event: &str) -> Value {
        match self.answer(event.to_owned()).await.1 {
            Answer::Response(body) => serde_json::from_slice(&body).expect("JSON"),
            other => panic!("no response: {other:?}\n{}", self.stdout()),
        }
    }

    /// The error that answers an event.
    pub(crate) async fn raise(&mut self, event: &str) -> Raised {
        match self.answer(event.to_owned()).await.1 {
            Answer::Error { error_type, body, leaving } => {
                Raised { error_type, body: serde_json::from_slice(&body).expect("JSON"), leaving }
            }
            other => panic!("no error: {other:?}\n{}", self.stdout()),
        }
    }

    pub(crate) fn stdout(&self) -> String {
        std::fs::read_to_string(self.code.path().join("stdout")).expect("readable")
    }
}

pub(crate) struct Raised {
    pub(crate) error_type: String,
    pub(crate) body: BTreeMap<String, Value>,
    pub(crate) leaving: bool,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn invocation(payload: impl Into<Bytes>) -> Invocation {
    Invocation {
        request_id: RequestId::random(),
        invoked_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".parse().expect("an ARN"),
        payload: payload.into(),
        deadline: SystemClock.now() + Duration::from_secs(30),
        trace_id: "Root=1-5759e988-bd862e3fe1be46a994272793".to_owned(),
        client_context: Some(r#"{"custom":{"k":"v"},"client":{"app_title":"t"}}"#.to_owned()),
    }
}
