//! Starts the real `dormouse` in a directory of its own on a free port, and real clients against it.
//!
//! A test is grouped by the promise that it keeps (`tests/product/`). Most of them are written as a Python function that
//! uses boto3 (`tests/clients/`), because that is the client people have; the Rust side starts and stops the platform.

mod client;
mod platform;
mod residue;

pub use client::{Client, Lines, Output};
pub use platform::{Dormouse, Options, User};
pub use residue::Residue;
