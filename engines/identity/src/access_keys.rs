//! Access keys of users and of accounts' roots.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dormouse_layers::{Change, Decision, Reads};
use dormouse_model::AccountId;
use zeroize::Zeroizing;

use crate::accounts::no_account;
use crate::records::{AccessKey, Account, User, access_key_key, account_key, user_key};
use crate::seal::Purpose;
use crate::users::no_user;
use crate::{IamError, Identity, names};

/// Access keys that a user may have at once.
pub const KEYS_PER_USER: usize = 2;
/// Access keys that an account's root may have at once.
pub const KEYS_PER_ROOT: usize = 10;

/// A key that was just made; its secret is not told again.
pub struct NewAccessKey {
    /// As it is kept.
    pub key: AccessKey,
    /// The secret.
    pub secret_access_key: Zeroizing<String>,
}

impl Identity {
    pub(crate) fn seal_secret(&self, id: &str, secret: &str) -> String {
        STANDARD.encode(self.seals.seal(Purpose::Secret, id, secret.as_bytes()))
    }

    fn fresh_key(&self, account: &AccountId, user: Option<String>, user_id: String) -> NewAccessKey {
        let (id, secret_access_key) = (names::random_id("AKIA", 16), names::new_secret());
        let sealed_secret = self.seal_secret(&id, &secret_access_key);
        let (account, created) = (account.clone(), self.clock.now());
        NewAccessKey {
            key: AccessKey { id, account, user, user_id, sealed_secret, active: true, created },
            secret_access_key,
        }
    }

    /// Makes a key for a user.
    pub async fn create_access_key(&self, account: &AccountId, user: &str) -> Result<NewAccessKey, IamError> {
        let reads = Reads::new().get(user_key(account, user));
        self.catalogue
            .transact(reads, |answers| {
                let mut owner = answers.one::<User>()?.ok_or_else(|| no_user(user))?;
                if owner.value.keys.len() >= KEYS_PER_USER {
                    return Err(IamError::LimitExceeded(format!(
                        "Cannot exceed quota for AccessKeysPerUser: {KEYS_PER_USER}"
                    )));
                }
                let new = self.fresh_key(account, Some(owner.value.name.clone()), owner.value.id.clone());
                owner.value.keys.insert(new.key.id.clone());
                let mut change = Change::new();
                change.create(access_key_key(&new.key.id), &new.key)?.update(user_key(account, user), &owner)?;
                Ok(Decision::Commit(change, new))
            })
            .await
    }

    /// Makes a key for an account's root.
    pub async fn create_root_key(&self, account: &AccountId) -> Result<NewAccessKey, IamError> {
        let reads = Reads::new().get(account_key(account));
        self.catalogue
            .transact(reads, |answers| {
                let mut owner = answers.one::<Account>()?.ok_or_else(|| no_account(account))?;
                if owner.value.root_keys.len() >= KEYS_PER_ROOT {
                    let text =
                        format!("the root of {account} has {KEYS_PER_ROOT} access keys already; delete one first");
                    return Err(IamError::LimitExceeded(text));
                }
                let new = self.fresh_key(account, None, account.to_string());
                owner.value.root_keys.insert(new.key.id.clone());
                let mut change = Change::new();
                change.create(access_key_key(&new.key.id), &new.key)?.update(account_key(account), &owner)?;
                Ok(Decision::Commit(change, new))
            })
            .await
    }

    /// Keys of a user, or of the account's root when no user is named, by id.
    pub fn list_access_keys(&self, account: &AccountId, user: Option<&str>) -> Result<Vec<AccessKey>, IamError> {
        let ids = match user {
            Some(name) => self.user_entry(account, name).ok_or_else(|| no_user(name))?.keys.clone(),
            None => self.account_entry(account).ok_or_else(|| no_account(account))?.root_keys,
        };
        Ok(ids.iter().filter_map(|id| self.key_entry(id)).map(|key| key.clone()).collect())
    }

    /// A key of any account, by its id.
    pub fn access_key(&self, id: &str) -> Option<AccessKey> {
        self.key_entry(id).map(|key| key.clone())
    }

    /// Lets a key be used or not. What was given out through it is refused with it.
    pub async fn set_access_key_active(
        &self,
        account: &AccountId,
        user: Option<&str>,
        id: &str,
        active: bool,
    ) -> Result<(), IamError> {
        self.catalogue
            .transact(Reads::new().get(access_key_key(id)), |answers| {
                let key = answers.one::<AccessKey>()?.filter(|key| belongs(&key.value, account, user));
                let mut key = key.ok_or_else(|| no_key(id))?;
                key.value.active = active;
                let mut change = Change::new();
                change.update(access_key_key(id), &key)?;
                Ok(Decision::Commit(change, ()))
            })
            .await
    }

    /// Deletes a key. What was given out through it is refused from now on.
    pub async fn delete_access_key(&self, account: &AccountId, user: Option<&str>, id: &str) -> Result<(), IamError> {
        let owner = user.map_or_else(|| account_key(account), |name| user_key(account, name));
        self.catalogue
            .transact(Reads::new().get(access_key_key(id)).get(owner.clone()), |answers| {
                let key = answers.one::<AccessKey>()?.filter(|key| belongs(&key.value, account, user));
                let key = key.ok_or_else(|| no_key(id))?;
                let mut change = Change::new();
                change.remove(access_key_key(id), key.version);
                if let Some(name) = user {
                    let mut owner = answers.one::<User>()?.ok_or_else(|| no_user(name))?;
                    owner.value.keys.remove(id);
                    change.update(user_key(account, name), &owner)?;
                } else {
                    let mut owner = answers.one::<Account>()?.ok_or_else(|| no_account(account))?;
                    owner.value.root_keys.remove(id);
                    change.update(account_key(account), &owner)?;
                }
                Ok(Decision::Commit(change, ()))
            })
            .await
    }
}

fn belongs(key: &AccessKey, account: &AccountId, user: Option<&str>) -> bool {
    let same_user = match (&key.user, user) {
        (None, None) => true,
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => false,
    };
    key.account == *account && same_user
}

fn no_key(id: &str) -> IamError {
    IamError::NoSuchEntity(format!("The Access Key with id {id} cannot be found."))
}
