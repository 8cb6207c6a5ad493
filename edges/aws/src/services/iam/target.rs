//! What the operations act on, with the inputs that name it. Required members are checked by the model before; one that
//! an operation does not have is empty or absent.

use std::collections::BTreeMap;

use dormouse_identity::policy::Context;
use dormouse_identity::{Holder, IamError, Principal};
use dormouse_model::AccountId;
use serde::Deserialize;

use super::wire::{Tag, tags_in};
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
    pub(super) tag_keys: Vec<String>,
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
    keys: Context,
}

impl Target for HolderTarget {
    fn resource(&self) -> Resource {
        Resource { arn: self.arn.clone(), account: self.account.clone(), policy: None, keys: self.keys.clone() }
    }
}

impl HolderTarget {
    /// One that is to be made.
    fn new(call: &Call, kind: Kind, name: &str, input: &HolderInput) -> Self {
        let (account, path) = (call.caller.account.clone(), input.path.as_deref().unwrap_or("/"));
        let arn = match kind {
            Kind::Role => format!("arn:aws:iam::{account}:role{path}{name}"),
            Kind::User => format!("arn:aws:iam::{account}:user{path}{name}"),
            Kind::Group => format!("arn:aws:iam::{account}:group{path}{name}"),
        };
        Self { account, kind, name: name.to_owned(), arn, keys: asked(input) }
    }

    /// One that may not exist; then its ARN is the one it would have without a path. The ARN of one that does is its own:
    /// names are found whatever the case of their letters, and a policy has them as they were given.
    fn find(call: &Call, kind: Kind, name: &str, input: &HolderInput) -> Self {
        let (identity, account) = (&call.parts.identity, &call.caller.account);
        let mut target = Self::new(call, kind, name, input);
        let arn = match kind {
            Kind::Role => identity.role(account, name).map(|role| role.arn()),
            Kind::User => identity.user(account, name).map(|user| user.arn()),
            Kind::Group => identity.group(account, name).map(|group| group.arn()),
        };
        if let (Ok(arn), Ok(tags), Ok(grants)) =
            (arn, identity.tags_of(account, target.holder()), identity.grants_of(account, target.holder()))
        {
            let mut keys = known(&tags);
            if let Some(boundary) = grants.boundary {
                keys.set(BOUNDARY, boundary);
            }
            keys.extend(target.keys);
            target = Self { arn, keys, ..target };
        }
        target
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

/// The condition key that names the boundary of a role or user, or the one that it is to get.
const BOUNDARY: &str = "iam:PermissionsBoundary";

/// Condition keys of what there is: its tags.
fn known(tags: &BTreeMap<String, String>) -> Context {
    let mut keys = Context::new();
    keys.set_resource_tags("aws", tags).set_resource_tags("iam", tags);
    keys
}

/// Condition keys of what is asked for.
fn asked(input: &HolderInput) -> Context {
    let mut keys = asked_tags(&input.tags, &input.tag_keys);
    if let Some(boundary) = &input.permissions_boundary {
        keys.set(BOUNDARY, boundary.clone());
    }
    if !input.policy_arn.is_empty() {
        keys.set("iam:PolicyARN", input.policy_arn.clone());
    }
    keys
}

fn asked_tags(set: &[Tag], removed: &[String]) -> Context {
    let mut keys = Context::new();
    keys.set_request_tags(&tags_in(set.to_vec())).set_tag_keys(removed.to_vec());
    keys
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn role(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    Ok(HolderTarget::find(call, Kind::Role, &input.role_name, input))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn new_role(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    Ok(HolderTarget::new(call, Kind::Role, &input.role_name, input))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn user(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    Ok(HolderTarget::find(call, Kind::User, input.user_name.as_deref().unwrap_or_default(), input))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn new_user(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    Ok(HolderTarget::new(call, Kind::User, input.user_name.as_deref().unwrap_or_default(), input))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn group(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    Ok(HolderTarget::find(call, Kind::Group, &input.group_name, input))
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn new_group(call: &Call, input: &HolderInput) -> Result<HolderTarget, ApiError> {
    Ok(HolderTarget::new(call, Kind::Group, &input.group_name, input))
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
    Ok(HolderTarget { account, kind: Kind::User, name, arn, keys: Context::new() })
}

/// A managed policy, of the caller's account or of the platform.
#[derive(Debug, Clone)]
pub(super) struct PolicyTarget {
    pub(super) account: AccountId,
    pub(super) arn: String,
    keys: Context,
}

impl Target for PolicyTarget {
    fn resource(&self) -> Resource {
        Resource { arn: self.arn.clone(), account: self.account.clone(), policy: None, keys: self.keys.clone() }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
pub(super) fn new_policy(call: &Call, input: &PolicyInput) -> Result<PolicyTarget, ApiError> {
    let (account, path) = (call.caller.account.clone(), input.path.as_deref().unwrap_or("/"));
    let arn = format!("arn:aws:iam::{account}:policy{path}{}", input.policy_name);
    Ok(PolicyTarget { account, arn, keys: asked_tags(&input.tags, &[]) })
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
    let mut keys = call.parts.identity.policy(&arn).map_or_else(|_| Context::new(), |policy| known(&policy.tags));
    keys.extend(asked_tags(&input.tags, &input.tag_keys));
    Ok(PolicyTarget { account, arn, keys })
}
