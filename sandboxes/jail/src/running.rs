use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use tokio::sync::{Mutex, mpsc, watch};

use crate::link::Link;
use crate::sandbox::{self, Sandbox};
use crate::spawner_client::SpawnerClient;
use crate::wire::{FromInit, ToInit};
use crate::{Exec, JailError};

/// How long everything may take to stand still.
const FREEZE_MAX: Duration = Duration::from_secs(10);
/// A program that was caught while it starts another may wait for one that already stands still; let go and caught
/// again, both come to a stop.
const FREEZE_AGAIN: Duration = Duration::from_millis(100);
const FREEZE_PAUSE: Duration = Duration::from_micros(500);

/// A sandbox in which nothing runs yet. Dropping it kills it.
#[derive(Debug)]
pub struct Prepared {
    /// The sockets of the plan, in its order, non-blocking. Take them out to serve them.
    pub sockets: Vec<OwnedFd>,
    pub(crate) assembled: Instant,
    pub(crate) sandbox: Sandbox,
    pub(crate) init: Link,
    pub(crate) spawner: Arc<SpawnerClient>,
}

impl Prepared {
    /// Mounts the late mounts, hardens the sandbox and executes the program. Dropping the future kills the sandbox.
    pub async fn run(self, exec: Exec) -> Result<Running, JailError> {
        let streams = send_exec(&self.spawner, &self.init, exec).await?;
        self.started(streams).await
    }

    /// Waits until the program that init was told of is executed.
    pub(crate) async fn started(self, streams: Streams) -> Result<Running, JailError> {
        match self.init.receive().await {
            Some((FromInit::Started, _)) => Ok(Running::new(self, streams)),
            other => Err(refusal(other.map(|(message, _)| message))),
        }
    }
}

/// Our ends of what the program has open.
pub(crate) struct Streams {
    stdout: OwnedFd,
    stderr: OwnedFd,
    channel: Option<OwnedFd>,
}

/// Tells init what to execute as soon as it has assembled the sandbox.
pub(crate) async fn send_exec(spawner: &SpawnerClient, init: &Link, exec: Exec) -> Result<Streams, JailError> {
    exec.check().map_err(JailError::Plan)?;
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|e| JailError::step("make a pipe", e));
    let (stdout, stdout_inside) = pipe()?;
    let (stderr, stderr_inside) = pipe()?;
    for end in [&stdout, &stderr] {
        rustix::io::ioctl_fionbio(end, true).map_err(|e| JailError::step("make a pipe", e))?;
    }
    let (channel, channel_inside) = exec.channel_fd.map(|_| channel()).transpose()?.unzip();
    let trees = if exec.mounts.is_empty() { Vec::new() } else { spawner.trees(&exec.mounts).await? };
    let fds: Vec<_> =
        [&stdout_inside, &stderr_inside].into_iter().chain(&channel_inside).chain(&trees).map(AsFd::as_fd).collect();
    init.send(&ToInit::Run(Box::new(exec)), &fds).await?;
    Ok(Streams { stdout, stderr, channel })
}

/// A stream socket pair: ours non-blocking, the program's as programs expect it.
fn channel() -> Result<(OwnedFd, OwnedFd), JailError> {
    let failed = |error| JailError::step("make the control channel", error);
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(failed)?;
    rustix::io::ioctl_fionbio(&ours, true).map_err(failed)?;
    Ok((ours, theirs))
}

