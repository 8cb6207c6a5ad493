//! Where the limits of a sandbox live, for both versions of cgroups.

mod find;
mod meters;
mod v1;
mod v2;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Plan;

pub(crate) use find::find;
pub(crate) use meters::Meters;
pub(crate) use v1::V1Dirs;

/// Length of one period of the CPU quota. Short, so that a small quota is many small waits and not one long one.
const CPU_PERIOD_US: u64 = 20_000;
/// The kernel refuses quotas under one millisecond.
const CPU_QUOTA_US_MIN: u64 = 1_000;

/// What all sandboxes together weigh on each core, beside 1 for any other process there, the node's threads included. Work
/// is what the machine is for, and the node seldom needs long: too light, and whatever wakes pushes a function off its core.
const SANDBOXES_WEIGHT: u64 = 4;

/// The directories under which a jailer makes the cgroups of its sandboxes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hierarchy {
    /// Nowhere; this says why.
    None { why: String },
    /// One directory for each controller that there is.
    V1(V1Dirs),
    /// One directory, and the controllers that it hands down.
    V2 { base: PathBuf, controllers: Vec<String> },
}

/// The cgroup of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SandboxCgroup {
    V1(V1Dirs),
    V2 { dir: PathBuf, controllers: Vec<String> },
}

impl Hierarchy {
    /// Makes the directories, so that it is known whether that is allowed. On refusal: [`Hierarchy::None`].
    pub(crate) fn create(self) -> Self {
        let made = match &self {
            Self::None { .. } => return self,
            Self::V1(dirs) => dirs.create_bases(),
            Self::V2 { base, .. } => v2::create_base(base).map_err(|e| io::Error::new(e.kind(), e.to_string())),
        };
        match (made, self) {
            (Err(error), _) => Self::None { why: format!("the cgroups of this process cannot be changed: {error}") },
            (Ok(()), Self::V2 { base, .. }) => {
                let controllers = v2::controllers(&base);
                Self::V2 { base, controllers }
            }
            (Ok(()), other) => other,
        }
    }

    /// Every directory that sandboxes' cgroups are made in.
    pub(crate) fn bases(&self) -> Vec<PathBuf> {
        match self {
            Self::None { .. } => Vec::new(),
            Self::V1(dirs) => dirs.all().into_iter().cloned().collect(),
            Self::V2 { base, .. } => vec![base.clone()],
        }
    }

    /// Makes the cgroup of one sandbox with its limits. What was made of it is removed again on failure.
    pub(crate) fn make(&self, plan: &Plan) -> io::Result<Option<SandboxCgroup>> {
        let cgroup = match self {
            Self::None { .. } => return Ok(None),
            Self::V1(dirs) => SandboxCgroup::V1(dirs.join(&plan.name)),
            Self::V2 { base, controllers } => {
                SandboxCgroup::V2 { dir: base.join(&plan.name), controllers: controllers.clone() }
            }
        };
        let made = match &cgroup {
            SandboxCgroup::V1(dirs) => dirs.make(plan),
            SandboxCgroup::V2 { dir, controllers } => v2::make(dir, controllers, plan),
        };
        if let Err(error) = made {
            if error.kind() != io::ErrorKind::AlreadyExists {
                cgroup.remove();
            }
            return Err(error);
        }
        Ok(Some(cgroup))
    }

    /// Whether a controller limits sandboxes here: `memory`, `cpu`, `pids`, `freezer`.
    pub(crate) fn has(&self, controller: &str) -> bool {
        match self {
            Self::None { .. } => false,
            Self::V1(dirs) => dirs.dir_of(controller).is_some(),
            Self::V2 { controllers, .. } => controller == "freezer" || controllers.iter().any(|c| c == controller),
        }
    }
}

impl SandboxCgroup {
    fn dirs(&self) -> Vec<&PathBuf> {
        match self {
            Self::V1(dirs) => dirs.all(),
            Self::V2 { dir, .. } => vec![dir],
        }
    }

    /// Where a process that has one thread writes `0` to put itself in. Version 2 needs none: the sandbox is born in its
    /// cgroup.
    ///
    /// By `tasks`, not `cgroup.procs`: a thread that moves itself needs not exclude that others of its process start or
    /// end, which costs an RCU grace period, tens of milliseconds on a busy machine. Source:
    /// `cgroup_procs_write_start` of the kernel.
    pub(crate) fn entrances(&self) -> Vec<PathBuf> {
        match self {
            Self::V1(dirs) => dirs.all().into_iter().map(|dir| dir.join("tasks")).collect(),
            Self::V2 { .. } => Vec::new(),
        }
    }

    /// The directory to be born in, in version 2.
    pub(crate) fn birthplace(&self) -> Option<&Path> {
        match self {
            Self::V1(_) => None,
            Self::V2 { dir, .. } => Some(dir),
        }
    }

    /// Limits CPU time, in thousandths of a core, and weighs the sandbox accordingly where there is not enough for all.
    pub(crate) fn set_cpu(&self, millicores: u32) -> io::Result<()> {
        match self {
            Self::V1(dirs) => dirs.cpu.as_ref().map_or(Ok(()), |dir| v1::set_cpu(dir, millicores)),
            Self::V2 { dir, controllers } if controllers.iter().any(|c| c == "cpu") => v2::set_cpu(dir, millicores),
            Self::V2 { .. } => Ok(()),
        }
    }

    /// Whether [`SandboxCgroup::ask_freeze`] works.
    pub(crate) fn can_freeze(&self) -> bool {
        match self {
            Self::V1(dirs) => dirs.freezer.is_some(),
            Self::V2 { .. } => true,
        }
    }

