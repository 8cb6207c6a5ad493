//! The `Principal` element.

use serde_json::Value;

use super::document::{MalformedPolicy, strings};
use crate::caller::{Caller, Principal as Who};

/// Whom a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// `*`.
    Everyone,
    /// An account, by its number or its root's ARN: it may pass the right on by policies of its own.
    Account(String),
    /// A user, a role or one session of a role, by its ARN.
    Arn(String),
    /// The same by its unique id, so that whoever has the name later is not meant; a session as `ROLE ID:SESSION`.
    Id(String),
    /// Such as `lambda.amazonaws.com`.
    Service(String),
    /// An identity provider or a canonical user: kept, never matched.
    Other,
}

/// How a principal element covers a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cover {
    Not,
    /// Through the account: within the account, policies of the principal must allow too.
    Account,
    /// By name, or as everyone.
    Direct,
}

/// Reads a principal element.
pub(super) fn parse(value: &Value) -> Result<Vec<Named>, MalformedPolicy> {
    match value {
        Value::String(text) if text == "*" => Ok(vec![Named::Everyone]),
        Value::Object(kinds) if !kinds.is_empty() => {
            let mut named = Vec::new();
            for (kind, values) in kinds {
                for text in strings(values).ok_or(MalformedPolicy::Syntax)? {
                    named.push(read(kind, &text)?);
                }
            }
            if named.is_empty() { Err(MalformedPolicy::Syntax) } else { Ok(named) }
        }
        _ => Err(MalformedPolicy::Syntax),
    }
}

fn read(kind: &str, text: &str) -> Result<Named, MalformedPolicy> {
    let invalid = || MalformedPolicy::Principal(format!("Invalid principal in policy: \"{kind}\":\"{text}\""));
    match kind {
        "AWS" if text == "*" => Ok(Named::Everyone),
        "AWS" if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(Named::Account(text.to_owned())),
        "AWS" => {
            let arn: dormouse_model::Arn = text.parse().map_err(|_| invalid())?;
            let owned = arn.account.len() == 12 && arn.account.bytes().all(|b| b.is_ascii_digit());
            let kind = arn.resource.split('/').next().unwrap_or_default();
            match (arn.service.as_str(), kind) {
                _ if !owned || !arn.region.is_empty() || text.contains(['*', '?']) => Err(invalid()),
                ("iam", "root") if arn.resource == "root" => Ok(Named::Account(arn.account)),
                ("iam", "user" | "role") | ("sts", "assumed-role") if arn.resource.contains('/') => {
                    Ok(Named::Arn(text.to_owned()))
                }
                _ => Err(invalid()),
            }
        }
        "Service" => {
            let host = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
            if text.contains('.') && text.bytes().all(host) {
                Ok(Named::Service(text.to_owned()))
            } else {
                Err(invalid())
            }
        }
        "Federated" | "CanonicalUser" => Ok(Named::Other),
        _ => Err(MalformedPolicy::Syntax),
    }
}

/// How a list of names covers a caller, at best.
pub(super) fn covers(named: &[Named], caller: &Caller) -> Cover {
    named.iter().map(|name| cover(name, caller)).max().unwrap_or(Cover::Not)
}

fn cover(named: &Named, caller: &Caller) -> Cover {
    let is_iam = matches!(caller.principal, Who::Root | Who::User { .. } | Who::Role { .. });
    let direct = match (named, &caller.principal) {
        (Named::Everyone, _) => true,
        (Named::Account(account), _) if is_iam => {
            return match caller.account.as_str() == account {
                true if caller.principal == Who::Root => Cover::Direct,
                true => Cover::Account,
                false => Cover::Not,
            };
        }
        (Named::Arn(arn), Who::Role { arn: role, .. }) => *arn == caller.arn || arn == role,
        (Named::Arn(arn), Who::User { .. }) => *arn == caller.arn,
        (Named::Id(id), Who::Role { id: role, .. }) => *id == caller.user_id || id == role,
        (Named::Id(id), Who::User { id: user, .. }) => id == user,
        (Named::Service(service), Who::Service(name)) => service == name,
        _ => false,
    };
    if direct { Cover::Direct } else { Cover::Not }
}