/// What an init that did not do as it was told said instead.
pub(crate) fn refusal(said: Option<FromInit>) -> JailError {
    match said {
        Some(FromInit::Failed { step, reason }) => JailError::Step { step, reason },
        Some(FromInit::ExecFailed { program, reason }) => JailError::Exec { program, reason },
        _ => JailError::Ended,
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
    /// When the sandbox stood, and there was but the program to execute.
    pub assembled: Instant,
    sandbox: Arc<Sandbox>,
    init: Arc<Link>,
    exit: watch::Receiver<Option<ExitKind>>,
    /// Answers of init; one asks at a time.
    answers: Mutex<mpsc::Receiver<()>>,
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
    fn new(prepared: Prepared, streams: Streams) -> Self {
        let Prepared { sockets, assembled, sandbox, init, .. } = prepared;
        let (sandbox, init) = (Arc::new(sandbox), Arc::new(init));
        let (exit_said, exit) = watch::channel(None);
        let (answered, answers) = mpsc::channel(1);
        tokio::spawn(listen(Arc::clone(&init), exit_said, answered));
        if sandbox.memory_is_unlimited() {
            tokio::spawn(sandbox::watch_memory(Arc::downgrade(&sandbox)));
        }
        let Streams { stdout, stderr, channel } = streams;
        let answers = Mutex::new(answers);
        let (stdout, stderr) = (Some(stdout), Some(stderr));
        Self { sockets, stdout, stderr, channel, assembled, sandbox, init, exit, answers }
    }

    /// Stops all execution, keeping the memory. Returns when everything stands still, or has ended.
    pub async fn freeze(&self) -> Result<(), JailError> {
        let failed = |error: std::io::Error| JailError::step("freeze the sandbox", error);
        self.sandbox.set_frozen(true);
        let Some(cgroup) = self.freezer() else { return self.ask(ToInit::Stop).await };
        if let Err(error) = cgroup.ask_freeze(true) {
            return if self.has_ended() { Ok(()) } else { Err(failed(error)) };
        }
        let from = Instant::now();
        let mut asked = from;
        while !cgroup.is_frozen().unwrap_or(true) && !self.has_ended() {
            if asked.elapsed() > FREEZE_AGAIN {
                // Refused only when it has ended, which the loop looks at.
                let _ = cgroup.ask_freeze(false);
                let _ = cgroup.ask_freeze(true);
                asked = Instant::now();
            }
            if from.elapsed() > FREEZE_MAX {
                return Err(JailError::step("freeze the sandbox", "it does not come to a stop"));
            }
            tokio::time::sleep(FREEZE_PAUSE).await;
        }
        Ok(())
    }

    /// Undoes [`Running::freeze`].
    pub async fn thaw(&self) -> Result<(), JailError> {
        self.sandbox.set_frozen(false);
        let Some(cgroup) = self.freezer() else { return self.ask(ToInit::Continue).await };
        match cgroup.ask_freeze(false) {
            Err(error) if !self.has_ended() => Err(JailError::step("thaw the sandbox", error)),
            _ => Ok(()),
        }
    }

    fn freezer(&self) -> Option<&crate::cgroup::SandboxCgroup> {
        self.sandbox.cgroup.as_ref().filter(|cgroup| cgroup.can_freeze())
    }

    /// Has init do something; a sandbox that has ended has done it.
    async fn ask(&self, message: ToInit) -> Result<(), JailError> {
        let mut answers = self.answers.lock().await;
        if self.init.send(&message, &[]).await.is_ok() {
            answers.recv().await;
        }
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.sandbox.gone.borrow().is_some()
    }

    /// Changes [`crate::Plan::cpu_millicores`]. Does nothing where CPU time cannot be limited.
    pub fn set_cpu(&self, millicores: u32) -> Result<(), JailError> {
        match self.sandbox.cgroup.as_ref().map(|cgroup| cgroup.set_cpu(millicores)) {
            Some(Err(error)) if !self.has_ended() => Err(JailError::step("limit CPU time", error)),
            _ => Ok(()),
        }
    }

    /// What it has used so far; costs some microseconds. After its end, what it had used then.
    pub fn usage(&self) -> Usage {
        self.sandbox.usage()
    }

    /// The pid of the sandbox's init, as the host sees it.
    pub fn pid(&self) -> i32 {
        self.sandbox.pid
    }

    /// Waits for the end of the program and the removal of the sandbox. Any number may wait.
    pub async fn wait(&self) -> Ended {
        self.sandbox.end(&self.exit).await
    }

    /// Kills everything, frozen or not, and waits until nothing of the sandbox is left.
    pub async fn kill(&self) -> Ended {
        self.sandbox.kill();
        self.wait().await
    }
}

/// Hears what init says until it is gone.
async fn listen(init: Arc<Link>, exit: watch::Sender<Option<ExitKind>>, answered: mpsc::Sender<()>) {
    loop {
        match init.receive().await {
            Some((FromInit::Exited { status }, _)) => {
                exit.send_replace(Some(exit_kind(status)));
            }
            Some((FromInit::Done, _)) => {
                // Nobody waits for it when the one who asked has gone away.
                let _ = answered.try_send(());
            }
            Some(_) => {}
            None => return,
        }
    }
}

/// Reads a status as `waitpid` gives it.
fn exit_kind(status: i32) -> ExitKind {
    if libc::WIFEXITED(status) {
        ExitKind::Status(libc::WEXITSTATUS(status))
    } else {
        ExitKind::Signal(libc::WTERMSIG(status))
    }
}
