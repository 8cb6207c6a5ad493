use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_layers::due_queue::{DueQueue, NewItem, Retry, ShardOwner, Taken};
use dormouse_layers::{Change, LayerError};
use dormouse_model::{AccountId, FunctionArn, RequestId, VersionNumber};
use dormouse_telemetry::names;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::DeathReason;
use super::destination::Finished;
use super::note::{Death, EventNote, item_id, parse_item_id};
use super::schedule::{self, Delays, Ended, Facts, Next};
use crate::engine::Engine;
use crate::error::{FunctionsError, Result};
use crate::function::EventInvokeSettings;

/// Pause after the store or the queue failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// While more is due than there is room for, room is gathered for so long: to take many at once costs the store little more
/// than to take one.
const GATHER: Duration = Duration::from_millis(5);
/// Destinations that lead to destinations: beyond so many the records are dropped, because they go in a circle.
const HOPS: u32 = 16;
/// Bytes of the last error that are kept with a dead event.
const LAST_ERROR_BYTES: usize = 1_024;

/// Runs queued events, oldest first, a bounded number at a time.
pub(crate) struct Worker {
    engine: Arc<Engine>,
}

/// What a worker does before it takes again.
enum Pause {
    None,
    /// For room, while more is due.
    Gather,
    UntilDue,
    AfterFailure,
}

/// How an attempt of an event ended, with what a record of it says.
struct Tried {
    ended: Ended,
    error: String,
    response: Option<(VersionNumber, bool, Bytes)>,
}

impl Tried {
    fn without_run(ended: Ended, error: impl ToString) -> Self {
        Self { ended, error: error.to_string(), response: None }
    }
}

/// A taken event, read.
struct Event {
    account: AccountId,
    id: RequestId,
    function: FunctionArn,
    note: EventNote,
    settings: EventInvokeSettings,
}

impl Worker {
    pub(crate) fn new(engine: Arc<Engine>) -> Arc<Self> {
        Arc::new(Self { engine })
    }

    fn queue(&self) -> &DueQueue {
        &self.engine.queue
    }

    /// Takes from one shard until the engine is drained.
    pub(crate) async fn run_shard(self: Arc<Self>, mut owner: ShardOwner, draining: watch::Receiver<bool>) {
        while !*draining.borrow() {
            let Some(room) = unless_draining(&draining, self.room()).await else { return };
            // Not broken off: what it leases would have to wait for the end of its lease.
            let pause = self.round(&mut owner, room).await;
            let rest = async {
                match pause {
                    Pause::None => {}
                    Pause::Gather => sleep(GATHER).await,
                    Pause::UntilDue => owner.wait().await,
                    Pause::AfterFailure => sleep(FAILURE_PAUSE).await,
                }
            };
            unless_draining(&draining, rest).await;
        }
    }

    /// Places for what is taken next, at least one.
    async fn room(&self) -> Vec<OwnedSemaphorePermit> {
        let slots = &self.engine.event_slots;
        let first = slots.clone().acquire_owned().await.expect("the semaphore of events is never closed");
        let mut room = vec![first];
        while let Ok(more) = slots.clone().try_acquire_owned() {
            room.push(more);
        }
        // The others' shards need room too.
        room.truncate((room.len() / self.queue().shards().len().max(1)).max(1));
        room
    }

    /// Takes what is due, as far as there is room for it, and begins to run it.
    async fn round(self: &Arc<Self>, owner: &mut ShardOwner, room: Vec<OwnedSemaphorePermit>) -> Pause {
        match owner.take(room.len()).await {
            Ok(taken) if taken.is_empty() => Pause::UntilDue,
            Ok(taken) => {
                let full = taken.len() == room.len();
                for (item, slot) in taken.into_iter().zip(room) {
                    tokio::spawn(self.clone().handle(item, slot));
                }
                if full { Pause::Gather } else { Pause::None }
            }
            Err(error) => {
                tracing::warn!(%error, "no asynchronous invocations can be taken now");
                Pause::AfterFailure
            }
        }
    }

