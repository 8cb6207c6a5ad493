//! Who sent a request. On the warm path nothing is read from the store: keys and users are in memory, sessions carry
//! their claims. What memory does not know is looked up once more before it is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dormouse_model::AccountId;
use zeroize::Zeroizing;

use crate::caller::{Caller, Principal, Session};
use crate::records::{AccessKey, Role, User};
use crate::seal::Purpose;
use crate::session_token::{Claims, Holder};
use crate::sigv4::{self, BodyRule, CredentialScope, Payload, Presented, SignedRequest};
use crate::{AuthError, Identity};

/// A request whose signature holds.
#[derive(Debug)]
pub struct Authenticated {
    /// Who sent it.
    pub caller: Caller,
    /// For which region and service it was signed. Whoever routes must have routed by this service.
    pub scope: CredentialScope,
    /// What is still to be done with the body.
    pub body: BodyRule,
}

impl Identity {
    /// Finds out who sent a request, or why that is not believed.
    pub async fn authenticate(
        &self,
        request: &SignedRequest<'_>,
        payload: Payload<'_>,
    ) -> Result<Authenticated, AuthError> {
        let presented = Presented::read(request)?;
        let (caller, secret) = match self.identify(&presented) {
            // Another node may have made the key a moment ago.
            Err(AuthError::UnknownKey | AuthError::UnknownToken) => {
                self.catch_up().await?;
                self.identify(&presented)?
            }
            result => result?,
        };
        sigv4::check_time(&presented, self.clock.now())?;
        let body = sigv4::verify(&presented, request, payload, &secret)?;
        Ok(Authenticated { caller, scope: presented.scope, body })
    }

    /// Whose key it is, and its secret. Nothing is believed yet.
    fn identify(&self, presented: &Presented) -> Result<(Caller, Zeroizing<String>), AuthError> {
        let key_id = &presented.scope.access_key_id;
        let Some(token) = &presented.session_token else {
            let (caller, key) = self.key_holder(key_id).ok_or(AuthError::UnknownKey)?;
            return Ok((caller, self.secret_of(&key)?));
        };
        let (claims, secret) = Claims::open(token, &self.seals).ok_or(AuthError::UnknownToken)?;
        if claims.access_key_id != *key_id {
            return Err(AuthError::UnknownToken);
        }
        if claims.expires <= self.clock.now() {
            return Err(AuthError::ExpiredToken);
        }
        Ok((self.session_holder(claims).ok_or(AuthError::UnknownToken)?, secret))
    }

    /// The caller behind a long-term key; none when the key is unknown, inactive, or its user is gone.
    pub(crate) fn key_holder(&self, key_id: &str) -> Option<(Caller, AccessKey)> {
        let key = self.key_entry(key_id).filter(|key| key.active)?;
        let caller = match &key.user {
            None => {
                self.account_entry(&key.account)?;
                root(&key.account)
            }
            Some(name) => user(&*self.user_entry(&key.account, name).filter(|user| user.id == key.user_id)?),
        };
        Some((Caller { access_key_id: key.id.clone(), ..caller }, key.clone()))
    }

    pub(crate) fn secret_of(&self, key: &AccessKey) -> Result<Zeroizing<String>, AuthError> {
        let opened = STANDARD.decode(&key.sealed_secret).ok();
        let opened = opened.and_then(|sealed| self.seals.open(Purpose::Secret, &key.id, &sealed));
        let text = opened.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()).map(Zeroizing::new);
        text.ok_or_else(|| {
            tracing::error!(access_key_id = key.id, "the sealed secret of an access key does not open");
            AuthError::UnknownKey
        })
    }

    /// The caller behind a session; none when the key or role that it came from is gone.
    fn session_holder(&self, claims: Claims) -> Option<Caller> {
        let mut caller = match &claims.holder {
            Holder::Root { key } | Holder::User { key, .. } => {
                let (caller, _) = self.key_holder(key)?;
                let same = match (&claims.holder, &caller.principal) {
                    (Holder::Root { .. }, Principal::Root) => true,
                    (Holder::User { id: then, .. }, Principal::User { id: now, .. }) => then == now,
                    _ => false,
                };
                (same && caller.account == claims.account).then_some(caller)?
            }
            Holder::Role { name, id, session } => {
                role(&*self.role_entry(&claims.account, name).filter(|role| role.id == *id)?, session)
            }
        };
        caller.tags.retain(|(key, _)| !claims.tags.iter().any(|(newer, _)| newer.eq_ignore_ascii_case(key)));
        caller.tags.extend(claims.tags);
        caller.access_key_id = claims.access_key_id;
        caller.session = Some(Session {
            issued: claims.issued,
            expires: claims.expires,
            policy: claims.policy,
            policy_arns: claims.policy_arns,
        });
        Some(caller)
    }
}

/// The root of an account.
pub(crate) fn root(account: &AccountId) -> Caller {
    Caller {
        account: account.clone(),
        principal: Principal::Root,
        arn: format!("arn:aws:iam::{account}:root"),
        user_id: account.to_string(),
        access_key_id: String::new(),
        session: None,
        tags: Vec::new(),
    }
}

fn user(user: &User) -> Caller {
    Caller {
        account: user.account.clone(),
        principal: Principal::User { name: user.name.clone(), id: user.id.clone() },
        arn: user.arn(),
        user_id: user.id.clone(),
        access_key_id: String::new(),
        session: None,
        tags: user.tags.clone().into_iter().collect(),
    }
}

/// A session of a role. Its ARN has the role's name without the path, as STS writes it.
pub(crate) fn role(role: &Role, session: &str) -> Caller {
    Caller {
        account: role.account.clone(),
        arn: format!("arn:aws:sts::{}:assumed-role/{}/{session}", role.account, role.name),
        user_id: format!("{}:{session}", role.id),
        principal: Principal::Role {
            name: role.name.clone(),
            id: role.id.clone(),
            arn: role.arn(),
            session: session.to_owned(),
        },
        access_key_id: String::new(),
        session: None,
        tags: role.tags.clone().into_iter().collect(),
    }
}
