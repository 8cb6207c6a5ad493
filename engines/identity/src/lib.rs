//! Accounts, keys, roles and policies; who asks, and may they.
//!
//! ```text
//! request -- authenticate --> Caller -- authorize(action, resource) --> yes, or a sentence that says why not
//! ```
//!
//! Everything that a request is judged by is in memory, so neither step reads the store while the answer is yes. Before a
//! no, memory is brought up to date with the store once.

pub mod access_keys;
pub mod accounts;
pub mod audit;
mod authenticate;
mod authorize;
pub mod aws_managed;
mod caller;
mod error;
pub mod grants;
pub mod groups;
mod holder;
mod identity;
pub mod managed_policies;
mod master_key;
pub mod names;
pub mod policy;
pub mod records;
pub mod roles;
mod seal;
mod session_token;
pub mod sigv4;
pub mod sts;
mod trusted;
pub mod users;

pub use audit::{AuditRecord, AuditSink, FileAudit};
pub use authenticate::Authenticated;
pub use authorize::Access;
pub use caller::{Caller, Principal, Session};
pub use error::{AccessDenied, AuthError, AuthorizeError, IamError, RoleError, StartError};
pub use holder::Holder;
pub use identity::Identity;
pub use master_key::{MasterKey, MasterKeyError};
pub use seal::Seal;
