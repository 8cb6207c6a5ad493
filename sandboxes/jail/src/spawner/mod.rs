//! The process that makes sandboxes.
//!
//! It has one thread and waits in one place. It clones each sandbox's first process, puts limits around it, and clears
//! up after it; the sandbox itself talks to the node directly. When the node's socket closes it ends everything.

mod live;
mod place;
mod probe;
mod uids;

use std::os::fd::{AsFd, OwnedFd};

use crate::init::{Failure, Step};
use crate::sys;
use crate::wire::{self, FromSpawner, Setup, ToSpawner};

pub(crate) use place::Namespaces;

/// Serves the node on standard input, a socket, until it closes; then ends everything and exits. To be called first
/// thing in `main`, before any thread is started.
pub fn main() -> ! {
    let status = match serve() {
        Ok(()) => 0,
        Err(Failure { step, reason }) => {
            eprintln!("dormouse spawner: {step}: {reason}");
            1
        }
    };
    sys::exit_now(status)
}

fn serve() -> Result<(), Failure> {
    // Signals of the terminal and of the service manager are for the node, which ends its sandboxes in order.
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
        sys::ignore_signal(signal);
    }
    // Fails only where it has been done already.
    let _ = rustix::process::setsid();
    sys::close_all_but(Vec::new());
    let socket = sys::duplicate_above(std::io::stdin().as_fd(), 3).step("take the node's socket")?;
    let null = std::fs::File::open("/dev/null").step("open /dev/null")?;
    sys::place(null.as_fd(), 0).step("let standard input go")?;

    let Some((ToSpawner::Setup(setup), fds)) = wire::receive(&socket).step("wait for the settings")? else {
        return Err("the node did not say").step("wait for the settings");
    };
    // The lock of the state directory, held until this process has ended as well.
    let _lock: Vec<OwnedFd> = fds;
    if !setup.root {
        outer_user_namespace()?;
    }
    let layers = probe::layers(&setup);
    wire::send(&socket, &FromSpawner::Hello { layers: layers.clone() }, &[]).step("greet the node")?;
    let tmp_on_disk = layers.iter().any(|layer| layer.name == "tmp-on-disk" && layer.state.holds());
    live::Sandboxes::new(setup, socket, tmp_on_disk)?.serve()
}

/// Without root: the one user namespace in which all sandboxes are made. Its only id is the node's own.
fn outer_user_namespace() -> Result<(), Failure> {
    let step = "make the outer user namespace";
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).step(step)?;
    std::fs::write("/proc/self/setgroups", "deny").step(step)?;
    std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).step(step)?;
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).step(step)?;
    crate::init::private_mounts()
}

/// The id that a sandbox's program has outside, in the terms of the user namespace that the spawner is in.
fn outside_id(setup: &Setup, slot: u32) -> u32 {
    if setup.root { setup.uid_base + slot } else { 0 }
}
