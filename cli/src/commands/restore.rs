use serde_json::json;

use super::config::resolution;
use crate::args::Restore;
use crate::failure::Failure;
use crate::output;

/// Fills an empty data directory; one that holds anything is refused.
pub(crate) fn run(restore: &Restore) -> Result<(), Failure> {
    let config = resolution(&restore.settings)?.config;
    output::progress(format_args!("filling {}", config.data_dir.display()));
    dormouse_node::restore(&config, &restore.path).map_err(|error| Failure::failed(format!("{error:#}")))?;
    if restore.settings.out.json() {
        return output::json(&json!({ "data_dir": config.data_dir.display().to_string() }));
    }
    output::line(format_args!("{} is ready for `dormouse up`", config.data_dir.display()))
}
