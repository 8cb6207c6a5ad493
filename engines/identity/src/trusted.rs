//! Whom trust policies name. A name is turned into the unique id of whoever has it when the policy is saved: a user or role
//! that is made later under the name of one that was deleted is not trusted. As long as nobody was deleted a policy is shown
//! as it was given; then with the id in the place of the name.

use std::collections::BTreeMap;

use dormouse_model::Arn;
use serde_json::Value;

use crate::identity::split_arn;
use crate::policy::{MalformedPolicy, Policy};
use crate::records::Role;
use crate::{IamError, Identity};

impl Identity {
    /// The unique ids behind the ARNs of a policy. Whoever is named must exist.
    pub(crate) async fn trusted_by(&self, policy: Option<&Policy>) -> Result<BTreeMap<String, String>, IamError> {
        let arns = || policy.into_iter().flat_map(Policy::named_arns);
        if arns().any(|arn| self.principal_id(arn).is_none()) {
            self.catch_up().await?;
        }
        let bind = |arn: &str| match self.principal_id(arn) {
            Some(id) => Ok((arn.to_owned(), id)),
            None => {
                let text = format!("Invalid principal in policy: \"AWS\":\"{arn}\"");
                Err(MalformedPolicy::Principal(text).into())
            }
        };
        arns().map(bind).collect()
    }

    /// The trust policy of a role as it is shown.
    pub fn shown_trust(&self, role: &Role) -> String {
        let gone: BTreeMap<&str, &str> = role
            .trusted
            .iter()
            .filter(|(arn, id)| self.principal_id(arn).as_ref() != Some(id))
            .map(|(arn, id)| (arn.as_str(), id.as_str()))
            .collect();
        let text = role.trust.as_str();
        match serde_json::from_str(text) {
            Ok(mut document) if !gone.is_empty() => {
                rename(&mut document, &gone);
                document.to_string()
            }
            _ => text.to_owned(),
        }
    }

    /// `AIDA...`, `AROA...`, or `AROA...:SESSION`; none when nobody has the ARN.
    fn principal_id(&self, arn: &str) -> Option<String> {
        if let Some((account, name)) = split_arn(arn, "user") {
            return self.user_entry(&account, &name).filter(|user| user.arn() == arn).map(|user| user.id.clone());
        }
        if let Some((account, name)) = split_arn(arn, "role") {
            return self.role_entry(&account, &name).filter(|role| role.arn() == arn).map(|role| role.id.clone());
        }
        let session: Arn = arn.parse().ok().filter(|arn: &Arn| arn.service == "sts")?;
        let (name, session_name) = session.resource.strip_prefix("assumed-role/")?.split_once('/')?;
        let role = self.role_entry(&session.account.parse().ok()?, name).filter(|role| role.name == name)?;
        Some(format!("{}:{session_name}", role.id))
    }
}

/// Puts other names into the principals of a document that has been checked.
fn rename(document: &mut Value, names: &BTreeMap<&str, &str>) {
    let statements = match document.get_mut("Statement") {
        Some(Value::Array(list)) => list.iter_mut().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    for statement in statements {
        match statement.pointer_mut("/Principal/AWS") {
            Some(Value::Array(list)) => list.iter_mut().for_each(|name| replace(name, names)),
            Some(name) => replace(name, names),
            None => {}
        }
    }
}

fn replace(name: &mut Value, names: &BTreeMap<&str, &str>) {
    if let Some(other) = name.as_str().and_then(|name| names.get(name)) {
        *name = Value::from(*other);
    }
}
