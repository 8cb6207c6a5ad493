//! How long a client may be waited for. Pure: instants come in, deadlines go out.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::FrontSettings;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of its header.
    Header,
    /// Us: the request is being answered.
    Busy,
}

/// What the reader, the writer and the bodies of one connection know together.
pub(crate) struct Pace {
    start: Instant,
    /// The phase, and in milliseconds after `start` when it began.
    phase: AtomicU64,
    /// A request was handed to a surface, and its answer is not yet with the client's end of the connection.
    answering: AtomicBool,
    /// A body was given up before its end: the client may still be sending.
    unread: AtomicBool,
    draining: AtomicBool,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            start: now,
            phase: AtomicU64::new(0),
            answering: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    pub(crate) fn enter(&self, phase: Phase, now: Instant) {
        let millis = u64::try_from((now - self.start).as_millis()).unwrap_or(u64::MAX >> 2);
        self.phase.store(millis << 2 | phase as u64, Ordering::Relaxed);
        if phase == Phase::Busy {
            self.answering.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) & 3 {
            0 => Phase::Idle,
            1 => Phase::Header,
            _ => Phase::Busy,
        }
    }

    /// Until when the client must have sent something; never while it waits for us.
    pub(crate) fn deadline(&self, settings: &FrontSettings) -> Option<Instant> {
        let since = self.start + Duration::from_millis(self.phase.load(Ordering::Relaxed) >> 2);
        match self.phase() {
            Phase::Idle => Some(since + settings.idle_timeout),
            Phase::Header => Some(since + settings.header_timeout),
            Phase::Busy => None,
        }
    }

    /// All that was written is out.
    pub(crate) fn flushed(&self) {
        if self.phase() != Phase::Busy {
            self.answering.store(false, Ordering::Relaxed);
        }
    }

    /// Whether what is written is a surface's answer. If not, hyper answers by itself.
    pub(crate) fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }

    pub(crate) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the connection has nothing to do and should end.
    pub(crate) fn is_over(&self) -> bool {
        self.draining.load(Ordering::Relaxed) && self.phase() == Phase::Idle
    }
}

/// The slowest pace of a body in bytes a second. One that holds memory has to be through with it in a given time: at the
/// pace that is enough for small ones, a client that is nobody yet could hold much of it for hours, at no cost of its own.
pub(crate) fn least_pace(held_bytes: u64, settings: &FrontSettings) -> u64 {
    let through_in_time = held_bytes as f64 / settings.body_memory_time.as_secs_f64().max(0.001);
    settings.body_min_bytes_per_sec.max(through_in_time.ceil() as u64).max(1)
}

/// How long a body has been waited for. Time in which we did not ask for it does not count.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    waited: Duration,
    since: Option<Instant>,
}

impl Patience {
    /// The client has nothing for us now. Returns until when it must, having sent so many bytes in all at a pace of at
    /// least so many a second.
    pub(crate) fn wait(&mut self, now: Instant, sent_bytes: u64, least: u64, settings: &FrontSettings) -> Instant {
        let since = *self.since.get_or_insert(now);
        let earned = Duration::from_secs_f64(sent_bytes as f64 / least as f64);
        since + (settings.body_grace + earned).saturating_sub(self.waited)
    }

    /// It has.
    pub(crate) fn go_on(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(since) = self.since.take() {
            self.waited += now() - since;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> FrontSettings {
        FrontSettings {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(100),
            body_grace: Duration::from_secs(20),
            body_min_bytes_per_sec: 1_000,
            ..FrontSettings::default()
        }
    }

    #[test]
    fn each_phase_has_its_deadline() {
        let (start, settings) = (Instant::now(), settings());
        let pace = Pace::new(start);
        assert_eq!(pace.deadline(&settings), Some(start + Duration::from_secs(100)));
        let later = start + Duration::from_secs(7);
        pace.enter(Phase::Header, later);
        assert_eq!(pace.deadline(&settings), Some(later + Duration::from_secs(10)));
        pace.enter(Phase::Busy, later);
        assert_eq!(pace.deadline(&settings), None);
    }

    #[test]
    fn a_drain_ends_only_what_is_idle() {
        let pace = Pace::new(Instant::now());
        assert!(!pace.is_over());
        pace.enter(Phase::Busy, Instant::now());
        pace.drain();
        assert!(!pace.is_over());
        pace.enter(Phase::Idle, Instant::now());
        assert!(pace.is_over());
    }

    #[test]
    fn an_answer_goes_on_until_all_of_it_is_out() {
        let pace = Pace::new(Instant::now());
        assert!(!pace.is_answering());
        pace.enter(Phase::Busy, Instant::now());
        pace.flushed();
        assert!(pace.is_answering(), "only its beginning was out");
        pace.enter(Phase::Idle, Instant::now());
        assert!(pace.is_answering());
        pace.flushed();
        assert!(!pace.is_answering());
    }

    /// A byte every second, for ever: the grace is used up however steadily it trickles.
    #[test]
    fn a_trickle_runs_out_of_patience() {
        let (start, settings) = (Instant::now(), settings());
        let mut patience = Patience::default();
        let mut now = start;
        for sent in 0..60 {
            let deadline = patience.wait(now, sent, 1_000, &settings);
            now += Duration::from_secs(1);
            if deadline < now {
                assert_eq!((now - start).as_secs(), 21);
                return;
            }
            patience.go_on(|| now);
        }
        panic!("never too slow");
    }

    #[test]
    fn a_client_at_the_least_rate_is_waited_for() {
        let (mut now, settings) = (Instant::now(), settings());
        let mut patience = Patience::default();
        for sent in 0..600 {
            let least = least_pace(0, &settings);
            assert!(
                patience.wait(now, sent * 1_000, least, &settings) > now + Duration::from_secs(1),
                "cut after {sent} s"
            );
            now += Duration::from_secs(1);
            patience.go_on(|| now);
        }
    }

    #[test]
    fn what_holds_memory_has_to_be_through_with_it_in_time() {
        let settings = FrontSettings { body_memory_time: Duration::from_secs(300), ..settings() };
        assert_eq!(least_pace(0, &settings), 1_000, "what holds none has all the time that its pace gives it");
        assert_eq!(least_pace(300_000, &settings), 1_000);
        assert_eq!(least_pace(60_000_000, &settings), 200_000);
        // A client that is just above the least pace for small bodies is cut soon after the grace.
        let (start, mut patience) = (Instant::now(), Patience::default());
        let mut now = start;
        let mut sent = 0;
        while patience.wait(now, sent, least_pace(60_000_000, &settings), &settings) > now {
            now += Duration::from_secs(1);
            sent += 1_100;
            patience.go_on(|| now);
        }
        assert_eq!((now - start).as_secs(), 21);
        // One that is fast enough is not, to the end.
        let (mut now, mut patience) = (start, Patience::default());
        for second in 0..300 {
            let least = least_pace(60_000_000, &settings);
            assert!(patience.wait(now, second * 200_000, least, &settings) > now, "cut after {second} s");
            now += Duration::from_secs(1);
            patience.go_on(|| now);
        }
    }
}
