use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

/// An error of a service, before a protocol gives it its form.
///
/// The name is the name of the error's shape in the service's model, or a code that all services share
/// (`AccessDeniedException`). The message is one sentence for the user: what was wrong, what is allowed, what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct ApiError {
    /// Such as `ResourceNotFoundException`.
    pub name: Cow<'static, str>,
    /// Absent: the model says.
    pub status: Option<StatusCode>,
    /// For the user; nothing internal.
    pub message: String,
    /// Further members of the error's shape, by their names in the model, such as `Reason`.
    pub details: Vec<(&'static str, String)>,
}

impl ApiError {
    /// An error that the service's model has, with the status that the model gives it.
    pub fn modeled(name: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { name: name.into(), status: None, message: message.into(), details: Vec::new() }
    }

    /// An error that services share and no model has.
    pub fn shared(status: StatusCode, name: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { name: name.into(), status: Some(status), message: message.into(), details: Vec::new() }
    }

    /// With one more member of its shape.
    pub fn with(mut self, member: &'static str, value: impl Into<String>) -> Self {
        self.details.push((member, value.into()));
        self
    }

    /// With `Retry-After`, in whole seconds, at least one.
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with("retryAfterSeconds", seconds.max(1).to_string())
    }

    /// An operation that the model has and this program does not.
    pub fn not_implemented(operation: &str) -> Self {
        let message = format!(
            "The operation {operation} is not implemented by this version of Dormouse; docs/status.md lists what is."
        );
        Self::shared(StatusCode::NOT_IMPLEMENTED, "NotImplementedException", message)
    }

    /// A body or parameter that cannot be read as what the model says it is.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::shared(StatusCode::BAD_REQUEST, "SerializationException", message)
    }

    /// Our own fault. The cause belongs into the node's log, not in here.
    pub fn internal() -> Self {
        let message = "The service could not complete the request because of a fault of its own; its log says more.";
        Self::shared(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", message)
    }
}
