use std::path::PathBuf;

/// What reading telemetry answers.
pub type TelemetryResult<T> = Result<T, TelemetryError>;

/// Why logs or usage could not be read. Writing never fails: it counts what it lost.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A file or directory cannot be read or made.
    #[error("{path} cannot be used: {source}", path = path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A cursor that this program did not hand out.
    #[error("{0:?} is not a log cursor: pass on the one that the last page came with")]
    Cursor(String),
    /// The program is stopping.
    #[error("telemetry has been closed")]
    Closed,
}

impl TelemetryError {
    pub(crate) fn files(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Files { path, source }
    }
}
