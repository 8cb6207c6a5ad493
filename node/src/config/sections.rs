//! Every setting of the product, declared once.

use std::net::SocketAddr;
use std::path::PathBuf;

use dormouse_model::{AccountId, Region};

use super::declare::section;
use super::values::{Bytes, List, LogFormat, Megabytes, Millis, Seconds, Secret};

section! {
    /// All that a node is told.
    Config at "" {
        /// Where everything is kept. /var/lib/dormouse for root, else ~/.local/share/dormouse.
        data_dir: PathBuf = "";
        /// Where to accept connections; port 0 takes a free one.
        listen: SocketAddr = "127.0.0.1:4566";
        /// The region that the node answers for.
        region: Region = "us-east-1";
        /// The account that the root key belongs to.
        account_id: AccountId = "000000000000";
        /// The DNS name under which clients reach this node.
        domain: String = "localhost";
        /// A file with the key under which secrets are sealed; without it, one is made in data_dir with mode 0600.
        master_key_file: Option<PathBuf> = "";
        /// Access key id of the root key; without it, one is made on the first start.
        root_access_key_id: Option<String> = "";
        /// Secret of the root key; goes with root_access_key_id.
        root_secret_access_key: Option<Secret> = "";
    }
    with {
        /// `tls.*`
        tls: Tls;
        /// `sandbox.*`
        sandbox: Sandbox;
        /// `functions.*`
        functions: Functions;
        /// `logs.*`
        logs: Logs;
        /// `sdk.*`
        sdk: Sdk;
        /// `front.*`
        front: Front;
        /// `metrics.*`
        metrics: Metrics;
        /// `log.*`
        log: Log;
    }
}

section! {
    /// Serving HTTPS. Both files, or neither.
    Tls at "tls." {
        /// PEM file with the certificate chain; read again when it changes.
        cert: Option<PathBuf> = "";
        /// PEM file with the private key; read again when it changes.
        key: Option<PathBuf> = "";
        /// How often the two files are looked at.
        reload_secs: Seconds = "2", 1..=3600;
    }
}

section! {
    /// What every sandbox is made of.
    Sandbox at "sandbox." {
        /// Layers of isolation without which the node does not start, as doctor names them; empty for the host's best:
        /// every layer as root, all but cgroup limits otherwise.
        require: List<String> = "";
        /// Processes and threads in one sandbox.
        pids: u32 = "1024", 16..=32768;
        /// Open files of one process in a sandbox.
        nofile: u32 = "1024", 64..=1048576;
        /// Size of /dev/shm, charged to the function's memory.
        shm_mb: Megabytes = "64", 1..=10240;
        /// The longest line of a function's log; a longer one is split.
        log_line_bytes: Bytes = "262144", 1024..=1048576;
        /// Output read from one instance in a second; what prints more waits.
        log_bytes_per_sec: Bytes = "8388608", 65536..=1073741824;
        /// Connections of one sandbox to the platform's endpoint at one instant; more wait.
        platform_connections: u32 = "64", 1..=4096;
        /// As root: the first of the host's uids and gids that sandboxes run under.
        uid_base: u32 = "1879048192", 65536..=4000000000;
        /// As root: how many of them there are; as many sandboxes can be alive.
        uid_count: u32 = "65536", 1..=16777216;
        /// TCP ports that a grant of all reaches, at most 64. Code with such a grant cannot listen on them itself.
        egress_ports: List<u16> = "22,80,443,465,587,3306,5432,6379,8443,9092,27017";
    }
}

section! {
    /// How functions are run.
    Functions at "functions." {
        /// How long an idle instance is kept.
        idle_expiry_secs: Seconds = "300", 1..=86400;
        /// How long an instance is idle before it is frozen.
        freeze_after_ms: Millis = "100", 0..=3600000;
        /// How long an init phase may take before it is started over within the first invocation.
        init_timeout_ms: Millis = "10000", 100..=900000;
        /// Memory that all instances together may be given; 0 for three quarters of the host's.
        node_memory_mb: Megabytes = "0", 0..=67108864;
        /// Billed duration is rounded up to a multiple of this.
        billing_step_ms: Millis = "1", 1..=1000;
        /// How long a stopping node waits for requests and invocations in progress.
        drain_timeout_secs: Seconds = "30", 0..=900;
        /// Unpacked code that is kept on disk for starts.
        code_cache_mb: Megabytes = "2048", 256..=67108864;
        /// Uploaded code that one account may keep.
        code_storage_mb: Megabytes = "76800", 1..=67108864;
        /// The largest zip in a request. The request is a third longer than its zip and has to fit front.max_body_bytes.
        max_zip_bytes: Bytes = "52428800", 1024..=1073741824;
        /// Code of one function, unpacked.
        max_unpacked_bytes: Bytes = "262144000", 1024..=1099511627776;
        /// Files and directories in one zip.
        max_zip_entries: u32 = "65535", 1..=10000000;
        /// Invocations in progress at one instant in one account.
        account_concurrency: u32 = "1000", 1..=1000000;
        /// Concurrency that reservations must leave to functions without one.
        unreserved_concurrency_min: u32 = "100", 0..=1000000;
        /// Invocations in progress or waiting for an instance in the whole node; further calls are shed with 503.
        node_invocations: u32 = "10000", 1..=1000000;
        /// Instances that may be starting at one instant; further starts wait for their turn, which ends after a second.
        concurrent_starts: u32 = "16", 1..=4096;
        /// How long before its credentials expire an instance takes no further invocation.
        retire_before_expiry_secs: Seconds = "1200", 60..=3000;
        /// After so many failed starts in a row a version's starts are delayed.
        crash_loop_after: u32 = "3", 1..=1000;
        /// The first delay of a start after failed ones; it doubles.
        crash_loop_min_delay_ms: Millis = "100", 1..=60000;
        /// The longest delay of a start after failed ones.
        crash_loop_max_delay_ms: Millis = "10000", 100..=600000;
    }
    with {
        /// `functions.async.*`
        asynchronous: Asynchronous;
    }
}

