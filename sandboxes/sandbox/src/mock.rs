//! A driver that runs no code: it does what its script says. An ordinary driver otherwise, for tests of what stands
//! above the seam. It counts, and notices when it is used against the rules of the seam.
//!
//! A script is words separated by commas. It is the handler, followed by the variable `MOCK` of the environment,
//! followed by the field `mock` of an event that is a JSON object; later words win.
//!
//! | Word | Meaning |
//! |---|---|
//! | `init_ms=N` | the init phase takes N ms |
//! | `init=error`, `exit`, `oom`, `platform`, `missing`, `hang`, `panic` | how it ends, when not well |
//! | `init_fails=N` | it ends so in the first N starts of the driver only, and well from then on |
//! | `init_print=TEXT` | a line on standard output in every init phase |
//! | `ms=N` | an invocation takes N ms |
//! | `print=TEXT` | a line on standard output in every invocation |
//! | `end=error`, `exit`, `oom`, `large`, `platform`, `hang` | how an invocation ends, when not with its own event |
//! | `stop_ms=N` | stopping it takes N ms |
//! | `dies_ms=N` | the instance ends by itself N ms after its last invocation |
//!
//! Time is tokio's, so it stands still in a test that pauses it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_model::{Clock, Invocation};
use tokio::time::{Instant as Moment, sleep, sleep_until, timeout};

use crate::{Driver, Ending, InitReport, Instance, LogLine, RuntimeState, StartError, StartSpec, Stream, Usage};

/// Bytes that `end=large` answers with: more than any limit.
pub const LARGE_BYTES: u64 = 7 * 1024 * 1024;

/// What a mock driver has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Starts asked for.
    pub starts: AtomicU64,
    /// Instances that exist now, starting ones included.
    pub live: AtomicU64,
    /// The most that existed at one time.
    pub most_live: AtomicU64,
    /// Invocations that run now.
    pub running: AtomicU64,
    /// The most that ran at one time.
    pub most_running: AtomicU64,
    /// Invocations so far.
    pub invocations: AtomicU64,
    /// Freezes so far.
    pub freezes: AtomicU64,
    /// Uses against the rules: invoked or frozen while frozen, invoked when spent.
    pub violations: AtomicU64,
    /// What was said to be expected: runtimes with their sizes of `/tmp`.
    pub expected: Mutex<BTreeSet<(String, u32)>>,
}

impl Seen {
    fn enter(now: &AtomicU64, most: &AtomicU64) {
        let count = now.fetch_add(1, SeqCst) + 1;
        most.fetch_max(count, SeqCst);
    }
}

/// The driver.
pub struct Mock {
    clock: Arc<dyn Clock>,
    seen: Arc<Seen>,
}

impl Mock {
    /// Judges deadlines by the clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, seen: Arc::default() }
    }

    /// What it has seen.
    pub fn seen(&self) -> Arc<Seen> {
        self.seen.clone()
    }
}

#[derive(Debug, Clone, Default)]
struct Script {
    init: Duration,
    init_end: Option<String>,
    init_fails: Option<u64>,
    init_print: Option<String>,
    takes: Duration,
    print: Option<String>,
    end: Option<String>,
    dies_after: Option<Duration>,
    stop_takes: Duration,
}

impl Script {
    fn read(&mut self, text: &str) {
        for word in text.split(',') {
            let Some((key, value)) = word.split_once('=') else { continue };
            let millis = || Duration::from_millis(value.parse().unwrap_or_default());
            match key {
                "init_ms" => self.init = millis(),
                "init_fails" => self.init_fails = value.parse().ok(),
                "init_print" => self.init_print = Some(value.to_owned()),
                "init" => self.init_end = Some(value.to_owned()),
                "ms" => self.takes = millis(),
                "print" => self.print = Some(value.to_owned()),
                "end" => self.end = Some(value.to_owned()),
                "stop_ms" => self.stop_takes = millis(),
                "dies_ms" => self.dies_after = Some(millis()),
                _ => {}
            }
        }
    }

    fn read_event(&mut self, payload: &[u8]) {
        let event: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
        if let Some(text) = event.as_ref().and_then(|event| event.get("mock")).and_then(|script| script.as_str()) {
            self.read(text);
        }
    }
}

/// Counts an instance for as long as it exists, also when its start is dropped half-way.
struct Life(Arc<Seen>);

impl Life {
    fn begin(seen: &Arc<Seen>) -> Self {
        Seen::enter(&seen.live, &seen.most_live);
        Self(seen.clone())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, SeqCst);
    }
}

