//! What a caller is answered with when a function did not answer itself. Pure.

use bytes::Bytes;
use dormouse_model::{FailureKind, RequestId, limits};
use serde_json::json;
use std::time::Duration;

use dormouse_sandbox::{Ending, StartError};

/// How an attempt that reached the user's code went wrong: a function error of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FailureKind,
    /// Such as `Runtime.ExitError`.
    pub(crate) error_type: String,
    /// For the log; absent when the runtime has reported the error itself.
    pub(crate) message: Option<String>,
    /// The init phase failed, so that the handler was never called.
    pub(crate) in_init: bool,
    /// The answer.
    pub(crate) body: Bytes,
}

fn body(error_type: &str, request_id: RequestId, message: &str) -> Bytes {
    json!({"errorType": error_type, "errorMessage": format!("RequestId: {request_id} Error: {message}")})
        .to_string()
        .into()
}

fn silent(kind: FailureKind, error_type: &str, request_id: RequestId, message: &str) -> Fault {
    let body = body(error_type, request_id, message);
    Fault { kind, error_type: error_type.to_owned(), message: Some(message.to_owned()), in_init: false, body }
}

pub(crate) fn timeout(request_id: RequestId, timeout: Duration) -> Fault {
    let message = format!("Task timed out after {:.2} seconds", timeout.as_secs_f64());
    silent(FailureKind::Timeout, "Sandbox.Timedout", request_id, &message)
}

fn out_of_memory(request_id: RequestId) -> Fault {
    let message = "Runtime exited with error: signal: killed";
    silent(FailureKind::Function, "Runtime.OutOfMemory", request_id, message)
}

fn too_large(size_bytes: u64) -> Fault {
    let message = format!(
        "Response payload size ({size_bytes} bytes) exceeded maximum allowed payload size ({} bytes).",
        limits::RESPONSE_BYTES
    );
    let error_type = "Function.ResponseSizeTooLarge".to_owned();
    let body = json!({"errorType": error_type, "errorMessage": message}).to_string().into();
    Fault { kind: FailureKind::Function, error_type, message: Some(message), in_init: false, body }
}

/// What the ending of an invocation means: the answer, a function error, or our own failure as `Err` with its cause.
pub(crate) fn of_ending(
    ending: Ending,
    request_id: RequestId,
    limit: Duration,
) -> Result<Result<Bytes, Fault>, String> {
    Ok(match ending {
        Ending::Response(payload) => Ok(payload),
        Ending::Error { error_type, body } => {
            Err(Fault { kind: FailureKind::Function, error_type, message: None, in_init: false, body })
        }
        Ending::ResponseTooLarge { size_bytes } => Err(too_large(size_bytes)),
        Ending::Timeout => Err(timeout(request_id, limit)),
        Ending::Exited { status } => {
            let message = match status.as_str() {
                "exit status 0" => "Runtime exited without providing a reason".to_owned(),
                _ => format!("Runtime exited with error: {status}"),
            };
            Err(silent(FailureKind::Function, "Runtime.ExitError", request_id, &message))
        }
        Ending::OutOfMemory => Err(out_of_memory(request_id)),
        Ending::Platform(cause) => return Err(cause),
    })
}

/// Failures of an init phase in which the runtime has said nothing itself: the answer and the log name the request.
const SILENT_STARTS: [&str; 3] = ["Runtime.ExitError", "Runtime.InvalidEntrypoint", "Runtime.Unknown"];

/// What a failed start means to the invocation that waited for it; `None` when it is not the function's fault.
pub(crate) fn of_start(error: &StartError, request_id: RequestId, limit: Duration) -> Option<Fault> {
    let fault = match error {
        StartError::Function { error_type, message, .. } if SILENT_STARTS.contains(&error_type.as_str()) => {
            silent(FailureKind::Function, error_type, request_id, message)
        }
        StartError::Function { error_type, body, .. } => Fault {
            kind: FailureKind::Function,
            error_type: error_type.clone(),
            message: None,
            in_init: true,
            body: body.clone(),
        },
        StartError::Timeout { .. } => timeout(request_id, limit),
        StartError::OutOfMemory { .. } => out_of_memory(request_id),
        StartError::RuntimeMissing(_) | StartError::Platform(_) => return None,
    };
    Some(Fault { in_init: true, ..fault })
}

/// Paid time in milliseconds: rounded up to the granularity, which is at least 1 ms.
pub(crate) fn billed_ms(duration: Duration, granularity: Duration) -> u64 {
    let step = granularity.as_millis().max(1);
    let micros = duration.as_micros();
    let steps = micros.div_ceil(step * 1_000);
    u64::try_from(steps * step).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3b2a1c00-0000-4000-8000-00000000000a";

    fn answer(ending: Ending) -> (String, FailureKind) {
        let fault = of_ending(ending, ID.parse().unwrap(), Duration::from_secs(3)).unwrap().unwrap_err();
        (String::from_utf8(fault.body.to_vec()).unwrap(), fault.kind)
    }

    #[test]
    fn the_documented_bodies() {
        let said = |error_type: &str, text: &str| {
            format!(r#"{{"errorMessage":"RequestId: {ID} Error: {text}","errorType":"{error_type}"}}"#)
        };
        let (body, kind) = answer(Ending::Timeout);
        assert_eq!(body, said("Sandbox.Timedout", "Task timed out after 3.00 seconds"));
        assert_eq!(kind, FailureKind::Timeout);
        let (body, _) = answer(Ending::Exited { status: "exit status 1".into() });
        assert_eq!(body, said("Runtime.ExitError", "Runtime exited with error: exit status 1"));
        let (body, _) = answer(Ending::Exited { status: "exit status 0".into() });
        assert_eq!(body, said("Runtime.ExitError", "Runtime exited without providing a reason"));
        let (body, _) = answer(Ending::OutOfMemory);
        assert_eq!(body, said("Runtime.OutOfMemory", "Runtime exited with error: signal: killed"));
        let (body, _) = answer(Ending::ResponseTooLarge { size_bytes: 7_000_000 });
        assert!(body.contains("(7000000 bytes) exceeded maximum allowed payload size (6291556 bytes)."), "{body}");
    }

    #[test]
    fn billed_time_is_rounded_up() {
        let ms = Duration::from_millis;
        assert_eq!(billed_ms(Duration::ZERO, ms(1)), 0);
        assert_eq!(billed_ms(Duration::from_micros(1), ms(1)), 1);
        assert_eq!(billed_ms(ms(3_000), ms(1)), 3_000);
        assert_eq!(billed_ms(ms(101), ms(100)), 200);
    }
}
