use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use tokio::sync::{oneshot, watch};

use crate::cgroup::{self, Hierarchy, SandboxCgroup};
use crate::link::Link;
use crate::running::{self, Usage, refusal};
use crate::sandbox::{Gone, Sandbox};
use crate::wire::{self, FromInit, FromSpawner, Setup, ToSpawner};
use crate::{Exec, JailError, Layer, Mount, PROBE_TMP_MB, Plan, Prepared, Running, disk, sweep};

/// How long the spawner of an earlier node may still be clearing up.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(15);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

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
pub struct Jailer {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    layers: Vec<Layer>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.link.close();
    }
}

/// What the jailer, its reader and its sandboxes have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    link: Link,
    state_dir: PathBuf,
    /// Present where `/tmp` is a disk image.
    disks: Option<Arc<disk::Ahead>>,
    next: AtomicU64,
    waiting: Mutex<Waiting>,
    closed: watch::Sender<bool>,
}

/// Who waits for what the spawner will say; by number of request.
#[derive(Debug, Default)]
struct Waiting {
    made: HashMap<u64, oneshot::Sender<Result<Made, JailError>>>,
    trees: HashMap<u64, oneshot::Sender<Result<Vec<OwnedFd>, JailError>>>,
    gone: HashMap<u64, watch::Sender<Option<Gone>>>,
}

#[derive(Debug)]
struct Made {
    pid: i32,
    pidfd: OwnedFd,
    cgroup: Option<SandboxCgroup>,
}

impl Jailer {
    /// Removes what an earlier node left in the state directory, and starts the spawner. Needs a tokio runtime.
    pub async fn start(command: SpawnerCommand, config: JailerConfig) -> Result<Self, JailError> {
        let failed = |error: std::io::Error| JailError::step("prepare the state directory", error);
        let (state_dir, lock) = blocking({
            let dir = config.state_dir.clone();
            move || take_directory(&dir)
        })
        .await?;
        let (state_dir, cgroups) = blocking(move || {
            let left = sweep::sweep(&state_dir);
            for base in &left {
                tracing::warn!(dir = %base.display(), "cgroups of an earlier node could not be removed");
            }
            let found = cgroup::find(&instance_name(&state_dir));
            // What is left is tried again by the next one.
            let mut bases = found.bases();
            bases.extend(left.into_iter().filter(|base| !found.bases().contains(base)));
            sweep::record(&state_dir, &bases).map_err(failed)?;
            Ok((state_dir, found.create()))
        })
        .await?;
        Self::start_in(command, &config, state_dir, cgroups, Some(lock)).await
    }

