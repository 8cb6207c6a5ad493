//! Inline and attached policies of roles and users: the same operations under two names.

use dormouse_identity::grants::Holder;
use serde::Serialize;

use super::target::{IamTarget, RoleInput, UserInput};
use super::wire::{encoded, page};
use crate::error::ApiError;
use crate::operation::{Call, Nothing};

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InlineOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    role_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
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

fn names(
    call: &Call,
    target: &IamTarget,
    holder: Holder<'_>,
    marker: Option<&str>,
    max_items: Option<usize>,
) -> Result<NamesOutput, ApiError> {
    let names = call.parts.identity.grants_of(&target.account, holder)?.inline.into_keys().collect();
    let (policy_names, marker) = page(names, |name: &String| name, marker, max_items);
    Ok(NamesOutput { policy_names, is_truncated: marker.is_some(), marker })
}

fn attached(
    call: &Call,
    target: &IamTarget,
    holder: Holder<'_>,
    marker: Option<&str>,
    max_items: Option<usize>,
) -> Result<AttachedOutput, ApiError> {
    let arns = call.parts.identity.grants_of(&target.account, holder)?.attached.into_iter().collect();
    let (arns, marker) = page(arns, |arn: &String| arn, marker, max_items);
    let out = |policy_arn: String| {
        let policy_name = policy_arn.rsplit('/').next().unwrap_or_default().to_owned();
        AttachedOut { policy_name, policy_arn }
    };
    Ok(AttachedOutput {
        attached_policies: arns.into_iter().map(out).collect(),
        is_truncated: marker.is_some(),
        marker,
    })
}

/// `PutRolePolicy`.
pub(super) async fn put_role_policy(call: Call, target: IamTarget, input: RoleInput) -> Result<Nothing, ApiError> {
    let (holder, identity) = (Holder::Role(&target.name), &call.parts.identity);
    identity.put_inline_policy(&target.account, holder, &input.policy_name, &input.policy_document).await?;
    Ok(Nothing {})
}

/// `PutUserPolicy`.
pub(super) async fn put_user_policy(call: Call, target: IamTarget, input: UserInput) -> Result<Nothing, ApiError> {
    let (holder, identity) = (Holder::User(&target.name), &call.parts.identity);
    identity.put_inline_policy(&target.account, holder, &input.policy_name, &input.policy_document).await?;
    Ok(Nothing {})
}

/// `GetRolePolicy`.
pub(super) async fn get_role_policy(call: Call, target: IamTarget, input: RoleInput) -> Result<InlineOutput, ApiError> {
    let document =
        call.parts.identity.inline_policy(&target.account, Holder::Role(&target.name), &input.policy_name)?;
    let (role_name, policy_document) = (Some(target.name), encoded(&document));
    Ok(InlineOutput { role_name, user_name: None, policy_name: input.policy_name, policy_document })
}

/// `GetUserPolicy`.
pub(super) async fn get_user_policy(call: Call, target: IamTarget, input: UserInput) -> Result<InlineOutput, ApiError> {
    let document =
        call.parts.identity.inline_policy(&target.account, Holder::User(&target.name), &input.policy_name)?;
    let (user_name, policy_document) = (Some(target.name), encoded(&document));
    Ok(InlineOutput { role_name: None, user_name, policy_name: input.policy_name, policy_document })
}

/// `DeleteRolePolicy`.
pub(super) async fn delete_role_policy(call: Call, target: IamTarget, input: RoleInput) -> Result<Nothing, ApiError> {
    let holder = Holder::Role(&target.name);
    call.parts.identity.delete_inline_policy(&target.account, holder, &input.policy_name).await?;
    Ok(Nothing {})
}

/// `DeleteUserPolicy`.
pub(super) async fn delete_user_policy(call: Call, target: IamTarget, input: UserInput) -> Result<Nothing, ApiError> {
    let holder = Holder::User(&target.name);
    call.parts.identity.delete_inline_policy(&target.account, holder, &input.policy_name).await?;
    Ok(Nothing {})
}

/// `ListRolePolicies`.
pub(super) async fn list_role_policies(
    call: Call,
    target: IamTarget,
    input: RoleInput,
) -> Result<NamesOutput, ApiError> {
    names(&call, &target, Holder::Role(&target.name), input.marker.as_deref(), input.max_items)
}

/// `ListUserPolicies`.
pub(super) async fn list_user_policies(
    call: Call,
    target: IamTarget,
    input: UserInput,
) -> Result<NamesOutput, ApiError> {
    names(&call, &target, Holder::User(&target.name), input.marker.as_deref(), input.max_items)
}

/// `AttachRolePolicy`.
pub(super) async fn attach_to_role(call: Call, target: IamTarget, input: RoleInput) -> Result<Nothing, ApiError> {
    call.parts.identity.attach_policy(&target.account, Holder::Role(&target.name), &input.policy_arn).await?;
    Ok(Nothing {})
}

/// `AttachUserPolicy`.
pub(super) async fn attach_to_user(call: Call, target: IamTarget, input: UserInput) -> Result<Nothing, ApiError> {
    call.parts.identity.attach_policy(&target.account, Holder::User(&target.name), &input.policy_arn).await?;
    Ok(Nothing {})
}

/// `DetachRolePolicy`.
pub(super) async fn detach_from_role(call: Call, target: IamTarget, input: RoleInput) -> Result<Nothing, ApiError> {
    call.parts.identity.detach_policy(&target.account, Holder::Role(&target.name), &input.policy_arn).await?;
    Ok(Nothing {})
}

/// `DetachUserPolicy`.
pub(super) async fn detach_from_user(call: Call, target: IamTarget, input: UserInput) -> Result<Nothing, ApiError> {
    call.parts.identity.detach_policy(&target.account, Holder::User(&target.name), &input.policy_arn).await?;
    Ok(Nothing {})
}

/// `ListAttachedRolePolicies`.
pub(super) async fn list_attached_to_role(
    call: Call,
    target: IamTarget,
    input: RoleInput,
) -> Result<AttachedOutput, ApiError> {
    attached(&call, &target, Holder::Role(&target.name), input.marker.as_deref(), input.max_items)
}

/// `ListAttachedUserPolicies`.
pub(super) async fn list_attached_to_user(
    call: Call,
    target: IamTarget,
    input: UserInput,
) -> Result<AttachedOutput, ApiError> {
    attached(&call, &target, Holder::User(&target.name), input.marker.as_deref(), input.max_items)
}
