use std::io::IsTerminal as _;

use dormouse_node::Announcement;
use dormouse_node::config::{Config, LogFormat};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::config::resolution;
use crate::args::Up;
use crate::failure::Failure;
use crate::output;

/// The order of a start: the whole configuration, logging, the runtime, and then the node.
pub(crate) fn run(up: &Up) -> Result<(), Failure> {
    let config = resolution(&up.settings)?.config;
    start_logging(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let json = up.settings.out.json();
    let ended = runtime.block_on(dormouse_node::up(config, move |announcement| announce(announcement, json)));
    ended.map_err(|error| Failure::failed(format!("{error:#}")))
}

/// One line on stdout. Nobody may be reading it, which is no reason to stop.
fn announce(announcement: &Announcement, as_json: bool) {
    let Announcement { endpoint, region, account_id, access_key_id, secret_access_key } = announcement;
    let written = if as_json {
        let mut line = json!({
            "endpoint": endpoint,
            "region": region,
            "account_id": account_id,
            "access_key_id": access_key_id,
        });
        if let Some(secret) = secret_access_key {
            line["secret_access_key"] = json!(secret);
        }
        output::json(&line)
    } else {
        let secret =
            secret_access_key.as_ref().map(|secret| format!(" secret_access_key={secret}")).unwrap_or_default();
        output::line(format_args!(
            "{endpoint} region={region} account_id={account_id} access_key_id={access_key_id}{secret}"
        ))
    };
    if let Err(failure) = written {
        tracing::warn!("the address could not be announced on standard output: {}", failure.message);
    }
}

fn start_logging(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::builder().parse(&config.log.level).map_err(|error| {
        Failure::usage(format!("log.level cannot be {:?} ({error}): it takes a level such as info", config.log.level))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.with_ansi(output::colour(std::io::stderr().is_terminal())).init(),
    }
    Ok(())
}
