use std::path::PathBuf;
use std::time::Duration;

use dormouse_model::limits;

/// Every limit and delay of the engine, by name. `node` fills it from the configuration; the defaults are those of the
/// documentation.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory for unpacked code. It is a cache: removing it while nothing runs loses nothing.
    pub code_cache_dir: PathBuf,
    /// Bytes that the code cache may hold beside what is in use.
    pub code_cache_bytes: u64,
    /// All zips that one account may keep.
    pub code_storage_bytes: u64,
    /// Bytes of one zip in a request.
    pub zip_bytes: usize,
    /// Bytes of unpacked code.
    pub unpacked_bytes: u64,
    /// Files and directories in one zip.
    pub zip_entries: usize,
    /// Invocations of one account in progress at one instant.
    pub account_concurrency: u32,
    /// What reservations must leave to functions without one.
    pub unreserved_concurrency_min: u32,
    /// Invocations of the whole node in progress or waiting for an instance; beyond it calls are shed with 503.
    pub node_invocations: u32,
    /// Memory that all instances of the node may be promised together, in MB.
    pub instances_memory_mb: u64,
    /// Instances that may be starting at one instant; further starts wait for their turn, which ends after a second.
    pub concurrent_starts: usize,
    /// How long an instance is idle before it is frozen.
    pub freeze_after: Duration,
    /// How long an instance is idle before it is stopped.
    pub idle_expiry: Duration,
    /// How long before its credentials expire an instance takes no further invocation.
    pub retire_before_expiry: Duration,
    /// How long the init phase may take before it is started over within the invocation that waits for it.
    pub init_timeout: Duration,
    /// After so many failed starts in a row a version's starts are delayed.
    pub crash_loop_after: u32,
    /// The first such delay; it doubles with every further failure.
    pub crash_loop_delay_min: Duration,
    /// The longest such delay.
    pub crash_loop_delay_max: Duration,
    /// Billed duration is rounded up to whole multiples of this.
    pub billing_granularity: Duration,
    /// Delays before the first, second, ... retry of an asynchronous invocation that failed in the function.
    pub retry_delays: Vec<Duration>,
    /// First delay of an asynchronous invocation that was throttled or shed; it doubles.
    pub throttle_delay_min: Duration,
    /// Longest such delay.
    pub throttle_delay_max: Duration,
    /// Asynchronous invocations that the node runs at one instant.
    pub async_concurrency: usize,
    /// How long an asynchronous invocation that is being run stays hidden, unless that is renewed: what a killed node
    /// was running is run again after so long.
    pub async_lease: Duration,
    /// How often that is renewed within one lease; at least twice, so that one renewal may fail.
    pub async_renewals_per_lease: u32,
    /// Shards of the queue of asynchronous invocations; never shrinks.
    pub async_shards: u32,
    /// How long dead events are kept.
    pub dead_event_retention: Duration,
}

impl Settings {
    /// The documented defaults, with the code cache in the directory given.
    pub fn new(code_cache_dir: PathBuf) -> Self {
        Self {
            code_cache_dir,
            code_cache_bytes: 2 << 30,
            code_storage_bytes: 75 << 30,
            zip_bytes: limits::ZIP_UPLOAD_BYTES,
            unpacked_bytes: limits::UNPACKED_CODE_BYTES,
            zip_entries: 65_535,
            account_concurrency: limits::ACCOUNT_CONCURRENCY_DEFAULT,
            unreserved_concurrency_min: limits::UNRESERVED_CONCURRENCY_MIN,
            node_invocations: 10_000,
            instances_memory_mb: 4_096,
            concurrent_starts: 16,
            freeze_after: Duration::from_millis(100),
            idle_expiry: Duration::from_secs(300),
            retire_before_expiry: Duration::from_secs(20 * 60),
            init_timeout: limits::INIT_TIMEOUT,
            crash_loop_after: 3,
            crash_loop_delay_min: Duration::from_millis(100),
            crash_loop_delay_max: Duration::from_secs(10),
            billing_granularity: Duration::from_millis(1),
            retry_delays: vec![Duration::from_secs(60), Duration::from_secs(120)],
            throttle_delay_min: Duration::from_secs(1),
            throttle_delay_max: Duration::from_secs(300),
            async_concurrency: 64,
            async_lease: Duration::from_secs(30),
            async_renewals_per_lease: 3,
            async_shards: 4,
            dead_event_retention: Duration::from_secs(14 * 24 * 3600),
        }
    }
}
