//! Managed policies of an account.

use std::collections::BTreeMap;

use dormouse_layers::{Change, Decision, Reads};
use dormouse_model::AccountId;

use crate::grants::{characters, no_policy};
use crate::identity::{Entry, split_arn};
use crate::policy::{Kind, Policy};
use crate::records::{ManagedPolicy, PolicyVersion, of_account, policy_key};
use crate::{IamError, Identity, names};

/// Managed policies in an account.
pub const POLICIES: usize = 5_000;
/// Characters, without blanks, in a managed policy.
pub const MANAGED_CHARS: usize = 6_144;
/// Versions of a managed policy.
pub const VERSIONS: usize = 5;

/// A managed policy to be made.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    /// 1 to 128 characters.
    pub name: String,
    /// `/` when nothing is said.
    pub path: String,
    /// What it says, as JSON.
    pub document: String,
    /// For people.
    pub description: Option<String>,
    /// At most fifty.
    pub tags: BTreeMap<String, String>,
}

fn check_document(document: &str) -> Result<(), IamError> {
    if characters(document) > MANAGED_CHARS {
        return Err(IamError::LimitExceeded(format!("Cannot exceed quota for PolicySize: {MANAGED_CHARS}")));
    }
    Policy::parse(document, Kind::Identity)?;
    Ok(())
}

impl Identity {
    /// Makes a managed policy; its first version counts.
    pub async fn create_policy(&self, account: &AccountId, new: NewPolicy) -> Result<ManagedPolicy, IamError> {
        names::name("policyName", &new.name, names::POLICY_NAME_CHARS)?;
        names::path(&new.path)?;
        names::tags(&new.tags)?;
        new.description.as_deref().map_or(Ok(()), names::description)?;
        check_document(&new.document)?;
        if self.list_policies(account, "/").len() >= POLICIES {
            return Err(IamError::LimitExceeded(format!("Cannot exceed quota for PoliciesPerAccount: {POLICIES}")));
        }
        let now = self.clock.now();
        let version = PolicyVersion { document: new.document.into(), created: now };
        let policy = ManagedPolicy {
            name: new.name,
            id: names::random_id("ANPA", 17),
            path: new.path,
            account: account.clone(),
            created: now,
            updated: now,
            description: new.description,
            default_version: 1,
            versions: BTreeMap::from([(1, version)]),
            next_version: 2,
            attachments: 0,
            boundaries: 0,
            tags: new.tags,
        };
        let exists = format!("A policy called {} already exists. Duplicate names are not allowed.", policy.name);
        self.create_owned(account, policy_key(account, &policy.name), &policy, None, &exists).await?;
        Ok(policy)
    }

    /// A managed policy of an account, by its ARN.
    pub fn policy(&self, arn: &str) -> Result<ManagedPolicy, IamError> {
        let found = split_arn(arn, "policy").and_then(|(account, name)| self.policy_entry(&account, &name));
        let found = found.filter(|policy| policy.arn() == arn).map(|policy| policy.clone());
        found.ok_or_else(|| IamError::NoSuchEntity(format!("Policy {arn} was not found.")))
    }

    /// Managed policies whose path starts with `path_prefix`, by name.
    pub fn list_policies(&self, account: &AccountId, path_prefix: &str) -> Vec<ManagedPolicy> {
        let found = self.entries(&of_account("policy", account), Entry::policy);
        found
            .iter()
            .filter(|policy| policy.path.starts_with(path_prefix))
            .map(|policy| ManagedPolicy::clone(policy))
            .collect()
    }

    /// Adds a version, and lets it count if asked to. Gives the policy and the new version's number.
    pub async fn create_policy_version(
        &self,
        arn: &str,
        document: &str,
        set_default: bool,
    ) -> Result<(ManagedPolicy, u32), IamError> {
        check_document(document)?;
        let now = self.clock.now();
        self.change_policy(arn, |policy| {
            if policy.versions.len() >= VERSIONS {
                return Err(IamError::LimitExceeded(format!(
                    "A managed policy can have up to {VERSIONS} versions. Before you create a new version, you must delete an existing version."
                )));
            }
            let number = policy.next_version;
            policy.versions.insert(number, PolicyVersion { document: document.to_owned().into(), created: now });
            policy.next_version += 1;
            policy.updated = now;
            if set_default {
                policy.default_version = number;
            }
            Ok(number)
        })
        .await
    }

