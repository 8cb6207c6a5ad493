use bytes::Bytes;
use dormouse_model::{FunctionArn, RequestId, Timestamp};
use serde::{Deserialize, Serialize};

/// An asynchronous invocation that was given up and is kept: the payload is there to be looked at and sent again.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadEvent {
    /// Id of the invocation through all its attempts.
    pub id: RequestId,
    /// What was invoked, with the qualifier that was used.
    pub function: FunctionArn,
    /// When it was accepted.
    pub received: Timestamp,
    /// When it was given up.
    pub died: Timestamp,
    /// How often it was run; throttled and shed tries do not count.
    pub attempts: u32,
    /// Why it was given up.
    pub reason: DeathReason,
    /// What the last attempt ended with, as text: the error that the function answered, or why it was not run.
    pub last_error: String,
    /// Size of the payload.
    pub payload_bytes: u64,
}

/// A dead event with its payload.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadEventDetails {
    /// The event.
    pub event: DeadEvent,
    /// As it was sent.
    pub payload: Bytes,
}

/// Why an asynchronous invocation was given up. The texts are the `condition` of the documented record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DeathReason {
    /// It failed as often as it may be tried.
    RetriesExhausted,
    /// It became older than it may.
    EventAgeExceeded,
    /// The function's reserved concurrency is zero.
    ZeroReservedConcurrency,
    /// The function, its version or its alias is gone.
    FunctionGone,
}

impl DeathReason {
    /// The text in records and listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
            Self::ZeroReservedConcurrency => "ZeroReservedConcurrency",
            Self::FunctionGone => "FunctionGone",
        }
    }
}
