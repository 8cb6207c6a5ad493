use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::{Exec, JailError};

/// A sandbox in which nothing runs yet. Dropping it kills it.
#[derive(Debug)]
pub struct Prepared {
    /// The sockets of the plan, in its order, non-blocking. Take them out to serve them.
    pub sockets: Vec<OwnedFd>,
}

impl Prepared {
    /// Mounts the late mounts, hardens the sandbox and executes the program.
    pub async fn run(self, _exec: Exec) -> Result<Running, JailError> {
        Err(JailError::SpawnerGone)
    }
}

/// A sandbox in which a program runs. Dropping it kills everything in it.
#[derive(Debug)]
pub struct Running {
    /// As in [`Prepared::sockets`].
    pub sockets: Vec<OwnedFd>,
    /// Read end of the program's standard output, non-blocking; taken by the caller.
    pub stdout: Option<OwnedFd>,
    /// Read end of the program's standard error, non-blocking; taken by the caller.
    pub stderr: Option<OwnedFd>,
    /// Our end of the control channel, a non-blocking stream socket, when [`Exec::channel_fd`] asked for one; taken by
    /// the caller.
    pub channel: Option<OwnedFd>,
}

/// What a sandbox has used since it was prepared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of everything in it.
    pub cpu: Duration,
    /// The most memory it held at one time.
    pub memory_peak_bytes: u64,
}

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitKind {
    /// It exited with this status.
    Status(i32),
    /// This signal ended it.
    Signal(i32),
}

/// How a sandbox ended. Nothing of it is left by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How the program did.
    pub exit: ExitKind,
    /// Whether the memory limit was the reason.
    pub out_of_memory: bool,
}

impl Running {
    /// Stops all execution, keeping the memory. Returns when everything stands still.
    pub async fn freeze(&self) -> Result<(), JailError> {
        Err(JailError::SpawnerGone)
    }

    /// Undoes [`Running::freeze`].
    pub async fn thaw(&self) -> Result<(), JailError> {
        Err(JailError::SpawnerGone)
    }

    /// Changes [`crate::Plan::cpu_millicores`]. Does nothing where CPU time cannot be limited.
    pub fn set_cpu(&self, _millicores: u32) -> Result<(), JailError> {
        Err(JailError::SpawnerGone)
    }

    /// What it has used so far; costs some microseconds. After its end, what it had used then.
    pub fn usage(&self) -> Usage {
        Usage::default()
    }

    /// The pid of the sandbox's init, as the host sees it.
    pub fn pid(&self) -> i32 {
        0
    }

    /// Waits for the end of the program and the removal of the sandbox. Any number may wait.
    pub async fn wait(&self) -> Ended {
        Ended { exit: ExitKind::Signal(9), out_of_memory: false }
    }

    /// Kills everything, frozen or not, and waits until nothing of the sandbox is left.
    pub async fn kill(&self) -> Ended {
        self.wait().await
    }
}
