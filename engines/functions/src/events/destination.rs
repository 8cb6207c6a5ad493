//! The record of a finished event that its destination gets. Pure.
//!
//! Source: the developer guide's page on retaining records of asynchronous invocations.

use bytes::Bytes;
use dormouse_model::{FunctionArn, RequestId, Timestamp, VersionNumber, limits};
use serde_json::{Value, json};

use super::DeathReason;

/// What the record says.
pub(crate) struct Finished<'a> {
    pub(crate) time: Timestamp,
    pub(crate) request_id: RequestId,
    pub(crate) function: &'a FunctionArn,
    /// `None` for success.
    pub(crate) death: Option<DeathReason>,
    pub(crate) attempts: u32,
    pub(crate) request: &'a Bytes,
    /// What the last attempt answered, when there was one that ran.
    pub(crate) response: Option<(VersionNumber, bool, &'a Bytes)>,
}

impl Finished<'_> {
    /// The record as JSON. What would make it longer than an event may be is left out, the response first.
    pub(crate) fn record(&self) -> Bytes {
        let mut record = self.value();
        for payload in ["responsePayload", "requestPayload"] {
            let text = record.to_string();
            if text.len() <= limits::ASYNC_PAYLOAD_BYTES {
                return text.into();
            }
            record[payload] = Value::Null;
        }
        record.to_string().into()
    }

    fn value(&self) -> Value {
        let payload = |bytes: &Bytes| serde_json::from_slice::<Value>(bytes).unwrap_or(Value::Null);
        let mut record = json!({
            "version": "1.0",
            "timestamp": self.time.to_string(),
            "requestContext": {
                "requestId": self.request_id.to_string(),
                "functionArn": self.function.to_string(),
                "condition": self.death.map_or("Success", DeathReason::as_str),
                "approximateInvokeCount": self.attempts,
            },
            "requestPayload": payload(self.request),
        });
        if let Some((version, failed, response)) = self.response {
            let mut context = json!({"statusCode": 200, "executedVersion": version.to_string()});
            if failed {
                context["functionError"] = json!("Unhandled");
            }
            record["responseContext"] = context;
            record["responsePayload"] = payload(response);
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished<'a>(request: &'a Bytes, response: &'a Bytes, function: &'a FunctionArn) -> Finished<'a> {
        Finished {
            time: Timestamp(1_795_325_324_007),
            request_id: "3b2a1c00-0000-4000-8000-00000000000a".parse().unwrap(),
            function,
            death: Some(DeathReason::RetriesExhausted),
            attempts: 3,
            request,
            response: Some((VersionNumber::Latest, true, response)),
        }
    }

    #[test]
    fn the_documented_record() {
        let (request, response) = (Bytes::from_static(b"{\"n\":1}"), Bytes::from_static(b"{\"errorMessage\":\"x\"}"));
        let function = "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST".parse().unwrap();
        let record: Value = serde_json::from_slice(&finished(&request, &response, &function).record()).unwrap();
        let expected = json!({
            "version": "1.0",
            "timestamp": "2026-11-22T05:28:44.007Z",
            "requestContext": {
                "requestId": "3b2a1c00-0000-4000-8000-00000000000a",
                "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": {"n": 1},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": {"errorMessage": "x"},
        });
        assert_eq!(record, expected);
    }

    #[test]
    fn a_record_is_never_too_long_for_an_event() {
        let long: Bytes = json!("x".repeat(limits::ASYNC_PAYLOAD_BYTES - 10)).to_string().into();
        let function = "arn:aws:lambda:us-east-1:000000000000:function:f".parse().unwrap();
        let record = finished(&long, &long, &function).record();
        assert!(record.len() <= limits::ASYNC_PAYLOAD_BYTES);
        let record: Value = serde_json::from_slice(&record).unwrap();
        assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
    }
}