section! {
    /// Asynchronous invocations.
    Asynchronous at "functions.async." {
        /// How long to wait before each further attempt after a function error; the last one repeats.
        retry_delays_secs: List<Seconds> = "60,120";
        /// The longest wait between attempts after a throttle or a failure of the platform.
        max_backoff_secs: Seconds = "300", 1..=21600;
        /// The first wait after a throttle or a failure of the platform; it doubles.
        min_backoff_secs: Seconds = "1", 1..=3600;
        /// Asynchronous invocations that the node runs at one instant.
        workers: u32 = "64", 1..=65536;
        /// How long an event stays with the node that runs it, unless the node renews that: what a killed node was running
        /// is run again after so long.
        lease_secs: Seconds = "30", 1..=3600;
        /// How often the node renews that within so long. Fewer renewals cost less; more endure a store that is slow to write.
        renewals_per_lease: u32 = "3", 2..=20;
        /// How long exhausted events are kept for events list and redrive.
        dead_event_retention_days: u32 = "14", 1..=3653;
    }
}

section! {
    /// Logs of functions.
    Logs at "logs." {
        /// How long lines are kept.
        retention_days: u32 = "14", 1..=3653;
        /// Bytes kept of the log of each function, about; the oldest go first.
        max_bytes: Bytes = "10737418240", 1048576..=1125899906842624;
    }
}

section! {
    /// The AWS SDK that managed runtimes carry.
    Sdk at "sdk." {
        /// Directory that holds boto3 and botocore, for functions in Python; without it they have what they bring along.
        python: Option<PathBuf> = "";
        /// Directory that holds node_modules with @aws-sdk, for functions in Node.js; without it they have what they bring along.
        nodejs: Option<PathBuf> = "";
    }
}

section! {
    /// The sockets.
    Front at "front." {
        /// Connections from outside at one instant, and as many from inside sandboxes; the next is answered 503.
        max_connections: u32 = "16384", 1..=1000000;
        /// A request's line and header fields together; more is answered 431.
        max_header_bytes: Bytes = "65536", 8192..=1048576;
        /// Header fields of a request; more is answered 431.
        max_headers: u32 = "128", 16..=4096;
        /// A request's body, where the operation does not set less; more is answered 413.
        max_body_bytes: Bytes = "134217728", 1048576..=1073741824;
        /// How long a client may take to send the head of a request.
        header_timeout_ms: Millis = "10000", 100..=600000;
        /// How long a connection without a request is kept.
        idle_timeout_ms: Millis = "350000", 100..=3600000;
        /// How long a body may be waited for in all, beside the time that its bytes take at body_min_bytes_per_sec.
        body_timeout_ms: Millis = "20000", 100..=600000;
        /// The slowest pace of a body.
        body_min_bytes_per_sec: Bytes = "4096", 1..=1073741824;
        /// Memory that bodies of more than 1 MiB may hold together; the next large request waits before it is read.
        body_memory_mb: Megabytes = "512", 16..=67108864;
        /// How long a body that holds such memory may take in all, beside body_timeout_ms: the larger, the faster it must come.
        body_memory_timeout_ms: Millis = "300000", 1000..=86400000;
        /// How long a large request waits for memory before it is answered 503.
        body_memory_wait_ms: Millis = "20000", 0..=600000;
        /// How long a client may take nothing of an answer that waits for it.
        write_timeout_ms: Millis = "30000", 100..=600000;
        /// How long a TLS handshake may take.
        handshake_timeout_ms: Millis = "10000", 100..=600000;
    }
}

section! {
    /// `/_dormouse/metrics`.
    Metrics at "metrics." {
        /// Show them to everyone, not to this machine only.
        public: bool = "false";
    }
}

section! {
    /// The node's own log, on stderr.
    Log at "log." {
        /// What to write, such as info, debug, or warn,dormouse_functions=debug.
        level: String = "info";
        /// text for people, json for machines.
        format: LogFormat = "text";
    }
}
