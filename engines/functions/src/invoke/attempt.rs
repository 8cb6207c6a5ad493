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
use crate::instances::{Checkout, Init, InstanceLog, Instances, StartFailed, init_duration};
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
    let asked = Instant::now();
    let handed = instances.pool(&version).checkout(&version).await;
    let ended = match handed {
        Ok(checkout) => run(&instances, &telemetry, order, asked, checkout).await,
        Err(StartFailed::Function { error, log }) => {
            Ok(not_started(&instances, &telemetry, &order, asked.elapsed(), &error, &log.of_one_call()))
        }
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

async fn run(
    instances: &Instances,
    telemetry: &Telemetry,
    order: Order,
    asked: Instant,
    mut checkout: Checkout,
) -> Result<Attempt> {
    let version = order.version.clone();
    let limit = version.timeout();
    let slot = checkout.slot();
    let log = slot.log.clone();
    if slot.frozen {
        slot.instance.thaw().await;
        slot.frozen = false;
    }
    let init = slot.init.take();
    let waited = waited_for(init, asked.elapsed());
    // What the init phase printed belongs to the first invocation.
    match (order.log_tail, init.is_some()) {
        (true, false) => log.begin_tail(),
        (false, true) => drop(log.end_tail()),
        (true, true) | (false, false) => {}
    }
    let id = order.request_id;
    say(&log, id, lines(&version, &log).start(id));
    let invocation = Invocation {
        request_id: id,
        invoked_arn: order.invoked_arn,
        payload: order.payload,
        deadline: log.clock.now() + limit.saturating_sub(waited),
        trace_id: order.trace_id,
        client_context: order.client_context,
    };
    let began = Instant::now();
    let ending = ending(instances, slot, invocation, limit.saturating_sub(waited)).await;
    let duration = if matches!(ending, Ending::Timeout) { limit } else { waited + began.elapsed() };
    let usage = slot.instance.usage();
    // One that was started over is within the duration, and is not reported beside it.
    let reported = init.filter(|init| !init.started_over).map(|init| init.duration);
    let used = Used {
        duration,
        billed_ms: answers::billed_ms(
            duration + reported.unwrap_or_default(),
            instances.parts.settings.billing_granularity,
        ),
        init: init.map(|init| init.duration),
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
    close(&version, &log, id, &Used { init: reported, ..used }, outcome.as_ref().map(Result::as_ref));
    let log_tail = log.end_tail();
    telemetry.count(&version, order.alias.as_ref(), used, failure);
    checkout.done(usable, crashed);
    match outcome {
        Ok(outcome) => Ok(Attempt { outcome, log_tail }),
        Err(cause) => Err(FunctionsError::internal("the sandbox of the function failed", cause)),
    }
}

/// The part of an init phase that is part of an invocation, which waited so long for an instance.
fn waited_for(init: Option<Init>, waited: Duration) -> Duration {
    init.filter(|init| init.started_over).map_or(Duration::ZERO, |init| init.duration.min(waited))
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

/// The answer to a call whose instance did not start, with the lines that people look for in its log. It lasted as long as
/// the init phase that was started over, as far as the call waited for that.
fn not_started(
    instances: &Instances,
    telemetry: &Telemetry,
    order: &Order,
    waited: Duration,
    error: &StartError,
    log: &InstanceLog,
) -> Attempt {
    let (version, id) = (&order.version, order.request_id);
    let fault =
        answers::of_start(error, id, version.timeout()).unwrap_or_else(|| answers::timeout(id, version.timeout()));
    let init = init_duration(error).unwrap_or_default();
    let duration = init.min(waited);
    let granularity = instances.parts.settings.billing_granularity;
    let billed_ms = answers::billed_ms(duration, granularity);
    let used = Used { duration, billed_ms, init: Some(init), ..Used::default() };
    say(log, id, lines(version, log).start(id));
    close(version, log, id, &Used { init: None, ..used }, Ok(Err(&fault)));
    let log_tail = log.end_tail().filter(|_| order.log_tail);
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
            }
            // An error that the handler raised is in its own lines; the invocation itself went well.
            let raised = fault.message.is_none() && !fault.in_init;
            if raised { (Status::Success, fault.body.len()) } else { (Status::Error(&fault.error_type), 0) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_that_was_started_over_belongs_to_who_waited_for_it() {
        let ms = Duration::from_millis;
        let init = |started_over| Some(Init { duration: ms(2_000), started_over });
        assert_eq!(waited_for(init(true), ms(4_000)), ms(2_000));
        assert_eq!(waited_for(init(true), ms(300)), ms(300), "the call came when it was almost over");
        assert_eq!(waited_for(init(false), ms(4_000)), Duration::ZERO, "it is reported and paid beside the invocation");
        assert_eq!(waited_for(None, ms(4_000)), Duration::ZERO);
    }
}
