//! Makes isolated Linux process sandboxes and hands back their sockets and pipes; knows nothing of functions.
//!
//! One small single-threaded process, the spawner, makes all sandboxes of a node. It is the node's own program, executed
//! again with an argument on which it calls [`spawner::main`]. Each sandbox's first process, its init, assembles the
//! sandbox, opens its sockets, gives up every right, and executes the program as its child.
//!
//! ```text
//!   Jailer::start -> Jailer::prepare(Plan) -> Prepared::run(Exec) -> Running::wait -> Ended
//!                    \----- Jailer::run(Plan, Exec) -----/
//!                                          (dropping either kills)
//!
//!   node ----socket---- spawner          clones inits, makes and removes cgroups, notices ends
//!     \---socket--- init (pid 1) --- program, in each sandbox
//! ```
//!
//! When the node dies, the spawner sees its socket close and ends every sandbox; when the spawner dies, the kernel kills
//! the inits, and with each init all of its namespace. What is then left, cgroups at most, the next start removes.
//!
//! Needs Linux 5.14 or newer.

mod cgroup;
mod disk;
mod error;
mod init;
mod inside;
mod jailer;
mod landlock;
mod layers;
mod link;
mod plan;
mod running;
mod sandbox;
mod seccomp;
pub mod spawner;
mod spawner_client;
mod state_dir;
mod sweep;
mod sys;
mod wire;

pub use error::JailError;
pub use jailer::{Jailer, JailerConfig, SpawnerCommand, probe};
pub use layers::{Layer, LayerState};
pub use plan::{Exec, INSIDE_ID, Listen, LocalRange, Mount, Plan};
pub use running::{Ended, ExitKind, Prepared, Running, Usage};

/// Largest plan or program description, in its JSON form.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Size of the `/tmp` with which disk images are tried out.
pub(crate) const PROBE_TMP_MB: u32 = 8;
