//! The services: one module each, with the rows of the operations that are built.

pub mod iam;
pub mod lambda;
pub mod sts;

use crate::operation::Row;
use crate::table::ServiceId;

/// The operations of a service that are built. What its model has beyond these is answered with
/// `NotImplementedException`.
pub fn rows(service: ServiceId) -> Vec<Row> {
    match service {
        ServiceId::Lambda => lambda::rows(),
        ServiceId::Iam => iam::rows(),
        ServiceId::Sts => sts::rows(),
    }
}
