use dormouse_identity::IamError;
use http::StatusCode;

use crate::error::ApiError;

/// Each error of the engine is one of the IAM API, or one that query services share. STS uses the same names where it has
/// them.
impl From<IamError> for ApiError {
    fn from(error: IamError) -> Self {
        let message = error.to_string();
        let shared = |status, name: &'static str, message| Self::shared(status, name, message);
        match error {
            IamError::NoSuchEntity(_) => shared(StatusCode::NOT_FOUND, "NoSuchEntity", message),
            IamError::AlreadyExists(_) => shared(StatusCode::CONFLICT, "EntityAlreadyExists", message),
            IamError::DeleteConflict(_) => shared(StatusCode::CONFLICT, "DeleteConflict", message),
            IamError::LimitExceeded(_) => shared(StatusCode::CONFLICT, "LimitExceeded", message),
            IamError::MalformedPolicy(_) => shared(StatusCode::BAD_REQUEST, "MalformedPolicyDocument", message),
            IamError::Validation(_) => shared(StatusCode::BAD_REQUEST, "ValidationError", message),
            IamError::Unmodifiable(_) => shared(StatusCode::BAD_REQUEST, "UnmodifiableEntity", message),
            IamError::PackedPolicyTooLarge(_) => shared(StatusCode::BAD_REQUEST, "PackedPolicyTooLarge", message),
            IamError::Denied(_) => shared(StatusCode::FORBIDDEN, "AccessDenied", message),
            IamError::Store(cause) => {
                tracing::error!(%cause, "identity cannot be read or changed");
                shared(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
            }
        }
    }
}
