/// Why a sandbox, or the process that makes them, is not there.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JailError {
    /// The plan or the program cannot be: the caller's mistake.
    #[error("{0}")]
    Plan(String),
    /// The program could not be executed inside the sandbox.
    #[error("could not execute {program}: {reason}")]
    Exec {
        /// As in [`crate::Exec::program`].
        program: String,
        /// The system's reason.
        reason: String,
    },
    /// A step of making the sandbox failed.
    #[error("{step}: {reason}")]
    Step {
        /// What was being done.
        step: String,
        /// The system's reason.
        reason: String,
    },
    /// The sandbox ended while it was being made or before it was told what to run.
    #[error("the sandbox ended before it was ready")]
    Ended,
    /// The spawner process is gone, and every sandbox with it.
    #[error("the spawner process has ended; no sandbox can be made")]
    SpawnerGone,
    /// Another live node makes sandboxes in this state directory.
    #[error("another node is using {0}; give this one a directory of its own, or stop the other first")]
    InUse(String),
}

impl JailError {
    pub(crate) fn step(step: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Step { step: step.into(), reason: reason.to_string() }
    }
}
