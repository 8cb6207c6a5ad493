use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::fs::{Mode, OFlags};

use super::outside_id;
use super::place::{Place, Places};
use crate::cgroup::{Meters, SandboxCgroup};
use crate::init::{self, Birth, Failure, Step};
use crate::running::Usage;
use crate::sys::{self, Cloned};
use crate::wire::{self, FromSpawner, Setup, ToSpawner};
use crate::{Mount, Plan};

/// How long a cgroup may refuse to be removed after its last process has ended.
const REMOVAL_MAX: Duration = Duration::from_secs(5);
const REMOVAL_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
/// The start of one sandbox is let pass before something is made ahead for the next.
const AHEAD_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// What woke the spawner; the two lowest bits of a number that the kernel keeps, above them the sandbox's.
const NODE: u64 = 0;
const ENDED: u64 = 1;
const MEMORY_OUT: u64 = 2;

pub(super) struct Sandboxes {
    setup: Setup,
    socket: OwnedFd,
    tmp_on_disk: bool,
    events: OwnedFd,
    places: Places,
    alive: HashMap<u64, Alive>,
    leaving: Vec<Leaving>,
}

struct Alive {
    pid: i32,
    pidfd: OwnedFd,
    cgroup: Option<SandboxCgroup>,
    oom_signal: Option<OwnedFd>,
    out_of_memory: bool,
    slot: u32,
}

/// Its processes have ended, its cgroups are not all gone.
struct Leaving {
    id: u64,
    cgroup: SandboxCgroup,
    since: Instant,
    out_of_memory: bool,
    usage: Usage,
}

impl Sandboxes {
    pub(super) fn new(setup: Setup, socket: OwnedFd, tmp_on_disk: bool) -> Result<Self, Failure> {
        let events = epoll::create(epoll::CreateFlags::CLOEXEC).step("make an event queue")?;
        epoll::add(&events, &socket, epoll::EventData::new_u64(NODE), epoll::EventFlags::IN).step("watch the node")?;
        let places = Places::new(&setup);
        Ok(Self { setup, socket, tmp_on_disk, events, places, alive: HashMap::new(), leaving: Vec::new() })
    }

