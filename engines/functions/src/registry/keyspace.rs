//! What the engine keeps in the store.
//!
//! | key | value |
//! |---|---|
//! | `functions`, account, `f`, name | [`FunctionRecord`]; written with every change of what stands below it |
//! | `functions`, account, `v`, name, number (0 is `$LATEST`) | [`VersionRecord`] |
//! | `functions`, account, `a`, name, alias | [`AliasRecord`] |
//! | `functions`, account, `e`, name, qualifier | [`EventConfigRecord`] |
//! | `functions`, account, `r` | [`ReservationsRecord`]: reserved concurrency of all functions of the account |
//! | `functions-code`, digest | [`CodeRecord`] |
//! | `functions-code-use`, digest, account, name, number | empty: this version runs that code |
//! | `functions-async` | the due-queue of asynchronous invocations; its items carry an `EventNote` |
//!
//! Everything below a function is changed in a batch that expects the function's record and writes it again, so changes
//! of one function come one after the other. A use of code expects the record of the code to be live; code without
//! uses is condemned there first, and only then looked at and removed.
//!
//! The keyspace `functions` is mirrored in memory.

use std::collections::BTreeMap;

use dormouse_layers::{Key, LayerError, Parts, decode};
use dormouse_model::{
    AccountId, AliasName, EgressGrant, FunctionName, Qualifier, RevisionId, Timestamp, VersionNumber,
};
use dormouse_store::Item;
use serde::{Deserialize, Serialize};

use super::kept::KeptConfiguration;
use crate::function::{CodeSummary, EventInvokeSettings, LastUpdate, State, Weight};
use crate::validate;

pub(crate) const KEYSPACE: &str = "functions";
pub(crate) const ASYNC_QUEUE: &str = "functions-async";
const CODE: &str = "functions-code";
const CODE_USE: &str = "functions-code-use";

/// A function, beside its versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FunctionRecord {
    pub(crate) created: Timestamp,
    /// The highest number that was published, also if that version is gone.
    #[serde(default)]
    pub(crate) last_number: u64,
    /// What `$LATEST` was when that number was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_published: Option<RevisionId>,
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct VersionRecord {
    pub(crate) configuration: KeptConfiguration,
    pub(crate) code: CodeSummary,
    pub(crate) revision: RevisionId,
    pub(crate) last_modified: Timestamp,
    pub(crate) state: State,
    pub(crate) last_update: LastUpdate,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AliasRecord {
    pub(crate) version: VersionNumber,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) routing: Option<Weight>,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) revision: RevisionId,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EventConfigRecord {
    pub(crate) last_modified: Timestamp,
    pub(crate) settings: EventInvokeSettings,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ReservationsRecord {
    pub(crate) functions: BTreeMap<FunctionName, u32>,
}

impl ReservationsRecord {
    pub(crate) fn total(&self) -> u32 {
        self.functions.values().fold(0, |sum, reserved| sum.saturating_add(*reserved))
    }
}

/// One uploaded zip.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CodeRecord {
    /// The name of its blob; another one for each upload, so that a removal never meets a new upload.
    pub(crate) blob: String,
    pub(crate) size_bytes: u64,
    pub(crate) unpacked_bytes: u64,
    /// Nothing new may use it: it is being looked at, and removed if nothing does.
    #[serde(default)]
    pub(crate) condemned: bool,
}

/// A record of the mirrored keyspace.
#[expect(clippy::large_enum_variant, reason = "each has an allocation of its own, and most are versions")]
pub(crate) enum Entry {
    Function(FunctionRecord, EgressGrant),
    Version(VersionRecord),
    Alias(AliasRecord),
    EventConfig(EventConfigRecord),
    /// With their sum.
    Reservations(ReservationsRecord, u32),
    /// Of a newer program.
    Unknown,
}

pub(crate) fn parse(item: &Item) -> Result<Entry, LayerError> {
    let mut parts = Parts::of(&item.key);
    let kind = parts.text().and_then(|_| parts.text()).and_then(|_| parts.text());
    Ok(match kind.as_deref() {
        Some("f") => {
            let record: FunctionRecord = decode(item)?.value;
            // Checked when it was written; what cannot be read grants nothing.
            let egress = validate::egress(&record.tags).unwrap_or_default();
            Entry::Function(record, egress)
        }
        Some("v") => Entry::Version(decode(item)?.value),
        Some("a") => Entry::Alias(decode(item)?.value),
        Some("e") => Entry::EventConfig(decode(item)?.value),
        Some("r") => {
            let record: ReservationsRecord = decode(item)?.value;
            let total = record.total();
            Entry::Reservations(record, total)
        }
        _ => Entry::Unknown,
    })
}

fn of(account: &AccountId, kind: &str) -> Key {
    Key::new(KEYSPACE).text(account.as_str()).text(kind)
}

pub(crate) fn functions(account: &AccountId) -> Key {
    of(account, "f")
}

pub(crate) fn function(account: &AccountId, name: &FunctionName) -> Key {
    functions(account).text(name.as_str())
}

/// Of all accounts.
pub(crate) fn all() -> Key {
    Key::new(KEYSPACE)
}

pub(crate) fn all_versions(account: &AccountId) -> Key {
    of(account, "v")
}

pub(crate) fn versions(account: &AccountId, name: &FunctionName) -> Key {
    all_versions(account).text(name.as_str())
}

pub(crate) fn number(version: VersionNumber) -> u64 {
    match version {
        VersionNumber::Latest => 0,
        VersionNumber::Published(number) => number,
    }
}

pub(crate) fn version_of(number: u64) -> VersionNumber {
    match number {
        0 => VersionNumber::Latest,
        number => VersionNumber::Published(number),
    }
}

pub(crate) fn version(account: &AccountId, name: &FunctionName, version: VersionNumber) -> Key {
    versions(account, name).u64(number(version))
}

pub(crate) fn aliases(account: &AccountId, name: &FunctionName) -> Key {
    of(account, "a").text(name.as_str())
}

pub(crate) fn alias(account: &AccountId, name: &FunctionName, alias: &AliasName) -> Key {
    aliases(account, name).text(alias.as_str())
}

pub(crate) fn event_configs(account: &AccountId, name: &FunctionName) -> Key {
    of(account, "e").text(name.as_str())
}

pub(crate) fn event_config(account: &AccountId, name: &FunctionName, qualifier: &Qualifier) -> Key {
    event_configs(account, name).text(&qualifier.to_string())
}

pub(crate) fn reservations(account: &AccountId) -> Key {
    of(account, "r")
}

pub(crate) fn codes() -> Key {
    Key::new(CODE)
}

pub(crate) fn code(digest_hex: &str) -> Key {
    codes().text(digest_hex)
}

pub(crate) fn code_uses(digest_hex: &str) -> Key {
    Key::new(CODE_USE).text(digest_hex)
}

pub(crate) fn code_use(digest_hex: &str, account: &AccountId, name: &FunctionName, version: VersionNumber) -> Key {
    code_uses(digest_hex).text(account.as_str()).text(name.as_str()).u64(number(version))
}

/// Name and number in the key of a version.
pub(crate) fn parse_version(key: &[u8]) -> Option<(FunctionName, VersionNumber)> {
    let mut parts = Parts::of(key);
    parts.text()?;
    parts.text()?;
    parts.text()?;
    Some((parts.text()?.parse().ok()?, version_of(parts.u64()?)))
}

/// The last part of a key, as text.
pub(crate) fn parse_last(key: &[u8], parts_before: usize) -> Option<String> {
    let mut parts = Parts::of(key);
    for _ in 0..parts_before {
        parts.part()?;
    }
    parts.text()
}
