use std::time::Duration;

/// What this engine answers.
pub type Result<T, E = FunctionsError> = std::result::Result<T, E>;

/// Why the engine did not do what it was asked to. Each variant is one error of the Lambda API; the text is a sentence for
/// the user. What is ours to know only (a path, a database error) goes to the log of the node and never into the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FunctionsError {
    /// `ResourceNotFoundException`, 404.
    #[error("{0}")]
    ResourceNotFound(String),
    /// `ResourceConflictException`, 409: it exists already, is in use, or an update is in progress.
    #[error("{0}")]
    ResourceConflict(String),
    /// `InvalidParameterValueException`, 400.
    #[error("{0}")]
    InvalidParameterValue(String),
    /// `PreconditionFailedException`, 412: the revision is not the one named.
    #[error("{0}")]
    PreconditionFailed(String),
    /// `TooManyRequestsException`, 429: throttled.
    #[error("{message}")]
    TooManyRequests {
        /// Value of `Reason`.
        reason: ThrottleReason,
        /// Value of `Retry-After`, when waiting helps.
        retry_after: Option<Duration>,
        /// The sentence.
        message: String,
    },
    /// `RequestTooLargeException`, 413.
    #[error("{0}")]
    RequestTooLarge(String),
    /// `CodeStorageExceededException`, 400.
    #[error("{0}")]
    CodeStorageExceeded(String),
    /// `InvalidZipFileException`, 502: the code that was accepted cannot be unpacked now. An upload that cannot be
    /// unpacked is [`FunctionsError::InvalidParameterValue`], as in Lambda.
    #[error("{0}")]
    InvalidZipFile(String),
    /// `InvalidRequestContentException`, 400: the payload is not JSON.
    #[error("{0}")]
    InvalidRequestContent(String),
    /// `ResourceNotReadyException`, 502: the function is not in a state that can be invoked.
    #[error("{0}")]
    ResourceNotReady(String),
    /// `InvalidRuntimeException`, 502: this host cannot run the runtime.
    #[error("{0}")]
    InvalidRuntime(String),
    /// The protocol's not-implemented error: a part of the API that this engine does not have.
    #[error("{0}")]
    NotImplemented(String),
    /// `ServiceException` with status 503: shed, or the store cannot be reached. Trying again helps.
    #[error("{message}")]
    Unavailable {
        /// Value of `Retry-After`.
        retry_after: Duration,
        /// The sentence.
        message: String,
    },
    /// `ServiceException`, 500: a fault of ours.
    #[error("{0}")]
    Internal(String),
}

/// Values of `Reason` in `TooManyRequestsException`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThrottleReason {
    /// The account has no concurrency left.
    ConcurrentInvocationLimitExceeded,
    /// The function has none left of what is reserved for it.
    ReservedFunctionConcurrentInvocationLimitExceeded,
    /// The queue of asynchronous events is full for this account.
    CallerRateLimitExceeded,
}

impl ThrottleReason {
    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConcurrentInvocationLimitExceeded => "ConcurrentInvocationLimitExceeded",
            Self::ReservedFunctionConcurrentInvocationLimitExceeded => {
                "ReservedFunctionConcurrentInvocationLimitExceeded"
            }
            Self::CallerRateLimitExceeded => "CallerRateLimitExceeded",
        }
    }
}

impl FunctionsError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidParameterValue(message.into())
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::ResourceConflict(message.into())
    }

    /// The full cause goes to the node's log; the user hears that it was our fault.
    pub(crate) fn internal(what: &str, cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "{what}");
        Self::Internal(format!("The service could not complete the request: {what}."))
    }
}

/// The disk has no room for what is to be kept.
fn full(cause: &dyn std::fmt::Display) -> FunctionsError {
    tracing::error!(%cause, "the disk is full");
    let message = "The disk of this node is full. Nothing was promised; try again when its operator has made room.";
    FunctionsError::Unavailable { retry_after: Duration::from_secs(10), message: message.to_owned() }
}

impl From<dormouse_store::StoreError> for FunctionsError {
    fn from(error: dormouse_store::StoreError) -> Self {
        use dormouse_store::StoreError as E;
        match error {
            E::Full(_) => full(&error),
            E::Unavailable(_) => {
                tracing::error!(%error, "the store does not take this request");
                let message = "The store cannot be written or reached now. Nothing was promised; try again later.";
                Self::Unavailable { retry_after: Duration::from_secs(1), message: message.to_owned() }
            }
            E::Limit(_) | E::Corrupt(_) => Self::internal("the store refused the request", error),
        }
    }
}
