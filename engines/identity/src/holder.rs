//! Who holds policies: users, roles and groups, told apart in this file alone.

use std::collections::BTreeMap;

use dormouse_layers::{Answers, Change, Decision, Key, LayerError, Reads, Stored};
use dormouse_model::AccountId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::grants::{Boundary, INLINE_CHARS_GROUP, INLINE_CHARS_ROLE, INLINE_CHARS_USER};
use crate::records::{Grants, Group, Role, User, group_key, role_key, user_key};
use crate::{IamError, Identity, groups, names, roles, users};

/// How often a change is begun anew because the boundary was another one than memory said.
const BOUNDARY_ATTEMPTS: u32 = 8;

/// Who holds policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    /// The user of that name.
    User(&'a str),
    /// The role of that name.
    Role(&'a str),
    /// The group of that name.
    Group(&'a str),
}

impl Holder<'_> {
    pub(crate) fn key(&self, account: &AccountId) -> Key {
        match self {
            Self::User(name) => user_key(account, name),
            Self::Role(name) => role_key(account, name),
            Self::Group(name) => group_key(account, name),
        }
    }

    pub(crate) fn absent(&self) -> IamError {
        match self {
            Self::User(name) => users::no_user(name),
            Self::Role(name) => roles::no_role(name),
            Self::Group(name) => groups::no_group(name),
        }
    }

    /// What it is called, and how many characters of inline policies it may hold.
    pub(crate) fn inline_quota(&self) -> (&'static str, usize) {
        match self {
            Self::User(_) => ("user", INLINE_CHARS_USER),
            Self::Role(_) => ("role", INLINE_CHARS_ROLE),
            Self::Group(_) => ("group", INLINE_CHARS_GROUP),
        }
    }

    /// What the quota of attached policies is called.
    pub(crate) fn attached_quota(&self) -> &'static str {
        match self {
            Self::User(_) => "PoliciesPerUser",
            Self::Role(_) => "PoliciesPerRole",
            Self::Group(_) => "PoliciesPerGroup",
        }
    }

    pub(crate) fn no_inline(&self, policy: &str) -> IamError {
        IamError::NoSuchEntity(match self {
            Self::User(name) => format!("The user policy with name {policy} cannot be found for user {name}."),
            Self::Role(_) => format!("The role policy with name {policy} cannot be found."),
            Self::Group(_) => format!("The group policy with name {policy} cannot be found."),
        })
    }
}

/// A holder's record, of any kind.
pub(crate) enum Record {
    User(Stored<User>),
    Role(Stored<Role>),
    Group(Stored<Group>),
}

impl Record {
    pub(crate) fn read(holder: Holder<'_>, answers: &mut Answers) -> Result<Self, IamError> {
        fn one<T: Serialize + DeserializeOwned>(
            holder: Holder<'_>,
            answers: &mut Answers,
        ) -> Result<Stored<T>, IamError> {
            answers.one()?.ok_or_else(|| holder.absent())
        }
        Ok(match holder {
            Holder::User(_) => Self::User(one(holder, answers)?),
            Holder::Role(_) => Self::Role(one(holder, answers)?),
            Holder::Group(_) => Self::Group(one(holder, answers)?),
        })
    }

    pub(crate) fn grants(&mut self) -> &mut Grants {
        match self {
            Self::User(user) => &mut user.value.grants,
            Self::Role(role) => &mut role.value.grants,
            Self::Group(group) => &mut group.value.grants,
        }
    }

    fn tags(&mut self) -> Result<&mut BTreeMap<String, String>, IamError> {
        match self {
            Self::User(user) => Ok(&mut user.value.tags),
            Self::Role(role) => Ok(&mut role.value.tags),
            Self::Group(_) => Err(IamError::Validation("groups take no tags".to_owned())),
        }
    }

    pub(crate) fn write(&self, change: &mut Change, key: Key) -> Result<(), LayerError> {
        match self {
            Self::User(user) => change.update(key, user)?,
            Self::Role(role) => change.update(key, role)?,
            Self::Group(group) => change.update(key, group)?,
        };
        Ok(())
    }

    fn remove(&self, change: &mut Change, key: Key) {
        match self {
            Self::User(user) => change.remove(key, user.version),
            Self::Role(role) => change.remove(key, role.version),
            Self::Group(group) => change.remove(key, group.version),
        };
    }

