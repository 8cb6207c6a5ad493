use std::io::IsTerminal as _;

use dormouse_model::{Clock as _, SystemClock};
use serde_json::Value;

use super::connect;
use crate::args::Logs;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(logs: &Logs) -> Result<(), Failure> {
    let client = connect(&logs.connection)?;
    let mut query = vec![("function", logs.name.clone())];
    if let Some(since) = logs.since {
        query.push(("since", since.from(SystemClock.now()).as_millis().to_string()));
    }
    if logs.follow {
        query.push(("follow", "1".to_owned()));
    }
    let json = logs.connection.out.json();
    let dim = output::colour(std::io::stdout().is_terminal());
    client.admin_lines(
        "/logs",
        query,
        |record| if json { output::json(&record) } else { output::line(line(&record, dim)) },
    )?;
    if logs.follow {
        output::progress("The platform is stopping; nothing more comes.");
    }
    Ok(())
}

/// `2026-11-23T05:28:44.123Z text`, the time dimmed on a terminal.
fn line(record: &Value, dim: bool) -> String {
    let time = match record.get("time") {
        Some(Value::Number(millis)) => millis.as_u64().map(|millis| dormouse_model::Timestamp(millis).to_string()),
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    let text = record.get("text").and_then(Value::as_str).unwrap_or_default();
    match (time, dim) {
        (Some(time), true) => format!("\u{1b}[2m{time}\u{1b}[0m {text}"),
        (Some(time), false) => format!("{time} {text}"),
        (None, _) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_one_line_with_its_time() {
        assert_eq!(line(&json!({"time": 1_795_325_324_007_u64, "text": "a"}), false), "2026-11-22T05:28:44.007Z a");
        assert_eq!(line(&json!({"time": "now", "text": "a"}), true), "\u{1b}[2mnow\u{1b}[0m a");
        assert_eq!(line(&json!({"text": "a"}), true), "a");
    }
}
