use dormouse_front::{BodyError, Response, response};
use dormouse_functions::FunctionsError;
use dormouse_identity::{AuthError, AuthorizeError, IamError};
use dormouse_model::NameError;
use dormouse_telemetry::TelemetryError;
use http::StatusCode;

/// Why a request was not done. Answered as `{"code", "message"}`; the codes are part of the interface.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error("there is nothing at {0}; docs/admin-api.md lists what there is")]
    NoSuchPath(String),
    #[error("this takes {0}")]
    Method(&'static str),
    #[error("{0}")]
    Invalid(String),
    #[error("metrics are shown to this machine only; set metrics.public to show them to everyone")]
    NotLoopback,
    #[error("{0}")]
    NotAuthentic(String),
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("{0}")]
    Unavailable(String),
    #[error("the node could not do this; its log names the request by its id")]
    Internal,
}

impl AdminError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoSuchPath(_) => "NoSuchPath",
            Self::Method(_) => "MethodNotAllowed",
            Self::Invalid(_) => "InvalidRequest",
            Self::NotLoopback | Self::Denied(_) => "AccessDenied",
            Self::NotAuthentic(_) => "NotAuthentic",
            Self::NotFound(_) => "NotFound",
            Self::Conflict(_) => "Conflict",
            Self::Body(BodyError::TooLarge { .. }) => "RequestTooLarge",
            Self::Body(_) => "RequestBroken",
            Self::Unavailable(_) => "Unavailable",
            Self::Internal => "Internal",
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath(_) | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NotLoopback | Self::Denied(_) | Self::NotAuthentic(_) => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Body(error) => error.status(),
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn response(&self) -> Response {
        let body = serde_json::json!({ "code": self.code(), "message": self.to_string() }).to_string();
        let mut response = response(self.status(), "application/json", body);
        if let Self::Method(allowed) = self {
            let allowed = http::HeaderValue::from_static(allowed);
            response.headers_mut().insert(http::header::ALLOW, allowed);
        }
        response
    }

    /// The cause goes to the log of the node only.
    pub(crate) fn internal(what: &str, cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "{what}");
        Self::Internal
    }
}

impl From<NameError> for AdminError {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.message)
    }
}

impl From<AuthError> for AdminError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unavailable(cause) => {
                tracing::error!(%cause, "a request cannot be authenticated");
                Self::Unavailable("who asks cannot be checked now; try again".to_owned())
            }
            AuthError::Incomplete(text) | AuthError::Payload(text) => Self::Invalid(text),
            other => Self::NotAuthentic(other.to_string()),
        }
    }
}

impl From<AuthorizeError> for AdminError {
    fn from(error: AuthorizeError) -> Self {
        match error {
            AuthorizeError::Denied(denied) => Self::Denied(denied.to_string()),
            AuthorizeError::Unavailable(cause) => {
                tracing::error!(%cause, "a request cannot be authorized");
                Self::Unavailable("whether they may cannot be checked now; try again".to_owned())
            }
        }
    }
}

impl From<IamError> for AdminError {
    fn from(error: IamError) -> Self {
        use IamError as E;
        let text = error.to_string();
        match error {
            E::NoSuchEntity(_) => Self::NotFound(text),
            E::AlreadyExists(_) | E::DeleteConflict(_) | E::LimitExceeded(_) | E::Unmodifiable(_) => {
                Self::Conflict(text)
            }
            E::Denied(_) => Self::Denied(text),
            E::Store(cause) => {
                tracing::error!(%cause, "identity cannot be changed");
                Self::Unavailable(text)
            }
            E::MalformedPolicy(_) | E::Validation(_) | E::PackedPolicyTooLarge(_) => Self::Invalid(text),
        }
    }
}

impl From<FunctionsError> for AdminError {
    fn from(error: FunctionsError) -> Self {
        use FunctionsError as E;
        let text = error.to_string();
        match error {
            E::ResourceNotFound(_) => Self::NotFound(text),
            E::ResourceConflict(_) | E::PreconditionFailed(_) => Self::Conflict(text),
            E::TooManyRequests { .. } | E::Unavailable { .. } => Self::Unavailable(text),
            E::InvalidParameterValue(_) => Self::Invalid(text),
            _ => Self::internal("the functions engine failed", &text),
        }
    }
}

impl From<TelemetryError> for AdminError {
    fn from(error: TelemetryError) -> Self {
        match error {
            TelemetryError::Cursor(_) => Self::Invalid(error.to_string()),
            other => Self::internal("telemetry cannot be read", &other),
        }
    }
}
