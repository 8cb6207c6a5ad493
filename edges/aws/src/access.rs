//! Who asks, and may they: the identity engine's answers in the words of each protocol.

use std::borrow::Cow;

pub(crate) use dormouse_identity::Caller;
use dormouse_identity::policy::{Kind, Policy};
use dormouse_identity::sigv4::CredentialScope;
use dormouse_identity::{Access, AuthError, AuthorizeError};
use dormouse_model::Region;
use http::StatusCode;

use crate::error::ApiError;
use crate::operation::{Call, Resource};
use crate::table::{Protocol, ServiceId};

/// The service that roles of functions are passed to.
const LAMBDA_PRINCIPAL: &str = "lambda.amazonaws.com";

/// Refuses what the caller may not do.
pub(crate) async fn authorize(call: &Call, action: &str, resource: &Resource) -> Result<(), ApiError> {
    // A policy that cannot be read grants nothing, and what it would deny is not granted either.
    let policy = resource.policy.as_deref().map(|text| Policy::parse(text, Kind::Resource)).transpose();
    let policy = policy.map_err(|error| {
        tracing::error!(%error, resource = resource.arn, "the policy of a resource cannot be read");
        ApiError::internal()
    })?;
    // Most calls are about nothing that policies could ask for beside the request itself.
    let mut context = Cow::Borrowed(&call.context);
    if !resource.keys.is_empty() {
        context.to_mut().extend(resource.keys.clone());
    }
    let access = Access {
        action,
        resource: &resource.arn,
        owner: &resource.account,
        context: &context,
        resource_policy: policy.as_ref(),
    };
    call.parts.identity.authorize(&call.caller, &access).await.map_err(|error| refused(call.service, error))
}

/// Refuses a role that the caller may not hand to functions.
pub(crate) async fn pass_role(call: &Call, role_arn: &str) -> Result<(), ApiError> {
    let checked = call.parts.identity.check_pass_role(&call.caller, role_arn, LAMBDA_PRINCIPAL).await;
    checked.map_err(|error| refused(call.service, error))
}

fn refused(service: ServiceId, error: AuthorizeError) -> ApiError {
    match error {
        AuthorizeError::Denied(denied) => {
            let name = by_protocol(service, "AccessDeniedException", "AccessDenied");
            ApiError::shared(StatusCode::FORBIDDEN, name, denied.to_string())
        }
        AuthorizeError::Unavailable(cause) => {
            tracing::error!(%cause, "a request cannot be authorized");
            unavailable(service)
        }
    }
}

fn unavailable(service: ServiceId) -> ApiError {
    let name = by_protocol(service, "ServiceUnavailableException", "ServiceUnavailable");
    let message = "Who asks and whether they may cannot be checked now. Nothing was done; try again.";
    ApiError::shared(StatusCode::SERVICE_UNAVAILABLE, name, message).retry_after(std::time::Duration::from_secs(1))
}

fn by_protocol(service: ServiceId, json: &'static str, query: &'static str) -> &'static str {
    match service.table().protocol {
        Protocol::RestJson => json,
        Protocol::Query => query,
    }
}

/// The error of a request that is not believed to come from whom it says.
pub(crate) fn unauthenticated(service: ServiceId, error: &AuthError) -> ApiError {
    let (status, json, query) = match error {
        AuthError::MissingToken => (403, "MissingAuthenticationTokenException", "MissingAuthenticationToken"),
        AuthError::Incomplete(_) | AuthError::Payload(_) => {
            (400, "IncompleteSignatureException", "IncompleteSignature")
        }
        AuthError::UnknownKey | AuthError::UnknownToken => (403, "UnrecognizedClientException", "InvalidClientTokenId"),
        AuthError::ExpiredToken => (403, "ExpiredTokenException", "ExpiredToken"),
        AuthError::NotSigned(_)
        | AuthError::Mismatch(_)
        | AuthError::Skewed
        | AuthError::UrlExpired { .. }
        | AuthError::BodyMismatch => (403, "InvalidSignatureException", "SignatureDoesNotMatch"),
        AuthError::Unavailable(cause) => {
            tracing::error!(%cause, "a request cannot be authenticated");
            return unavailable(service);
        }
    };
    let status = StatusCode::from_u16(status).expect("403 and 400 are statuses");
    ApiError::shared(status, by_protocol(service, json, query), error.to_string())
}

/// The error of a good signature that was made for another service or region.
pub(crate) fn wrong_scope(service: ServiceId, scope: &CredentialScope, region: &Region) -> ApiError {
    let name = by_protocol(service, "InvalidSignatureException", "SignatureDoesNotMatch");
    let message = format!(
        "Credential should be scoped to a valid region and service: the request is signed for {} in '{}', and this is {} in \
         '{region}'.",
        scope.service,
        scope.region,
        service.name()
    );
    ApiError::shared(StatusCode::FORBIDDEN, name, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_own_words() {
        let told = |service, error: &AuthError| {
            let error = unauthenticated(service, error);
            (error.status.map(|status| status.as_u16()), error.name.into_owned())
        };
        for (error, status, json, query) in [
            (AuthError::MissingToken, 403, "MissingAuthenticationTokenException", "MissingAuthenticationToken"),
            (AuthError::UnknownKey, 403, "UnrecognizedClientException", "InvalidClientTokenId"),
            (AuthError::ExpiredToken, 403, "ExpiredTokenException", "ExpiredToken"),
            (AuthError::Mismatch(String::new()), 403, "InvalidSignatureException", "SignatureDoesNotMatch"),
            (AuthError::Incomplete(String::new()), 400, "IncompleteSignatureException", "IncompleteSignature"),
        ] {
            assert_eq!(told(ServiceId::Lambda, &error), (Some(status), json.to_owned()));
            assert_eq!(told(ServiceId::Sts, &error), (Some(status), query.to_owned()));
        }
    }
}
