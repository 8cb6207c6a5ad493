use dormouse_front::Response;
use dormouse_identity::records::AccessKey;
use dormouse_model::AccountId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Call;
use crate::answer;
use crate::error::AdminError;
use crate::query::Query;

/// `GET keys[?account=ID]`: the keys of the account's root. Those of its users are IAM's.
pub(super) async fn list(call: &Call<'_>) -> Result<Response, AdminError> {
    let query = Query::read(&call.query, &["account"])?;
    let account = call.account(query.text("account"))?;
    call.may(&call.owner_of(&account), "key", "*").await?;
    let keys = call.parts.identity.list_access_keys(&account, None)?;
    let keys: Vec<Value> = keys.iter().map(object).collect();
    Ok(answer::json(&json!({ "keys": keys })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    account: Option<AccountId>,
}

/// `POST keys` with `{"account"?}`: makes a key for the account's root, whose secret is shown this once.
pub(super) async fn create(call: &Call<'_>) -> Result<Response, AdminError> {
    Query::read(&call.query, &[])?;
    let Create { account } = super::body(call)?;
    let account = account.unwrap_or_else(|| call.caller.account.clone());
    call.may(&call.owner_of(&account), "key", "*").await?;
    let new = call.parts.identity.create_root_key(&account).await?;
    let mut shown = object(&new.key);
    shown["secret_access_key"] = json!(*new.secret_access_key);
    Ok(answer::created(&shown))
}

/// `DELETE keys/ID`: the key, and what was given out through it, is refused from now on.
pub(super) async fn revoke(call: &Call<'_>, id: &str) -> Result<Response, AdminError> {
    Query::read(&call.query, &[])?;
    let key = call.parts.identity.access_key(id);
    // A key of somebody else and a key of nobody look alike to who may not know.
    let owner = key.as_ref().map_or_else(|| call.parts.operator.clone(), |key| call.owner_of(&key.account));
    call.may(&owner, "key", id).await?;
    let key = key.ok_or_else(|| AdminError::NotFound(format!("there is no access key {id}")))?;
    call.parts.identity.delete_access_key(&key.account, key.user.as_deref(), id).await?;
    Ok(answer::nothing())
}

fn object(key: &AccessKey) -> Value {
    json!({
        "access_key_id": key.id,
        "account": key.account,
        "user": key.user,
        "status": if key.active { "Active" } else { "Inactive" },
        "created": key.created.to_string(),
    })
}
