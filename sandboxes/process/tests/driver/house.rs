//! A driver on a real jail, and functions for it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dormouse_jail::{Jailer, JailerConfig, SpawnerCommand};
use dormouse_model::{Clock as _, Credentials, EgressGrant, Invocation, RequestId, SystemClock, VersionNumber};
use dormouse_process::{Doors, ProcessConfig, ProcessDriver};
use dormouse_sandbox::{
    Driver as _, Ending, InitReport, Instance, LogLine, LogSink, Logging, StartError, StartSpec, Stream,
};

/// The most that anything here may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Lines(Mutex<Vec<LogLine>>);

impl LogSink for Lines {
    fn line(&self, line: LogLine) {
        self.0.lock().expect("no panic").push(line);
    }
}

impl Lines {
    /// What the code printed, with the invocation that it belongs to.
    pub(crate) fn printed(&self) -> Vec<(Option<RequestId>, String)> {
        let lines = self.0.lock().expect("no panic");
        let printed = lines.iter().filter(|line| line.stream != Stream::Platform);
        printed.map(|line| (line.request_id, String::from_utf8_lossy(&line.text).into_owned())).collect()
    }
}

/// Everything that a test needs.
pub(crate) struct House {
    pub(crate) driver: ProcessDriver,
    pub(crate) lines: Arc<Lines>,
    pub(crate) jailer: Jailer,
    dir: tempfile::TempDir,
}

impl House {
    pub(crate) async fn open() -> Self {
        let dir = tempfile::Builder::new().prefix("process-driver").tempdir().expect("a directory");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
        let command = SpawnerCommand { program: env!("CARGO_BIN_EXE_process-test-spawner").into(), args: Vec::new() };
        let jailer = Jailer::start(command, JailerConfig::new(dir.path().join("jail"))).await.expect("a jailer");
        let config = ProcessConfig::new(dir.path().join("process"));
        let driver = ProcessDriver::new(jailer.clone(), config, Doors::default()).expect("a driver");
        Self { driver, lines: Arc::default(), jailer, dir }
    }

    /// A function of these files; a name that ends in `!` is executable.
    pub(crate) fn spec(&self, runtime: &str, handler: &str, files: &[(&str, &str)]) -> StartSpec {
        let instance = RequestId::random().to_string();
        let code = self.dir.path().join("code").join(&instance);
        std::fs::create_dir_all(&code).expect("made");
        for (name, text) in files {
            let path = code.join(name.trim_end_matches('!'));
            std::fs::write(&path, text).expect("written");
            let mode = if name.ends_with('!') { 0o755 } else { 0o644 };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        }
        open_to_all(self.dir.path(), &code);
        StartSpec {
            instance,
            function: "arn:aws:lambda:us-east-1:000000000000:function:f".parse().expect("an ARN"),
            version: VersionNumber::Latest,
            runtime: runtime.to_owned(),
            handler: handler.to_owned(),
            code,
            layers: Vec::new(),
            environment: BTreeMap::new(),
            credentials: Credentials {
                access_key_id: "AKIDEXAMPLE".to_owned(),
                secret_access_key: "secret".to_owned(),
                session_token: "token".to_owned(),
                expires: SystemClock.now() + Duration::from_secs(3600),
            },
            memory_mb: 1769,
            ephemeral_storage_mb: 512,
            timeout: Duration::from_secs(30),
            init_timeout: LIMIT,
            egress: EgressGrant::None,
            logging: Logging {
                group: "/aws/lambda/f".to_owned(),
                stream: "s".to_owned(),
                json: false,
                application_level: None,
            },
            log: Arc::clone(&self.lines) as Arc<dyn LogSink>,
        }
    }

    pub(crate) async fn start(&self, spec: StartSpec) -> Result<(Box<dyn Instance>, InitReport), StartError> {
        tokio::time::timeout(LIMIT * 2, self.driver.start(spec)).await.expect("the start ends")
    }

    /// A Python function that is up.
    pub(crate) async fn python(&self, code: &str) -> Box<dyn Instance> {
        let started = self.start(self.spec("python3.11", "app.handler", &[("app.py", code)])).await;
        started.unwrap_or_else(|error| panic!("{error}\n{:?}", self.lines.printed())).0
    }
}

fn open_to_all(root: &Path, code: &Path) {
    for dir in code.ancestors().take_while(|dir| *dir != root) {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    }
}

pub(crate) fn invocation(payload: &str, limit: Duration) -> Invocation {
    Invocation {
        request_id: RequestId::random(),
        invoked_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".parse().expect("an ARN"),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        deadline: SystemClock.now() + limit,
        trace_id: String::new(),
        client_context: None,
    }
}

pub(crate) async fn invoke(instance: &mut Box<dyn Instance>, payload: &str) -> Ending {
    instance.invoke(invocation(payload, LIMIT)).await
}

pub(crate) async fn respond(instance: &mut Box<dyn Instance>, payload: &str) -> serde_json::Value {
    match invoke(instance, payload).await {
        Ending::Response(body) => serde_json::from_slice(&body).expect("JSON"),
        other => panic!("no response: {other:?}"),
    }
}
