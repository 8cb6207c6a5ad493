use std::sync::Arc;
use std::time::Duration;

use dormouse_model::Timestamp;
use dormouse_sandbox::Instance;
use futures_util::FutureExt;

use super::log::InstanceLog;
use super::memory::MemoryLease;
use super::node::LiveCount;
use crate::code::CodeLease;

/// One instance with all that it holds; what it holds is given back after it has been stopped.
pub(crate) struct Slot {
    pub(crate) instance: Box<dyn Instance>,
    pub(crate) log: Arc<InstanceLog>,
    /// Its init phase; taken by the first invocation, which reports and pays it.
    pub(crate) init: Option<Init>,
    /// CPU time up to the end of the last invocation.
    pub(crate) cpu: Duration,
    /// No invocation is begun from then on: its credentials would not last.
    pub(crate) retire_at: Timestamp,
    pub(crate) frozen: bool,
    pub(crate) holds: Holds,
}

/// How the init phase of an instance went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Init {
    pub(crate) duration: Duration,
    /// An earlier one failed: this one is part of the invocation that waited for it, and counts against its timeout.
    pub(crate) started_over: bool,
}

/// Given back when the instance is gone.
pub(crate) struct Holds {
    pub(crate) _code: CodeLease,
    pub(crate) memory: MemoryLease,
    pub(crate) _live: LiveCount,
}

impl Slot {
    /// Whether it can take an invocation now.
    pub(crate) fn is_good(&self, now: Timestamp) -> bool {
        now < self.retire_at && self.instance.ended().now_or_never().is_none()
    }

    /// Stops the instance, then gives back what it held.
    pub(crate) async fn stop(self: Box<Self>) {
        let Self { instance, mut holds, .. } = *self;
        holds.memory.leave();
        instance.stop().await;
        drop(holds);
    }
}
