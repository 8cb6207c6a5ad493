//! Promises of the evaluator.

use dormouse_model::AccountId;
use proptest::prelude::*;

use super::*;
use crate::caller::{Caller, Principal};

const OURS: &str = "000000000000";
const THEIRS: &str = "111111111111";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

fn account(id: &str) -> AccountId {
    id.parse().expect("an account id")
}

fn user(id: &str) -> Caller {
    Caller {
        principal: Principal::User { name: "ann".to_owned(), id: "AIDA".to_owned() },
        arn: format!("arn:aws:iam::{id}:user/ann"),
        ..Caller::anonymous(account(id))
    }
}

fn root(id: &str) -> Caller {
    Caller { principal: Principal::Root, arn: format!("arn:aws:iam::{id}:root"), ..Caller::anonymous(account(id)) }
}

fn policy(kind: Kind, statement: &str) -> Policy {
    Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#), kind).expect("a valid policy")
}

fn allow(what: &str) -> Policy {
    policy(Kind::Identity, &format!(r#"{{"Effect":"Allow","Action":"{what}","Resource":"*"}}"#))
}

fn deny(what: &str) -> Policy {
    policy(Kind::Identity, &format!(r#"{{"Effect":"Deny","Action":"{what}","Resource":"*"}}"#))
}

fn grant(principal: &str) -> Policy {
    let text = format!(r#"{{"Effect":"Allow","Action":"lambda:*","Resource":"*","Principal":{principal}}}"#);
    policy(Kind::Resource, &text)
}

fn ask(caller: &Caller, policies: &Policies<'_>) -> Decision {
    let (owner, context) = (account(OURS), Context::new());
    let question =
        Question { caller, action: "lambda:InvokeFunction", resource: FUNCTION, owner: &owner, context: &context };
    evaluate(&question, policies)
}

#[test]
fn nothing_is_allowed_that_no_one_granted() {
    let none = Policies::default();
    assert_eq!(ask(&user(OURS), &none), Decision::Deny(Reason::Implicit(Source::Identity)));
    assert_eq!(ask(&root(OURS), &none), Decision::Allow);
    assert_eq!(ask(&root(THEIRS), &none), Decision::Deny(Reason::Implicit(Source::Resource)));
    let everything = allow("*");
    let identity = [&everything];
    let mine = Policies { identity: &identity, ..none };
    assert_eq!(ask(&user(OURS), &mine), Decision::Allow);
    assert_eq!(ask(&user(THEIRS), &mine), Decision::Deny(Reason::Implicit(Source::Resource)));
    assert_eq!(ask(&Caller::anonymous(account(OURS)), &none), Decision::Deny(Reason::Implicit(Source::Resource)));
}

#[test]
fn actions_are_compared_without_regard_to_case() {
    let allowed = allow("LAMBDA:invoke*");
    assert_eq!(ask(&user(OURS), &Policies { identity: &[&allowed], ..Policies::default() }), Decision::Allow);
}

#[test]
fn across_accounts_both_sides_must_allow() {
    let (yes, to_account) = (allow("lambda:*"), grant(r#"{"AWS":"111111111111"}"#));
    let resource = Some(&to_account);
    let both = Policies { identity: &[&yes], resource, ..Policies::default() };
    assert_eq!(ask(&user(THEIRS), &both), Decision::Allow);
    let only_resource = Policies { resource, ..Policies::default() };
    assert_eq!(ask(&user(THEIRS), &only_resource), Decision::Deny(Reason::Implicit(Source::Identity)));
    assert_eq!(ask(&root(THEIRS), &only_resource), Decision::Allow);
}

#[test]
fn within_an_account_a_grant_by_name_is_enough_and_one_to_the_account_is_not() {
    let by_name = grant(r#"{"AWS":"arn:aws:iam::000000000000:user/ann"}"#);
    let to_account = grant(r#"{"AWS":"000000000000"}"#);
    assert_eq!(ask(&user(OURS), &Policies { resource: Some(&by_name), ..Policies::default() }), Decision::Allow);
    let passed_on = Policies { resource: Some(&to_account), ..Policies::default() };
    assert_eq!(ask(&user(OURS), &passed_on), Decision::Deny(Reason::Implicit(Source::Identity)));
}

#[test]
fn services_are_allowed_by_the_resource_alone() {
    let service = Caller::service("events.amazonaws.com", account(OURS));
    let granted = grant(r#"{"Service":"events.amazonaws.com"}"#);
    let other = grant(r#"{"Service":"s3.amazonaws.com"}"#);
    assert_eq!(ask(&service, &Policies { resource: Some(&granted), ..Policies::default() }), Decision::Allow);
    assert_ne!(ask(&service, &Policies { resource: Some(&other), ..Policies::default() }), Decision::Allow);
}

#[test]
fn boundaries_and_sessions_only_narrow() {
    let (everything, nothing_here) = (allow("*"), allow("s3:*"));
    let identity: [&Policy; 1] = [&everything];
    let session: [&Policy; 1] = [&nothing_here];
    let base = Policies { identity: &identity, ..Policies::default() };
    let bounded = Policies { boundary: Some(&nothing_here), ..base };
    assert_eq!(ask(&user(OURS), &bounded), Decision::Deny(Reason::Implicit(Source::Boundary)));
    let narrowed = Policies { session: Some(&session), ..base };
    assert_eq!(ask(&user(OURS), &narrowed), Decision::Deny(Reason::Implicit(Source::Session)));
    let wide: [&Policy; 1] = [&everything];
    let alone = Policies { session: Some(&wide), ..Policies::default() };
    assert_eq!(ask(&user(OURS), &alone), Decision::Deny(Reason::Implicit(Source::Identity)));
}

#[test]
fn not_principal_denies_all_but_the_named() {
    let statement =
        r#"{"Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":{"AWS":"arn:aws:iam::000000000000:user/ann"}}"#;
    let resource = policy(Kind::Resource, statement);
    let everything = allow("*");
    let policies = Policies { identity: &[&everything], resource: Some(&resource), ..Policies::default() };
    assert_eq!(ask(&user(OURS), &policies), Decision::Allow);
    assert_eq!(ask(&root(OURS), &policies), Decision::Deny(Reason::Explicit(Source::Resource)));
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let action = prop_oneof![Just("*"), Just("lambda:*"), Just("lambda:InvokeFunction"), Just("s3:*")];
    let resource =
        prop_oneof![Just("*"), Just(FUNCTION), Just("arn:aws:lambda:*:*:function:*"), Just("arn:aws:s3:::x")];
    (any::<bool>(), any::<bool>(), action, resource).prop_map(|(allow, negated, action, resource)| {
        let effect = if allow { "Allow" } else { "Deny" };
        let name = if negated { "NotAction" } else { "Action" };
        policy(Kind::Identity, &format!(r#"{{"Effect":"{effect}","{name}":"{action}","Resource":"{resource}"}}"#))
    })
}

proptest! {
    #[test]
    fn adding_a_deny_never_allows_more(policies in prop::collection::vec(any_policy(), 0..5), what in prop_oneof![Just("*"), Just("lambda:*"), Just("s3:*")]) {
        let before: Vec<&Policy> = policies.iter().collect();
        let denied = deny(what);
        let mut after = before.clone();
        after.push(&denied);
        let ask = |identity: &[&Policy]| ask(&user(OURS), &Policies { identity, ..Policies::default() });
        let (was, is) = (ask(&before), ask(&after));
        prop_assert!(is != Decision::Allow || was == Decision::Allow);
        if what != "s3:*" {
            prop_assert_eq!(is, Decision::Deny(Reason::Explicit(Source::Identity)));
        }
    }

    #[test]
    fn the_order_of_policies_does_not_matter(policies in prop::collection::vec(any_policy(), 0..5)) {
        let forward: Vec<&Policy> = policies.iter().collect();
        let backward: Vec<&Policy> = policies.iter().rev().collect();
        let ask = |identity: &[&Policy]| ask(&user(OURS), &Policies { identity, ..Policies::default() });
        prop_assert_eq!(ask(&forward), ask(&backward));
    }

    #[test]
    fn a_boundary_never_allows_more(policies in prop::collection::vec(any_policy(), 0..4), boundary in any_policy()) {
        let identity: Vec<&Policy> = policies.iter().collect();
        let base = Policies { identity: &identity, ..Policies::default() };
        let bounded = ask(&user(OURS), &Policies { boundary: Some(&boundary), ..base });
        prop_assert!(bounded != Decision::Allow || ask(&user(OURS), &base) == Decision::Allow);
    }
}
