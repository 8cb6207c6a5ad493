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
