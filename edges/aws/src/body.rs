//! The limits of bodies, and the errors of those that are not read.

use std::time::Duration;

use dormouse_front::BodyError;
use http::StatusCode;

use crate::error::ApiError;
use crate::services::lambda::invoke;
use crate::table::{Operation, Protocol, ServiceId};

/// Bytes of the body of `CreateFunction`: 50 MiB of zip as base64, and what the service allows for the rest.
const CREATE_FUNCTION_BYTES: usize = 70_167_211;
/// Bytes of the body of `UpdateFunctionCode`: 50 MiB of zip as base64.
const UPDATE_CODE_BYTES: usize = 69_905_067;
/// Bytes of any other JSON body.
const JSON_BYTES: usize = 1024 * 1024;
/// Bytes of a form: the largest policy document fits in with every character encoded.
pub(crate) const FORM_BYTES: usize = 1024 * 1024;

/// Most bytes of an operation's body. `Invoke` has limits of its own.
pub(crate) fn limit_of(service: ServiceId, operation: &Operation) -> usize {
    match (service, operation.name.as_str()) {
        (ServiceId::Lambda, "CreateFunction") => CREATE_FUNCTION_BYTES,
        (ServiceId::Lambda, "UpdateFunctionCode") => UPDATE_CODE_BYTES,
        _ if service.table().protocol == Protocol::Query => FORM_BYTES,
        _ => JSON_BYTES,
    }
}

/// The error of a body that did not come to its end.
pub(crate) fn not_read(service: ServiceId, operation: &str, error: &BodyError) -> ApiError {
    match error {
        BodyError::TooLarge { limit_bytes } => {
            let invokes = service == ServiceId::Lambda && operation.starts_with(invoke::INVOKE);
            let (name, operation) = if invokes {
                ("RequestTooLargeException", "InvokeFunction")
            } else {
                ("RequestEntityTooLargeException", operation)
            };
            let message = format!("Request must be smaller than {limit_bytes} bytes for the {operation} operation");
            ApiError::shared(StatusCode::PAYLOAD_TOO_LARGE, name, message)
        }
        BodyError::NoRoom => {
            let message = "This node reads as many large requests as it has memory for. Try again soon.";
            ApiError::shared(error.status(), "ServiceException", message).retry_after(Duration::from_secs(1))
        }
        slow_or_broken => ApiError::shared(error.status(), "RequestTimeoutException", format!("{slow_or_broken}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_service() {
        let limit = |service: ServiceId, name: &str| limit_of(service, service.table().operation(name).expect(name));
        assert!(limit(ServiceId::Lambda, "CreateFunction") > 50 * 1024 * 1024 / 3 * 4);
        assert_eq!(limit(ServiceId::Lambda, "CreateAlias"), JSON_BYTES);
        assert_eq!(limit(ServiceId::Iam, "PutRolePolicy"), FORM_BYTES);
        let error = BodyError::TooLarge { limit_bytes: 6 };
        assert_eq!(not_read(ServiceId::Lambda, "Invoke", &error).name, "RequestTooLargeException");
        let told = not_read(ServiceId::Lambda, "CreateFunction", &error);
        assert_eq!(
            (told.name.as_ref(), told.status),
            ("RequestEntityTooLargeException", Some(StatusCode::PAYLOAD_TOO_LARGE))
        );
        assert_eq!(told.message, "Request must be smaller than 6 bytes for the CreateFunction operation");
    }
}
