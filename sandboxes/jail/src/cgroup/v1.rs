use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::EventfdFlags;
use serde::{Deserialize, Serialize};

use super::{CPU_PERIOD_US, cpu_quota_us, number_of, write};
use crate::Plan;

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

    pub(super) fn make(&self, plan: &Plan) -> io::Result<()> {
        for dir in self.all() {
            std::fs::create_dir(dir)?;
        }
        if let Some(dir) = &self.memory {
            limit_memory(dir, plan.memory_bytes)?;
        }
        if let Some(dir) = &self.cpu {
            write(&dir.join("cpu.cfs_period_us"), &CPU_PERIOD_US.to_string())?;
            write(&dir.join("cpu.cfs_quota_us"), &cpu_quota_us(plan.cpu_millicores).to_string())?;
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

fn limit_memory(dir: &Path, bytes: u64) -> io::Result<()> {
    write(&dir.join("memory.limit_in_bytes"), &bytes.to_string())?;
    let with_swap = dir.join("memory.memsw.limit_in_bytes");
    if with_swap.exists() {
        return write(&with_swap, &bytes.to_string());
    }
    // Kernels that do not count swap still can be told not to use it.
    write(&dir.join("memory.swappiness"), "0")
}
