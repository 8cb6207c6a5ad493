//! Tries each layer out, in a process of its own that may be spoilt.

use std::io::{Read, Write};
use std::os::fd::AsFd;

use crate::cgroup::Hierarchy;
use crate::disk;
use crate::init;
use crate::landlock::{Enforced, restrict};
use crate::layers::{Layer, LayerState};
use crate::sys::{self, Cloned};
use crate::wire::Setup;
use crate::{PROBE_TMP_MB, Plan};

const NAMESPACE_REMEDY: &str = "allow namespaces to ordinary users (sysctl user.max_user_namespaces above 0, \
     kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0), or run as root";
const CGROUP_REMEDY: &str = "run as root, or as a systemd service with Delegate=yes on cgroup version 2";

/// Every layer, in the order of the documentation.
pub(super) fn layers(setup: &Setup) -> Vec<Layer> {
    let mut layers = Vec::with_capacity(16);
    let mut add = |name: &str, state: LayerState, remedy: &str| {
        let remedy = (!state.holds()).then(|| remedy.to_owned());
        layers.push(Layer { name: name.to_owned(), state, remedy });
    };
    let outside = super::outside_id(setup, 0);
    let user = attempt(0, || init::try_user_namespace(outside).map_err(|f| format!("{}: {}", f.step, f.reason)));
    add("user-namespace", held(user), NAMESPACE_REMEDY);
    add("mount-namespace", held(attempt(libc::CLONE_NEWPID, mount_namespace)), NAMESPACE_REMEDY);
    add("pid-namespace", held(attempt(libc::CLONE_NEWPID, pid_namespace)), NAMESPACE_REMEDY);
    add("ipc-namespace", held(attempt(0, || unshare(libc::CLONE_NEWIPC))), NAMESPACE_REMEDY);
    add("uts-namespace", held(attempt(0, || unshare(libc::CLONE_NEWUTS))), NAMESPACE_REMEDY);
    add("network-namespace", held(attempt(0, network_namespace)), NAMESPACE_REMEDY);
    add("cgroup-namespace", held(attempt(0, || unshare(libc::CLONE_NEWCGROUP))), NAMESPACE_REMEDY);
    add("seccomp", held(attempt(0, seccomp)), "use a kernel with CONFIG_SECCOMP_FILTER");
    let landlock_remedy = "use a kernel from 6.12 on with landlock among its lsm= modules";
    add("landlock", landlock(), landlock_remedy);
    add("no-new-privileges", held(attempt(0, no_new_privileges)), "use a kernel from 5.15 on");
    add("own-uid", own_uid(setup.root), "run as root: each sandbox then has a user id of its own on the host");
    limits(setup, &mut add);
    add("tmp-on-disk", tmp_on_disk(setup), "run as root on a host with loop devices, ext4 and mkfs.ext4 (e2fsprogs)");
    layers
}

/// Runs something in a child, which says what went wrong.
fn attempt(flags: i32, try_it: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let (said, say) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| e.to_string())?;
    match sys::clone_process(flags as u64, None).map_err(|e| e.to_string())? {
        Cloned::Child => {
            let answer = try_it().err().unwrap_or_else(|| "held".to_owned());
            let _ = std::fs::File::from(say).write_all(answer.as_bytes());
            sys::exit_now(0)
        }
        Cloned::Parent { pid, .. } => {
            drop(say);
            let mut answer = String::new();
            let read = std::fs::File::from(said).read_to_string(&mut answer);
            sys::reap(pid, true);
            match read {
                Ok(_) if answer == "held" => Ok(()),
                Ok(_) if answer.is_empty() => Err("the attempt was killed".to_owned()),
                Ok(_) => Err(answer),
                Err(error) => Err(error.to_string()),
            }
        }
    }
}

fn held(result: Result<(), String>) -> LayerState {
    match result {
        Ok(()) => LayerState::Holds,
        Err(reason) => LayerState::Missing(reason),
    }
}

fn unshare(flags: i32) -> Result<(), String> {
    sys::unshare(flags).map_err(|error| error.to_string())
}

