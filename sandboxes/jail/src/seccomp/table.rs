use libc::c_long;

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    /// Answered with this errno.
    Refuse(i32),
    /// Allowed when the argument has none of these bits.
    NoBits {
        argument: u32,
        bits: u32,
    },
    /// Allowed when the argument is one of these.
    OneOf {
        argument: u32,
        values: &'static [u32],
    },
    /// Allowed when it is not.
    NoneOf {
        argument: u32,
        values: &'static [u32],
    },
    /// Allowed by address family.
    Socket,
}

/// The first number that no kernel had when this table was made: programs that probe for something newer are told that
/// it is absent, and fall back.
const UNKNOWN_FROM: u32 = 471;

const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// The first number of each range with the range's verdict, ascending, without gaps.
pub(super) fn rules(memory_is_limited: bool) -> Vec<(u32, Verdict)> {
    let mut single: Vec<(u32, Verdict)> = Vec::new();
    let number = |call: &c_long| u32::try_from(*call).unwrap_or(u32::MAX);
    if !memory_is_limited {
        // The first verdict on a number counts.
        single.extend(UNOWNED_MEMORY.iter().map(|call| (number(call), Verdict::Refuse(libc::ENOSYS))));
    }
    single.extend(ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (number(call), Verdict::Allow)));
    single.extend(ABSENT.iter().map(|call| (number(call), Verdict::Refuse(libc::ENOSYS))));
    single.extend(CHECKED.iter().map(|(call, verdict)| (number(call), *verdict)));
    single.sort_by_key(|(number, _)| *number);
    single.dedup_by_key(|(number, _)| *number);

    let mut ranges: Vec<(u32, Verdict)> = Vec::new();
    let mut next = 0;
    let mut add = |from: u32, verdict: Verdict| {
        if ranges.last().is_none_or(|(_, last)| *last != verdict) {
            ranges.push((from, verdict));
        }
    };
    for (number, verdict) in single {
        if number > next {
            add(next, Verdict::Refuse(libc::EPERM));
        }
        add(number, verdict);
        next = number + 1;
    }
    if next < UNKNOWN_FROM {
        add(next, Verdict::Refuse(libc::EPERM));
    }
    add(next.max(UNKNOWN_FROM), Verdict::Refuse(libc::ENOSYS));
    ranges
}

const CHECKED: &[(c_long, Verdict)] = &[
    (libc::SYS_clone, Verdict::NoBits { argument: 0, bits: NAMESPACES }),
    (libc::SYS_socket, Verdict::Socket),
    // TIOCSTI and TIOCLINUX put input into a terminal.
    (libc::SYS_ioctl, Verdict::NoneOf { argument: 1, values: &[0x5412, 0x541C] }),
    // The limit of core files decides whether a crash starts a program of the host; see init/harden.rs.
    (libc::SYS_prlimit64, Verdict::NoneOf { argument: 1, values: &[libc::RLIMIT_CORE] }),
    (libc::SYS_setrlimit, Verdict::NoneOf { argument: 0, values: &[libc::RLIMIT_CORE] }),
    // Asking, and the ordinary one.
    (libc::SYS_personality, Verdict::OneOf { argument: 0, values: &[0, 0xFFFF_FFFF] }),
];

/// Answered as if the kernel did not have them, since programs try these and have another way. The flags of clone3 are
/// behind a pointer, where no filter sees them.
const ABSENT: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_memfd_secret,
];

/// Memory behind a descriptor or a key.
const UNOWNED_MEMORY: &[c_long] = &[libc::SYS_memfd_create, libc::SYS_shmget];

