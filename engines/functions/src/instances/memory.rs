use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The memory that all instances of a node may be promised together.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    limit_mb: u64,
    promises: Mutex<Promises>,
    returned: Notify,
}

#[derive(Debug, Default)]
struct Promises {
    all_mb: u64,
    /// Of instances that are being stopped.
    leaving_mb: u64,
}

/// What one instance was promised. Given back when dropped.
#[derive(Debug)]
pub(crate) struct MemoryLease {
    budget: Arc<MemoryBudget>,
    mb: u64,
    leaving: bool,
}

impl MemoryBudget {
    pub(crate) fn new(limit_mb: u64) -> Self {
        Self { limit_mb, promises: Mutex::default(), returned: Notify::new() }
    }

    fn promises(&self) -> MutexGuard<'_, Promises> {
        self.promises.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The promise, if there is room for it.
    pub(crate) fn reserve(self: &Arc<Self>, mb: u32) -> Option<MemoryLease> {
        let mb = u64::from(mb);
        let mut promises = self.promises();
        if promises.all_mb + mb > self.limit_mb {
            return None;
        }
        promises.all_mb += mb;
        Some(MemoryLease { budget: self.clone(), mb, leaving: false })
    }

    /// What is promised now, in MB.
    pub(crate) fn promised_mb(&self) -> u64 {
        self.promises().all_mb
    }

    /// What is given back soon, because its instances are being stopped, in MB.
    pub(crate) fn leaving_mb(&self) -> u64 {
        self.promises().leaving_mb
    }

    /// Resolves when some is given back after this was called.
    pub(crate) fn returned(&self) -> Notified<'_> {
        self.returned.notified()
    }

    /// All that may be promised, in MB.
    pub(crate) fn limit_mb(&self) -> u64 {
        self.limit_mb
    }
}

impl MemoryLease {
    /// Its instance is being stopped.
    pub(crate) fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) {
            self.budget.promises().leaving_mb += self.mb;
        }
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        let mut promises = self.budget.promises();
        promises.all_mb -= self.mb;
        promises.leaving_mb -= if self.leaving { self.mb } else { 0 };
        drop(promises);
        self.budget.returned.notify_waiters();
    }
}