    async fn start_in(
        command: SpawnerCommand,
        config: &JailerConfig,
        state_dir: PathBuf,
        cgroups: Hierarchy,
        lock: Option<File>,
    ) -> Result<Self, JailError> {
        let root = rustix::process::geteuid().is_root();
        let tmp_template = root && {
            let dir = state_dir.clone();
            match blocking(move || Ok(disk::ensure_template(&dir, PROBE_TMP_MB))).await? {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(%error, "/tmp will be in memory");
                    false
                }
            }
        };
        let (ours, theirs) = wire::pair().map_err(|error| JailError::step("make a socket", error))?;
        let child = spawn(&command, theirs)?;
        let link = Link::new(ours).map_err(|error| JailError::step("make a socket", error))?;
        let bases = cgroups.bases();
        let (uid_base, uid_count) = (config.uid_base, config.uid_count);
        let setup = Setup { state_dir: state_dir.clone(), uid_base, uid_count, cgroups, root };
        let fds: Vec<_> = lock.iter().map(AsFd::as_fd).collect();
        let hello = match link.send(&ToSpawner::Setup(setup), &fds).await {
            Ok(()) => link.receive().await,
            Err(_) => None,
        };
        let Some((FromSpawner::Hello { layers }, _)) = hello else {
            tokio::task::spawn_blocking(move || reap(child, &[]));
            return Err(JailError::SpawnerGone);
        };
        let tmp_on_disk = tmp_template && layers.iter().any(|l| l.name == "tmp-on-disk" && l.state.holds());
        let shared = Arc::new(Shared {
            link,
            disks: tmp_on_disk.then(|| Arc::new(disk::Ahead::new(state_dir.clone()))),
            state_dir,
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
            closed: watch::Sender::new(false),
        });
        tokio::spawn(read(Arc::clone(&shared), child, bases));
        Ok(Self { handle: Arc::new(Handle { shared, layers }) })
    }

    /// Makes a sandbox in which nothing runs yet. Dropping the future kills it.
    pub async fn prepare(&self, plan: Plan) -> Result<Prepared, JailError> {
        self.begin(plan).await?.assembled().await
    }

    /// Makes a sandbox and executes the program in it: the same as [`Jailer::prepare`] and [`Prepared::run`], without
    /// waiting in between. Dropping the future kills it.
    pub async fn run(&self, plan: Plan, exec: Exec) -> Result<Running, JailError> {
        let making = self.begin(plan).await?;
        let sent = running::send_exec(&making.shared, &making.init, exec).await;
        // An init that has failed takes no message, and has said why.
        let prepared = making.assembled().await?;
        prepared.started(sent?).await
    }

    /// Sandboxes with a `/tmp` of this size will be asked for: what takes time for one is done now, in the background.
    pub fn expect(&self, tmp_mb: u32) {
        if let Some(disks) = &self.handle.shared.disks {
            disks.expect(tmp_mb);
        }
    }

    async fn begin(&self, plan: Plan) -> Result<Making, JailError> {
        plan.check().map_err(JailError::Plan)?;
        let shared = Arc::clone(&self.handle.shared);
        let disk = shared.disk(plan.tmp_mb).await?;
        let memory_bytes = plan.memory_bytes;
        let sockets = plan.sockets.len();
        let (ours, theirs) = wire::pair().map_err(|error| JailError::step("make a socket", error))?;
        let init = Link::new(ours).map_err(|error| JailError::step("make a socket", error))?;
        let (made, gone) = shared.make(plan, theirs, disk).await?;
        let sandbox = Sandbox::new(made.pid, made.pidfd, made.cgroup, memory_bytes, gone);
        Ok(Making { sandbox, init, sockets, shared })
    }

    /// What isolates and limits the sandboxes of this jailer, tried out at its start.
    pub fn layers(&self) -> &[Layer] {
        &self.handle.layers
    }

    /// Resolves when the spawner, and with it every sandbox, has ended.
    pub async fn closed(&self) {
        // The sender lives as long as this jailer.
        let _ = self.handle.shared.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Kills every sandbox, waits until nothing of them is left, and ends the spawner.
    pub async fn stop(&self) {
        self.handle.shared.link.close();
        self.closed().await;
    }
}

/// A sandbox whose init assembles it. Dropping it kills it.
struct Making {
    sandbox: Sandbox,
    init: Link,
    /// How many the plan asks for.
    sockets: usize,
    shared: Arc<Shared>,
}

impl Making {
    async fn assembled(self) -> Result<Prepared, JailError> {
        let Self { mut sandbox, init, sockets: wanted, shared } = self;
        match init.receive().await {
            Some((FromInit::Ready, mut fds)) if fds.len() == wanted + 1 => {
                let sockets = fds.split_off(1);
                sandbox.count_in(fds.pop());
                Ok(Prepared { sockets, assembled: Instant::now(), sandbox, init, shared })
            }
            other => Err(refusal(other.map(|(message, _)| message))),
        }
    }
}

