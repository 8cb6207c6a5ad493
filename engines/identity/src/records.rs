//! The keyspace `identity`: every key and value that this engine keeps in the store.
//!
//! ```text
//! identity / check                          Check      shows whether the master key is the right one
//! identity / account / ACCOUNT              Account
//! identity / key     / ACCESS KEY ID        AccessKey  of an account's root or of a user; the secret is sealed
//! identity / user    / ACCOUNT / name       User       the name in lower case: names differ by more than case
//! identity / role    / ACCOUNT / name       Role       likewise
//! identity / group   / ACCOUNT / name       Group      likewise
//! identity / policy  / ACCOUNT / name       ManagedPolicy
//! ```
//!
//! A user lists its keys and groups, a group its users, and a policy counts its attachments, so that whether something may be deleted is decided on one
//! record; whatever changes both sides changes them in one batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use dormouse_layers::{Key, KeyRange};
use dormouse_model::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::policy::{Kind, MalformedPolicy, Policy};

/// The first part of every key.
pub(crate) const KEYSPACE: &str = "identity";

pub(crate) fn check_key() -> Key {
    Key::new(KEYSPACE).text("check")
}

pub(crate) fn account_key(account: &AccountId) -> Key {
    Key::new(KEYSPACE).text("account").text(account.as_str())
}

pub(crate) fn accounts() -> KeyRange {
    Key::new(KEYSPACE).text("account").children()
}

pub(crate) fn access_key_key(id: &str) -> Key {
    Key::new(KEYSPACE).text("key").text(id)
}

pub(crate) fn user_key(account: &AccountId, name: &str) -> Key {
    Key::new(KEYSPACE).text("user").text(account.as_str()).text(&name.to_ascii_lowercase())
}

pub(crate) fn role_key(account: &AccountId, name: &str) -> Key {
    Key::new(KEYSPACE).text("role").text(account.as_str()).text(&name.to_ascii_lowercase())
}

pub(crate) fn group_key(account: &AccountId, name: &str) -> Key {
    Key::new(KEYSPACE).text("group").text(account.as_str()).text(&name.to_ascii_lowercase())
}

pub(crate) fn policy_key(account: &AccountId, name: &str) -> Key {
    Key::new(KEYSPACE).text("policy").text(account.as_str()).text(&name.to_ascii_lowercase())
}

/// All of one kind in an account: `user`, `role`, `group` or `policy`.
pub(crate) fn of_account(kind: &str, account: &AccountId) -> KeyRange {
    Key::new(KEYSPACE).text(kind).text(account.as_str()).children()
}

/// Shows whether the master key is the right one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Check {
    /// A known text, sealed; base64.
    pub(crate) sealed: String,
}

/// The tenancy boundary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Twelve digits.
    pub id: AccountId,
    /// For people; may be empty.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Ids of its root's access keys.
    pub root_keys: BTreeSet<String>,
}

/// An access key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA...`, or as the operator set it.
    pub id: String,
    /// Whose it is.
    pub account: AccountId,
    /// The user; absent for the account's root.
    pub user: Option<String>,
    /// The user's unique id, so that a user of the same name made later does not have this key.
    pub user_id: String,
    /// The secret, sealed for `id`; base64.
    pub(crate) sealed_secret: String,
    /// An inactive key is refused.
    pub active: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// What a user, a role or a group was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Policies that are part of it, by name.
    #[serde(default)]
    pub inline: BTreeMap<String, PolicyText>,
    /// ARNs of managed policies.
    #[serde(default)]
    pub attached: BTreeSet<String>,
    /// The ARN of the managed policy that limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
}