fn mount_namespace() -> Result<(), String> {
    unshare(libc::CLONE_NEWNS)?;
    init::private_mounts().map_err(|failure| failure.reason)?;
    let fs = rustix::mount::fsopen("proc", rustix::mount::FsOpenFlags::FSOPEN_CLOEXEC).map_err(|e| e.to_string())?;
    rustix::mount::fsconfig_create(&fs).map_err(|error| format!("a /proc of its own: {error}"))
}

fn pid_namespace() -> Result<(), String> {
    if rustix::process::getpid().is_init() { Ok(()) } else { Err("the first process is not number 1".to_owned()) }
}

fn network_namespace() -> Result<(), String> {
    unshare(libc::CLONE_NEWNET)?;
    init::loopback_up().map_err(|error| error.to_string())
}

fn no_new_privileges() -> Result<(), String> {
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(|error| error.to_string())
}

/// That the filter is taken, and that it refuses what this process is otherwise allowed.
fn seccomp() -> Result<(), String> {
    no_new_privileges()?;
    sys::load_seccomp(&crate::seccomp::filter(true)).map_err(|error| error.to_string())?;
    match sys::unshare(libc::CLONE_NEWUTS) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(()),
        _ => Err("the filter was loaded but did not refuse".to_owned()),
    }
}

fn landlock() -> LayerState {
    let outcome = attempt(0, || {
        no_new_privileges()?;
        match restrict(&[]).map_err(|error| error.to_string())? {
            Enforced::Fully => Ok(()),
            Enforced::Partly => Err("partly".to_owned()),
            Enforced::Not => Err("the kernel has no landlock, or it is not switched on".to_owned()),
        }
    });
    match outcome {
        Err(reason) if reason == "partly" => {
            LayerState::Weaker("the kernel knows some of the rights only; files are protected".to_owned())
        }
        other => held(other),
    }
}

fn own_uid(root: bool) -> LayerState {
    if root {
        return LayerState::Holds;
    }
    LayerState::Weaker("all sandboxes run under the node's own user, kept apart by their namespaces".to_owned())
}

fn limits(setup: &Setup, add: &mut impl FnMut(&str, LayerState, &str)) {
    let made = setup.cgroups.make(&Plan::probe());
    let refused = match (&made, &setup.cgroups) {
        (Err(error), _) => Some(error.to_string()),
        (_, Hierarchy::None { why }) => Some(why.clone()),
        _ => None,
    };
    if let Ok(Some(cgroup)) = made {
        cgroup.remove();
    }
    let instead = [
        ("memory-limit", "memory", Some("resident memory is watched, and the sandbox killed when there is too much")),
        ("cpu-limit", "cpu", None),
        ("pids-limit", "pids", Some("a resource limit of the sandbox's own user namespace")),
        ("freezer", "freezer", Some("SIGSTOP and SIGCONT to everything in the sandbox")),
    ];
    for (name, controller, other) in instead {
        let state = match (&refused, other) {
            (None, _) if setup.cgroups.has(controller) => LayerState::Holds,
            (_, Some(other)) => LayerState::Weaker(other.to_owned()),
            (Some(why), None) => LayerState::Missing(why.clone()),
            (None, None) => LayerState::Missing(format!("there is no {controller} controller here")),
        };
        add(name, state, CGROUP_REMEDY);
    }
}

fn tmp_on_disk(setup: &Setup) -> LayerState {
    let weaker = |why: String| LayerState::Weaker(format!("/tmp is in memory, up to the size that it may have: {why}"));
    if !setup.root {
        return weaker("only root may mount a disk image".to_owned());
    }
    let outcome = attempt(0, || {
        let mounted = disk::mount_empty(&setup.state_dir, PROBE_TMP_MB);
        mounted.map(|fd| drop(fd.as_fd().try_clone_to_owned())).map_err(|f| format!("{}: {}", f.step, f.reason))
    });
    outcome.map_or_else(weaker, |()| LayerState::Holds)
}
