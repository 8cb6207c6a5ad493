//! Which instance serves a call, and when one is started, frozen and stopped. Pure: values in, actions out; the pool
//! carries them out.
//!
//! ```text
//!  wanted --started--> idle --take--> busy --release--> idle (or to the next waiting call)
//!     |                 |  \                |
//!  start_failed       expire  freeze      gone (spent)
//! ```
//!
//! Invariants: a call waits only while no instance is idle; `starting + settling` never exceeds what calls wait for at
//! the moment a start is asked for, so no start is more than needed; every call that waits is handed an instance or an
//! answer.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The named settings that the decisions rest on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScalingLimits {
    pub(crate) freeze_after: Duration,
    pub(crate) idle_expiry: Duration,
    pub(crate) crash_loop_after: u32,
    pub(crate) crash_loop_delay_min: Duration,
    pub(crate) crash_loop_delay_max: Duration,
}

/// The instances and waiting calls of one version. `I` is an instance, `C` a waiting call.
#[derive(Debug)]
pub(crate) struct Scaling<I, C> {
    limits: ScalingLimits,
    /// Longest idle first, so that the last is the most recently used.
    idle: VecDeque<Idle<I>>,
    waiting: VecDeque<C>,
    starting: usize,
    /// Being frozen: soon idle again.
    settling: usize,
    busy: usize,
    /// Starts and instances that failed one after the other, without a call that ended well in between.
    failures: u32,
    /// A start found no memory; nothing is started until something changes.
    blocked: bool,
    retired: bool,
}

#[derive(Debug)]
struct Idle<I> {
    instance: I,
    since: Instant,
    frozen: bool,
}

/// What becomes of an instance that has nothing to do.
#[derive(Debug)]
pub(crate) enum Release<I, C> {
    /// It serves the call that has waited longest.
    Hand(C, I),
    /// It is idle.
    Keep,
    /// It is not wanted any more.
    Stop(I),
}

/// What an idle instance is due for.
#[derive(Debug)]
pub(crate) enum Due<I> {
    /// Freeze it, then [`Scaling::settled`].
    Freeze(I, Instant),
    /// Stop it.
    Stop(I),
}

impl<I, C> Scaling<I, C> {
    pub(crate) fn new(limits: ScalingLimits) -> Self {
        Self {
            limits,
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            starting: 0,
            settling: 0,
            busy: 0,
            failures: 0,
            blocked: false,
            retired: false,
        }
    }

    /// The most recently used idle instance, which is busy from now on.
    pub(crate) fn take(&mut self) -> Option<I> {
        let idle = self.idle.pop_back()?;
        self.busy += 1;
        Some(idle.instance)
    }

    /// A call for which [`Scaling::take`] had nothing.
    pub(crate) fn wait(&mut self, call: C) {
        self.waiting.push_back(call);
    }

    /// How many starts to begin now; they are counted as begun. In a crash loop there is one at a time.
    pub(crate) fn wanted(&mut self) -> usize {
        if self.blocked {
            return 0;
        }
        let needed = self.waiting.len().saturating_sub(self.starting + self.settling);
        let most = if self.in_crash_loop() { 1usize.saturating_sub(self.starting) } else { usize::MAX };
        let wanted = needed.min(most);
        self.starting += wanted;
        wanted
    }

    /// How long the next start is put off.
    pub(crate) fn start_delay(&self) -> Duration {
        if !self.in_crash_loop() {
            return Duration::ZERO;
        }
        let doublings = (self.failures - self.limits.crash_loop_after).min(20);
        self.limits.crash_loop_delay_min.saturating_mul(1 << doublings).min(self.limits.crash_loop_delay_max)
    }

    fn in_crash_loop(&self) -> bool {
        self.failures >= self.limits.crash_loop_after
    }

    /// A start ended with an instance.
    pub(crate) fn started(&mut self, instance: I, now: Instant) -> Release<I, C> {
        self.starting -= 1;
        self.busy += 1;
        self.release(instance, now)
    }