struct Running(Arc<Seen>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

fn failed_init(script: &Script) -> Option<StartError> {
    let function = |error_type: &str, message: &str| StartError::Function {
        error_type: error_type.to_owned(),
        message: message.to_owned(),
        body: Bytes::from(serde_json::json!({"errorType": error_type, "errorMessage": message}).to_string()),
        duration: script.init,
    };
    Some(match script.init_end.as_deref()? {
        "error" => function("Runtime.ImportModuleError", "Unable to import module 'mock'"),
        "exit" => function("Runtime.ExitError", "Runtime exited with error: exit status 1"),
        "oom" => StartError::OutOfMemory { duration: script.init },
        "panic" => panic!("the script says so"),
        "missing" => StartError::RuntimeMissing("mock is not installed: apt-get install mock".to_owned()),
        _ => StartError::Platform("the script says so".to_owned()),
    })
}

#[async_trait]
impl Driver for Mock {
    fn runtime(&self, name: &str) -> Option<RuntimeState> {
        let known = ["python3.", "nodejs", "provided"].iter().any(|prefix| name.starts_with(prefix));
        known.then(|| RuntimeState { version: Some(format!("mock:{name}")), exact: true, remedy: None })
    }

    fn expect(&self, runtime: &str, ephemeral_storage_mb: u32) {
        self.seen.expected.lock().expect("nobody panics here").insert((runtime.to_owned(), ephemeral_storage_mb));
    }

    async fn start(&self, spec: StartSpec) -> Result<(Box<dyn Instance>, InitReport), StartError> {
        let before = self.seen.starts.fetch_add(1, SeqCst);
        let life = Life::begin(&self.seen);
        let mut script = Script::default();
        script.read(&spec.handler);
        script.read(spec.environment.get("MOCK").map_or("", String::as_str));
        if script.init_fails.is_some_and(|most| before >= most) {
            script.init_end = None;
        }
        if let Some(text) = script.init_print.take() {
            spec.log.line(LogLine { stream: Stream::Stdout, request_id: None, text: text.into() });
        }
        let hangs = script.init_end.as_deref() == Some("hang");
        let init = async { if hangs { std::future::pending().await } else { sleep(script.init).await } };
        if timeout(spec.init_timeout, init).await.is_err() {
            return Err(StartError::Timeout { limit: spec.init_timeout });
        }
        if let Some(error) = failed_init(&script) {
            return Err(error);
        }
        let report = InitReport { duration: script.init, runtime_version: format!("mock:{}", spec.runtime) };
        let clock = self.clock.clone();
        let mut instance =
            MockInstance { life, clock, spec, script, frozen: false, spent: false, cpu: Duration::ZERO, dies: None };
        instance.schedule_death();
        Ok((Box::new(instance), report))
    }
}

struct MockInstance {
    life: Life,
    clock: Arc<dyn Clock>,
    spec: StartSpec,
    script: Script,
    frozen: bool,
    spent: bool,
    cpu: Duration,
    dies: Option<Moment>,
}

impl MockInstance {
    fn schedule_death(&mut self) {
        self.dies = self.script.dies_after.map(|after| Moment::now() + after);
    }

    fn is_dead(&self) -> bool {
        self.spent || self.dies.is_some_and(|at| at <= Moment::now())
    }

    async fn run(&mut self, invocation: Invocation) -> Ending {
        let mut script = self.script.clone();
        script.read_event(&invocation.payload);
        if let Some(text) = script.print {
            let request_id = Some(invocation.request_id);
            self.spec.log.line(LogLine { stream: Stream::Stdout, request_id, text: text.into() });
        }
        sleep(script.takes).await;
        self.cpu += script.takes;
        match script.end.as_deref() {
            None => Ending::Response(invocation.payload),
            Some("error") => Ending::Error {
                error_type: "ValueError".to_owned(),
                body: Bytes::from_static(br#"{"errorMessage": "the script says so", "errorType": "ValueError"}"#),
            },
            Some("exit") => Ending::Exited { status: "exit status 3".to_owned() },
            Some("oom") => Ending::OutOfMemory,
            Some("large") => Ending::ResponseTooLarge { size_bytes: LARGE_BYTES },
            Some("hang") => std::future::pending().await,
            Some(_) => Ending::Platform("the script says so".to_owned()),
        }
    }
}

#[async_trait]
impl Instance for MockInstance {
    async fn invoke(&mut self, invocation: Invocation) -> Ending {
        let seen = self.life.0.clone();
        seen.invocations.fetch_add(1, SeqCst);
        Seen::enter(&seen.running, &seen.most_running);
        let _running = Running(seen.clone());
        if self.frozen || self.spent {
            seen.violations.fetch_add(1, SeqCst);
        }
        if self.is_dead() {
            self.spent = true;
            return Ending::Exited { status: "exit status 1".to_owned() };
        }
        // Spent unless it comes to an end that leaves it idle; also when the future is dropped.
        self.spent = true;
        let left = invocation.deadline.since(self.clock.now());
        let ending = timeout(left, self.run(invocation)).await.unwrap_or(Ending::Timeout);
        self.spent = !ending.leaves_instance_idle();
        self.schedule_death();
        ending
    }

    async fn freeze(&mut self) {
        if std::mem::replace(&mut self.frozen, true) {
            self.life.0.violations.fetch_add(1, SeqCst);
        }
        self.life.0.freezes.fetch_add(1, SeqCst);
    }

    async fn thaw(&mut self) {
        self.frozen = false;
    }

    fn usage(&self) -> Usage {
        Usage { cpu: self.cpu, memory_peak_bytes: 30 * 1024 * 1024 }
    }

    async fn ended(&self) {
        match self.dies {
            _ if self.spent => {}
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    async fn stop(self: Box<Self>) {
        if !self.script.stop_takes.is_zero() {
            sleep(self.script.stop_takes).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_words_of_a_script_win() {
        let mut script = Script::default();
        script.read("app.handler,ms=5,end=exit");
        script.read_event(br#"{"mock": "ms=7"}"#);
        assert_eq!((script.takes, script.end.as_deref()), (Duration::from_millis(7), Some("exit")));
    }
}
