use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::{Birth, Failure, Step};
use crate::plan::INSIDE_ID;
use crate::sys::{self, Cloned};

/// All bits of securebits(7), locked: no user id is special, and no capability is kept or raised by one.
const SECURE_BITS: u64 = 0b1110_1111;

/// No core file, and no core to a program of the host either: zero bytes would still start the one that the host's
/// `core_pattern` may name, with rights of the host; one byte is the kernel's mark against that. The filter of system calls
/// keeps it from being changed. Source: core(5) and the kernel's fs/coredump.c.
const CORE_BYTES: u64 = 1;

/// A user namespace in which [`INSIDE_ID`] is the only id, and is `outside_id` outside. It is made in a process of its
/// own, since only somebody who stays outside may say what its ids are.
pub(crate) fn make_user_namespace(outside_id: u32) -> Result<OwnedFd, Failure> {
    let step = "make the user namespace";
    let (pid, pidfd) = match sys::clone_process(libc::CLONE_NEWUSER as u64, None).step(step)? {
        Cloned::Child => loop {
            sys::pause(std::time::Duration::from_secs(3600));
        },
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    let made = map_ids(pid, outside_id);
    let _ = sys::kill_pidfd(&pidfd);
    sys::reap(pid, true);
    made.step(step)
}

fn map_ids(pid: i32, outside_id: u32) -> std::io::Result<OwnedFd> {
    let map = format!("{INSIDE_ID} {outside_id} 1");
    std::fs::write(format!("/proc/{pid}/setgroups"), "deny")?;
    std::fs::write(format!("/proc/{pid}/uid_map"), &map)?;
    std::fs::write(format!("/proc/{pid}/gid_map"), &map)?;
    Ok(std::fs::File::open(format!("/proc/{pid}/ns/user"))?.into())
}

/// Whether the host lets us have such a namespace; in a process that may be spoilt.
pub(crate) fn try_user_namespace(outside_id: u32) -> Result<(), Failure> {
    let namespace = make_user_namespace(outside_id)?;
    sys::enter_namespace(namespace.as_fd(), libc::CLONE_NEWUSER).step("enter the user namespace")
}

/// Leaves this process, and all that it will start, with nothing but the right to run.
pub(super) fn give_up_rights(birth: &Birth, writable: &[PathBuf]) -> Result<(), Failure> {
    // From here on SIGCHLD waits until it is read.
    sys::reset_signals(&[libc::SIGCHLD]);
    if birth.root {
        sys::drop_groups().step("leave all groups")?;
    }
    sys::enter_namespace(birth.namespaces.user.as_fd(), libc::CLONE_NEWUSER).step("enter the user namespace")?;
    sys::become_ids(INSIDE_ID).step("change the user")?;
    sys::prctl(libc::PR_SET_SECUREBITS, SECURE_BITS).step("lock the secure bits")?;
    sys::drop_bounding_set().step("empty the bounding set")?;
    sys::drop_capabilities().step("drop capabilities")?;
    // A change of ids forgets both.
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).step("tie the sandbox to the spawner")?;
    sys::prctl(libc::PR_SET_DUMPABLE, 0).step("hide init's memory")?;
    sys::limit(libc::RLIMIT_CORE, CORE_BYTES).step("limit core files")?;
    no_new_privileges()?;
    crate::landlock::restrict(writable).step("restrict the file system by landlock")?;
    sys::load_seccomp(&crate::seccomp::filter(birth.memory_is_limited)).step("load the system-call filter")
}

fn no_new_privileges() -> Result<(), Failure> {
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).step("renounce new privileges")
}
