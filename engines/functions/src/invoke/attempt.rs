use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_model::{AliasName, FailureKind, FunctionArn, Invocation, RequestId};
use dormouse_sandbox::{Ending, StartError};
use tokio::time::{Instant, timeout};

use super::answers::{self, Fault};
use super::lines::{Lines, Report, Status};
use super::meters::{Telemetry, Used};
use crate::admission::Permit;
use crate::error::{FunctionsError, Result};
use crate::instances::{Checkout, InstanceLog, Instances, StartFailed};
use crate::runnable::Runnable;

/// How long after its deadline an invocation that its driver did not end is given up, and its instance with it.
const DEADLINE_MARGIN: Duration = Duration::from_secs(5);

/// One invocation to run now.
pub(crate) struct Order {
    pub(crate) request_id: RequestId,
    /// As the caller named it.
    pub(crate) invoked_arn: FunctionArn,
    pub(crate) version: Arc<Runnable>,
    pub(crate) alias: Option<AliasName>,
    pub(crate) payload: Bytes,
    pub(crate) trace_id: String,
    pub(crate) client_context: Option<String>,
    pub(crate) log_tail: bool,
}

/// How it ended, when it reached the function.
pub(crate) struct Attempt {
    /// The answer, or how the function failed.
    pub(crate) outcome: std::result::Result<Bytes, Fault>,
    pub(crate) log_tail: Option<Bytes>,
}

/// Runs it. An error is ours, or says that there was no place for it; a failure of the function is an [`Attempt`]. The
/// permit has been given back when this returns.
pub(crate) async fn attempt(
    instances: Arc<Instances>,
    telemetry: Telemetry,
    order: Order,
    permit: Permit,
) -> Result<Attempt> {
    let version = order.version.clone();
    let handed = instances.pool(&version).checkout(&version).await;
    let ended = match handed {
        Ok(checkout) => run(&instances, &telemetry, order, checkout).await,
        Err(StartFailed::Function { error, log }) => Ok(not_started(&instances, &telemetry, &order, &error, &log)),
        Err(StartFailed::NoMemory) => Err(StartFailed::no_memory()),
        Err(StartFailed::Refused(error)) => {
            let failure = matches!(error, FunctionsError::Internal(_)).then_some(FailureKind::Platform);
            if failure.is_some() {
                telemetry.count(&version, order.alias.as_ref(), Used::default(), failure);
            }
            Err(error)
        }
    };
    drop(permit);
    ended
}

async fn run(instances: &Instances, telemetry: &Telemetry, order: Order, mut checkout: Checkout) -> Result<Attempt> {
    let version = order.version.clone();
    let limit = version.timeout();
    let slot = checkout.slot();
    let log = slot.log.clone();
    if slot.frozen {
        slot.instance.thaw().await;
        slot.frozen = false;
    }
    if order.log_tail {
        log.begin_tail();
    }
    let id = order.request_id;
    say(&log, id, lines(&version, &log).start(id));
    let invocation = Invocation {
        request_id: id,
        invoked_arn: order.invoked_arn,
        payload: order.payload,
        deadline: log.clock.now() + limit,
        trace_id: order.trace_id,
        client_context: order.client_context,
    };
    let began = Instant::now();
    let ending = ending(instances, slot, invocation, limit).await;
    let duration = if matches!(ending, Ending::Timeout) { limit } else { began.elapsed() };
    let usage = slot.instance.usage();
    let init = slot.init.take();
    let used = Used {
        duration,
        billed_ms: answers::billed_ms(
            duration + init.unwrap_or_default(),
            instances.parts.settings.billing_granularity,
        ),
        init,
        memory_peak_bytes: usage.memory_peak_bytes,
        cpu: usage.cpu.saturating_sub(std::mem::replace(&mut slot.cpu, usage.cpu)),
    };
    let usable = ending.leaves_instance_idle();
    let crashed = matches!(ending, Ending::Exited { .. } | Ending::OutOfMemory);
    let outcome = answers::of_ending(ending, id, limit);
    let failure = match &outcome {
        Ok(Ok(_)) => None,
        Ok(Err(fault)) => Some(fault.kind),
        Err(_) => Some(FailureKind::Platform),
    };
    close(&version, &log, id, &used, outcome.as_ref().map(Result::as_ref));
    let log_tail = log.end_tail();
    telemetry.count(&version, order.alias.as_ref(), used, failure);
    checkout.done(usable, crashed);
    match outcome {
        Ok(outcome) => Ok(Attempt { outcome, log_tail }),
        Err(cause) => Err(FunctionsError::internal("the sandbox of the function failed", cause)),
    }
}

