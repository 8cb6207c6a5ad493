//! Aliases.

use std::collections::BTreeMap;

use dormouse_functions::{Alias, CreateAlias, UpdateAlias, Weight};
use dormouse_model::{AliasName, VersionNumber};
use serde::{Deserialize, Serialize};

use super::function::{NamesFunction, nothing};
use super::target::{FunctionTarget, invalid};
use super::wire::{Paging, page_of, revision};
use crate::error::ApiError;
use crate::operation::{Call, Nothing};

/// The members of all operations on one alias.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AliasInput {
    function_name: String,
    name: String,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<RoutingConfig>,
    revision_id: Option<String>,
}

impl NamesFunction for AliasInput {
    fn function_name(&self) -> &str {
        &self.function_name
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoutingConfig {
    #[serde(default)]
    additional_version_weights: BTreeMap<String, f64>,
}

impl RoutingConfig {
    /// The second version; nothing when there is none.
    fn read(self) -> Result<Option<Weight>, ApiError> {
        let mut weights = self.additional_version_weights.into_iter();
        let Some((version, share)) = weights.next() else { return Ok(None) };
        if weights.next().is_some() {
            return Err(invalid("AdditionalVersionWeights takes one version beside the alias's own."));
        }
        Ok(Some(Weight { version: read_version(&version)?, share }))
    }
}

fn read_version(text: &str) -> Result<VersionNumber, ApiError> {
    text.parse().map_err(|error: dormouse_model::NameError| invalid(format!("{error}.")))
}

fn read_name(text: &str) -> Result<AliasName, ApiError> {
    text.parse().map_err(|error: dormouse_model::NameError| invalid(format!("{error}.")))
}

/// The shape `AliasConfiguration`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AliasConfiguration {
    alias_arn: String,
    name: String,
    function_version: String,
    description: String,
    routing_config: Option<RoutingConfig>,
    revision_id: String,
}

impl From<Alias> for AliasConfiguration {
    fn from(alias: Alias) -> Self {
        let weights = |weight: Weight| RoutingConfig {
            additional_version_weights: BTreeMap::from([(weight.version.to_string(), weight.share)]),
        };
        Self {
            alias_arn: alias.arn.to_string(),
            name: alias.name.to_string(),
            function_version: alias.version.to_string(),
            description: alias.description,
            routing_config: alias.routing.map(weights),
            revision_id: alias.revision.to_string(),
        }
    }
}

/// `CreateAlias`.
pub(super) async fn create(
    call: Call,
    target: FunctionTarget,
    input: AliasInput,
) -> Result<AliasConfiguration, ApiError> {
    let version = input.function_version.unwrap_or_default();
    let command = CreateAlias {
        function: target.name().clone(),
        alias: read_name(&input.name)?,
        version: read_version(&version)?,
        description: input.description.unwrap_or_default(),
        routing: input.routing_config.map(RoutingConfig::read).transpose()?.flatten(),
    };
    Ok(call.parts.functions.create_alias(target.account(), command).await?.into())
}

/// `GetAlias`.
pub(super) async fn get(call: Call, target: FunctionTarget, input: AliasInput) -> Result<AliasConfiguration, ApiError> {
    let alias = read_name(&input.name)?;
    Ok(call.parts.functions.get_alias(target.account(), target.name(), &alias).await?.into())
}

/// `UpdateAlias`. An empty map of weights takes the second version away.
pub(super) async fn update(
    call: Call,
    target: FunctionTarget,
    input: AliasInput,
) -> Result<AliasConfiguration, ApiError> {
    let command = UpdateAlias {
        function: target.name().clone(),
        alias: read_name(&input.name)?,
        version: input.function_version.as_deref().map(read_version).transpose()?,
        description: input.description,
        routing: input.routing_config.map(RoutingConfig::read).transpose()?,
        revision: revision(input.revision_id)?,
    };
    Ok(call.parts.functions.update_alias(target.account(), command).await?.into())
}

/// `DeleteAlias`.
pub(super) async fn delete(call: Call, target: FunctionTarget, input: AliasInput) -> Result<Nothing, ApiError> {
    let alias = read_name(&input.name)?;
    call.parts.functions.delete_alias(target.account(), target.name(), &alias).await?;
    Ok(nothing())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListInput {
    function_name: String,
    function_version: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

impl NamesFunction for ListInput {
    fn function_name(&self) -> &str {
        &self.function_name
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    aliases: Vec<AliasConfiguration>,
    next_marker: Option<String>,
}

/// `ListAliases`, of all versions or of one.
pub(super) async fn list(call: Call, target: FunctionTarget, input: ListInput) -> Result<ListOutput, ApiError> {
    let version = input.function_version.as_deref().map(read_version).transpose()?;
    let page = input.paging.into();
    let listing = call.parts.functions.list_aliases(target.account(), target.name(), version, page).await?;
    let (aliases, next_marker) = page_of(listing, AliasConfiguration::from);
    Ok(ListOutput { aliases, next_marker })
}
