use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::EventfdFlags;
use serde::{Deserialize, Serialize};

use super::{CPU_PERIOD_US, SANDBOXES_WEIGHT, cpu_quota_us, make_dir, number_of, write};
use crate::Plan;

/// `cpu.shares` of an ordinary process, and the range of it. Source: the kernel's kernel/sched/sched.h.
const SHARES_OF_A_CORE: u64 = 1_024;
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 1 << 18;

/// One directory for each controller; two controllers mounted together share theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct V1Dirs {
    pub(crate) memory: Option<PathBuf>,
    pub(crate) cpu: Option<PathBuf>,
    pub(crate) cpuacct: Option<PathBuf>,
    pub(crate) pids: Option<PathBuf>,
    pub(crate) freezer: Option<PathBuf>,
}

impl V1Dirs {
    /// Each directory once.
    pub(crate) fn all(&self) -> Vec<&PathBuf> {
        let mut all: Vec<&PathBuf> = Vec::with_capacity(5);
        for dir in [&self.memory, &self.cpu, &self.cpuacct, &self.pids, &self.freezer].into_iter().flatten() {
            if !all.contains(&dir) {
                all.push(dir);
            }
        }
        all
    }

    pub(crate) fn dir_of(&self, controller: &str) -> Option<&PathBuf> {
        match controller {
            "memory" => self.memory.as_ref(),
            "cpu" => self.cpu.as_ref(),
            "cpuacct" => self.cpuacct.as_ref(),
            "pids" => self.pids.as_ref(),
            "freezer" => self.freezer.as_ref(),
            _ => None,
        }
    }

    /// The same with a name under each directory.
    pub(crate) fn join(&self, name: &str) -> Self {
        let join = |dir: &Option<PathBuf>| dir.as_ref().map(|dir| dir.join(name));
        Self {
            memory: join(&self.memory),
            cpu: join(&self.cpu),
            cpuacct: join(&self.cpuacct),
            pids: join(&self.pids),
            freezer: join(&self.freezer),
        }
    }

    /// Makes these directories, the bases.
    pub(super) fn create_bases(&self) -> io::Result<()> {
        self.all().into_iter().try_for_each(|dir| make_dir(dir))?;
        let Some(dir) = &self.cpu else { return Ok(()) };
        // The shares of a cgroup are divided among the cores that it runs on; those of a process are not.
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let shares = (SHARES_OF_A_CORE * SANDBOXES_WEIGHT * cores).min(SHARES_MAX);
        write(&dir.join("cpu.shares"), &shares.to_string())
    }

    pub(super) fn make(&self, plan: &Plan) -> io::Result<()> {
        for dir in self.all() {
            std::fs::create_dir(dir)?;
        }
        if let Some(dir) = &self.memory {
            limit_memory(dir, plan.memory_bytes)?;
        }
        if let Some(dir) = &self.cpu {
            write(&dir.join("cpu.cfs_period_us"), &CPU_PERIOD_US.to_string())?;
            set_cpu(dir, plan.cpu_millicores)?;
        }
        if let Some(dir) = &self.pids {
            write(&dir.join("pids.max"), &(plan.pids_max + 1).to_string())?;
        }
        Ok(())
    }

    pub(super) fn oom_kills(&self) -> u64 {
        let Some(dir) = &self.memory else { return 0 };
        let text = std::fs::read_to_string(dir.join("memory.oom_control")).unwrap_or_default();
        number_of(&text, "oom_kill").unwrap_or(0)
    }

    pub(super) fn oom_signal(&self) -> io::Result<OwnedFd> {
        let dir = self.memory.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let control = std::fs::File::open(dir.join("memory.oom_control"))?;
        write(&dir.join("cgroup.event_control"), &format!("{} {}", event.as_raw_fd(), control.as_raw_fd()))?;
        Ok(event)
    }
}

pub(super) fn set_cpu(dir: &Path, millicores: u32) -> io::Result<()> {
    let shares = (u64::from(millicores) * SHARES_OF_A_CORE / 1_000).clamp(SHARES_MIN, SHARES_MAX);
    write(&dir.join("cpu.shares"), &shares.to_string())?;
    write(&dir.join("cpu.cfs_quota_us"), &cpu_quota_us(millicores).to_string())
}

fn limit_memory(dir: &Path, bytes: u64) -> io::Result<()> {
    write(&dir.join("memory.limit_in_bytes"), &bytes.to_string())?;
    let with_swap = dir.join("memory.memsw.limit_in_bytes");
    if with_swap.exists() {
        return write(&with_swap, &bytes.to_string());
    }
    // Kernels that do not count swap still can be told not to use it.
    write(&dir.join("memory.swappiness"), "0")
}
