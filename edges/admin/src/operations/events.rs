use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dormouse_front::Response;
use dormouse_functions::{DeadEvent, DeadEventDetails, Page};
use dormouse_model::RequestId;
use serde_json::{Value, json};

use crate::access::Call;
use crate::answer;
use crate::error::AdminError;
use crate::query::Query;

/// `GET events[?function=NAME][&limit=N][&next=TOKEN]`: asynchronous invocations that were given up, oldest first.
pub(super) async fn list(call: &Call<'_>) -> Result<Response, AdminError> {
    let query = Query::read(&call.query, &["function", "limit", "next"])?;
    let account = &call.caller.account;
    let function = query.text("function").map(str::parse).transpose()?;
    call.may(account, "event", "*").await?;
    let page =
        Page { marker: query.text("next").map(str::to_owned), max_items: query.get("limit", "a number of events")? };
    let found = call.parts.functions.list_dead_events(account, function.as_ref(), page).await?;
    let events: Vec<Value> = found.items.iter().map(object).collect();
    Ok(answer::json(&json!({ "events": events, "next": found.next_marker })))
}

/// `GET events/ID`: one of them, with its payload.
pub(super) async fn show(call: &Call<'_>, id: &str) -> Result<Response, AdminError> {
    let id = named(call, id).await?;
    let DeadEventDetails { event, payload } = call.parts.functions.get_dead_event(&call.caller.account, id).await?;
    let mut shown = object(&event);
    match std::str::from_utf8(&payload) {
        Ok(text) => shown["payload"] = json!(text),
        Err(_) => shown["payload_base64"] = json!(BASE64_STANDARD.encode(&payload)),
    }
    Ok(answer::json(&shown))
}

/// `POST events/ID/redrive`: sends it again.
pub(super) async fn redrive(call: &Call<'_>, id: &str) -> Result<Response, AdminError> {
    let id = named(call, id).await?;
    call.parts.functions.redrive_dead_event(&call.caller.account, id).await?;
    Ok(answer::nothing())
}

/// `DELETE events/ID`: forgets it.
pub(super) async fn forget(call: &Call<'_>, id: &str) -> Result<Response, AdminError> {
    let id = named(call, id).await?;
    call.parts.functions.drop_dead_event(&call.caller.account, id).await?;
    Ok(answer::nothing())
}

async fn named(call: &Call<'_>, id: &str) -> Result<RequestId, AdminError> {
    Query::read(&call.query, &[])?;
    let id: RequestId = id.parse().map_err(|_| {
        AdminError::Invalid(format!(
            "{id:?} is not the id of an event: it takes the request id that the asynchronous invocation was answered with"
        ))
    })?;
    call.may(&call.caller.account, "event", &id.to_string()).await?;
    Ok(id)
}

fn object(event: &DeadEvent) -> Value {
    json!({
        "id": event.id.to_string(),
        "function": event.function.name.as_str(),
        "function_arn": event.function.to_string(),
        "reason": event.reason.as_str(),
        "attempts": event.attempts,
        "accepted": event.received.to_string(),
        "ended": event.died.to_string(),
        "last_error": event.last_error,
        "payload_bytes": event.payload_bytes,
    })
}