    /// Lets another version count.
    pub async fn set_default_policy_version(&self, arn: &str, version: u32) -> Result<(), IamError> {
        let now = self.clock.now();
        let changed = self.change_policy(arn, |policy| {
            if !policy.versions.contains_key(&version) {
                return Err(no_version(arn, version));
            }
            policy.default_version = version;
            policy.updated = now;
            Ok(())
        });
        changed.await.map(drop)
    }

    /// Deletes a version that does not count.
    pub async fn delete_policy_version(&self, arn: &str, version: u32) -> Result<(), IamError> {
        let changed = self.change_policy(arn, |policy| {
            if policy.default_version == version {
                return Err(IamError::DeleteConflict("Cannot delete the default version of a policy.".to_owned()));
            }
            policy.versions.remove(&version).map(drop).ok_or_else(|| no_version(arn, version))
        });
        changed.await.map(drop)
    }

    /// Sets and removes tags of a managed policy.
    pub async fn change_policy_tags(
        &self,
        arn: &str,
        set: &BTreeMap<String, String>,
        remove: &[String],
    ) -> Result<(), IamError> {
        self.change_policy(arn, |policy| names::change_tags(&mut policy.tags, set, remove)).await.map(drop)
    }

    /// Deletes a managed policy that nobody uses and that has no other version than the one that counts.
    pub async fn delete_policy(&self, arn: &str) -> Result<(), IamError> {
        let key = self.own_policy_key(arn)?;
        self.catalogue
            .transact(Reads::new().get(key.clone()), |answers| {
                let policy = answers.one::<ManagedPolicy>()?.filter(|policy| policy.value.arn() == arn);
                let policy = policy.ok_or_else(|| IamError::NoSuchEntity(format!("Policy {arn} was not found.")))?;
                let conflict = |text: &str| Err(IamError::DeleteConflict(text.to_owned()));
                if policy.value.attachments > 0 || policy.value.boundaries > 0 {
                    return conflict("Cannot delete a policy attached to entities.");
                }
                if policy.value.versions.len() > 1 {
                    return conflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.");
                }
                let mut change = Change::new();
                change.remove(key.clone(), policy.version);
                Ok(Decision::Commit(change, ()))
            })
            .await
    }

    fn own_policy_key(&self, arn: &str) -> Result<dormouse_layers::Key, IamError> {
        if crate::aws_managed::find(arn).is_some() {
            return Err(IamError::Unmodifiable(format!("Policy {arn} belongs to the platform and cannot be changed.")));
        }
        split_arn(arn, "policy").map(|(account, name)| policy_key(&account, &name)).ok_or_else(|| no_policy(arn))
    }

    async fn change_policy<T, F>(&self, arn: &str, mut decide: F) -> Result<(ManagedPolicy, T), IamError>
    where
        F: FnMut(&mut ManagedPolicy) -> Result<T, IamError> + Send,
        T: Send,
    {
        let key = self.own_policy_key(arn)?;
        self.catalogue
            .transact(Reads::new().get(key.clone()), |answers| {
                let policy = answers.one::<ManagedPolicy>()?.filter(|policy| policy.value.arn() == arn);
                let mut policy =
                    policy.ok_or_else(|| IamError::NoSuchEntity(format!("Policy {arn} was not found.")))?;
                let answer = decide(&mut policy.value)?;
                let mut change = Change::new();
                change.update(key.clone(), &policy)?;
                Ok(Decision::Commit(change, (policy.value, answer)))
            })
            .await
    }
}

fn no_version(arn: &str, version: u32) -> IamError {
    IamError::NoSuchEntity(format!("Policy {arn} version v{version} does not exist or is not attachable."))
}
