use dormouse_model::{AccountId, FunctionArn, Timestamp};
use serde::{Deserialize, Serialize};

use super::DeathReason;

/// What travels with a queued event beside its payload. A change here is a change of the format in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EventNote {
    /// As the caller named the function; with the qualifier, if there was one.
    pub(crate) function: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) trace_id: String,
    /// How often in a row there was no place for it.
    #[serde(default)]
    pub(crate) not_run: u32,
    /// How many destinations led to it, one after the other.
    #[serde(default)]
    pub(crate) hops: u32,
    /// Since it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) death: Option<Death>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Death {
    pub(crate) reason: DeathReason,
    pub(crate) last_error: String,
    pub(crate) received: Timestamp,
}

impl EventNote {
    pub(crate) fn arn(&self) -> Option<FunctionArn> {
        self.function.parse().ok()
    }
}

/// The id of an event in the queue: ids of requests are only unique within an account that made them up.
pub(crate) fn item_id(account: &AccountId, id: &str) -> String {
    format!("{account}/{id}")
}

/// The account and the id of the request in the id of a queued event.
pub(crate) fn parse_item_id(item: &str) -> Option<(AccountId, dormouse_model::RequestId)> {
    let (account, id) = item.split_once('/')?;
    Some((account.parse().ok()?, id.parse().ok()?))
}
