//! The settable part of a function, as `CreateFunction` and the two updates share it.

use std::collections::BTreeMap;

use dormouse_functions::{ConfigurationChange, LoggingChange, Unsupported};
use serde::Deserialize;
use serde_json::Value;

use super::target::invalid;
use crate::error::ApiError;

/// The members of the request that say how a function is configured.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ConfigurationMembers {
    runtime: Option<String>,
    handler: Option<String>,
    pub(super) role: Option<String>,
    description: Option<String>,
    timeout: Option<u32>,
    memory_size: Option<u32>,
    ephemeral_storage: Option<EphemeralStorage>,
    environment: Option<Environment>,
    tracing_config: Option<TracingConfig>,
    logging_config: Option<LoggingConfig>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EphemeralStorage {
    size: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TracingConfig {
    mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingConfig {
    log_format: Option<String>,
    application_log_level: Option<String>,
    system_log_level: Option<String>,
    log_group: Option<String>,
}

/// Members that ask for parts of the API which the engine refuses by name.
const REFUSED_BY_ENGINE: [(&str, Unsupported); 20] = [
    ("AcceleratorConfig", Unsupported::AcceleratorConfig),
    ("CapacityProviderConfig", Unsupported::CapacityProviderConfig),
    ("CodeSigningConfigArn", Unsupported::CodeSigningConfigArn),
    ("DeadLetterConfig", Unsupported::DeadLetterConfig),
    ("DurableConfig", Unsupported::DurableConfig),
    ("FileSystemConfigs", Unsupported::FileSystemConfigs),
    ("ImageConfig", Unsupported::ImageConfig),
    ("ImageUri", Unsupported::ImageUri),
    ("KMSKeyArn", Unsupported::KmsKeyArn),
    ("Layers", Unsupported::Layers),
    ("PublishTo", Unsupported::PublishTo),
    ("RuntimeConfig", Unsupported::RuntimeConfig),
    ("S3Bucket", Unsupported::S3Code),
    ("S3Key", Unsupported::S3Code),
    ("S3ObjectStorageMode", Unsupported::S3Code),
    ("S3ObjectVersion", Unsupported::S3Code),
    ("SnapStart", Unsupported::SnapStart),
    ("SourceKMSKeyArn", Unsupported::SourceKmsKeyArn),
    ("TenancyConfig", Unsupported::TenancyConfig),
    ("VpcConfig", Unsupported::VpcConfig),
];

impl ConfigurationMembers {
    /// What the engine is asked for. A member that asks for what exists nowhere here is refused.
    pub(super) fn into_change(self) -> Result<ConfigurationChange, ApiError> {
        let logging = self.logging_config.map(read_logging).transpose()?;
        let mode = self.tracing_config.and_then(|config| config.mode);
        Ok(ConfigurationChange {
            unsupported: unsupported(&self.rest)?,
            runtime: self.runtime,
            handler: self.handler,
            role: self.role,
            description: self.description,
            timeout_secs: self.timeout,
            memory_mb: self.memory_size,
            ephemeral_storage_mb: self.ephemeral_storage.map(|storage| storage.size),
            environment: self.environment.map(|environment| environment.variables),
            tracing: mode.map(|mode| mode.parse()).transpose()?,
            logging,
        })
    }
}

fn read_logging(config: LoggingConfig) -> Result<LoggingChange, ApiError> {
    Ok(LoggingChange {
        format: config.log_format.map(|text| text.parse()).transpose()?,
        application_level: config.application_log_level.map(|text| text.parse()).transpose()?,
        system_level: config.system_log_level.map(|text| text.parse()).transpose()?,
        group: config.log_group,
    })
}

/// Which members of a request ask for what the engine does not have. What neither it nor this edge knows is refused here,
/// so that nothing which the model has is ever dropped in silence.
pub(super) fn unsupported(members: &BTreeMap<String, Value>) -> Result<Vec<Unsupported>, ApiError> {
    let mut refused = Vec::new();
    for (name, value) in members {
        let switched_off = name == "SnapStart" && value.get("ApplyOn").is_some_and(|on| on == "None");
        if switched_off || !asks_for_something(value) {
            continue;
        }
        match REFUSED_BY_ENGINE.iter().find(|(known, _)| known == name) {
            Some((_, part)) => refused.push(*part),
            None => return Err(not_there(name)),
        }
    }
    Ok(refused)
}

/// The refusal of a part of an operation, in the engine's own words for the parts that it knows.
pub(super) fn not_there(part: &str) -> ApiError {
    invalid(format!("{part} is not supported by this version of Dormouse. Leave it out; nothing was changed."))
}

/// Tools write out parts that they do not use: as null, empty, or false.
fn asks_for_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(asks_for_something),
        Value::Object(members) => members.values().any(asks_for_something),
        Value::Bool(asked) => *asked,
        Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<ConfigurationChange, ApiError> {
        serde_json::from_value::<ConfigurationMembers>(value).expect("members").into_change()
    }

    #[test]
    fn what_asks_for_nothing_is_not_refused() {
        let change = read(json!({
            "Runtime": "python3.12", "Layers": [], "KMSKeyArn": "", "SnapStart": { "ApplyOn": "None" },
            "VpcConfig": { "SubnetIds": [], "SecurityGroupIds": [], "Ipv6AllowedForDualStack": false },
            "Environment": {}, "DeadLetterConfig": {}, "ImageConfig": {}, "TracingConfig": { "Mode": "Active" },
            "LoggingConfig": { "LogFormat": "JSON", "ApplicationLogLevel": "DEBUG" },
        }));
        let change = change.expect("a change");
        assert!(change.unsupported.is_empty(), "{:?}", change.unsupported);
        assert_eq!(change.runtime.as_deref(), Some("python3.12"));
        assert_eq!(change.environment, Some(BTreeMap::new()));
        assert_eq!(change.tracing, Some(dormouse_functions::TracingMode::Active));
        assert_eq!(change.logging.and_then(|logging| logging.format), Some(dormouse_functions::LogFormat::Json));
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let change = read(json!({ "Layers": ["arn"], "SnapStart": { "ApplyOn": "PublishedVersions" } }));
        assert_eq!(change.expect("a change").unsupported, [Unsupported::Layers, Unsupported::SnapStart]);
        let error = read(json!({ "NobodyKnows": { "A": "b" } })).expect_err("nothing of that kind");
        assert_eq!(error.name, "InvalidParameterValueException");
        assert!(error.message.contains("NobodyKnows"), "{error}");
    }
}
