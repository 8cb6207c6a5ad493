//! The one evaluator.
//!
//! ```text
//! a deny that applies, anywhere                                  -> denied, explicitly
//! resource of the same account: (identity or resource by name) and boundary and session
//! resource of another account:  identity and resource and boundary and session
//! an account's root:            its identity side allows everything
//! nothing says yes                                               -> denied
//! ```
//!
//! Stricter than AWS in one place: a resource policy that names a principal does not lift its permissions boundary.

use dormouse_model::AccountId;

use super::document::{Principals, Statement};
use super::principal::{Cover, covers};
use super::{Context, Policy};
use crate::caller::{Caller, Principal};

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// `service:Operation`.
    pub action: &'a str,
    /// The ARN, or `*` for actions that are not about one.
    pub resource: &'a str,
    /// Whose resource it is.
    pub owner: &'a AccountId,
    /// Condition keys and values.
    pub context: &'a Context,
}

/// All that has a say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policies<'a> {
    /// Inline and attached policies of the user or role.
    pub identity: &'a [&'a Policy],
    /// The permissions boundary, if one is set.
    pub boundary: Option<&'a Policy>,
    /// What narrows the session, if anything does: what one of them allows is allowed.
    pub session: Option<&'a [&'a Policy]>,
    /// The policy of the resource, if it has one.
    pub resource: Option<&'a Policy>,
    /// Whether the resource's policy must allow in any case, as trust policies must.
    pub resource_must_allow: bool,
}

/// Which policies a decision came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Those of the user or role.
    Identity,
    /// The permissions boundary.
    Boundary,
    /// Those of the session.
    Session,
    /// The one of the resource.
    Resource,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A statement denies it.
    Explicit(Source),
    /// None of these allows it.
    Implicit(Source),
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// May.
    Allow,
    /// May not.
    Deny(Reason),
}

/// What one policy says to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Verdict {
    denied: bool,
    allowed: Cover,
}

/// Decides. Pure: the same question and policies give the same answer.
pub fn evaluate(question: &Question<'_>, policies: &Policies<'_>) -> Decision {
    let identity = verdict_of(policies.identity, question);
    let boundary = policies.boundary.map(|policy| verdict(policy, question));
    let session = policies.session.map(|list| verdict_of(list, question));
    let resource = policies.resource.map(|policy| verdict(policy, question));
    let denies = [
        (Some(identity), Source::Identity),
        (boundary, Source::Boundary),
        (session, Source::Session),
        (resource, Source::Resource),
    ];
    for (verdict, source) in denies {
        if verdict.is_some_and(|verdict| verdict.denied) {
            return Decision::Deny(Reason::Explicit(source));
        }
    }
    let is_root = question.caller.principal == Principal::Root;
    let identity_allows = identity.allowed > Cover::Not || is_root;
    let granted = resource.map_or(Cover::Not, |verdict| verdict.allowed);
    if let Some(source) = missing_grant(question, identity_allows, granted, policies.resource_must_allow) {
        return Decision::Deny(Reason::Implicit(source));
    }
    for (verdict, source) in [(boundary, Source::Boundary), (session, Source::Session)] {
        if verdict.is_some_and(|verdict| verdict.allowed == Cover::Not) {
            return Decision::Deny(Reason::Implicit(source));
        }
    }
    Decision::Allow
}

/// Which side lacks a grant, if one does.
fn missing_grant(question: &Question<'_>, identity_allows: bool, granted: Cover, must: bool) -> Option<Source> {
    let outsider = matches!(question.caller.principal, Principal::Service(_) | Principal::Anonymous);
    if outsider {
        return (granted != Cover::Direct).then_some(Source::Resource);
    }
    if question.caller.account != *question.owner {
        return match (identity_allows, granted) {
            (false, _) => Some(Source::Identity),
            (true, Cover::Not) => Some(Source::Resource),
            (true, _) => None,
        };
    }
    match (identity_allows, granted) {
        (_, Cover::Not) if must => Some(Source::Resource),
        (false, Cover::Not | Cover::Account) => Some(Source::Identity),
        _ => None,
    }
}

fn verdict_of(policies: &[&Policy], question: &Question<'_>) -> Verdict {
    let mut all = Verdict { denied: false, allowed: Cover::Not };
    for policy in policies {
        let one = verdict(policy, question);
        all = Verdict { denied: all.denied || one.denied, allowed: all.allowed.max(one.allowed) };
    }
    all
}

fn verdict(policy: &Policy, question: &Question<'_>) -> Verdict {
    let action = question.action.to_ascii_lowercase();
    let mut verdict = Verdict { denied: false, allowed: Cover::Not };
    for statement in &policy.statements {
        let cover = applies(statement, &action, question);
        if cover == Cover::Not {
            continue;
        }
        if statement.allow {
            verdict.allowed = verdict.allowed.max(cover);
        } else {
            verdict.denied = true;
        }
    }
    verdict
}

/// Whether a statement is about the question, and how it covers the caller. One without principals covers whoever it is
/// attached to.
fn applies(statement: &Statement, action: &str, question: &Question<'_>) -> Cover {
    let cover = match &statement.principals {
        None => Cover::Direct,
        Some(Principals::Of(named)) => covers(named, question.caller),
        Some(Principals::AllBut(named)) if covers(named, question.caller) == Cover::Not => Cover::Direct,
        Some(Principals::AllBut(_)) => Cover::Not,
    };
    let context = question.context;
    let acts = || statement.actions.iter().any(|pattern| pattern.matches(action, context)) != statement.negated_actions;
    let on = || {
        statement.resources.as_ref().is_none_or(|resources| {
            resources.patterns.iter().any(|pattern| pattern.matches(question.resource, context)) != resources.negated
        })
    };
    if cover != Cover::Not && acts() && on() && statement.conditions.iter().all(|condition| condition.holds(context)) {
        cover
    } else {
        Cover::Not
    }
}
