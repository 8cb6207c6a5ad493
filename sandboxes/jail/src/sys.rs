//! System calls that no crate offers in the form needed here. Everything unsafe of this crate is in this file.
#![allow(unsafe_code)]

use std::ffi::{CString, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The one flag that does not fit the type that the others have.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What [`clone_process`] gave: which side of it this is.
pub(crate) enum Cloned {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Forks with namespace flags, straight into a version 2 cgroup when one is given. The process must be single-threaded.
pub(crate) fn clone_process(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    // SAFETY: all-zero is a valid clone_args; every field is an integer.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child has its own copy of the memory; the caller is single-threaded, so no lock is
    // held by a thread that the child lacks. `args` outlives the call.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: the kernel wrote a new descriptor that nobody else owns.
    Ok(Cloned::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
}

/// A plain fork of a single-threaded process.
pub(crate) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: as for clone_process: single-threaded, own copy of the memory.
    let pid = check(unsafe { libc::fork() }.into())?;
    Ok((pid != 0).then_some(pid as i32))
}

/// Ends this process at once, without running anything on the way.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

/// `mount_setattr` on a mount, or on a tree of them.
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, recursive: bool, set: u64, propagation: u64) -> io::Result<()> {
    // SAFETY: all-zero is a valid mount_attr; every field is an integer.
    let mut attr: libc::mount_attr = unsafe { std::mem::zeroed() };
    attr.attr_set = set;
    attr.propagation = propagation;
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a valid empty C string and `attr` outlives the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })?;
    Ok(())
}

/// A bare `prctl` with integer arguments.
pub(crate) fn prctl(option: i32, value: u64) -> io::Result<()> {
    // SAFETY: only called with options whose arguments are integers.
    check(unsafe { libc::prctl(option, value, 0u64, 0u64, 0u64) }.into())?;
    Ok(())
}

/// Sets all three user and group ids of this thread.
pub(crate) fn become_ids(id: u32) -> io::Result<()> {
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, id, id, id) })?;
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, id, id, id) })?;
    Ok(())
}

/// Forgets all supplementary groups.
pub(crate) fn drop_groups() -> io::Result<()> {
    // SAFETY: a length of zero makes the pointer unused.
    check(unsafe { libc::syscall(libc::SYS_setgroups, 0usize, std::ptr::null::<u32>()) })?;
    Ok(())
}

/// Empties the effective, permitted and inheritable capability sets.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let data = [0u32; 6];
    // SAFETY: the layouts are those of __user_cap_header_struct and two __user_cap_data_struct; both outlive the call.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) })?;
    Ok(())
}

/// Installs a filter for this thread and what it starts.
pub(crate) fn load_seccomp(program: &[libc::sock_filter]) -> io::Result<()> {
    const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;
    let len = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let fprog = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: `fprog` names `len` instructions that outlive the call; the kernel only reads them.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const fprog) })?;
    Ok(())
}

/// Closes every descriptor from 3 on that is not in `keep`, which is sorted here.
pub(crate) fn close_all_but(mut keep: Vec<RawFd>) {
    keep.sort_unstable();
    let mut from: u32 = 3;
    for fd in keep.into_iter().filter_map(|fd| u32::try_from(fd).ok()) {
        if fd > from {
            close_range(from, fd - 1);
        }
        from = from.max(fd + 1);
    }
    close_range(from, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: the callers are about to forget, never to drop, everything that owned these descriptors.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

/// Makes `fd` be `number` in this process, inherited by what it executes.
pub(crate) fn place(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: dup2 onto a number whose former owner, if any, is forgotten by the caller.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into())?;
    Ok(())
}

/// A duplicate above `floor`, closed on exec.
pub(crate) fn duplicate_above(fd: BorrowedFd<'_>, floor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain integers; the result is a new descriptor that nobody else owns.
    let new = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, floor) }.into())?;
    // SAFETY: see above.
    Ok(unsafe { OwnedFd::from_raw_fd(new as RawFd) })
}

