use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dormouse_front::Response;
use dormouse_functions::{FunctionVersion, Page};
use serde_json::{Value, json};

use crate::access::Call;
use crate::answer;
use crate::error::AdminError;
use crate::query::Query;
use crate::surface::{RuntimeSummary, Runtimes};

/// `GET functions[?next=TOKEN]`: functions with what really runs them.
pub(super) async fn list(call: &Call<'_>) -> Result<Response, AdminError> {
    let query = Query::read(&call.query, &["next"])?;
    let account = &call.caller.account;
    call.may(account, "function", "*").await?;
    let page = Page { marker: query.text("next").map(str::to_owned), max_items: None };
    let found = call.parts.functions.list_functions(account, page, false).await?;
    let runtimes = runtimes_of(call, &found.items).await?;
    let object = |function| object(function, &runtimes);
    let functions: Vec<Value> = found.items.iter().map(object).collect();
    Ok(answer::json(&json!({ "functions": functions, "next": found.next_marker })))
}

/// What runs the functions, by the name of the runtime.
async fn runtimes_of(
    call: &Call<'_>,
    functions: &[FunctionVersion],
) -> Result<BTreeMap<String, RuntimeSummary>, AdminError> {
    let names: BTreeSet<String> = functions.iter().map(|function| function.configuration.runtime.clone()).collect();
    looked_for(call, |known| names.into_iter().filter_map(|name| Some((name.clone(), known.runtime(&name)?))).collect())
        .await
}

/// Looking for interpreters executes programs, the first time.
async fn looked_for<T: Send + 'static>(
    call: &Call<'_>,
    look: impl FnOnce(&dyn Runtimes) -> T + Send + 'static,
) -> Result<T, AdminError> {
    let runtimes = Arc::clone(&call.parts.runtimes);
    let search = tokio::task::spawn_blocking(move || look(&*runtimes));
    search.await.map_err(|error| AdminError::internal("the search for runtimes failed", &error))
}

fn object(function: &FunctionVersion, runtimes: &BTreeMap<String, RuntimeSummary>) -> Value {
    let configuration = &function.configuration;
    let runtime = runtimes.get(configuration.runtime.as_str());
    json!({
        "name": function.arn.name,
        "arn": function.arn.to_string(),
        "runtime": configuration.runtime,
        "runs_on": runtime.and_then(|runtime| runtime.version.as_deref()),
        "runtime_exact": runtime.is_some_and(|runtime| runtime.exact),
        "remedy": runtime.and_then(|runtime| runtime.remedy.as_deref()),
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
    let all = looked_for(call, |known| known.all()).await?;
    Ok(answer::json(&json!({ "runtimes": all })))
}
