//! What a configuration may say. Pure.

use std::collections::BTreeMap;

use dormouse_model::{Arn, EgressGrant, FunctionName, limits};

use crate::commands::{ConfigurationChange, LoggingChange, Unsupported};
use crate::error::{FunctionsError, Result};
use crate::function::{Architecture, Configuration, LogFormat, LogLevel, LoggingConfig};

/// The tag that grants outbound traffic.
pub(crate) const EGRESS_TAG: &str = "dormouse:egress";

const HANDLER_CHARS: usize = 128;
const DESCRIPTION_CHARS: usize = 256;
const TAG_KEY_CHARS: usize = 128;
const TAG_VALUE_CHARS: usize = 256;
const LOG_GROUP_CHARS: usize = 512;

/// Variables that the platform sets. Source: the developer guide's page on environment variables.
const RESERVED_VARIABLES: &[&str] = &[
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];

/// A whole configuration from what `CreateFunction` said.
pub(crate) fn first_configuration(
    name: &FunctionName,
    change: &ConfigurationChange,
    architectures: Option<&[String]>,
) -> Result<Configuration> {
    let needed = |value: &Option<String>, what: &str| {
        value.clone().ok_or_else(|| {
            FunctionsError::invalid(format!(
                "{what} is mandatory for functions created with deployment packages as .zip file archives."
            ))
        })
    };
    let empty = Configuration {
        runtime: needed(&change.runtime, "Runtime")?,
        handler: needed(&change.handler, "Handler")?,
        role: needed(&change.role, "Role")?,
        description: String::new(),
        timeout_secs: limits::TIMEOUT_SECS_DEFAULT,
        memory_mb: limits::MEMORY_MB_DEFAULT,
        ephemeral_storage_mb: limits::EPHEMERAL_STORAGE_MB_DEFAULT,
        environment: BTreeMap::new(),
        architecture: architecture(architectures)?.unwrap_or(Architecture::HOST),
        tracing: crate::TracingMode::default(),
        logging: logging(name, &LoggingChange::default())?,
    };
    changed(name, &empty, change)
}

/// A configuration with a change applied, all of it checked.
pub(crate) fn changed(
    name: &FunctionName,
    before: &Configuration,
    change: &ConfigurationChange,
) -> Result<Configuration> {
    supported(&change.unsupported)?;
    let mut after = before.clone();
    let pick = |to: &mut String, from: &Option<String>| {
        if let Some(text) = from {
            to.clone_from(text);
        }
    };
    pick(&mut after.runtime, &change.runtime);
    pick(&mut after.handler, &change.handler);
    pick(&mut after.role, &change.role);
    pick(&mut after.description, &change.description);
    after.timeout_secs = change.timeout_secs.unwrap_or(before.timeout_secs);
    after.memory_mb = change.memory_mb.unwrap_or(before.memory_mb);
    after.ephemeral_storage_mb = change.ephemeral_storage_mb.unwrap_or(before.ephemeral_storage_mb);
    after.tracing = change.tracing.unwrap_or(before.tracing);
    if let Some(variables) = &change.environment {
        after.environment.clone_from(variables);
    }
    if let Some(said) = &change.logging {
        after.logging = logging(name, said)?;
    }
    check(&after)?;
    Ok(after)
}

/// Refuses what does not exist here instead of ignoring it.
pub(crate) fn supported(asked_for: &[Unsupported]) -> Result<()> {
    match asked_for.first() {
        None => Ok(()),
        Some(part) => Err(FunctionsError::invalid(format!(
            "{part} is not supported by this version of Dormouse. {}; nothing was changed.",
            part.instead()
        ))),
    }
}

