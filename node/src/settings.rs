//! The configuration as the settings of each part. Pure.

use std::path::Path;
use std::time::Duration;

use dormouse_front::{FrontSettings, TlsSettings};
use dormouse_functions::Settings as FunctionSettings;
use dormouse_process::{PlatformEndpoint, ProcessConfig, SdkDirs};
use dormouse_telemetry::{LogSettings, UsageSettings};

use crate::config::{Config, Millis, Seconds};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MB: u64 = 1 << 20;
/// A function's log consists of at least so many segments when it is as large as it may become.
const LOG_SEGMENTS: u64 = 8;

fn secs(value: Seconds) -> Duration {
    Duration::from_secs(value.0)
}

fn millis(value: Millis) -> Duration {
    Duration::from_millis(value.0)
}

pub(crate) fn logs(config: &Config) -> LogSettings {
    let default = LogSettings::in_directory(config.data_dir.join("logs"));
    let retention_bytes = config.logs.max_bytes.0;
    LogSettings {
        retention_age: DAY * config.logs.retention_days,
        retention_bytes,
        // What goes, goes by whole segments: enough of them that the size is kept to.
        segment_bytes: default.segment_bytes.min(retention_bytes / LOG_SEGMENTS),
        ..default
    }
}

pub(crate) fn usage(config: &Config) -> UsageSettings {
    UsageSettings::in_directory(config.data_dir.join("usage"))
}

pub(crate) fn front(config: &Config) -> FrontSettings {
    let front = &config.front;
    FrontSettings {
        max_connections: front.max_connections as usize,
        max_header_bytes: usize::try_from(front.max_header_bytes.0).unwrap_or(usize::MAX),
        max_headers: front.max_headers as usize,
        max_body_bytes: front.max_body_bytes.0,
        header_timeout: millis(front.header_timeout_ms),
        idle_timeout: millis(front.idle_timeout_ms),
        body_grace: millis(front.body_timeout_ms),
        body_min_bytes_per_sec: front.body_min_bytes_per_sec.0,
        body_memory_bytes: front.body_memory_mb.bytes(),
        body_memory_time: millis(front.body_memory_timeout_ms),
        body_memory_wait: millis(front.body_memory_wait_ms),
        write_timeout: millis(front.write_timeout_ms),
        handshake_timeout: millis(front.handshake_timeout_ms),
    }
}

/// Absent without a certificate. That there are both files or neither, the configuration has checked.
pub(crate) fn tls(config: &Config) -> Option<TlsSettings> {
    let (cert, key) = config.tls.cert.as_ref().zip(config.tls.key.as_ref())?;
    Some(TlsSettings { reload: secs(config.tls.reload_secs), ..TlsSettings::new(cert, key) })
}

/// `memory_mb` is the host's.
pub(crate) fn functions(config: &Config, host_memory_mb: u64) -> FunctionSettings {
    let functions = &config.functions;
    let asynchronous = &functions.asynchronous;
    let instances_memory_mb = match functions.node_memory_mb.0 {
        0 => host_memory_mb / 4 * 3,
        given => given,
    };
    FunctionSettings {
        code_cache_bytes: functions.code_cache_mb.0 * MB,
        code_storage_bytes: functions.code_storage_mb.0 * MB,
        zip_bytes: usize::try_from(functions.max_zip_bytes.0).unwrap_or(usize::MAX),
        unpacked_bytes: functions.max_unpacked_bytes.0,
        zip_entries: functions.max_zip_entries as usize,
        account_concurrency: functions.account_concurrency,
        unreserved_concurrency_min: functions.unreserved_concurrency_min,
        node_invocations: functions.node_invocations,
        instances_memory_mb,
        concurrent_starts: functions.concurrent_starts as usize,
        freeze_after: millis(functions.freeze_after_ms),
        idle_expiry: secs(functions.idle_expiry_secs),
        retire_before_expiry: secs(functions.retire_before_expiry_secs),
        init_timeout: millis(functions.init_timeout_ms),
        crash_loop_after: functions.crash_loop_after,
        crash_loop_delay_min: millis(functions.crash_loop_min_delay_ms),
        crash_loop_delay_max: millis(functions.crash_loop_max_delay_ms),
        billing_granularity: millis(functions.billing_step_ms),
        retry_delays: asynchronous.retry_delays_secs.iter().map(|delay| secs(*delay)).collect(),
        throttle_delay_min: secs(asynchronous.min_backoff_secs),
        throttle_delay_max: secs(asynchronous.max_backoff_secs),
        async_concurrency: asynchronous.workers as usize,
        async_lease: secs(asynchronous.lease_secs),
        async_renewals_per_lease: asynchronous.renewals_per_lease,
        dead_event_retention: DAY * asynchronous.dead_event_retention_days,
        ..FunctionSettings::new(config.data_dir.join("cache/code"))
    }
}

pub(crate) fn process(config: &Config, state_dir: &Path, platform: PlatformEndpoint) -> ProcessConfig {
    ProcessConfig {
        platform: Some(platform),
        sdk: SdkDirs { python: config.sdk.python.clone(), nodejs: config.sdk.nodejs.clone() },
        pids_max: config.sandbox.pids,
        nofile: u64::from(config.sandbox.nofile),
        shm_mb: u32::try_from(config.sandbox.shm_mb.0).unwrap_or(u32::MAX),
        log_line_bytes: usize::try_from(config.sandbox.log_line_bytes.0).unwrap_or(usize::MAX),
        log_bytes_per_second: usize::try_from(config.sandbox.log_bytes_per_sec.0).unwrap_or(usize::MAX),
        platform_connections: config.sandbox.platform_connections as usize,
        ..ProcessConfig::new(state_dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Setting, Sources, env_name, resolve};

    /// A value that a setting takes and that is not its default.
    fn other(setting: &Setting) -> String {
        match setting.range {
            Some((least, most)) => if least.to_string() == setting.default { most } else { least }.to_string(),
            None => "7".to_owned(),
        }
    }

    fn settings(environment: Vec<(String, String)>) -> String {
        let sources = Sources { environment: environment.into_iter().collect(), ..Sources::default() };
        format!("{:?}", functions(&resolve(&sources).expect("it fits").config, 1_024))
    }

    #[test]
    fn every_setting_of_functions_arrives() {
        let default = settings(Vec::new());
        for setting in Config::settings().iter().filter(|setting| setting.key.starts_with("functions.")) {
            // That one is the node's own.
            if setting.key == "functions.drain_timeout_secs" {
                continue;
            }
            let changed = settings(vec![(env_name(setting.key), other(setting))]);
            assert_ne!(changed, default, "{} = {} changes nothing", setting.key, other(setting));
        }
    }
}
