//! What the engine is asked for. An absent field was not said by the caller.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use dormouse_model::{AliasName, FunctionName, Qualifier, RequestId, RevisionId, VersionNumber};

use crate::error::Result;
use crate::function::{LogFormat, LogLevel, TracingMode, Weight};

/// `CreateFunction`.
#[derive(Debug, Clone)]
pub struct CreateFunction {
    /// Must not exist in the account.
    pub name: FunctionName,
    /// The zip itself.
    pub zip: Bytes,
    /// `runtime`, `handler` and `role` must be there.
    pub configuration: ConfigurationChange,
    /// Tags; `dormouse:egress` grants outbound traffic.
    pub tags: BTreeMap<String, String>,
    /// What the code was built for, `Architectures`; `None` means this host's.
    pub architectures: Option<Vec<String>>,
    /// Publish version 1 at once.
    pub publish: bool,
}

/// The settable part of a configuration. For an update, what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct ConfigurationChange {
    /// `Runtime`.
    pub runtime: Option<String>,
    /// `Handler`.
    pub handler: Option<String>,
    /// `Role`. The caller has been checked for `iam:PassRole` on it.
    pub role: Option<String>,
    /// `Description`.
    pub description: Option<String>,
    /// `Timeout`, seconds.
    pub timeout_secs: Option<u32>,
    /// `MemorySize`, MB.
    pub memory_mb: Option<u32>,
    /// `EphemeralStorage.Size`, MB.
    pub ephemeral_storage_mb: Option<u32>,
    /// `Environment.Variables`; replaces all.
    pub environment: Option<BTreeMap<String, String>>,
    /// `TracingConfig.Mode`.
    pub tracing: Option<TracingMode>,
    /// `LoggingConfig`; what is absent in it takes its default.
    pub logging: Option<LoggingChange>,
    /// Parts of the API that the caller used and that do not exist here. Not empty means refusal. An empty list or an
    /// empty text on the wire (`Layers: []`, `KMSKeyArn: ""`) asks for nothing and is not named here.
    pub unsupported: Vec<Unsupported>,
}

/// `LoggingConfig` as said by the caller.
#[derive(Debug, Clone, Default)]
pub struct LoggingChange {
    /// `LogFormat`.
    pub format: Option<LogFormat>,
    /// `ApplicationLogLevel`.
    pub application_level: Option<LogLevel>,
    /// `SystemLogLevel`.
    pub system_level: Option<LogLevel>,
    /// `LogGroup`.
    pub group: Option<String>,
}

/// Parts of `CreateFunction` and `UpdateFunction*` that are refused until they exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the parameter of the same name")]
pub enum Unsupported {
    AcceleratorConfig,
    CapacityProviderConfig,
    CodeSigningConfigArn,
    DeadLetterConfig,
    DurableConfig,
    FileSystemConfigs,
    ImageConfig,
    ImageUri,
    KmsKeyArn,
    Layers,
    PackageTypeImage,
    PublishTo,
    RuntimeConfig,
    S3Code,
    SnapStart,
    SourceKmsKeyArn,
    TenancyConfig,
    VpcConfig,
}

impl Unsupported {
    /// What to do without it.
    pub fn instead(self) -> &'static str {
        match self {
            Self::DeadLetterConfig => {
                "Leave it out: events that are given up are kept, and PutFunctionEventInvokeConfig takes a function as \
                 their destination"
            }
            Self::ImageConfig | Self::ImageUri | Self::PackageTypeImage | Self::S3Code => {
                "Send the code as a zip in ZipFile"
            }
            Self::KmsKeyArn | Self::SourceKmsKeyArn => {
                "Leave it out: variables are sealed under the master key of the node"
            }
            Self::Layers => "Leave it out, and put the files of the layers into the zip",
            Self::PublishTo => "Leave it out, and send Publish to publish a numbered version",
            Self::RuntimeConfig => "Leave it out: the runtime is the one that the host has",
            Self::VpcConfig => "Leave it out: the tag dormouse:egress grants what the function may reach",
            Self::AcceleratorConfig
            | Self::CapacityProviderConfig
            | Self::CodeSigningConfigArn
            | Self::DurableConfig
            | Self::FileSystemConfigs
            | Self::SnapStart
            | Self::TenancyConfig => "Leave it out",
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AcceleratorConfig => "AcceleratorConfig",
            Self::CapacityProviderConfig => "CapacityProviderConfig",
            Self::CodeSigningConfigArn => "CodeSigningConfigArn",
            Self::DeadLetterConfig => "DeadLetterConfig",
            Self::DurableConfig => "DurableConfig",
            Self::FileSystemConfigs => "FileSystemConfigs",
            Self::ImageConfig => "ImageConfig",
            Self::ImageUri => "ImageUri",
            Self::KmsKeyArn => "KMSKeyArn",
            Self::Layers => "Layers",
            Self::PackageTypeImage => "PackageType Image",
            Self::PublishTo => "PublishTo",
            Self::RuntimeConfig => "RuntimeConfig",
            Self::S3Code => "Code from S3 (S3Bucket, S3Key)",
            Self::SnapStart => "SnapStart",
            Self::SourceKmsKeyArn => "SourceKMSKeyArn",
            Self::TenancyConfig => "TenancyConfig",
            Self::VpcConfig => "VpcConfig",
        })
    }
}

