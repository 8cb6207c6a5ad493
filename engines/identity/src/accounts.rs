//! Accounts, and the first start.

use std::collections::BTreeSet;

use dormouse_layers::{Change, Decision, Key, Reads};
use dormouse_model::AccountId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::grants::Boundary;
use crate::identity::Entry;
use crate::records::{AccessKey, Account, access_key_key, account_key, accounts};
use crate::{IamError, Identity, StartError, names};

/// Most accounts of an installation.
pub const ACCOUNTS: usize = 10_000;
/// Characters in the name of an account.
pub const ACCOUNT_NAME_CHARS: usize = 128;

/// A root key that the operator sets, so that scripts with fixed credentials run.
#[derive(Clone)]
pub struct RootKey {
    /// 3 to 128 letters, digits, dashes, dots and underscores.
    pub access_key_id: String,
    /// 8 to 256 printable characters.
    pub secret_access_key: Zeroizing<String>,
}

/// What the node prints when it has started.
pub struct FirstStart {
    /// A key of the account's root.
    pub access_key_id: String,
    /// Its secret: at the first start when it was made, and whenever the operator sets it.
    pub secret_access_key: Option<Zeroizing<String>>,
    /// Its secret as it is kept, at every start: not to be printed, but for what the node leaves to its own user.
    pub kept_secret: Option<Zeroizing<String>>,
}

impl FirstStart {
    fn told(key: RootKey) -> Self {
        let RootKey { access_key_id, secret_access_key } = key;
        Self { access_key_id, kept_secret: Some(secret_access_key.clone()), secret_access_key: Some(secret_access_key) }
    }
}

impl Identity {
    /// Makes the node's account at the first start, with a root key: the operator's, or a new one. At later starts the
    /// operator's key is set again, if there is one; otherwise the key that is there is named, without its secret.
    pub async fn bootstrap(&self, account: &AccountId, set: Option<RootKey>) -> Result<FirstStart, StartError> {
        if self.account_entry(account).is_none() {
            match self.create_account(account, "").await {
                Ok(()) | Err(IamError::AlreadyExists(_)) => {}
                Err(error) => return Err(start_error(error)),
            }
        }
        if let Some(key) = set {
            check_root_key(&key)?;
            self.put_root_key(account, &key).await.map_err(start_error)?;
            return Ok(FirstStart::told(key));
        }
        let known = self.account_entry(account).and_then(|account| account.root_keys.first().cloned());
        if let Some(access_key_id) = known {
            let kept_secret = self.key_entry(&access_key_id).and_then(|key| self.secret_of(&key).ok());
            return Ok(FirstStart { access_key_id, secret_access_key: None, kept_secret });
        }
        let key = RootKey { access_key_id: names::random_id("AKIA", 16), secret_access_key: names::new_secret() };
        self.put_root_key(account, &key).await.map_err(start_error)?;
        Ok(FirstStart::told(key))
    }

    /// Makes an account. It has no keys yet: [`Identity::create_root_key`] gives it one.
    pub async fn create_account(&self, id: &AccountId, name: &str) -> Result<(), IamError> {
        if name.chars().count() > ACCOUNT_NAME_CHARS || name.chars().any(char::is_control) {
            return Err(IamError::Validation(format!(
                "the name of an account takes at most {ACCOUNT_NAME_CHARS} printable characters"
            )));
        }
        if self.list_accounts().len() >= ACCOUNTS {
            return Err(IamError::LimitExceeded(format!(
                "there are {ACCOUNTS} accounts already, the most that there may be"
            )));
        }
        let record =
            Account { id: id.clone(), name: name.to_owned(), created: self.clock.now(), root_keys: BTreeSet::new() };
        let mut change = Change::new();
        change.create(account_key(id), &record)?;
        match self.catalogue.commit(change).await? {
            Ok(_) => Ok(()),
            Err(_) => Err(IamError::AlreadyExists(format!("the account {id} exists already"))),
        }
    }

    /// Every account, by number.
    pub fn list_accounts(&self) -> Vec<Account> {
        self.entries(&accounts(), Entry::account).iter().map(|account| Account::clone(account)).collect()
    }

