//! The lines that the platform writes around an invocation, plain and as JSON. Pure; the texts are a contract that
//! people's log parsers rely on.
//!
//! Source: the developer guide's pages on log formats and on system log levels (which event has which level).

use std::time::Duration;

use dormouse_model::{RequestId, Timestamp, VersionNumber};
use serde_json::{Value, json};

use crate::function::{LogFormat, LogLevel, LoggingConfig};

/// How a phase ended, for the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status<'a> {
    Success,
    /// With the type of the error, when it has one that is worth a line.
    Error(&'a str),
    Timeout,
}

impl Status<'_> {
    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error(_) => "error",
            Self::Timeout => "timeout",
        }
    }

    fn level(self, good: LogLevel) -> LogLevel {
        if self == Self::Success { good } else { LogLevel::Warn }
    }
}

/// Writes lines in the format of one function's configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<'a> {
    pub(crate) logging: &'a LoggingConfig,
    pub(crate) version: VersionNumber,
    pub(crate) now: Timestamp,
}

/// What the REPORT line says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report<'a> {
    pub(crate) request_id: RequestId,
    pub(crate) duration: Duration,
    pub(crate) billed_ms: u64,
    pub(crate) memory_mb: u32,
    pub(crate) memory_used_mb: u64,
    pub(crate) init: Option<Duration>,
    pub(crate) status: Status<'a>,
}

/// Milliseconds with two decimals.
fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1000.0)
}

/// The same as a number of JSON.
fn millis_json(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

impl Lines<'_> {
    /// Text, or a JSON event if its level is wanted.
    fn line(
        &self,
        level: LogLevel,
        kind: &str,
        text: impl FnOnce() -> String,
        record: impl FnOnce() -> Value,
    ) -> Option<String> {
        match self.logging.format {
            LogFormat::Text => Some(text()),
            LogFormat::Json if level < self.logging.system_level.unwrap_or(LogLevel::Info) => None,
            LogFormat::Json => {
                Some(json!({"time": self.now.to_string(), "type": kind, "record": record()}).to_string())
            }
        }
    }

    pub(crate) fn init_start(&self, runtime_version: &str, runtime_arn: &str, function: &str) -> Option<String> {
        self.line(
            LogLevel::Info,
            "platform.initStart",
            || format!("INIT_START Runtime Version: {runtime_version}\tRuntime Version ARN: {runtime_arn}"),
            || {
                json!({
                    "initializationType": "on-demand",
                    "phase": "init",
                    "runtimeVersion": runtime_version,
                    "runtimeVersionArn": runtime_arn,
                    "functionName": function,
                    "functionVersion": self.version.to_string(),
                })
            },
        )
    }

    /// Only for an init phase that did not go well; `phase` is `init`, or `invoke` when it was started over.
    pub(crate) fn init_report(&self, phase: &str, duration: Duration, status: Status<'_>) -> Option<String> {
        self.line(
            status.level(LogLevel::Debug),
            "platform.initReport",
            || {
                let error = match status {
                    Status::Error(error_type) => format!("\tError Type: {error_type}"),
                    _ => String::new(),
                };
                let (took, status) = (millis(duration), status.as_str());
                format!("INIT_REPORT Init Duration: {took} ms\tPhase: {phase}\tStatus: {status}{error}")
            },
            || {
                let mut record = json!({
                    "initializationType": "on-demand",
                    "phase": phase,
                    "status": status.as_str(),
                    "metrics": {"durationMs": millis_json(duration)},
                });
                with_error(&mut record, status);
                record
            },
        )
    }

    pub(crate) fn start(&self, request_id: RequestId) -> Option<String> {
        self.line(
            LogLevel::Info,
            "platform.start",
            || format!("START RequestId: {request_id} Version: {}", self.version),
            || json!({"requestId": request_id.to_string(), "version": self.version.to_string()}),
        )
    }

    /// The sentence of a timeout; `None` in JSON, where the report says it.
    pub(crate) fn timed_out(&self, request_id: RequestId, timeout: Duration) -> Option<String> {
        let text = || format!("{} {request_id} Task timed out after {:.2} seconds", self.now, timeout.as_secs_f64());
        (self.logging.format == LogFormat::Text).then(text)
    }

    /// The sentence of a failure that the runtime did not report itself.
    pub(crate) fn failed(&self, request_id: RequestId, error_type: &str, message: &str) -> Option<String> {
        let text = || format!("RequestId: {request_id} Error: {message}\n{error_type}");
        (self.logging.format == LogFormat::Text).then(text)
    }

    pub(crate) fn end(
        &self,
        request_id: RequestId,
        duration: Duration,
        produced_bytes: usize,
        status: Status<'_>,
    ) -> Option<String> {
        self.line(
            status.level(LogLevel::Debug),
            "platform.runtimeDone",
            || format!("END RequestId: {request_id}"),
            || {
                let mut record = json!({
                    "requestId": request_id.to_string(),
                    "status": status.as_str(),
                    "metrics": {"durationMs": millis_json(duration), "producedBytes": produced_bytes},
                });
                with_error(&mut record, status);
                record
            },
        )
    }

    pub(crate) fn report(&self, report: &Report<'_>) -> Option<String> {
        let status = report.status;
        self.line(status.level(LogLevel::Info), "platform.report", || report.text(), || report.json())
    }
}

