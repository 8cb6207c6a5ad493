//! Published versions.

use dormouse_functions::{Page, PublishVersion};
use serde::{Deserialize, Serialize};

use super::function::NamesFunction;
use super::target::FunctionTarget;
use super::wire::{FunctionConfiguration, Paging, page_of, revision};
use crate::error::ApiError;
use crate::operation::Call;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PublishInput {
    function_name: String,
    description: Option<String>,
    code_sha256: Option<String>,
    revision_id: Option<String>,
    publish_to: Option<String>,
}

impl NamesFunction for PublishInput {
    fn function_name(&self) -> &str {
        &self.function_name
    }
}

/// `PublishVersion`.
pub(super) async fn publish(
    call: Call,
    target: FunctionTarget,
    input: PublishInput,
) -> Result<FunctionConfiguration, ApiError> {
    if input.publish_to.is_some() {
        return Err(super::change::not_there("PublishTo"));
    }
    let command = PublishVersion {
        name: target.name().clone(),
        description: input.description,
        code_sha256: input.code_sha256.filter(|digest| !digest.is_empty()),
        revision: revision(input.revision_id)?,
    };
    let published = call.parts.functions.publish_version(target.account(), command).await?;
    Ok(FunctionConfiguration::of(published))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListInput {
    function_name: String,
    #[serde(flatten)]
    paging: Paging,
}

impl NamesFunction for ListInput {
    fn function_name(&self) -> &str {
        &self.function_name
    }
}

impl ListInput {
    /// Which page is asked for.
    pub(super) fn into_page(self) -> Page {
        self.paging.into()
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    versions: Vec<FunctionConfiguration>,
    next_marker: Option<String>,
}

/// `ListVersionsByFunction`: `$LATEST` first.
pub(super) async fn list(call: Call, target: FunctionTarget, input: ListInput) -> Result<ListOutput, ApiError> {
    let page = input.into_page();
    let listing = call.parts.functions.list_versions(target.account(), target.name(), page).await?;
    let (versions, next_marker) = page_of(listing, FunctionConfiguration::listed);
    Ok(ListOutput { versions, next_marker })
}
