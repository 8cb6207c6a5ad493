//! What users and roles are given: inline policies, attached managed policies, a boundary.

use std::collections::BTreeMap;

use dormouse_layers::{Answers, Change, Decision, Key, LayerError, Reads, Stored};
use dormouse_model::AccountId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::identity::split_arn;
use crate::policy::{Kind, Policy};
use crate::records::{Grants, ManagedPolicy, Role, User, policy_key, role_key, user_key};
use crate::{IamError, Identity, aws_managed, names, roles, users};

/// Managed policies on one user or role.
pub const ATTACHED_POLICIES: usize = 20;
/// Characters, without blanks, of all inline policies of a role.
pub const INLINE_CHARS_ROLE: usize = 10_240;
/// Characters, without blanks, of all inline policies of a user.
pub const INLINE_CHARS_USER: usize = 2_048;

/// Who holds grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    /// The user of that name.
    User(&'a str),
    /// The role of that name.
    Role(&'a str),
}

impl Holder<'_> {
    fn key(&self, account: &AccountId) -> Key {
        match self {
            Self::User(name) => user_key(account, name),
            Self::Role(name) => role_key(account, name),
        }
    }

    fn absent(&self) -> IamError {
        match self {
            Self::User(name) => users::no_user(name),
            Self::Role(name) => roles::no_role(name),
        }
    }

    fn inline_quota(&self) -> (&'static str, usize) {
        match self {
            Self::User(_) => ("user", INLINE_CHARS_USER),
            Self::Role(_) => ("role", INLINE_CHARS_ROLE),
        }
    }
}

/// A record that holds grants, either kind.
enum Record {
    User(Stored<User>),
    Role(Stored<Role>),
}

impl Record {
    fn read(holder: Holder<'_>, answers: &mut Answers) -> Result<Self, IamError> {
        fn one<T: Serialize + DeserializeOwned>(
            holder: Holder<'_>,
            answers: &mut Answers,
        ) -> Result<Stored<T>, IamError> {
            answers.one()?.ok_or_else(|| holder.absent())
        }
        Ok(match holder {
            Holder::User(_) => Self::User(one(holder, answers)?),
            Holder::Role(_) => Self::Role(one(holder, answers)?),
        })
    }

    fn grants(&mut self) -> &mut Grants {
        match self {
            Self::User(user) => &mut user.value.grants,
            Self::Role(role) => &mut role.value.grants,
        }
    }

    fn write(&self, change: &mut Change, key: Key) -> Result<(), LayerError> {
        match self {
            Self::User(user) => change.update(key, user)?,
            Self::Role(role) => change.update(key, role)?,
        };
        Ok(())
    }
}

impl Identity {
    /// Writes an inline policy, or replaces it.
    pub async fn put_inline_policy(
        &self,
        account: &AccountId,
        holder: Holder<'_>,
        name: &str,
        document: &str,
    ) -> Result<(), IamError> {
        names::name("policyName", name, names::POLICY_NAME_CHARS)?;
        Policy::parse(document, Kind::Identity)?;
        let (what, quota) = holder.inline_quota();
        self.change_grants(account, holder, |grants| {
            grants.inline.insert(name.to_owned(), document.to_owned().into());
            let size: usize = grants.inline.values().map(|text| characters(text.as_str())).sum();
            if size > quota {
                return Err(IamError::LimitExceeded(format!(
                    "Maximum policy size of {quota} bytes exceeded for this {what}."
                )));
            }
            Ok(())
        })
        .await
    }

    /// Deletes an inline policy.
    pub async fn delete_inline_policy(
        &self,
        account: &AccountId,
        holder: Holder<'_>,
        name: &str,
    ) -> Result<(), IamError> {
        self.change_grants(account, holder, |grants| {
            grants.inline.remove(name).map(drop).ok_or_else(|| no_inline(holder, name))
        })
        .await
    }

    /// The document of an inline policy.
    pub fn inline_policy(&self, account: &AccountId, holder: Holder<'_>, name: &str) -> Result<String, IamError> {
        let grants = self.grants_of(account, holder)?;
        grants.inline.get(name).map(|text| text.as_str().to_owned()).ok_or_else(|| no_inline(holder, name))
    }

    /// What a user or role holds.
    pub fn grants_of(&self, account: &AccountId, holder: Holder<'_>) -> Result<Grants, IamError> {
        Ok(match holder {
            Holder::User(name) => self.user(account, name)?.grants,
            Holder::Role(name) => self.role(account, name)?.grants,
        })
    }

    /// Attaches a managed policy; attaching it again changes nothing.
    pub async fn attach_policy(&self, account: &AccountId, holder: Holder<'_>, arn: &str) -> Result<(), IamError> {
        let (reads, policy) = policy_read(Reads::new().get(holder.key(account)), account, arn)?;
        self.catalogue
            .transact(reads, |answers| {
                let mut record = Record::read(holder, answers)?;
                let grants = record.grants();
                if !grants.attached.insert(arn.to_owned()) {
                    return Ok(Decision::Leave(()));
                }
                if grants.attached.len() > ATTACHED_POLICIES {
                    let text = format!("Cannot exceed quota for PoliciesPerRole: {ATTACHED_POLICIES}");
                    return Err(IamError::LimitExceeded(text));
                }
                let mut change = Change::new();
                record.write(&mut change, holder.key(account))?;
                if let Some(policy) = &policy {
                    count(&mut change, policy, answers.one()?, |policy| policy.attachments += 1)?;
                }
                Ok(Decision::Commit(change, ()))
            })
            .await
    }

