use serde_json::json;

use super::config::resolution;
use crate::args::Restore;
use crate::failure::Failure;
use crate::output;

/// Fills an empty data directory; one that holds anything is refused.
pub(crate) fn run(restore: &Restore) -> Result<(), Failure> {
    let config = resolution(&restore.settings)?.config;
    output::progress(format_args!("restoring {} into {}", restore.path.display(), config.data_dir.display()));
    let has_key =
        dormouse_node::restore(&config, &restore.path).map_err(|error| Failure::failed(format!("{error:#}")))?;
    if restore.settings.out.json() {
        let dir = config.data_dir.display().to_string();
        return output::json(&json!({ "data_dir": dir, "has_master_key": has_key }));
    }
    if !has_key {
        let key = config.master_key_path();
        let told = "the backup was made without the master key: put the key that its secrets are sealed under at";
        return output::line(format_args!("{told} {}, with mode 0600, before `dormouse up`", key.display()));
    }
    output::line(format_args!("{} is ready for `dormouse up`", config.data_dir.display()))
}
