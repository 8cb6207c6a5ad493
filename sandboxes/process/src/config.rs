use std::path::PathBuf;

/// Settings of the process driver.
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// A directory of this driver's own, for the bootstraps that it unpacks. Sandboxed programs must be able to read it.
    pub state_dir: PathBuf,
    /// Where the platform's own API is reached inside a sandbox; nowhere when absent.
    pub platform: Option<PlatformEndpoint>,
    /// Where the AWS SDKs for managed runtimes lie.
    pub sdk: SdkDirs,
    /// Processes and threads of one sandbox.
    pub pids_max: u32,
    /// Open files of one process in a sandbox.
    pub nofile: u64,
    /// Size of `/dev/shm`, in MB.
    pub shm_mb: u32,
    /// The longest line of a log; a longer one is split.
    pub log_line_bytes: usize,
    /// Output read from one instance per second. What prints more waits.
    pub log_bytes_per_second: usize,
    /// Connections of one sandbox to the platform's endpoint at one time; further ones wait.
    pub platform_connections: usize,
}

impl ProcessConfig {
    /// The defaults, for this directory.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            platform: None,
            sdk: SdkDirs::default(),
            pids_max: 1024,
            nofile: 1024,
            shm_mb: 64,
            log_line_bytes: 256 * 1024,
            log_bytes_per_second: 8 * 1024 * 1024,
            platform_connections: 64,
        }
    }
}

/// The platform's public name and port, which lead to the sandbox's own loopback inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformEndpoint {
    /// `AWS_ENDPOINT_URL` of the code.
    pub url: String,
    /// The host of that URL; a name, unless it is a loopback address, is resolved to the loopback inside.
    pub host: String,
    /// The port of that URL, which the sandbox listens on.
    pub port: u16,
}

/// Directories of the host with an AWS SDK each, mounted read-only at `/var/runtime/sdk`. Absent is fine.
#[derive(Debug, Clone, Default)]
pub struct SdkDirs {
    /// As `pip install --target` leaves it.
    pub python: Option<PathBuf>,
    /// With a `node_modules` in it.
    pub nodejs: Option<PathBuf>,
}

impl SdkDirs {
    /// The directory for a family of runtimes, by its label, if it is there.
    pub(crate) fn of(&self, label: &str) -> Option<&PathBuf> {
        let dir = match label {
            "python" => self.python.as_ref(),
            "nodejs" => self.nodejs.as_ref(),
            _ => None,
        };
        dir.filter(|dir| dir.is_dir())
    }
}

/// Why a driver cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The bootstraps could not be written.
    #[error("could not prepare {path}: {source}")]
    State {
        /// What was being written.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A description of a runtime that is part of this program is wrong.
    #[error("the runtime description {file} is wrong: {reason}")]
    Description {
        /// Which one.
        file: &'static str,
        /// Why.
        reason: String,
    },
}
