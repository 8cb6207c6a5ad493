//! Functions: create, get, list, delete, and the two updates.

use std::collections::BTreeMap;

use dormouse_functions::{CreateFunction, Unsupported, UpdateCode, UpdateConfiguration};
use dormouse_model::AccountId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::{ConfigurationMembers, unsupported};
use super::target::{self, FunctionTarget, invalid};
use super::wire::{Blob, FunctionConfiguration, Paging, page_of, revision};
use crate::access;
use crate::code_link;
use crate::error::ApiError;
use crate::operation::{Call, Nothing};

/// Inputs that name a function.
pub(super) trait NamesFunction {
    /// As sent.
    fn function_name(&self) -> &str;
    /// `Qualifier`, where the operation has one.
    fn qualifier(&self) -> Option<&str> {
        None
    }
    /// Tags that the function is to get, where the operation gives any.
    fn new_tags(&self) -> Option<&BTreeMap<String, String>> {
        None
    }
}

/// The target of operations on a whole function.
pub(super) fn named<I: NamesFunction>(call: &Call, input: &I) -> Result<FunctionTarget, ApiError> {
    let mut target = target::find(call, input.function_name(), None)?.unqualified()?;
    target.keys.set_request_tags(input.new_tags().into_iter().flatten());
    Ok(target)
}

/// The target of operations on a function, a version or an alias.
pub(super) fn qualified<I: NamesFunction>(call: &Call, input: &I) -> Result<FunctionTarget, ApiError> {
    target::find(call, input.function_name(), input.qualifier())
}

/// Only the name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Named {
    function_name: String,
}

impl NamesFunction for Named {
    fn function_name(&self) -> &str {
        &self.function_name
    }
}

/// The name and a qualifier.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Qualified {
    function_name: String,
    qualifier: Option<String>,
}

