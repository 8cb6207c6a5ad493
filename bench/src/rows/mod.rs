//! One file for each promise that is measured.

pub(crate) mod cold;
pub(crate) mod events;
pub(crate) mod rest;
pub(crate) mod warm;
