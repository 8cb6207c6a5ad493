//! The role that a function gets when its template names none.

use super::function::Role;
use crate::client::{CallError, Client, element, elements};
use crate::failure::Failure;

/// Who may take the role: functions.
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// The role's name. IAM allows 64 letters.
pub(super) fn name(stack: &str, logical_id: &str) -> Result<String, Failure> {
    let name = format!("{stack}-{logical_id}Role");
    if name.len() <= 64 {
        return Ok(name);
    }
    Err(Failure::failed(format!(
        "the role's name {name} is longer than 64 letters; give a shorter stack name with --name, or set Role"
    )))
}

/// Makes the role, or brings its policies to what the template says. Gives its ARN and whether anything changed.
pub(super) fn ensure(client: &Client, name: &str, role: &Role) -> Result<(String, bool), CallError> {
    let (managed, inline) = match role {
        Role::Existing(arn) => return Ok((arn.clone(), false)),
        Role::Own { managed, inline } => (managed, inline),
    };
    let (arn, mut changed) = match client.iam("GetRole", &[("RoleName", name)]) {
        Ok(answer) => (arn_in(&answer)?, false),
        Err(error) if error.is("NoSuchEntity") => {
            let parameters = [("RoleName", name), ("AssumeRolePolicyDocument", TRUST)];
            (arn_in(&client.iam("CreateRole", &parameters)?)?, true)
        }
        Err(error) => return Err(error),
    };
    let attached = elements(&client.iam("ListAttachedRolePolicies", &[("RoleName", name)])?, "PolicyArn");
    for policy in managed.iter().filter(|policy| !attached.contains(policy)) {
        client.iam("AttachRolePolicy", &[("RoleName", name), ("PolicyArn", policy)])?;
        changed = true;
    }
    for policy in attached.iter().filter(|policy| !managed.contains(policy)) {
        client.iam("DetachRolePolicy", &[("RoleName", name), ("PolicyArn", policy)])?;
        changed = true;
    }
    let known = elements(&client.iam("ListRolePolicies", &[("RoleName", name)])?, "member");
    let wanted: Vec<String> = (1..=inline.len()).map(|n| format!("{name}Policy{n}")).collect();
    for (policy, document) in wanted.iter().zip(inline) {
        let document = document.to_string();
        let parameters = [("RoleName", name), ("PolicyName", policy.as_str()), ("PolicyDocument", document.as_str())];
        client.iam("PutRolePolicy", &parameters)?;
        changed |= !known.contains(policy);
    }
    for policy in known.iter().filter(|policy| !wanted.contains(policy)) {
        client.iam("DeleteRolePolicy", &[("RoleName", name), ("PolicyName", policy)])?;
        changed = true;
    }
    Ok((arn, changed))
}

/// Removes a role with its policies; one that is not there is gone already.
pub(super) fn delete(client: &Client, name: &str) -> Result<bool, CallError> {
    let attached = match client.iam("ListAttachedRolePolicies", &[("RoleName", name)]) {
        Ok(answer) => elements(&answer, "PolicyArn"),
        Err(error) if error.is("NoSuchEntity") => return Ok(false),
        Err(error) => return Err(error),
    };
    for policy in attached {
        client.iam("DetachRolePolicy", &[("RoleName", name), ("PolicyArn", &policy)])?;
    }
    for policy in elements(&client.iam("ListRolePolicies", &[("RoleName", name)])?, "member") {
        client.iam("DeleteRolePolicy", &[("RoleName", name), ("PolicyName", &policy)])?;
    }
    client.iam("DeleteRole", &[("RoleName", name)])?;
    Ok(true)
}

fn arn_in(answer: &str) -> Result<String, CallError> {
    element(answer, "Arn")
        .ok_or_else(|| CallError::Failure(Failure::failed("the platform did not say which ARN the role has")))
}
