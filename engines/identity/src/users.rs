//! Users.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_layers::{Change, Decision, Reads};
use dormouse_model::AccountId;

use crate::identity::Entry;
use crate::records::{Account, Grants, ManagedPolicy, User, account_key, of_account, user_key};
use crate::{IamError, Identity, accounts, grants, names};

/// Users in an account.
pub const USERS: usize = 5_000;

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// 1 to 64 characters.
    pub name: String,
    /// `/` when nothing is said.
    pub path: String,
    /// The ARN of a managed policy that limits it.
    pub boundary: Option<String>,
    /// At most fifty.
    pub tags: BTreeMap<String, String>,
}

impl Identity {
    /// Makes a user.
    pub async fn create_user(&self, account: &AccountId, new: NewUser) -> Result<User, IamError> {
        names::name("userName", &new.name, names::NAME_CHARS)?;
        names::path(&new.path)?;
        names::tags(&new.tags)?;
        if self.list_users(account, "/").len() >= USERS {
            return Err(IamError::LimitExceeded(format!("Cannot exceed quota for UsersPerAccount: {USERS}")));
        }
        let user = User {
            name: new.name,
            id: names::random_id("AIDA", 17),
            path: new.path,
            account: account.clone(),
            created: self.clock.now(),
            grants: Grants { boundary: new.boundary.clone(), ..Grants::default() },
            tags: new.tags,
            keys: BTreeSet::new(),
        };
        let key = user_key(account, &user.name);
        let reads = Reads::new().get(account_key(account)).get(key.clone());
        let (reads, boundary) = grants::boundary_read(reads, self, new.boundary.as_deref())?;
        self.catalogue
            .transact(reads, |answers| {
                // A user of an account that is not there could never be deleted with it.
                let owner = answers.one::<Account>()?.ok_or_else(|| accounts::no_account(account))?;
                if answers.one::<User>()?.is_some() {
                    return Err(IamError::AlreadyExists(format!("User with name {} already exists.", user.name)));
                }
                let mut change = Change::new();
                change.expect(account_key(account), owner.version).create(key.clone(), &user)?;
                if let Some(boundary) = &boundary {
                    let policy = answers.one::<ManagedPolicy>()?;
                    grants::count(&mut change, boundary, policy, |policy| policy.boundaries += 1)?;
                }
                Ok(Decision::Commit(change, user.clone()))
            })
            .await
    }

    /// One user.
    pub fn user(&self, account: &AccountId, name: &str) -> Result<User, IamError> {
        self.user_entry(account, name).map(|user| user.clone()).ok_or_else(|| no_user(name))
    }

    /// Users whose path starts with `path_prefix`, by name.
    pub fn list_users(&self, account: &AccountId, path_prefix: &str) -> Vec<User> {
        let found = self.catalogue.range(&of_account("user", account), usize::MAX);
        let user = |(_, record): (_, dormouse_layers::Mirrored<Entry>)| match &*record.value {
            Entry::User(user) if user.path.starts_with(path_prefix) => Some(user.clone()),
            _ => None,
        };
        found.into_iter().filter_map(user).collect()
    }

    /// Deletes a user that has no keys and no policies left.
    pub async fn delete_user(&self, account: &AccountId, name: &str) -> Result<(), IamError> {
        let key = user_key(account, name);
        let boundary = self.user(account, name)?.grants.boundary;
        let (reads, boundary) = grants::boundary_read(Reads::new().get(key.clone()), self, boundary.as_deref())?;
        self.catalogue
            .transact(reads, |answers| {
                let user = answers.one::<User>()?.ok_or_else(|| no_user(name))?;
                if !user.value.keys.is_empty() {
                    return Err(IamError::DeleteConflict(
                        "Cannot delete entity, must delete access keys first.".to_owned(),
                    ));
                }
                grants::must_be_empty(&user.value.grants)?;
                let mut change = Change::new();
                change.remove(key.clone(), user.version);
                if let Some(boundary) = &boundary {
                    let policy = answers.one::<ManagedPolicy>()?;
                    grants::count(&mut change, boundary, policy, |policy| {
                        policy.boundaries = policy.boundaries.saturating_sub(1)
                    })?;
                }
                Ok(Decision::Commit(change, ()))
            })
            .await
    }

    /// Sets and removes tags of a user.
    pub async fn change_user_tags(
        &self,
        account: &AccountId,
        name: &str,
        set: &BTreeMap<String, String>,
        remove: &[String],
    ) -> Result<(), IamError> {
        self.catalogue
            .transact(Reads::new().get(user_key(account, name)), |answers| {
                let mut user = answers.one::<User>()?.ok_or_else(|| no_user(name))?;
                grants::change_tags(&mut user.value.tags, set, remove)?;
                let mut change = Change::new();
                change.update(user_key(account, name), &user)?;
                Ok(Decision::Commit(change, ()))
            })
            .await
    }
}

pub(crate) fn no_user(name: &str) -> IamError {
    IamError::NoSuchEntity(format!("The user with name {name} cannot be found."))
}
