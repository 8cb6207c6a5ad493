//! The functions engine: registry, versions and aliases, admission, instances, scaling, invoking.
//!
//! It knows neither HTTP nor SQL: it takes typed commands and returns domain types. It reads its registry from memory,
//! decides with pure functions, and commits what it decided to the store.
//!
//! ```text
//!  invoke -> engine::order (which version) -> admission (a permit) -> instances (an idle one, or a start)
//!         -> invoke::attempt (START ... REPORT) -> the answer
//!  enqueue -> due-queue -> events::worker -> the same from engine::order on -> finish, retry, dead
//! ```

mod admission;
mod background;
mod code;
mod commands;
mod engine;
mod error;
mod events;
mod function;
mod functions;
mod instances;
mod invoke;
mod parts;
mod registry;
mod runnable;
mod settings;
mod validate;

pub use commands::*;
pub use error::{FunctionsError, Result, ThrottleReason};
pub use events::{DeadEvent, DeadEventDetails, DeathReason};
pub use function::*;
pub use functions::{Download, Functions, Parts, Resolved, Running};
pub use parts::{ExecutionRoles, Randomness, RoleError, Sealer, SystemRandomness};
pub use settings::Settings;