impl NamesFunction for Qualified {
    fn function_name(&self) -> &str {
        &self.function_name
    }
    fn qualifier(&self) -> Option<&str> {
        self.qualifier.as_deref()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateInput {
    function_name: String,
    code: Code,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    architectures: Option<Vec<String>>,
    #[serde(default)]
    publish: bool,
    package_type: Option<String>,
    #[serde(flatten)]
    configuration: ConfigurationMembers,
}

impl NamesFunction for CreateInput {
    fn function_name(&self) -> &str {
        &self.function_name
    }
    fn new_tags(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.tags)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Code {
    zip_file: Option<Blob>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Code {
    /// The zip, and which of the other sources the caller asked for.
    fn read(self) -> Result<(bytes::Bytes, Vec<Unsupported>), ApiError> {
        let asked = unsupported(&self.others)?;
        let other_source = asked.iter().any(|part| matches!(part, Unsupported::S3Code | Unsupported::ImageUri));
        match self.zip_file {
            Some(_) if other_source => {
                Err(invalid("Please do not provide other code parameters when providing a ZipFile."))
            }
            Some(zip) => Ok((zip.0, asked)),
            None if other_source => Ok((bytes::Bytes::new(), asked)),
            None => Err(invalid("Please provide a source for function code: send ZipFile.")),
        }
    }
}

/// `CreateFunction`. The caller must be allowed to pass the role.
pub(super) async fn create(
    call: Call,
    target: FunctionTarget,
    input: CreateInput,
) -> Result<FunctionConfiguration, ApiError> {
    let (zip, asked) = input.code.read()?;
    let mut configuration = input.configuration.into_change()?;
    configuration.unsupported.extend(asked);
    if input.package_type.is_some_and(|kind| kind == "Image") {
        configuration.unsupported.push(Unsupported::PackageTypeImage);
    }
    if let Some(role) = &configuration.role {
        access::pass_role(&call, role).await?;
    }
    let command = CreateFunction {
        name: target.name().clone(),
        zip,
        configuration,
        tags: input.tags,
        architectures: input.architectures,
        publish: input.publish,
    };
    let made = call.parts.functions.create_function(target.account(), command).await?;
    Ok(FunctionConfiguration::of(made))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetOutput {
    configuration: FunctionConfiguration,
    code: CodeLocation,
    tags: Option<BTreeMap<String, String>>,
    concurrency: Option<Concurrency>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CodeLocation {
    repository_type: &'static str,
    location: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Concurrency {
    reserved_concurrent_executions: u32,
}

/// `GetFunction`. The code is handed out as a link that is good for a limited time.
pub(super) async fn get(call: Call, target: FunctionTarget, _: Qualified) -> Result<GetOutput, ApiError> {
    let found = call.parts.functions.get_function(target.account(), target.name(), target.qualifier()).await?;
    let location = code_link::make(&call, &target);
    Ok(GetOutput {
        configuration: FunctionConfiguration::of(found.version),
        code: CodeLocation { repository_type: "S3", location },
        tags: (!found.tags.is_empty()).then_some(found.tags),
        concurrency: found
            .reserved_concurrency
            .map(|reserved| Concurrency { reserved_concurrent_executions: reserved }),
    })
}

/// `GetFunctionConfiguration`.
pub(super) async fn configuration(
    call: Call,
    target: FunctionTarget,
    _: Qualified,
) -> Result<FunctionConfiguration, ApiError> {
    let found = call.parts.functions.get_function(target.account(), target.name(), target.qualifier()).await?;
    Ok(FunctionConfiguration::of(found.version))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListInput {
    function_version: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    functions: Vec<FunctionConfiguration>,
    next_marker: Option<String>,
}

/// `ListFunctions`. `MasterRegion` asks for replicas at the edge of a network that is not here; nothing is one.
pub(super) async fn list(call: Call, account: AccountId, input: ListInput) -> Result<ListOutput, ApiError> {
    let all = input.function_version.is_some_and(|version| version == "ALL");
    let listing = call.parts.functions.list_functions(&account, input.paging.into(), all).await?;
    let (functions, next_marker) = page_of(listing, FunctionConfiguration::listed);
    Ok(ListOutput { functions, next_marker })
}

/// `DeleteFunction`: the whole function or one published version.
pub(super) async fn delete(call: Call, target: FunctionTarget, _: Qualified) -> Result<Nothing, ApiError> {
    call.parts.functions.delete_function(target.account(), target.name(), target.qualifier()).await?;
    Ok(nothing())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateCodeInput {
    function_name: String,
    #[serde(flatten)]
    code: Code,
    architectures: Option<Vec<String>>,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    dry_run: bool,
    revision_id: Option<String>,
}

impl NamesFunction for UpdateCodeInput {
    fn function_name(&self) -> &str {
        &self.function_name
    }
}

/// `UpdateFunctionCode`.
pub(super) async fn update_code(
    call: Call,
    target: FunctionTarget,
    input: UpdateCodeInput,
) -> Result<FunctionConfiguration, ApiError> {
    let (zip, unsupported) = input.code.read()?;
    let command = UpdateCode {
        name: target.name().clone(),
        zip,
        architectures: input.architectures,
        publish: input.publish,
        dry_run: input.dry_run,
        revision: revision(input.revision_id)?,
        unsupported,
    };
    let updated = call.parts.functions.update_code(target.account(), command).await?;
    Ok(FunctionConfiguration::of(updated))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateConfigurationInput {
    function_name: String,
    revision_id: Option<String>,
    #[serde(flatten)]
    configuration: ConfigurationMembers,
}

impl NamesFunction for UpdateConfigurationInput {
    fn function_name(&self) -> &str {
        &self.function_name
    }
}

/// `UpdateFunctionConfiguration`. The caller must be allowed to pass a role that it names.
pub(super) async fn update_configuration(
    call: Call,
    target: FunctionTarget,
    input: UpdateConfigurationInput,
) -> Result<FunctionConfiguration, ApiError> {
    let change = input.configuration.into_change()?;
    if let Some(role) = &change.role {
        access::pass_role(&call, role).await?;
    }
    let command = UpdateConfiguration { name: target.name().clone(), change, revision: revision(input.revision_id)? };
    let updated = call.parts.functions.update_configuration(target.account(), command).await?;
    Ok(FunctionConfiguration::of(updated))
}

/// The answer of operations that answer with nothing.
pub(super) fn nothing() -> Nothing {
    Nothing {}
}