    /// What is still used is not deleted: nobody who holds policies, no user with keys or groups, no group with users.
    fn must_be_unused(&mut self) -> Result<(), IamError> {
        let conflict = |text: &str| Err(IamError::DeleteConflict(text.to_owned()));
        match self {
            Self::User(user) if !user.value.keys.is_empty() => {
                return conflict("Cannot delete entity, must delete access keys first.");
            }
            Self::User(user) if !user.value.groups.is_empty() => {
                return conflict("Cannot delete entity, must remove user from all groups first.");
            }
            Self::Group(group) if !group.value.members.is_empty() => {
                return conflict("Cannot delete entity, must remove users from group first.");
            }
            _ => {}
        }
        if !self.grants().attached.is_empty() {
            return conflict("Cannot delete entity, must detach all policies first.");
        }
        if !self.grants().inline.is_empty() {
            return conflict("Cannot delete entity, must delete policies first.");
        }
        Ok(())
    }
}

impl Identity {
    /// Deletes one that has no policies left; a user also no keys and groups, a group no users. Sessions of a role are refused from now on.
    pub async fn delete_holder(&self, account: &AccountId, holder: Holder<'_>) -> Result<(), IamError> {
        self.change_bounded(account, holder, None, |mut record, change| {
            record.must_be_unused()?;
            record.remove(change, holder.key(account));
            Ok(())
        })
        .await
    }

    /// Limits a user or role by a managed policy of its account or of the platform, or by none any more.
    pub async fn set_boundary(
        &self,
        account: &AccountId,
        holder: Holder<'_>,
        arn: Option<&str>,
    ) -> Result<(), IamError> {
        self.change_bounded(account, holder, arn, |mut record, change| {
            record.grants().boundary = arn.map(str::to_owned);
            Ok(record.write(change, holder.key(account))?)
        })
        .await
    }

    /// Changes a record together with the counts of the policy that limits it until now and of the `next` one. Which one
    /// limits it, memory says; when the store knows of another, memory is brought up to date and it begins anew.
    async fn change_bounded<F>(
        &self,
        account: &AccountId,
        holder: Holder<'_>,
        next: Option<&str>,
        mut decide: F,
    ) -> Result<(), IamError>
    where
        F: FnMut(Record, &mut Change) -> Result<(), IamError> + Send,
    {
        for _ in 0..BOUNDARY_ATTEMPTS {
            let seen = self.grants_of(account, holder)?.boundary;
            // One that stays is counted already, and a batch changes a key once.
            let (old, new) = if seen.as_deref() == next { (None, None) } else { (seen.as_deref(), next) };
            let (reads, old) = Boundary::read(Reads::new().get(holder.key(account)), account, old)?;
            let (reads, new) = Boundary::read(reads, account, new)?;
            let changed = self.catalogue.transact(reads, |answers| {
                let mut record = Record::read(holder, answers)?;
                if record.grants().boundary != seen {
                    return Ok(Decision::Leave(false));
                }
                let mut change = Change::new();
                old.release(&mut change, answers)?;
                new.bind(&mut change, answers)?;
                decide(record, &mut change)?;
                Ok::<_, IamError>(Decision::Commit(change, true))
            });
            if changed.await? {
                return Ok(());
            }
            self.catch_up().await?;
        }
        Err(LayerError::Contended { attempts: BOUNDARY_ATTEMPTS }.into())
    }

    /// Sets and removes tags of a user or role.
    pub async fn change_tags(
        &self,
        account: &AccountId,
        holder: Holder<'_>,
        set: &BTreeMap<String, String>,
        remove: &[String],
    ) -> Result<(), IamError> {
        self.change_holder(account, holder, |record| names::change_tags(record.tags()?, set, remove)).await
    }

    /// Changes one holder's record, and nothing beside it.
    pub(crate) async fn change_holder<F>(
        &self,
        account: &AccountId,
        holder: Holder<'_>,
        mut decide: F,
    ) -> Result<(), IamError>
    where
        F: FnMut(&mut Record) -> Result<(), IamError> + Send,
    {
        self.catalogue
            .transact(Reads::new().get(holder.key(account)), |answers| {
                let mut record = Record::read(holder, answers)?;
                decide(&mut record)?;
                let mut change = Change::new();
                record.write(&mut change, holder.key(account))?;
                Ok(Decision::Commit(change, ()))
            })
            .await
    }

    /// What one holds.
    pub fn grants_of(&self, account: &AccountId, holder: Holder<'_>) -> Result<Grants, IamError> {
        Ok(match holder {
            Holder::User(name) => self.user(account, name)?.grants,
            Holder::Role(name) => self.role(account, name)?.grants,
            Holder::Group(name) => self.group(account, name)?.grants,
        })
    }

    /// Its tags; groups take none.
    pub fn tags_of(&self, account: &AccountId, holder: Holder<'_>) -> Result<BTreeMap<String, String>, IamError> {
        Ok(match holder {
            Holder::User(name) => self.user(account, name)?.tags,
            Holder::Role(name) => self.role(account, name)?.tags,
            Holder::Group(_) => BTreeMap::new(),
        })
    }
}