fn with_error(record: &mut Value, status: Status<'_>) {
    if let Status::Error(error_type) = status {
        record["errorType"] = json!(error_type);
    }
}

impl Report<'_> {
    fn text(&self) -> String {
        let mut text = format!(
            "REPORT RequestId: {}\tDuration: {} ms\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory Used: {} MB",
            self.request_id,
            millis(self.duration),
            self.billed_ms,
            self.memory_mb,
            self.memory_used_mb
        );
        if let Some(init) = self.init {
            text += &format!("\tInit Duration: {} ms", millis(init));
        }
        match self.status {
            Status::Success => {}
            Status::Error(error_type) => text += &format!("\tStatus: error\tError Type: {error_type}"),
            Status::Timeout => text += "\tStatus: timeout",
        }
        text
    }

    fn json(&self) -> Value {
        let mut metrics = json!({
            "durationMs": millis_json(self.duration),
            "billedDurationMs": self.billed_ms,
            "memorySizeMB": self.memory_mb,
            "maxMemoryUsedMB": self.memory_used_mb,
        });
        if let Some(init) = self.init {
            metrics["initDurationMs"] = json!(millis_json(init));
        }
        let mut record =
            json!({"requestId": self.request_id.to_string(), "status": self.status.as_str(), "metrics": metrics});
        with_error(&mut record, self.status);
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3b2a1c00-0000-4000-8000-00000000000a";

    fn logging(format: LogFormat) -> LoggingConfig {
        let json = format == LogFormat::Json;
        LoggingConfig {
            format,
            application_level: None,
            system_level: json.then_some(LogLevel::Info),
            group: "/aws/lambda/f".into(),
        }
    }

    fn report(status: Status<'_>) -> Report<'_> {
        Report {
            request_id: ID.parse().unwrap(),
            duration: Duration::from_micros(1_230),
            billed_ms: 47,
            memory_mb: 128,
            memory_used_mb: 30,
            init: Some(Duration::from_micros(45_600)),
            status,
        }
    }

    #[test]
    fn the_lines_in_text() {
        let logging = logging(LogFormat::Text);
        let lines = Lines { logging: &logging, version: VersionNumber::Latest, now: Timestamp(1_795_325_324_007) };
        let id: RequestId = ID.parse().unwrap();
        let written = [
            lines.init_start("python:3.11.2", "arn:aws:lambda:us-east-1::runtime:x", "f"),
            lines.init_report("init", Duration::from_secs(10), Status::Timeout),
            lines.start(id),
            lines.timed_out(id, Duration::from_secs(3)),
            lines.end(id, Duration::ZERO, 0, Status::Timeout),
            lines.report(&report(Status::Success)),
            lines.report(&report(Status::Error("Runtime.ExitError"))),
        ];
        let written: Vec<String> = written.into_iter().map(|line| line.expect("always in text")).collect();
        let expected = [
            "INIT_START Runtime Version: python:3.11.2\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:x",
            "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout",
            &format!("START RequestId: {ID} Version: $LATEST"),
            &format!("2026-11-22T05:28:44.007Z {ID} Task timed out after 3.00 seconds"),
            &format!("END RequestId: {ID}"),
            &format!(
                "REPORT RequestId: {ID}\tDuration: 1.23 ms\tBilled Duration: 47 ms\tMemory Size: 128 MB\t\
                 Max Memory Used: 30 MB\tInit Duration: 45.60 ms"
            ),
            &format!(
                "REPORT RequestId: {ID}\tDuration: 1.23 ms\tBilled Duration: 47 ms\tMemory Size: 128 MB\t\
                 Max Memory Used: 30 MB\tInit Duration: 45.60 ms\tStatus: error\tError Type: Runtime.ExitError"
            ),
        ];
        assert_eq!(written, expected);
    }

    #[test]
    fn the_lines_in_json() {
        let logging = logging(LogFormat::Json);
        let lines =
            Lines { logging: &logging, version: VersionNumber::Published(2), now: Timestamp(1_795_325_324_007) };
        let line = lines.report(&report(Status::Success)).expect("INFO is written");
        let expected = json!({
            "time": "2026-11-22T05:28:44.007Z",
            "type": "platform.report",
            "record": {"requestId": ID, "status": "success", "metrics": {
                "durationMs": 1.23, "billedDurationMs": 47, "memorySizeMB": 128, "maxMemoryUsedMB": 30,
                "initDurationMs": 45.6,
            }},
        });
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
        let id: RequestId = ID.parse().unwrap();
        assert_eq!(lines.end(id, Duration::ZERO, 0, Status::Success), None, "DEBUG is not written");
        assert!(lines.end(id, Duration::ZERO, 0, Status::Timeout).is_some(), "WARN is written");
        assert_eq!(lines.timed_out(id, Duration::ZERO), None);
    }
}
