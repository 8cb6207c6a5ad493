//! The rest-json protocol.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{Incoming, read, respond, status_of};
use crate::error::ApiError;
use crate::table::{Kind, Member, Operation, Place, Service, Shape, ShapeId, Structure};

const JSON: &str = "application/json";
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Reads the parts of a request into the input's canonical object.
pub(super) fn read(table: &Service, input: ShapeId, incoming: &Incoming<'_>) -> Result<Value, ApiError> {
    let Some(structure) = table.shape(input).structure() else { return Ok(Value::Null) };
    let mut members = Map::new();
    for member in &structure.members {
        let value = match member.place {
            Place::Label => named(incoming.labels, member).next().map(|text| scalar(table, member, text)),
            Place::Query => from_query(table, member, incoming.query),
            Place::Header => header(incoming, member).map(|text| scalar(table, member, &text)),
            Place::Body | Place::Status => None,
        };
        if let Some(value) = value.transpose()? {
            members.insert(member.name.clone(), value);
        }
    }
    read_body(table, structure, incoming.body, &mut members)?;
    Ok(Value::Object(members))
}

fn read_body(
    table: &Service,
    structure: &Structure,
    body: &Bytes,
    members: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    if body.is_empty() {
        return Ok(());
    }
    if let Some(payload) = structure.payload {
        let member = &structure.members[payload];
        let shape = table.shape(member.shape);
        let value = match shape.kind {
            Kind::Blob => Value::String(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, body)),
            Kind::Text => Value::String(String::from_utf8_lossy(body).into_owned()),
            _ => read::from_json(table, shape, read::parse_json(body)?, "")?,
        };
        members.insert(member.name.clone(), value);
        return Ok(());
    }
    // An operation whose members all stand elsewhere takes no body, and whatever is sent is not read.
    if !structure.members.iter().any(|member| member.place == Place::Body) {
        return Ok(());
    }
    match read::parse_json(body)? {
        Value::Object(object) => read_body_members(table, structure, object, members),
        _ => Err(ApiError::serialization("The body of the request is not a JSON object. Send one JSON object.")),
    }
}

fn read_body_members(
    table: &Service,
    structure: &Structure,
    object: Map<String, Value>,
    members: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    let mut object = object;
    // What stands in the path or in a header is not taken from the body, whatever the body says.
    for member in structure.members.iter().filter(|member| member.place != Place::Body) {
        object.remove(member.wire_name());
    }
    read::members_from_json(table, structure, object, "", members)
}

fn scalar(table: &Service, member: &Member, text: &str) -> Result<Value, ApiError> {
    read::from_text(table.shape(member.shape), text, &member.name)
}

fn named<'a>(pairs: &'a [(String, String)], member: &'a Member) -> impl Iterator<Item = &'a str> {
    pairs.iter().filter(|(name, _)| name == member.wire_name()).map(|(_, value)| value.as_str())
}

fn from_query(table: &Service, member: &Member, query: &[(String, String)]) -> Option<Result<Value, ApiError>> {
    let mut texts = named(query, member).peekable();
    texts.peek()?;
    match &table.shape(member.shape).kind {
        Kind::List { member: item, .. } => {
            let items = texts.map(|text| read::from_text(table.shape(item.shape), text, &member.name));
            Some(items.collect::<Result<Vec<_>, _>>().map(Value::Array))
        }
        _ => texts.next().map(|text| scalar(table, member, text)),
    }
}

fn header(incoming: &Incoming<'_>, member: &Member) -> Option<String> {
    let value = incoming.headers.get(member.wire_name())?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Writes a success.
pub(super) fn write(table: &Service, operation: &Operation, output: Value) -> Response<Bytes> {
    let structure = operation.output.and_then(|output| table.shape(output).structure());
    let (Some(structure), Value::Object(mut values)) = (structure, output) else {
        return respond(operation.status, JSON, body_of(operation.status, json!({})));
    };
    let mut status = operation.status;
    let mut headers = Vec::new();
    for member in &structure.members {
        match member.place {
            Place::Status => {
                let code = values.remove(&member.name).and_then(|value| value.as_u64());
                status = code.and_then(|c| StatusCode::from_u16(c as u16).ok()).unwrap_or(status);
            }
            Place::Header => headers.extend(values.remove(&member.name).and_then(|value| header_of(member, &value))),
            _ => {}
        }
    }
    let body = match structure.payload.map(|index| &structure.members[index]) {
        Some(payload) => payload_of(table, payload, values.remove(&payload.name)),
        None => body_of(status, to_wire_members(table, structure, values)),
    };
    let mut response = respond(status, JSON, body);
    response.headers_mut().extend(headers);
    response
}

fn body_of(status: StatusCode, value: Value) -> Bytes {
    if status == StatusCode::NO_CONTENT { Bytes::new() } else { Bytes::from(value.to_string()) }
}

fn payload_of(table: &Service, member: &Member, value: Option<Value>) -> Bytes {
    let shape = table.shape(member.shape);
    match (&shape.kind, value) {
        (_, None | Some(Value::Null)) => Bytes::new(),
        (Kind::Blob, Some(Value::String(text))) => {
            let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
            decoded.unwrap_or_default().into()
        }
        (Kind::Text, Some(Value::String(text))) => text.into(),
        (_, Some(value)) => Bytes::from(to_wire(table, shape, value).to_string()),
    }
}

fn header_of(member: &Member, value: &Value) -> Option<(HeaderName, HeaderValue)> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let name = HeaderName::from_bytes(member.wire_name().as_bytes()).ok()?;
    Some((name, HeaderValue::try_from(text).ok()?))
}

