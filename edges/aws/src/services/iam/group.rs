//! Groups, and who is in them.

use dormouse_model::AccountId;
use serde::Serialize;

use super::target::{HolderInput, HolderTarget};
use super::wire::{GroupOut, UserOut, page};
use crate::error::ApiError;
use crate::operation::{Call, Nothing};

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GroupOutput {
    group: GroupOut,
}

/// `CreateGroup`.
pub(super) async fn create(call: Call, target: HolderTarget, input: HolderInput) -> Result<GroupOutput, ApiError> {
    let path = input.path.as_deref().unwrap_or("/");
    let group = call.parts.identity.create_group(&target.account, &target.name, path).await?;
    Ok(GroupOutput { group: GroupOut::of(&group) })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetOutput {
    group: GroupOut,
    users: Vec<UserOut>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

/// `GetGroup`: with its users, a page of them.
pub(super) async fn get(call: Call, target: HolderTarget, input: HolderInput) -> Result<GetOutput, ApiError> {
    let identity = &call.parts.identity;
    let group = identity.group(&target.account, &target.name)?;
    let users = identity.members_of(&target.account, &target.name)?;
    let (users, marker) = page(users, |user| &user.name, input.marker.as_deref(), input.max_items);
    let users = users.iter().map(UserOut::brief).collect();
    Ok(GetOutput { group: GroupOut::of(&group), users, is_truncated: marker.is_some(), marker })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    groups: Vec<GroupOut>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

impl ListOutput {
    fn page(groups: Vec<dormouse_identity::records::Group>, input: &HolderInput) -> Self {
        let (groups, marker) = page(groups, |group| &group.name, input.marker.as_deref(), input.max_items);
        Self { groups: groups.iter().map(GroupOut::of).collect(), is_truncated: marker.is_some(), marker }
    }
}

/// `ListGroups`.
pub(super) async fn list(call: Call, account: AccountId, input: HolderInput) -> Result<ListOutput, ApiError> {
    let groups = call.parts.identity.list_groups(&account, input.path_prefix.as_deref().unwrap_or("/"));
    Ok(ListOutput::page(groups, &input))
}

/// `ListGroupsForUser`.
pub(super) async fn of_user(call: Call, target: HolderTarget, input: HolderInput) -> Result<ListOutput, ApiError> {
    Ok(ListOutput::page(call.parts.identity.groups_of(&target.account, &target.name)?, &input))
}

/// `AddUserToGroup`.
pub(super) async fn add_user(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    let user = input.user_name.unwrap_or_default();
    call.parts.identity.add_to_group(&target.account, &user, &target.name).await?;
    Ok(Nothing {})
}

/// `RemoveUserFromGroup`.
pub(super) async fn remove_user(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    let user = input.user_name.unwrap_or_default();
    call.parts.identity.remove_from_group(&target.account, &user, &target.name).await?;
    Ok(Nothing {})
}
