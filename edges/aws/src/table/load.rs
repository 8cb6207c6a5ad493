//! From the JSON of a table to [`Service`]: names become indexes, what cannot be used is refused.

use std::collections::{BTreeMap, HashMap};

use http::{Method, StatusCode};
use serde::Deserialize;

use super::shape::Structure;
use super::shape::{Constraints, Kind, Member, ModeledError, Operation, Place, Segment, Service, Shape, ShapeId};
use super::{Pattern, Protocol};

#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("the table is not the JSON that trim.py writes: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the table names what it does not have or what is not built: {0}")]
    Unknown(String),
}

#[derive(Deserialize)]
struct RawService {
    metadata: RawMetadata,
    operations: BTreeMap<String, RawOperation>,
    shapes: BTreeMap<String, RawShape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMetadata {
    source: String,
    api_version: String,
    protocol: String,
    #[serde(default)]
    xml_namespace: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOperation {
    http: RawHttp,
    input: Option<String>,
    output: Option<String>,
    result_wrapper: Option<String>,
    #[serde(default)]
    errors: Vec<String>,
    #[serde(default)]
    unsigned: bool,
}

#[derive(Deserialize)]
struct RawHttp {
    method: String,
    uri: String,
    code: u16,
}

#[derive(Deserialize)]
struct RawShape {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    required: Vec<String>,
    min: Option<f64>,
    max: Option<f64>,
    pattern: Option<String>,
    #[serde(default, rename = "enum")]
    allowed: Vec<String>,
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    flattened: bool,
    payload: Option<String>,
    // serde_json's map keeps the model's order of members, which XML responses follow.
    #[serde(default)]
    members: Members,
    member: Option<RawMember>,
    key: Option<RawMember>,
    value: Option<RawMember>,
    error: Option<RawError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMember {
    shape: String,
    location: Option<String>,
    location_name: Option<String>,
}

#[derive(Deserialize)]
struct RawError {
    status: u16,
    code: Option<String>,
    #[serde(default)]
    fault: bool,
}

/// Members in the order of the document.
#[derive(Default)]
struct Members(Vec<(String, RawMember)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("members by name")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Reads a table.
pub(super) fn load(text: &str) -> Result<Service, LoadError> {
    let raw: RawService = serde_json::from_str(text)?;
    let shape_index: HashMap<String, ShapeId> =
        raw.shapes.keys().enumerate().map(|(index, name)| (name.clone(), ShapeId(index))).collect();
    let shapes = raw.shapes.into_iter().map(|(name, shape)| build_shape(name, shape, &shape_index));
    let shapes = shapes.collect::<Result<Vec<_>, _>>()?;
    let operations = raw.operations.into_iter().map(|(name, operation)| build_operation(name, operation, &shape_index));
    let operations = operations.collect::<Result<Vec<_>, _>>()?;
    let operation_index = operations.iter().enumerate().map(|(index, o)| (o.name.clone(), index)).collect();
    let protocol = match raw.metadata.protocol.as_str() {
        "rest-json" => Protocol::RestJson,
        "query" => Protocol::Query,
        other => return Err(LoadError::Unknown(format!("protocol {other}"))),
    };
    Ok(Service {
        source: raw.metadata.source,
        api_version: raw.metadata.api_version,
        protocol,
        xml_namespace: raw.metadata.xml_namespace,
        operations,
        shapes,
        operation_index,
        shape_index,
    })
}

type Index = HashMap<String, ShapeId>;

fn find(index: &Index, name: &str) -> Result<ShapeId, LoadError> {
    index.get(name).copied().ok_or_else(|| LoadError::Unknown(format!("shape {name}")))
}

fn build_operation(name: String, raw: RawOperation, index: &Index) -> Result<Operation, LoadError> {
    let side = |shape: Option<String>| shape.map(|shape| find(index, &shape)).transpose();
    let (path, query) = raw.http.uri.split_once('?').unwrap_or((&raw.http.uri, ""));
    let method = Method::from_bytes(raw.http.method.as_bytes());
    Ok(Operation {
        method: method.map_err(|_| LoadError::Unknown(format!("method {}", raw.http.method)))?,
        path: path.split('/').filter(|segment| !segment.is_empty()).map(segment).collect(),
        fixed_query: query.split('&').filter_map(|pair| pair.split_once('=')).map(owned).collect(),
        status: status(raw.http.code)?,
        input: side(raw.input)?,
        output: side(raw.output)?,
        result_wrapper: raw.result_wrapper,
        errors: raw.errors.iter().map(|error| find(index, error)).collect::<Result<_, _>>()?,
        unsigned: raw.unsigned,
        name,
    })
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn segment(text: &str) -> Segment {
    match text.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
        Some(label) => match label.strip_suffix('+') {
            Some(greedy) => Segment::Greedy(greedy.to_owned()),
            None => Segment::Label(label.to_owned()),
        },
        None => Segment::Literal(text.to_owned()),
    }
}

fn status(code: u16) -> Result<StatusCode, LoadError> {
    StatusCode::from_u16(code).map_err(|_| LoadError::Unknown(format!("status {code}")))
}

fn build_shape(name: String, raw: RawShape, index: &Index) -> Result<Shape, LoadError> {
    let RawShape { members, member, key, value, flattened, .. } = raw;
    let single = |part: Option<RawMember>| match part {
        Some(raw) => build_member(String::new(), raw, false, index),
        None => Err(LoadError::Unknown(format!("the items of {name}"))),
    };
    let kind = match raw.kind.as_str() {
        "structure" => {
            let built = members.0.into_iter().map(|(member_name, raw_member)| {
                let required = raw.required.contains(&member_name);
                build_member(member_name, raw_member, required, index)
            });
            let members = built.collect::<Result<Vec<_>, _>>()?;
            let payload = raw.payload.as_ref().and_then(|name| members.iter().position(|m| m.name == *name));
            Kind::Structure(Structure { members, payload, error: raw.error.map(build_error).transpose()? })
        }
        "list" => Kind::List { member: single(member)?, flattened },
        "map" => Kind::Map { key: single(key)?, value: single(value)?, flattened },
        "string" => Kind::Text,
        "integer" => Kind::Integer,
        "long" => Kind::Long,
        "double" | "float" => Kind::Double,
        "boolean" => Kind::Boolean,
        "blob" => Kind::Blob,
        "timestamp" => Kind::Timestamp,
        other => return Err(LoadError::Unknown(format!("type {other} of {name}"))),
    };
    let constraints =
        Constraints { min: raw.min, max: raw.max, pattern: raw.pattern.map(Pattern::new), allowed: raw.allowed };
    Ok(Shape { name, kind, constraints, sensitive: raw.sensitive })
}

fn build_error(raw: RawError) -> Result<ModeledError, LoadError> {
    Ok(ModeledError { status: status(raw.status)?, code: raw.code, fault: raw.fault })
}

fn build_member(name: String, raw: RawMember, required: bool, index: &Index) -> Result<Member, LoadError> {
    let place = match raw.location.as_deref() {
        None => Place::Body,
        Some("uri") => Place::Label,
        Some("querystring") => Place::Query,
        Some("header") => Place::Header,
        Some("statusCode") => Place::Status,
        Some(other) => return Err(LoadError::Unknown(format!("location {other} of {name}"))),
    };
    Ok(Member { shape: find(index, &raw.shape)?, name, place, location_name: raw.location_name, required })
}