fn to_wire_members(table: &Service, structure: &Structure, values: Map<String, Value>) -> Value {
    let mut values = values;
    let mut wire = Map::new();
    for member in &structure.members {
        match values.remove(&member.name) {
            None | Some(Value::Null) => {}
            Some(value) => {
                wire.insert(member.wire_name().to_owned(), to_wire(table, table.shape(member.shape), value));
            }
        }
    }
    Value::Object(wire)
}

fn to_wire(table: &Service, shape: &Shape, value: Value) -> Value {
    match (&shape.kind, value) {
        (Kind::Structure(structure), Value::Object(values)) => to_wire_members(table, structure, values),
        (Kind::List { member, .. }, Value::Array(items)) => {
            let shape = table.shape(member.shape);
            Value::Array(items.into_iter().map(|item| to_wire(table, shape, item)).collect())
        }
        (Kind::Map { value: item, .. }, Value::Object(entries)) => {
            let shape = table.shape(item.shape);
            Value::Object(entries.into_iter().map(|(key, entry)| (key, to_wire(table, shape, entry))).collect())
        }
        (_, value) => value,
    }
}

/// Writes an error: its code in a header, its members in the body.
pub(super) fn write_error(table: &Service, error: &ApiError) -> Response<Bytes> {
    let (status, ours) = status_of(table, error);
    let mut body = Map::new();
    body.insert("Type".to_owned(), Value::from(if ours { "Service" } else { "User" }));
    let structure = table.error(&error.name).and_then(|(shape, _)| shape.structure());
    let members = structure.map_or(&[][..], |structure| &structure.members);
    let message = members.iter().find(|member| member.name.eq_ignore_ascii_case("message"));
    body.insert(message.map_or("message", |m| m.wire_name()).to_owned(), Value::from(error.message.as_str()));
    let mut headers = Vec::new();
    for (name, value) in &error.details {
        let value = Value::from(value.as_str());
        match members.iter().find(|member| member.name == *name) {
            Some(member) if member.place == Place::Header => headers.extend(header_of(member, &value)),
            None if *name == "retryAfterSeconds" => {
                headers.extend(
                    HeaderValue::try_from(value.as_str().unwrap_or_default()).map(|v| (http::header::RETRY_AFTER, v)),
                );
            }
            Some(member) => {
                body.insert(member.wire_name().to_owned(), value);
            }
            None => {
                body.insert((*name).to_owned(), value);
            }
        }
    }
    let mut response = respond(status, JSON, Bytes::from(Value::Object(body).to_string()));
    response.headers_mut().extend(headers);
    if let Ok(code) = HeaderValue::try_from(error.name.as_ref()) {
        response.headers_mut().insert(ERROR_TYPE, code);
    }
    response
}

#[cfg(test)]
mod tests {
    use dormouse_model::RequestId;
    use http::HeaderMap;

    use super::*;
    use crate::protocol::{read_input, write_error, write_output};
    use crate::table::ServiceId;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn read_parts(
        operation: &str,
        labels: &[(&str, &str)],
        query: &[(&str, &str)],
        body: &str,
    ) -> Result<Value, ApiError> {
        let table = ServiceId::Lambda.table();
        let operation = table.operation(operation).expect("an operation of Lambda");
        let (labels, query) = (pairs(labels), pairs(query));
        let body = Bytes::copy_from_slice(body.as_bytes());
        read_input(
            table,
            operation,
            &Incoming { labels: &labels, query: &query, headers: &HeaderMap::new(), body: &body },
        )
    }

    fn id() -> RequestId {
        "00000000-0000-4000-8000-000000000000".parse().expect("a UUID")
    }

    fn json_of(response: &Response<Bytes>) -> Value {
        serde_json::from_slice(response.body()).expect("a JSON body")
    }

