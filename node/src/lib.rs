//! Composition: configuration to adapters to engines to edges; the only crate that names adapters.

mod backup;
pub mod config;
pub mod doctor;
mod doors;
mod egress;
mod roles;
mod runtimes;
mod seals;
mod settings;
mod up;

pub use backup::{backup, restore};
pub use up::{Announcement, up};
