//! An engine over the memory store and the mock driver, with time that stands still.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::unimplemented, reason = "it is a test")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_blob::FilesystemBlobs;
use dormouse_functions::*;
use dormouse_model::{AccountId, Clock, Credentials, FunctionArn, FunctionName, RequestId, Timestamp};
use dormouse_sandbox::mock::{Mock, Seen};
use dormouse_store::{Batch, CommitId, CommitOutcome, Hints, Lane, Read, Snapshot, Store, StoreResult};
use dormouse_telemetry::{
    FunctionKey, FunctionLogs, LogFollow, LogPage, LogQuery, LogRecord, Metrics, TelemetryResult, UsageRecord,
    UsageRecords, UsageRow,
};
use dormouse_testkit::{MemoryStore, Rng, TokioClock};

pub const ACCOUNT: &str = "000000000000";
pub const ROLE: &str = "arn:aws:iam::000000000000:role/r";

pub fn account() -> AccountId {
    ACCOUNT.parse().expect("an account")
}

pub fn name(text: &str) -> FunctionName {
    text.parse().expect("a name")
}

/// Keeps every line and every usage record.
#[derive(Default)]
pub struct Kept {
    pub lines: Mutex<Vec<LogRecord>>,
    pub usage: Mutex<Vec<UsageRecord>>,
}

#[async_trait]
impl FunctionLogs for Kept {
    fn append(&self, _: &FunctionKey, record: LogRecord) {
        self.lines.lock().unwrap().push(record);
    }
    async fn flush(&self) {}
    async fn read(&self, _: LogQuery) -> TelemetryResult<LogPage> {
        Ok(LogPage::default())
    }
    fn follow(&self, _: LogQuery) -> Box<dyn LogFollow> {
        unimplemented!("no test follows")
    }
}

#[async_trait]
impl UsageRecords for Kept {
    fn record(&self, record: UsageRecord) {
        self.usage.lock().unwrap().push(record);
    }
    async fn flush(&self) {}
    async fn read(&self, _: Option<AccountId>, _: Timestamp, _: Timestamp) -> TelemetryResult<Vec<UsageRow>> {
        Ok(Vec::new())
    }
}

/// Every role is good unless its name says otherwise; keys last an hour.
struct Roles(Arc<dyn Clock>);

#[async_trait]
impl ExecutionRoles for Roles {
    async fn check(&self, _: &AccountId, role: &str) -> Result<(), RoleError> {
        match role.ends_with("/absent") {
            true => Err(RoleError::Refused("The role defined for the function cannot be assumed by Lambda.".into())),
            false => Ok(()),
        }
    }
    async fn credentials(&self, _: &AccountId, _: &str, _: &FunctionArn) -> Result<Credentials, RoleError> {
        Ok(Credentials {
            access_key_id: "ASIA".into(),
            secret_access_key: "s".into(),
            session_token: "t".into(),
            expires: self.0.now() + Duration::from_secs(3_600),
        })
    }
}

/// Seals so that a test sees the difference, and nobody else should rely on it.
struct Shifts;

impl Sealer for Shifts {
    fn seal(&self, owner: &str, text: &[u8]) -> Vec<u8> {
        [owner.as_bytes(), text].concat().iter().map(|byte| byte.wrapping_add(1)).collect()
    }
    fn open(&self, owner: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let text: Vec<u8> = sealed.iter().map(|byte| byte.wrapping_sub(1)).collect();
        text.strip_prefix(owner.as_bytes()).map(<[u8]>::to_vec)
    }
}

/// The store, with commits that take as long as is said.
struct Paced(MemoryStore, Arc<AtomicU64>);

