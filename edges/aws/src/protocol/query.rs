//! The query protocol: form parameters such as `Tags.member.1.Key` in, XML out.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dormouse_model::RequestId;
use http::Response;
use serde_json::{Map, Value};

use super::xml::{Element, write_value};
use super::{Incoming, parse_pairs, read, respond, status_of};
use crate::error::ApiError;
use crate::table::{Kind, Operation, Service, Shape, ShapeId};

const XML: &str = "text/xml";

/// Parameters by name. Sorted, so that everything below a prefix stands together.
type Parameters = BTreeMap<String, String>;

/// Why no operation was found in a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// There is no `Action`.
    #[error("The request names no operation. Send the parameter Action.")]
    Missing,
    /// No operation of this name in this version.
    #[error("Could not find operation {action} for version {version}")]
    Unknown {
        /// As sent.
        action: String,
        /// As sent.
        version: String,
    },
}

/// The operation that `Action` and `Version` name. A request without a version means the one that there is.
pub fn find_action<'a>(table: &'a Service, pairs: &[(String, String)]) -> Result<&'a Operation, ActionError> {
    let find = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let action = find("Action").filter(|action| !action.is_empty()).ok_or(ActionError::Missing)?;
    let version = find("Version").unwrap_or(&table.api_version);
    let operation = table.operation(action).filter(|_| version == table.api_version);
    operation.ok_or_else(|| ActionError::Unknown { action: shorten(action), version: shorten(version) })
}

fn shorten(text: &str) -> String {
    text.chars().take(128).collect()
}

/// Reads the parameters of the query string and of the body into the input's canonical object.
pub(super) fn read(table: &Service, input: ShapeId, incoming: &Incoming<'_>) -> Result<Value, ApiError> {
    let body = std::str::from_utf8(incoming.body)
        .map_err(|_| ApiError::serialization("The body of the request is not text. Send form parameters."))?;
    let body = parse_pairs(body).map_err(|error| ApiError::serialization(format!("{error}.")))?;
    let mut parameters = Parameters::new();
    for (name, value) in incoming.query.iter().cloned().chain(body) {
        // Whoever reads the request along the way must not see another value than we do.
        if parameters.contains_key(&name) {
            return Err(ApiError::serialization(format!("The parameter {:?} is given twice.", shorten(&name))));
        }
        parameters.insert(name, value);
    }
    let value = read_shape(table, table.shape(input), "", &parameters)?;
    Ok(value.unwrap_or_else(|| Value::Object(Map::new())))
}

/// What stands at and below `prefix`, as the shape; nothing when there is nothing.
fn read_shape(
    table: &Service,
    shape: &Shape,
    prefix: &str,
    parameters: &Parameters,
) -> Result<Option<Value>, ApiError> {
    match &shape.kind {
        Kind::Structure(structure) => {
            let mut members = Map::new();
            for member in &structure.members {
                let name = below(prefix, member.wire_name());
                if !any_at(parameters, &name) {
                    continue;
                }
                if let Some(value) = read_shape(table, table.shape(member.shape), &name, parameters)? {
                    members.insert(member.name.clone(), value);
                }
            }
            Ok((prefix.is_empty() || !members.is_empty()).then_some(Value::Object(members)))
        }
        Kind::List { member, flattened } => {
            let items = if *flattened { prefix.to_owned() } else { below(prefix, member_name(member.wire_name())) };
            let mut list = Vec::new();
            for number in numbers_below(parameters, &items) {
                let name = format!("{items}.{number}");
                list.extend(read_shape(table, table.shape(member.shape), &name, parameters)?);
            }
            // An empty list is sent as the list's own name with an empty value.
            let said = !list.is_empty() || parameters.contains_key(prefix);
            Ok(said.then_some(Value::Array(list)))
        }
        Kind::Map { key, value, flattened } => {
            let entries = if *flattened { prefix.to_owned() } else { below(prefix, "entry") };
            let mut map = Map::new();
            for number in numbers_below(parameters, &entries) {
                let (key_name, value_name) = (name_or(key.wire_name(), "key"), name_or(value.wire_name(), "value"));
                let Some(key) = parameters.get(&format!("{entries}.{number}.{key_name}")) else { continue };
                let name = format!("{entries}.{number}.{value_name}");
                if let Some(value) = read_shape(table, table.shape(value.shape), &name, parameters)? {
                    map.insert(key.clone(), value);
                }
            }
            Ok((!map.is_empty()).then_some(Value::Object(map)))
        }
        _ => parameters.get(prefix).map(|text| read::from_text(shape, text, prefix)).transpose(),
    }
}

