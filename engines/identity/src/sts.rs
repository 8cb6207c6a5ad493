//! Temporary credentials.

use std::time::Duration;

use dormouse_model::{AccountId, Credentials, Timestamp};

use crate::authenticate;
use crate::authorize::{Access, Denial, denied};
use crate::caller::{Caller, Principal};
use crate::identity::{Held, split_arn};
use crate::policy::{Context, Decision, Kind, Policies, Policy, Question, evaluate};
use crate::records::Role;
use crate::session_token::{Claims, Holder};
use crate::{IamError, Identity, RoleError, names};

/// Shortest session, in seconds.
pub const SESSION_SECS_MIN: u32 = 900;
/// Session of a role that asks for nothing else, and the longest when one role assumes another, in seconds.
pub const ROLE_SESSION_SECS: u32 = 3_600;
/// Session of a user that asks for nothing else, in seconds.
pub const USER_SESSION_SECS: u32 = 43_200;
/// Longest session of a user, in seconds.
pub const USER_SESSION_SECS_MAX: u32 = 129_600;
/// Longest session of an account's root, in seconds.
pub const ROOT_SESSION_SECS_MAX: u32 = 3_600;
/// Characters in a session policy.
pub const SESSION_POLICY_CHARS: usize = 2_048;
/// Managed policies that may narrow a session.
pub const SESSION_POLICY_ARNS: usize = 10;

/// What `AssumeRole` is asked for.
#[derive(Debug, Clone, Default)]
pub struct AssumeRole {
    /// The role.
    pub role_arn: String,
    /// 2 to 64 characters; part of the session's ARN.
    pub session_name: String,
    /// Seconds; 3600 when nothing is said.
    pub duration_secs: Option<u32>,
    /// A policy that narrows the session, as JSON.
    pub policy: Option<String>,
    /// ARNs of managed policies that narrow it.
    pub policy_arns: Vec<String>,
    /// What a trust policy may ask for.
    pub external_id: Option<String>,
    /// Tags of the session.
    pub tags: Vec<(String, String)>,
    /// What is known of the request.
    pub context: Context,
}

/// A session of a role.
pub struct Assumed {
    /// Its keys.
    pub credentials: Credentials,
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub arn: String,
    /// `AROA...:SESSION`.
    pub user_id: String,
}

impl Identity {
    /// Gives out a session of a role, if its trust policy lets the caller in, and the caller's own policies too unless the
    /// trust policy names the caller. The root of an account may assume what trusts its account, so that a fresh
    /// installation, which has nothing but a root key, can use roles.
    pub async fn assume_role(&self, caller: &Caller, ask: AssumeRole) -> Result<Assumed, IamError> {
        check_ask(&ask)?;
        let (account, name) = split_arn(&ask.role_arn, "role")
            .ok_or_else(|| IamError::Validation(format!("{} is invalid", ask.role_arn)))?;
        if self.role_entry(&account, &name).is_none() {
            self.catch_up().await?;
        }
        // Whether the role exists is told to nobody who may not assume it.
        let role = self.role_entry(&account, &name).filter(|role| role.arn() == ask.role_arn);
        let action = if ask.tags.is_empty() { &["sts:AssumeRole"][..] } else { &["sts:AssumeRole", "sts:TagSession"] };
        let mut context = trust_context(&ask);
        if let Some(role) = &role {
            context.set_resource_tags("aws", &role.tags).set_resource_tags("iam", &role.tags);
        }
        for action in action {
            let trust = role.as_ref().and_then(|role| role.trust_policy());
            let access =
                Access { action, resource: &ask.role_arn, owner: &account, context: &context, resource_policy: trust };
            let refused = || IamError::Denied(denied(caller, &access, None));
            if trust.is_none() {
                return Err(refused());
            }
            self.decide(caller, &access, true).await.map_err(|denial| match denial {
                Denial::Reason(_) => refused(),
                Denial::Unavailable(error) => IamError::Store(error),
            })?;
        }
        let role = role.expect("without a role everything is refused");
        let longest = self.longest_session(caller, &role, ask.duration_secs)?;
        for arn in &ask.policy_arns {
            let known =
                self.managed(arn).is_some() && split_arn(arn, "policy").is_none_or(|(owner, _)| owner == account);
            known.then_some(()).ok_or_else(|| IamError::Validation(format!("PolicyArn {arn} is not valid")))?;
        }
        let mut claims = self.role_claims(&role, &ask.session_name, longest);
        claims.policy = ask.policy;
        claims.policy_arns = ask.policy_arns;
        claims.tags = ask.tags;
        let credentials = claims.credentials(&self.seals)?;
        let session = authenticate::role(&role, &ask.session_name);
        Ok(Assumed { credentials, arn: session.arn, user_id: session.user_id })
    }

    fn longest_session(&self, caller: &Caller, role: &Role, asked: Option<u32>) -> Result<Duration, IamError> {
        let chained = matches!(caller.principal, Principal::Role { .. });
        let most = if chained { ROLE_SESSION_SECS } else { role.max_session_secs };
        let secs = asked.unwrap_or(ROLE_SESSION_SECS);
        if secs < SESSION_SECS_MIN {
            return Err(IamError::Validation(format!(
                "DurationSeconds takes at least {SESSION_SECS_MIN} seconds, not {secs}"
            )));
        }
        if secs > most {
            return Err(IamError::Validation(if chained {
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
                    .to_owned()
            } else {
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.".to_owned()
            }));
        }
        Ok(Duration::from_secs(secs.into()))
    }

    fn role_claims(&self, role: &Role, session: &str, valid_for: Duration) -> Claims {
        let now = self.clock.now();
        let holder = Holder::Role { name: role.name.clone(), id: role.id.clone(), session: session.to_owned() };
        Claims::new(&role.account, holder, now, whole_seconds(now + valid_for))
    }

