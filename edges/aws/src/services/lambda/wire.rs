//! What several operations read and write.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use dormouse_functions::{FunctionVersion, Listing, Page};
use dormouse_model::{RevisionId, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::ApiError;

/// Bytes, base64 in canonical values.
#[derive(Debug, Clone)]
pub(super) struct Blob(pub(super) Bytes);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes());
        bytes.map(|bytes| Self(bytes.into())).map_err(|error| {
            serde::de::Error::custom(format!("bytes are sent as base64 with padding, and this is not: {error}"))
        })
    }
}

/// A point in time, seconds since the epoch in canonical values.
#[derive(Debug, Clone, Copy)]
pub(super) struct EpochSeconds(pub(super) Timestamp);

impl Serialize for EpochSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_millis() as f64 / 1000.0)
    }
}

/// Reads a `RevisionId`. One that was never given out cannot be the current one.
pub(super) fn revision(text: Option<String>) -> Result<Option<RevisionId>, ApiError> {
    let parse = |text: String| {
        text.parse().map_err(|_| {
            let message = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction or the \
                           GetAlias operation to learn the latest one.";
            ApiError::modeled("PreconditionFailedException", message)
        })
    };
    text.filter(|text| !text.is_empty()).map(parse).transpose()
}

/// `Marker` and `MaxItems`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Paging {
    marker: Option<String>,
    max_items: Option<u32>,
}

impl From<Paging> for Page {
    fn from(paging: Paging) -> Self {
        Self { marker: paging.marker.filter(|marker| !marker.is_empty()), max_items: paging.max_items }
    }
}

/// `NextMarker` and the items, as written.
pub(super) fn page_of<T, O>(listing: Listing<T>, write: impl FnMut(T) -> O) -> (Vec<O>, Option<String>) {
    (listing.items.into_iter().map(write).collect(), listing.next_marker)
}

/// The shape `FunctionConfiguration`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FunctionConfiguration {
    function_name: String,
    function_arn: String,
    runtime: String,
    role: String,
    handler: String,
    code_size: u64,
    description: String,
    timeout: u32,
    memory_size: u32,
    last_modified: String,
    code_sha256: String,
    version: String,
    environment: Option<Environment>,
    tracing_config: TracingConfig,
    revision_id: String,
    package_type: &'static str,
    architectures: [&'static str; 1],
    ephemeral_storage: EphemeralStorage,
    snap_start: SnapStart,
    logging_config: LoggingConfig,
    #[serde(flatten)]
    state: Option<StateMembers>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TracingConfig {
    mode: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EphemeralStorage {
    size: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SnapStart {
    apply_on: &'static str,
    optimization_status: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingConfig {
    log_format: &'static str,
    application_log_level: Option<&'static str>,
    system_log_level: Option<&'static str>,
    log_group: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StateMembers {
    state: &'static str,
    state_reason: Option<String>,
    state_reason_code: Option<String>,
    last_update_status: &'static str,
    last_update_status_reason: Option<String>,
    last_update_status_reason_code: Option<String>,
}

impl FunctionConfiguration {
    /// As operations on one version show it.
    pub(super) fn of(version: FunctionVersion) -> Self {
        let state = StateMembers::of(&version);
        Self { state: Some(state), ..Self::listed(version) }
    }

    /// As `ListFunctions` and `ListVersionsByFunction` show it: without its state, as documented.
    pub(super) fn listed(version: FunctionVersion) -> Self {
        let FunctionVersion { arn, version, configuration, code, revision, last_modified, .. } = version;
        let variables = configuration.environment;
        Self {
            function_name: arn.name.to_string(),
            function_arn: arn.to_string(),
            runtime: configuration.runtime,
            role: configuration.role,
            handler: configuration.handler,
            code_size: code.size_bytes,
            description: configuration.description,
            timeout: configuration.timeout_secs,
            memory_size: configuration.memory_mb,
            last_modified: last_modified.lambda_format(),
            code_sha256: code.sha256,
            version: version.to_string(),
            environment: (!variables.is_empty()).then_some(Environment { variables }),
            tracing_config: TracingConfig { mode: configuration.tracing.as_str() },
            revision_id: revision.to_string(),
            package_type: "Zip",
            architectures: [configuration.architecture.as_str()],
            ephemeral_storage: EphemeralStorage { size: configuration.ephemeral_storage_mb },
            snap_start: SnapStart { apply_on: "None", optimization_status: "Off" },
            logging_config: LoggingConfig {
                log_format: configuration.logging.format.as_str(),
                application_log_level: configuration.logging.application_level.map(|level| level.as_str()),
                system_log_level: configuration.logging.system_level.map(|level| level.as_str()),
                log_group: configuration.logging.group,
            },
            state: None,
        }
    }
}

impl StateMembers {
    fn of(version: &FunctionVersion) -> Self {
        let owned = |text: &str| text.to_owned();
        let (state, update) = (version.state.reason(), version.last_update.reason());
        Self {
            state: version.state.as_str(),
            state_reason_code: state.map(|(code, _)| owned(code)),
            state_reason: state.map(|(_, reason)| owned(reason)),
            last_update_status: version.last_update.as_str(),
            last_update_status_reason_code: update.map(|(code, _)| owned(code)),
            last_update_status_reason: update.map(|(_, reason)| owned(reason)),
        }
    }
}
