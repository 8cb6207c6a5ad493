use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::connect;
use crate::args::Usage;
use crate::failure::Failure;
use crate::output::{self, Table, cell};

/// What things cost. `packaging/tariff.example.toml` explains each key.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Tariff {
    currency: String,
    per_million_invocations: f64,
    per_gb_second: f64,
    #[serde(default)]
    free_invocations: u64,
    #[serde(default)]
    free_gb_seconds: f64,
}

/// Invocations and GB-seconds of one version, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Amount {
    invocations: u64,
    gb_seconds: f64,
}

impl Tariff {
    fn read(path: &Path) -> Result<Self, Failure> {
        let unusable =
            |reason: String| Failure::usage(format!("the tariff {} cannot be used: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        toml::from_str(&text).map_err(|error| unusable(error.to_string().trim_end().to_owned()))
    }

    fn price(&self, amount: Amount) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "money is shown with a few digits")]
        let millions = amount.invocations as f64 / 1e6;
        millions * self.per_million_invocations + amount.gb_seconds * self.per_gb_second
    }

    /// What the free allowance takes off the price of all.
    fn allowance(&self, total: Amount) -> f64 {
        self.price(Amount {
            invocations: total.invocations.min(self.free_invocations),
            gb_seconds: total.gb_seconds.min(self.free_gb_seconds),
        })
    }
}

fn amount(row: &Value) -> Amount {
    Amount {
        invocations: row["invocations"].as_u64().unwrap_or_default(),
        gb_seconds: row["gb_seconds"].as_f64().unwrap_or_default(),
    }
}

pub(crate) fn run(usage: &Usage) -> Result<(), Failure> {
    let tariff = usage.tariff.as_deref().map(Tariff::read).transpose()?;
    let answer = connect(&usage.connection)?.admin("GET", "/usage", Vec::new(), None)?;
    let rows = answer["usage"].as_array().map(Vec::as_slice).unwrap_or_default();
    if usage.connection.out.json() { print_json(rows, tariff.as_ref()) } else { print_bill(rows, tariff.as_ref()) }
}

fn print_json(rows: &[Value], tariff: Option<&Tariff>) -> Result<(), Failure> {
    for row in rows {
        let mut row = row.clone();
        if let Some(tariff) = tariff {
            row["cost"] = json!(tariff.price(amount(&row)));
            row["currency"] = json!(tariff.currency);
        }
        output::json(&row)?;
    }
    Ok(())
}

fn print_bill(rows: &[Value], tariff: Option<&Tariff>) -> Result<(), Failure> {
    if rows.is_empty() {
        output::progress("Nothing has been used yet.");
        return Ok(());
    }
    bill(rows, tariff).print()
}

fn bill(rows: &[Value], tariff: Option<&Tariff>) -> Table {
    let mut headings =
        vec!["FUNCTION", "VERSION", "CALLS", "ERRORS", "THROTTLES", "COLD", "BILLED", "GB-SECONDS", "CPU"];
    headings.extend(tariff.map(|_| "COST"));
    let mut table = Table::new(&headings);
    let mut total = Amount::default();
    for row in rows {
        let used = amount(row);
        total = Amount {
            invocations: total.invocations + used.invocations,
            gb_seconds: total.gb_seconds + used.gb_seconds,
        };
        let mut cells = vec![
            cell(&row["function"]),
            cell(&row["version"]),
            cell(&row["invocations"]),
            cell(&row["errors"]),
            cell(&row["throttles"]),
            cell(&row["cold_starts"]),
            format!("{} ms", row["billed_ms"]),
            format!("{:.6}", used.gb_seconds),
            format!("{:.3} s", row["cpu_seconds"].as_f64().unwrap_or_default()),
        ];
        cells.extend(tariff.map(|tariff| money(tariff.price(used), tariff)));
        table.row(cells);
    }
    if let Some(tariff) = tariff {
        let mut line = |name: &str, price: f64| {
            let mut cells = vec![String::new(); 9];
            name.clone_into(&mut cells[0]);
            cells.push(money(price, tariff));
            table.row(cells);
        };
        let (price, allowance) = (tariff.price(total), tariff.allowance(total));
        if allowance > 0.0 {
            line("free allowance", -allowance);
        }
        line("total", price - allowance);
    }
    table
}

/// Six digits, because one call costs a fraction of a cent. What is nothing has no sign.
fn money(amount: f64, tariff: &Tariff) -> String {
    format!("{:.6} {}", if amount.abs() < 5e-7 { 0.0 } else { amount }, tariff.currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tariff(text: &str) -> Tariff {
        toml::from_str(text).expect("a tariff")
    }

    #[test]
    fn a_price_is_calls_and_memory_over_time() {
        let tariff = tariff(
            "currency = \"USD\"\nper_million_invocations = 0.2\nper_gb_second = 0.00002\nfree_invocations = 10\n",
        );
        let used = Amount { invocations: 1_000_000, gb_seconds: 100.0 };
        assert_eq!(money(tariff.price(used), &tariff), "0.202000 USD");
        assert_eq!(money(tariff.allowance(used), &tariff), "0.000002 USD");
        assert_eq!(money(-1e-9, &tariff), "0.000000 USD");
    }

    #[test]
    fn the_example_tariff_is_one() {
        let text = include_str!("../../../packaging/tariff.example.toml");
        assert!(tariff(text).per_gb_second > 0.0);
    }

    #[test]
    fn an_unknown_key_of_a_tariff_is_refused() {
        let text = "currency = \"USD\"\nper_million_invocations = 1\nper_gb_second = 1\nper_call = 3\n";
        assert!(toml::from_str::<Tariff>(text).is_err());
    }
}
