//! Instances: pools of initialised sandboxes, one pool for each version that has run.

mod log;
mod memory;
mod node;
mod pool;
mod scaling;
#[cfg(test)]
mod simulation;
mod slot;
mod start;

pub(crate) use log::InstanceLog;
pub(crate) use node::{Instances, InstancesParts};
pub(crate) use pool::{Checkout, Pool};
pub(crate) use slot::{Init, Slot};
pub(crate) use start::{StartFailed, init_duration};
