use dormouse_front::Response;
use dormouse_identity::Identity;
use dormouse_model::AccountId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Call;
use crate::answer;
use crate::error::AdminError;
use crate::query::Query;

/// How often a free number is looked for before we give up; with twelve digits the first is as good as always free.
const TRIES: usize = 8;

/// `GET accounts`: all accounts of the node.
pub(super) async fn list(call: &Call<'_>) -> Result<Response, AdminError> {
    Query::read(&call.query, &[])?;
    call.may(&call.parts.operator, "account", "*").await?;
    let accounts = call.parts.identity.list_accounts();
    let object = |account: &dormouse_identity::records::Account| json!({ "id": account.id, "name": account.name, "created": account.created.to_string() });
    let accounts: Vec<Value> = accounts.iter().map(object).collect();
    Ok(answer::json(&json!({ "accounts": accounts })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    id: Option<AccountId>,
    #[serde(default)]
    name: String,
}

/// `POST accounts` with `{"id"?, "name"?}`: makes an account, and a key for its root, whose secret is shown this once.
pub(super) async fn create(call: &Call<'_>) -> Result<Response, AdminError> {
    Query::read(&call.query, &[])?;
    let Create { id, name } = super::body(call)?;
    let identity = &call.parts.identity;
    let id = match id {
        Some(id) => id,
        None => free_id(identity)?,
    };
    call.may(&call.parts.operator, "account", id.as_str()).await?;
    identity.create_account(&id, &name).await?;
    let key = identity.create_root_key(&id).await?;
    Ok(answer::created(&json!({
        "id": id,
        "name": name,
        "access_key_id": key.key.id,
        "secret_access_key": *key.secret_access_key,
    })))
}

/// Twelve random digits that no account has yet.
fn free_id(identity: &Identity) -> Result<AccountId, AdminError> {
    for _ in 0..TRIES {
        let digits = dormouse_model::RequestId::random().0.as_u128() % 1_000_000_000_000;
        let id: AccountId = format!("{digits:012}").parse()?;
        if identity.account(&id).is_none() {
            return Ok(id);
        }
    }
    Err(AdminError::Conflict("no free account id was found: name one with id".to_owned()))
}