fn check(configuration: &Configuration) -> Result<()> {
    let Configuration { runtime, handler, role, description, .. } = configuration;
    runtime_name(runtime)?;
    if handler.is_empty() || handler.chars().count() > HANDLER_CHARS || handler.contains(char::is_whitespace) {
        return Err(FunctionsError::invalid(format!(
            "{handler:?} is not a handler: it takes 1 to {HANDLER_CHARS} characters without white space."
        )));
    }
    if !role.parse::<Arn>().is_ok_and(|arn| arn.service == "iam" && arn.resource.starts_with("role/")) {
        return Err(FunctionsError::invalid(format!(
            "{role:?} is not the ARN of a role: it takes arn:aws:iam::ACCOUNT:role/NAME."
        )));
    }
    if description.chars().count() > DESCRIPTION_CHARS {
        return Err(FunctionsError::invalid(format!("Description takes at most {DESCRIPTION_CHARS} characters.")));
    }
    within("Timeout", configuration.timeout_secs, limits::TIMEOUT_SECS, "seconds")?;
    within("MemorySize", configuration.memory_mb, limits::MEMORY_MB, "MB")?;
    within("EphemeralStorage.Size", configuration.ephemeral_storage_mb, limits::EPHEMERAL_STORAGE_MB, "MB")?;
    environment(&configuration.environment)
}

fn within(what: &str, value: u32, allowed: std::ops::RangeInclusive<u32>, unit: &str) -> Result<()> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(FunctionsError::invalid(format!(
        "{what} is {value}: it takes {} to {} {unit}.",
        allowed.start(),
        allowed.end()
    )))
}

fn runtime_name(runtime: &str) -> Result<()> {
    let number = |text: &str| !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
    let known = match runtime {
        "provided" | "provided.al2" | "provided.al2023" => true,
        _ => {
            runtime.strip_prefix("python3.").is_some_and(number)
                || runtime.strip_prefix("nodejs").and_then(|rest| rest.strip_suffix(".x")).is_some_and(number)
        }
    };
    if known {
        return Ok(());
    }
    Err(FunctionsError::invalid(format!(
        "Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: \
         [python3.N, nodejsN.x, provided, provided.al2, provided.al2023]"
    )))
}

fn environment(variables: &BTreeMap<String, String>) -> Result<()> {
    let reserved: Vec<&str> =
        variables.keys().map(String::as_str).filter(|name| RESERVED_VARIABLES.contains(name)).collect();
    if !reserved.is_empty() {
        return Err(FunctionsError::invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided contains reserved keys that are currently not supported for modification. Reserved keys used \
             in this request: {}",
            reserved.join(", ")
        )));
    }
    for (name, value) in variables {
        let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic());
        let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !(starts_well && word && name.len() >= 2) || value.contains('\0') {
            return Err(FunctionsError::invalid(format!(
                "{name:?} cannot be an environment variable: a name takes at least two letters, digits and \
                 underscores and begins with a letter, and a value takes no NUL."
            )));
        }
    }
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > limits::ENVIRONMENT_BYTES {
        return Err(FunctionsError::invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided exceeded the {} bytes limit.",
            limits::ENVIRONMENT_BYTES
        )));
    }
    Ok(())
}

/// The one architecture that was named, if one was.
pub(crate) fn architecture(named: Option<&[String]>) -> Result<Option<Architecture>> {
    let architecture = match named {
        None => return Ok(None),
        Some([one]) => one.parse::<Architecture>()?,
        Some(_) => return Err(FunctionsError::invalid("Architectures takes exactly one value.")),
    };
    if architecture != Architecture::HOST {
        return Err(FunctionsError::invalid(format!(
            "This host runs code for {}, not for {architecture}. Build the code for {}.",
            Architecture::HOST,
            Architecture::HOST
        )));
    }
    Ok(Some(architecture))
}

fn logging(name: &FunctionName, said: &LoggingChange) -> Result<LoggingConfig> {
    let format = said.format.unwrap_or_default();
    let json = format == LogFormat::Json;
    if !json && (said.application_level.is_some() || said.system_level.is_some()) {
        return Err(FunctionsError::invalid("ApplicationLogLevel and SystemLogLevel need LogFormat JSON."));
    }
    if said.system_level.is_some_and(|level| !matches!(level, LogLevel::Debug | LogLevel::Info | LogLevel::Warn)) {
        return Err(FunctionsError::invalid("SystemLogLevel takes DEBUG, INFO or WARN."));
    }
    let group = said.group.clone().unwrap_or_else(|| format!("/aws/lambda/{name}"));
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/#".contains(&b);
    if group.is_empty() || group.len() > LOG_GROUP_CHARS || !group.bytes().all(allowed) {
        return Err(FunctionsError::invalid(format!(
            "{group:?} is not a log group: it takes 1 to {LOG_GROUP_CHARS} of letters, digits and . _ - / #"
        )));
    }
    let level = |said: Option<LogLevel>| json.then(|| said.unwrap_or(LogLevel::Info));
    let (application_level, system_level) = (level(said.application_level), level(said.system_level));
    Ok(LoggingConfig { format, application_level, system_level, group })
}

