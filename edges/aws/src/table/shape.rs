use std::collections::HashMap;

use http::{Method, StatusCode};

use super::{Pattern, Protocol};

/// The table of one service.
#[derive(Debug)]
pub struct Service {
    /// Where the table comes from, such as `botocore 1.44.5, ...`.
    pub source: String,
    /// Such as `2015-03-31`; the `Version` parameter of the query protocol.
    pub api_version: String,
    /// How requests and responses are written.
    pub protocol: Protocol,
    /// Namespace of XML responses; empty where there are none.
    pub xml_namespace: String,
    /// Sorted by name.
    pub operations: Vec<Operation>,
    pub(super) shapes: Vec<Shape>,
    pub(super) operation_index: HashMap<String, usize>,
    pub(super) shape_index: HashMap<String, ShapeId>,
}

impl Service {
    /// The operation of this name.
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operation_index.get(name).map(|index| &self.operations[*index])
    }

    /// The shape behind a reference of this same table.
    pub fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0]
    }

    /// The error shape of this name, such as `ResourceNotFoundException`, with its structure.
    pub fn error(&self, name: &str) -> Option<(&Shape, &ModeledError)> {
        let shape = self.shape(*self.shape_index.get(name)?);
        shape.structure()?.error.as_ref().map(|error| (shape, error))
    }
}

/// A reference to a shape of the same table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShapeId(pub(super) usize);

/// One operation of a service.
#[derive(Debug)]
pub struct Operation {
    /// Such as `CreateFunction`.
    pub name: String,
    /// The HTTP method.
    pub method: Method,
    /// The path, cut at its slashes.
    pub path: Vec<Segment>,
    /// Query parameters that the path of the model carries, such as `find=LayerVersion`.
    pub fixed_query: Vec<(String, String)>,
    /// The status of a success, unless the output carries one of its own.
    pub status: StatusCode,
    /// The structure of the request.
    pub input: Option<ShapeId>,
    /// The structure of the response.
    pub output: Option<ShapeId>,
    /// The element around an XML response.
    pub result_wrapper: Option<String>,
    /// The errors that the model names for it.
    pub errors: Vec<ShapeId>,
    /// Called without a signature, as the model says.
    pub unsigned: bool,
}

/// One part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// One segment, bound to the member of this wire name.
    Label(String),
    /// All that is left, slashes included, bound to the member of this wire name.
    Greedy(String),
}

/// One shape.
#[derive(Debug)]
pub struct Shape {
    /// Its name in the model.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What its values have to satisfy.
    pub constraints: Constraints,
    /// Its values are not shown in messages.
    pub sensitive: bool,
}

impl Shape {
    /// The structure, if it is one.
    pub fn structure(&self) -> Option<&Structure> {
        match &self.kind {
            Kind::Structure(structure) => Some(structure),
            _ => None,
        }
    }
}

/// What the model demands of a value.
#[derive(Debug, Default)]
pub struct Constraints {
    /// Least value of a number, characters of a text, bytes of a blob, or items.
    pub min: Option<f64>,
    /// Most of the same.
    pub max: Option<f64>,
    /// For texts.
    pub pattern: Option<Pattern>,
    /// The values of an enumeration; empty when it is none.
    pub allowed: Vec<String>,
}

/// What a shape is.
#[derive(Debug)]
pub enum Kind {
    /// Members by name.
    Structure(Structure),
    /// Items of one shape.
    List {
        /// Each of them.
        member: Member,
        /// Written without an element around all of them.
        flattened: bool,
    },
    /// Values by key.
    Map {
        /// Keys.
        key: Member,
        /// Values.
        value: Member,
        /// Written without an element around all of them.
        flattened: bool,
    },
    /// Text.
    Text,
    /// A 32-bit whole number.
    Integer,
    /// A 64-bit whole number.
    Long,
    /// A number.
    Double,
    /// True or false.
    Boolean,
    /// Bytes; base64 in bodies.
    Blob,
    /// A point in time.
    Timestamp,
}

/// A structure.
#[derive(Debug)]
pub struct Structure {
    /// In the order of the model.
    pub members: Vec<Member>,
    /// The member that is the whole body.
    pub payload: Option<usize>,
    /// Present when the structure is an error.
    pub error: Option<ModeledError>,
}

/// What the model says of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeledError {
    /// The status that it is answered with.
    pub status: StatusCode,
    /// The code on the wire, where it is not the name of the shape.
    pub code: Option<String>,
    /// Ours rather than the caller's.
    pub fault: bool,
}

/// A use of a shape: as a member, an item, a key or a value.
#[derive(Debug)]
pub struct Member {
    /// The name in the model, which is also the name in typed inputs and outputs; empty for items, keys and values.
    pub name: String,
    /// What it is.
    pub shape: ShapeId,
    /// Where it stands in an HTTP message.
    pub place: Place,
    /// Its name there, where that differs from `name`.
    pub location_name: Option<String>,
    /// A request without it is refused.
    pub required: bool,
}

impl Member {
    /// The name on the wire.
    pub fn wire_name(&self) -> &str {
        self.location_name.as_deref().unwrap_or(&self.name)
    }
}

/// Where a member stands in an HTTP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the body.
    Body,
    /// In the path.
    Label,
    /// In the query string.
    Query,
    /// In a header.
    Header,
    /// It is the status.
    Status,
}
