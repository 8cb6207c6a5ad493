//! Managed policies: the account's, and those of the platform, which can be read and attached only.

use std::collections::BTreeMap;

use dormouse_identity::managed_policies::NewPolicy;
use dormouse_identity::{IamError, aws_managed};
use dormouse_model::AccountId;
use serde::Serialize;

use super::grants::TagsOutput;
use super::target::{PolicyInput, PolicyTarget};
use super::wire::{PolicyOut, VersionOut, encoded, page, tags_in, version_id};
use crate::error::ApiError;
use crate::operation::{Call, Nothing};

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PolicyOutput {
    policy: PolicyOut,
}

/// `CreatePolicy`.
pub(super) async fn create(call: Call, target: PolicyTarget, input: PolicyInput) -> Result<PolicyOutput, ApiError> {
    let new = NewPolicy {
        name: input.policy_name,
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        document: input.policy_document,
        description: input.description,
        tags: tags_in(input.tags),
    };
    let policy = call.parts.identity.create_policy(&target.account, new).await?;
    Ok(PolicyOutput { policy: PolicyOut::of(&policy) })
}

/// `GetPolicy`.
pub(super) async fn get(call: Call, target: PolicyTarget, _: PolicyInput) -> Result<PolicyOutput, ApiError> {
    let policy = match aws_managed::find(&target.arn) {
        Some(policy) => PolicyOut::of_platform(policy, attachments(&call, &target.account, &policy.arn)),
        None => PolicyOut::of(&call.parts.identity.policy(&target.arn)?),
    };
    Ok(PolicyOutput { policy })
}

