//! The functions engine: registry, versions and aliases, admission, instances, scaling, invoking.
//!
//! It knows neither HTTP nor SQL: it takes typed commands and returns domain types. It reads its registry from memory,
//! decides with pure functions, and commits what it decided to the store.

mod commands;
mod engine;
mod error;
mod events_api;
mod function;
mod parts;
mod settings;

pub use commands::*;
pub use engine::{Functions, Parts, Resolved};
pub use error::{FunctionsError, Result, ThrottleReason};
pub use events_api::{DeadEvent, DeadEventDetails, DeathReason};
pub use function::*;
pub use parts::{ExecutionRoles, Randomness, RoleError, SystemRandomness};
pub use settings::Settings;
