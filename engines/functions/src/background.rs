//! The engine's background work. Each task has a name here, does a bounded piece at a time, and a failure of one piece
//! is logged and tried again with the next.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::engine::Engine;
use crate::events::{Worker, dead};

/// How often a drain looks whether anything still runs.
pub(crate) const DRAIN_POLL: Duration = Duration::from_millis(10);
/// How long a drain waits for the ends of asynchronous invocations that it cut short to be recorded.
pub(crate) const SETTLE: Duration = Duration::from_secs(5);
/// How often versions that other nodes replaced are let go.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// How often dead events are looked at for their retention.
const RETENTION: Duration = Duration::from_secs(3_600);

/// Starts all of it. Everything but the mirror of the registry ends with the drain; the mirror ends with the engine.
pub(crate) fn spawn(engine: &Arc<Engine>) {
    let worker = Worker::new(engine.clone());
    for shard in engine.queue.shards() {
        let owner = engine.queue.owner(shard);
        tokio::spawn(worker.clone().run_shard(owner, engine.draining.subscribe()));
    }
    let draining = engine.draining.subscribe();
    let mirror = engine.registry.catalogue.clone().keep_fresh();
    tokio::spawn(until_drained(draining, mirror));
    tokio::spawn(until_drained(engine.draining.subscribe(), keep_house(engine.clone())));
}

async fn until_drained(mut draining: tokio::sync::watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        // An error means that the engine is gone.
        _ = draining.wait_for(|draining| *draining) => {}
    }
}

async fn keep_house(engine: Arc<Engine>) {
    if let Err(error) = engine.registry.sweep_code().await {
        tracing::warn!(%error, "what earlier uploads left behind is not removed yet");
    }
    let mut retained: Option<Instant> = None;
    loop {
        engine.drop_stale();
        if retained.is_none_or(|last| last.elapsed() >= RETENTION) {
            retained = Some(Instant::now());
            let since = engine.clock.now() - engine.settings.dead_event_retention;
            if let Err(error) = dead::retain(&engine.queue, since).await {
                tracing::warn!(%error, "dead events are kept longer than set");
            }
        }
        sleep(HOUSEKEEPING).await;
    }
}