/// Runs the invocation; a driver that lets the deadline pass, and a node that stops, end it.
async fn ending(
    instances: &Instances,
    slot: &mut crate::instances::Slot,
    invocation: Invocation,
    limit: Duration,
) -> Ending {
    let stopped = instances.stop.notified();
    if instances.is_stopping() {
        return Ending::Platform("the node is being stopped".to_owned());
    }
    tokio::select! {
        ending = timeout(limit + DEADLINE_MARGIN, slot.instance.invoke(invocation)) => ending.unwrap_or(Ending::Timeout),
        () = stopped => Ending::Platform("the node is being stopped".to_owned()),
    }
}

/// The answer to a call whose instance did not start, with the lines that people look for in its log.
fn not_started(
    instances: &Instances,
    telemetry: &Telemetry,
    order: &Order,
    error: &StartError,
    log: &InstanceLog,
) -> Attempt {
    let (version, id) = (&order.version, order.request_id);
    let fault =
        answers::of_start(error, id, version.timeout()).unwrap_or_else(|| answers::timeout(id, version.timeout()));
    let init = match error {
        StartError::Function { duration, .. } | StartError::OutOfMemory { duration } => *duration,
        StartError::Timeout { limit } => *limit,
        StartError::RuntimeMissing(_) | StartError::Platform(_) => Duration::ZERO,
    };
    let granularity = instances.parts.settings.billing_granularity;
    let used =
        Used { duration: init, billed_ms: answers::billed_ms(init, granularity), init: Some(init), ..Used::default() };
    if order.log_tail {
        log.begin_tail();
    }
    say(log, id, lines(version, log).start(id));
    // The init phase is the whole of it: it is not reported beside itself.
    close(version, log, id, &Used { init: None, ..used }, Ok(Err(&fault)));
    let log_tail = log.end_tail();
    telemetry.count(version, order.alias.as_ref(), used, Some(fault.kind));
    Attempt { outcome: Err(fault), log_tail }
}

fn lines<'a>(version: &'a Runnable, log: &InstanceLog) -> Lines<'a> {
    Lines { logging: &version.configuration.logging, version: version.version, now: log.clock.now() }
}

fn say(log: &InstanceLog, id: RequestId, line: Option<String>) {
    if let Some(line) = line {
        log.platform(Some(id), line);
    }
}

/// The lines behind an invocation: what went wrong, END, REPORT.
fn close(
    version: &Runnable,
    log: &InstanceLog,
    id: RequestId,
    used: &Used,
    outcome: Result<Result<&Bytes, &Fault>, &String>,
) {
    let lines = lines(version, log);
    let (status, produced) = match outcome {
        Ok(Ok(payload)) => (Status::Success, payload.len()),
        Ok(Err(fault)) if fault.kind == FailureKind::Timeout => {
            say(log, id, lines.timed_out(id, version.timeout()));
            (Status::Timeout, 0)
        }
        Ok(Err(fault)) => {
            if let Some(message) = &fault.message {
                say(log, id, lines.failed(id, &fault.error_type, message));
                (Status::Error(&fault.error_type), 0)
            } else {
                // An error that the code raised is in its own lines; the invocation itself went well.
                (Status::Success, fault.body.len())
            }
        }
        Err(_) => (Status::Error("Sandbox.Failure"), 0),
    };
    say(log, id, lines.end(id, used.duration, produced, status));
    let report = Report {
        request_id: id,
        duration: used.duration,
        billed_ms: used.billed_ms,
        memory_mb: version.configuration.memory_mb,
        memory_used_mb: used.memory_peak_bytes.div_ceil(1 << 20),
        init: used.init,
        status,
    };
    say(log, id, lines.report(&report));
}