/// An IAM user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// As it was written.
    pub name: String,
    /// `AIDA...`.
    pub id: String,
    /// `/` or `/a/b/`.
    pub path: String,
    /// Whose it is.
    pub account: AccountId,
    /// When it was made.
    pub created: Timestamp,
    /// What it was given.
    pub grants: Grants,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Ids of its access keys.
    #[serde(default)]
    pub keys: BTreeSet<String>,
    /// Names of the groups that it is in.
    #[serde(default)]
    pub groups: BTreeSet<String>,
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// As it was written.
    pub name: String,
    /// `AGPA...`.
    pub id: String,
    /// `/` or `/a/b/`.
    pub path: String,
    /// Whose it is.
    pub account: AccountId,
    /// When it was made.
    pub created: Timestamp,
    /// What its users are given.
    pub grants: Grants,
    /// Names of its users.
    #[serde(default)]
    pub members: BTreeSet<String>,
}

/// An IAM role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// As it was written.
    pub name: String,
    /// `AROA...`.
    pub id: String,
    /// `/` or `/a/b/`.
    pub path: String,
    /// Whose it is.
    pub account: AccountId,
    /// When it was made.
    pub created: Timestamp,
    /// Who may assume it.
    pub trust: PolicyText,
    /// The unique ids that the users, roles and sessions had which `trust` names, by ARN, when it was saved. Roles of
    /// before there were such ids have none, and trust whoever has the name.
    #[serde(default)]
    pub trusted: BTreeMap<String, String>,
    /// For people.
    pub description: Option<String>,
    /// The longest session that may be asked for, in seconds.
    pub max_session_secs: u32,
    /// What it was given.
    pub grants: Grants,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A managed policy of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// As it was written.
    pub name: String,
    /// `ANPA...`.
    pub id: String,
    /// `/` or `/a/b/`.
    pub path: String,
    /// Whose it is.
    pub account: AccountId,
    /// When it was made.
    pub created: Timestamp,
    /// When its default version last changed.
    pub updated: Timestamp,
    /// For people.
    pub description: Option<String>,
    /// The number of the version that counts.
    pub default_version: u32,
    /// By number; the wire calls them `v1`, `v2`, ...
    pub versions: BTreeMap<u32, PolicyVersion>,
    /// The number that the next version gets.
    pub next_version: u32,
    /// How many users, roles and groups have it attached.
    pub attachments: u32,
    /// How many users and roles have it as their boundary.
    #[serde(default)]
    pub boundaries: u32,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// One version of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// What it says.
    pub document: PolicyText,
    /// When it was made.
    pub created: Timestamp,
}

impl User {
    /// `arn:aws:iam::ACCOUNT:user/PATH/NAME`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user{}{}", self.account, self.path, self.name)
    }
}

impl Role {
    /// `arn:aws:iam::ACCOUNT:role/PATH/NAME`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role{}{}", self.account, self.path, self.name)
    }

    /// Who may assume it; none when that cannot be read.
    pub(crate) fn trust_policy(&self) -> Option<&Policy> {
        self.trust.parsed_by(|text| Policy::parse(text, Kind::Trust).map(|policy| policy.bind(&self.trusted)))
    }
}

impl Group {
    /// `arn:aws:iam::ACCOUNT:group/PATH/NAME`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:group{}{}", self.account, self.path, self.name)
    }
}

impl ManagedPolicy {
    /// `arn:aws:iam::ACCOUNT:policy/PATH/NAME`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:policy{}{}", self.account, self.path, self.name)
    }
}

/// A policy document as it was given, taken apart at its first use.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct PolicyText {
    text: String,
    parsed: OnceLock<Option<Policy>>,
}

impl PolicyText {
    /// The document as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The document taken apart; none when it cannot be read as that kind. A text is of one kind all its life.
    pub(crate) fn policy(&self, kind: Kind) -> Option<&Policy> {
        self.parsed_by(|text| Policy::parse(text, kind))
    }

    fn parsed_by(&self, parse: impl FnOnce(&str) -> Result<Policy, MalformedPolicy>) -> Option<&Policy> {
        self.parsed.get_or_init(|| parse(&self.text).ok()).as_ref()
    }
}

impl From<String> for PolicyText {
    fn from(text: String) -> Self {
        Self { text, parsed: OnceLock::new() }
    }
}

impl From<PolicyText> for String {
    fn from(policy: PolicyText) -> Self {
        policy.text
    }
}

impl PartialEq for PolicyText {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PolicyText {}
