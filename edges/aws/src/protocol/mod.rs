//! The wire protocols, driven by the tables: a request's parts in, a canonical value out; a canonical value or an error in,
//! a response out.
//!
//! Canonical values are JSON with the names of the model. Operations turn them into their own typed inputs by serde, and
//! their typed outputs into them.

mod form;
mod query;
mod read;
mod rest_json;
mod validate;
mod xml;

use bytes::Bytes;
use dormouse_model::RequestId;
use http::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use crate::error::ApiError;
use crate::table::{Operation, Protocol, Service};

pub use form::{FormError, parse_pairs};
pub use query::{ActionError, find_action};

/// What of an HTTP request an operation is read from.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// Values of the labels in the path, by wire name, decoded.
    pub labels: &'a [(String, String)],
    /// The query string, decoded.
    pub query: &'a [(String, String)],
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a Bytes,
}

/// Reads a request as one operation's input and checks it by the model: a canonical object.
pub fn read_input(table: &Service, operation: &Operation, incoming: &Incoming<'_>) -> Result<Value, ApiError> {
    let Some(input) = operation.input else { return Ok(Value::Object(serde_json::Map::new())) };
    let value = match table.protocol {
        Protocol::RestJson => rest_json::read(table, input, incoming)?,
        Protocol::Query => query::read(table, input, incoming)?,
    };
    validate::validate(table, input, &value).map_err(|message| {
        let name = match table.protocol {
            Protocol::RestJson => "ValidationException",
            Protocol::Query => "ValidationError",
        };
        ApiError::shared(StatusCode::BAD_REQUEST, name, message)
    })?;
    Ok(value)
}

/// Writes a success; the front door adds the request's id as a header. `output` is the canonical value of the operation's output.
pub fn write_output(table: &Service, operation: &Operation, output: Value, id: RequestId) -> Response<Bytes> {
    match table.protocol {
        Protocol::RestJson => rest_json::write(table, operation, output),
        Protocol::Query => query::write(table, operation, &output, id),
    }
}

/// Writes an error in the form of the service's protocol.
pub fn write_error(table: &Service, error: &ApiError, id: RequestId) -> Response<Bytes> {
    match table.protocol {
        Protocol::RestJson => rest_json::write_error(table, error),
        Protocol::Query => query::write_error(table, error, id),
    }
}

/// The status and whether the fault is ours, from the error itself or from the model. What neither knows is our fault.
fn status_of(table: &Service, error: &ApiError) -> (StatusCode, bool) {
    let modeled = table.error(&error.name).map(|(_, modeled)| modeled);
    let status = error.status.or(modeled.map(|m| m.status)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, status.is_server_error())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
