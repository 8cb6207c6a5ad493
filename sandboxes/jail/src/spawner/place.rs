use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use super::outside_id;
use super::uids::Slots;
use crate::init::{self, Failure, Step};
use crate::sys;
use crate::wire::Setup;

/// The namespaces of a sandbox that do not depend on what it is for.
const KINDS: [(&str, i32); 3] = [
    ("/proc/self/ns/net", libc::CLONE_NEWNET),
    ("/proc/self/ns/ipc", libc::CLONE_NEWIPC),
    ("/proc/self/ns/uts", libc::CLONE_NEWUTS),
];

/// What a sandbox is made in, fresh for each: an id outside, and namespaces.
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) namespaces: Namespaces,
}

/// Namespaces that nobody is in yet.
pub(crate) struct Namespaces {
    /// Its one id leads to the id outside.
    pub(crate) user: OwnedFd,
    /// Network, with its loopback up, System V IPC, and host name.
    pub(crate) others: Vec<(OwnedFd, i32)>,
}

/// Makes places.
pub(super) struct Places {
    slots: Slots,
    /// The spawner's own namespaces, to come back to; none before the first place.
    home: Vec<(OwnedFd, i32)>,
    ahead: Option<Place>,
}

impl Places {
    pub(super) fn new(setup: &Setup) -> Self {
        Self { slots: Slots::new(setup.uid_count), home: Vec::new(), ahead: None }
    }

    /// Whether one can be made now for the next sandbox.
    pub(super) fn wants(&self) -> bool {
        self.ahead.is_none() && self.slots.any()
    }

    /// Makes one for the next sandbox.
    pub(super) fn make_ahead(&mut self, setup: &Setup) {
        // Who needs one and finds none makes it, and is told why that fails.
        self.ahead = self.make(setup).ok();
    }

    /// The one that was made ahead, or a new one.
    pub(super) fn take(&mut self, setup: &Setup) -> Result<Place, Failure> {
        self.ahead.take().map_or_else(|| self.make(setup), Ok)
    }

    /// For a place whose sandbox has ended, or was not made.
    pub(super) fn give_back(&mut self, slot: u32) {
        self.slots.give_back(slot);
    }

    fn make(&mut self, setup: &Setup) -> Result<Place, Failure> {
        let slot = self.slots.take().ok_or("every user id is taken by a live sandbox").step("make a sandbox")?;
        let made = init::make_user_namespace(outside_id(setup, slot))
            .and_then(|user| Ok(Namespaces { user, others: self.make_others()? }));
        match made {
            Ok(namespaces) => Ok(Place { slot, namespaces }),
            Err(failure) => {
                self.slots.give_back(slot);
                Err(failure)
            }
        }
    }

    /// Goes there and comes back.
    fn make_others(&mut self) -> Result<Vec<(OwnedFd, i32)>, Failure> {
        if self.home.is_empty() {
            // The host's would let nobody back in who is not root there; the spawner has no need of them.
            leave()?;
            self.home = open()?;
        }
        leave()?;
        let made = init::loopback_up().step("bring the loopback up").and_then(|()| open());
        for (namespace, kind) in &self.home {
            if sys::enter_namespace(namespace.as_fd(), *kind).is_err() {
                // In a stranger's namespace nothing can be made; without the spawner all ends in order.
                eprintln!("dormouse spawner: its own namespaces cannot be entered again");
                sys::exit_now(1);
            }
        }
        made
    }
}

fn leave() -> Result<(), Failure> {
    let flags = KINDS.iter().fold(0, |flags, (_, kind)| flags | kind);
    sys::unshare(flags).step("make namespaces")
}

fn open() -> Result<Vec<(OwnedFd, i32)>, Failure> {
    let open = |(path, kind): &(&str, i32)| Ok((File::open(path).step("open a namespace")?.into(), *kind));
    KINDS.iter().map(open).collect()
}
