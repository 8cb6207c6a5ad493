//! Accounts, keys, roles and policies; who asks, and may they.

mod caller;
mod error;
pub mod policy;
pub mod sigv4;

pub use caller::{Caller, Principal, Session};
pub use error::AuthError;
