use serde_json::json;

use super::config::resolution;
use crate::args::Backup;
use crate::failure::Failure;
use crate::output;

/// Reads the data directory itself, so that it works beside a running platform and without one.
pub(crate) fn run(backup: &Backup) -> Result<(), Failure> {
    let config = resolution(&backup.settings)?.config;
    output::progress(format_args!("copying {} to {}", config.data_dir.display(), backup.path.display()));
    let size_bytes = dormouse_node::backup(&config, &backup.path, backup.with_master_key)
        .map_err(|error| Failure::failed(format!("{error:#}")))?;
    if !backup.with_master_key {
        let key = config.master_key_path();
        output::progress(format_args!("the master key is not in it: keep a copy of {} elsewhere", key.display()));
    }
    if backup.settings.out.json() {
        return output::json(&json!({ "path": backup.path.display().to_string(), "size_bytes": size_bytes }));
    }
    output::line(format_args!("{} holds a backup of {size_bytes} bytes", backup.path.display()))
}
