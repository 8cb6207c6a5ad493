//! What goes to stdout and stderr: tables and lines for people, JSON lines for programs, colour on a terminal only.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::failure::Failure;

/// How a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text and tables for people
    #[default]
    Text,
    /// JSON, one object on each line where there are several
    Json,
}

/// Writes a line to stdout.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{text}").map_err(|error| Failure::stdout(&error))
}

/// Writes one JSON value as a line to stdout.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    line(value)
}

/// Writes bytes and a line end to stdout, at once.
pub(crate) fn bytes(content: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(content).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::stdout(&error))
}

/// Tells a person on stderr what is going on. Nobody may be listening there, which stops nothing.
pub(crate) fn progress(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says what went wrong.
pub(crate) fn error(text: &str) {
    let label = if colour(io::stderr().is_terminal()) { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
    progress(format_args!("{label}: {text}"));
}

/// Says what should be looked at.
pub(crate) fn warning(text: impl Display) {
    let label = if colour(io::stderr().is_terminal()) { "\u{1b}[1;33mwarning\u{1b}[0m" } else { "warning" };
    progress(format_args!("{label}: {text}"));
}

/// Whether to colour what goes to a terminal: not when `NO_COLOR` is set to anything (no-color.org).
pub(crate) fn colour(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Does the same with each id, all that can be done, and fails when something could not. As JSON, what was done is a line
/// `{"id", "done"}`.
pub(crate) fn each(
    ids: &[String],
    done: &str,
    as_json: bool,
    act: impl Fn(&str) -> Result<Value, Failure>,
) -> Result<(), Failure> {
    let mut failed = false;
    for id in ids {
        match act(id) {
            Ok(_) if as_json => json(&serde_json::json!({ "id": id, "done": done }))?,
            Ok(_) => progress(format_args!("{id} {done}")),
            Err(failure) => {
                error(&format!("{id}: {}", failure.message));
                failed = true;
            }
        }
    }
    if failed { Err(Failure::said()) } else { Ok(()) }
}

/// A table for people: columns as wide as their widest cell, two spaces between them.
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes it to stdout.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        let text = self.text(colour(io::stdout().is_terminal()));
        write!(io::stdout().lock(), "{text}").map_err(|error| Failure::stdout(&error))
    }

    fn text(&self, coloured: bool) -> String {
        let headings: Vec<String> = self.headings.iter().map(|heading| (*heading).to_owned()).collect();
        let widths: Vec<usize> = (0..headings.len())
            .map(|n| std::iter::once(&headings).chain(&self.rows).filter_map(|row| row.get(n)).map(|c| width(c)).max())
            .map(|widest| widest.unwrap_or(0))
            .collect();
        let head = aligned(&headings, &widths);
        let mut text = if coloured { format!("\u{1b}[1m{head}\u{1b}[0m\n") } else { format!("{head}\n") };
        for row in &self.rows {
            text.push_str(&aligned(row, &widths));
            text.push('\n');
        }
        text
    }
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

fn aligned(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, wide) in cells.iter().zip(widths) {
        text.push_str(cell);
        text.extend(std::iter::repeat_n(' ', wide - width(cell) + 2));
    }
    text.truncate(text.trim_end().len());
    text
}

/// Whatever a JSON value is, as a cell: text without quotes, nothing for null.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_blanks() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(["a".to_owned(), "Active".to_owned()]);
        table.row(["größer".to_owned(), String::new()]);
        assert_eq!(table.text(false), "NAME    STATE\na       Active\ngrößer\n");
        assert!(table.text(true).starts_with("\u{1b}[1mNAME    STATE\u{1b}[0m\n"));
    }
}
