use std::sync::Arc;
use std::time::Duration;

use dormouse_model::{AliasName, Clock, FailureKind};
use dormouse_telemetry::{Counter, Histogram, Metrics, UsageRecord, UsageRecords, names};

use crate::runnable::Runnable;

/// Counts the invocations of one version.
pub(crate) struct Meters {
    outcomes: [Counter; 5],
    duration: Histogram,
    init: Histogram,
    cold: Counter,
    billed: Counter,
    cpu: Counter,
}

/// What was used, before it is known by whom.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    pub(crate) duration: Duration,
    pub(crate) billed_ms: u64,
    pub(crate) init: Option<Duration>,
    pub(crate) memory_peak_bytes: u64,
    pub(crate) cpu: Duration,
}

/// Where telemetry goes.
#[derive(Clone)]
pub(crate) struct Telemetry {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) usage: Arc<dyn UsageRecords>,
    pub(crate) metrics: Arc<Metrics>,
}

const OUTCOMES: [&str; 5] = ["success", "function_error", "timeout", "throttled", "platform_error"];

fn outcome(failure: Option<FailureKind>) -> usize {
    match failure {
        None => 0,
        Some(FailureKind::Function) => 1,
        Some(FailureKind::Timeout) => 2,
        Some(FailureKind::Throttled) => 3,
        Some(FailureKind::Platform) => 4,
    }
}

impl Meters {
    fn new(metrics: &Metrics, version: &Runnable) -> Self {
        let (account, name) = (version.account().as_str(), version.name().as_str());
        let number = version.version.to_string();
        let invocations = metrics.counter(&names::INVOCATIONS);
        Self {
            outcomes: OUTCOMES.map(|outcome| invocations.with([account, name, &number, outcome])),
            duration: metrics.histogram(&names::INVOCATION_SECONDS).with([account, name]),
            init: metrics.histogram(&names::INIT_SECONDS).with([account, name]),
            cold: metrics.counter(&names::COLD_STARTS).with([account, name]),
            billed: metrics.counter(&names::BILLED_MILLISECONDS).with([account, name]),
            cpu: metrics.counter(&names::CPU_MICROSECONDS).with([account, name]),
        }
    }
}

impl Telemetry {
    /// Counts one attempt, in memory; what is to be kept is written a moment later.
    pub(crate) fn count(
        &self,
        version: &Runnable,
        alias: Option<&AliasName>,
        used: Used,
        failure: Option<FailureKind>,
    ) {
        let meters = version.meters.get_or_init(|| Meters::new(&self.metrics, version));
        meters.outcomes[outcome(failure)].inc();
        if failure != Some(FailureKind::Throttled) {
            meters.duration.observe(used.duration);
            meters.billed.add(used.billed_ms);
            meters.cpu.add(u64::try_from(used.cpu.as_micros()).unwrap_or(u64::MAX));
        }
        if let Some(init) = used.init {
            meters.cold.inc();
            meters.init.observe(init);
        }
        self.usage.record(UsageRecord {
            account: version.account().clone(),
            function: version.name().clone(),
            version: version.version,
            alias: alias.cloned(),
            time: self.clock.now(),
            duration: used.duration,
            billed_ms: used.billed_ms,
            init: used.init,
            cold: used.init.is_some(),
            failure,
            memory_mb: version.configuration.memory_mb,
            memory_peak_bytes: used.memory_peak_bytes,
            cpu: used.cpu,
        });
    }
}
