use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use dormouse_model::{FunctionArn, RevisionId, Timestamp, VersionNumber};
use serde::{Deserialize, Serialize};

/// A version of a function as it is shown to its owner: `$LATEST` or a published one.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionVersion {
    /// With a qualifier when the request had one or the version is a published one; as `FunctionArn` in answers.
    pub arn: FunctionArn,
    /// Which.
    pub version: VersionNumber,
    /// What was configured, defaults filled in.
    pub configuration: Configuration,
    /// The code that it runs.
    pub code: CodeSummary,
    /// Token of this saved state.
    pub revision: RevisionId,
    /// When code or configuration was last changed.
    pub last_modified: Timestamp,
    /// Whether it can be invoked.
    pub state: State,
    /// How the last change went.
    pub last_update: LastUpdate,
}

/// A function with what stands beside its versions; the answer of `GetFunction`.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionDetails {
    /// The version that was asked for.
    pub version: FunctionVersion,
    /// Tags of the function.
    pub tags: BTreeMap<String, String>,
    /// Reserved concurrency, when it has one.
    pub reserved_concurrency: Option<u32>,
}

/// The immutable uploaded bytes, known by digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodeSummary {
    /// SHA-256 of the zip, base64; `CodeSha256` on the wire.
    pub sha256: String,
    /// Bytes of the zip.
    pub size_bytes: u64,
}

/// What a version is configured to; a snapshot of it is frozen into every published version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// `python3.12`, `nodejs20.x`, `provided.al2023`, ...
    pub runtime: String,
    /// At most 128 characters, no white space.
    pub handler: String,
    /// ARN of the execution role.
    pub role: String,
    /// At most 256 characters; may be empty.
    #[serde(default)]
    pub description: String,
    /// 1 to 900.
    pub timeout_secs: u32,
    /// 128 to 10,240.
    pub memory_mb: u32,
    /// Size of `/tmp`, 512 to 10,240.
    pub ephemeral_storage_mb: u32,
    /// The function's own variables, at most 4 KiB in all.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What the code was built for.
    pub architecture: Architecture,
    /// Kept and shown.
    pub tracing: TracingMode,
    /// Format, levels and group of its log.
    pub logging: LoggingConfig,
}

/// `Architectures`: always exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Architecture {
    /// `x86_64`
    #[serde(rename = "x86_64")]
    X86_64,
    /// `arm64`
    #[serde(rename = "arm64")]
    Arm64,
}

impl Architecture {
    /// What this program was built for, and so what its sandboxes run.
    pub const HOST: Self = if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::X86_64 };

    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// `TracingConfig.Mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum TracingMode {
    /// The default.
    #[default]
    PassThrough,
    /// Sample and trace.
    Active,
}

impl TracingMode {
    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PassThrough => "PassThrough",
            Self::Active => "Active",
        }
    }
}

/// `LoggingConfig`, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggingConfig {
    /// Plain text or JSON.
    pub format: LogFormat,
    /// Least level of the code's own lines that are kept; only with JSON.
    pub application_level: Option<LogLevel>,
    /// Least level of the platform's lines (`DEBUG`, `INFO`, `WARN`); only with JSON.
    pub system_level: Option<LogLevel>,
    /// `/aws/lambda/NAME` unless named otherwise.
    pub group: String,
}

/// `LogFormat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum LogFormat {
    /// The default.
    #[default]
    Text,
    /// One JSON object a line.
    #[serde(rename = "JSON")]
    Json,
}

impl LogFormat {
    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Json => "JSON",
        }
    }
}

/// Levels of log lines, in rising order of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// `TRACE`
    Trace,
    /// `DEBUG`
    Debug,
    /// `INFO`
    Info,
    /// `WARN`
    Warn,
    /// `ERROR`
    Error,
    /// `FATAL`
    Fatal,
}

