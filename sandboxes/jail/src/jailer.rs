use std::ffi::OsString;
use std::path::PathBuf;

use crate::{JailError, Layer, Plan, Prepared};

/// How to execute the program that calls [`crate::spawner::main`].
#[derive(Debug, Clone)]
pub struct SpawnerCommand {
    /// Usually `/proc/self/exe`.
    pub program: PathBuf,
    /// The hidden argument.
    pub args: Vec<OsString>,
}

/// Settings of all sandboxes of a node.
#[derive(Debug, Clone)]
pub struct JailerConfig {
    /// A directory of this jailer's own. Leftovers of an earlier node in it are removed at the start.
    pub state_dir: PathBuf,
    /// As root: first of the host's uids and gids that sandboxes run under.
    pub uid_base: u32,
    /// As root: how many of them; as many sandboxes can be alive.
    pub uid_count: u32,
}

impl JailerConfig {
    /// The defaults, for this directory.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: state_dir.into(), uid_base: 0x7000_0000, uid_count: 65_536 }
    }
}

/// Makes sandboxes. Cheap to clone; when the last clone is gone, all sandboxes are killed.
#[derive(Clone, Debug)]
pub struct Jailer {}

impl Jailer {
    /// Removes what an earlier node left in the state directory, and starts the spawner. Needs a tokio runtime.
    pub async fn start(_command: SpawnerCommand, _config: JailerConfig) -> Result<Self, JailError> {
        Err(JailError::SpawnerGone)
    }

    /// Makes a sandbox in which nothing runs yet. Dropping the future kills it.
    pub async fn prepare(&self, _plan: Plan) -> Result<Prepared, JailError> {
        Err(JailError::SpawnerGone)
    }

    /// What isolates and limits the sandboxes of this jailer, tried out at its start.
    pub fn layers(&self) -> &[Layer] {
        &[]
    }

    /// Resolves when the spawner, and with it every sandbox, has ended.
    pub async fn closed(&self) {}

    /// Kills every sandbox, waits until nothing of them is left, and ends the spawner.
    pub async fn stop(&self) {}
}
