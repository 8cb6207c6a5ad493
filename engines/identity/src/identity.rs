use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dormouse_layers::{Catalogue, Change, KeyRange, LayerError, Mirrored, decode};
use dormouse_model::{AccountId, Arn, Clock};
use dormouse_store::{Item, Store};

use crate::StartError;
use crate::master_key::MasterKey;
use crate::records::{
    AccessKey, Account, Check, Group, KEYSPACE, ManagedPolicy, Role, User, access_key_key, account_key, check_key,
    group_key, policy_key, role_key, user_key,
};
use crate::seal::{Purpose, Seals};

/// A known text, sealed in the store under the master key.
const CHECK_TEXT: &[u8] = b"dormouse";

/// Accounts, keys, roles and policies, with everything that a request is judged by in memory. Clones are the same.
#[derive(Clone)]
pub struct Identity {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) catalogue: Catalogue<Entry>,
    pub(crate) seals: Arc<Seals>,
    catching_up: Arc<CatchingUp>,
}

/// Looks at the store before a refusal, one at a time: however many wait, the next look answers them all, so a flood of
/// bad keys costs no more than one reader.
#[derive(Default)]
struct CatchingUp {
    begun: AtomicU64,
    /// The number of the last look that ended.
    ended: tokio::sync::Mutex<u64>,
}

/// A record of the keyspace, in memory.
pub(crate) enum Entry {
    Check,
    Account(Account),
    Key(AccessKey),
    User(User),
    Role(Role),
    Group(Group),
    Policy(ManagedPolicy),
}

impl Entry {
    pub(crate) fn account(&self) -> Option<&Account> {
        if let Self::Account(account) = self { Some(account) } else { None }
    }

    pub(crate) fn key(&self) -> Option<&AccessKey> {
        if let Self::Key(key) = self { Some(key) } else { None }
    }

    pub(crate) fn user(&self) -> Option<&User> {
        if let Self::User(user) = self { Some(user) } else { None }
    }

    pub(crate) fn role(&self) -> Option<&Role> {
        if let Self::Role(role) = self { Some(role) } else { None }
    }

    pub(crate) fn group(&self) -> Option<&Group> {
        if let Self::Group(group) = self { Some(group) } else { None }
    }

    pub(crate) fn policy(&self) -> Option<&ManagedPolicy> {
        if let Self::Policy(policy) = self { Some(policy) } else { None }
    }
}

/// Reads an item by the kind that its key names.
fn parse(item: &Item) -> Result<Entry, LayerError> {
    let mut parts = dormouse_layers::Parts::of(&item.key);
    let _keyspace = parts.text();
    let kind = parts.text().unwrap_or_default();
    Ok(match kind.as_str() {
        "check" => Entry::Check,
        "account" => Entry::Account(decode::<Account>(item)?.value),
        "key" => Entry::Key(decode::<AccessKey>(item)?.value),
        "user" => Entry::User(decode::<User>(item)?.value),
        "role" => Entry::Role(decode::<Role>(item)?.value),
        "group" => Entry::Group(decode::<Group>(item)?.value),
        "policy" => Entry::Policy(decode::<ManagedPolicy>(item)?.value),
        other => {
            let key = item.key.escape_ascii().to_string();
            return Err(LayerError::Record { key, detail: format!("identity has no records of kind {other:?}") });
        }
    })
}

