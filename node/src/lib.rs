//! Composition: configuration to adapters to engines to edges; the only crate that names adapters.

pub mod config;
pub mod doctor;
