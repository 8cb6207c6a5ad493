use bytes::Bytes;
use dormouse_model::Invocation;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::Refusal;

pub(crate) type Reply = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
const DEADLINE_MS: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
const INVOKED_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
const TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("lambda-runtime-client-context");

/// The event and what describes it. What is empty, or cannot stand in a header, is left out.
pub(crate) fn event(invocation: Invocation) -> Reply {
    let Invocation { request_id, invoked_arn, payload, deadline, trace_id, client_context } = invocation;
    let mut reply = Response::new(Full::new(payload));
    let headers = reply.headers_mut();
    headers.reserve(8);
    headers.insert(CONTENT_TYPE, JSON);
    let mut put = |name: HeaderName, value: String| {
        if value.is_empty() {
            return;
        }
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
            headers.insert(name, value);
        }
    };
    put(REQUEST_ID, request_id.to_string());
    put(DEADLINE_MS, deadline.as_millis().to_string());
    put(INVOKED_ARN, invoked_arn.to_string());
    put(TRACE_ID, trace_id);
    put(CLIENT_CONTEXT, client_context.unwrap_or_default());
    reply
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

/// 202 to an answer or an error report.
pub(crate) fn accepted() -> Reply {
    json(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}\n"))
}

/// 200 to a ping.
pub(crate) fn pong() -> Reply {
    Response::new(Full::new(Bytes::from_static(b"pong")))
}

/// The error body of the Runtime API.
pub(crate) fn error(status: StatusCode, error_type: &str, message: &str) -> Reply {
    let body = serde_json::json!({ "errorMessage": message, "errorType": error_type });
    json(status, body.to_string())
}

/// What the machine refused.
pub(crate) fn refused(refusal: &Refusal) -> Reply {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    error(status, refusal.error_type(), &refusal.to_string())
}

/// 405 with the method that is allowed.
pub(crate) fn wrong_method(allowed: &'static str) -> Reply {
    let message = format!("This path takes {allowed} only.");
    let mut reply = error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", &message);
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}