impl LogLevel {
    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

macro_rules! from_wire {
    ($name:ident: $($variant:ident),+) => {
        impl FromStr for $name {
            type Err = crate::FunctionsError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                [$(Self::$variant),+].into_iter().find(|value| value.as_str() == text).ok_or_else(|| {
                    let allowed = [$(Self::$variant.as_str()),+].join(", ");
                    crate::FunctionsError::InvalidParameterValue(format!(
                        "{text:?} is not a {}: it takes one of {allowed}.", stringify!($name)
                    ))
                })
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

from_wire!(Architecture: X86_64, Arm64);
from_wire!(TracingMode: PassThrough, Active);
from_wire!(LogFormat: Text, Json);
from_wire!(LogLevel: Trace, Debug, Info, Warn, Error, Fatal);

/// Whether a version can be invoked.
///
/// ```text
///   Pending --(code checked and unpacked)--> Active
///      \------(it could not be)------------> Failed
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Being made ready; an invocation waits for it.
    Pending,
    /// Can be invoked.
    Active,
    /// Cannot be: the reason says why.
    Failed(Reason),
}

/// How the last change of a version went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LastUpdate {
    /// It holds.
    Successful,
    /// It is being made ready; invocations run what was there before.
    InProgress,
    /// It could not be made ready: the reason says why.
    Failed(Reason),
}

/// A code of the Lambda API and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Such as `InvalidZipFileException` or `InternalError`.
    pub code: String,
    /// For the user.
    pub message: String,
}

impl State {
    /// `State` on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Active => "Active",
            Self::Failed(_) => "Failed",
        }
    }

    /// `StateReasonCode` and `StateReason`.
    pub fn reason(&self) -> Option<(&str, &str)> {
        match self {
            Self::Pending => Some(("Creating", "The function is being created.")),
            Self::Active => None,
            Self::Failed(reason) => Some((&reason.code, &reason.message)),
        }
    }
}

impl LastUpdate {
    /// `LastUpdateStatus` on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Successful => "Successful",
            Self::InProgress => "InProgress",
            Self::Failed(_) => "Failed",
        }
    }

    /// `LastUpdateStatusReasonCode` and `LastUpdateStatusReason`.
    pub fn reason(&self) -> Option<(&str, &str)> {
        match self {
            Self::Successful => None,
            Self::InProgress => Some(("Creating", "The function is being updated.")),
            Self::Failed(reason) => Some((&reason.code, &reason.message)),
        }
    }
}

/// An alias as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    /// The function's ARN with the alias as its qualifier.
    pub arn: FunctionArn,
    /// Its name.
    pub name: dormouse_model::AliasName,
    /// The version that it leads to.
    pub version: VersionNumber,
    /// A second version and its share of the calls.
    pub routing: Option<Weight>,
    /// May be empty.
    pub description: String,
    /// Token of this saved state.
    pub revision: RevisionId,
}

/// One entry of `AdditionalVersionWeights`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// A published version.
    pub version: VersionNumber,
    /// 0.0 to 1.0.
    pub share: f64,
}

/// How asynchronous invocations of one version or alias are tried.
#[derive(Debug, Clone, PartialEq)]
pub struct EventInvokeConfig {
    /// The function's ARN with the qualifier that it applies to; `$LATEST` when none was named.
    pub arn: FunctionArn,
    /// When it was last changed.
    pub last_modified: Timestamp,
    /// What was set; the rest is default.
    pub settings: EventInvokeSettings,
}

/// The settable part of [`EventInvokeConfig`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventInvokeSettings {
    /// 0 to 2; absent means 2.
    pub maximum_retry_attempts: Option<u32>,
    /// 60 to 21,600; absent means 21,600.
    pub maximum_event_age_secs: Option<u32>,
    /// ARN of a function.
    pub on_success: Option<String>,
    /// ARN of a function.
    pub on_failure: Option<String>,
}

/// `GetAccountSettings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSettings {
    /// All code that the account may keep.
    pub code_storage_limit_bytes: u64,
    /// All that it keeps.
    pub code_storage_used_bytes: u64,
    /// Unpacked bytes of one function.
    pub unpacked_code_bytes: u64,
    /// Bytes of a zip in a request.
    pub zipped_code_bytes: u64,
    /// Invocations in progress at one instant.
    pub concurrency: u32,
    /// What is left of it beside all reservations.
    pub unreserved_concurrency: u32,
    /// Number of functions.
    pub functions: u64,
}
