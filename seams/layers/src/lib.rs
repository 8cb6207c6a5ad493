//! What every engine needs on the store: records, catalogue, due-queue, lease, counter, expiry, outbox.
//!
//! An engine declares its keyspace in one file as functions that give [`Key`]s and types that are `serde` values, reads
//! them with [`Reads`], decides purely, and commits a [`Change`]. [`transact`] puts the three together and does it again
//! when somebody else was faster.
//!
//! ```
//! # use std::sync::Arc;
//! # use dormouse_layers::{Change, Decision, Key, LayerError, Reads, transact};
//! # use dormouse_testkit::MemoryStore;
//! # use serde::{Deserialize, Serialize};
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Door { open: bool }
//!
//! fn door(name: &str) -> Key {
//!     Key::new("door").text(name)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), LayerError> {
//! let store: Arc<dyn dormouse_store::Store> = Arc::new(MemoryStore::new());
//! let opened = transact(&*store, Reads::new().get(door("front")), |answers| {
//!     let mut change = Change::new();
//!     match answers.one::<Door>()? {
//!         Some(stored) if stored.value.open => return Ok::<_, LayerError>(Decision::Leave(false)),
//!         Some(mut stored) => {
//!             stored.value.open = true;
//!             change.update(door("front"), &stored)?;
//!         }
//!         None => {
//!             change.create(door("front"), &Door { open: true })?;
//!         }
//!     }
//!     Ok(Decision::Commit(change, true))
//! })
//! .await?;
//! assert!(opened);
//! # Ok(()) }
//! ```

pub mod catalogue;
mod change;
pub mod counter;
pub mod due_queue;
mod error;
pub mod expiry;
pub mod lease;
pub mod outbox;
mod record;
mod transact;

pub use catalogue::{Catalogue, Mirrored};
pub use change::Change;
pub use counter::Counter;
pub use dormouse_store::key::{Key, KeyRange, Parts};
pub use due_queue::DueQueue;
pub use error::LayerError;
pub use expiry::Expiry;
pub use lease::Lease;
pub use outbox::Outbox;
pub use record::{Answers, Reads, Stored, decode, encode, get, scan};
pub use transact::{CONFLICT_ATTEMPTS, Committed, Conflict, Decision, commit, transact, transact_in};
