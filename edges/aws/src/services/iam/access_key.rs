//! Access keys of users, and of the account's root when no user is named.

use dormouse_identity::records::AccessKey;
use serde::Serialize;

use super::target::{HolderInput, HolderTarget};
use super::wire::{page, seconds};
use crate::error::ApiError;
use crate::operation::{Call, Nothing};

fn status(active: bool) -> &'static str {
    if active { "Active" } else { "Inactive" }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyOut {
    user_name: String,
    access_key_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_access_key: Option<String>,
    create_date: u64,
}

impl KeyOut {
    fn of(key: &AccessKey) -> Self {
        Self {
            user_name: key.user.clone().unwrap_or_default(),
            access_key_id: key.id.clone(),
            status: status(key.active),
            secret_access_key: None,
            create_date: seconds(key.created),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateOutput {
    access_key: KeyOut,
}

/// `CreateAccessKey`. The secret is told here and never again.
pub(super) async fn create(call: Call, target: HolderTarget, _: HolderInput) -> Result<CreateOutput, ApiError> {
    let identity = &call.parts.identity;
    let new = match target.user() {
        Some(user) => identity.create_access_key(&target.account, user).await?,
        None => identity.create_root_key(&target.account).await?,
    };
    let access_key = KeyOut { secret_access_key: Some(new.secret_access_key.to_string()), ..KeyOut::of(&new.key) };
    Ok(CreateOutput { access_key })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    access_key_metadata: Vec<KeyOut>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

/// `ListAccessKeys`.
pub(super) async fn list(call: Call, target: HolderTarget, input: HolderInput) -> Result<ListOutput, ApiError> {
    let keys = call.parts.identity.list_access_keys(&target.account, target.user())?;
    let (keys, marker) = page(keys, |key| &key.id, input.marker.as_deref(), input.max_items);
    let access_key_metadata = keys.iter().map(KeyOut::of).collect();
    Ok(ListOutput { access_key_metadata, is_truncated: marker.is_some(), marker })
}

/// `UpdateAccessKey`.
pub(super) async fn update(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    let active = input.status == "Active";
    let identity = &call.parts.identity;
    identity.set_access_key_active(&target.account, target.user(), &input.access_key_id, active).await?;
    Ok(Nothing {})
}

/// `DeleteAccessKey`.
pub(super) async fn delete(call: Call, target: HolderTarget, input: HolderInput) -> Result<Nothing, ApiError> {
    call.parts.identity.delete_access_key(&target.account, target.user(), &input.access_key_id).await?;
    Ok(Nothing {})
}