    async fn handle(self: Arc<Self>, mut item: Taken, _slot: OwnedSemaphorePermit) {
        let Some(event) = self.read(&item) else {
            return self
                .settle(&item, |change, now| {
                    self.queue().bury(change, &item, "The event's record cannot be read.", now)
                })
                .await;
        };
        let tried = self.attempt(&event, &mut item).await;
        if let Err(error) = self.conclude(&event, &mut item, tried).await {
            // It is due again when its lease ends.
            tracing::warn!(%error, id = item.id, "the end of an asynchronous invocation could not be recorded");
        }
    }

    fn read(&self, item: &Taken) -> Option<Event> {
        let (account, id) = parse_item_id(&item.id)?;
        let note: EventNote = serde_json::from_value(item.entry.state.clone()).ok()?;
        let function = note.arn()?;
        let registry = &self.engine.registry;
        let settings = registry.event_settings(&account, &function.name, function.qualifier.as_ref());
        let settings = settings.map(|record| record.settings).unwrap_or_default();
        Some(Event { account, id, function, note, settings })
    }

    /// Runs the event, keeping its lease for as long as that takes.
    async fn attempt(&self, event: &Event, item: &mut Taken) -> Tried {
        if self.engine.clock.now() > schedule::expires(item.entry.enqueued, &event.settings) {
            return Tried::without_run(Ended::NotRun { before: event.note.not_run }, "The event became too old.");
        }
        let lease = self.engine.settings.async_lease;
        let mut renewal = interval(lease / self.engine.settings.async_renewals_per_lease.max(2));
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renewal.tick().await;
        let mut run = pin!(self.run(event, item.body.clone()));
        loop {
            tokio::select! {
                tried = &mut run => return tried,
                _ = renewal.tick() => {}
            }
            if let Some(tried) = self.renew(item, lease, run.as_mut()).await {
                return tried;
            }
        }
    }

    /// Renews the lease while the event runs on, whose answer and time do not depend on how long that takes. It is not
    /// broken off when the event ends first: the end is recorded under the lease that is known to hold.
    async fn renew(
        &self,
        item: &mut Taken,
        lease: Duration,
        mut run: Pin<&mut impl Future<Output = Tried>>,
    ) -> Option<Tried> {
        let id = item.id.clone();
        let mut renewing = pin!(self.queue().renew(item, lease));
        let mut tried = None;
        loop {
            tokio::select! {
                renewed = &mut renewing => {
                    if let Err(error) = renewed {
                        tracing::warn!(%error, id, "the lease of an event could not be renewed");
                    }
                    return tried;
                }
                ended = run.as_mut(), if tried.is_none() => tried = Some(ended),
            }
        }
    }

    async fn run(&self, event: &Event, payload: Bytes) -> Tried {
        let before = event.note.not_run;
        let function = &event.function;
        let reserved = self.engine.registry.reservation(&event.account, &function.name).function;
        if reserved == Some(0) {
            return Tried::without_run(Ended::Stopped, "The function's reserved concurrency is zero.");
        }
        let order = match self.engine.order_event(event.id, function, payload, &event.note.trace_id).await {
            Ok(order) => order,
            Err(error @ FunctionsError::ResourceNotFound(_)) => return Tried::without_run(Ended::Gone, error),
            Err(error) => return Tried::without_run(Ended::NotRun { before }, error),
        };
        let version = order.version.version;
        match self.engine.run(order).await {
            Err(error) => Tried::without_run(Ended::NotRun { before }, error),
            Ok(attempt) => match attempt.outcome {
                Ok(answer) => {
                    Tried { ended: Ended::Success, error: String::new(), response: Some((version, false, answer)) }
                }
                Err(fault) => Tried {
                    ended: Ended::Failed,
                    error: String::from_utf8_lossy(&fault.body).into_owned(),
                    response: Some((version, true, fault.body)),
                },
            },
        }
    }

