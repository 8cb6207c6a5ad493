use dormouse_front::{Response, response};
use http::StatusCode;
use serde_json::Value;

/// Newline-delimited JSON.
pub(crate) const JSON_LINES: &str = "application/x-ndjson";

pub(crate) fn json(body: &Value) -> Response {
    response(StatusCode::OK, "application/json", body.to_string())
}

/// 201.
pub(crate) fn created(body: &Value) -> Response {
    response(StatusCode::CREATED, "application/json", body.to_string())
}

/// 204.
pub(crate) fn nothing() -> Response {
    let mut response = Response::new(dormouse_front::ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
