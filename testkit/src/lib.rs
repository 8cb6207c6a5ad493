//! Development only: simulated clock, fakes, conformance suites of the seams.

mod clock;
mod memory_store;
mod rng;

pub use clock::{SimClock, TokioClock};
pub use memory_store::{Fault, MemoryStore};
pub use rng::{Rng, seed};
