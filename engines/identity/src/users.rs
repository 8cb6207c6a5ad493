//! Users.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_model::AccountId;

use crate::identity::Entry;
use crate::records::{Grants, User, of_account, user_key};
use crate::{IamError, Identity, names};

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
            groups: BTreeSet::new(),
        };
        let exists = format!("User with name {} already exists.", user.name);
        self.create_owned(account, user_key(account, &user.name), &user, new.boundary.as_deref(), &exists).await?;
        Ok(user)
    }

    /// One user.
    pub fn user(&self, account: &AccountId, name: &str) -> Result<User, IamError> {
        self.user_entry(account, name).map(|user| user.clone()).ok_or_else(|| no_user(name))
    }

    /// Users whose path starts with `path_prefix`, by name.
    pub fn list_users(&self, account: &AccountId, path_prefix: &str) -> Vec<User> {
        let found = self.entries(&of_account("user", account), Entry::user);
        found.iter().filter(|user| user.path.starts_with(path_prefix)).map(|user| User::clone(user)).collect()
    }
}

pub(crate) fn no_user(name: &str) -> IamError {
    IamError::NoSuchEntity(format!("The user with name {name} cannot be found."))
}