    async fn conclude(&self, event: &Event, item: &mut Taken, tried: Tried) -> Result<(), LayerError> {
        let engine = &self.engine;
        let now = engine.clock.now();
        let delays = Delays {
            retry: engine.settings.retry_delays.clone(),
            throttle_min: engine.settings.throttle_delay_min,
            throttle_max: engine.settings.throttle_delay_max,
        };
        let facts = Facts { received: item.entry.enqueued, now, attempts: item.entry.attempts };
        let next = schedule::next(tried.ended, facts, &event.settings, &delays);
        let mut change = Change::new();
        match next {
            Next::Finish => {
                self.queue().finish(&mut change, item);
                self.announce(&mut change, event, item, &tried, None)?;
            }
            Next::Retry { due, counted } => {
                let not_run = if counted { 0 } else { event.note.not_run.saturating_add(1) };
                let state = to_state(&EventNote { not_run, ..event.note.clone() });
                let retry = Retry::at(due).state(state);
                let retry = if counted { retry } else { retry.uncounted() };
                self.queue().retry(&mut change, item, retry)?;
            }
            Next::Bury(reason) => {
                if !matches!(tried.ended, Ended::Failed) {
                    item.entry.attempts = item.entry.attempts.saturating_sub(1);
                }
                self.announce(&mut change, event, item, &tried, Some(reason))?;
                let mut last_error = tried.error.clone();
                last_error.truncate(last_error.floor_char_boundary(LAST_ERROR_BYTES));
                let death = Death { reason, last_error, received: item.entry.enqueued };
                item.entry.state = to_state(&EventNote { death: Some(death), not_run: 0, ..event.note.clone() });
                self.queue().bury(&mut change, item, reason.as_str(), now)?;
            }
        }
        self.queue().settle(change).await?;
        self.count(&event.account, next);
        Ok(())
    }

    /// Sends the record of a finished event to its destination, in the batch that finishes it.
    fn announce(
        &self,
        change: &mut Change,
        event: &Event,
        item: &Taken,
        tried: &Tried,
        death: Option<DeathReason>,
    ) -> Result<(), LayerError> {
        let target = if death.is_some() { &event.settings.on_failure } else { &event.settings.on_success };
        let Some(target) = target else { return Ok(()) };
        if event.note.hops >= HOPS {
            tracing::warn!(id = item.id, target, "a record is dropped: destinations lead in a circle");
            return Ok(());
        }
        let qualifier = event.function.qualifier.clone().unwrap_or(dormouse_model::Qualifier::LATEST);
        let now = self.engine.clock.now();
        let record = Finished {
            time: now,
            request_id: event.id,
            function: &event.function.qualified(qualifier),
            death,
            attempts: item.entry.attempts,
            request: &item.body,
            response: tried.response.as_ref().map(|(version, failed, body)| (*version, *failed, body)),
        };
        let note = EventNote {
            function: target.clone(),
            trace_id: event.note.trace_id.clone(),
            not_run: 0,
            hops: event.note.hops + 1,
            death: None,
        };
        let id = item_id(&event.account, &self.engine.registry.request_id().to_string());
        self.queue().push(change, NewItem::new(id, record.record(), now).state(to_state(&note)))
    }

    async fn settle(
        &self,
        item: &Taken,
        add: impl FnOnce(&mut Change, dormouse_model::Timestamp) -> Result<(), LayerError>,
    ) {
        let mut change = Change::new();
        let settled = match add(&mut change, self.engine.clock.now()) {
            Ok(()) => self.queue().settle(change).await,
            Err(error) => Err(error),
        };
        if let Err(error) = settled {
            tracing::warn!(%error, id = item.id, "an unreadable event could not be put aside");
        }
    }

    fn count(&self, account: &AccountId, next: Next) {
        let outcome = match next {
            Next::Retry { .. } => return,
            Next::Finish => "success",
            Next::Bury(DeathReason::RetriesExhausted) => "exhausted",
            Next::Bury(DeathReason::EventAgeExceeded) => "expired",
            Next::Bury(_) => "dropped",
        };
        let finished = self.engine.telemetry.metrics.counter(&names::ASYNC_FINISHED);
        finished.with([account.as_str(), outcome]).inc();
    }
}

/// What comes of some work; `None` when the engine is drained first.
async fn unless_draining<T>(draining: &watch::Receiver<bool>, work: impl Future<Output = T>) -> Option<T> {
    let mut draining = draining.clone();
    tokio::select! {
        done = work => Some(done),
        // The sender lives in the engine, which the worker holds.
        _ = draining.wait_for(|draining| *draining) => None,
    }
}

/// A note is made of texts and numbers, which JSON can always say.
pub(crate) fn to_state(note: &EventNote) -> serde_json::Value {
    serde_json::to_value(note).unwrap_or_default()
}
