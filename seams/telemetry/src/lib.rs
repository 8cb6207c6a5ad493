//! The telemetry seam: function logs, metrics and usage records, appended in batches.
//!
//! Three things that the warm path may do at any time, because none of them waits or fails: [`FunctionLogs::append`],
//! [`UsageRecords::record`], and a count in [`Metrics`]. What they take is kept in bounded memory and written a moment
//! later by a thread of their own. A process that is killed loses what that moment held, by a named setting; it never
//! makes a reader take half a record for a whole one.

mod append;
mod error;
mod frame;
mod logs;
mod metrics;
mod usage;

pub use error::{TelemetryError, TelemetryResult};
pub use logs::file::{FileLogs, LogSettings};
pub use logs::{FunctionKey, FunctionLogs, LogCursor, LogFollow, LogPage, LogQuery, LogRecord, LogStream};
pub use metrics::names;
pub use metrics::{Counter, CounterFamily, CounterSpec, Gauge, GaugeFamily, GaugeSpec, Histogram, HistogramFamily};
pub use metrics::{HistogramSpec, Metrics, SECONDS, SERIES};
pub use usage::file::{FileUsage, UsageSettings};
pub use usage::{UsageKey, UsageRecord, UsageRecords, UsageRow, UsageSums};