/// All tags that a function is to have.
pub(crate) fn tags(tags: &BTreeMap<String, String>) -> Result<()> {
    if tags.len() > limits::TAGS {
        return Err(FunctionsError::invalid(format!("A function takes at most {} tags.", limits::TAGS)));
    }
    for (key, value) in tags {
        let too_long = key.chars().count() > TAG_KEY_CHARS || value.chars().count() > TAG_VALUE_CHARS;
        if key.is_empty() || too_long || key.to_ascii_lowercase().starts_with("aws:") {
            return Err(FunctionsError::invalid(format!(
                "{key:?} cannot be a tag: a key takes 1 to {TAG_KEY_CHARS} characters and does not begin with aws:, \
                 a value takes at most {TAG_VALUE_CHARS} characters."
            )));
        }
    }
    egress(tags).map(|_| ())
}

/// What the tags grant.
pub(crate) fn egress(tags: &BTreeMap<String, String>) -> Result<EgressGrant> {
    match tags.get(EGRESS_TAG) {
        None => Ok(EgressGrant::None),
        Some(text) => text.parse().map_err(|error| FunctionsError::invalid(format!("The tag {EGRESS_TAG}: {error}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(change: ConfigurationChange) -> Result<Configuration> {
        let said = ConfigurationChange {
            runtime: change.runtime.or(Some("python3.12".into())),
            handler: change.handler.or(Some("app.handler".into())),
            role: change.role.or(Some("arn:aws:iam::000000000000:role/r".into())),
            ..change
        };
        first_configuration(&"f".parse().unwrap(), &said, None)
    }

    fn variables(pairs: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
        Some(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn defaults_are_filled_in() {
        let made = create(ConfigurationChange::default()).unwrap();
        assert_eq!((made.timeout_secs, made.memory_mb, made.ephemeral_storage_mb), (3, 128, 512));
        assert_eq!((made.logging.group.as_str(), made.logging.application_level), ("/aws/lambda/f", None));
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        let set = |set: fn(&mut ConfigurationChange)| {
            let mut change = ConfigurationChange::default();
            set(&mut change);
            create(change).expect_err("refused")
        };
        set(|change| change.runtime = Some("java21".into()));
        set(|change| change.runtime = Some("python2.7".into()));
        set(|change| change.handler = Some("a b".into()));
        set(|change| change.role = Some("arn:aws:iam::1:user/u".into()));
        set(|change| change.timeout_secs = Some(901));
        set(|change| change.memory_mb = Some(127));
        set(|change| change.ephemeral_storage_mb = Some(511));
        set(|change| change.description = Some("x".repeat(257)));
        set(|change| change.unsupported = vec![Unsupported::VpcConfig]);
        set(|change| change.environment = variables(&[("1A", "x")]));
        set(|change| change.environment = Some([("LONG".to_owned(), "x".repeat(4_096))].into()));
        let reserved = create(ConfigurationChange {
            environment: variables(&[("AWS_REGION", "x"), ("_HANDLER", "y")]),
            ..Default::default()
        });
        assert!(reserved.expect_err("refused").to_string().ends_with("AWS_REGION, _HANDLER"));
    }

    #[test]
    fn levels_need_json() {
        let mut change = LoggingChange { application_level: Some(LogLevel::Debug), ..Default::default() };
        let name = "f".parse().unwrap();
        logging(&name, &change).expect_err("text has no levels");
        change.format = Some(LogFormat::Json);
        assert_eq!(logging(&name, &change).unwrap().system_level, Some(LogLevel::Info));
    }

    #[test]
    fn the_egress_tag_must_be_a_grant() {
        let with = |value: &str| BTreeMap::from([(EGRESS_TAG.to_owned(), value.to_owned())]);
        assert_eq!(egress(&with("all")).unwrap(), EgressGrant::All);
        assert_eq!(egress(&BTreeMap::new()).unwrap(), EgressGrant::None);
        tags(&with("example.com")).expect_err("no port");
    }
}
