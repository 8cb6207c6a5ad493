//! Makes isolated Linux process sandboxes and hands back their sockets and pipes; knows nothing of functions.
//!
//! One small single-threaded process, the spawner, makes all sandboxes of a node. It is the node's own program, executed
//! again with an argument on which it calls [`spawner::main`].
//!
//! ```text
//!   Jailer::start -> Jailer::prepare(Plan) -> Prepared::run(Exec) -> Running::wait -> Ended
//!                                          (dropping either kills)
//! ```

mod error;
mod jailer;
mod layers;
mod plan;
mod running;
pub mod spawner;

pub use error::JailError;
pub use jailer::{Jailer, JailerConfig, SpawnerCommand};
pub use layers::{Layer, LayerState};
pub use plan::{Exec, INSIDE_ID, Listen, LocalRange, Mount, Plan};
pub use running::{Ended, ExitKind, Prepared, Running, Usage};

/// Largest plan or program description, in its JSON form.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
