//! What becomes of an asynchronous invocation after an attempt. Pure.

use std::time::Duration;

use dormouse_model::Timestamp;

use super::DeathReason;
use crate::function::EventInvokeSettings;

/// Retries of an event whose function failed, when nothing else is set.
const RETRY_ATTEMPTS: u32 = 2;
/// Age at which an event is given up, when nothing else is set.
const EVENT_AGE_SECS: u32 = 21_600;

/// The named settings of retries.
#[derive(Debug, Clone)]
pub(crate) struct Delays {
    /// Before the first, second, ... retry; the last one goes for all further.
    pub(crate) retry: Vec<Duration>,
    pub(crate) throttle_min: Duration,
    pub(crate) throttle_max: Duration,
}

/// How an attempt of an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Success,
    /// By the function's fault: counts.
    Failed,
    /// There was no place for it, or a fault of ours: does not count. So often in a row, this time not included.
    NotRun {
        before: u32,
    },
    /// Reserved concurrency is zero: nothing helps.
    Stopped,
    /// There is nothing to run any more.
    Gone,
}

/// What is known of the event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) received: Timestamp,
    pub(crate) now: Timestamp,
    /// Counted attempts, the one that ended included.
    pub(crate) attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Finish,
    Retry { due: Timestamp, counted: bool },
    Bury(DeathReason),
}

/// When the event is given up for its age.
pub(crate) fn expires(received: Timestamp, settings: &EventInvokeSettings) -> Timestamp {
    received + Duration::from_secs(settings.maximum_event_age_secs.unwrap_or(EVENT_AGE_SECS).into())
}

pub(crate) fn next(ended: Ended, facts: Facts, settings: &EventInvokeSettings, delays: &Delays) -> Next {
    let (delay, counted) = match ended {
        Ended::Success => return Next::Finish,
        Ended::Stopped => return Next::Bury(DeathReason::ZeroReservedConcurrency),
        Ended::Gone => return Next::Bury(DeathReason::FunctionGone),
        Ended::Failed => {
            if facts.attempts > settings.maximum_retry_attempts.unwrap_or(RETRY_ATTEMPTS) {
                return Next::Bury(DeathReason::RetriesExhausted);
            }
            let index = (facts.attempts.max(1) as usize - 1).min(delays.retry.len().saturating_sub(1));
            (delays.retry.get(index).copied().unwrap_or_default(), true)
        }
        Ended::NotRun { before } => {
            let delay = delays.throttle_min.saturating_mul(1 << before.min(20)).min(delays.throttle_max);
            (delay, false)
        }
    };
    let due = facts.now + delay;
    // What would be too old when its turn comes is given up now.
    if due > expires(facts.received, settings) {
        return Next::Bury(DeathReason::EventAgeExceeded);
    }
    Next::Retry { due, counted }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delays() -> Delays {
        Delays {
            retry: vec![Duration::from_secs(60), Duration::from_secs(120)],
            throttle_min: Duration::from_secs(1),
            throttle_max: Duration::from_secs(300),
        }
    }

    fn after(ended: Ended, attempts: u32, now_secs: u64) -> Next {
        let facts = Facts { received: Timestamp(0), now: Timestamp(now_secs * 1_000), attempts };
        next(ended, facts, &EventInvokeSettings::default(), &delays())
    }

    #[test]
    fn a_failing_function_is_tried_three_times() {
        let retry = |secs: u64| Next::Retry { due: Timestamp(secs * 1_000), counted: true };
        assert_eq!(after(Ended::Failed, 1, 0), retry(60));
        assert_eq!(after(Ended::Failed, 2, 60), retry(180));
        assert_eq!(after(Ended::Failed, 3, 180), Next::Bury(DeathReason::RetriesExhausted));
        assert_eq!(after(Ended::Success, 3, 180), Next::Finish);
    }

    #[test]
    fn throttled_events_wait_longer_and_longer_until_they_are_too_old() {
        let due = |before, now| after(Ended::NotRun { before }, 1, now);
        assert_eq!(due(0, 0), Next::Retry { due: Timestamp(1_000), counted: false });
        assert_eq!(due(3, 0), Next::Retry { due: Timestamp(8_000), counted: false });
        assert_eq!(due(99, 0), Next::Retry { due: Timestamp(300_000), counted: false });
        assert_eq!(due(99, 21_500), Next::Bury(DeathReason::EventAgeExceeded));
    }

    proptest! {
        #[test]
        fn an_event_always_comes_to_an_end(ends in prop::collection::vec(any::<bool>(), 0..4_000)) {
            let (mut now, mut attempts, mut before) = (Timestamp(0), 0, 0);
            let settings = EventInvokeSettings::default();
            for failed in ends.into_iter().chain(std::iter::repeat_n(false, 4_000)) {
                let ended = if failed { Ended::Failed } else { Ended::NotRun { before } };
                let facts = Facts { received: Timestamp(0), now, attempts: attempts + 1 };
                match next(ended, facts, &settings, &delays()) {
                    Next::Retry { due, counted } => {
                        prop_assert!(due > now, "no hot loop");
                        prop_assert!(due <= expires(Timestamp(0), &settings));
                        now = due;
                        attempts += u32::from(counted);
                        before += u32::from(!counted);
                    }
                    Next::Bury(_) => return Ok(()),
                    Next::Finish => prop_assert!(false, "it never succeeded"),
                }
            }
            prop_assert!(false, "it is still tried after {now:?}");
        }
    }
}
