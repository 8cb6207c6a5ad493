//! One sandbox as the node holds it: how to kill it, and whether anything of it is left.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::cgroup::{Meters, SandboxCgroup};
use crate::running::{Ended, ExitKind, Usage};
use crate::{inside, sys};

/// How often memory is looked at where the kernel keeps no limit.
const WATCH_EVERY: Duration = Duration::from_millis(100);
/// The pause is at least so many times as long as the look: a sandbox of many processes does not take the node's time.
const WATCH_SHARE: u32 = 10;
/// CPU time that counting each page once may take; a thousand processes take a third of a second.
const COUNT_MAX: Duration = Duration::from_secs(2);

/// What the spawner said when nothing was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Gone {
    pub(crate) out_of_memory: bool,
    pub(crate) usage: Usage,
}

/// Dropping it kills the sandbox.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) pid: i32,
    pidfd: OwnedFd,
    pub(crate) cgroup: Option<SandboxCgroup>,
    /// Absent where the kernel does not count.
    meters: Option<Meters>,
    /// Where processes are counted by hand.
    proc_dir: Option<OwnedFd>,
    memory_bytes: u64,
    pub(crate) gone: watch::Receiver<Option<Gone>>,
    frozen: AtomicBool,
    over_memory: AtomicBool,
    memory_seen: AtomicU64,
    cpu_seen_ns: AtomicU64,
}

impl Sandbox {
    pub(crate) fn new(
        pid: i32,
        pidfd: OwnedFd,
        cgroup: Option<SandboxCgroup>,
        memory_bytes: u64,
        gone: watch::Receiver<Option<Gone>>,
    ) -> Self {
        let none = || AtomicU64::new(0);
        let not = || AtomicBool::new(false);
        let (memory_seen, cpu_seen_ns) = (none(), none());
        let (frozen, over_memory) = (not(), not());
        let meters = cgroup.as_ref().and_then(Meters::open);
        Self {
            pid,
            pidfd,
            cgroup,
            meters,
            proc_dir: None,
            memory_bytes,
            gone,
            frozen,
            over_memory,
            memory_seen,
            cpu_seen_ns,
        }
    }

    /// Gives it the directory in which its processes are counted, where the kernel does not.
    pub(crate) fn count_in(&mut self, proc_dir: Option<OwnedFd>) {
        if self.meters.is_none() {
            self.proc_dir = proc_dir;
        }
    }

    /// Ends everything in it, frozen or not. Does not wait.
    pub(crate) fn kill(&self) {
        if self.gone.borrow().is_some() {
            return;
        }
        // Refused only when it has ended.
        let _ = sys::kill_pidfd(&self.pidfd);
        self.set_frozen(false);
        if let Some(cgroup) = &self.cgroup {
            cgroup.hasten_end();
        }
    }

    pub(crate) fn set_frozen(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::SeqCst);
    }

    pub(crate) fn usage(&self) -> Usage {
        if let Some(gone) = *self.gone.borrow() {
            return self.with_seen(gone.usage);
        }
        match self.meters.as_ref().and_then(Meters::read) {
            Some(usage) => usage,
            None => {
                self.look();
                self.with_seen(Usage::default())
            }
        }
    }

    /// Counts by hand, and keeps the most that was seen. Whether the memory may be too much: what processes share is
    /// counted for each.
    fn look(&self) -> bool {
        let Some(proc_dir) = &self.proc_dir else { return false };
        let cpu = u64::try_from(inside::cpu(proc_dir).as_nanos()).unwrap_or(u64::MAX);
        self.cpu_seen_ns.fetch_max(cpu, Ordering::Relaxed);
        let memory = inside::memory_bytes(proc_dir);
        self.memory_seen.fetch_max(memory.min(self.memory_bytes), Ordering::Relaxed);
        memory > self.memory_bytes
    }

    /// Whether it holds more memory than it may. What cannot be counted in time counts as too much: only very many
    /// processes that share very much are like that. Blocks.
    fn is_over_memory(&self) -> bool {
        let Some(proc_dir) = self.proc_dir.as_ref().filter(|_| self.look()) else { return false };
        let counted = inside::memory_once_bytes(proc_dir, self.memory_bytes, COUNT_MAX);
        counted.is_none_or(|memory| memory > self.memory_bytes)
    }

    fn with_seen(&self, usage: Usage) -> Usage {
        let cpu = Duration::from_nanos(self.cpu_seen_ns.load(Ordering::Relaxed));
        let memory = self.memory_seen.load(Ordering::Relaxed);
        Usage { cpu: usage.cpu.max(cpu), memory_peak_bytes: usage.memory_peak_bytes.max(memory) }
    }

    /// Whether somebody has to watch its memory.
    pub(crate) fn memory_is_unlimited(&self) -> bool {
        !self.cgroup.as_ref().is_some_and(SandboxCgroup::limits_memory)
    }

    /// Waits until nothing is left, and says how it came about.
    pub(crate) async fn end(&self, exit: &watch::Receiver<Option<ExitKind>>) -> Ended {
        let mut gone = self.gone.clone();
        // The sender is gone only together with the spawner, and then so is the sandbox.
        let gone = gone.wait_for(Option::is_some).await.map(|gone| *gone).ok().flatten().unwrap_or_default();
        let mut exit = exit.clone();
        let exit = exit.wait_for(Option::is_some).await.map(|exit| *exit).ok().flatten();
        Ended {
            exit: exit.unwrap_or(ExitKind::Signal(libc::SIGKILL)),
            out_of_memory: gone.out_of_memory || self.over_memory.load(Ordering::SeqCst),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills the sandbox when it holds more memory than it may. Ends with it.
pub(crate) async fn watch_memory(sandbox: std::sync::Weak<Sandbox>) {
    let mut pause = WATCH_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let Some(sandbox): Option<Arc<Sandbox>> = sandbox.upgrade() else { return };
        if sandbox.gone.borrow().is_some() {
            return;
        }
        if sandbox.frozen.load(Ordering::SeqCst) {
            continue;
        }
        let from = Instant::now();
        let counting = tokio::task::spawn_blocking({
            let sandbox = Arc::clone(&sandbox);
            move || sandbox.is_over_memory()
        });
        // A count that broke down is no count.
        if counting.await.unwrap_or(true) {
            sandbox.over_memory.store(true, Ordering::SeqCst);
            sandbox.kill();
            return;
        }
        pause = WATCH_EVERY.max(from.elapsed() * WATCH_SHARE);
    }
}
