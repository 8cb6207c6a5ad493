use serde_json::{Value, json};

use super::connect;
use crate::args::Functions;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Table, cell};

pub(crate) fn run(functions: &Functions) -> Result<(), Failure> {
    let client = connect(&functions.connection)?;
    let all = all(&client)?;
    let runtimes = runtimes(&client);
    let rows: Vec<Value> = all.iter().map(|function| described(function, &runtimes)).collect();
    if functions.connection.out.json() {
        return rows.iter().try_for_each(output::json);
    }
    if rows.is_empty() {
        output::progress("There is no function yet; `dormouse init` starts one.");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "RUNTIME", "RUNS ON", "MEMORY", "TIMEOUT", "STATE", "CHANGED"]);
    for row in &rows {
        let inexact = row["runtime_exact"] == Value::Bool(false) && row["runs_on"].is_string();
        let runs_on = if inexact { format!("{} (!)", cell(&row["runs_on"])) } else { cell(&row["runs_on"]) };
        table.row([
            cell(&row["name"]),
            cell(&row["runtime"]),
            runs_on,
            format!("{} MB", row["memory_mb"]),
            format!("{} s", row["timeout_secs"]),
            cell(&row["state"]),
            cell(&row["last_modified"]),
        ]);
    }
    table.print()?;
    if rows.iter().any(|row| row["runtime_exact"] == Value::Bool(false)) {
        output::progress("(!) another version than the one asked for; `dormouse doctor` says what to install.");
    }
    Ok(())
}

/// Every function of the account, page by page.
pub(crate) fn all(client: &Client) -> Result<Vec<Value>, Failure> {
    let mut functions = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let query = marker.iter().map(|marker| ("Marker", marker.clone())).collect();
        let page = client.lambda("GET", "/2015-03-31/functions".to_owned(), query, None);
        let mut page = page.map_err(crate::client::CallError::into_failure)?;
        if let Some(Value::Array(items)) = page.get_mut("Functions").map(Value::take) {
            functions.extend(items);
        }
        match page["NextMarker"].as_str() {
            Some(next) if !next.is_empty() => marker = Some(next.to_owned()),
            _ => return Ok(functions),
        }
    }
}

/// What each runtime really is on that host. Keys that may list functions need not be allowed to see the host, so a
/// refusal leaves this column empty.
fn runtimes(client: &Client) -> Vec<Value> {
    match client.admin("GET", "/runtimes", Vec::new(), None) {
        Ok(answer) => answer["runtimes"].as_array().cloned().unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

fn described(function: &Value, runtimes: &[Value]) -> Value {
    let runtime = runtimes.iter().find(|runtime| runtime["name"] == function["Runtime"]);
    let of_runtime = |key: &str| runtime.map(|runtime| runtime[key].clone()).unwrap_or_default();
    json!({
        "name": function["FunctionName"],
        "arn": function["FunctionArn"],
        "runtime": function["Runtime"],
        "runs_on": of_runtime("version"),
        "runtime_exact": of_runtime("exact"),
        "handler": function["Handler"],
        "memory_mb": function["MemorySize"],
        "timeout_secs": function["Timeout"],
        "state": function["State"],
        "last_modified": function["LastModified"],
        "code_sha256": function["CodeSha256"],
        "description": function["Description"],
    })
}
