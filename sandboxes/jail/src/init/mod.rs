//! The first process of a sandbox: assembles it while it may, gives all rights up, executes the program, reaps.
//!
//! It talks to the node alone, over one socket. When that socket closes, it ends, and all of the sandbox with it.

mod harden;
mod net;
mod program;
mod root;
mod tmp;
mod tree;

use std::fmt::Display;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};

use crate::spawner::Namespaces;
use crate::wire::{self, FromInit, ToInit};
use crate::{Exec, Mount, Plan};

pub(crate) use harden::{make_user_namespace, try_user_namespace};
pub(crate) use net::loopback_up;
pub(crate) use root::private_mounts;
pub(crate) use tree::clone_tree;

/// All that init has from the spawner that it was forked from.
pub(crate) struct Birth {
    /// Its end of the socket to the node.
    pub(crate) socket: OwnedFd,
    pub(crate) plan: Plan,
    /// Opened for writing: each takes the writer into the sandbox's cgroup.
    pub(crate) entrances: Vec<File>,
    /// The jailer's directory.
    pub(crate) state_dir: std::path::PathBuf,
    /// The id that the program has outside, in the terms of this user namespace.
    pub(crate) outside_id: u32,
    /// Whether this is the host's root.
    pub(crate) root: bool,
    /// Entered while the sandbox is assembled; the user namespace last.
    pub(crate) namespaces: Namespaces,
    /// For `/tmp`, made ahead.
    pub(crate) disk: Option<OwnedFd>,
    /// Whether `/tmp` is a disk image when none was made ahead; memory otherwise.
    pub(crate) tmp_on_disk: bool,
    /// Whether the kernel keeps the memory limit; somebody watches otherwise.
    pub(crate) memory_is_limited: bool,
}

/// A step that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) step: String,
    pub(crate) reason: String,
}

/// Names the step that a result comes from.
pub(crate) trait Step<T> {
    fn step(self, step: &str) -> Result<T, Failure>;
}

impl<T, E: Display> Step<T> for Result<T, E> {
    fn step(self, step: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure { step: step.to_owned(), reason: error.to_string() })
    }
}

/// Runs a sandbox to its end, in the process that was cloned for it.
pub(crate) fn main(birth: Birth) -> ! {
    let mut keep = vec![birth.socket.as_raw_fd(), birth.namespaces.user.as_raw_fd()];
    keep.extend(birth.namespaces.others.iter().map(|(namespace, _)| namespace.as_raw_fd()));
    keep.extend(birth.disk.iter().map(AsRawFd::as_raw_fd));
    keep.extend(birth.entrances.iter().map(AsRawFd::as_raw_fd));
    crate::sys::close_all_but(keep);
    let socket = birth.socket.as_fd();
    if let Err(Failure { step, reason }) = live(&birth, socket) {
        // The node may be gone; then nobody wants to know.
        let _ = wire::send(socket, &FromInit::Failed { step, reason }, &[]);
    }
    crate::sys::exit_now(1)
}

fn live(birth: &Birth, socket: BorrowedFd<'_>) -> Result<(), Failure> {
    crate::sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).step("tie the sandbox to the spawner")?;
    // What the sandbox makes is what its plan says, whatever the node's umask is.
    rustix::process::umask(rustix::fs::Mode::empty());
    let made = root::prepare(birth)?;
    let mut fds: Vec<BorrowedFd<'_>> = vec![made.proc_dir.as_fd()];
    fds.extend(made.sockets.iter().map(AsFd::as_fd));
    wire::send(socket, &FromInit::Ready, &fds).step("report to the node")?;
    drop(made.sockets);
    let Some((message, mut fds)) = wire::receive::<ToInit>(socket).step("wait for the program")? else {
        return Ok(());
    };
    let ToInit::Run(exec) = message else { return Err("not told what to run").step("wait for the program") };
    let expected = 2 + usize::from(exec.channel_fd.is_some()) + exec.mounts.len();
    if fds.len() != expected {
        return Err("descriptors are missing").step("wait for the program");
    }
    let trees = fds.split_off(expected - exec.mounts.len());
    for (mount, tree) in exec.mounts.iter().zip(&trees) {
        root::attach_late(mount, tree.as_fd())?;
    }
    drop(trees);
    harden::give_up_rights(birth, &writable(&birth.plan, &exec))?;
    let child = program::start(&exec, &birth.plan, fds, socket)?;
    serve(child, socket)
}

/// Every directory that the program may change, inside.
fn writable(plan: &Plan, exec: &Exec) -> Vec<std::path::PathBuf> {
    let mut all = vec!["/tmp".into(), "/dev/shm".into()];
    all.extend(plan.mounts.iter().chain(&exec.mounts).filter_map(|mount| match mount {
        Mount::Tmpfs { target, .. } | Mount::Bind { target, writable: true, .. } => Some(target.clone()),
        _ => None,
    }));
    all
}

/// Reaps whatever ends, until the program has.
fn serve(child: i32, socket: BorrowedFd<'_>) -> Result<(), Failure> {
    let signals = crate::sys::child_signal_fd().step("watch for ended processes")?;
    loop {
        while let Some((pid, status)) = crate::sys::reap(-1, false) {
            if pid == child {
                return wire::send(socket, &FromInit::Exited { status }, &[]).step("report the end");
            }
        }
        let mut polled = [PollFd::new(&signals, PollFlags::IN), PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        match rustix::event::poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).step("wait"),
        }
        if !polled[0].revents().is_empty() {
            // One read empties it; what ended is asked for above.
            let _ = rustix::io::read(&signals, &mut [0u8; 128 * 8][..]);
        }
        if !polled[1].revents().is_empty() && !obey(socket)? {
            return Ok(());
        }
    }
}

/// Does what the node asks; `false` when the node is gone.
fn obey(socket: BorrowedFd<'_>) -> Result<bool, Failure> {
    let signal = match wire::receive::<ToInit>(socket).step("listen to the node")? {
        Some((ToInit::Stop, _)) => libc::SIGSTOP,
        Some((ToInit::Continue, _)) => libc::SIGCONT,
        Some((ToInit::Run(_), _)) => return Err("told to run twice").step("listen to the node"),
        None => return Ok(false),
    };
    // There is always the program itself to receive it, or it has just ended and is reaped next.
    let _ = crate::sys::signal(-1, signal);
    wire::send(socket, &FromInit::Done, &[]).step("report to the node")?;
    Ok(true)
}