/// What would isolate and limit sandboxes on this host, tried out. Touches no other jailer, also not one that is live in
/// the same state directory, and leaves nothing.
pub async fn probe(command: SpawnerCommand, config: &JailerConfig) -> Result<Vec<Layer>, JailError> {
    let near = |dir: &Path| dir.ancestors().find(|dir| dir.is_dir()).map(Path::to_owned);
    let parent = near(&config.state_dir).unwrap_or_else(std::env::temp_dir);
    let unique = format!("dormouse-probe-{}-{:x}", std::process::id(), now_ns());
    let dir = [parent, std::env::temp_dir()]
        .into_iter()
        .map(|parent| parent.join(&unique))
        .find(|dir| std::fs::create_dir_all(dir.join("root")).is_ok());
    let dir = dir.ok_or_else(|| JailError::step("make a directory to try in", "none is writable"))?;
    let cgroups = cgroup::find(&unique).create();
    let bases = cgroups.bases();
    let started = Jailer::start_in(command, config, dir.clone(), cgroups, None).await;
    let layers = match &started {
        Ok(jailer) => {
            jailer.stop().await;
            Ok(jailer.layers().to_vec())
        }
        Err(error) => Err(error.clone()),
    };
    blocking(move || {
        sweep::clear(bases);
        std::fs::remove_dir_all(&dir).map_err(|error| JailError::step("remove the directory tried in", error))
    })
    .await?;
    layers
}

fn now_ns() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map(|since| since.as_nanos()).unwrap_or(0)
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A disk that was made ahead; or else what the sandbox needs to make one for itself.
    async fn disk(&self, size_mb: u32) -> Result<Option<OwnedFd>, JailError> {
        let Some(disks) = &self.disks else { return Ok(None) };
        let disk = disks.take(size_mb);
        if disk.is_some() || disk::template_path(&self.state_dir, size_mb).exists() {
            return Ok(disk);
        }
        let dir = self.state_dir.clone();
        let ensure = move || {
            disk::ensure_template(&dir, size_mb).map_err(|error| JailError::step("make an empty disk image", error))
        };
        blocking(ensure).await.map(|()| None)
    }

    async fn make(
        &self,
        plan: Plan,
        socket: OwnedFd,
        disk: Option<OwnedFd>,
    ) -> Result<(Made, watch::Receiver<Option<Gone>>), JailError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (made_said, made) = oneshot::channel();
        let (gone_said, gone) = watch::channel(None);
        {
            let mut waiting = self.waiting();
            if *self.closed.borrow() {
                return Err(JailError::SpawnerGone);
            }
            waiting.made.insert(id, made_said);
            waiting.gone.insert(id, gone_said);
        }
        let fds: Vec<_> = std::iter::once(&socket).chain(&disk).map(AsFd::as_fd).collect();
        let sent = self.link.send(&ToSpawner::Make { id, plan: Box::new(plan) }, &fds).await;
        if let Err(error) = sent {
            let mut waiting = self.waiting();
            waiting.made.remove(&id);
            waiting.gone.remove(&id);
            return Err(if error_is_end(&error) { JailError::SpawnerGone } else { error });
        }
        drop((socket, disk));
        Ok((made.await.map_err(|_| JailError::SpawnerGone)??, gone))
    }

    /// Detached mounts of what late mounts name.
    pub(crate) async fn trees(&self, mounts: &[Mount]) -> Result<Vec<OwnedFd>, JailError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (said, trees) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if *self.closed.borrow() {
                return Err(JailError::SpawnerGone);
            }
            waiting.trees.insert(id, said);
        }
        let sent = self.link.send(&ToSpawner::Trees { id, mounts: mounts.to_vec() }, &[]).await;
        if let Err(error) = sent {
            self.waiting().trees.remove(&id);
            return Err(if error_is_end(&error) { JailError::SpawnerGone } else { error });
        }
        let trees = trees.await.map_err(|_| JailError::SpawnerGone)??;
        if trees.len() == mounts.len() { Ok(trees) } else { Err(JailError::step("mount", "mounts are missing")) }
    }

    /// Hands on what the spawner said. One who has stopped waiting is no concern of ours.
    fn hear(&self, message: FromSpawner, mut fds: Vec<OwnedFd>) {
        let mut waiting = self.waiting();
        match message {
            FromSpawner::Made { id, pid, cgroup } => {
                if let (Some(to), Some(pidfd)) = (waiting.made.remove(&id), fds.pop()) {
                    let _ = to.send(Ok(Made { pid, pidfd, cgroup }));
                }
            }
            FromSpawner::Trees { id } => {
                if let Some(to) = waiting.trees.remove(&id) {
                    let _ = to.send(Ok(fds));
                }
            }
            FromSpawner::Failed { id, step, reason } => {
                let error = JailError::Step { step, reason };
                if let Some(to) = waiting.made.remove(&id) {
                    waiting.gone.remove(&id);
                    let _ = to.send(Err(error));
                } else if let Some(to) = waiting.trees.remove(&id) {
                    let _ = to.send(Err(error));
                }
            }
            FromSpawner::Gone { id, out_of_memory, cpu_ns, memory_peak_bytes } => {
                if let Some(to) = waiting.gone.remove(&id) {
                    let usage = Usage { cpu: Duration::from_nanos(cpu_ns), memory_peak_bytes };
                    to.send_replace(Some(Gone { out_of_memory, usage }));
                }
            }
            FromSpawner::Hello { .. } => {}
        }
    }
}

