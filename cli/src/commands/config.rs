use dormouse_node::config::{Resolution, Sources, example_file, resolve};
use serde_json::json;

use crate::args::{ConfigArgs, Settings};
use crate::failure::Failure;
use crate::output::{self, Table};

pub(crate) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    if args.example {
        return output::bytes(example_file().trim_end().as_bytes());
    }
    let resolution = resolution(&args.settings)?;
    if args.settings.out.json() {
        for row in &resolution.values {
            output::json(&json!({
                "key": row.setting.key,
                "value": row.value,
                "origin": row.origin.to_string(),
                "default": row.setting.default,
                "unit": row.setting.unit,
            }))?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["KEY", "VALUE", "ORIGIN"]);
    for row in &resolution.values {
        let unit = if row.setting.unit.is_empty() || row.value.is_empty() { "" } else { row.setting.unit };
        let value = format!("{} {unit}", row.value).trim().to_owned();
        table.row([row.setting.key.to_owned(), value, row.origin.to_string()]);
    }
    table.print()
}

/// Resolves flags, environment and file. What is wrong with them is a usage error.
pub(super) fn resolution(settings: &Settings) -> Result<Resolution, Failure> {
    let mut sources = Sources::of_process(settings.config.as_deref()).map_err(Failure::usage)?;
    let flags = [
        ("data_dir", "--data-dir", &settings.data_dir),
        ("listen", "--listen", &settings.listen),
        ("region", "--region", &settings.region),
        ("account_id", "--account-id", &settings.account_id),
        ("domain", "--domain", &settings.domain),
        ("master_key_file", "--master-key-file", &settings.master_key_file),
    ];
    let given = flags.into_iter().filter_map(|(key, flag, value)| Some((key, flag, value.clone()?)));
    sources.flags.extend(given);
    resolve(&sources).map_err(Failure::usage)
}
