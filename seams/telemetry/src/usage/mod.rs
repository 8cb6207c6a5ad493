//! What invocations used: recorded one by one, kept as sums for each version and hour.

pub(crate) mod file;
mod sums;

use std::time::Duration;

use async_trait::async_trait;
use dormouse_model::{AccountId, AliasName, FailureKind, FunctionName, Timestamp, VersionNumber};
use serde::{Deserialize, Serialize};

use crate::TelemetryResult;
pub use sums::UsageSums;

/// What one invocation used.
#[derive(Debug, Clone)]
pub struct UsageRecord {
    /// Who pays.
    pub account: AccountId,
    /// What ran.
    pub function: FunctionName,
    /// The version that ran; for a throttled invocation the one that would have.
    pub version: VersionNumber,
    /// The alias that led there, if one did.
    pub alias: Option<AliasName>,
    /// When it ended.
    pub time: Timestamp,
    /// From the hand-over to the instance until its answer, without init. Zero when throttled.
    pub duration: Duration,
    /// What is paid for, in whole milliseconds, rounded up as the settings say. Zero when throttled.
    pub billed_ms: u64,
    /// How long the init phase took, when this invocation waited for one.
    pub init: Option<Duration>,
    /// Whether it had to wait for a new instance.
    pub cold: bool,
    /// How it failed, if it did.
    pub failure: Option<FailureKind>,
    /// The memory that was configured, in MB.
    pub memory_mb: u32,
    /// The most memory that the instance has held, in bytes.
    pub memory_peak_bytes: u64,
    /// CPU time that the invocation took.
    pub cpu: Duration,
}

/// What sums are kept for, within one hour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UsageKey {
    /// Who pays.
    pub account: AccountId,
    /// What ran.
    pub function: FunctionName,
    /// The version that ran.
    pub version: VersionNumber,
    /// The alias that led there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<AliasName>,
}

/// The sums of one key in one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// Of what.
    pub key: UsageKey,
    /// The start of the hour, UTC.
    pub hour: Timestamp,
    /// How much.
    pub sums: UsageSums,
}

/// The usage of all functions.
#[async_trait]
pub trait UsageRecords: Send + Sync + 'static {
    /// Takes one record. Never blocks and never fails.
    fn record(&self, record: UsageRecord);

    /// Returns when all that was recorded before is in its file, or could not be written.
    async fn flush(&self);

    /// The hours that begin in `from` (inclusive) to `to` (exclusive), ordered by hour and key; of one account, or of
    /// all. Includes all that was recorded before the call.
    async fn read(&self, account: Option<AccountId>, from: Timestamp, to: Timestamp) -> TelemetryResult<Vec<UsageRow>>;
}
