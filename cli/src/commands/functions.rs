use serde_json::Value;

use super::connect;
use crate::args::Functions;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Table, cell};

pub(crate) fn run(functions: &Functions) -> Result<(), Failure> {
    let rows = with_runtimes(&connect(&functions.connection)?)?;
    if functions.connection.out.json() {
        return rows.iter().try_for_each(output::json);
    }
    if rows.is_empty() {
        output::progress("There is no function yet; `dormouse init` starts one.");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "RUNTIME", "RUNS ON", "MEMORY", "TIMEOUT", "STATE", "CHANGED"]);
    for row in &rows {
        let runs_on = match (row["runs_on"].as_str(), row["runtime_exact"].as_bool()) {
            (Some(version), Some(true)) => version.to_owned(),
            (Some(version), _) => format!("{version} (!)"),
            (None, _) => "nothing here (!)".to_owned(),
        };
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
        output::progress("(!) not the version that was asked for; `dormouse doctor` says what to install");
    }
    Ok(())
}

/// Every function of the account with what really runs it, page by page.
fn with_runtimes(client: &Client) -> Result<Vec<Value>, Failure> {
    let mut functions = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let query = next.iter().map(|next| ("next", next.clone())).collect();
        let mut page = client.admin("GET", "/functions", query, None)?;
        if let Some(Value::Array(items)) = page.get_mut("functions").map(Value::take) {
            functions.extend(items);
        }
        match page["next"].as_str() {
            Some(token) => next = Some(token.to_owned()),
            None => return Ok(functions),
        }
    }
}

/// Every function of the account as the Lambda API lists it, page by page.
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
