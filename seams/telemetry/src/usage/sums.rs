use dormouse_model::FailureKind;
use serde::{Deserialize, Serialize};

use crate::UsageRecord;

/// Sums over invocations. Whole numbers, so that adding them in any order gives the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageSums {
    /// Attempts that reached an instance, or failed to.
    pub invocations: u64,
    /// Of them, those that the function failed: errors, exits, timeouts, out of memory.
    pub errors: u64,
    /// Of the errors, timeouts.
    pub timeouts: u64,
    /// Of the invocations, those that the platform failed.
    pub platform_errors: u64,
    /// Refused for lack of concurrency; not among the invocations.
    pub throttles: u64,
    /// Invocations that waited for a new instance.
    pub cold_starts: u64,
    /// Time in the function, in microseconds.
    pub duration_us: u64,
    /// Time that is paid for, in milliseconds.
    pub billed_ms: u64,
    /// Paid time multiplied by configured memory, in MB-milliseconds; see [`UsageSums::gb_seconds`].
    pub billed_mb_ms: u64,
    /// Time in init phases, in microseconds.
    pub init_us: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// The most memory that any instance held, in bytes. Not a sum.
    pub memory_peak_bytes: u64,
}

impl UsageSums {
    /// The sums of a single record.
    pub fn of(record: &UsageRecord) -> Self {
        if record.failure == Some(FailureKind::Throttled) {
            return Self { throttles: 1, ..Self::default() };
        }
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let is = |kind| u64::from(record.failure == Some(kind));
        Self {
            invocations: 1,
            errors: is(FailureKind::Function) + is(FailureKind::Timeout),
            timeouts: is(FailureKind::Timeout),
            platform_errors: is(FailureKind::Platform),
            throttles: 0,
            cold_starts: u64::from(record.cold),
            duration_us: micros(record.duration),
            billed_ms: record.billed_ms,
            billed_mb_ms: record.billed_ms.saturating_mul(u64::from(record.memory_mb)),
            init_us: record.init.map_or(0, micros),
            cpu_us: micros(record.cpu),
            memory_peak_bytes: record.memory_peak_bytes,
        }
    }

    /// Adds other sums; saturates.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.invocations, other.invocations),
            (&mut self.errors, other.errors),
            (&mut self.timeouts, other.timeouts),
            (&mut self.platform_errors, other.platform_errors),
            (&mut self.throttles, other.throttles),
            (&mut self.cold_starts, other.cold_starts),
            (&mut self.duration_us, other.duration_us),
            (&mut self.billed_ms, other.billed_ms),
            (&mut self.billed_mb_ms, other.billed_mb_ms),
            (&mut self.init_us, other.init_us),
            (&mut self.cpu_us, other.cpu_us),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
        self.memory_peak_bytes = self.memory_peak_bytes.max(other.memory_peak_bytes);
    }

    /// What is paid for, in GB-seconds; a GB is 1,024 MB.
    pub fn gb_seconds(&self) -> f64 {
        self.billed_mb_ms as f64 / 1024.0 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dormouse_model::{Timestamp, VersionNumber};

    use super::*;

    fn record(failure: Option<FailureKind>) -> UsageRecord {
        UsageRecord {
            account: "000000000000".parse().expect("an account"),
            function: "f".parse().expect("a name"),
            version: VersionNumber::Latest,
            alias: None,
            time: Timestamp(0),
            duration: Duration::from_micros(1_500),
            billed_ms: 2,
            init: Some(Duration::from_micros(7)),
            cold: true,
            failure,
            memory_mb: 512,
            memory_peak_bytes: 9,
            cpu: Duration::from_micros(11),
        }
    }

    #[test]
    fn a_timeout_is_an_error_and_a_throttle_is_no_invocation() {
        let timeout = UsageSums::of(&record(Some(FailureKind::Timeout)));
        assert_eq!((timeout.invocations, timeout.errors, timeout.timeouts), (1, 1, 1));
        let platform = UsageSums::of(&record(Some(FailureKind::Platform)));
        assert_eq!((platform.invocations, platform.errors, platform.platform_errors), (1, 0, 1));
        let throttled = UsageSums::of(&record(Some(FailureKind::Throttled)));
        assert_eq!(throttled, UsageSums { throttles: 1, ..UsageSums::default() });
    }

    #[test]
    fn sums_add_up() {
        let mut sums = UsageSums::of(&record(None));
        sums.add(&UsageSums::of(&record(None)));
        assert_eq!((sums.duration_us, sums.billed_ms, sums.init_us, sums.cpu_us), (3_000, 4, 14, 22));
        assert_eq!(sums.memory_peak_bytes, 9);
        assert!((sums.gb_seconds() - 0.002).abs() < 1e-12);
        sums.add(&UsageSums { invocations: u64::MAX, ..UsageSums::default() });
        assert_eq!(sums.invocations, u64::MAX);
    }
}