/// How many users, roles and groups of an account have a policy of the platform attached.
fn attachments(call: &Call, account: &AccountId, arn: &str) -> u32 {
    let identity = &call.parts.identity;
    let roles = identity.list_roles(account, "/").into_iter().map(|role| role.grants);
    let users = identity.list_users(account, "/").into_iter().map(|user| user.grants);
    let groups = identity.list_groups(account, "/").into_iter().map(|group| group.grants);
    let count = roles.chain(users).chain(groups).filter(|grants| grants.attached.contains(arn)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    policies: Vec<PolicyOut>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

/// `ListPolicies`.
pub(super) async fn list(call: Call, account: AccountId, input: PolicyInput) -> Result<ListOutput, ApiError> {
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let scope = input.scope.as_deref().unwrap_or("All");
    let mut policies = Vec::new();
    if scope != "AWS" {
        policies.extend(call.parts.identity.list_policies(&account, prefix).iter().map(PolicyOut::of));
    }
    if scope != "Local" {
        let platform = aws_managed::all().iter().filter(|policy| policy.path.starts_with(prefix));
        policies
            .extend(platform.map(|policy| PolicyOut::of_platform(policy, attachments(&call, &account, &policy.arn))));
    }
    if input.only_attached {
        policies.retain(PolicyOut::is_attached);
    }
    let (policies, marker) = page(policies, |policy| &policy.policy_name, input.marker.as_deref(), input.max_items);
    Ok(ListOutput { policies, is_truncated: marker.is_some(), marker })
}

/// `TagPolicy`.
pub(super) async fn tag(call: Call, target: PolicyTarget, input: PolicyInput) -> Result<Nothing, ApiError> {
    call.parts.identity.change_policy_tags(&target.arn, &tags_in(input.tags), &[]).await?;
    Ok(Nothing {})
}

/// `UntagPolicy`.
pub(super) async fn untag(call: Call, target: PolicyTarget, input: PolicyInput) -> Result<Nothing, ApiError> {
    call.parts.identity.change_policy_tags(&target.arn, &BTreeMap::new(), &input.tag_keys).await?;
    Ok(Nothing {})
}

/// `ListPolicyTags`; the platform's have none.
pub(super) async fn list_tags(call: Call, target: PolicyTarget, _: PolicyInput) -> Result<TagsOutput, ApiError> {
    if aws_managed::find(&target.arn).is_some() {
        return Ok(TagsOutput::of(&BTreeMap::new()));
    }
    Ok(TagsOutput::of(&call.parts.identity.policy(&target.arn)?.tags))
}

/// `DeletePolicy`.
pub(super) async fn delete(call: Call, target: PolicyTarget, _: PolicyInput) -> Result<Nothing, ApiError> {
    call.parts.identity.delete_policy(&target.arn).await?;
    Ok(Nothing {})
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VersionOutput {
    policy_version: VersionOut,
}

/// `CreatePolicyVersion`.
pub(super) async fn create_version(
    call: Call,
    target: PolicyTarget,
    input: PolicyInput,
) -> Result<VersionOutput, ApiError> {
    let created =
        call.parts.identity.create_policy_version(&target.arn, &input.policy_document, input.set_as_default).await?;
    let (policy, number) = created;
    let version = policy.versions.get(&number).ok_or_else(ApiError::internal)?;
    Ok(VersionOutput { policy_version: VersionOut::brief(&policy, number, version) })
}

/// `GetPolicyVersion`.
pub(super) async fn get_version(
    call: Call,
    target: PolicyTarget,
    input: PolicyInput,
) -> Result<VersionOutput, ApiError> {
    let number = version_number(&input)?;
    if let Some(policy) = aws_managed::find(&target.arn) {
        if number != 1 {
            return Err(no_version(&input));
        }
        let document = Some(encoded(policy.document.as_str()));
        let (version_id, is_default_version, create_date) = (version_id(1), true, 0);
        return Ok(VersionOutput {
            policy_version: VersionOut { document, version_id, is_default_version, create_date },
        });
    }
    let policy = call.parts.identity.policy(&target.arn)?;
    let version = policy.versions.get(&number).ok_or_else(|| no_version(&input))?;
    let document = Some(encoded(version.document.as_str()));
    Ok(VersionOutput { policy_version: VersionOut { document, ..VersionOut::brief(&policy, number, version) } })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VersionsOutput {
    versions: Vec<VersionOut>,
    is_truncated: bool,
}

/// `ListPolicyVersions`: all of them, newest first; there are five at most.
pub(super) async fn list_versions(
    call: Call,
    target: PolicyTarget,
    _: PolicyInput,
) -> Result<VersionsOutput, ApiError> {
    if aws_managed::find(&target.arn).is_some() {
        let only = VersionOut { document: None, version_id: version_id(1), is_default_version: true, create_date: 0 };
        return Ok(VersionsOutput { versions: vec![only], is_truncated: false });
    }
    let policy = call.parts.identity.policy(&target.arn)?;
    let versions = policy.versions.iter().rev();
    let versions = versions.map(|(number, version)| VersionOut::brief(&policy, *number, version)).collect();
    Ok(VersionsOutput { versions, is_truncated: false })
}

/// `SetDefaultPolicyVersion`.
pub(super) async fn set_default_version(
    call: Call,
    target: PolicyTarget,
    input: PolicyInput,
) -> Result<Nothing, ApiError> {
    call.parts.identity.set_default_policy_version(&target.arn, version_number(&input)?).await?;
    Ok(Nothing {})
}

/// `DeletePolicyVersion`.
pub(super) async fn delete_version(call: Call, target: PolicyTarget, input: PolicyInput) -> Result<Nothing, ApiError> {
    call.parts.identity.delete_policy_version(&target.arn, version_number(&input)?).await?;
    Ok(Nothing {})
}

fn version_number(input: &PolicyInput) -> Result<u32, ApiError> {
    let number = input.version_id.strip_prefix('v').and_then(|number| number.parse().ok());
    number.ok_or_else(|| no_version(input))
}

fn no_version(input: &PolicyInput) -> ApiError {
    let (arn, version) = (&input.policy_arn, &input.version_id);
    IamError::NoSuchEntity(format!("Policy {arn} version {version} does not exist or is not attachable.")).into()
}
