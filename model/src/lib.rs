//! The nouns of the product: names, ids, ARNs, versions, invocations, outcomes, limits.
//!
//! Nothing here does IO, is async, or is ever serialised to a client: wire types live in the edges and are converted.
//! What *is* serialised are the records that engines keep in the store, so a change of a `serde` shape here is a change
//! of the storage format.

mod account;
mod arn;
mod egress;
mod function;
mod ids;
mod invocation;
pub mod limits;
mod text;
mod time;

pub use account::{AccountId, Region};
pub use arn::{Arn, ArnError};
pub use egress::{EgressError, EgressGrant, HostPort};
pub use function::{AliasName, FunctionArn, FunctionName, FunctionRef, Qualifier, VersionNumber};
pub use ids::{RequestId, RevisionId};
pub use invocation::{Credentials, FailureKind, Invocation, InvocationKind};
pub use time::{Clock, SystemClock, Timestamp};

/// A text that does not name what it should name. The message says what was given and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NameError {
    /// One sentence for the user.
    pub message: String,
}

impl NameError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}
