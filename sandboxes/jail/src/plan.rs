use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The uid and gid that a program has inside its sandbox. As root each sandbox's is a different one outside.
pub const INSIDE_ID: u32 = 993;

/// What a sandbox is made of. All of it is fixed before anything runs in it, except the mounts of [`Exec`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Names its cgroup; `[a-z0-9-]`, 1 to 100 bytes, unique among the sandboxes of this jailer that are alive.
    pub name: String,
    /// Assembled in this order into an empty, read-only root. `/dev`, `/proc` and `/tmp` are always there, and come after
    /// these.
    pub mounts: Vec<Mount>,
    /// Size of `/tmp`.
    pub tmp_mb: u32,
    /// Size of `/dev/shm`, which is part of the memory.
    pub shm_mb: u32,
    /// Memory and swap together, of everything in the sandbox.
    pub memory_bytes: u64,
    /// CPU time per wall-clock time, in thousandths of a core, until [`crate::Running::set_cpu`] changes it.
    pub cpu_millicores: u32,
    /// Processes and threads, without the sandbox's own init.
    pub pids_max: u32,
    /// Open files of one process.
    pub nofile: u64,
    /// Host name inside.
    pub hostname: String,
    /// Sockets to open inside, in the order in which [`crate::Prepared::sockets`] has them.
    pub sockets: Vec<Listen>,
    /// Address ranges any address of which is the sandbox itself: a socket bound to `0.0.0.0` takes what is sent there.
    pub local_ranges: Vec<LocalRange>,
}

/// One step of assembling the root. Targets are absolute paths inside; missing parents are made. A symbolic link on the
/// way to a target is refused. Sources are absolute paths of the host and must be readable by everyone, since the
/// program has no rights of the node's user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Mount {
    /// A directory or file of the host, with what is mounted under it.
    Bind {
        /// On the host.
        source: PathBuf,
        /// Inside.
        target: PathBuf,
        /// Whether it can be written to, by the rights of the files themselves.
        writable: bool,
    },
    /// Several directories of the host seen as one, read-only. Where names meet, the later source wins.
    Merged {
        /// On the host; without repetition.
        sources: Vec<PathBuf>,
        /// Inside.
        target: PathBuf,
    },
    /// An empty writable directory in memory.
    Tmpfs {
        /// Inside.
        target: PathBuf,
        /// Its size.
        size_mb: u32,
    },
    /// An empty directory.
    Dir {
        /// Inside.
        target: PathBuf,
    },
    /// A symbolic link.
    Symlink {
        /// Inside: where the link is.
        target: PathBuf,
        /// What it says.
        to: PathBuf,
    },
    /// A small read-only file.
    File {
        /// Inside.
        target: PathBuf,
        /// All of it; everything of a plan together stays under [`crate::MESSAGE_BYTES_MAX`].
        content: String,
        /// Whether it can be executed.
        executable: bool,
    },
}

/// A socket that is opened inside the sandbox and served by the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listen {
    /// A TCP listener.
    Tcp(SocketAddr),
    /// A bound UDP socket.
    Udp(SocketAddr),
    /// A unix stream listener at this path inside, which everything in the sandbox may connect to.
    Unix(PathBuf),
}

/// `base/prefix`, such as 198.18.0.0/15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalRange {
    /// First address.
    pub base: Ipv4Addr,
    /// 8 to 32.
    pub prefix: u8,
}

/// What is run in a prepared sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exec {
    /// Mounted just before, by the still privileged init. Only [`Mount::Bind`] and [`Mount::Merged`]; the target has to
    /// be there already (a [`Mount::Dir`] of the plan, for instance).
    pub mounts: Vec<Mount>,
    /// The program, an absolute path inside.
    pub program: PathBuf,
    /// With the name of the program as the first.
    pub argv: Vec<String>,
    /// All of its environment, as `NAME=value`.
    pub env: Vec<String>,
    /// Working directory, inside.
    pub cwd: PathBuf,
    /// Gives the program one end of a stream socket as this descriptor (3 or more); the other end is
    /// [`crate::Running::channel`].
    pub channel_fd: Option<i32>,
}

/// Most sockets of one sandbox: they travel in one message.
pub(crate) const SOCKETS_MAX: usize = 100;
/// Most mounts of one program: so do they.
pub(crate) const LATE_MOUNTS_MAX: usize = 32;

