use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use crate::cgroup::{self, Hierarchy};
use crate::link::Link;
use crate::running::{self, refusal};
use crate::sandbox::Sandbox;
use crate::spawner_client::{SpawnerClient, blocking, reap};
use crate::wire::{self, FromInit, FromSpawner, Setup, ToSpawner};
use crate::{Exec, JailError, Layer, PROBE_TMP_MB, Plan, Prepared, Running, disk, state_dir, sweep};

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
    spawner: Arc<SpawnerClient>,
    layers: Vec<Layer>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.spawner.close();
    }
}

impl Jailer {
    /// Removes what an earlier node left in the state directory, and starts the spawner. Needs a tokio runtime.
    pub async fn start(command: SpawnerCommand, config: JailerConfig) -> Result<Self, JailError> {
        let failed = |error: std::io::Error| JailError::step("prepare the state directory", error);
        let (state_dir, lock) = blocking({
            let dir = config.state_dir.clone();
            move || state_dir::take(&dir)
        })
        .await?;
        let (state_dir, cgroups) = blocking(move || {
            let left = sweep::sweep(&state_dir);
            for base in &left {
                tracing::warn!(dir = %base.display(), "cgroups of an earlier node could not be removed");
            }
            let found = cgroup::find(&state_dir::instance_name(&state_dir));
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
        let spawner = SpawnerClient::serve(link, state_dir, tmp_on_disk, (child, bases));
        Ok(Self { handle: Arc::new(Handle { spawner, layers }) })
    }

    /// Makes a sandbox in which nothing runs yet. Dropping the future kills it.
    pub async fn prepare(&self, plan: Plan) -> Result<Prepared, JailError> {
        self.begin(plan).await?.assembled().await
    }

    /// Makes a sandbox and executes the program in it: the same as [`Jailer::prepare`] and [`Prepared::run`], without
    /// waiting in between. Dropping the future kills it.
    pub async fn run(&self, plan: Plan, exec: Exec) -> Result<Running, JailError> {
        let making = self.begin(plan).await?;
        let sent = running::send_exec(&making.spawner, &making.init, exec).await;
        // An init that has failed takes no message, and has said why.
        let prepared = making.assembled().await?;
        prepared.started(sent?).await
    }

    /// Sandboxes with a `/tmp` of this size will be asked for: what takes time for one is done now, in the background.
    pub fn expect(&self, tmp_mb: u32) {
        self.handle.spawner.expect(tmp_mb);
    }

    async fn begin(&self, plan: Plan) -> Result<Making, JailError> {
        plan.check().map_err(JailError::Plan)?;
        let spawner = Arc::clone(&self.handle.spawner);
        let disk = spawner.disk(plan.tmp_mb).await?;
        let memory_bytes = plan.memory_bytes;
        let sockets = plan.sockets.len();
        let (ours, theirs) = wire::pair().map_err(|error| JailError::step("make a socket", error))?;
        let init = Link::new(ours).map_err(|error| JailError::step("make a socket", error))?;
        let (made, gone) = spawner.make(plan, theirs, disk).await?;
        let sandbox = Sandbox::new(made.pid, made.pidfd, made.cgroup, memory_bytes, gone);
        Ok(Making { sandbox, init, sockets, spawner })
    }

    /// What isolates and limits the sandboxes of this jailer, tried out at its start.
    pub fn layers(&self) -> &[Layer] {
        &self.handle.layers
    }

    /// Resolves when the spawner, and with it every sandbox, has ended.
    pub async fn closed(&self) {
        self.handle.spawner.closed().await;
    }

    /// Kills every sandbox, waits until nothing of them is left, and ends the spawner.
    pub async fn stop(&self) {
        self.handle.spawner.close();
        self.closed().await;
    }
}

/// A sandbox whose init assembles it. Dropping it kills it.
struct Making {
    sandbox: Sandbox,
    init: Link,
    /// How many the plan asks for.
    sockets: usize,
    spawner: Arc<SpawnerClient>,
}

impl Making {
    async fn assembled(self) -> Result<Prepared, JailError> {
        let Self { mut sandbox, init, sockets: wanted, spawner } = self;
        match init.receive().await {
            Some((FromInit::Ready, mut fds)) if fds.len() == wanted + 1 => {
                let sockets = fds.split_off(1);
                sandbox.count_in(fds.pop());
                Ok(Prepared { sockets, assembled: Instant::now(), sandbox, init, spawner })
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
