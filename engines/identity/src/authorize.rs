//! May they. Policies are gathered from memory and handed to the evaluator; a denial is looked at once more with what the
//! store says now.

use dormouse_model::AccountId;

use crate::caller::{Caller, Principal};
use crate::identity::{Held, split_arn};
use crate::policy::{Context, Decision, Kind, Policies, Policy, Question, Reason, Source, evaluate};
use crate::records::{Grants, Group, ManagedPolicy, PolicyText, Role, User};
use crate::{AccessDenied, AuthorizeError, Identity, aws_managed};

/// What a caller wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// `service:Operation`, such as `lambda:InvokeFunction`.
    pub action: &'a str,
    /// The ARN, or `*` for actions that are not about one resource.
    pub resource: &'a str,
    /// Whose resource it is.
    pub owner: &'a AccountId,
    /// What is known of the request; what is known of the caller and the time is added here.
    pub context: &'a Context,
    /// The policy of the resource, if it has one.
    pub resource_policy: Option<&'a Policy>,
}

/// Actions that every signed caller may do, as documented; and `AssumeRole`, which is decided where the trust policy is.
const DECIDED_ELSEWHERE: [&str; 3] = ["sts:GetCallerIdentity", "sts:GetSessionToken", "sts:AssumeRole"];

/// The policies of a user, with those of its groups, or of a role, kept alive while they are evaluated.
#[derive(Default)]
struct Gathered {
    user: Option<Held<User>>,
    role: Option<Held<Role>>,
    groups: Vec<Held<Group>>,
    attached: Vec<Managed>,
    boundary: Option<Managed>,
    session: Option<Vec<SessionPolicy>>,
    /// A policy that should apply cannot be read. It could deny, so everything is denied.
    broken: bool,
}

enum SessionPolicy {
    Given(Policy),
    Managed(Managed),
}

/// A managed policy, ours or an account's.
pub(crate) enum Managed {
    Platform(&'static PolicyText),
    Account(Held<ManagedPolicy>),
}

impl Managed {
    pub(crate) fn text(&self) -> Option<&PolicyText> {
        match self {
            Self::Platform(text) => Some(text),
            Self::Account(policy) => policy.versions.get(&policy.default_version).map(|version| &version.document),
        }
    }
}

impl Identity {
    /// Whether a caller may do something: the default is no.
    pub async fn authorize(&self, caller: &Caller, access: &Access<'_>) -> Result<(), AuthorizeError> {
        if DECIDED_ELSEWHERE.contains(&access.action) {
            return Ok(());
        }
        self.decide(caller, access, false).await.map_err(|error| match error {
            Denial::Reason(reason) => AuthorizeError::Denied(denied(caller, access, Some(reason))),
            Denial::Unavailable(error) => AuthorizeError::Unavailable(error),
        })
    }

    /// Whether a caller may hand a role to a service: `iam:PassRole`.
    pub async fn check_pass_role(&self, caller: &Caller, role_arn: &str, service: &str) -> Result<(), AuthorizeError> {
        let mut context = Context::new();
        context.set("iam:PassedToService", service);
        let named = split_arn(role_arn, "role");
        let role = named.as_ref().and_then(|(account, name)| self.role_entry(account, name));
        if let Some(role) = role.filter(|role| role.arn() == role_arn) {
            context.set_resource_tags("aws", &role.tags).set_resource_tags("iam", &role.tags);
        }
        let owner = named.map_or_else(|| caller.account.clone(), |(account, _)| account);
        let (action, resource_policy) = ("iam:PassRole", None);
        self.authorize(
            caller,
            &Access { action, resource: role_arn, owner: &owner, context: &context, resource_policy },
        )
        .await
    }

    pub(crate) async fn decide(&self, caller: &Caller, access: &Access<'_>, must: bool) -> Result<(), Denial> {
        if self.decide_now(caller, access, must) == Decision::Allow {
            return Ok(());
        }
        // Another node may have granted it a moment ago.
        self.catch_up().await.map_err(Denial::Unavailable)?;
        match self.decide_now(caller, access, must) {
            Decision::Allow => Ok(()),
            Decision::Deny(reason) => Err(Denial::Reason(reason)),
        }
    }

    pub(crate) fn decide_now(&self, caller: &Caller, access: &Access<'_>, resource_must_allow: bool) -> Decision {
        let gathered = self.gather(caller);
        if gathered.broken {
            return Decision::Deny(Reason::Explicit(Source::Identity));
        }
        let grants = gathered.grants();
        let inline = grants.iter().flat_map(|grants| grants.inline.values()).map(|text| text.policy(Kind::Identity));
        let attached = gathered.attached.iter().map(|managed| managed.text()?.policy(Kind::Identity));
        let identity: Option<Vec<&Policy>> = inline.chain(attached).collect();
        let boundary = gathered.boundary.as_ref().map(|managed| managed.text()?.policy(Kind::Identity));
        let session: Option<Option<Vec<&Policy>>> = gathered.session.as_ref().map(|list| {
            fn read(policy: &SessionPolicy) -> Option<&Policy> {
                match policy {
                    SessionPolicy::Given(policy) => Some(policy),
                    SessionPolicy::Managed(managed) => managed.text()?.policy(Kind::Identity),
                }
            }
            list.iter().map(read).collect()
        });
        let (Some(identity), Some(boundary), Some(session)) = (identity, lift(boundary), lift(session)) else {
            tracing::error!(caller = caller.arn, "a policy in the store cannot be read; everything is denied");
            return Decision::Deny(Reason::Explicit(Source::Identity));
        };
        let context = self.full_context(caller, access);
        let question = Question {
            caller,
            action: access.action,
            resource: access.resource,
            owner: access.owner,
            context: &context,
        };
        let policies = Policies {
            identity: &identity,
            boundary,
            session: session.as_deref(),
            resource: access.resource_policy,
            resource_must_allow,
        };
        evaluate(&question, &policies)
    }

