//! The node's side of the spawner: what is asked of it, and who waits for which answer.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::cgroup::SandboxCgroup;
use crate::link::Link;
use crate::running::Usage;
use crate::sandbox::Gone;
use crate::wire::{FromSpawner, ToSpawner};
use crate::{JailError, Mount, Plan, disk, sweep};

/// What the jailer, its reader and its sandboxes have in common.
#[derive(Debug)]
pub(crate) struct SpawnerClient {
    link: Link,
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
pub(crate) struct Made {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) cgroup: Option<SandboxCgroup>,
}

impl SpawnerClient {
    /// Hears the spawner that is behind this link until it ends; then clears up what it could not.
    pub(crate) fn serve(
        link: Link,
        state_dir: PathBuf,
        tmp_on_disk: bool,
        spawner: (Child, Vec<PathBuf>),
    ) -> Arc<Self> {
        let client = Arc::new(Self {
            link,
            disks: tmp_on_disk.then(|| Arc::new(disk::Ahead::new(state_dir))),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
            closed: watch::Sender::new(false),
        });
        tokio::spawn(read(Arc::clone(&client), spawner));
        client
    }

    /// Tells the spawner to end everything, and itself.
    pub(crate) fn close(&self) {
        self.link.close();
    }

    /// Resolves when it has.
    pub(crate) async fn closed(&self) {
        // The sender lives as long as this client.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Disks of this size are made ahead from now on.
    pub(crate) fn expect(&self, tmp_mb: u32) {
        if let Some(disks) = &self.disks {
            disks.expect(tmp_mb);
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A disk that was made ahead; or else what the sandbox needs to make one for itself is there.
    pub(crate) async fn disk(&self, size_mb: u32) -> Result<Option<OwnedFd>, JailError> {
        match &self.disks {
            Some(disks) => disks.take(size_mb).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn make(
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
async fn read(client: Arc<SpawnerClient>, (child, bases): (Child, Vec<PathBuf>)) {
    while let Some((message, fds)) = client.link.receive().await {
        client.hear(message, fds);
    }
    let disks = client.disks.clone();
    let clear = move || {
        reap(child, &bases);
        drop(disks.map(|disks| disks.close()));
    };
    // Only a panic could keep it from being done.
    let _ = tokio::task::spawn_blocking(clear).await;
    let mut waiting = client.waiting();
    client.closed.send_replace(true);
    // Whoever waits hears by the senders' end; sandboxes died with the spawner.
    waiting.made.clear();
    waiting.trees.clear();
    for (_, to) in waiting.gone.drain() {
        to.send_replace(Some(Gone::default()));
    }
}

/// Waits for the spawner's end. Blocks.
pub(crate) fn reap(mut child: Child, bases: &[PathBuf]) {
    match child.wait() {
        Ok(status) if !status.success() => tracing::error!(%status, "the spawner of the sandboxes ended"),
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "the spawner of the sandboxes cannot be waited for"),
    }
    for base in sweep::clear(bases.to_vec()) {
        tracing::warn!(dir = %base.display(), "cgroups could not be removed");
    }
}

/// Runs something that blocks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JailError> + Send + 'static,
) -> Result<T, JailError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| JailError::step("run in the background", error))?
}