    #[test]
    fn members_come_from_where_the_model_says() {
        let body = r#"{"FunctionName":"of the body","Description":"d","Unknown":{"a":1},"RevisionId":null}"#;
        let value = read_parts("PublishVersion", &[("FunctionName", "greet")], &[], body).expect("a valid request");
        assert_eq!(value, json!({ "FunctionName": "greet", "Description": "d" }));
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        let query = [("tagKeys", "a"), ("tagKeys", "b")];
        let value = read_parts("UntagResource", &[("Resource", arn)], &query, "").expect("a valid request");
        assert_eq!(value, json!({ "Resource": arn, "TagKeys": ["a", "b"] }));
        let value = read_parts("ListFunctions", &[], &[("MaxItems", "5"), ("x", "y")], "").expect("a valid request");
        assert_eq!(value, json!({ "MaxItems": 5 }));
    }

    #[test]
    fn wrong_types_are_serialization_errors_that_name_the_member() {
        let labels = [("FunctionName", "f")];
        for (body, told) in [
            (r#"{"Timeout":"3"}"#, "Timeout is a string where the operation takes a whole number."),
            (r#"{"Timeout":3.5}"#, "Timeout is 3.5 where the operation takes a whole number from"),
            (r#"{"Description":{}}"#, "Description is an object where the operation takes a string."),
            (r#"{"Environment":{"Variables":{"A":1}}}"#, "Environment.Variables.A is a number where"),
            (r#"{"Layers":[[]]}"#, "Layers[0] is a list where the operation takes a string."),
            ("[]", "The body of the request is not a JSON object."),
            ("{", "The body of the request is not valid JSON: "),
        ] {
            let error = read_parts("UpdateFunctionConfiguration", &labels, &[], body).expect_err(body);
            assert_eq!(error.name, "SerializationException", "{body}");
            assert!(error.message.starts_with(told), "{body}: {error}");
        }
        let error = read_parts("ListFunctions", &[], &[("MaxItems", "x")], "").expect_err("not a number");
        assert_eq!(error.name, "SerializationException");
    }

    #[test]
    fn json_nested_without_end_is_refused() {
        let deep = "[".repeat(100_000);
        let error = read_parts("UpdateFunctionConfiguration", &[("FunctionName", "f")], &[], &deep).expect_err("deep");
        assert!(error.message.contains("recursion limit"), "{error}");
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let labels = [("FunctionName", "f")];
        let value = read_parts("UpdateFunctionConfiguration", &labels, &[], r#"{"Timeout":3.0}"#).expect("valid");
        assert_eq!(value["Timeout"], json!(3));
    }

    #[test]
    fn a_success_has_the_status_of_the_model_and_no_nulls() {
        let table = ServiceId::Lambda.table();
        let create = table.operation("CreateFunction").expect("an operation");
        let response = write_output(table, create, json!({ "FunctionName": "f", "Role": null, "Other": 1 }), id());
        assert_eq!(response.status(), 201);
        assert_eq!(json_of(&response), json!({ "FunctionName": "f" }));
        let delete = table.operation("DeleteAlias").expect("an operation");
        let response = write_output(table, delete, json!({}), id());
        assert_eq!((response.status().as_u16(), response.body().len()), (204, 0));
        let invoke = table.operation("Invoke").expect("an operation");
        let output = json!({ "StatusCode": 200, "FunctionError": "Unhandled", "Payload": "aGk=" });
        let response = write_output(table, invoke, output, id());
        assert_eq!(&response.body()[..], b"hi");
        assert_eq!(response.headers()["x-amz-function-error"], "Unhandled");
    }

    #[test]
    fn an_error_has_its_code_in_a_header_and_the_message_under_the_name_of_its_shape() {
        let table = ServiceId::Lambda.table();
        let response = write_error(table, &ApiError::modeled("ResourceNotFoundException", "No such function."), id());
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["x-amzn-errortype"], "ResourceNotFoundException");
        assert_eq!(json_of(&response), json!({ "Type": "User", "Message": "No such function." }));

        let error = ApiError::modeled("TooManyRequestsException", "Rate exceeded.")
            .with("Reason", "ReservedFunctionConcurrentInvocationLimitExceeded")
            .retry_after(std::time::Duration::from_millis(1_200));
        let response = write_error(table, &error, id());
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(
            json_of(&response),
            json!({
                "Type": "User", "message": "Rate exceeded.",
                "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"
            })
        );

        let response = write_error(table, &ApiError::not_implemented("ListLayers"), id());
        assert_eq!(response.status(), 501);
        assert!(json_of(&response)["message"].as_str().is_some_and(|text| text.contains("ListLayers")));
    }
}
