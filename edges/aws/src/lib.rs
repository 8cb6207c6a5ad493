//! The AWS edge: HTTP in, one typed operation out.
//!
//! This is the only place that knows an AWS wire protocol. A request is routed by pure functions to one row of the
//! operation table, authenticated, parsed by the service's model, authorized once, and handed as one typed value to one
//! small function; what that returns is written back by the model. After the parsing nobody looks at the HTTP request.

mod error;
pub mod protocol;
pub mod router;
pub mod table;

pub use error::ApiError;
