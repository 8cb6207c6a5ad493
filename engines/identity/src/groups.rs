//! Groups of users. A user has what its groups hold, beside what it holds itself. Both sides list the membership, so that
//! either is deleted on one record; whatever changes it changes both in one batch.

use std::collections::BTreeSet;

use dormouse_layers::{Change, Decision, Reads};
use dormouse_model::AccountId;

use crate::identity::Entry;
use crate::records::{Grants, Group, User, group_key, of_account, user_key};
use crate::{IamError, Identity, names, users};

/// Groups in an account.
pub const GROUPS: usize = 300;
/// Groups that a user may be in.
pub const GROUPS_PER_USER: usize = 10;

impl Identity {
    /// Makes a group of nobody. `path` is `/` or `/a/b/`.
    pub async fn create_group(&self, account: &AccountId, name: &str, path: &str) -> Result<Group, IamError> {
        names::name("groupName", name, names::GROUP_NAME_CHARS)?;
        names::path(path)?;
        if self.list_groups(account, "/").len() >= GROUPS {
            return Err(IamError::LimitExceeded(format!("Cannot exceed quota for GroupsPerAccount: {GROUPS}")));
        }
        let group = Group {
            name: name.to_owned(),
            id: names::random_id("AGPA", 17),
            path: path.to_owned(),
            account: account.clone(),
            created: self.clock.now(),
            grants: Grants::default(),
            members: BTreeSet::new(),
        };
        let exists = format!("Group with name {name} already exists.");
        self.create_owned(account, group_key(account, name), &group, None, &exists).await?;
        Ok(group)
    }

    /// One group.
    pub fn group(&self, account: &AccountId, name: &str) -> Result<Group, IamError> {
        self.group_entry(account, name).map(|group| group.clone()).ok_or_else(|| no_group(name))
    }

    /// Groups whose path starts with `path_prefix`, by name.
    pub fn list_groups(&self, account: &AccountId, path_prefix: &str) -> Vec<Group> {
        let found = self.entries(&of_account("group", account), Entry::group);
        found.iter().filter(|group| group.path.starts_with(path_prefix)).map(|group| Group::clone(group)).collect()
    }

    /// The users of a group, by name.
    pub fn members_of(&self, account: &AccountId, group: &str) -> Result<Vec<User>, IamError> {
        let members = self.group(account, group)?.members;
        Ok(members.iter().filter_map(|name| self.user(account, name).ok()).collect())
    }

    /// The groups of a user, by name.
    pub fn groups_of(&self, account: &AccountId, user: &str) -> Result<Vec<Group>, IamError> {
        let groups = self.user(account, user)?.groups;
        Ok(groups.iter().filter_map(|name| self.group(account, name).ok()).collect())
    }

    /// Takes a user into a group; one that is in it stays.
    pub async fn add_to_group(&self, account: &AccountId, user: &str, group: &str) -> Result<(), IamError> {
        self.change_membership(account, user, group, |user, group| {
            if user.groups.insert(group.name.clone()) && user.groups.len() > GROUPS_PER_USER {
                let text = format!("Cannot exceed quota for GroupsPerUser: {GROUPS_PER_USER}");
                return Err(IamError::LimitExceeded(text));
            }
            group.members.insert(user.name.clone());
            Ok(())
        })
        .await
    }

    /// Takes a user out of a group; one that is not in it stays out.
    pub async fn remove_from_group(&self, account: &AccountId, user: &str, group: &str) -> Result<(), IamError> {
        self.change_membership(account, user, group, |user, group| {
            user.groups.remove(&group.name);
            group.members.remove(&user.name);
            Ok(())
        })
        .await
    }

    async fn change_membership(
        &self,
        account: &AccountId,
        user: &str,
        group: &str,
        decide: fn(&mut User, &mut Group) -> Result<(), IamError>,
    ) -> Result<(), IamError> {
        let (user_key, group_key) = (user_key(account, user), group_key(account, group));
        self.catalogue
            .transact(Reads::new().get(group_key.clone()).get(user_key.clone()), |answers| {
                let mut stored_group = answers.one::<Group>()?.ok_or_else(|| no_group(group))?;
                let mut stored_user = answers.one::<User>()?.ok_or_else(|| users::no_user(user))?;
                decide(&mut stored_user.value, &mut stored_group.value)?;
                let mut change = Change::new();
                change.update(group_key.clone(), &stored_group)?.update(user_key.clone(), &stored_user)?;
                Ok(Decision::Commit(change, ()))
            })
            .await
    }
}

pub(crate) fn no_group(name: &str) -> IamError {
    IamError::NoSuchEntity(format!("The group with name {name} cannot be found."))
}