#[async_trait]
impl Store for Paced {
    async fn read(&self, reads: Vec<Read>) -> StoreResult<Snapshot> {
        self.0.read(reads).await
    }
    async fn commit_in(&self, lane: Lane, id: CommitId, batch: Batch) -> StoreResult<CommitOutcome> {
        match self.1.load(SeqCst) {
            0 => {}
            millis => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
        self.0.commit_in(lane, id, batch).await
    }
    async fn delete_range(&self, from: Bytes, to: Bytes, at_most: usize) -> StoreResult<bool> {
        self.0.delete_range(from, to, at_most).await
    }
    fn watch(&self, prefix: Bytes) -> Hints {
        self.0.watch(prefix)
    }
}

struct Seeded(Mutex<Rng>);

impl Randomness for Seeded {
    fn next_u64(&self) -> u64 {
        self.0.lock().unwrap().next()
    }
}

pub struct Bench {
    pub functions: Functions,
    pub store: MemoryStore,
    pub commit_millis: Arc<AtomicU64>,
    pub seen: Arc<Seen>,
    pub kept: Arc<Kept>,
    pub clock: TokioClock,
    pub settings: Settings,
    pub dir: Arc<tempfile::TempDir>,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(set: impl FnOnce(&mut Settings)) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a directory"));
        let clock = TokioClock::start();
        let store = MemoryStore::with_clock(Arc::new(clock.clone()));
        let mut settings = Settings::new(dir.path().join("cache"));
        settings.retry_delays = vec![Duration::from_secs(1), Duration::from_secs(2)];
        set(&mut settings);
        Self::open(dir, clock, store, settings).await
    }

    /// Another engine on the same data, as after a restart.
    pub async fn again(&self) -> Self {
        let mut settings = self.settings.clone();
        settings.code_cache_dir = self.dir.path().join(format!("cache-{:?}", tokio::time::Instant::now()));
        Self::open(self.dir.clone(), self.clock.clone(), self.store.clone(), settings).await
    }

    async fn open(dir: Arc<tempfile::TempDir>, clock: TokioClock, store: MemoryStore, settings: Settings) -> Self {
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let mock = Mock::new(shared.clone());
        let (seen, kept) = (mock.seen(), Arc::new(Kept::default()));
        let commit_millis = Arc::new(AtomicU64::new(0));
        let functions = Functions::open(
            Parts {
                region: "us-east-1".parse().expect("a region"),
                store: Arc::new(Paced(store.clone(), commit_millis.clone())),
                blobs: Arc::new(FilesystemBlobs::open(&dir.path().join("blobs")).expect("blobs")),
                driver: Arc::new(mock),
                roles: Arc::new(Roles(shared.clone())),
                sealer: Arc::new(Shifts),
                logs: kept.clone(),
                usage: kept.clone(),
                metrics: Arc::new(Metrics::new()),
                clock: shared,
                randomness: Arc::new(Seeded(Mutex::new(Rng::new(7)))),
            },
            settings.clone(),
        )
        .await
        .expect("an engine");
        Self { functions, store, commit_millis, seen, kept, clock, settings, dir }
    }

    /// A function whose mock follows the script.
    pub async fn create(&self, function: &str, script: &str) -> FunctionVersion {
        self.functions.create_function(&account(), creation(function, script)).await.expect("created")
    }

    pub async fn invoke(&self, function: &str, payload: &str) -> Result<InvokeOutcome> {
        self.functions.invoke(&account(), call(function, payload)).await
    }

    pub fn lines(&self) -> Vec<String> {
        let lines = self.kept.lines.lock().unwrap();
        lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }
}

pub fn creation(function: &str, script: &str) -> CreateFunction {
    CreateFunction {
        name: name(function),
        zip: zip_of(&[("app.py", b"print('hello')")]),
        configuration: ConfigurationChange {
            runtime: Some("python3.12".into()),
            handler: Some(format!("app.handler,{script}")),
            role: Some(ROLE.into()),
            ..Default::default()
        },
        tags: BTreeMap::new(),
        architectures: None,
        publish: false,
    }
}

pub fn call(function: &str, payload: &str) -> Invoke {
    Invoke {
        function: name(function),
        qualifier: None,
        request_id: RequestId::random(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        trace_id: String::new(),
        client_context: None,
        log_tail: false,
    }
}

pub fn zip_of(files: &[(&str, &[u8])]) -> Bytes {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, content) in files {
        zip.start_file(*path, zip::write::SimpleFileOptions::default()).expect("an entry");
        zip.write_all(content).expect("its bytes");
    }
    zip.finish().expect("a zip").into_inner().into()
}

pub fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).expect("text")
}
