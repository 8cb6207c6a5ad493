use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use dormouse_model::Credentials;
use dormouse_sandbox::{InitReport, Instance, Logging, StartError, StartSpec};
use futures_util::FutureExt;
use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

use super::log::InstanceLog;
use super::memory::MemoryLease;
use super::node::{Instances, LiveCount};
use super::pool::Pool;
use super::slot::{Holds, Init, Slot};
use crate::admission::shed;
use crate::code::CodeLease;
use crate::error::{FunctionsError, Result};
use crate::function::LogFormat;
use crate::invoke::lines::{Lines, Status};
use crate::parts::RoleError;
use crate::runnable::Runnable;

/// How long a start keeps its turn. What an init phase takes beyond it is the function's own affair: one that hangs holds up
/// no other function.
const TURN: Duration = Duration::from_secs(1);

/// Why a call got no instance.
#[derive(Clone)]
pub(crate) enum StartFailed {
    /// The function's own fault; lines of the call that is answered with it go to this log.
    Function { error: StartError, log: Arc<InstanceLog> },
    /// All memory is in use.
    NoMemory,
    /// Not the function's fault.
    Refused(FunctionsError),
}

impl StartFailed {
    /// The pool forgot a call; cannot happen while its bookkeeping holds.
    pub(crate) fn lost() -> Self {
        Self::Refused(FunctionsError::internal("an invocation lost its place", "the pool dropped a waiting call"))
    }

    pub(crate) fn no_memory() -> FunctionsError {
        shed("All memory of this node is in use by running functions.")
    }
}

/// One start, from the decision to its end, told to the pool.
pub(crate) async fn start(pool: Arc<Pool>, version: Arc<Runnable>, delay: Duration) {
    let node = pool.node.clone();
    let stopped = node.stop.notified();
    let outcome = async {
        // A sleep of no time still waits for the timer's next millisecond.
        if !delay.is_zero() {
            sleep(delay).await;
        }
        // A call that waits is answered also when this turns out to have a fault.
        let prepared = AssertUnwindSafe(prepare(&node, &version)).catch_unwind().await;
        prepared.unwrap_or_else(|_| Err(StartFailed::Refused(FunctionsError::internal("a start broke off", "a panic"))))
    };
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        () = stopped => Err(StartFailed::Refused(shed("This node is being stopped."))),
    };
    match outcome {
        Ok(slot) => pool.started(slot),
        Err(failed) => pool.start_ended(failed),
    }
}

async fn prepare(node: &Arc<Instances>, version: &Arc<Runnable>) -> Result<Box<Slot>, StartFailed> {
    if node.is_stopping() {
        return Err(StartFailed::Refused(shed("This node is being stopped.")));
    }
    let turn = node.starts.acquire().await.expect("the semaphore of starts is never closed");
    within_turn(turn, prepare_in_turn(node, version)).await
}

/// The work, which goes on when its turn is over.
async fn within_turn<T>(turn: SemaphorePermit<'_>, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = sleep(TURN) => drop(turn),
    }
    work.await
}

async fn prepare_in_turn(node: &Arc<Instances>, version: &Arc<Runnable>) -> Result<Box<Slot>, StartFailed> {
    let memory = node.make_room(version.configuration.memory_mb).await.ok_or(StartFailed::NoMemory)?;
    let code = code(node, version).await.map_err(StartFailed::Refused)?;
    let credentials = credentials(node, version).await.map_err(StartFailed::Refused)?;
    let draft = Draft { node, version, memory, code, credentials, live: node.count_live() };
    draft.start().await
}

async fn code(node: &Arc<Instances>, version: &Runnable) -> Result<CodeLease> {
    let (store, blobs) = (node.parts.store.clone(), node.parts.blobs.clone());
    node.parts.code.lease(version.code, crate::registry::fetch(store, blobs, version.code)).await
}

async fn credentials(node: &Instances, version: &Runnable) -> Result<Credentials> {
    let role = &version.configuration.role;
    let keys = node.parts.roles.credentials(version.account(), role, &version.arn).await;
    keys.map_err(|error| match error {
        RoleError::Refused(sentence) => FunctionsError::InvalidParameterValue(sentence),
        RoleError::Unavailable(cause) => {
            tracing::warn!(%cause, %role, "no credentials for an instance");
            shed("The credentials of the function's role cannot be made now.")
        }
    })
}

/// All that an instance needs, before there is one.
struct Draft<'a> {
    node: &'a Arc<Instances>,
    version: &'a Arc<Runnable>,
    memory: MemoryLease,
    code: CodeLease,
    credentials: Credentials,
    live: LiveCount,
}

type Started = (Box<dyn Instance>, InitReport);