#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    // Files and directories.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64,
    libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_preadv2, libc::SYS_pwritev2, libc::SYS_openat, libc::SYS_openat2,
    libc::SYS_close, libc::SYS_close_range, libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_statfs,
    libc::SYS_fstatfs, libc::SYS_lseek, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_dup, libc::SYS_dup3,
    libc::SYS_fcntl, libc::SYS_flock, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_syncfs,
    libc::SYS_sync_file_range, libc::SYS_truncate, libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_fadvise64,
    libc::SYS_readahead, libc::SYS_getdents64, libc::SYS_getcwd, libc::SYS_chdir, libc::SYS_fchdir,
    libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_mkdirat, libc::SYS_linkat, libc::SYS_unlinkat,
    libc::SYS_symlinkat, libc::SYS_readlinkat, libc::SYS_mknodat, libc::SYS_fchmod, libc::SYS_fchmodat,
    libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_umask, libc::SYS_utimensat, libc::SYS_setxattr,
    libc::SYS_lsetxattr, libc::SYS_fsetxattr, libc::SYS_getxattr, libc::SYS_lgetxattr, libc::SYS_fgetxattr,
    libc::SYS_listxattr, libc::SYS_llistxattr, libc::SYS_flistxattr, libc::SYS_removexattr, libc::SYS_lremovexattr,
    libc::SYS_fremovexattr, libc::SYS_sendfile, libc::SYS_splice, libc::SYS_tee, libc::SYS_vmsplice,
    libc::SYS_copy_file_range, libc::SYS_inotify_init1, libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch,
    libc::SYS_memfd_create, 452 /* fchmodat2 */, 451 /* cachestat */,
    // Waiting.
    libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2, libc::SYS_eventfd2, libc::SYS_signalfd4, libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime, libc::SYS_timerfd_gettime, libc::SYS_pipe2,
    // Memory.
    libc::SYS_brk, libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_mremap, libc::SYS_msync,
    libc::SYS_mincore, libc::SYS_madvise, libc::SYS_mlock, libc::SYS_mlock2, libc::SYS_munlock, libc::SYS_mlockall,
    libc::SYS_munlockall, libc::SYS_membarrier, libc::SYS_pkey_alloc, libc::SYS_pkey_free, libc::SYS_pkey_mprotect,
    libc::SYS_get_mempolicy, libc::SYS_shmget, libc::SYS_shmat, libc::SYS_shmctl, libc::SYS_shmdt,
    453 /* map_shadow_stack */, 462 /* mseal */,
    // Processes and threads.
    libc::SYS_execve, libc::SYS_execveat, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_wait4, libc::SYS_waitid,
    libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_getpid, libc::SYS_getppid, libc::SYS_gettid,
    libc::SYS_getpgid, libc::SYS_setpgid, libc::SYS_getsid, libc::SYS_setsid, libc::SYS_getuid, libc::SYS_geteuid,
    libc::SYS_getgid, libc::SYS_getegid, libc::SYS_getresuid, libc::SYS_getresgid, libc::SYS_getgroups,
    libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setreuid, libc::SYS_setregid, libc::SYS_setresuid,
    libc::SYS_setresgid, libc::SYS_setfsuid, libc::SYS_setfsgid, libc::SYS_setgroups, libc::SYS_capget,
    libc::SYS_capset, libc::SYS_prctl, libc::SYS_seccomp, libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self, libc::SYS_getrlimit, libc::SYS_getrusage,
    libc::SYS_getpriority, libc::SYS_setpriority, libc::SYS_ioprio_get,
    libc::SYS_ioprio_set, libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_sched_setaffinity,
    libc::SYS_sched_getparam, libc::SYS_sched_setparam, libc::SYS_sched_getscheduler, libc::SYS_sched_setscheduler,
    libc::SYS_sched_get_priority_max, libc::SYS_sched_get_priority_min, libc::SYS_sched_rr_get_interval,
    libc::SYS_sched_getattr, libc::SYS_sched_setattr, libc::SYS_getcpu, libc::SYS_futex, libc::SYS_futex_waitv,
    libc::SYS_set_robust_list, libc::SYS_get_robust_list, libc::SYS_set_tid_address, libc::SYS_rseq,
    libc::SYS_restart_syscall, libc::SYS_pidfd_open, libc::SYS_pidfd_send_signal,
    // Signals and time.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo, libc::SYS_rt_sigsuspend,
    libc::SYS_sigaltstack, libc::SYS_nanosleep, libc::SYS_clock_nanosleep, libc::SYS_clock_gettime,
    libc::SYS_clock_getres, libc::SYS_gettimeofday, libc::SYS_times, libc::SYS_getitimer, libc::SYS_setitimer,
    libc::SYS_timer_create, libc::SYS_timer_settime, libc::SYS_timer_gettime, libc::SYS_timer_getoverrun,
    libc::SYS_timer_delete,
    // Sockets and messages.
    libc::SYS_socketpair, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4, libc::SYS_connect,
    libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_sendmsg,
    libc::SYS_recvmsg, libc::SYS_sendmmsg, libc::SYS_recvmmsg, libc::SYS_shutdown, libc::SYS_setsockopt,
    libc::SYS_getsockopt, libc::SYS_semget, libc::SYS_semop, libc::SYS_semtimedop, libc::SYS_semctl,
    libc::SYS_msgget, libc::SYS_msgsnd, libc::SYS_msgrcv, libc::SYS_msgctl, libc::SYS_mq_open, libc::SYS_mq_unlink,
    libc::SYS_mq_timedsend, libc::SYS_mq_timedreceive, libc::SYS_mq_notify, libc::SYS_mq_getsetattr,
    // The machine.
    libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_getrandom,
];

/// The older forms that this architecture still has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_HERE: &[c_long] = &[
    libc::SYS_open, libc::SYS_creat, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_poll,
    libc::SYS_select, libc::SYS_pipe, libc::SYS_dup2, libc::SYS_pause, libc::SYS_alarm, libc::SYS_fork,
    libc::SYS_vfork, libc::SYS_getdents, libc::SYS_rename, libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_link,
    libc::SYS_unlink, libc::SYS_symlink, libc::SYS_readlink, libc::SYS_mknod, libc::SYS_chmod, libc::SYS_chown,
    libc::SYS_lchown, libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat, libc::SYS_time, libc::SYS_getpgrp,
    libc::SYS_arch_prctl, libc::SYS_epoll_create, libc::SYS_epoll_wait, libc::SYS_inotify_init, libc::SYS_eventfd,
    libc::SYS_signalfd,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[c_long] = &[];