fn error_is_end(error: &JailError) -> bool {
    matches!(error, JailError::Ended)
}

/// Hears the spawner until it ends; then clears up what it could not.
async fn read(shared: Arc<Shared>, child: Child, bases: Vec<PathBuf>) {
    while let Some((message, fds)) = shared.link.receive().await {
        shared.hear(message, fds);
    }
    let disks = shared.disks.clone();
    let clear = move || {
        reap(child, &bases);
        drop(disks.map(|disks| disks.close()));
    };
    // Only a panic could keep it from being done.
    let _ = tokio::task::spawn_blocking(clear).await;
    let mut waiting = shared.waiting();
    shared.closed.send_replace(true);
    // Whoever waits hears by the senders' end; sandboxes died with the spawner.
    waiting.made.clear();
    waiting.trees.clear();
    for (_, to) in waiting.gone.drain() {
        to.send_replace(Some(Gone::default()));
    }
}

/// Waits for the spawner's end. Blocks.
fn reap(mut child: Child, bases: &[PathBuf]) {
    match child.wait() {
        Ok(status) if !status.success() => tracing::error!(%status, "the spawner of the sandboxes ended"),
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "the spawner of the sandboxes cannot be waited for"),
    }
    for base in sweep::clear(bases.to_vec()) {
        tracing::warn!(dir = %base.display(), "cgroups could not be removed");
    }
}

/// Executes the spawner with nothing of the node's environment: the sandboxes' inits are copies of it.
fn spawn(command: &SpawnerCommand, socket: OwnedFd) -> Result<Child, JailError> {
    Command::new(&command.program)
        .args(&command.args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| JailError::step(format!("execute {}", command.program.display()), error))
}

/// Makes the directory and locks it. Blocks.
fn take_directory(dir: &Path) -> Result<(PathBuf, File), JailError> {
    let failed = |error: std::io::Error| JailError::step(format!("prepare {}", dir.display()), error);
    std::fs::create_dir_all(dir.join("root")).map_err(failed)?;
    let dir = dir.canonicalize().map_err(failed)?;
    let lock = File::options().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(failed)?;
    let from = Instant::now();
    while let Err(error) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(failed(error.into()));
        }
        if from.elapsed() > LOCK_WAIT_MAX {
            return Err(JailError::InUse(dir.display().to_string()));
        }
        crate::sys::pause(LOCK_PAUSE);
    }
    Ok((dir, lock))
}

/// The same for the same directory, another for another: FNV-1a, which every version of the program agrees on.
fn instance_name(state_dir: &Path) -> String {
    let bytes = state_dir.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    format!("dormouse-{hash:016x}")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JailError> + Send + 'static,
) -> Result<T, JailError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| JailError::step("run in the background", error))?
}