impl Identity {
    /// Reads everything into memory and makes sure that the master key is the one the data was sealed under.
    pub async fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>, master: &MasterKey) -> Result<Self, StartError> {
        let seals = Arc::new(Seals::new(master));
        let catalogue = Catalogue::open(Arc::clone(&store), KEYSPACE, parse).await?;
        let identity = Self { store, clock, catalogue, seals, catching_up: Arc::default() };
        identity.check_master_key().await?;
        Ok(identity)
    }

    /// Keeps memory in step with what other nodes change; to be spawned as a task and left running.
    pub async fn keep_fresh(self) {
        self.catalogue.keep_fresh().await;
    }

    /// Brings memory up to date with everything that was committed before this was called.
    pub(crate) async fn catch_up(&self) -> Result<(), LayerError> {
        let begun_before = self.catching_up.begun.load(Ordering::SeqCst);
        let mut ended = self.catching_up.ended.lock().await;
        if *ended > begun_before {
            return Ok(());
        }
        let mine = self.catching_up.begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.catalogue.refresh().await?;
        *ended = mine;
        Ok(())
    }

    async fn check_master_key(&self) -> Result<(), StartError> {
        if self.find_check().await? {
            return Ok(());
        }
        if !self.catalogue.is_empty() {
            return Err(StartError::WrongMasterKey);
        }
        let sealed = STANDARD.encode(self.seals.seal(Purpose::Check, "check", CHECK_TEXT));
        let mut change = Change::new();
        change.create(check_key(), &Check { sealed })?;
        // Another node may have been first, with its own key.
        match self.catalogue.commit(change).await? {
            Ok(_) => Ok(()),
            Err(_) if self.find_check().await? => Ok(()),
            Err(_) => Err(StartError::WrongMasterKey),
        }
    }

    /// Whether the check is there; an error when it is and does not open.
    async fn find_check(&self) -> Result<bool, StartError> {
        let Some(check) = dormouse_layers::get::<Check>(&*self.store, check_key()).await? else { return Ok(false) };
        let sealed = STANDARD.decode(&check.value.sealed).map_err(|_| StartError::WrongMasterKey)?;
        match self.seals.open(Purpose::Check, "check", &sealed) {
            Some(text) if *text == CHECK_TEXT => Ok(true),
            _ => Err(StartError::WrongMasterKey),
        }
    }

    pub(crate) fn account_entry(&self, id: &AccountId) -> Option<Account> {
        Held::of(self.mirrored(account_key(id))?, Entry::account).map(|account| account.clone())
    }

    pub(crate) fn key_entry(&self, id: &str) -> Option<Held<AccessKey>> {
        Held::of(self.mirrored(access_key_key(id))?, Entry::key)
    }

    pub(crate) fn user_entry(&self, account: &AccountId, name: &str) -> Option<Held<User>> {
        Held::of(self.mirrored(user_key(account, name))?, Entry::user)
    }

    pub(crate) fn role_entry(&self, account: &AccountId, name: &str) -> Option<Held<Role>> {
        Held::of(self.mirrored(role_key(account, name))?, Entry::role)
    }

    pub(crate) fn group_entry(&self, account: &AccountId, name: &str) -> Option<Held<Group>> {
        Held::of(self.mirrored(group_key(account, name))?, Entry::group)
    }

    pub(crate) fn policy_entry(&self, account: &AccountId, name: &str) -> Option<Held<ManagedPolicy>> {
        Held::of(self.mirrored(policy_key(account, name))?, Entry::policy)
    }

    /// The records of a range in order.
    pub(crate) fn entries<T>(&self, range: &KeyRange, pick: fn(&Entry) -> Option<&T>) -> Vec<Held<T>> {
        let found = self.catalogue.range(range, usize::MAX);
        found.into_iter().filter_map(|(_, record)| Held::of(record, pick)).collect()
    }

    fn mirrored(&self, key: dormouse_layers::Key) -> Option<Mirrored<Entry>> {
        self.catalogue.get(&key.bytes())
    }
}

/// A record of one kind in memory, shared and not copied.
pub(crate) struct Held<T: 'static> {
    entry: Arc<Entry>,
    pick: fn(&Entry) -> Option<&T>,
}

impl<T> Held<T> {
    fn of(record: Mirrored<Entry>, pick: fn(&Entry) -> Option<&T>) -> Option<Self> {
        pick(&record.value)?;
        Some(Self { entry: record.value, pick })
    }
}

impl<T> std::ops::Deref for Held<T> {
    type Target = T;
    fn deref(&self) -> &T {
        (self.pick)(&self.entry).expect("the kind was checked when it was taken")
    }
}

/// Splits `arn:aws:iam::ACCOUNT:KIND/PATH/NAME` into account and name; none for anything else.
pub(crate) fn split_arn(arn: &str, kind: &str) -> Option<(AccountId, String)> {
    let arn: Arn = arn.parse().ok()?;
    if arn.partition != "aws" || arn.service != "iam" || !arn.region.is_empty() {
        return None;
    }
    let rest = arn.resource.strip_prefix(kind)?.strip_prefix('/')?;
    let name = rest.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some((arn.account.parse().ok()?, name.to_owned()))
}
