//! What roles, users and groups hold, their policies, boundaries and tags: the same operations under several names.

use std::collections::BTreeMap;

use serde::Serialize;

use super::target::{HolderInput, HolderTarget, Kind};
use super::wire::{Tag, encoded, page, tags_in, tags_out};
use crate::error::ApiError;
use crate::operation::{Call, Nothing};

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InlineOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    role_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_name: Option<String>,
    policy_name: String,
    policy_document: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NamesOutput {
    policy_names: Vec<String>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachedOut {
    policy_name: String,
    policy_arn: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AttachedOutput {
    attached_policies: Vec<AttachedOut>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

/// `PutRolePolicy`, `PutUserPolicy`, `PutGroupPolicy`.
pub(super) async fn put_inline(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    let (name, document) = (&input.policy_name, &input.policy_document);
    call.parts.identity.put_inline_policy(&target.account, target.holder(), name, document).await?;
    Ok(Nothing {})
}

/// `GetRolePolicy`, `GetUserPolicy`, `GetGroupPolicy`.
pub(super) async fn get_inline(call: Call, target: HolderTarget, input: HolderInput) -> Result<InlineOutput, ApiError> {
    let document = call.parts.identity.inline_policy(&target.account, target.holder(), &input.policy_name)?;
    let named = |kind| (target.kind == kind).then(|| target.name.clone());
    Ok(InlineOutput {
        role_name: named(Kind::Role),
        user_name: named(Kind::User),
        group_name: named(Kind::Group),
        policy_name: input.policy_name,
        policy_document: encoded(&document),
    })
}

/// `DeleteRolePolicy`, `DeleteUserPolicy`, `DeleteGroupPolicy`.
pub(super) async fn delete_inline(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    call.parts.identity.delete_inline_policy(&target.account, target.holder(), &input.policy_name).await?;
    Ok(Nothing {})
}

/// `ListRolePolicies`, `ListUserPolicies`, `ListGroupPolicies`.
pub(super) async fn list_inline(call: Call, target: HolderTarget, input: HolderInput) -> Result<NamesOutput, ApiError> {
    let names = call.parts.identity.grants_of(&target.account, target.holder())?.inline.into_keys().collect();
    let (policy_names, marker) = page(names, |name: &String| name, input.marker.as_deref(), input.max_items);
    Ok(NamesOutput { policy_names, is_truncated: marker.is_some(), marker })
}

/// `AttachRolePolicy`, `AttachUserPolicy`, `AttachGroupPolicy`.
pub(super) async fn attach(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    call.parts.identity.attach_policy(&target.account, target.holder(), &input.policy_arn).await?;
    Ok(Nothing {})
}

/// `DetachRolePolicy`, `DetachUserPolicy`, `DetachGroupPolicy`.
pub(super) async fn detach(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    call.parts.identity.detach_policy(&target.account, target.holder(), &input.policy_arn).await?;
    Ok(Nothing {})
}

/// `ListAttachedRolePolicies`, `ListAttachedUserPolicies`, `ListAttachedGroupPolicies`.
pub(super) async fn list_attached(
    call: Call,
    target: HolderTarget,
    input: HolderInput,
) -> Result<AttachedOutput, ApiError> {
    let arns = call.parts.identity.grants_of(&target.account, target.holder())?.attached.into_iter().collect();
    let (arns, marker) = page(arns, |arn: &String| arn, input.marker.as_deref(), input.max_items);
    let out = |policy_arn: String| {
        let policy_name = policy_arn.rsplit('/').next().unwrap_or_default().to_owned();
        AttachedOut { policy_name, policy_arn }
    };
    let attached_policies = arns.into_iter().map(out).collect();
    Ok(AttachedOutput { attached_policies, is_truncated: marker.is_some(), marker })
}

/// `PutRolePermissionsBoundary`, `PutUserPermissionsBoundary`.
pub(super) async fn put_boundary(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    let arn = input.permissions_boundary.as_deref();
    call.parts.identity.set_boundary(&target.account, target.holder(), arn).await?;
    Ok(Nothing {})
}

/// `DeleteRolePermissionsBoundary`, `DeleteUserPermissionsBoundary`; without one nothing changes.
pub(super) async fn delete_boundary(call: Call, target: HolderTarget, _: HolderInput) -> Result<Nothing, ApiError> {
    call.parts.identity.set_boundary(&target.account, target.holder(), None).await?;
    Ok(Nothing {})
}

/// `DeleteRole`, `DeleteUser`, `DeleteGroup`.
pub(super) async fn delete_holder(call: Call, target: HolderTarget, _: HolderInput) -> Result<Nothing, ApiError> {
    call.parts.identity.delete_holder(&target.account, target.holder()).await?;
    Ok(Nothing {})
}

/// `TagRole`, `TagUser`.
pub(super) async fn tag(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    call.parts.identity.change_tags(&target.account, target.holder(), &tags_in(input.tags), &[]).await?;
    Ok(Nothing {})
}

/// `UntagRole`, `UntagUser`.
pub(super) async fn untag(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    let none = BTreeMap::new();
    call.parts.identity.change_tags(&target.account, target.holder(), &none, &input.tag_keys).await?;
    Ok(Nothing {})
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagsOutput {
    tags: Vec<Tag>,
    is_truncated: bool,
}

impl TagsOutput {
    /// All of them, as there are fifty at most.
    pub(super) fn of(tags: &BTreeMap<String, String>) -> Self {
        Self { tags: tags_out(tags), is_truncated: false }
    }
}

/// `ListRoleTags`, `ListUserTags`.
pub(super) async fn list_tags(call: Call, target: HolderTarget, _: HolderInput) -> Result<TagsOutput, ApiError> {
    Ok(TagsOutput::of(&call.parts.identity.tags_of(&target.account, target.holder())?))
}
