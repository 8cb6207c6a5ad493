use serde_json::{Map, Value, json};

use super::connect;
use crate::args::AccountsAction;
use crate::failure::Failure;
use crate::output::{self, Table, cell};

pub(crate) fn run(action: &AccountsAction) -> Result<(), Failure> {
    match action {
        AccountsAction::Create { id, name, connection } => {
            let given = [("id", id.as_ref().map(ToString::to_string)), ("name", name.clone())];
            let body: Map<String, Value> =
                given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))).collect();
            let made = connect(connection)?.admin("POST", "/accounts", Vec::new(), Some(&Value::Object(body)))?;
            shown_once(&made, connection.out.json())
        }
        AccountsAction::List { connection } => {
            let answer = connect(connection)?.admin("GET", "/accounts", Vec::new(), None)?;
            listed(
                &answer["accounts"],
                &[("ID", "id"), ("NAME", "name"), ("CREATED", "created")],
                connection.out.json(),
            )
        }
    }
}

/// What was made, with a secret that will not be shown again.
pub(super) fn shown_once(made: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(made);
    }
    for (key, value) in made.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        output::line(format_args!("{key}: {}", cell(value)))?;
    }
    output::progress("Keep the secret: it is not shown again.");
    Ok(())
}

/// A list, as lines of JSON or as a table of those keys.
pub(super) fn listed(items: &Value, columns: &[(&'static str, &str)], json: bool) -> Result<(), Failure> {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    if json {
        return items.iter().try_for_each(output::json);
    }
    let headings: Vec<&'static str> = columns.iter().map(|(heading, _)| *heading).collect();
    let mut table = Table::new(&headings);
    for item in items {
        table.row(columns.iter().map(|(_, key)| cell(&item[*key])));
    }
    table.print()
}