fn below(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn name_or<'a>(name: &'a str, default: &'a str) -> &'a str {
    if name.is_empty() { default } else { name }
}

/// Items of a list are called `member` unless the model calls them otherwise.
pub(super) fn member_name(name: &str) -> &str {
    name_or(name, "member")
}

/// Whether a parameter has this name or stands below it.
fn any_at(parameters: &Parameters, name: &str) -> bool {
    let below = format!("{name}.");
    parameters.contains_key(name)
        || parameters.range(below.clone()..).next().is_some_and(|(first, _)| first.starts_with(&below))
}

/// The numbers that follow `name.`, in their order.
fn numbers_below(parameters: &Parameters, name: &str) -> BTreeSet<u32> {
    let below = format!("{name}.");
    let names = parameters.range(below.clone()..).map(|(name, _)| name).take_while(|name| name.starts_with(&below));
    names.filter_map(|name| name[below.len()..].split('.').next()?.parse().ok()).collect()
}

/// Writes a success: the result in its wrapper, then the request's id.
pub(super) fn write(table: &Service, operation: &Operation, output: &Value, id: RequestId) -> Response<Bytes> {
    let mut response = Element::root(&format!("{}Response", operation.name), &table.xml_namespace);
    if let Some(shape) = operation.output.map(|output| table.shape(output)) {
        let wrapper = operation.result_wrapper.clone().unwrap_or_else(|| format!("{}Result", operation.name));
        response.child(&wrapper, |result| write_value(table, shape, output, result));
    }
    response.child("ResponseMetadata", |metadata| metadata.text_child("RequestId", &id.to_string()));
    respond(operation.status, XML, response.finish())
}

/// Writes an error in the form that all query services share.
pub(super) fn write_error(table: &Service, error: &ApiError, id: RequestId) -> Response<Bytes> {
    let (status, ours) = status_of(table, error);
    let modeled = table.error(&error.name).and_then(|(_, modeled)| modeled.code.as_deref());
    let mut response = Element::root("ErrorResponse", &table.xml_namespace);
    response.child("Error", |body| {
        body.text_child("Type", if ours { "Receiver" } else { "Sender" });
        body.text_child("Code", modeled.unwrap_or(&error.name));
        body.text_child("Message", &error.message);
    });
    response.text_child("RequestId", &id.to_string());
    let mut response = respond(status, XML, response.finish());
    if let Some((_, seconds)) = error.details.iter().find(|(name, _)| *name == "retryAfterSeconds")
        && let Ok(seconds) = http::HeaderValue::try_from(seconds)
    {
        response.headers_mut().insert(http::header::RETRY_AFTER, seconds);
    }
    response
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::protocol::{read_input, write_error, write_output};
    use crate::table::ServiceId;

    fn read(operation: &str, body: &str) -> Result<Value, ApiError> {
        let table = ServiceId::Iam.table();
        let operation = table.operation(operation).expect("an operation of IAM");
        let body = Bytes::copy_from_slice(body.as_bytes());
        read_input(table, operation, &Incoming { labels: &[], query: &[], headers: &HeaderMap::new(), body: &body })
    }

    #[test]
    fn lists_of_structures_are_read_in_the_order_of_their_numbers() {
        let body = "Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%7D&MaxSessionDuration=3600\
                    &Tags.member.2.Key=b&Tags.member.2.Value=2&Tags.member.10.Key=c&Tags.member.10.Value=&Tags.member.1.Key=a\
                    &Tags.member.1.Value=1&Unknown=x";
        let expected = json!({
            "RoleName": "r", "AssumeRolePolicyDocument": "{}", "MaxSessionDuration": 3600,
            "Tags": [{ "Key": "a", "Value": "1" }, { "Key": "b", "Value": "2" }, { "Key": "c", "Value": "" }]
        });
        assert_eq!(read("CreateRole", body).expect("a valid request"), expected);
    }

    #[test]
    fn what_is_wrong_is_a_validation_error() {
        let error = read("GetRole", "RoleName=a%20b").expect_err("not a role name");
        assert_eq!(error.name, "ValidationError");
        assert!(error.message.contains("Value 'a b' at 'roleName'"), "{error}");
        let error = read("GetRole", "").expect_err("no role name");
        assert!(error.message.contains("Value null at 'roleName'"), "{error}");
        let error = read("ListRoles", "MaxItems=many").expect_err("not a number");
        assert_eq!(error.name, "SerializationException");
        let error = read("ListRoles", "MaxItems=%ff").expect_err("not text");
        assert_eq!(error.name, "SerializationException");
        for twice in ["RoleName=a&RoleName=b", "RoleName=a&RoleName=a", "RoleName=a&Role%4eame=b", "RoleName=a&X=&X="] {
            let error = read("GetRole", twice).expect_err("said twice");
            assert_eq!(error.name, "SerializationException", "{twice}");
        }
    }

    /// Numbers of a list are names and no sizes, and depth is what the model has.
    #[test]
    fn forms_take_no_more_room_than_they_have() {
        let tag = |number: &str| format!("RoleName=r&Tags.member.{number}.Key=k&Tags.member.{number}.Value=v");
        let read_tags = |form: &str| read("TagRole", form).map(|input| input["Tags"].as_array().map_or(0, Vec::len));
        assert_eq!(read_tags(&tag("4294967295")).expect("a number"), 1);
        for odd in ["4294967296", "-1", "1e9", "", "x"] {
            assert_ne!(read_tags(&tag(odd)).unwrap_or(0), 1, "{odd:?} is no number");
        }
        let deep = format!("RoleName=r&Tags.member.1{}.Key=k", ".member.1".repeat(50_000));
        assert!(read("TagRole", &deep).is_err() || read_tags(&deep).expect("read") == 0);
        let many: String = (1..=2_000).map(|n| format!("&Tags.member.{n}.Key=k{n}&Tags.member.{n}.Value=")).collect();
        let error = read("TagRole", &format!("RoleName=r{many}")).expect_err("more tags than a role takes");
        assert_eq!(error.name, "ValidationError");
    }

    #[test]
    fn actions_are_found_by_name_and_version() {
        let table = ServiceId::Sts.table();
        let find = |text: &str| find_action(table, &parse_pairs(text).expect("a form")).map(|o| o.name.clone());
        assert_eq!(find("Action=GetCallerIdentity&Version=2011-06-15"), Ok("GetCallerIdentity".to_owned()));
        assert_eq!(find("Action=GetCallerIdentity"), Ok("GetCallerIdentity".to_owned()));
        assert_eq!(find("Version=2011-06-15"), Err(ActionError::Missing));
        let unknown = ActionError::Unknown { action: "GetCallerIdentity".to_owned(), version: "1".to_owned() };
        assert_eq!(find("Action=GetCallerIdentity&Version=1"), Err(unknown));
    }

    #[test]
    fn a_success_is_written_as_xml_by_the_model() {
        let table = ServiceId::Iam.table();
        let operation = table.operation("GetRole").expect("an operation of IAM");
        let id = "00000000-0000-4000-8000-000000000000".parse().expect("a UUID");
        let output = json!({ "Role": {
            "RoleName": "a<b", "Path": "/", "CreateDate": 1_700_000_000.5, "MaxSessionDuration": 3600,
            "Tags": [{ "Key": "k", "Value": "v&\u{1}" }], "Description": null
        }});
        let response = write_output(table, operation, output, id);
        assert_eq!(response.status(), 200);
        assert_eq!(
            std::str::from_utf8(response.body()).expect("text"),
            "<GetRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><GetRoleResult><Role><Path>/</Path>\
             <RoleName>a&lt;b</RoleName><CreateDate>2023-11-14T22:13:20Z</CreateDate>\
             <MaxSessionDuration>3600</MaxSessionDuration><Tags><member><Key>k</Key><Value>v&amp;\u{fffd}</Value></member>\
             </Tags></Role></GetRoleResult><ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000000</RequestId>\
             </ResponseMetadata></GetRoleResponse>"
        );
    }

    #[test]
    fn an_error_has_the_code_that_the_model_gives_it() {
        let table = ServiceId::Iam.table();
        let id = "00000000-0000-4000-8000-000000000000".parse().expect("a UUID");
        let error = ApiError::modeled("NoSuchEntityException", "There is no role r.");
        let response = write_error(table, &error, id);
        assert_eq!(response.status(), 404);
        assert_eq!(
            std::str::from_utf8(response.body()).expect("text"),
            "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type>\
             <Code>NoSuchEntity</Code><Message>There is no role r.</Message></Error>\
             <RequestId>00000000-0000-4000-8000-000000000000</RequestId></ErrorResponse>"
        );
    }
}
