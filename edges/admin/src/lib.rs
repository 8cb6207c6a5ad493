//! The edge under /_dormouse/: health, metrics, and the admin API that the CLI talks.
//!
//! ```text
//! route (pure) -> signature -> body -> may they -> one operation -> JSON
//! ```
//!
//! Every request below `/_dormouse/admin/` is signed for the service `dormouse` and authorized once, with an action
//! `dormouse:...`. What belongs to an account is asked for by that account; what belongs to the node (accounts, other
//! accounts' keys and usage) by the operator's. `docs/admin-api.md` describes the shapes.

mod access;
mod answer;
mod error;
mod operations;
mod query;
mod route;
mod surface;

pub use surface::{AdminSurface, Parts, RuntimeSummary, Runtimes};
