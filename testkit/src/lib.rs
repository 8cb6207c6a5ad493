//! Development only: simulated clock, fakes, conformance suites of the seams.

pub mod blob_suite;
mod clock;
mod memory_store;
mod rng;
pub mod store_suite;

pub use clock::{SimClock, TokioClock};
pub use memory_store::{Fault, MemoryStore};
pub use rng::{Rng, seed};
