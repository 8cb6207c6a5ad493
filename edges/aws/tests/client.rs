//! boto3 against the edge, over the real front door and engines; only the sandboxes are not real. The other half is
//! `lambda_api.py` and `iam_api.py`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_blob::FilesystemBlobs;
use dormouse_edge_aws::code_link::{CodeLinks, LinkKey};
use dormouse_edge_aws::{AwsEdge, Parts};
use dormouse_front::{Front, FrontSettings, Listener, Request, Response, Surface, Surfaces, response};
use dormouse_functions::{ExecutionRoles, Functions, RoleError, Sealer, Settings, SystemRandomness};
use dormouse_identity::accounts::FirstStart;
use dormouse_identity::roles::NewRole;
use dormouse_identity::{FileAudit, Identity, MasterKey, Seal};
use dormouse_model::{AccountId, Clock, Credentials, FunctionArn, SystemClock};
use dormouse_sandbox::mock::Mock;
use dormouse_telemetry::{FileLogs, FileUsage, LogSettings, Metrics, UsageSettings};
use dormouse_testkit::MemoryStore;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
    "Principal":{"Service":"lambda.amazonaws.com"}}]}"#;

/// A platform on a free port, gone when it is dropped.
struct Platform {
    address: SocketAddr,
    first: FirstStart,
    role_arn: String,
    directory: tempfile::TempDir,
    _front: Front,
}

/// Nor that between the master key and variables.
struct Sealed(Seal);

impl Sealer for Sealed {
    fn seal(&self, owner: &str, text: &[u8]) -> Vec<u8> {
        self.0.seal(owner, text)
    }
    fn open(&self, owner: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.open(owner, sealed).map(|text| text.to_vec())
    }
}

/// The node's own glue between roles and functions is not linked here.
struct Roles(Identity);

#[async_trait]
impl ExecutionRoles for Roles {
    async fn check(&self, account: &AccountId, role: &str) -> Result<(), RoleError> {
        let checked = self.0.check_execution_role(account, role, "lambda.amazonaws.com").await;
        checked.map_err(|error| RoleError::Refused(error.to_string()))
    }

    async fn credentials(&self, account: &AccountId, role: &str, arn: &FunctionArn) -> Result<Credentials, RoleError> {
        let (session, valid) = (arn.name.as_str(), Duration::from_secs(3600));
        let made = self.0.role_credentials(account, role, "lambda.amazonaws.com", session, valid).await;
        made.map_err(|error| RoleError::Refused(error.to_string()))
    }
}

struct Nothing;

#[async_trait]
impl Surface for Nothing {
    async fn serve(&self, _: Request) -> Response {
        response(http::StatusCode::NOT_FOUND, "text/plain", "")
    }
}

impl Platform {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("audit")).expect("a directory");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Arc::new(MemoryStore::new());
        let metrics = Arc::new(Metrics::new());
        let account: AccountId = AccountId::DEFAULT.parse().expect("an account");
        let master = MasterKey::from_bytes([7; 32]);
        let identity = Identity::open(store.clone(), clock.clone(), &master).await.expect("identity");
        let first = identity.bootstrap(&account, None).await.expect("an account");
        let role = NewRole {
            name: "functions".to_owned(),
            path: "/".to_owned(),
            trust: TRUST.to_owned(),
            description: None,
            max_session_secs: None,
            boundary: None,
            tags: Default::default(),
        };
        let role_arn = identity.create_role(&account, role).await.expect("a role").arn();
        let logs = FileLogs::open(LogSettings::in_directory(path("logs")), clock.clone(), &metrics).expect("logs");
        let usage = FileUsage::open(UsageSettings::in_directory(path("usage")), &metrics).expect("usage");
        let parts = dormouse_functions::Parts {
            region: "us-east-1".parse().expect("a region"),
            store,
            blobs: Arc::new(FilesystemBlobs::open(&path("blobs")).expect("blobs")),
            driver: Arc::new(Mock::new(clock.clone())),
            roles: Arc::new(Roles(identity.clone())),
            sealer: Arc::new(Sealed(master.seal_for("tests"))),
            logs: Arc::new(logs),
            usage: Arc::new(usage),
            metrics: metrics.clone(),
            clock: clock.clone(),
            randomness: Arc::new(SystemRandomness),
        };
        let functions = Functions::open(parts, Settings::new(path("cache"))).await.expect("functions");
        let parts = Arc::new(Parts {
            region: "us-east-1".parse().expect("a region"),
            identity,
            functions,
            audit: Arc::new(FileAudit::open(&path("audit")).expect("audit")),
            clock: clock.clone(),
            link_key: LinkKey::new(*master.key_for("links")),
        });
        let admin = Arc::new(CodeLinks::before(Arc::new(Nothing), parts.clone()));
        let surfaces = Surfaces { admin, aws: Arc::new(AwsEdge::new(parts)) };
        let front = Front::new(FrontSettings::default(), None, surfaces, clock, &metrics).expect("a front door");
        let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = listener.address();
        front.accept_from(listener);
        Self { address, first, role_arn, directory, _front: front }
    }

    /// Runs a function of one of the scripts beside this file.
    async fn python(&self, script: &str, function: &'static str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script).with_extension("py");
        let secret = self.first.secret_access_key.as_ref().expect("a new secret");
        let mut command = std::process::Command::new(venv().join("bin/python"));
        command.arg(script).arg(function).env_clear();
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ENDPOINT_URL", format!("http://{}", self.address)).env("TEST_ROLE_ARN", &self.role_arn);
        command.env("AWS_ACCESS_KEY_ID", &self.first.access_key_id).env("AWS_SECRET_ACCESS_KEY", &**secret);
        command.env("TEST_AUDIT", self.directory.path().join("audit/audit.jsonl"));
        tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("python runs")
    }
}

/// The Python environment with boto3.
fn venv() -> PathBuf {
    let path = std::env::var_os("DORMOUSE_TEST_VENV");
    path.expect("DORMOUSE_TEST_VENV names a Python environment with boto3; `make test` installs one").into()
}

macro_rules! shown_by_python {
    ($script:literal: $($name:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let output = Platform::start().await.python($script, stringify!($name)).await;
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}\n{told}", String::from_utf8_lossy(&output.stdout));
        }
    )+};
}

shown_by_python!("lambda_api":
    account_settings,
    aliases,
    audit_trail,
    event_invoke_config,
    identities,
    invocations,
    invoke_async,
    lifecycle,
    pages,
    raw_requests,
    refusals,
);

shown_by_python!("members": creating, changing_the_configuration, changing_the_code, invoking);

shown_by_python!("iam_api": access_keys, groups, policies, query_errors, roles, users);

shown_by_python!("sts_api": boundaries, conditions_of_functions, conditions_of_identities, grants, sessions);
