use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{FunctionArn, RequestId, Timestamp};

/// How the caller wants the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InvocationKind {
    /// `RequestResponse`: the caller waits for the outcome.
    Sync,
    /// `Event`: accepted once it is on disk, run from the queue.
    Async,
    /// `DryRun`: checked, not run.
    DryRun,
}

/// One request to run a function once, as the code inside the sandbox sees it.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Shown to the function and written in every line of its log.
    pub request_id: RequestId,
    /// The ARN that the caller used, with the qualifier that they used.
    pub invoked_arn: FunctionArn,
    /// The event, as it was sent.
    pub payload: Bytes,
    /// When the function must have answered.
    pub deadline: Timestamp,
    /// `X-Amzn-Trace-Id`, as it was sent or made at the edge; may be empty.
    pub trace_id: String,
    /// The decoded JSON of `X-Amz-Client-Context`.
    pub client_context: Option<String>,
}

/// What went wrong with an attempt that did not end in a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// The user's code failed: it raised, exited, ran out of memory or answered too much.
    Function,
    /// The deadline passed.
    Timeout,
    /// No concurrency was left.
    Throttled,
    /// Our own failure.
    Platform,
}

/// Keys by which code inside a sandbox signs its calls back to the platform. Short-lived, for one role.
#[derive(Clone)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: String,
    /// When they stop being good.
    pub expires: Timestamp,
}

/// Secrets do not print.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}
