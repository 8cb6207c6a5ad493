//! One attempt to run one invocation: from its permit to its REPORT line.

pub(crate) mod answers;
mod attempt;
mod detached;
pub(crate) mod lines;
mod meters;

pub(crate) use attempt::{Attempt, Order, attempt};
pub(crate) use detached::Detached;
pub(crate) use meters::{Meters, Telemetry};
