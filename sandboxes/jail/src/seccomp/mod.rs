//! The system-call filter: a table of verdicts, made into a balanced tree of comparisons.
//!
//! The kernel tries a filter for every system call when it is loaded, at some two microseconds for each instruction on
//! the way; a tree has nine on the way where a list has hundreds.

mod table;

use libc::{sock_filter, sock_fprog};

use table::{Verdict, rules};

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Offsets in `struct seccomp_data`. Arguments are 64 bits wide, the lower half first on the machines we run on.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const fn argument(n: u32) -> u32 {
    16 + 8 * n
}

#[cfg(target_arch = "x86_64")]
const THIS_ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const THIS_ARCHITECTURE: u32 = 0xC000_00B7;

/// The filter of all sandboxes. Where the kernel does not limit their memory, without the calls that make memory which
/// belongs to no process, and so is seen by nobody.
pub(crate) fn filter(memory_is_limited: bool) -> Vec<sock_filter> {
    let mut program = vec![
        step(LOAD, ARCHITECTURE, 0, 0),
        step(EQUAL, THIS_ARCHITECTURE, 1, 0),
        step(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        step(LOAD, NUMBER, 0, 0),
    ];
    program.extend(tree(&rules(memory_is_limited)));
    debug_assert!(program.len() < usize::from(sock_fprog_max()));
    program
}

const fn sock_fprog_max() -> u16 {
    let _: Option<sock_fprog> = None;
    4096
}

const fn step(code: u16, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code, jt: yes, jf: no, k }
}

/// `rules` are the first numbers of the ranges, ascending from 0, each with its verdict.
fn tree(rules: &[(u32, Verdict)]) -> Vec<sock_filter> {
    if let [(_, verdict)] = rules {
        return leaf(*verdict);
    }
    let (below, above) = rules.split_at(rules.len() / 2);
    let (left, right) = (tree(below), tree(above));
    let from = above[0].0;
    let mut out = match u8::try_from(left.len()) {
        Ok(skip) => vec![step(AT_LEAST, from, skip, 0)],
        // A conditional jump reaches 255 instructions, an unconditional one all.
        Err(_) => vec![step(AT_LEAST, from, 0, 1), step(JUMP, left.len() as u32, 0, 0)],
    };
    out.extend(left);
    out.extend(right);
    out
}

fn refuse(errno: i32) -> sock_filter {
    step(RETURN, libc::SECCOMP_RET_ERRNO | errno as u32, 0, 0)
}

fn leaf(verdict: Verdict) -> Vec<sock_filter> {
    let allow = step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0);
    match verdict {
        Verdict::Allow => vec![allow],
        Verdict::Refuse(errno) => vec![refuse(errno)],
        Verdict::NoBits { argument: n, bits } => {
            vec![step(LOAD, argument(n), 0, 0), step(ANY_BIT, bits, 0, 1), refuse(libc::EPERM), allow]
        }
        Verdict::OneOf { argument: n, values } => listed(n, values, allow, refuse(libc::EPERM)),
        Verdict::NoneOf { argument: n, values } => listed(n, values, refuse(libc::EPERM), allow),
        Verdict::Socket => socket(allow),
    }
}

fn listed(n: u32, values: &[u32], hit: sock_filter, miss: sock_filter) -> Vec<sock_filter> {
    let mut out = vec![step(LOAD, argument(n), 0, 0)];
    for (turn, value) in values.iter().enumerate() {
        out.push(step(EQUAL, *value, (values.len() - turn) as u8, 0));
    }
    out.extend([miss, hit]);
    out
}