impl Draft<'_> {
    /// An init phase that fails by the function's fault is started over once, within the invocation that waits for it and
    /// under the function's own timeout ("suppressed init"). Both write to one log, as of one instance.
    async fn start(self) -> Result<Box<Slot>, StartFailed> {
        let log = self.log();
        let error = match self.attempt(&log, self.node.parts.settings.init_timeout).await {
            Ok(started) => return Ok(self.slot(started, log, false)),
            Err(error) => error,
        };
        if !self.report(&log, "init", &error) {
            return Err(failed(error, log));
        }
        match self.attempt(&log, self.version.timeout()).await {
            Ok(started) => Ok(self.slot(started, log, true)),
            Err(error) => {
                self.report(&log, "invoke", &error);
                Err(failed(error, log))
            }
        }
    }

    fn slot(self, (instance, report): Started, log: Arc<InstanceLog>, started_over: bool) -> Box<Slot> {
        let cpu = instance.usage().cpu;
        Box::new(Slot {
            instance,
            log,
            init: Some(Init { duration: report.duration, started_over }),
            cpu,
            retire_at: self.credentials.expires - self.node.parts.settings.retire_before_expiry,
            frozen: false,
            holds: Holds { _code: self.code, memory: self.memory, _live: self.live },
        })
    }

    /// A log for an instance that begins, with its first line. What comes behind that line may be in the tail of an
    /// invocation.
    fn log(&self) -> Arc<InstanceLog> {
        let parts = &self.node.parts;
        let version = self.version;
        let log = InstanceLog::new(
            parts.logs.clone(),
            parts.clock.clone(),
            version.log_key(),
            version.version,
            self.instance(),
        );
        let name = &version.configuration.runtime;
        if let Some(running) = parts.driver.runtime(name).and_then(|state| state.version) {
            let arn = format!("arn:aws:lambda:{}::runtime:{running}", parts.region);
            say(&log, self.lines(&log).init_start(&running, &arn, version.name().as_str()));
        }
        log.begin_tail();
        Arc::new(log)
    }

    /// A new name of an instance.
    fn instance(&self) -> String {
        let randomness = &self.node.parts.randomness;
        format!("{:016x}{:016x}", randomness.next_u64(), randomness.next_u64())
    }

    async fn attempt(&self, log: &Arc<InstanceLog>, limit: Duration) -> Result<Started, StartError> {
        self.node.parts.driver.start(self.spec(limit, log.clone())).await
    }

    fn spec(&self, init_timeout: Duration, log: Arc<InstanceLog>) -> StartSpec {
        let configuration = &self.version.configuration;
        let day = log.clock.now().to_string();
        let stream = format!("{}/[{}]{}", day[..10].replace('-', "/"), self.version.version, log.instance);
        let logging = Logging {
            group: configuration.logging.group.clone(),
            stream,
            json: configuration.logging.format == LogFormat::Json,
            application_level: configuration.logging.application_level.map(|level| level.to_string()),
        };
        StartSpec {
            // Of the sandbox: one that is started over is another one.
            instance: self.instance(),
            function: self.version.arn.clone(),
            version: self.version.version,
            runtime: configuration.runtime.clone(),
            handler: configuration.handler.clone(),
            code: self.code.path().to_owned(),
            layers: Vec::new(),
            environment: configuration.environment.clone(),
            credentials: self.credentials.clone(),
            memory_mb: configuration.memory_mb,
            ephemeral_storage_mb: configuration.ephemeral_storage_mb,
            timeout: self.version.timeout(),
            init_timeout,
            egress: self.version.egress.clone(),
            logging,
            log,
        }
    }

    fn lines(&self, log: &InstanceLog) -> Lines<'_> {
        Lines { logging: &self.version.configuration.logging, version: self.version.version, now: log.clock.now() }
    }

    /// Says that an init phase failed. False when that was not the function's fault.
    fn report(&self, log: &InstanceLog, phase: &str, error: &StartError) -> bool {
        let Some(duration) = init_duration(error) else { return false };
        let status = match error {
            StartError::Function { error_type, .. } => Status::Error(error_type),
            StartError::OutOfMemory { .. } => Status::Error("Runtime.OutOfMemory"),
            _ => Status::Timeout,
        };
        say(log, self.lines(log).init_report(phase, duration, status));
        true
    }
}

/// How long an init phase took that failed by the function's fault; `None` when it failed by another.
pub(crate) fn init_duration(error: &StartError) -> Option<Duration> {
    match error {
        StartError::Function { duration, .. } | StartError::OutOfMemory { duration } => Some(*duration),
        StartError::Timeout { limit } => Some(*limit),
        StartError::RuntimeMissing(_) | StartError::Platform(_) => None,
    }
}

fn say(log: &InstanceLog, line: Option<String>) {
    if let Some(line) = line {
        log.platform(None, line);
    }
}

fn failed(error: StartError, log: Arc<InstanceLog>) -> StartFailed {
    match error {
        StartError::RuntimeMissing(sentence) => StartFailed::Refused(FunctionsError::InvalidRuntime(sentence)),
        StartError::Platform(cause) => {
            StartFailed::Refused(FunctionsError::internal("the sandbox could not be made", cause))
        }
        error => StartFailed::Function { error, log },
    }
}
