//! Asynchronous invocations: accepted when they are on disk, run from the due-queue, tried again, given up.

pub(crate) mod dead;
mod dead_event;
mod destination;
mod note;
mod schedule;
mod worker;

pub use dead_event::{DeadEvent, DeadEventDetails, DeathReason};
pub(crate) use note::{EventNote, item_id};
pub(crate) use worker::{Worker, to_state};