    /// Gives out temporary credentials of a user or a root, which end with the key that asked for them.
    pub fn session_token(&self, caller: &Caller, duration_secs: Option<u32>) -> Result<Credentials, IamError> {
        let access_denied = || {
            IamError::Denied(crate::AccessDenied {
                caller: caller.arn.clone(),
                action: "sts:GetSessionToken".to_owned(),
                resource: "*".to_owned(),
                reason: None,
            })
        };
        let key = caller.access_key_id.clone();
        let (holder, most) = match &caller.principal {
            _ if caller.is_temporary() => return Err(access_denied()),
            Principal::Root => (Holder::Root { key }, ROOT_SESSION_SECS_MAX),
            Principal::User { name, id } => {
                (Holder::User { name: name.clone(), id: id.clone(), key }, USER_SESSION_SECS_MAX)
            }
            _ => return Err(access_denied()),
        };
        let secs = duration_secs.unwrap_or(USER_SESSION_SECS);
        if !(SESSION_SECS_MIN..=USER_SESSION_SECS_MAX).contains(&secs) {
            return Err(IamError::Validation(format!(
                "DurationSeconds takes {SESSION_SECS_MIN} to {USER_SESSION_SECS_MAX} seconds, not {secs}"
            )));
        }
        let now = self.clock.now();
        // A root's session is cut to an hour and not refused, as documented.
        let expires = whole_seconds(now + Duration::from_secs(secs.min(most).into()));
        Claims::new(&caller.account, holder, now, expires).credentials(&self.seals)
    }

    /// The account of an access key id, long-term or temporary.
    pub fn account_of_key(&self, access_key_id: &str) -> Option<AccountId> {
        let known = self.access_key(access_key_id).map(|key| key.account);
        known.or_else(|| names::account_of_session_key(access_key_id).filter(|account| self.account(account).is_some()))
    }

    /// Whether a role may be the execution role of something that `service` runs in this account.
    pub async fn check_execution_role(&self, account: &AccountId, arn: &str, service: &str) -> Result<(), RoleError> {
        self.service_role(account, arn, service).await.map(drop)
    }

    /// Keys of an execution role for one instance, named `session`. The role is checked again: one that was deleted or
    /// trusts the service no more gives none.
    pub async fn role_credentials(
        &self,
        account: &AccountId,
        arn: &str,
        service: &str,
        session: &str,
        valid_for: Duration,
    ) -> Result<Credentials, RoleError> {
        let role = self.service_role(account, arn, service).await?;
        let claims = self.role_claims(&role, session, valid_for);
        claims.credentials(&self.seals).map_err(|_| RoleError::NotAssumable)
    }

    async fn service_role(&self, account: &AccountId, arn: &str, service: &str) -> Result<Held<Role>, RoleError> {
        let (owner, name) = split_arn(arn, "role").ok_or_else(|| RoleError::NotARole(arn.to_owned()))?;
        if owner != *account {
            return Err(RoleError::OtherAccount);
        }
        let find = || self.role_entry(account, &name).filter(|role| self.trusts(role, arn, service));
        if let Some(role) = find() {
            return Ok(role);
        }
        self.catch_up().await?;
        find().ok_or(RoleError::NotAssumable)
    }

    fn trusts(&self, role: &Role, arn: &str, service: &str) -> bool {
        let Some(trust) = role.trust_policy().filter(|_| role.arn() == arn) else { return false };
        let caller = Caller::service(service, role.account.clone());
        let mut context = Context::new();
        context.set("aws:SourceAccount", role.account.as_str());
        context.set("aws:PrincipalIsAWSService", "true");
        context.set("aws:PrincipalServiceName", service);
        context.set("aws:CurrentTime", self.clock.now().to_string());
        context.set("aws:EpochTime", self.clock.now().as_secs().to_string());
        let question = Question {
            caller: &caller,
            action: "sts:AssumeRole",
            resource: arn,
            owner: &role.account,
            context: &context,
        };
        let policies = Policies { resource: Some(trust), resource_must_allow: true, ..Policies::default() };
        evaluate(&question, &policies) == Decision::Allow
    }
}

fn check_ask(ask: &AssumeRole) -> Result<(), IamError> {
    names::session_name(&ask.session_name)?;
    if ask.policy_arns.len() > SESSION_POLICY_ARNS {
        return Err(IamError::Validation(format!("PolicyArns takes at most {SESSION_POLICY_ARNS} ARNs")));
    }
    if let Some(policy) = &ask.policy {
        if policy.chars().count() > SESSION_POLICY_CHARS {
            return Err(IamError::Validation(format!("Policy takes at most {SESSION_POLICY_CHARS} characters")));
        }
        Policy::parse(policy, Kind::Identity)?;
    }
    names::tags(ask.tags.iter().map(|(key, value)| (key, value)))?;
    let mut keys: Vec<String> = ask.tags.iter().map(|(key, _)| key.to_lowercase()).collect();
    keys.sort();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(IamError::Validation(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.".to_owned(),
        ));
    }
    Ok(())
}

/// What trust policies may ask about the request.
fn trust_context(ask: &AssumeRole) -> Context {
    let mut context = ask.context.clone();
    context.set("sts:RoleSessionName", ask.session_name.clone());
    if let Some(id) = &ask.external_id {
        context.set("sts:ExternalId", id.clone());
    }
    context.set_request_tags(ask.tags.iter().map(|(key, value)| (key, value)));
    context
}

/// Expiries are told in whole seconds; what is told must be what holds.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp(time.as_secs() * 1000)
}