impl Plan {
    /// A small sandbox, to try out whether limits can be set.
    pub(crate) fn probe() -> Self {
        Self {
            name: "probe".to_owned(),
            mounts: Vec::new(),
            tmp_mb: crate::PROBE_TMP_MB,
            shm_mb: 1,
            memory_bytes: 64 << 20,
            cpu_millicores: 1_000,
            pids_max: 8,
            nofile: 64,
            hostname: "probe".to_owned(),
            sockets: Vec::new(),
            local_ranges: Vec::new(),
        }
    }

    /// Whether a sandbox can be made of it; if not, what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        let name_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=100).contains(&self.name.len()) || !self.name.bytes().all(name_byte) {
            return Err(format!("the sandbox name {:?} must be 1 to 100 bytes of a-z, 0-9 and -", self.name));
        }
        if self.hostname.is_empty() || self.hostname.len() > 64 {
            return Err("the host name must have 1 to 64 bytes".to_owned());
        }
        let at_least = [
            ("tmp_mb", u64::from(self.tmp_mb), 8),
            ("shm_mb", self.shm_mb.into(), 1),
            ("memory_bytes", self.memory_bytes, 4 << 20),
            ("cpu_millicores", self.cpu_millicores.into(), 1),
            ("pids_max", self.pids_max.into(), 1),
            ("nofile", self.nofile, 16),
        ];
        if let Some((name, value, least)) = at_least.into_iter().find(|(_, value, least)| value < least) {
            return Err(format!("{name} is {value}; it must be at least {least}"));
        }
        if self.sockets.len() > SOCKETS_MAX {
            return Err(format!("{} sockets; at most {SOCKETS_MAX} are allowed", self.sockets.len()));
        }
        if let Some(range) = self.local_ranges.iter().find(|range| !(8..=32).contains(&range.prefix)) {
            return Err(format!("a local range has the prefix {}; 8 to 32 are allowed", range.prefix));
        }
        self.mounts.iter().try_for_each(Mount::check)
    }
}

impl Mount {
    fn check(&self) -> Result<(), String> {
        let target = match self {
            Self::Bind { target, .. }
            | Self::Merged { target, .. }
            | Self::Tmpfs { target, .. }
            | Self::Dir { target }
            | Self::Symlink { target, .. }
            | Self::File { target, .. } => target,
        };
        let plain = |path: &PathBuf| {
            path.is_absolute() && !path.components().any(|part| part == std::path::Component::ParentDir)
        };
        if !plain(target) {
            return Err(format!("the mount target {} must be an absolute path without ..", target.display()));
        }
        let sources = match self {
            Self::Bind { source, .. } => std::slice::from_ref(source),
            Self::Merged { sources, .. } => sources.as_slice(),
            _ => &[],
        };
        match sources.iter().find(|source| !plain(source)) {
            Some(source) => Err(format!("the mount source {} must be an absolute path without ..", source.display())),
            None => Ok(()),
        }
    }
}

impl Exec {
    /// Whether it can be run; if not, what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(mount) = self.mounts.iter().find(|m| !matches!(m, Mount::Bind { .. } | Mount::Merged { .. })) {
            return Err(format!("{mount:?} cannot be mounted late; only Bind and Merged can"));
        }
        if self.mounts.len() > LATE_MOUNTS_MAX {
            return Err(format!("{} late mounts; at most {LATE_MOUNTS_MAX} are allowed", self.mounts.len()));
        }
        if let Some(fd) = self.channel_fd.filter(|fd| !(3..=63).contains(fd)) {
            return Err(format!("the channel cannot be descriptor {fd}; 3 to 63 are allowed"));
        }
        if self.argv.is_empty() {
            return Err("the program needs at least its own name as an argument".to_owned());
        }
        if self.argv.iter().chain(&self.env).any(|text| text.contains('\0')) {
            return Err("an argument or a variable contains a zero byte".to_owned());
        }
        self.mounts.iter().try_for_each(Mount::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_that_cannot_be_are_refused_with_what_is_wrong() {
        assert_eq!(Plan::probe().check(), Ok(()));
        type Spoil = fn(&mut Plan);
        let wrong: [(Spoil, &str); 6] = [
            (|p| p.name = "a/b".into(), "name"),
            (|p| p.name = String::new(), "name"),
            (|p| p.memory_bytes = 0, "memory_bytes"),
            (|p| p.mounts = vec![Mount::Dir { target: "a".into() }], "absolute"),
            (|p| p.mounts = vec![Mount::Dir { target: "/a/../b".into() }], "without .."),
            (|p| p.hostname = String::new(), "host name"),
        ];
        for (spoil, said) in wrong {
            let mut plan = Plan::probe();
            spoil(&mut plan);
            let error = plan.check().expect_err(said);
            assert!(error.contains(said), "{error:?} does not say {said:?}");
        }
    }
}