    /// Until the node is gone and everything with it.
    pub(super) fn serve(mut self) -> Result<(), Failure> {
        let mut node_lives = true;
        let mut batch = Vec::with_capacity(64);
        while node_lives || !self.alive.is_empty() || !self.leaving.is_empty() {
            let wants_place = node_lives && self.places.wants();
            let pause = match self.leaving.is_empty() {
                false => Some(&REMOVAL_PAUSE),
                true => wants_place.then_some(&AHEAD_PAUSE),
            };
            batch.clear();
            match epoll::wait(&self.events, rustix::buffer::spare_capacity(&mut batch), pause) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).step("wait"),
            }
            if batch.is_empty() && self.leaving.is_empty() && wants_place {
                self.places.make_ahead(&self.setup);
            }
            for event in &batch {
                let number = event.data.u64();
                match number & 3 {
                    ENDED => self.ended(number >> 2),
                    MEMORY_OUT => self.memory_out(number >> 2),
                    _ if self.obey() => {}
                    _ => {
                        node_lives = false;
                        let _ = epoll::delete(&self.events, &self.socket);
                        self.kill_all();
                    }
                }
            }
            self.leave();
        }
        for base in self.setup.cgroups.bases() {
            let _ = std::fs::remove_dir(base);
        }
        Ok(())
    }

    /// Does what the node asks; `false` when the node is gone.
    fn obey(&mut self) -> bool {
        match wire::receive(&self.socket) {
            Ok(Some((ToSpawner::Make { id, plan }, fds))) => {
                let mut fds = fds.into_iter();
                let made = match fds.next() {
                    Some(socket) => self.make(id, *plan, socket, fds.next()),
                    None => Err("a socket is missing").step("make a sandbox"),
                };
                if let Err(Failure { step, reason }) = made {
                    self.tell(&FromSpawner::Failed { id, step, reason }, &[]);
                }
                true
            }
            Ok(Some((ToSpawner::Trees { id, mounts }, _))) => {
                self.trees(id, &mounts);
                true
            }
            Ok(Some((ToSpawner::Setup(_), _))) | Ok(None) | Err(_) => false,
        }
    }

    /// A node that cannot be told any more closes its socket, which is noticed where it is read.
    fn tell(&self, message: &FromSpawner, fds: &[BorrowedFd<'_>]) {
        let _ = wire::send(&self.socket, message, fds);
    }

    fn make(&mut self, id: u64, plan: Plan, socket: OwnedFd, disk: Option<OwnedFd>) -> Result<(), Failure> {
        let place = self.places.take(&self.setup)?;
        let slot = place.slot;
        let cgroup =
            self.setup.cgroups.make(&plan).step("make the cgroup").inspect_err(|_| self.places.give_back(slot))?;
        match self.clone_init(plan, socket, disk, cgroup.as_ref(), place) {
            Ok((pid, pidfd)) => {
                let oom_signal = cgroup.as_ref().and_then(SandboxCgroup::oom_signal);
                let watch = |fd: BorrowedFd<'_>, what: u64| {
                    epoll::add(&self.events, fd, epoll::EventData::new_u64(id << 2 | what), epoll::EventFlags::IN)
                };
                let watched = watch(pidfd.as_fd(), ENDED);
                if let Some(signal) = &oom_signal {
                    let _ = watch(signal.as_fd(), MEMORY_OUT);
                }
                self.tell(&FromSpawner::Made { id, pid, cgroup: cgroup.clone() }, &[pidfd.as_fd()]);
                self.alive.insert(id, Alive { pid, pidfd, cgroup, oom_signal, out_of_memory: false, slot });
                if watched.is_err() {
                    // It could end without anyone knowing: better at once, and known.
                    self.kill(id);
                    self.ended(id);
                }
                Ok(())
            }
            Err(failure) => {
                self.places.give_back(slot);
                if let Some(cgroup) = cgroup {
                    cgroup.remove();
                }
                Err(failure)
            }
        }
    }

    fn clone_init(
        &self,
        plan: Plan,
        socket: OwnedFd,
        disk: Option<OwnedFd>,
        cgroup: Option<&SandboxCgroup>,
        place: Place,
    ) -> Result<(i32, OwnedFd), Failure> {
        let entrances = cgroup.map(SandboxCgroup::entrances).unwrap_or_default();
        let open = |path| std::fs::OpenOptions::new().write(true).open(path);
        let entrances = entrances.into_iter().map(open).collect::<Result<Vec<_>, _>>().step("open the cgroup")?;
        let birthplace = match cgroup.and_then(SandboxCgroup::birthplace) {
            Some(dir) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                Some(rustix::fs::open(dir, flags, Mode::empty()).step("open the cgroup")?)
            }
            None => None,
        };
        let birthplace = birthplace.as_ref().map(AsFd::as_fd);
        match sys::clone_process(libc::CLONE_NEWPID as u64, birthplace).step("clone the sandbox's init")? {
            Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
            Cloned::Child => init::main(Birth {
                socket,
                plan,
                entrances,
                state_dir: self.setup.state_dir.clone(),
                outside_id: outside_id(&self.setup, place.slot),
                root: self.setup.root,
                namespaces: place.namespaces,
                disk,
                tmp_on_disk: self.tmp_on_disk,
                memory_is_limited: cgroup.is_some_and(SandboxCgroup::limits_memory),
            }),
        }
    }

    fn trees(&self, id: u64, mounts: &[Mount]) {
        match mounts.iter().map(init::clone_tree).collect::<Result<Vec<_>, _>>() {
            Ok(trees) => {
                let fds: Vec<_> = trees.iter().map(AsFd::as_fd).collect();
                self.tell(&FromSpawner::Trees { id }, &fds);
            }
            Err(Failure { step, reason }) => self.tell(&FromSpawner::Failed { id, step, reason }, &[]),
        }
    }

    /// Version 1 of cgroups kills one process when memory runs out; a sandbox without one of its processes is no
    /// sandbox that anyone wants to talk to.
    fn memory_out(&mut self, id: u64) {
        let Some(sandbox) = self.alive.get_mut(&id) else { return };
        if let Some(signal) = sandbox.oom_signal.take() {
            let _ = epoll::delete(&self.events, &signal);
        }
        // The signal also comes when the cgroup is removed; that is after the end, which is not alive.
        sandbox.out_of_memory = true;
        self.kill(id);
    }

    fn kill(&self, id: u64) {
        if let Some(sandbox) = self.alive.get(&id) {
            let _ = sys::kill_pidfd(&sandbox.pidfd);
            if let Some(cgroup) = &sandbox.cgroup {
                cgroup.hasten_end();
            }
        }
    }

    fn kill_all(&self) {
        self.alive.keys().for_each(|id| self.kill(*id));
    }

    /// The first process of a sandbox ends last.
    fn ended(&mut self, id: u64) {
        let Some(sandbox) = self.alive.remove(&id) else { return };
        let _ = epoll::delete(&self.events, &sandbox.pidfd);
        sys::reap(sandbox.pid, true);
        self.places.give_back(sandbox.slot);
        let Some(cgroup) = sandbox.cgroup else {
            let out_of_memory = sandbox.out_of_memory;
            return self.tell(&FromSpawner::Gone { id, out_of_memory, cpu_ns: 0, memory_peak_bytes: 0 }, &[]);
        };
        let out_of_memory = sandbox.out_of_memory || cgroup.oom_kills() > 0;
        let usage = Meters::open(&cgroup).and_then(|meters| meters.read()).unwrap_or_default();
        self.leaving.push(Leaving { id, cgroup, since: Instant::now(), out_of_memory, usage });
    }

    fn leave(&mut self) {
        let waiting = std::mem::take(&mut self.leaving);
        for one in waiting {
            let removed = one.cgroup.remove();
            if !removed && one.since.elapsed() < REMOVAL_MAX {
                self.leaving.push(one);
                continue;
            }
            if !removed {
                eprintln!("dormouse spawner: a cgroup could not be removed: {:?}", one.cgroup);
            }
            let gone = FromSpawner::Gone {
                id: one.id,
                out_of_memory: one.out_of_memory,
                cpu_ns: u64::try_from(one.usage.cpu.as_nanos()).unwrap_or(u64::MAX),
                memory_peak_bytes: one.usage.memory_peak_bytes,
            };
            self.tell(&gone, &[]);
        }
    }
}
