//! Roles.

use dormouse_identity::roles::{NewRole, RoleUpdate};
use dormouse_model::AccountId;
use serde::Serialize;

use super::target::{HolderInput, HolderTarget};
use super::wire::{RoleOut, page, tags_in};
use crate::error::ApiError;
use crate::operation::{Call, Nothing};

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RoleOutput {
    role: RoleOut,
}

/// `CreateRole`.
pub(super) async fn create(call: Call, target: HolderTarget, input: HolderInput) -> Result<RoleOutput, ApiError> {
    let new = NewRole {
        name: input.role_name,
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        trust: input.assume_role_policy_document,
        description: input.description,
        max_session_secs: input.max_session_duration,
        boundary: input.permissions_boundary,
        tags: tags_in(input.tags),
    };
    let role = call.parts.identity.create_role(&target.account, new).await?;
    Ok(RoleOutput { role: RoleOut::whole(&call.parts.identity, &role) })
}

/// `GetRole`.
pub(super) async fn get(call: Call, target: HolderTarget, _: HolderInput) -> Result<RoleOutput, ApiError> {
    let role = call.parts.identity.role(&target.account, &target.name)?;
    Ok(RoleOutput { role: RoleOut::whole(&call.parts.identity, &role) })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    roles: Vec<RoleOut>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

/// `ListRoles`.
pub(super) async fn list(call: Call, account: AccountId, input: HolderInput) -> Result<ListOutput, ApiError> {
    let roles = call.parts.identity.list_roles(&account, input.path_prefix.as_deref().unwrap_or("/"));
    let (roles, marker) = page(roles, |role| &role.name, input.marker.as_deref(), input.max_items);
    let roles = roles.iter().map(|role| RoleOut::brief(&call.parts.identity, role)).collect();
    Ok(ListOutput { roles, is_truncated: marker.is_some(), marker })
}

/// `UpdateRole`.
pub(super) async fn update(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    let update =
        RoleUpdate { description: input.description, max_session_secs: input.max_session_duration, trust: None };
    call.parts.identity.update_role(&target.account, &target.name, update).await?;
    Ok(Nothing {})
}

/// `UpdateRoleDescription`.
pub(super) async fn update_description(
    call: Call,
    target: HolderTarget,
    input: HolderInput,
) -> Result<RoleOutput, ApiError> {
    let update = RoleUpdate { description: input.description, ..RoleUpdate::default() };
    let role = call.parts.identity.update_role(&target.account, &target.name, update).await?;
    Ok(RoleOutput { role: RoleOut::whole(&call.parts.identity, &role) })
}

/// `UpdateAssumeRolePolicy`.
pub(super) async fn update_trust(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    let update = RoleUpdate { trust: Some(input.policy_document), ..RoleUpdate::default() };
    call.parts.identity.update_role(&target.account, &target.name, update).await?;
    Ok(Nothing {})
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ProfilesOutput {
    instance_profiles: [String; 0],
    is_truncated: bool,
}

/// `ListInstanceProfilesForRole`: there are no instances, so none; tools ask before they delete a role.
pub(super) async fn instance_profiles(
    call: Call,
    target: HolderTarget,
    _: HolderInput,
) -> Result<ProfilesOutput, ApiError> {
    call.parts.identity.role(&target.account, &target.name)?;
    Ok(ProfilesOutput { instance_profiles: [], is_truncated: false })
}
