//! One file for each noun.

mod accounts;
mod events;
mod functions;
mod keys;
mod logs;
mod usage;

use dormouse_front::Response;
use serde::de::DeserializeOwned;

use crate::access::Call;
use crate::error::AdminError;
use crate::route::Operation;

/// Does what was asked for, if the caller may.
pub(crate) async fn run(call: &Call<'_>) -> Result<Response, AdminError> {
    match &call.operation {
        Operation::Logs => logs::get(call).await,
        Operation::Usage => usage::get(call).await,
        Operation::Functions => functions::list(call).await,
        Operation::Runtimes => functions::runtimes(call).await,
        Operation::ListEvents => events::list(call).await,
        Operation::ShowEvent(id) => events::show(call, id).await,
        Operation::RedriveEvent(id) => events::redrive(call, id).await,
        Operation::DropEvent(id) => events::forget(call, id).await,
        Operation::ListAccounts => accounts::list(call).await,
        Operation::CreateAccount => accounts::create(call).await,
        Operation::ListKeys => keys::list(call).await,
        Operation::CreateKey => keys::create(call).await,
        Operation::RevokeKey(id) => keys::revoke(call, id).await,
    }
}

/// Reads a JSON body; an empty one counts as `{}`.
fn body<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, AdminError> {
    let text: &[u8] = if call.body.is_empty() { b"{}" } else { &call.body };
    serde_json::from_slice(text).map_err(|error| AdminError::Invalid(format!("the body cannot be read: {error}")))
}
