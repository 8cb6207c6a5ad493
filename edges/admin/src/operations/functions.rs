use dormouse_front::Response;
use dormouse_functions::{FunctionVersion, Page};
use serde_json::{Value, json};

use crate::access::Call;
use crate::answer;
use crate::error::AdminError;
use crate::query::Query;

/// `GET functions[?next=TOKEN]`: functions with what really runs them.
pub(super) async fn list(call: &Call<'_>) -> Result<Response, AdminError> {
    let query = Query::read(&call.query, &["next"])?;
    let account = &call.caller.account;
    call.may(account, "function", "*").await?;
    let page = Page { marker: query.text("next").map(str::to_owned), max_items: None };
    let found = call.parts.functions.list_functions(account, page, false).await?;
    let functions: Vec<Value> = found.items.iter().map(|function| object(call, function)).collect();
    Ok(answer::json(&json!({ "functions": functions, "next": found.next_marker })))
}

fn object(call: &Call<'_>, function: &FunctionVersion) -> Value {
    let configuration = &function.configuration;
    let runtime = call.parts.runtimes.runtime(&configuration.runtime);
    json!({
        "name": function.arn.name,
        "arn": function.arn.to_string(),
        "runtime": configuration.runtime,
        "runs_on": runtime.as_ref().and_then(|runtime| runtime.version.as_deref()),
        "runtime_exact": runtime.as_ref().is_some_and(|runtime| runtime.exact),
        "remedy": runtime.as_ref().and_then(|runtime| runtime.remedy.as_deref()),
        "handler": configuration.handler,
        "memory_mb": configuration.memory_mb,
        "timeout_secs": configuration.timeout_secs,
        "state": function.state.as_str(),
        "last_modified": function.last_modified.to_string(),
    })
}

/// `GET runtimes`: the runtimes of this host, and what each really is.
pub(super) async fn runtimes(call: &Call<'_>) -> Result<Response, AdminError> {
    Query::read(&call.query, &[])?;
    call.may(&call.caller.account, "runtime", "*").await?;
    Ok(answer::json(&json!({ "runtimes": call.parts.runtimes.all() })))
}
