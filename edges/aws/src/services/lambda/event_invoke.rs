//! How asynchronous invocations are tried: `FunctionEventInvokeConfig`.

use dormouse_functions::{EventInvokeConfig, EventInvokeSettings};
use serde::{Deserialize, Serialize};

use super::function::{NamesFunction, Qualified, nothing};
use super::target::FunctionTarget;
use super::version::ListInput;
use super::wire::{EpochSeconds, page_of};
use crate::error::ApiError;
use crate::operation::{Call, Nothing};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutInput {
    function_name: String,
    qualifier: Option<String>,
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_in_seconds: Option<u32>,
    destination_config: Option<DestinationConfig>,
}

impl NamesFunction for PutInput {
    fn function_name(&self) -> &str {
        &self.function_name
    }
    fn qualifier(&self) -> Option<&str> {
        self.qualifier.as_deref()
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DestinationConfig {
    #[serde(default)]
    on_success: Destination,
    #[serde(default)]
    on_failure: Destination,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    destination: Option<String>,
}

impl PutInput {
    fn settings(self) -> EventInvokeSettings {
        let destinations = self.destination_config.unwrap_or_default();
        EventInvokeSettings {
            maximum_retry_attempts: self.maximum_retry_attempts,
            maximum_event_age_secs: self.maximum_event_age_in_seconds,
            on_success: destinations.on_success.destination,
            on_failure: destinations.on_failure.destination,
        }
    }
}

/// The shape `FunctionEventInvokeConfig`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    last_modified: EpochSeconds,
    function_arn: String,
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_in_seconds: Option<u32>,
    destination_config: DestinationConfig,
}

impl From<EventInvokeConfig> for Output {
    fn from(config: EventInvokeConfig) -> Self {
        let settings = config.settings;
        Self {
            last_modified: EpochSeconds(config.last_modified),
            function_arn: config.arn.to_string(),
            maximum_retry_attempts: settings.maximum_retry_attempts,
            maximum_event_age_in_seconds: settings.maximum_event_age_secs,
            destination_config: DestinationConfig {
                on_success: Destination { destination: settings.on_success },
                on_failure: Destination { destination: settings.on_failure },
            },
        }
    }
}

/// `PutFunctionEventInvokeConfig`: what is absent becomes default.
pub(super) async fn put(call: Call, target: FunctionTarget, input: PutInput) -> Result<Output, ApiError> {
    write(call, target, input, false).await
}

/// `UpdateFunctionEventInvokeConfig`: what is absent stays.
pub(super) async fn update(call: Call, target: FunctionTarget, input: PutInput) -> Result<Output, ApiError> {
    write(call, target, input, true).await
}

async fn write(call: Call, target: FunctionTarget, input: PutInput, merge: bool) -> Result<Output, ApiError> {
    let (account, name, qualifier) = (target.account(), target.name(), target.qualifier());
    let functions = &call.parts.functions;
    Ok(functions.put_event_invoke_config(account, name, qualifier, input.settings(), merge).await?.into())
}

/// `GetFunctionEventInvokeConfig`.
pub(super) async fn get(call: Call, target: FunctionTarget, _: Qualified) -> Result<Output, ApiError> {
    let (account, name, qualifier) = (target.account(), target.name(), target.qualifier());
    Ok(call.parts.functions.get_event_invoke_config(account, name, qualifier).await?.into())
}

/// `DeleteFunctionEventInvokeConfig`.
pub(super) async fn delete(call: Call, target: FunctionTarget, _: Qualified) -> Result<Nothing, ApiError> {
    let (account, name, qualifier) = (target.account(), target.name(), target.qualifier());
    call.parts.functions.delete_event_invoke_config(account, name, qualifier).await?;
    Ok(nothing())
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    function_event_invoke_configs: Vec<Output>,
    next_marker: Option<String>,
}

/// `ListFunctionEventInvokeConfigs`.
pub(super) async fn list(call: Call, target: FunctionTarget, input: ListInput) -> Result<ListOutput, ApiError> {
    let page = input.into_page();
    let listing = call.parts.functions.list_event_invoke_configs(target.account(), target.name(), page).await?;
    let (function_event_invoke_configs, next_marker) = page_of(listing, Output::from);
    Ok(ListOutput { function_event_invoke_configs, next_marker })
}
