use std::collections::BTreeMap;

use dormouse_sandbox::StartSpec;

use crate::runtimes::Runtime;

/// Variables that the platform sets and a function's configuration may not. Source: the developer guide's page on
/// environment variables.
pub const RESERVED: &[&str] = &[
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

/// Whether a function's configuration may not name this variable.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// What is not in the spec.
pub(crate) struct Surroundings<'a> {
    /// `AWS_ENDPOINT_URL`.
    pub(crate) endpoint_url: Option<&'a str>,
    /// `host:port` of the Runtime API by HTTP.
    pub(crate) runtime_api: Option<&'a str>,
    /// Whether an SDK is mounted.
    pub(crate) sdk: bool,
}

/// The whole environment of an instance: the runtime's defaults, over them the function's own variables, over them what
/// is reserved.
pub(crate) fn environment(spec: &StartSpec, runtime: &Runtime, around: &Surroundings<'_>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = runtime.environment.clone();
    let mut set = |name: &str, value: &str| drop(all.insert(name.to_owned(), value.to_owned()));
    set("TZ", ":UTC");
    set("LANG", "en_US.UTF-8");
    if let Some(url) = around.endpoint_url {
        set("AWS_ENDPOINT_URL", url);
    }
    let own = spec.environment.iter().filter(|(name, value)| is_settable(name, value));
    for (name, value) in own {
        set(name, value);
    }
    let (memory, version) = (spec.memory_mb.to_string(), spec.version.to_string());
    let fixed = [
        ("_HANDLER", spec.handler.as_str()),
        ("AWS_REGION", spec.function.region.as_str()),
        ("AWS_DEFAULT_REGION", spec.function.region.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", spec.function.name.as_str()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
        ("AWS_LAMBDA_FUNCTION_VERSION", &version),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &spec.logging.group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", &spec.logging.stream),
        ("AWS_LAMBDA_LOG_FORMAT", if spec.logging.json { "JSON" } else { "Text" }),
        ("AWS_ACCESS_KEY_ID", &spec.credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &spec.credentials.secret_access_key),
        ("AWS_SESSION_TOKEN", &spec.credentials.session_token),
        ("LAMBDA_TASK_ROOT", crate::plan::TASK_ROOT),
        ("LAMBDA_RUNTIME_DIR", crate::plan::RUNTIME_DIR),
    ];
    for (name, value) in fixed {
        set(name, value);
    }
    if let Some(name) = runtime.environment.get_key_value("AWS_EXECUTION_ENV") {
        set(name.0, name.1);
    }
    if let Some(level) = spec.logging.application_level.as_deref().filter(|_| spec.logging.json) {
        set("AWS_LAMBDA_LOG_LEVEL", level);
    }
    if let Some(address) = around.runtime_api {
        set("AWS_LAMBDA_RUNTIME_API", address);
    }
    if let Some(variable) = runtime.sdk_variable.as_deref().filter(|_| around.sdk) {
        set(variable, crate::plan::SDK_DIR);
    }
    all
}

/// Whether a variable of the function can stand in an environment at all, and is not reserved.
fn is_settable(name: &str, value: &str) -> bool {
    let whole = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
    whole && !is_reserved(name)
}