/// Unix and internet sockets; of netlink only what lists the own addresses.
fn socket(allow: sock_filter) -> Vec<sock_filter> {
    vec![
        step(LOAD, argument(0), 0, 0),
        step(EQUAL, libc::AF_UNIX as u32, 5, 0),
        step(EQUAL, libc::AF_INET as u32, 4, 0),
        step(EQUAL, libc::AF_INET6 as u32, 3, 0),
        step(EQUAL, libc::AF_NETLINK as u32, 0, 3),
        step(LOAD, argument(2), 0, 0),
        step(EQUAL, libc::NETLINK_ROUTE as u32, 0, 1),
        allow,
        refuse(libc::EAFNOSUPPORT),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the kernel does with a filter, as far as ours goes.
    fn run(program: &[sock_filter], architecture: u32, number: u32, arguments: [u32; 6]) -> (u32, usize) {
        let (mut at, mut value, mut steps) = (0, 0, 0);
        loop {
            let now = program[at];
            at += 1;
            steps += 1;
            let jump = |yes: bool| usize::from(if yes { now.jt } else { now.jf });
            match now.code {
                LOAD => {
                    value = match now.k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        offset => arguments[(offset as usize - 16) / 8],
                    }
                }
                EQUAL => at += jump(value == now.k),
                AT_LEAST => at += jump(value >= now.k),
                ANY_BIT => at += jump(value & now.k != 0),
                JUMP => at += now.k as usize,
                RETURN => return (now.k, steps),
                other => panic!("unknown instruction {other}"),
            }
        }
    }

    fn expected(number: u32, arguments: [u32; 6]) -> u32 {
        let refused = |errno: i32| libc::SECCOMP_RET_ERRNO | errno as u32;
        let rules = rules(true);
        let (_, verdict) = rules[rules.partition_point(|(from, _)| *from <= number) - 1];
        let allowed = match verdict {
            Verdict::Allow => true,
            Verdict::Refuse(errno) => return refused(errno),
            Verdict::NoBits { argument, bits } => arguments[argument as usize] & bits == 0,
            Verdict::OneOf { argument, values } => values.contains(&arguments[argument as usize]),
            Verdict::NoneOf { argument, values } => !values.contains(&arguments[argument as usize]),
            Verdict::Socket => {
                let domain = arguments[0] as i32;
                let plain = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6].contains(&domain);
                if plain || (domain == libc::AF_NETLINK && arguments[2] == 0) {
                    return libc::SECCOMP_RET_ALLOW;
                }
                return refused(libc::EAFNOSUPPORT);
            }
        };
        if allowed { libc::SECCOMP_RET_ALLOW } else { refused(libc::EPERM) }
    }

    fn arguments() -> impl Strategy<Value = [u32; 6]> {
        let one = prop_oneof![
            0u32..20,
            any::<u32>(),
            Just(libc::CLONE_NEWUSER as u32),
            Just(0x5412),
            Just(0x541C),
            Just(u32::MAX)
        ];
        proptest::array::uniform6(one)
    }

    proptest! {
        #[test]
        fn the_tree_says_what_the_table_says(number in prop_oneof![0u32..700, any::<u32>()], arguments in arguments()) {
            let (got, steps) = run(&filter(true), THIS_ARCHITECTURE, number, arguments);
            prop_assert_eq!(got, expected(number, arguments));
            prop_assert!(steps <= 32, "{} steps", steps);
        }
    }

    #[test]
    fn another_architecture_is_killed() {
        assert_eq!(run(&filter(true), 0x4000_0003, 1, [0; 6]).0, libc::SECCOMP_RET_KILL_PROCESS);
    }

    #[test]
    fn what_must_be_refused_is() {
        let refused = [
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_ptrace,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_clone3,
            libc::SYS_open_by_handle_at,
            libc::SYS_quotactl,
            libc::SYS_swapon,
            libc::SYS_reboot,
            libc::SYS_move_mount,
            libc::SYS_fsopen,
            libc::SYS_fsmount,
            libc::SYS_open_tree,
            libc::SYS_mount_setattr,
            libc::SYS_process_vm_readv,
            libc::SYS_pidfd_getfd,
            libc::SYS_chroot,
            libc::SYS_sethostname,
            libc::SYS_settimeofday,
            libc::SYS_clock_settime,
            libc::SYS_syslog,
        ];
        for number in refused {
            let verdict = run(&filter(true), THIS_ARCHITECTURE, number as u32, [0; 6]).0;
            assert_eq!(verdict & libc::SECCOMP_RET_ACTION_FULL, libc::SECCOMP_RET_ERRNO, "system call {number}");
        }
    }

    #[test]
    fn memory_that_nobody_sees_is_made_only_where_the_kernel_counts_it() {
        for number in [libc::SYS_memfd_create, libc::SYS_shmget] {
            for (limited, verdict) in
                [(true, libc::SECCOMP_RET_ALLOW), (false, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32)]
            {
                assert_eq!(run(&filter(limited), THIS_ARCHITECTURE, number as u32, [0; 6]).0, verdict);
            }
        }
    }

    #[test]
    fn the_limit_of_core_files_stays() {
        let core = libc::RLIMIT_CORE;
        for (number, arguments) in
            [(libc::SYS_prlimit64, [0, core, 1, 0, 0, 0]), (libc::SYS_setrlimit, [core, 1, 0, 0, 0, 0])]
        {
            let verdict = run(&filter(true), THIS_ARCHITECTURE, number as u32, arguments).0;
            assert_eq!(verdict, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
        }
    }
}
