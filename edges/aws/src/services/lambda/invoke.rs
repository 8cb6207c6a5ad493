//! `Invoke` and the older `InvokeAsync`: the one operation whose speed people wait for.
//!
//! It does not go by the generic codecs: the few parts of its head are read here, and the payload is passed on as it is. Only
//! a head that cannot be read is read again by the model, which finds the words for what is wrong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use dormouse_functions::{Invoke, InvokeOutcome};
use dormouse_model::{FunctionArn, InvocationKind, RequestId, limits};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::change::not_there;
use super::target::{FunctionTarget, find};
use crate::access;
use crate::error::ApiError;
use crate::operation::{Call, Target};
use crate::protocol::{self, Incoming};
use crate::table::ServiceId;

/// The name of the operation in the model.
pub const INVOKE: &str = "Invoke";
/// The name of the older operation, which only knows asynchronous invocations.
pub const INVOKE_ASYNC: &str = "InvokeAsync";
/// The largest payload of any invocation, in bytes.
pub const LARGEST_PAYLOAD: usize = limits::SYNC_PAYLOAD_BYTES;

/// What the head of the request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvokeHead {
    kind: InvocationKind,
    log_tail: bool,
    client_context: Option<String>,
    trace_id: String,
}

const INVOCATION_TYPE: &str = "x-amz-invocation-type";
const LOG_TYPE: &str = "x-amz-log-type";
const CLIENT_CONTEXT: &str = "x-amz-client-context";
const TRACE_ID: &str = "x-amzn-trace-id";
/// Headers that ask for what does not exist here.
const NOT_THERE: [(&str, &str); 2] =
    [("x-amz-tenant-id", "Tenant isolation (TenantId)"), ("x-amz-durable-execution-name", "DurableExecutionName")];
/// Most bytes of a trace header that is passed on.
const TRACE_ID_BYTES: usize = 512;

impl InvokeHead {
    /// Reads the headers. Absent ones have their defaults.
    pub fn read(headers: &HeaderMap, id: RequestId, now_secs: u64) -> Result<Self, ApiError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
        if let Some((_, part)) = NOT_THERE.iter().find(|(name, _)| headers.contains_key(*name)) {
            return Err(not_there(part));
        }
        let kind = match text(INVOCATION_TYPE) {
            None | Some("RequestResponse") => InvocationKind::Sync,
            Some("Event") => InvocationKind::Async,
            Some("DryRun") => InvocationKind::DryRun,
            Some(other) => return Err(not_in_set("invocationType", other, "[Event, RequestResponse, DryRun]")),
        };
        let log_tail = match text(LOG_TYPE) {
            None | Some("None") => false,
            Some("Tail") => true,
            Some(other) => return Err(not_in_set("logType", other, "[None, Tail]")),
        };
        let client_context = text(CLIENT_CONTEXT).map(read_client_context).transpose()?;
        let trace_id = text(TRACE_ID).filter(|text| text.len() <= TRACE_ID_BYTES).map(str::to_owned);
        let trace_id = trace_id.unwrap_or_else(|| new_trace_id(id, now_secs));
        Ok(Self { kind, log_tail, client_context, trace_id })
    }

    /// What `InvokeAsync` means.
    pub fn asynchronous(id: RequestId, now_secs: u64) -> Self {
        let trace_id = new_trace_id(id, now_secs);
        Self { kind: InvocationKind::Async, log_tail: false, client_context: None, trace_id }
    }

    /// Most bytes of the payload.
    pub fn payload_limit(&self) -> usize {
        match self.kind {
            InvocationKind::Async => limits::ASYNC_PAYLOAD_BYTES,
            InvocationKind::Sync | InvocationKind::DryRun => limits::SYNC_PAYLOAD_BYTES,
        }
    }
}

fn not_in_set(member: &str, value: &str, set: &str) -> ApiError {
    let message = format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy enum \
         value set: {set}"
    );
    ApiError::shared(StatusCode::BAD_REQUEST, "ValidationException", message)
}

fn read_client_context(text: &str) -> Result<String, ApiError> {
    let refused = |what: &str| ApiError::modeled("InvalidRequestContentException", what);
    if text.len() > limits::CLIENT_CONTEXT_BASE64_BYTES {
        let most = limits::CLIENT_CONTEXT_BASE64_BYTES;
        return Err(refused(&format!("Client context must be at most {most} bytes of base64.")));
    }
    let decoded = BASE64.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let object =
        decoded.filter(|text| serde_json::from_str::<serde_json::Map<String, _>>(text).map(drop_value).is_ok());
    object.ok_or_else(|| refused("Client context must be a valid Base64-encoded JSON object."))
}

fn drop_value(_: serde_json::Map<String, serde_json::Value>) {}

/// The form of the trace header, made of the request's own id.
fn new_trace_id(id: RequestId, now_secs: u64) -> String {
    let hex = id.0.simple().to_string();
    format!("Root=1-{:08x}-{};Sampled=0", now_secs as u32, &hex[8..])
}

