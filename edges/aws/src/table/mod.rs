//! The service models: what the wire of each service looks like, parsed once from the checked-in tables.
//!
//! Invariant: nothing here is written by hand for one operation. What the model does not say stands beside the operation
//! that needs it.

mod load;
mod pattern;
mod shape;

use std::sync::LazyLock;

use dormouse_model::limits;

pub use pattern::Pattern;
pub use shape::{
    Constraints, Kind, Member, ModeledError, Operation, Place, Segment, Service, Shape, ShapeId, Structure,
};

/// A service that this edge speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceId {
    /// AWS Lambda, rest-json.
    Lambda,
    /// Identity and Access Management, query.
    Iam,
    /// Security Token Service, query.
    Sts,
}

impl ServiceId {
    /// Every service, in the order in which documents list them.
    pub const ALL: [Self; 3] = [Self::Lambda, Self::Iam, Self::Sts];

    /// The name in credential scopes, ARNs and actions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lambda => "lambda",
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }

    /// The service with this name in credential scopes.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// The service's table.
    pub fn table(self) -> &'static Service {
        match self {
            Self::Lambda => &LAMBDA,
            Self::Iam => &IAM,
            Self::Sts => &STS,
        }
    }
}

/// The wire protocols that the tables name and that are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// JSON bodies; labels, query parameters and headers as the model places them.
    RestJson,
    /// Form parameters in, XML out.
    Query,
}

static LAMBDA: LazyLock<Service> = LazyLock::new(|| narrowed(load_checked_in(include_str!("../../model/lambda.json"))));
static IAM: LazyLock<Service> = LazyLock::new(|| load_checked_in(include_str!("../../model/iam.json")));
static STS: LazyLock<Service> = LazyLock::new(|| load_checked_in(include_str!("../../model/sts.json")));

fn load_checked_in(text: &str) -> Service {
    load::load(text).expect("the checked-in tables parse: a test loads each of them")
}

/// Where the model of Lambda says more than what functions here may have. The model's largest timeout and memory belong to
/// kinds of functions that do not exist here, and which runtimes there are is for the engine to say.
fn narrowed(mut table: Service) -> Service {
    let most = [
        ("Timeout", *limits::TIMEOUT_SECS.end()),
        ("MemorySize", *limits::MEMORY_MB.end()),
        ("EphemeralStorageSize", *limits::EPHEMERAL_STORAGE_MB.end()),
    ];
    for shape in &mut table.shapes {
        if let Some((_, most)) = most.iter().find(|(name, _)| shape.name == *name) {
            shape.constraints.max = Some(f64::from(*most));
        }
        if shape.name == "Runtime" {
            shape.constraints.allowed.clear();
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_loads_and_its_references_hold() {
        for service in ServiceId::ALL {
            let table = service.table();
            assert!(!table.operations.is_empty(), "{service:?}");
            for operation in &table.operations {
                assert_eq!(table.operation(&operation.name).map(|o| &o.name), Some(&operation.name));
                for error in &operation.errors {
                    let structure = table.shape(*error).structure().expect("an error is a structure");
                    assert!(structure.error.is_some(), "{}", table.shape(*error).name);
                }
            }
        }
    }

    #[test]
    fn every_pattern_compiles() {
        for service in ServiceId::ALL {
            for shape in &service.table().shapes {
                if let Some(pattern) = &shape.constraints.pattern {
                    pattern.check().unwrap_or_else(|error| panic!("{}: {}: {error}", shape.name, pattern.text()));
                }
            }
        }
    }
}
