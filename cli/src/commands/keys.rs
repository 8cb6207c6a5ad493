use serde_json::json;

use super::accounts::{listed, shown_once};
use super::connect;
use crate::args::KeysAction;
use crate::client::encode;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(action: &KeysAction) -> Result<(), Failure> {
    match action {
        KeysAction::Create { account, connection } => {
            let body = match account {
                Some(account) => json!({ "account": account }),
                None => json!({}),
            };
            let made = connect(connection)?.admin("POST", "/keys", Vec::new(), Some(&body))?;
            shown_once(&made, connection.out.json())
        }
        KeysAction::List { account, connection } => {
            let query = account.iter().map(|account| ("account", account.to_string())).collect();
            let answer = connect(connection)?.admin("GET", "/keys", query, None)?;
            let columns =
                [("ID", "access_key_id"), ("ACCOUNT", "account"), ("STATUS", "status"), ("CREATED", "created")];
            listed(&answer["keys"], &columns, connection.out.json())
        }
        KeysAction::Revoke { ids, connection } => {
            let client = connect(connection)?;
            output::each(ids, "revoked", connection.out.json(), |id| {
                client.admin("DELETE", &format!("/keys/{}", encode(id)), Vec::new(), None)
            })
        }
    }
}