    /// Detaches a managed policy.
    pub async fn detach_policy(&self, account: &AccountId, holder: Holder<'_>, arn: &str) -> Result<(), IamError> {
        let (reads, policy) = policy_read(Reads::new().get(holder.key(account)), account, arn)?;
        self.catalogue
            .transact(reads, |answers| {
                let mut record = Record::read(holder, answers)?;
                if !record.grants().attached.remove(arn) {
                    return Err(IamError::NoSuchEntity(format!("Policy {arn} was not found.")));
                }
                let mut change = Change::new();
                record.write(&mut change, holder.key(account))?;
                if let Some(policy) = &policy {
                    let fewer = |policy: &mut ManagedPolicy| policy.attachments = policy.attachments.saturating_sub(1);
                    count(&mut change, policy, answers.one()?, fewer)?;
                }
                Ok(Decision::Commit(change, ()))
            })
            .await
    }

    async fn change_grants<F>(&self, account: &AccountId, holder: Holder<'_>, mut decide: F) -> Result<(), IamError>
    where
        F: FnMut(&mut Grants) -> Result<(), IamError> + Send,
    {
        self.catalogue
            .transact(Reads::new().get(holder.key(account)), |answers| {
                let mut record = Record::read(holder, answers)?;
                decide(record.grants())?;
                let mut change = Change::new();
                record.write(&mut change, holder.key(account))?;
                Ok(Decision::Commit(change, ()))
            })
            .await
    }
}

/// Characters that count: blanks do not.
pub(crate) fn characters(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

fn no_inline(holder: Holder<'_>, policy: &str) -> IamError {
    IamError::NoSuchEntity(match holder {
        Holder::User(name) => format!("The user policy with name {policy} cannot be found for user {name}."),
        Holder::Role(_) => format!("The role policy with name {policy} cannot be found."),
    })
}

/// Adds the record of a managed policy to what is read. The platform's own have none.
fn policy_read(reads: Reads, account: &AccountId, arn: &str) -> Result<(Reads, Option<PolicyRef>), IamError> {
    if aws_managed::find(arn).is_some() {
        return Ok((reads, None));
    }
    let (owner, name) = split_arn(arn, "policy").filter(|(owner, _)| owner == account).ok_or_else(|| no_policy(arn))?;
    let policy = PolicyRef { key: policy_key(&owner, &name), arn: arn.to_owned() };
    Ok((reads.get(policy.key.clone()), Some(policy)))
}

/// The same for a boundary, which may be absent.
pub(crate) fn boundary_read(
    reads: Reads,
    identity: &Identity,
    arn: Option<&str>,
) -> Result<(Reads, Option<PolicyRef>), IamError> {
    let Some(arn) = arn else { return Ok((reads, None)) };
    if aws_managed::find(arn).is_some() {
        return Ok((reads, None));
    }
    let (owner, _) =
        split_arn(arn, "policy").filter(|_| identity.managed(arn).is_some()).ok_or_else(|| no_policy(arn))?;
    policy_read(reads, &owner, arn)
}

/// A managed policy of an account.
pub(crate) struct PolicyRef {
    key: Key,
    arn: String,
}

/// Changes the counts of a policy in the batch that changes who uses it.
pub(crate) fn count(
    change: &mut Change,
    policy: &PolicyRef,
    stored: Option<Stored<ManagedPolicy>>,
    decide: impl FnOnce(&mut ManagedPolicy),
) -> Result<(), IamError> {
    let stored = stored.filter(|stored| stored.value.arn() == policy.arn);
    let mut stored = stored.ok_or_else(|| no_policy(&policy.arn))?;
    decide(&mut stored.value);
    change.update(policy.key.clone(), &stored)?;
    Ok(())
}

pub(crate) fn no_policy(arn: &str) -> IamError {
    IamError::NoSuchEntity(format!("Policy {arn} does not exist or is not attachable."))
}

/// Whoever holds policies is not deleted.
pub(crate) fn must_be_empty(grants: &Grants) -> Result<(), IamError> {
    let conflict = |text: &str| Err(IamError::DeleteConflict(text.to_owned()));
    if !grants.attached.is_empty() {
        return conflict("Cannot delete entity, must detach all policies first.");
    }
    if !grants.inline.is_empty() {
        return conflict("Cannot delete entity, must delete policies first.");
    }
    Ok(())
}

/// Sets and removes tags, and checks what comes of it.
pub(crate) fn change_tags(
    tags: &mut BTreeMap<String, String>,
    set: &BTreeMap<String, String>,
    remove: &[String],
) -> Result<(), IamError> {
    for key in remove {
        tags.remove(key);
    }
    tags.extend(set.iter().map(|(key, value)| (key.clone(), value.clone())));
    names::tags(&*tags)
}