    /// Whether the memory limit is kept by the kernel.
    pub(crate) fn limits_memory(&self) -> bool {
        match self {
            Self::V1(dirs) => dirs.memory.is_some(),
            Self::V2 { controllers, .. } => controllers.iter().any(|c| c == "memory"),
        }
    }

    /// Asks for everything to stop or to go on; [`SandboxCgroup::is_frozen`] tells when it has.
    pub(crate) fn ask_freeze(&self, freeze: bool) -> io::Result<()> {
        match self {
            Self::V1(dirs) => match &dirs.freezer {
                Some(dir) => write(&dir.join("freezer.state"), if freeze { "FROZEN" } else { "THAWED" }),
                None => Ok(()),
            },
            Self::V2 { dir, .. } => write(&dir.join("cgroup.freeze"), if freeze { "1" } else { "0" }),
        }
    }

    /// Lets what was killed end at once. A process ends by running: one that is frozen, or waits for its share of CPU
    /// time together with all that a fork bomb made, would take minutes.
    pub(crate) fn hasten_end(&self) {
        for dir in self.dirs() {
            hasten_end(dir);
        }
    }

    /// Whether everything stands still.
    pub(crate) fn is_frozen(&self) -> io::Result<bool> {
        match self {
            Self::V1(dirs) => match &dirs.freezer {
                Some(dir) => Ok(std::fs::read_to_string(dir.join("freezer.state"))?.trim() == "FROZEN"),
                None => Ok(false),
            },
            Self::V2 { dir, .. } => Ok(v2::event(dir, "cgroup.events", "frozen")? == 1),
        }
    }

    /// How often the kernel killed something in it for lack of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        match self {
            Self::V1(dirs) => dirs.oom_kills(),
            Self::V2 { dir, .. } => v2::event(dir, "memory.events", "oom_kill").unwrap_or(0),
        }
    }

    /// In version 1, a descriptor that becomes readable when memory runs out: there the kernel kills one process, and
    /// the rest is up to us.
    pub(crate) fn oom_signal(&self) -> Option<rustix::fd::OwnedFd> {
        match self {
            Self::V1(dirs) => dirs.oom_signal().ok(),
            Self::V2 { .. } => None,
        }
    }

    /// Whether nothing is left of it. To be called again after a moment when it says no.
    pub(crate) fn remove(&self) -> bool {
        // Each is tried, also after one that is not ready to go.
        let left = self.dirs().into_iter().filter(|dir| !remove_dir(dir)).count();
        left == 0
    }
}

/// Kills what is left in the cgroups of an ended jailer and removes them; `true` when nothing is left.
pub(crate) fn clear(base: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(base) else { return true };
    let mut gone = true;
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        let dir = entry.path();
        kill_all(&dir);
        gone &= remove_dir(&dir);
    }
    gone && remove_dir(base)
}

fn kill_all(dir: &Path) {
    for pid in std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default().lines() {
        if let Ok(pid) = pid.parse::<i32>()
            && pid > 1
        {
            let _ = crate::sys::signal(pid, libc::SIGKILL);
        }
    }
    hasten_end(dir);
}

/// Nothing more is forked, nothing waits for CPU time, nothing is frozen. Each file exists in one directory of one
/// version only, and the directory is gone once nothing is left to end.
fn hasten_end(dir: &Path) {
    let unlimited = [
        ("pids.max", "0"),
        ("cpu.cfs_quota_us", "-1"),
        ("cpu.max", "max"),
        ("freezer.state", "THAWED"),
        ("cgroup.freeze", "0"),
    ];
    for (file, text) in unlimited {
        let _ = write(&dir.join(file), text);
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn remove_dir(dir: &Path) -> bool {
    match std::fs::remove_dir(dir) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn cpu_quota_us(millicores: u32) -> u64 {
    (u64::from(millicores) * CPU_PERIOD_US / 1_000).max(CPU_QUOTA_US_MIN)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(named)
}

/// The number beside `key` in a file of `key value` lines.
fn number_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_in_proportion_and_never_below_the_kernels_least() {
        assert_eq!(cpu_quota_us(1_000), 20_000);
        assert_eq!(cpu_quota_us(72), 1_440);
        assert_eq!(cpu_quota_us(1), 1_000);
        assert_eq!(cpu_quota_us(6_000), 120_000);
    }

    #[test]
    fn a_sandbox_weighs_in_proportion_to_its_quota() {
        let set = |millicores, make: fn(&Path, u32) -> io::Result<()>| {
            let dir = tempfile::tempdir().expect("a directory");
            let files = ["cpu.shares", "cpu.cfs_quota_us", "cpu.weight", "cpu.max"].map(|name| dir.path().join(name));
            files.iter().for_each(|file| std::fs::write(file, "").expect("a file"));
            make(dir.path(), millicores).expect("written");
            files.map(|file| std::fs::read_to_string(file).expect("read"))
        };
        assert_eq!(set(1_000, v1::set_cpu), ["1024", "20000", "", ""]);
        assert_eq!(set(1, v1::set_cpu), ["2", "1000", "", ""]);
        assert_eq!(set(1_000, v2::set_cpu), ["", "", "100", "20000 20000"]);
        assert_eq!(set(72, v2::set_cpu), ["", "", "7", "1440 20000"]);
        assert_eq!(set(1, v2::set_cpu), ["", "", "1", "1000 20000"]);
    }

    #[test]
    fn numbers_are_found_by_their_whole_key() {
        let text = "oom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(number_of(text, "oom_kill"), Some(2));
        assert_eq!(number_of(text, "oom"), Some(3));
        assert_eq!(number_of(text, "low"), None);
    }
}
