//! What the operations act on, with the inputs that name it. Required members are checked by the model before; one that
//! an operation does not have is empty or absent.

use dormouse_identity::{Holder, IamError, Principal};
use dormouse_model::AccountId;
use serde::Deserialize;

use super::wire::Tag;
use crate::error::ApiError;
use crate::operation::{Call, Resource, Target};

/// The members of the operations on roles, users, groups, what these hold, and access keys.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HolderInput {
    pub(super) role_name: String,
    pub(super) user_name: Option<String>,
    pub(super) group_name: String,
    pub(super) path: Option<String>,
    pub(super) assume_role_policy_document: String,
    pub(super) description: Option<String>,
    pub(super) max_session_duration: Option<u32>,
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

/// What a holder of policies is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Role,
    User,
    Group,
}

/// A role, a user or a group of the caller's account, by name.
#[derive(Debug, Clone)]
pub(super) struct HolderTarget {
    pub(super) account: AccountId,
    pub(super) kind: Kind,
    /// Empty for the account's root.
    pub(super) name: String,
    pub(super) arn: String,
}

impl Target for HolderTarget {
    fn resource(&self) -> Resource {
        Resource { arn: self.arn.clone(), account: self.account.clone(), policy: None }
    }
}

impl HolderTarget {
    fn at(call: &Call, kind: Kind, path: &str, name: &str) -> Self {
        let account = call.caller.account.clone();
        let arn = match kind {
            Kind::Role => format!("arn:aws:iam::{account}:role{path}{name}"),
            Kind::User => format!("arn:aws:iam::{account}:user{path}{name}"),
            Kind::Group => format!("arn:aws:iam::{account}:group{path}{name}"),
        };
        Self { account, kind, name: name.to_owned(), arn }
    }

    /// One that may not exist; then its ARN is the one it would have without a path.
    fn find(call: &Call, kind: Kind, name: &str) -> Self {
        let (identity, account) = (&call.parts.identity, &call.caller.account);
        let path = match kind {
            Kind::Role => identity.role(account, name).map(|role| role.path),
            Kind::User => identity.user(account, name).map(|user| user.path),
            Kind::Group => identity.group(account, name).map(|group| group.path),
        };
        Self::at(call, kind, path.as_deref().unwrap_or("/"), name)
    }

    /// As the engine calls it.
    pub(super) fn holder(&self) -> Holder<'_> {
        match self.kind {
            Kind::Role => Holder::Role(&self.name),
            Kind::User => Holder::User(&self.name),
            Kind::Group => Holder::Group(&self.name),
        }
    }

    /// The user, or none for the account's root.
    pub(super) fn user(&self) -> Option<&str> {
        (!self.name.is_empty()).then_some(self.name.as_str())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn role(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    Ok(HolderTarget::find(call, Kind::Role, &input.role_name))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn new_role(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    Ok(HolderTarget::at(call, Kind::Role, input.path.as_deref().unwrap_or("/"), &input.role_name))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn user(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    Ok(HolderTarget::find(call, Kind::User, input.user_name.as_deref().unwrap_or_default()))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn new_user(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    let name = input.user_name.as_deref().unwrap_or_default();
    Ok(HolderTarget::at(call, Kind::User, input.path.as_deref().unwrap_or("/"), name))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn group(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    Ok(HolderTarget::find(call, Kind::Group, &input.group_name))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn new_group(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    Ok(HolderTarget::at(call, Kind::Group, input.path.as_deref().unwrap_or("/"), &input.group_name))
}

/// The user that is named, or else the caller, if that is a user or the root.
pub(super) fn user_or_self(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    let name = match (&input.user_name, &call.caller.principal) {
        (Some(_), _) => return user(call, input),
        (None, Principal::User { name, .. }) => name.clone(),
        (None, Principal::Root) => String::new(),
        (None, _) => {
            let message = "Must specify userName when calling with non-User credentials";
            return Err(IamError::Validation(message.to_owned()).into());
        }
    };
    let (account, arn) = (call.caller.account.clone(), call.caller.arn.clone());
    Ok(HolderTarget { account, kind: Kind::User, name, arn })
}

/// A managed policy, of the caller's account or of the platform.
#[derive(Debug, Clone)]
pub(super) struct PolicyTarget {
    pub(super) account: AccountId,
    pub(super) arn: String,
}

impl Target for PolicyTarget {
    fn resource(&self) -> Resource {
        Resource { arn: self.arn.clone(), account: self.account.clone(), policy: None }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn new_policy(call: &Call, input: &PolicyInput) -> Result<PolicyTarget, ApiError> {
    let (account, path) = (call.caller.account.clone(), input.path.as_deref().unwrap_or("/"));
    let arn = format!("arn:aws:iam::{account}:policy{path}{}", input.policy_name);
    Ok(PolicyTarget { account, arn })
}

/// Nobody sees another account's.
pub(super) fn policy(call: &Call, input: &PolicyInput) -> Result<PolicyTarget, ApiError> {
    let arn = input.policy_arn.clone();
    let account = call.caller.account.clone();
    let ours =
        arn.starts_with(&format!("arn:aws:iam::{account}:policy/")) || arn.starts_with("arn:aws:iam::aws:policy/");
    if !ours {
        return Err(IamError::NoSuchEntity(format!("Policy {arn} was not found.")).into());
    }
    Ok(PolicyTarget { account, arn })
}
