use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use dormouse_blob::Blobs;
use dormouse_model::{Clock, Region};
use dormouse_sandbox::Driver;
use dormouse_store::Store;
use dormouse_telemetry::FunctionLogs;
use tokio::sync::{Mutex as AsyncMutex, Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::memory::{MemoryBudget, MemoryLease};
use super::pool::Pool;
use super::scaling::ScalingLimits;
use crate::code::CodeCache;
use crate::parts::{ExecutionRoles, Randomness};
use crate::runnable::Runnable;
use crate::settings::Settings;

/// Room is made ahead for the like of what was started, when that is no more than this share of the node's memory: where
/// few instances fit, each that is idle is worth more than a start that need not wait.
const ROOM_AHEAD_SHARE: u64 = 8;
/// The start itself is let pass first.
const ROOM_AHEAD_PAUSE: Duration = Duration::from_millis(50);

/// How long the memory of instances that are being stopped is waited for.
const LEAVING: Duration = Duration::from_secs(5);

/// What all pools of a node share.
pub(crate) struct Instances {
    pub(crate) parts: InstancesParts,
    pub(crate) starts: Semaphore,
    pub(crate) memory: Arc<MemoryBudget>,
    /// Held by the one who makes room ahead.
    making_room: AsyncMutex<()>,
    /// Set when nothing may run any more; what is in progress is ended.
    stopping: AtomicBool,
    pub(crate) stop: Notify,
    live: Arc<watch::Sender<usize>>,
    pools: Mutex<Vec<Weak<Pool>>>,
}

/// What instances are made from.
pub(crate) struct InstancesParts {
    pub(crate) region: Region,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) roles: Arc<dyn ExecutionRoles>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) randomness: Arc<dyn Randomness>,
    pub(crate) logs: Arc<dyn FunctionLogs>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) code: Arc<CodeCache>,
    pub(crate) settings: Arc<Settings>,
}

/// One of the instances that exist, from the beginning of its start to the end of its stop.
pub(crate) struct LiveCount(Arc<watch::Sender<usize>>);

impl Drop for LiveCount {
    fn drop(&mut self) {
        self.0.send_modify(|live| *live -= 1);
    }
}

impl Instances {
    pub(crate) fn new(parts: InstancesParts) -> Self {
        Self {
            starts: Semaphore::new(parts.settings.concurrent_starts.max(1)),
            memory: Arc::new(MemoryBudget::new(parts.settings.instances_memory_mb)),
            making_room: AsyncMutex::default(),
            stopping: AtomicBool::new(false),
            stop: Notify::new(),
            live: Arc::new(watch::Sender::new(0)),
            pools: Mutex::default(),
            parts,
        }
    }

    pub(crate) fn scaling_limits(&self) -> ScalingLimits {
        let settings = &self.parts.settings;
        ScalingLimits {
            freeze_after: settings.freeze_after,
            idle_expiry: settings.idle_expiry,
            crash_loop_after: settings.crash_loop_after.max(1),
            crash_loop_delay_min: settings.crash_loop_delay_min,
            crash_loop_delay_max: settings.crash_loop_delay_max,
        }
    }

    pub(crate) fn count_live(&self) -> LiveCount {
        self.live.send_modify(|live| *live += 1);
        LiveCount(self.live.clone())
    }

    /// Instances that exist, starting and stopping ones included.
    pub(crate) fn live(&self) -> usize {
        *self.live.borrow()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The pool of a version, made by its first invocation.
    pub(crate) fn pool<'a>(self: &Arc<Self>, version: &'a Arc<Runnable>) -> &'a Arc<Pool> {
        version.pool.get_or_init(|| {
            let pool = Arc::new(Pool::new(self.clone(), Arc::downgrade(version)));
            let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
            pools.retain(|pool| pool.strong_count() > 0);
            pools.push(Arc::downgrade(&pool));
            pool
        })
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter_map(Weak::upgrade).collect()
    }

    /// Room for an instance, made if need be by stopping the instances that have been idle longest. `None` when all
    /// memory is in use; what instances hold that are on their way out is waited for. Behind its back room is made for
    /// another like it, so that the next start finds it.
    pub(crate) async fn make_room(self: &Arc<Self>, mb: u32) -> Option<MemoryLease> {
        let until = Instant::now() + LEAVING;
        let lease = loop {
            let returned = self.memory.returned();
            if let Some(lease) = self.memory.reserve(mb) {
                break lease;
            }
            if self.stop_longest_idle().await {
                continue;
            }
            if self.memory.leaving_mb() == 0 || timeout_at(until, returned).await.is_err() {
                return None;
            }
        };
        if self.lacks_room_for(mb) {
            let node = self.clone();
            tokio::spawn(async move { node.make_room_ahead(mb).await });
        }
        Some(lease)
    }

    fn lacks_room_for(&self, mb: u32) -> bool {
        let (limit, mb) = (self.memory.limit_mb(), u64::from(mb));
        mb <= limit / ROOM_AHEAD_SHARE && self.memory.promised_mb() + mb > limit
    }

    async fn make_room_ahead(&self, mb: u32) {
        // Two at it would stop more than is needed.
        let Ok(_alone) = self.making_room.try_lock() else { return };
        sleep(ROOM_AHEAD_PAUSE).await;
        while self.lacks_room_for(mb) && !self.is_stopping() {
            if !self.stop_longest_idle().await {
                return;
            }
        }
    }

    /// Stops the instance that has been idle longest; false when none is idle.
    async fn stop_longest_idle(&self) -> bool {
        let pools = self.pools();
        let idle = pools.iter().filter_map(|pool| Some((pool.idle_since()?, pool)));
        let Some((_, pool)) = idle.min_by_key(|(since, _): &(Instant, _)| *since) else { return false };
        if let Some(slot) = pool.evict() {
            slot.stop().await;
        }
        true
    }

    /// Ends everything that runs and stops every instance; returns when none is left.
    pub(crate) async fn stop_all(&self) {
        self.stopping.store(true, Ordering::Release);
        self.stop.notify_waiters();
        for pool in self.pools() {
            pool.retire();
        }
        let mut live = self.live.subscribe();
        // The sender lives as long as this value, so waiting cannot fail.
        let _ = live.wait_for(|live| *live == 0).await;
    }

    /// Idle, busy and starting instances of all pools.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let add =
            |sum: (usize, usize, usize), one: (usize, usize, usize)| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2);
        self.pools().iter().map(|pool| pool.counts()).fold((0, 0, 0), add)
    }
}
