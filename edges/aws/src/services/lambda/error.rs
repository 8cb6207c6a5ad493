use dormouse_functions::FunctionsError;
use http::StatusCode;

use crate::error::ApiError;

/// Each error of the engine is one of the Lambda API. A test holds the names against the model.
impl From<FunctionsError> for ApiError {
    fn from(error: FunctionsError) -> Self {
        use FunctionsError as E;
        match error {
            E::ResourceNotFound(message) => Self::modeled("ResourceNotFoundException", message),
            E::ResourceConflict(message) => Self::modeled("ResourceConflictException", message),
            E::InvalidParameterValue(message) => Self::modeled("InvalidParameterValueException", message),
            E::PreconditionFailed(message) => Self::modeled("PreconditionFailedException", message),
            E::TooManyRequests { reason, retry_after, message } => {
                let error = Self::modeled("TooManyRequestsException", message).with("Reason", reason.as_str());
                match retry_after {
                    Some(wait) => error.retry_after(wait),
                    None => error,
                }
            }
            E::RequestTooLarge(message) => Self::modeled("RequestTooLargeException", message),
            E::CodeStorageExceeded(message) => Self::modeled("CodeStorageExceededException", message),
            E::InvalidZipFile(message) => Self::modeled("InvalidZipFileException", message),
            E::InvalidRequestContent(message) => Self::modeled("InvalidRequestContentException", message),
            E::ResourceNotReady(message) => Self::modeled("ResourceNotReadyException", message),
            E::InvalidRuntime(message) => Self::modeled("InvalidRuntimeException", message),
            E::NotImplemented(message) => Self::shared(StatusCode::NOT_IMPLEMENTED, "NotImplementedException", message),
            E::Unavailable { retry_after, message } => {
                Self::shared(StatusCode::SERVICE_UNAVAILABLE, "ServiceException", message).retry_after(retry_after)
            }
            E::Internal(message) => Self::modeled("ServiceException", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dormouse_functions::ThrottleReason;

    use super::*;
    use crate::table::ServiceId;

    #[test]
    fn every_error_is_one_of_the_model() {
        let text = String::new;
        let throttled = FunctionsError::TooManyRequests {
            reason: ThrottleReason::ConcurrentInvocationLimitExceeded,
            retry_after: Some(Duration::from_secs(1)),
            message: text(),
        };
        let shed = FunctionsError::Unavailable { retry_after: Duration::from_secs(1), message: text() };
        for (error, status) in [
            (FunctionsError::ResourceNotFound(text()), 404),
            (FunctionsError::ResourceConflict(text()), 409),
            (FunctionsError::InvalidParameterValue(text()), 400),
            (FunctionsError::PreconditionFailed(text()), 412),
            (throttled, 429),
            (FunctionsError::RequestTooLarge(text()), 413),
            (FunctionsError::CodeStorageExceeded(text()), 400),
            (FunctionsError::InvalidZipFile(text()), 502),
            (FunctionsError::InvalidRequestContent(text()), 400),
            (FunctionsError::ResourceNotReady(text()), 502),
            (FunctionsError::InvalidRuntime(text()), 502),
            (shed, 503),
            (FunctionsError::Internal(text()), 500),
        ] {
            let error = ApiError::from(error);
            let (_, modeled) = ServiceId::Lambda.table().error(&error.name).expect("an error of the model");
            assert_eq!(error.status.unwrap_or(modeled.status), status, "{}", error.name);
        }
    }
}
