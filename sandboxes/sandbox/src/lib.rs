//! The sandbox seam: [`Driver::start`] gives an [`Instance`]; [`Instance::invoke`] gives an [`Ending`].
//!
//! A driver knows how to isolate and run code. It knows nothing of accounts' limits, queues, aliases or HTTP: the
//! functions engine decides when an instance is started, frozen and stopped, and what is written around an invocation in
//! its log.
//!
//! ```text
//!            start                invoke                    freeze
//!  (nothing) ----> starting ----> idle <----> busy    idle <------> frozen
//!                     |             |           |               thaw
//!                     +-- failed    +-- stop ---+-- spent (only stop is left)
//! ```

mod log;
#[cfg(feature = "mock")]
pub mod mock;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_model::{Credentials, EgressGrant, FunctionArn, Invocation, VersionNumber};

pub use log::{LogLine, LogSink, Stream};

/// All that a driver needs to start one instance.
#[derive(Clone)]
pub struct StartSpec {
    /// Names the instance in its sandbox's resources and as its log stream; `[a-z0-9-]`, unique in this node.
    pub instance: String,
    /// The function, without a qualifier.
    pub function: FunctionArn,
    /// The version that the instance runs.
    pub version: VersionNumber,
    /// `python3.12`, `provided.al2023`, ...
    pub runtime: String,
    /// As configured; the runtime resolves it.
    pub handler: String,
    /// The directory of the unpacked code; becomes `/var/task`, read-only.
    pub code: PathBuf,
    /// Directories of unpacked layers, merged in this order; become `/opt`, read-only.
    pub layers: Vec<PathBuf>,
    /// The function's own variables.
    pub environment: BTreeMap<String, String>,
    /// Keys of the function's role.
    pub credentials: Credentials,
    /// Memory limit.
    pub memory_mb: u32,
    /// Size of `/tmp`.
    pub ephemeral_storage_mb: u32,
    /// The function's timeout.
    pub timeout: Duration,
    /// How long the init phase may take before the start ends in [`StartError::Timeout`]. The engine gives the named
    /// limit of the init phase first, and the function's timeout when it starts an init over.
    pub init_timeout: Duration,
    /// What it may reach outside.
    pub egress: EgressGrant,
    /// Log group, log format and level that the code is told of.
    pub logging: Logging,
    /// Where every line goes that the code prints.
    pub log: Arc<dyn LogSink>,
}

/// What the code is told of its logging.
#[derive(Debug, Clone)]
pub struct Logging {
    /// `AWS_LAMBDA_LOG_GROUP_NAME`.
    pub group: String,
    /// `AWS_LAMBDA_LOG_STREAM_NAME`.
    pub stream: String,
    /// `AWS_LAMBDA_LOG_FORMAT`: JSON instead of plain text.
    pub json: bool,
    /// `AWS_LAMBDA_LOG_LEVEL`, only with JSON.
    pub application_level: Option<String>,
}

/// How an init phase went.
#[derive(Debug, Clone)]
pub struct InitReport {
    /// From the start of the runtime to its first request for an event.
    pub duration: Duration,
    /// The runtime that really runs, for the INIT line, such as `python:3.11.2`.
    pub runtime_version: String,
}

/// Why no instance came of a start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// The user's code or configuration does not start. What an invocation that waited for it is answered with.
    #[error("{error_type}: {message}")]
    Function {
        /// Such as `Runtime.ImportModuleError`, `Runtime.ExitError`, `Runtime.InvalidEntrypoint`.
        error_type: String,
        /// The same message that is in `body`, for lines of the log.
        message: String,
        /// The JSON that the runtime posted, or the one that stands for its silence.
        body: Bytes,
        /// How long the init phase took.
        duration: Duration,
    },
    /// Init took longer than its limit.
    #[error("init did not end within {limit:?}")]
    Timeout {
        /// The limit that applied.
        limit: Duration,
    },
    /// Init ran out of memory.
    #[error("init ran out of memory")]
    OutOfMemory {
        /// How long the init phase took.
        duration: Duration,
    },
    /// The runtime is not on this host. The message names what to install.
    #[error("{0}")]
    RuntimeMissing(String),
    /// Our own failure.
    #[error("the sandbox could not be made: {0}")]
    Platform(String),
}

/// How one invocation ended in its sandbox.
#[derive(Debug, Clone)]
pub enum Ending {
    /// The function answered. The instance is idle again.
    Response(Bytes),
    /// The function raised, and its runtime reported it. The instance is idle again.
    Error {
        /// Value of `Lambda-Runtime-Function-Error-Type`, or of `errorType` in the body.
        error_type: String,
        /// The JSON that was posted.
        body: Bytes,
    },
    /// The function answered more than is allowed. The instance is idle again.
    ResponseTooLarge {
        /// How much it was, as far as known.
        size_bytes: u64,
    },
    /// The deadline passed. The instance is spent.
    Timeout,
    /// The runtime ended without an answer. The instance is spent.
    Exited {
        /// Such as `exit status 3` or `signal: killed`.
        status: String,
    },
    /// The memory limit was reached and the sandbox killed. The instance is spent.
    OutOfMemory,
    /// Our own failure. The instance is spent.
    Platform(String),
}

impl Ending {
    /// Whether the instance can take another invocation.
    pub fn leaves_instance_idle(&self) -> bool {
        matches!(self, Self::Response(_) | Self::Error { .. } | Self::ResponseTooLarge { .. })
    }
}

/// What an instance has used since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of everything in the sandbox.
    pub cpu: Duration,
    /// The most memory that it held at one time.
    pub memory_peak_bytes: u64,
}

/// Makes instances. `process`, `wasm` and the mock are drivers.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// Whether this driver runs a runtime of this name, and what it will really run.
    fn runtime(&self, name: &str) -> Option<RuntimeState>;

    /// A function of this runtime, with a `/tmp` of this size, is there to be called: what all starts of its kind have in
    /// common may be made now, in the background.
    fn expect(&self, runtime: &str, ephemeral_storage_mb: u32);

    /// Starts an instance and waits for the end of its init phase. Dropping the future stops what was started.
    async fn start(&self, spec: StartSpec) -> Result<(Box<dyn Instance>, InitReport), StartError>;
}

/// A runtime, as this host has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeState {
    /// What will run, such as `python:3.11.2`; absent when nothing on this host can.
    pub version: Option<String>,
    /// Whether `version` is of the kind that was asked for (3.12 for `python3.12`).
    pub exact: bool,
    /// What to install, when `version` is absent.
    pub remedy: Option<String>,
}

/// One sandbox, initialised with one version, taking one invocation at a time. Dropping it stops it and removes all that
/// it had.
#[async_trait]
pub trait Instance: Send + Sync + 'static {
    /// Runs one invocation to its end or its deadline. All that the code printed before it answered is in the log when
    /// this returns. Dropping the future spends the instance.
    async fn invoke(&mut self, invocation: Invocation) -> Ending;

    /// Stops all execution in the sandbox, keeping its memory. Only between invocations.
    async fn freeze(&mut self);

    /// Undoes [`Instance::freeze`].
    async fn thaw(&mut self);

    /// What it has used so far. Cheap enough to be asked for around every invocation.
    fn usage(&self) -> Usage;

    /// Resolves when the instance ends by itself, between invocations or during one: it is spent.
    async fn ended(&self);

    /// Ends everything in the sandbox and waits until nothing of it is left.
    async fn stop(self: Box<Self>);
}
