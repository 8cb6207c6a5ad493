//! Tags of functions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::function::nothing;
use super::target::{self, FunctionTarget, invalid};
use crate::error::ApiError;
use crate::operation::{Call, Nothing};

/// The members of all three operations.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagsInput {
    resource: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

/// The function that an ARN names. Other things that could be tagged do not exist here.
pub(super) fn tagged(call: &Call, input: &TagsInput) -> Result<FunctionTarget, ApiError> {
    let arn = &input.resource;
    if !arn.starts_with("arn:") || !arn.contains(":function:") {
        let message = format!("{arn} is not there: of the resources that take tags, this service has functions.");
        return Err(ApiError::modeled("ResourceNotFoundException", message));
    }
    let mut target = target::find(call, arn, None)?;
    target.keys.set_request_tags(&input.tags).set_tag_keys(input.tag_keys.clone());
    target.unqualified().map_err(|_| {
        invalid("Tags on function aliases and versions are not supported. Please specify the ARN of a function.")
    })
}

/// `TagResource`: adds and replaces.
pub(super) async fn tag(call: Call, target: FunctionTarget, input: TagsInput) -> Result<Nothing, ApiError> {
    call.parts.functions.tag(target.account(), target.name(), input.tags).await?;
    Ok(nothing())
}

/// `UntagResource`.
pub(super) async fn untag(call: Call, target: FunctionTarget, input: TagsInput) -> Result<Nothing, ApiError> {
    call.parts.functions.untag(target.account(), target.name(), &input.tag_keys).await?;
    Ok(nothing())
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    tags: BTreeMap<String, String>,
}

/// `ListTags`.
pub(super) async fn list(call: Call, target: FunctionTarget, _: TagsInput) -> Result<ListOutput, ApiError> {
    let tags = call.parts.functions.list_tags(target.account(), target.name()).await?;
    Ok(ListOutput { tags })
}
