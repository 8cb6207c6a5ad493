//! Accounts, keys, roles and policies; who asks, and may they.

mod error;
pub mod sigv4;

pub use error::AuthError;