    /// One account.
    pub fn account(&self, id: &AccountId) -> Option<Account> {
        self.account_entry(id)
    }

    /// Writes a new record that an account owns, limited by a boundary or not; `exists` says that its name is taken.
    pub(crate) async fn create_owned<T: Serialize + DeserializeOwned + Sync>(
        &self,
        account: &AccountId,
        key: Key,
        record: &T,
        boundary: Option<&str>,
        exists: &str,
    ) -> Result<(), IamError> {
        let reads = Reads::new().get(account_key(account)).get(key.clone());
        let (reads, boundary) = Boundary::read(reads, account, boundary)?;
        self.catalogue
            .transact(reads, |answers| {
                // What is made in an account that is not there could never be deleted with it.
                let owner = answers.one::<Account>()?.ok_or_else(|| no_account(account))?;
                if answers.one::<T>()?.is_some() {
                    return Err(IamError::AlreadyExists(exists.to_owned()));
                }
                let mut change = Change::new();
                change.expect(account_key(account), owner.version).create(key.clone(), record)?;
                boundary.bind(&mut change, answers)?;
                Ok(Decision::Commit(change, ()))
            })
            .await
    }

    /// Writes a root key, whatever was under its id in this account. Another account's or a user's key is left alone.
    async fn put_root_key(&self, account: &AccountId, key: &RootKey) -> Result<(), IamError> {
        let sealed = self.seal_secret(&key.access_key_id, &key.secret_access_key);
        let now = self.clock.now();
        let reads = Reads::new().get(account_key(account)).get(access_key_key(&key.access_key_id));
        self.catalogue
            .transact(reads, |answers| {
                let mut owner = answers.one::<Account>()?.ok_or_else(|| no_account(account))?;
                let old = answers.one::<AccessKey>()?;
                let mut change = Change::new();
                if let Some(mut old) = old {
                    if old.value.account != *account || old.value.user.is_some() {
                        let text = format!("the access key id {} is taken by another principal", key.access_key_id);
                        return Err(IamError::AlreadyExists(text));
                    }
                    let same = self.secret_of(&old.value).is_ok_and(|secret| *secret == *key.secret_access_key);
                    if same && old.value.active {
                        return Ok(Decision::Leave(()));
                    }
                    old.value.sealed_secret.clone_from(&sealed);
                    old.value.active = true;
                    change.update(access_key_key(&key.access_key_id), &old)?;
                } else {
                    let record = AccessKey {
                        id: key.access_key_id.clone(),
                        account: account.clone(),
                        user: None,
                        user_id: account.to_string(),
                        sealed_secret: sealed.clone(),
                        active: true,
                        created: now,
                    };
                    change.create(access_key_key(&key.access_key_id), &record)?;
                }
                owner.value.root_keys.insert(key.access_key_id.clone());
                change.update(account_key(account), &owner)?;
                Ok(Decision::Commit(change, ()))
            })
            .await
    }
}

pub(crate) fn no_account(account: &AccountId) -> IamError {
    IamError::NoSuchEntity(format!("The account {account} cannot be found."))
}

fn check_root_key(key: &RootKey) -> Result<(), StartError> {
    let id = &key.access_key_id;
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !(3..=128).contains(&id.len()) || !id.bytes().all(word) {
        let text = format!(
            "{id:?} cannot be a root access key id: it takes 3 to 128 letters, digits, dashes, dots and underscores"
        );
        return Err(StartError::RootKey(text));
    }
    let secret = &key.secret_access_key;
    if !(8..=256).contains(&secret.len()) || !secret.bytes().all(|b| b.is_ascii_graphic()) {
        let text = "the root secret access key takes 8 to 256 printable ASCII characters without spaces";
        return Err(StartError::RootKey(text.to_owned()));
    }
    Ok(())
}

fn start_error(error: IamError) -> StartError {
    match error {
        IamError::Store(error) => StartError::Store(error),
        other => StartError::RootKey(other.to_string()),
    }
}
