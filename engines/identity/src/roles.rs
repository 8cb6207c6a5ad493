//! Roles.

use std::collections::BTreeMap;

use dormouse_layers::{Change, Decision, Reads};
use dormouse_model::AccountId;

use crate::identity::Entry;
use crate::policy::{Kind, Policy};
use crate::records::{Grants, Role, of_account, role_key};
use crate::{IamError, Identity, names};

/// Roles in an account.
pub const ROLES: usize = 5_000;
/// Characters in a trust policy.
pub const TRUST_POLICY_CHARS: usize = 4_096;
/// Least and most of the longest session of a role, in seconds.
pub const MAX_SESSION_SECS: std::ops::RangeInclusive<u32> = 3_600..=43_200;

/// A role to be made.
#[derive(Debug, Clone)]
pub struct NewRole {
    /// 1 to 64 characters.
    pub name: String,
    /// `/` when nothing is said.
    pub path: String,
    /// Who may assume it, as JSON.
    pub trust: String,
    /// For people.
    pub description: Option<String>,
    /// The longest session, in seconds; 3600 when nothing is said.
    pub max_session_secs: Option<u32>,
    /// The ARN of a managed policy that limits it.
    pub boundary: Option<String>,
    /// At most fifty.
    pub tags: BTreeMap<String, String>,
}

/// What of a role is to be changed; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct RoleUpdate {
    /// For people.
    pub description: Option<String>,
    /// The longest session, in seconds.
    pub max_session_secs: Option<u32>,
    /// Who may assume it, as JSON.
    pub trust: Option<String>,
}

impl RoleUpdate {
    /// Gives the trust policy, if there is one, taken apart.
    fn check(&self) -> Result<Option<Policy>, IamError> {
        self.description.as_deref().map_or(Ok(()), names::description)?;
        if let Some(secs) = self.max_session_secs.filter(|secs| !MAX_SESSION_SECS.contains(secs)) {
            let (least, most) = (MAX_SESSION_SECS.start(), MAX_SESSION_SECS.end());
            return Err(IamError::Validation(format!(
                "MaxSessionDuration takes {least} to {most} seconds, not {secs}"
            )));
        }
        self.trust.as_deref().map(check_trust).transpose()
    }
}

fn check_trust(text: &str) -> Result<Policy, IamError> {
    if text.chars().filter(|c| !c.is_whitespace()).count() > TRUST_POLICY_CHARS {
        return Err(IamError::LimitExceeded(format!("Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_CHARS}")));
    }
    Ok(Policy::parse(text, Kind::Trust)?)
}

impl Identity {
    /// Makes a role.
    pub async fn create_role(&self, account: &AccountId, new: NewRole) -> Result<Role, IamError> {
        names::name("roleName", &new.name, names::NAME_CHARS)?;
        names::path(&new.path)?;
        names::tags(&new.tags)?;
        let said = RoleUpdate {
            description: new.description.clone(),
            max_session_secs: new.max_session_secs,
            trust: Some(new.trust.clone()),
        };
        let trusted = self.trusted_by(said.check()?.as_ref()).await?;
        if self.list_roles(account, "/").len() >= ROLES {
            return Err(IamError::LimitExceeded(format!("Cannot exceed quota for RolesPerAccount: {ROLES}")));
        }
        let role = Role {
            name: new.name,
            id: names::random_id("AROA", 17),
            path: new.path,
            account: account.clone(),
            created: self.clock.now(),
            trust: new.trust.into(),
            trusted,
            description: new.description,
            max_session_secs: new.max_session_secs.unwrap_or(*MAX_SESSION_SECS.start()),
            grants: Grants { boundary: new.boundary.clone(), ..Grants::default() },
            tags: new.tags,
        };
        let exists = format!("Role with name {} already exists.", role.name);
        self.create_owned(account, role_key(account, &role.name), &role, new.boundary.as_deref(), &exists).await?;
        Ok(role)
    }

    /// One role.
    pub fn role(&self, account: &AccountId, name: &str) -> Result<Role, IamError> {
        self.role_entry(account, name).map(|role| role.clone()).ok_or_else(|| no_role(name))
    }

    /// Roles whose path starts with `path_prefix`, by name.
    pub fn list_roles(&self, account: &AccountId, path_prefix: &str) -> Vec<Role> {
        let found = self.entries(&of_account("role", account), Entry::role);
        found.iter().filter(|role| role.path.starts_with(path_prefix)).map(|role| Role::clone(role)).collect()
    }

    /// Changes a role.
    pub async fn update_role(&self, account: &AccountId, name: &str, update: RoleUpdate) -> Result<Role, IamError> {
        let trusted = self.trusted_by(update.check()?.as_ref()).await?;
        self.catalogue
            .transact(Reads::new().get(role_key(account, name)), |answers| {
                let mut role = answers.one::<Role>()?.ok_or_else(|| no_role(name))?;
                if let Some(description) = &update.description {
                    role.value.description = Some(description.clone());
                }
                if let Some(secs) = update.max_session_secs {
                    role.value.max_session_secs = secs;
                }
                if let Some(trust) = &update.trust {
                    role.value.trust = trust.clone().into();
                    role.value.trusted.clone_from(&trusted);
                }
                let mut change = Change::new();
                change.update(role_key(account, name), &role)?;
                Ok(Decision::Commit(change, role.value))
            })
            .await
    }
}

pub(crate) fn no_role(name: &str) -> IamError {
    IamError::NoSuchEntity(format!("The role with name {name} cannot be found."))
}
