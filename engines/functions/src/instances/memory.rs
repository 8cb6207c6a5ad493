use std::sync::{Arc, Mutex, PoisonError};

/// The memory that all instances of a node may be promised together.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    limit_mb: u64,
    promised_mb: Mutex<u64>,
}

/// What one instance was promised. Given back when dropped.
#[derive(Debug)]
pub(crate) struct MemoryLease {
    budget: Arc<MemoryBudget>,
    mb: u64,
}

impl MemoryBudget {
    pub(crate) fn new(limit_mb: u64) -> Self {
        Self { limit_mb, promised_mb: Mutex::new(0) }
    }

    /// The promise, if there is room for it.
    pub(crate) fn reserve(self: &Arc<Self>, mb: u32) -> Option<MemoryLease> {
        let mb = u64::from(mb);
        let mut promised = self.promised_mb.lock().unwrap_or_else(PoisonError::into_inner);
        if *promised + mb > self.limit_mb {
            return None;
        }
        *promised += mb;
        Some(MemoryLease { budget: self.clone(), mb })
    }

    /// What is promised now, in MB.
    pub(crate) fn promised_mb(&self) -> u64 {
        *self.promised_mb.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that may be promised, in MB.
    pub(crate) fn limit_mb(&self) -> u64 {
        self.limit_mb
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        *self.budget.promised_mb.lock().unwrap_or_else(PoisonError::into_inner) -= self.mb;
    }
}
