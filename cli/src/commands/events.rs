use serde_json::Value;

use super::connect;
use crate::args::EventsAction;
use crate::client::{Client, encode};
use crate::failure::Failure;
use crate::output::{self, Table, cell};

pub(crate) fn run(action: &EventsAction) -> Result<(), Failure> {
    match action {
        EventsAction::List { function, connection } => {
            let client = connect(connection)?;
            list(&client, function.as_deref(), connection.out.json())
        }
        EventsAction::Show { id, connection } => {
            let event = connect(connection)?.admin("GET", &format!("/events/{}", encode(id)), Vec::new(), None)?;
            if connection.out.json() { output::json(&event) } else { show(&event) }
        }
        EventsAction::Redrive { ids, connection } => {
            let client = connect(connection)?;
            output::each(ids, "sent again", connection.out.json(), |id| {
                client.admin("POST", &format!("/events/{}/redrive", encode(id)), Vec::new(), None)
            })
        }
        EventsAction::Drop { ids, connection } => {
            let client = connect(connection)?;
            output::each(ids, "dropped", connection.out.json(), |id| {
                client.admin("DELETE", &format!("/events/{}", encode(id)), Vec::new(), None)
            })
        }
    }
}

fn list(client: &Client, function: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut table = Table::new(&["ID", "FUNCTION", "REASON", "ATTEMPTS", "ACCEPTED", "ENDED"]);
    let mut token: Option<String> = None;
    let mut count = 0_usize;
    loop {
        let mut query: Vec<(&str, String)> = function.iter().map(|name| ("function", (*name).to_owned())).collect();
        query.extend(token.take().map(|token| ("next", token)));
        let page = client.admin("GET", "/events", query, None)?;
        let events = page["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        count += events.len();
        for event in events {
            if json {
                output::json(event)?;
            } else {
                let columns = ["id", "function", "reason", "attempts", "accepted", "ended"];
                table.row(columns.map(|column| cell(&event[column])));
            }
        }
        match page["next"].as_str() {
            Some(next) => token = Some(next.to_owned()),
            None => break,
        }
    }
    if json {
        return Ok(());
    }
    if count == 0 {
        output::progress("No event is exhausted.");
        return Ok(());
    }
    table.print()
}

fn show(event: &Value) -> Result<(), Failure> {
    for (key, value) in event.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        output::line(format_args!("{key}: {}", cell(value)))?;
    }
    Ok(())
}
