//! What users, roles and groups are given: inline policies, attached managed policies, a boundary.

use dormouse_layers::{Answers, Change, Decision, Key, Reads, Stored};
use dormouse_model::AccountId;

use crate::holder::Record;
use crate::identity::split_arn;
use crate::policy::{Kind, Policy};
use crate::records::{ManagedPolicy, policy_key};
use crate::{Holder, IamError, Identity, aws_managed, names};

/// Managed policies on one user, role or group.
pub const ATTACHED_POLICIES: usize = 20;
/// Characters, without blanks, of all inline policies of a role.
pub const INLINE_CHARS_ROLE: usize = 10_240;
/// Characters, without blanks, of all inline policies of a group.
pub const INLINE_CHARS_GROUP: usize = 5_120;
/// Characters, without blanks, of all inline policies of a user.
pub const INLINE_CHARS_USER: usize = 2_048;

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
        self.change_holder(account, holder, |record| {
            let inline = &mut record.grants().inline;
            inline.insert(name.to_owned(), document.to_owned().into());
            let size: usize = inline.values().map(|text| characters(text.as_str())).sum();
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
        self.change_holder(account, holder, |record| {
            record.grants().inline.remove(name).map(drop).ok_or_else(|| holder.no_inline(name))
        })
        .await
    }

    /// The document of an inline policy.
    pub fn inline_policy(&self, account: &AccountId, holder: Holder<'_>, name: &str) -> Result<String, IamError> {
        let grants = self.grants_of(account, holder)?;
        grants.inline.get(name).map(|text| text.as_str().to_owned()).ok_or_else(|| holder.no_inline(name))
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
                    let text = format!("Cannot exceed quota for {}: {ATTACHED_POLICIES}", holder.attached_quota());
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
}

/// Characters that count: blanks do not.
pub(crate) fn characters(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
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

/// A managed policy of an account.
struct PolicyRef {
    key: Key,
    arn: String,
}

/// The policy that limits whoever is given it; absent, and of the platform, it is counted nowhere.
pub(crate) struct Boundary(Option<PolicyRef>);

impl Boundary {
    /// Adds its record to what is read. Policies of other accounts limit nobody here.
    pub(crate) fn read(reads: Reads, account: &AccountId, arn: Option<&str>) -> Result<(Reads, Self), IamError> {
        let Some(arn) = arn else { return Ok((reads, Self(None))) };
        let (reads, policy) = policy_read(reads, account, arn)?;
        Ok((reads, Self(policy)))
    }

    /// One more user or role has it.
    pub(crate) fn bind(&self, change: &mut Change, answers: &mut Answers) -> Result<(), IamError> {
        self.count(change, answers, |boundaries| boundaries + 1)
    }

    /// One fewer has it.
    pub(crate) fn release(&self, change: &mut Change, answers: &mut Answers) -> Result<(), IamError> {
        self.count(change, answers, |boundaries| boundaries.saturating_sub(1))
    }

    fn count(&self, change: &mut Change, answers: &mut Answers, next: fn(u32) -> u32) -> Result<(), IamError> {
        let Some(policy) = &self.0 else { return Ok(()) };
        count(change, policy, answers.one()?, |policy| policy.boundaries = next(policy.boundaries))
    }
}

/// Changes the counts of a policy in the batch that changes who uses it.
fn count(
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