/// The function that the request names. A name that cannot be read is read again by the model, for its words.
pub fn target(call: &Call, incoming: &Incoming<'_>) -> Result<FunctionTarget, ApiError> {
    let label = |(name, value): &'_ (String, String)| (name == "FunctionName").then(|| value.clone());
    let name = incoming.labels.iter().find_map(label).unwrap_or_default();
    let qualifier = incoming.query.iter().find(|(name, _)| name == "Qualifier").map(|(_, value)| value.as_str());
    find(call, &name, qualifier).map_err(|error| {
        let head_only = Incoming { body: &Bytes::from_static(b"{}"), ..*incoming };
        let checked = protocol::read_input(ServiceId::Lambda.table(), call.operation, &head_only);
        checked.err().unwrap_or(error)
    })
}

/// Authorizes and runs the invocation. The payload is within its limit already.
pub async fn run(
    call: Call,
    action: &str,
    target: FunctionTarget,
    head: InvokeHead,
    payload: Bytes,
) -> Result<Response<Bytes>, ApiError> {
    access::authorize(&call, action, &target.resource()).await?;
    check_utf8(&payload)?;
    let FunctionArn { account, name, qualifier, .. } = target.arn;
    let invoke = Invoke {
        function: name,
        qualifier,
        request_id: call.request_id,
        payload,
        trace_id: head.trace_id,
        client_context: head.client_context,
        log_tail: head.log_tail,
    };
    let functions = &call.parts.functions;
    match head.kind {
        InvocationKind::Sync => Ok(answer(functions.invoke(&account, invoke).await?)),
        InvocationKind::Async => {
            functions.enqueue(&account, invoke).await?;
            Ok(empty(StatusCode::ACCEPTED))
        }
        InvocationKind::DryRun => {
            functions.check_invoke(&account, &invoke)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
    }
}

/// The engine looks at the payload once, to see that it is JSON; that it is UTF-8 is said here.
fn check_utf8(payload: &Bytes) -> Result<(), ApiError> {
    std::str::from_utf8(payload).map(|_| ()).map_err(|error| {
        let message = format!("Could not parse request body into json: it is not UTF-8: {error}");
        ApiError::modeled("InvalidRequestContentException", message)
    })
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// A function error is a success of the protocol: 200 with a header.
fn answer(outcome: InvokeOutcome) -> Response<Bytes> {
    let mut response = Response::new(outcome.payload);
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(version) = HeaderValue::try_from(outcome.executed_version.to_string()) {
        headers.insert("x-amz-executed-version", version);
    }
    if let Some(error) = outcome.function_error {
        headers.insert("x-amz-function-error", HeaderValue::from_static(error));
    }
    if let Some(tail) = outcome.log_tail
        && let Ok(tail) = HeaderValue::try_from(BASE64.encode(tail))
    {
        headers.insert("x-amz-log-result", tail);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Result<InvokeHead, ApiError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).expect("a header value"));
        }
        let id = "00000000-0000-4000-8000-0000000000ff".parse().expect("a UUID");
        InvokeHead::read(&map, id, 0x5bef_4de7)
    }

    #[test]
    fn the_head_has_defaults() {
        let head = read(&[]).expect("a head");
        assert_eq!((head.kind, head.log_tail, &head.client_context), (InvocationKind::Sync, false, &None));
        assert_eq!(head.trace_id, "Root=1-5bef4de7-0000400080000000000000ff;Sampled=0");
        assert_eq!(head.payload_limit(), 6 * 1024 * 1024);
        let head = read(&[(INVOCATION_TYPE, "Event"), (TRACE_ID, "Root=1-a-b")]).expect("a head");
        assert_eq!((head.kind, head.trace_id.as_str()), (InvocationKind::Async, "Root=1-a-b"));
        assert_eq!(head.payload_limit(), 1024 * 1024);
    }

    #[test]
    fn what_the_head_may_not_say_is_refused() {
        let long = "A".repeat(limits::CLIENT_CONTEXT_BASE64_BYTES + 1);
        for (headers, error) in [
            ([(INVOCATION_TYPE, "Later")], "ValidationException"),
            ([(LOG_TYPE, "All")], "ValidationException"),
            ([(CLIENT_CONTEXT, "!")], "InvalidRequestContentException"),
            ([(CLIENT_CONTEXT, "MQ==")], "InvalidRequestContentException"),
            ([(CLIENT_CONTEXT, &long)], "InvalidRequestContentException"),
            ([("x-amz-tenant-id", "t")], "InvalidParameterValueException"),
        ] {
            assert_eq!(read(&headers).expect_err("refused").name, error, "{headers:?}");
        }
        let head = read(&[(CLIENT_CONTEXT, "eyJjdXN0b20iOnt9fQ==")]).expect("a head");
        assert_eq!(head.client_context.as_deref(), Some(r#"{"custom":{}}"#));
    }

    #[test]
    fn a_payload_that_is_no_text_is_refused() {
        assert!(check_utf8(&Bytes::from_static("\"ü\"".as_bytes())).is_ok());
        let error = check_utf8(&Bytes::from_static(b"\"\xff\"")).expect_err("not UTF-8");
        assert_eq!(error.name, "InvalidRequestContentException");
        assert!(error.message.starts_with("Could not parse request body into json: "), "{error}");
    }
}