/// Executes a program; returns only when that failed.
pub(crate) fn execute(program: &CString, argv: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays end in null and the strings outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Gives every signal its default meaning and unblocks all but those in `blocked`.
pub(crate) fn reset_signals(blocked: &[i32]) {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is a valid disposition; numbers that cannot be set are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    set_blocked(blocked);
}

/// Blocks exactly these signals.
pub(crate) fn set_blocked(blocked: &[i32]) {
    // SAFETY: the set is initialised by sigemptyset before it is read.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in blocked {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Ignores a signal.
pub(crate) fn ignore_signal(signal: i32) {
    // SAFETY: SIG_IGN is a valid disposition.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// A descriptor that becomes readable when SIGCHLD, which must be blocked, arrives.
pub(crate) fn child_signal_fd() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset; the descriptor is new.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Reaps one ended child, if there is one: its pid and its status as `waitpid` gives it.
pub(crate) fn reap(pid: i32, wait: bool) -> Option<(i32, i32)> {
    let mut status = 0;
    let flags = if wait { 0 } else { libc::WNOHANG };
    loop {
        // SAFETY: `status` outlives the call.
        let reaped = unsafe { libc::waitpid(pid, &raw mut status, flags) };
        if reaped < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
            continue;
        }
        return (reaped > 0).then_some((reaped, status));
    }
}

/// Sends a signal; -1 means every process that the caller can see, except itself and the init of its namespace.
pub(crate) fn signal(pid: i32, number: i32) -> io::Result<()> {
    // SAFETY: plain integers.
    check(unsafe { libc::kill(pid, number) }.into())?;
    Ok(())
}

/// Sets a resource limit, soft and hard.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `limit` outlives the call.
    check(unsafe { libc::setrlimit(resource, &raw const limit) }.into())?;
    Ok(())
}

/// Brings the loopback interface of this network namespace up, by any socket in it.
pub(crate) fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into())?;
    Ok(())
}

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

#[repr(C)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

/// The number of a loop device that is free just now.
pub(crate) fn free_loop(control: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: the request has no argument.
    let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) }.into())?;
    Ok(number as u32)
}

/// Attaches a file to a loop device; the device frees itself when its last user is gone. EBUSY when someone was faster.
pub(crate) fn configure_loop(device: BorrowedFd<'_>, file: BorrowedFd<'_>, label: &str) -> io::Result<()> {
    // SAFETY: all-zero is a valid loop_config; every field is an integer.
    let mut config: LoopConfig = unsafe { std::mem::zeroed() };
    config.fd = file.as_raw_fd() as u32;
    config.info.flags = LO_FLAGS_AUTOCLEAR;
    for (to, from) in config.info.file_name.iter_mut().zip(label.bytes().take(63)) {
        *to = from;
    }
    // SAFETY: the layout is that of struct loop_config and it outlives the call.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) }.into())?;
    Ok(())
}

/// The last capability that this kernel knows is at most this.
const CAPABILITY_LAST: u64 = 63;

/// Empties the bounding set. Needs CAP_SETPCAP in the current user namespace.
pub(crate) fn drop_bounding_set() -> io::Result<()> {
    for capability in 0..=CAPABILITY_LAST {
        match prctl(libc::PR_CAPBSET_DROP, capability) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            other => other?,
        }
    }
    Ok(())
}

/// Enters a namespace by a descriptor of it.
pub(crate) fn enter_namespace(fd: BorrowedFd<'_>, kind: i32) -> io::Result<()> {
    // SAFETY: plain integers; the process is single-threaded.
    check(unsafe { libc::setns(fd.as_raw_fd(), kind) }.into())?;
    Ok(())
}

/// Leaves namespaces for new ones.
pub(crate) fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: plain integers; the process is single-threaded and CLONE_FILES is never among the flags.
    check(unsafe { libc::unshare(flags) }.into())?;
    Ok(())
}

/// Makes a pidfd's process receive SIGKILL.
pub(crate) fn kill_pidfd(pidfd: impl AsFd) -> io::Result<()> {
    let none = std::ptr::null::<c_void>();
    // SAFETY: a null siginfo is allowed.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), libc::SIGKILL, none, 0) })?;
    Ok(())
}

/// Ticks of CPU time in /proc per second.
pub(crate) fn clock_ticks() -> u64 {
    // SAFETY: no preconditions.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1)
}

/// Has the async runtime wait for a descriptor.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is the same open descriptor from here until it is dropped, which AsyncFd does last.
    Ok(unsafe { tokio::io::unix::AsyncFd::register(fd) }?)
}

/// Stands still for a moment. Only in processes without an async runtime, and on threads that may block.
#[expect(clippy::disallowed_methods, reason = "no task waits behind these threads")]
pub(crate) fn pause(duration: std::time::Duration) {
    std::thread::sleep(duration);
}
