use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::node::Instances;
use super::scaling::{Due, Release, Scaling};
use super::slot::Slot;
use super::start::{StartFailed, start};
use crate::runnable::Runnable;

/// What a waiting call is given.
pub(crate) type Handed = Result<Checkout, StartFailed>;

/// The instances of one version. Carries out what [`Scaling`] decides.
pub(crate) struct Pool {
    pub(crate) node: Arc<Instances>,
    /// The version may be replaced while its last instances still serve.
    version: Weak<Runnable>,
    state: Mutex<State>,
    minder: Notify,
}

struct State {
    scaling: Scaling<Box<Slot>, oneshot::Sender<Handed>>,
    /// Until when the minder sleeps; `None` when there is no minder.
    minded_until: Option<Instant>,
}

/// A busy instance, held by the call that it serves. Dropping it without [`Checkout::done`] ends the instance, so that
/// none is lost with a call that breaks off.
pub(crate) struct Checkout {
    pool: Arc<Pool>,
    slot: Option<Box<Slot>>,
}

impl Checkout {
    pub(crate) fn slot(&mut self) -> &mut Slot {
        self.slot.as_mut().expect("a checkout has its slot until it is done")
    }

    /// Gives the instance back, or stops it off the path when it is spent.
    pub(crate) fn done(mut self, usable: bool, crashed: bool) {
        let slot = self.slot.take().expect("a checkout is done once");
        self.pool.give_back(slot, usable, crashed);
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.pool.give_back(slot, false, false);
        }
    }
}

