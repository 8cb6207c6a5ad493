//! Measures Dormouse beside bare references in the same session, and prints one table.
//!
//! What the figures do not show: the load generator shares the cores with what it measures, the disk is whatever is
//! under the temporary directory, and the network is loopback.

mod api;
mod bare;
mod load;
mod measure;
mod platform;
mod rows;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use crate::measure::{Row, table};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Prints one table of measurements and writes it to target/bench/report.json.
#[derive(Debug, Parser)]
struct Options {
    /// The release build of dormouse
    #[arg(long)]
    dormouse: PathBuf,
    /// Ids of rows, separated by commas; all when empty
    #[arg(long, default_value = "")]
    only: String,
    /// Where the report goes
    #[arg(long, default_value = "target/bench/report.json")]
    report: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let wanted: Vec<&str> = options.only.split(',').filter(|id| !id.is_empty()).collect();
    let is_wanted = |id: &str| wanted.is_empty() || wanted.contains(&id);
    let mut rows: Vec<Row> = Vec::new();
    if is_wanted("warm-ric") {
        rows.extend(rows::warm::official(&options.dormouse).await?);
    }
    if is_wanted("warm-own") {
        rows.extend(rows::warm::own(&options.dormouse).await?);
    }
    if is_wanted("cold-plain") {
        rows.extend(rows::cold::plain(&options.dormouse).await?);
    }
    if is_wanted("rest") {
        rows.extend(rows::rest::at_rest(&options.dormouse).await?);
    }
    if is_wanted("async") {
        rows.extend(rows::events::accepted(&options.dormouse).await?);
    }
    print!("{}", table(&rows));
    let dir = options.report.parent().context("the report lies in a directory")?;
    std::fs::create_dir_all(dir)?;
    std::fs::write(&options.report, serde_json::to_vec_pretty(&rows)?)?;
    Ok(())
}
