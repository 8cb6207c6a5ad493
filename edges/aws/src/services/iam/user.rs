//! Users.

use dormouse_identity::users::NewUser;
use dormouse_model::AccountId;
use serde::Serialize;

use super::target::{HolderInput, HolderTarget};
use super::wire::{UserOut, page, seconds, tags_in};
use crate::error::ApiError;
use crate::operation::Call;

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UserOutput {
    user: UserOut,
}

/// `CreateUser`.
pub(super) async fn create(call: Call, target: HolderTarget, input: HolderInput) -> Result<UserOutput, ApiError> {
    let new = NewUser {
        name: target.name,
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        boundary: input.permissions_boundary,
        tags: tags_in(input.tags),
    };
    let user = call.parts.identity.create_user(&target.account, new).await?;
    Ok(UserOutput { user: UserOut::whole(&user) })
}

/// `GetUser`; without a name the caller, who may be the account's root.
pub(super) async fn get(call: Call, target: HolderTarget, _: HolderInput) -> Result<UserOutput, ApiError> {
    let identity = &call.parts.identity;
    if let Some(name) = target.user() {
        return Ok(UserOutput { user: UserOut::whole(&identity.user(&target.account, name)?) });
    }
    let created = identity.account(&target.account).map_or(0, |account| seconds(account.created));
    let user = UserOut {
        path: "/".to_owned(),
        user_name: None,
        user_id: target.account.to_string(),
        arn: target.arn,
        create_date: created,
        permissions_boundary: None,
        tags: Vec::new(),
    };
    Ok(UserOutput { user })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    users: Vec<UserOut>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

/// `ListUsers`.
pub(super) async fn list(call: Call, account: AccountId, input: HolderInput) -> Result<ListOutput, ApiError> {
    let users = call.parts.identity.list_users(&account, input.path_prefix.as_deref().unwrap_or("/"));
    let (users, marker) = page(users, |user| &user.name, input.marker.as_deref(), input.max_items);
    Ok(ListOutput { users: users.iter().map(UserOut::brief).collect(), is_truncated: marker.is_some(), marker })
}
