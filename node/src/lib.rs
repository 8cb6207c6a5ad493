//! Composition: configuration to adapters to engines to edges; the only crate that names adapters.

mod backup;
pub mod config;
pub mod doctor;

pub use backup::{backup, restore};
