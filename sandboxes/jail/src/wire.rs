//! Messages with descriptors over sequenced-packet sockets: node, spawner and the sandboxes' inits.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cgroup::{Hierarchy, SandboxCgroup};
use crate::layers::Layer;
use crate::{Exec, MESSAGE_BYTES_MAX, Mount, Plan};

/// Most descriptors in one message; the kernel allows 253.
pub(crate) const DESCRIPTORS_MAX: usize = 128;

/// Node to spawner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToSpawner {
    /// Always the first.
    Setup(Setup),
    /// Make a sandbox. Carries the init's end of its socket, and a disk for `/tmp` if one was made ahead.
    Make { id: u64, plan: Box<Plan> },
    /// Clone these mounts, detached, for an init that has left the host's tree.
    Trees { id: u64, mounts: Vec<Mount> },
}

/// What the spawner has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The jailer's directory.
    pub(crate) state_dir: std::path::PathBuf,
    /// See [`crate::JailerConfig`].
    pub(crate) uid_base: u32,
    pub(crate) uid_count: u32,
    /// Where cgroups are made.
    pub(crate) cgroups: Hierarchy,
    /// What the node runs as.
    pub(crate) root: bool,
}

/// Spawner to node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromSpawner {
    /// Ready; what holds on this host.
    Hello { layers: Vec<Layer> },
    /// The sandbox's init lives. Carries its pidfd.
    Made { id: u64, pid: i32, cgroup: Option<SandboxCgroup> },
    /// It could not be made.
    Failed { id: u64, step: String, reason: String },
    /// Carries one detached mount for each that was asked for.
    Trees { id: u64 },
    /// Nothing is left of it.
    Gone { id: u64, out_of_memory: bool, cpu_ns: u64, memory_peak_bytes: u64 },
}

/// Node to init.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToInit {
    /// Carries standard output, standard error, the channel if there is one, and the trees of the late mounts.
    Run(Box<Exec>),
    /// Stop every process but init.
    Stop,
    /// Continue them.
    Continue,
}

/// Init to node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromInit {
    /// Carries `/proc` of the sandbox and the sockets of the plan.
    Ready,
    /// The program has been executed.
    Started,
    /// Something failed, and the sandbox ends.
    Failed { step: String, reason: String },
    /// The program could not be executed, and the sandbox ends.
    ExecFailed { program: String, reason: String },
    /// Done: [`ToInit::Stop`] or [`ToInit::Continue`].
    Done,
    /// The program has ended, with this status as `waitpid` gives it; the sandbox ends.
    Exited { status: i32 },
}

/// Sends one message.
pub(crate) fn send<T: Serialize>(socket: impl AsFd, message: &T, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let bytes = serde_json::to_vec(message).map_err(|_| Errno::INVAL)?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Errno::MSGSIZE);
    }
    send_bytes(socket, &bytes, fds)
}

/// Sends one message that is JSON already.
pub(crate) fn send_bytes(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL);
    }
    loop {
        match rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            other => return other.map(|_| ()),
        }
    }
}

/// Receives one message; `None` at the end.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> Result<Option<(T, Vec<OwnedFd>)>, Errno> {
    let mut buffer = vec![0u8; MESSAGE_BYTES_MAX + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        match rustix::net::recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?.bytes,
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(list) = message {
            fds.extend(list);
        }
    }
    if got == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(&buffer[..got]).map_err(|_| Errno::BADMSG)?;
    Ok(Some((message, fds)))
}

/// A connected pair: blocking, closed on exec.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}
