//! What the operations act on, with the inputs that name it. Required members are checked by the model before; one that
//! an operation does not have is empty or absent.

use dormouse_identity::{IamError, Principal};
use dormouse_model::AccountId;
use serde::Deserialize;

use super::wire::Tag;
use crate::error::ApiError;
use crate::operation::{Call, Resource, Target};

/// The members of the operations on roles.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RoleInput {
    pub(super) role_name: String,
    pub(super) path: Option<String>,
    pub(super) assume_role_policy_document: String,
    pub(super) description: Option<String>,
    pub(super) max_session_duration: Option<u32>,
    pub(super) permissions_boundary: Option<String>,
    pub(super) policy_name: String,
    pub(super) policy_document: String,
    pub(super) policy_arn: String,
    pub(super) tags: Vec<Tag>,
    pub(super) tag_keys: Vec<String>,
    pub(super) path_prefix: Option<String>,
    pub(super) marker: Option<String>,
    pub(super) max_items: Option<usize>,
}

/// The members of the operations on users and access keys.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct UserInput {
    pub(super) user_name: Option<String>,
    pub(super) path: Option<String>,
    pub(super) permissions_boundary: Option<String>,
    pub(super) policy_name: String,
    pub(super) policy_document: String,
    pub(super) policy_arn: String,
    pub(super) access_key_id: String,
    pub(super) status: String,
    pub(super) tags: Vec<Tag>,
    pub(super) tag_keys: Vec<String>,
    pub(super) path_prefix: Option<String>,
    pub(super) marker: Option<String>,
    pub(super) max_items: Option<usize>,
}

/// The members of the operations on managed policies.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PolicyInput {
    pub(super) policy_arn: String,
    pub(super) policy_name: String,
    pub(super) path: Option<String>,
    pub(super) policy_document: String,
    pub(super) description: Option<String>,
    pub(super) tags: Vec<Tag>,
    pub(super) version_id: String,
    pub(super) set_as_default: bool,
    pub(super) scope: Option<String>,
    pub(super) only_attached: bool,
    pub(super) path_prefix: Option<String>,
    pub(super) marker: Option<String>,
    pub(super) max_items: Option<usize>,
}

/// A role, a user or a policy of the caller's account, by name; or a managed policy of the platform.
#[derive(Debug, Clone)]
pub(super) struct IamTarget {
    pub(super) account: AccountId,
    /// Empty for the account's root.
    pub(super) name: String,
    pub(super) arn: String,
}

impl Target for IamTarget {
    fn resource(&self) -> Resource {
        Resource { arn: self.arn.clone(), account: self.account.clone(), policy: None }
    }
}

impl IamTarget {
    /// The user, or none for the account's root.
    pub(super) fn user(&self) -> Option<&str> {
        (!self.name.is_empty()).then_some(self.name.as_str())
    }
}

fn named(call: &Call, kind: &str, path: &str, name: &str) -> IamTarget {
    let account = call.caller.account.clone();
    let arn = format!("arn:aws:iam::{account}:{kind}{path}{name}");
    IamTarget { account, name: name.to_owned(), arn }
}

/// A role that may not exist; then its ARN is the one it would have without a path.
#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn role(call: &Call, input: &RoleInput) -> Result<IamTarget, ApiError> {
    let known = call.parts.identity.role(&call.caller.account, &input.role_name).ok();
    Ok(named(call, "role", known.as_ref().map_or("/", |role| &role.path), &input.role_name))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn new_role(call: &Call, input: &RoleInput) -> Result<IamTarget, ApiError> {
    Ok(named(call, "role", input.path.as_deref().unwrap_or("/"), &input.role_name))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn user(call: &Call, input: &UserInput) -> Result<IamTarget, ApiError> {
    let name = input.user_name.as_deref().unwrap_or_default();
    let known = call.parts.identity.user(&call.caller.account, name).ok();
    Ok(named(call, "user", known.as_ref().map_or("/", |user| &user.path), name))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn new_user(call: &Call, input: &UserInput) -> Result<IamTarget, ApiError> {
    Ok(named(call, "user", input.path.as_deref().unwrap_or("/"), input.user_name.as_deref().unwrap_or_default()))
}

/// The user that is named, or else the caller, if that is a user or the root.
pub(super) fn user_or_self(call: &Call, input: &UserInput) -> Result<IamTarget, ApiError> {
    if input.user_name.is_some() {
        return user(call, input);
    }
    match &call.caller.principal {
        Principal::User { name, .. } => {
            let (account, name, arn) = (call.caller.account.clone(), name.clone(), call.caller.arn.clone());
            Ok(IamTarget { account, name, arn })
        }
        Principal::Root => {
            let (account, arn) = (call.caller.account.clone(), call.caller.arn.clone());
            Ok(IamTarget { account, name: String::new(), arn })
        }
        _ => {
            Err(IamError::Validation("Must specify userName when calling with non-User credentials".to_owned()).into())
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn new_policy(call: &Call, input: &PolicyInput) -> Result<IamTarget, ApiError> {
    Ok(named(call, "policy", input.path.as_deref().unwrap_or("/"), &input.policy_name))
}

/// A managed policy of the caller's account or of the platform; nobody sees another account's.
pub(super) fn policy(call: &Call, input: &PolicyInput) -> Result<IamTarget, ApiError> {
    let arn = input.policy_arn.clone();
    let account = call.caller.account.clone();
    let ours =
        arn.starts_with(&format!("arn:aws:iam::{account}:policy/")) || arn.starts_with("arn:aws:iam::aws:policy/");
    if !ours {
        return Err(IamError::NoSuchEntity(format!("Policy {arn} was not found.")).into());
    }
    Ok(IamTarget { account, name: String::new(), arn })
}
