use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::connect;
use crate::args::Invoke;
use crate::client::{Answer, Request, encode};
use crate::failure::Failure;
use crate::output;
use crate::payload::Payload;

pub(crate) fn run(invoke: &Invoke) -> Result<(), Failure> {
    let payload = Payload::parse(&invoke.payload)?.read()?;
    let client = connect(&invoke.connection)?;
    let answer = client.send(request(invoke, payload))?;
    if answer.status >= 300 {
        return Err(Failure::failed(client.refusal(&answer)));
    }
    // As JSON, the answer holds it.
    if invoke.tail && !invoke.connection.out.json() {
        print_tail(&answer);
    }
    if invoke.connection.out.json() {
        output::json(&described(&answer))?;
    } else if invoke.asynchronous {
        output::progress(format_args!("accepted as {}", answer.header("x-amzn-requestid").unwrap_or("?")));
    } else {
        output::bytes(&answer.body)?;
    }
    match answer.header("x-amz-function-error") {
        None => Ok(()),
        Some(_) if invoke.connection.out.json() => Err(Failure::said()),
        Some(kind) => Err(Failure::failed(format!(
            "the function failed ({kind}): {}; `dormouse logs {}` shows more",
            error_of(&answer.body),
            invoke.name
        ))),
    }
}

fn request(invoke: &Invoke, payload: Vec<u8>) -> Request<'static> {
    let kind = if invoke.asynchronous { "Event" } else { "RequestResponse" };
    let mut headers = vec![("content-type", "application/json".to_owned()), ("x-amz-invocation-type", kind.to_owned())];
    if invoke.tail || (invoke.connection.out.json() && !invoke.asynchronous) {
        headers.push(("x-amz-log-type", "Tail".to_owned()));
    }
    let qualifier = invoke.qualifier.iter().map(|qualifier| ("Qualifier", qualifier.clone()));
    Request {
        method: "POST",
        path: format!("/2015-03-31/functions/{}/invocations", encode(&invoke.name)),
        query: qualifier.collect(),
        headers,
        body: payload,
        service: "lambda",
    }
}

fn log_tail(answer: &Answer) -> Option<String> {
    let tail = BASE64_STANDARD.decode(answer.header("x-amz-log-result")?).ok()?;
    Some(String::from_utf8_lossy(&tail).into_owned())
}

fn print_tail(answer: &Answer) {
    if let Some(tail) = log_tail(answer) {
        output::progress(tail.trim_end());
    }
}

/// The answer as one JSON object. A payload that is JSON stands in it as it is, any other as text.
fn described(answer: &Answer) -> Value {
    let text = || Value::String(String::from_utf8_lossy(&answer.body).into_owned());
    let payload = match answer.body.as_slice() {
        [] => Value::Null,
        body => serde_json::from_slice(body).unwrap_or_else(|_| text()),
    };
    json!({
        "status_code": answer.status,
        "request_id": answer.header("x-amzn-requestid"),
        "executed_version": answer.header("x-amz-executed-version"),
        "function_error": answer.header("x-amz-function-error"),
        "payload": payload,
        "log_tail": log_tail(answer),
    })
}

/// What the function said was wrong, in one line.
fn error_of(body: &[u8]) -> String {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name| error.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    match (text("errorType"), text("errorMessage")) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "it gave no reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_said_is_one_line() {
        assert_eq!(error_of(br#"{"errorType":"ValueError","errorMessage":"no"}"#), "ValueError: no");
        assert_eq!(error_of(br#"{"errorMessage":"timed out"}"#), "timed out");
        assert_eq!(error_of(b"what"), "it gave no reason");
    }
}
