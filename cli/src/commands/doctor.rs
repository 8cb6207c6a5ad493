use dormouse_node::doctor::{Check, State};
use serde_json::json;

use super::config::resolution;
use crate::args::Doctor;
use crate::failure::Failure;
use crate::output::{self, Table};

pub(crate) fn run(doctor: &Doctor) -> Result<(), Failure> {
    let config = resolution(&doctor.settings)?.config;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let checks = runtime.block_on(dormouse_node::doctor::examine(&config));
    let checks = checks.map_err(|error| Failure::failed(format!("{error:#}")))?;
    if doctor.settings.out.json() {
        checks.iter().try_for_each(|check| output::json(&described(check)))?;
    } else {
        print(&checks)?;
    }
    if checks.iter().any(|check| check.required && check.state != State::Holds) { Err(Failure::said()) } else { Ok(()) }
}

fn described(check: &Check) -> serde_json::Value {
    json!({
        "group": check.group,
        "name": check.name,
        "state": word(check.state),
        "required": check.required,
        "detail": check.detail,
        "remedy": check.remedy,
    })
}

fn word(state: State) -> &'static str {
    match state {
        State::Holds => "holds",
        State::Weaker => "weaker",
        State::Missing => "missing",
    }
}

fn print(checks: &[Check]) -> Result<(), Failure> {
    let mut table = Table::new(&["WHAT", "NAME", "STATE", "DETAIL"]);
    for check in checks {
        let required = if check.required && check.state != State::Holds { ", required" } else { "" };
        let state = format!("{}{required}", word(check.state));
        table.row([check.group.to_owned(), check.name.clone(), state, check.detail.clone()]);
    }
    table.print()?;
    let remedies: Vec<&Check> =
        checks.iter().filter(|check| check.state != State::Holds && check.remedy.is_some()).collect();
    if remedies.is_empty() {
        return Ok(());
    }
    output::line("\nWhat to change:")?;
    for check in remedies {
        output::line(format_args!("  {}: {}", check.name, check.remedy.as_deref().unwrap_or_default()))?;
    }
    Ok(())
}
