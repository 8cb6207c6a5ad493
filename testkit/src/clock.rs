use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dormouse_model::{Clock, Timestamp};

/// A clock that stands still until it is told to move. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct SimClock {
    millis: Arc<AtomicU64>,
}

impl SimClock {
    /// A clock that shows `time`.
    pub fn at(time: Timestamp) -> Self {
        Self { millis: Arc::new(AtomicU64::new(time.0)) }
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).expect("a simulation ends before the milliseconds do");
        self.millis.fetch_add(by, Ordering::SeqCst);
    }

    /// Sets it, also backwards.
    pub fn set(&self, time: Timestamp) {
        self.millis.store(time.0, Ordering::SeqCst);
    }
}

/// Some day in November 2026.
impl Default for SimClock {
    fn default() -> Self {
        Self::at(Timestamp(1_795_400_000_000))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.millis.load(Ordering::SeqCst))
    }
}

/// A clock that moves with Tokio's, which stands still under `start_paused` and jumps to the next timer when all wait.
#[derive(Debug, Clone)]
pub struct TokioClock {
    start: tokio::time::Instant,
    base: Timestamp,
}

impl TokioClock {
    /// Starts now, inside a runtime.
    pub fn start() -> Self {
        Self { start: tokio::time::Instant::now(), base: SimClock::default().now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.base + self.start.elapsed()
    }
}