/// `UpdateFunctionCode`.
#[derive(Debug, Clone)]
pub struct UpdateCode {
    /// Which function.
    pub name: FunctionName,
    /// The zip itself.
    pub zip: Bytes,
    /// `Architectures`; absent means as before.
    pub architectures: Option<Vec<String>>,
    /// Publish the result.
    pub publish: bool,
    /// Check only; nothing is changed.
    pub dry_run: bool,
    /// Must be the current revision.
    pub revision: Option<RevisionId>,
    /// As in [`ConfigurationChange::unsupported`].
    pub unsupported: Vec<Unsupported>,
}

/// `UpdateFunctionConfiguration`.
#[derive(Debug, Clone)]
pub struct UpdateConfiguration {
    /// Which function.
    pub name: FunctionName,
    /// What changes.
    pub change: ConfigurationChange,
    /// Must be the current revision.
    pub revision: Option<RevisionId>,
}

/// `PublishVersion`.
#[derive(Debug, Clone)]
pub struct PublishVersion {
    /// Which function.
    pub name: FunctionName,
    /// Of the version; absent means that of `$LATEST`.
    pub description: Option<String>,
    /// Must be the code of `$LATEST`.
    pub code_sha256: Option<String>,
    /// Must be the revision of `$LATEST`.
    pub revision: Option<RevisionId>,
}

/// `CreateAlias`.
#[derive(Debug, Clone)]
pub struct CreateAlias {
    /// Which function.
    pub function: FunctionName,
    /// Must not exist.
    pub alias: AliasName,
    /// Must exist.
    pub version: VersionNumber,
    /// May be empty.
    pub description: String,
    /// A second version and its share.
    pub routing: Option<Weight>,
}

/// `UpdateAlias`. What is absent stays.
#[derive(Debug, Clone)]
pub struct UpdateAlias {
    /// Which function.
    pub function: FunctionName,
    /// Which alias.
    pub alias: AliasName,
    /// Must exist.
    pub version: Option<VersionNumber>,
    /// New text.
    pub description: Option<String>,
    /// `Some(None)` takes the second version away (an empty map on the wire).
    pub routing: Option<Option<Weight>>,
    /// Must be the current revision.
    pub revision: Option<RevisionId>,
}

/// One page of a listing.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// `Marker`: what the last page returned as its next marker.
    pub marker: Option<String>,
    /// `MaxItems`; absent means the default of the operation, and more than its maximum means the maximum.
    pub max_items: Option<u32>,
}

/// Items and where to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<T> {
    /// In the order of names and numbers.
    pub items: Vec<T>,
    /// `NextMarker`; absent at the end.
    pub next_marker: Option<String>,
}

impl<T> Listing<T> {
    /// The same page of something else.
    pub(crate) fn try_map<U>(self, each: impl FnMut(T) -> Result<U>) -> Result<Listing<U>> {
        let items = self.items.into_iter().map(each).collect::<Result<_>>()?;
        Ok(Listing { items, next_marker: self.next_marker })
    }
}

/// One call of a function, synchronous or not.
#[derive(Debug, Clone)]
pub struct Invoke {
    /// Which function.
    pub function: FunctionName,
    /// As said; absent means `$LATEST`.
    pub qualifier: Option<Qualifier>,
    /// Names the invocation in its log and in the answer.
    pub request_id: RequestId,
    /// The event. Must be JSON.
    pub payload: Bytes,
    /// `X-Amzn-Trace-Id`; may be empty.
    pub trace_id: String,
    /// The decoded JSON of `X-Amz-Client-Context`; only for synchronous calls.
    pub client_context: Option<String>,
    /// Return the last 4 KB of the log.
    pub log_tail: bool,
}

/// How a synchronous call ended. A function error is a success of the protocol: status 200 with `function_error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvokeOutcome {
    /// Present when the function failed: value of `X-Amz-Function-Error`.
    pub function_error: Option<&'static str>,
    /// What the function answered, or the JSON that describes its failure.
    pub payload: Bytes,
    /// The version that ran: value of `X-Amz-Executed-Version`.
    pub executed_version: VersionNumber,
    /// When it was asked for: at most 4 KB of the end of the log.
    pub log_tail: Option<Bytes>,
}
