//! The AWS edge: HTTP in, one typed operation out.
//!
//! This is the only place that knows an AWS wire protocol. A request is routed by pure functions to one row of the
//! operation table, authenticated, parsed by the service's model, authorized once, and handed as one typed value to one
//! small function; what that returns is written back by the model. After the parsing nobody looks at the HTTP request.

mod access;
mod audit;
mod body;
pub mod code_link;
mod edge;
mod error;
mod foreign;
pub mod operation;
mod parts;
pub mod protocol;
pub mod router;
pub mod services;
pub mod status;
pub mod table;

pub use edge::AwsEdge;
pub use error::ApiError;
pub use parts::Parts;