    /// The managed policy of an ARN; none when there is none.
    pub(crate) fn managed(&self, arn: &str) -> Option<Managed> {
        if let Some(policy) = aws_managed::find(arn) {
            return Some(Managed::Platform(&policy.document));
        }
        let (account, name) = split_arn(arn, "policy")?;
        self.policy_entry(&account, &name).filter(|policy| policy.arn() == arn).map(Managed::Account)
    }

    fn gather(&self, caller: &Caller) -> Gathered {
        let mut gathered = Gathered::default();
        match &caller.principal {
            Principal::User { name, id } => {
                gathered.user = self.user_entry(&caller.account, name).filter(|user| user.id == *id);
                gathered.broken = gathered.user.is_none();
                for name in gathered.user.iter().flat_map(|user| &user.groups) {
                    // One that cannot be found could deny.
                    gathered.groups.extend(self.group_entry(&caller.account, name));
                }
                let wanted = gathered.user.as_ref().map_or(0, |user| user.groups.len());
                gathered.broken |= gathered.groups.len() < wanted;
            }
            Principal::Role { name, id, .. } => {
                gathered.role = self.role_entry(&caller.account, name).filter(|role| role.id == *id);
                gathered.broken = gathered.role.is_none();
            }
            Principal::Root | Principal::Service(_) | Principal::Anonymous => {}
        }
        let grants = gathered.grants();
        let attached: Vec<_> = grants.iter().flat_map(|grants| &grants.attached).map(|arn| self.managed(arn)).collect();
        let boundary = grants.iter().find_map(|grants| grants.boundary.as_ref()).map(|arn| self.managed(arn));
        gathered.broken |= attached.iter().any(Option::is_none) || matches!(boundary, Some(None));
        gathered.attached = attached.into_iter().flatten().collect();
        gathered.boundary = boundary.flatten();
        if let Some(session) = caller.session.as_ref().filter(|session| session.narrows()) {
            let given =
                session.policy.iter().map(|text| Policy::parse(text, Kind::Identity).ok().map(SessionPolicy::Given));
            let managed = session.policy_arns.iter().map(|arn| self.managed(arn).map(SessionPolicy::Managed));
            gathered.session = given.chain(managed).collect();
            gathered.broken |= gathered.session.is_none();
        }
        gathered
    }

    /// The condition keys that every request has.
    fn full_context(&self, caller: &Caller, access: &Access<'_>) -> Context {
        let mut context = access.context.clone();
        let now = self.clock.now();
        context.set("aws:CurrentTime", now.to_string());
        context.set("aws:EpochTime", now.as_secs().to_string());
        context.set("aws:ResourceAccount", access.owner.as_str());
        let (kind, service) = match &caller.principal {
            Principal::Root => ("Account", false),
            Principal::User { .. } => ("User", false),
            Principal::Role { .. } => ("AssumedRole", false),
            Principal::Service(_) => ("AWSService", true),
            Principal::Anonymous => ("Anonymous", false),
        };
        context.set("aws:PrincipalType", kind);
        context.set("aws:PrincipalIsAWSService", service.to_string());
        context.set("aws:userid", caller.user_id.clone());
        match &caller.principal {
            Principal::Service(name) => {
                context.set("aws:PrincipalServiceName", name.clone());
            }
            Principal::Anonymous => {}
            principal => {
                let arn = if let Principal::Role { arn, .. } = principal { arn } else { &caller.arn };
                context.set("aws:PrincipalArn", arn.clone());
                context.set("aws:PrincipalAccount", caller.account.as_str());
            }
        }
        if let Principal::User { name, .. } = &caller.principal {
            context.set("aws:username", name.clone());
        }
        for (key, value) in &caller.tags {
            context.set(&format!("aws:PrincipalTag/{key}"), value.clone());
        }
        if let Some(session) = &caller.session {
            context.set("aws:TokenIssueTime", session.issued.to_string());
        }
        context
    }
}

/// Why a decision was not to allow.
pub(crate) enum Denial {
    Reason(Reason),
    Unavailable(dormouse_layers::LayerError),
}

pub(crate) fn denied(caller: &Caller, access: &Access<'_>, reason: Option<Reason>) -> AccessDenied {
    AccessDenied {
        caller: caller.arn.clone(),
        action: access.action.to_owned(),
        resource: access.resource.to_owned(),
        reason,
    }
}

/// None when there should be one and it cannot be read.
#[expect(clippy::option_option, reason = "absent, unreadable and readable are three cases")]
fn lift<T>(outer: Option<Option<T>>) -> Option<Option<T>> {
    match outer {
        None => Some(None),
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
    }
}

impl Gathered {
    fn grants(&self) -> Vec<&Grants> {
        let user = self.user.iter().map(|user| &user.grants);
        let role = self.role.iter().map(|role| &role.grants);
        user.chain(role).chain(self.groups.iter().map(|group| &group.grants)).collect()
    }
}