    /// A start failed by the function's own fault: these calls are answered with it. Usually the one that has waited
    /// longest; in a crash loop all, because no other start is on its way for them.
    pub(crate) fn start_failed(&mut self) -> Vec<C> {
        self.starting -= 1;
        self.blocked = false;
        self.failures = self.failures.saturating_add(1);
        let answered = if self.in_crash_loop() && self.starting == 0 { self.waiting.len() } else { 1 };
        self.waiting.drain(..answered.min(self.waiting.len())).collect()
    }

    /// A start failed by ours, or for want of a role: the call that has waited longest is answered with it.
    pub(crate) fn start_refused(&mut self) -> Option<C> {
        self.starting -= 1;
        self.blocked = false;
        self.waiting.pop_front()
    }

    /// A start found no memory, and nothing to evict. While other instances of the version live, its calls wait for
    /// them; otherwise the call is shed.
    pub(crate) fn start_blocked(&mut self) -> Option<C> {
        self.starting -= 1;
        self.blocked = self.starting + self.settling + self.busy + self.idle.len() > 0;
        if self.blocked { None } else { self.waiting.pop_front() }
    }

    /// A busy instance has nothing to do.
    pub(crate) fn release(&mut self, instance: I, now: Instant) -> Release<I, C> {
        self.blocked = false;
        if let Some(call) = self.waiting.pop_front() {
            return Release::Hand(call, instance);
        }
        self.busy -= 1;
        if self.retired {
            return Release::Stop(instance);
        }
        self.idle.push_back(Idle { instance, since: now, frozen: false });
        Release::Keep
    }

    /// A busy instance is spent.
    pub(crate) fn gone(&mut self) {
        self.blocked = false;
        self.busy -= 1;
    }

    /// A call ended, and its instance works.
    pub(crate) fn served(&mut self) {
        self.failures = 0;
    }

    /// An instance crashed during a call.
    pub(crate) fn crashed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// What idle instances are due for.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Due<I>> {
        let mut due = Vec::new();
        let mut kept = VecDeque::with_capacity(self.idle.len());
        for idle in std::mem::take(&mut self.idle) {
            let age = now.saturating_duration_since(idle.since);
            if age >= self.limits.idle_expiry {
                due.push(Due::Stop(idle.instance));
            } else if !idle.frozen && age >= self.limits.freeze_after {
                self.settling += 1;
                due.push(Due::Freeze(idle.instance, idle.since));
            } else {
                kept.push_back(idle);
            }
        }
        self.idle = kept;
        due
    }

    /// When [`Scaling::due`] has something next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let limits = self.limits;
        let due = |idle: &Idle<I>| match idle.frozen {
            true => idle.since + limits.idle_expiry,
            false => idle.since + limits.freeze_after.min(limits.idle_expiry),
        };
        self.idle.iter().map(due).min()
    }

    /// An instance has been frozen, having been idle since then.
    pub(crate) fn settled(&mut self, instance: I, since: Instant) -> Release<I, C> {
        self.settling -= 1;
        self.blocked = false;
        if let Some(call) = self.waiting.pop_front() {
            self.busy += 1;
            return Release::Hand(call, instance);
        }
        if self.retired {
            return Release::Stop(instance);
        }
        let place = self.idle.partition_point(|idle| idle.since <= since);
        self.idle.insert(place, Idle { instance, since, frozen: true });
        Release::Keep
    }

    /// An instance was to be frozen and turned out to have ended.
    pub(crate) fn settled_gone(&mut self) {
        self.settling -= 1;
        self.blocked = false;
    }

    /// Since when the longest idle instance is idle.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.idle.front().map(|idle| idle.since)
    }

    /// The longest idle instance, to make room.
    pub(crate) fn evict(&mut self) -> Option<I> {
        self.blocked = false;
        self.idle.pop_front().map(|idle| idle.instance)
    }

    /// No instance is kept from now on; these are the idle ones. Calls that wait are still served.
    pub(crate) fn retire(&mut self) -> Vec<I> {
        self.retired = true;
        std::mem::take(&mut self.idle).into_iter().map(|idle| idle.instance).collect()
    }

    /// Idle, busy and starting instances.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        (self.idle.len() + self.settling, self.busy, self.starting)
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
