//! The thread that writes sums, and the metrics that are counted from the same records.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use dormouse_model::{FailureKind, Timestamp};

use super::days::{self, Day};
use super::{Rows, Shared};
use crate::append::append;
use crate::metrics::names;
use crate::{CounterFamily, HistogramFamily, Metrics, UsageRecord};

/// How often retention is looked at.
const SWEEP: Duration = Duration::from_secs(3600);
/// How often a failing disk is complained about.
const COMPLAIN: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    shared: Arc<Shared>,
    /// Length of each day's file when it was last folded or first seen; of days that were written lately.
    folded: BTreeMap<Day, u64>,
    complained: Option<Instant>,
    swept: Option<Instant>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, folded: BTreeMap::new(), complained: None, swept: None }
    }

    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let (rows, flushes, stopped) = self.take();
            let newest = rows.keys().next_back().map(|(hour, _)| *hour);
            self.write(rows);
            for flushed in flushes {
                // Who asked may have gone.
                let _ = flushed.send(());
            }
            if stopped {
                let left = shared.lock().rows.len();
                if left > 0 {
                    tracing::error!(rows = left, "usage could not be written before the end and is lost");
                    shared.lost.add(left as u64);
                }
                return;
            }
            self.sweep(newest);
        }
    }

    /// Waits for rows, then for more of them, unless someone waits for a flush.
    fn take(&self) -> (Rows, Vec<tokio::sync::oneshot::Sender<()>>, bool) {
        let shared = &self.shared;
        let urgent = |state: &super::State| !state.flushes.is_empty() || state.stopped;
        let waited = shared.news.wait_while(shared.lock(), |state| state.rows.is_empty() && !urgent(state));
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        let waited = shared.news.wait_timeout_while(state, shared.settings.linger, |state| !urgent(state));
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut state.rows), std::mem::take(&mut state.flushes), state.stopped)
    }

    fn write(&mut self, rows: Rows) {
        let mut by_day: BTreeMap<Day, Rows> = BTreeMap::new();
        for ((hour, key), sums) in rows {
            by_day.entry(Day::of(hour)).or_default().insert((hour, key), sums);
        }
        for (day, rows) in by_day {
            if let Err(error) = self.write_day(day, rows) {
                self.complain(&error);
            }
        }
    }

    /// Appends the rows of one day; those that do not get there wait on.
    fn write_day(&mut self, day: Day, rows: Rows) -> io::Result<()> {
        let path = day.path(&self.shared.settings.directory);
        let mut frames = Vec::with_capacity(rows.len() * 256);
        for ((hour, key), sums) in &rows {
            days::write_row(&mut frames, *hour, key, sums);
        }
        let appended = append(&path, &frames, true);
        let mut state = self.shared.lock();
        for ((hour, key), sums) in rows.into_iter().skip(appended.frames) {
            self.shared.add(&mut state, hour, key, &sums);
        }
        drop(state);
        appended.result?;
        let before = appended.length - frames.len() as u64;
        let folded = *self.folded.entry(day).or_insert(before);
        if appended.length.saturating_sub(folded) >= self.shared.settings.fold_bytes {
            self.folded.insert(day, days::fold(&path)?);
        }
        Ok(())
    }

    /// Folds days that are over, and removes those that are too old, as seen from the newest row.
    fn sweep(&mut self, newest: Option<Timestamp>) {
        let Some(newest) = newest.filter(|_| self.swept.is_none_or(|last| last.elapsed() >= SWEEP)) else { return };
        self.swept = Some(Instant::now());
        let settings = &self.shared.settings;
        let today = Day::of(newest);
        let over: Vec<Day> = self.folded.range(..today).map(|(day, _)| *day).collect();
        let mut swept = days::expire(&settings.directory, newest - settings.retention_age);
        for day in over {
            self.folded.remove(&day);
            swept = swept.and_then(|()| days::fold(&day.path(&settings.directory)).map(drop));
        }
        if let Err(error) = swept {
            self.complain(&error);
        }
    }

    fn complain(&mut self, error: &io::Error) {
        if self.complained.is_none_or(|last| last.elapsed() > COMPLAIN) {
            self.complained = Some(Instant::now());
            tracing::warn!(%error, "usage cannot be written; it waits in memory");
        }
    }
}

/// Metrics of invocations.
pub(super) struct Counted {
    invocations: CounterFamily<4>,
    seconds: HistogramFamily<2>,
    cold_starts: CounterFamily<2>,
    init_seconds: HistogramFamily<2>,
    billed: CounterFamily<2>,
    cpu: CounterFamily<2>,
}

impl Counted {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            invocations: metrics.counter(&names::INVOCATIONS),
            seconds: metrics.histogram(&names::INVOCATION_SECONDS),
            cold_starts: metrics.counter(&names::COLD_STARTS),
            init_seconds: metrics.histogram(&names::INIT_SECONDS),
            billed: metrics.counter(&names::BILLED_MILLISECONDS),
            cpu: metrics.counter(&names::CPU_MICROSECONDS),
        }
    }

    pub(super) fn count(&self, record: &UsageRecord) {
        let who = [record.account.as_str(), record.function.as_str()];
        let outcome = match record.failure {
            None => "success",
            Some(FailureKind::Function) => "function_error",
            Some(FailureKind::Timeout) => "timeout",
            Some(FailureKind::Throttled) => "throttled",
            Some(FailureKind::Platform) => "platform_error",
        };
        self.invocations.with([who[0], who[1], &record.version.to_string(), outcome]).inc();
        if record.failure == Some(FailureKind::Throttled) {
            return;
        }
        self.seconds.with(who).observe(record.duration);
        self.billed.with(who).add(record.billed_ms);
        self.cpu.with(who).add(u64::try_from(record.cpu.as_micros()).unwrap_or(u64::MAX));
        if record.cold {
            self.cold_starts.with(who).inc();
        }
        if let Some(init) = record.init {
            self.init_seconds.with(who).observe(init);
        }
    }
}