impl Pool {
    pub(crate) fn new(node: Arc<Instances>, version: Weak<Runnable>) -> Self {
        let scaling = Scaling::new(node.scaling_limits());
        Self { node, version, state: Mutex::new(State { scaling, minded_until: None }), minder: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An idle instance, or one that becomes idle, or a new one; whichever is first.
    pub(crate) async fn checkout(self: &Arc<Self>, version: &Arc<Runnable>) -> Handed {
        let waiting = {
            let mut state = self.state();
            loop {
                match state.scaling.take() {
                    Some(slot) if slot.is_good(self.node.parts.clock.now()) => {
                        return Ok(Checkout { pool: self.clone(), slot: Some(slot) });
                    }
                    Some(slot) => {
                        state.scaling.gone();
                        tokio::spawn(slot.stop());
                    }
                    None => break,
                }
            }
            let (hand, waiting) = oneshot::channel();
            state.scaling.wait(hand);
            self.start_wanted(&mut state, Some(version));
            waiting
        };
        match waiting.await {
            Ok(handed) => handed,
            Err(_) => Err(StartFailed::lost()),
        }
    }

    /// Begins as many starts as are wanted now.
    fn start_wanted(self: &Arc<Self>, state: &mut State, version: Option<&Arc<Runnable>>) {
        let wanted = state.scaling.wanted();
        if wanted == 0 {
            return;
        }
        let Some(version) = version.cloned().or_else(|| self.version.upgrade()) else {
            // Nobody holds the version, so no call waits for it: a waiting call holds its version.
            return;
        };
        let delay = state.scaling.start_delay();
        for _ in 0..wanted {
            tokio::spawn(start(self.clone(), version.clone(), delay));
        }
    }

    /// A start ended with an instance.
    pub(crate) fn started(self: &Arc<Self>, slot: Box<Slot>) {
        let mut state = self.state();
        let release = state.scaling.started(slot, Instant::now());
        self.carry_out(state, release);
    }

    /// A start ended without one.
    pub(crate) fn start_ended(self: &Arc<Self>, failed: StartFailed) {
        let mut state = self.state();
        let answered: Vec<_> = match &failed {
            StartFailed::Function { .. } => state.scaling.start_failed(),
            StartFailed::NoMemory => state.scaling.start_blocked().into_iter().collect(),
            StartFailed::Refused(_) => state.scaling.start_refused().into_iter().collect(),
        };
        self.start_wanted(&mut state, None);
        drop(state);
        for call in answered {
            // A call that is gone needs no answer.
            let _ = call.send(Err(failed.clone()));
        }
    }

    fn give_back(self: &Arc<Self>, slot: Box<Slot>, usable: bool, crashed: bool) {
        let mut state = self.state();
        if crashed {
            state.scaling.crashed();
        }
        if usable {
            state.scaling.served();
        }
        if usable && slot.is_good(self.node.parts.clock.now()) {
            let release = state.scaling.release(slot, Instant::now());
            return self.carry_out(state, release);
        }
        state.scaling.gone();
        self.start_wanted(&mut state, None);
        drop(state);
        stop_off_path(slot);
    }

    fn carry_out(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        release: Release<Box<Slot>, oneshot::Sender<Handed>>,
    ) {
        match release {
            Release::Keep => self.mind(&mut state),
            Release::Stop(slot) => {
                drop(state);
                stop_off_path(slot);
            }
            Release::Hand(call, slot) => {
                drop(state);
                let checkout = Checkout { pool: self.clone(), slot: Some(slot) };
                if let Err(Ok(mut unwanted)) = call.send(Ok(checkout)) {
                    // The call is gone; its instance is as good as before.
                    if let Some(slot) = unwanted.slot.take() {
                        self.give_back(slot, true, false);
                    }
                }
            }
        }
    }

    /// Sees to it that somebody is awake when the next idle instance is due.
    fn mind(self: &Arc<Self>, state: &mut State) {
        let Some(due) = state.scaling.next_due() else { return };
        match state.minded_until {
            None => {
                state.minded_until = Some(due);
                tokio::spawn(self.clone().run_minder());
            }
            Some(until) if due < until => {
                state.minded_until = Some(due);
                self.minder.notify_one();
            }
            Some(_) => {}
        }
    }

    /// Freezes and stops what is due, and ends when nothing is idle: a version at rest has no task.
    async fn run_minder(self: Arc<Self>) {
        loop {
            let due = {
                let mut state = self.state();
                let due = state.scaling.due(Instant::now());
                state.minded_until = state.scaling.next_due();
                if due.is_empty() && state.minded_until.is_none() {
                    return;
                }
                due
            };
            for due in due {
                match due {
                    // What is to be frozen cannot be used meanwhile, so it does not wait for this.
                    Due::Stop(slot) => stop_off_path(slot),
                    Due::Freeze(slot, since) => self.freeze(slot, since).await,
                }
            }
            let until = {
                let mut state = self.state();
                state.minded_until = state.scaling.next_due();
                match state.minded_until {
                    Some(until) => until,
                    None => return,
                }
            };
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.minder.notified() => {}
            }
        }
    }

    async fn freeze(self: &Arc<Self>, mut slot: Box<Slot>, since: Instant) {
        if !slot.is_good(self.node.parts.clock.now()) {
            {
                let mut state = self.state();
                state.scaling.settled_gone();
                self.start_wanted(&mut state, None);
            }
            return stop_off_path(slot);
        }
        slot.instance.freeze().await;
        slot.frozen = true;
        let mut state = self.state();
        let release = state.scaling.settled(slot, since);
        // When it is kept, the minder itself looks for the next due time.
        if !matches!(release, Release::Keep) {
            self.carry_out(state, release);
        }
    }

    /// Since when the instance that has been idle longest is idle.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.state().scaling.idle_since()
    }

    /// Takes that instance out, to make room.
    pub(crate) fn evict(&self) -> Option<Box<Slot>> {
        self.state().scaling.evict()
    }

    /// Keeps no instance from now on. What runs ends in peace.
    pub(crate) fn retire(&self) {
        let idle = self.state().scaling.retire();
        for slot in idle {
            stop_off_path(slot);
        }
    }

    /// Idle, busy and starting instances.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        self.state().scaling.counts()
    }
}

/// Tearing a sandbox down takes longer than an answer may wait.
fn stop_off_path(slot: Box<Slot>) {
    tokio::spawn(slot.stop());
}
