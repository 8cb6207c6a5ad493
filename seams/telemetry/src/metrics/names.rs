//! Every metric of the product. People build dashboards and alarms on these names: adding one is fine, changing one is a
//! change of the public interface. The list is kept as a golden file, `metrics.txt`, beside this one.

use super::{CounterSpec, GaugeSpec, HistogramSpec, SECONDS};

/// Defines the metrics and, from the same lines, the list of them.
macro_rules! metrics {
    ($($id:ident: $spec:ident<$n:literal> = $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $help)]
            pub const $id: $spec<$n> = metrics!(@make $spec $name [$($label),*] $help);
        )*
        /// Name, kind, labels and meaning of each metric, one a line.
        pub fn listing() -> String {
            let mut out = String::new();
            $({
                let kind = stringify!($spec).trim_end_matches("Spec").to_ascii_lowercase();
                let labels: &[&str] = &[$($label),*];
                out.push_str(&format!("{} {kind} {{{}}} {}\n", $name, labels.join(","), $help));
            })*
            out
        }
    };
    (@make HistogramSpec $name:literal [$($label:literal),*] $help:literal) => {
        HistogramSpec { name: $name, help: $help, labels: [$($label),*], buckets: SECONDS }
    };
    (@make $spec:ident $name:literal [$($label:literal),*] $help:literal) => {
        $spec { name: $name, help: $help, labels: [$($label),*] }
    };
}

metrics! {
    BUILD: GaugeSpec<1> = "dormouse_build_info" ["version"] "Always 1; the label says what runs.";
    STARTED: GaugeSpec<0> = "dormouse_start_time_seconds" [] "When the node was started, in seconds since the epoch.";

    CONNECTIONS: GaugeSpec<1> = "dormouse_connections" ["peer"] "Open connections, by peer: tcp or instance.";
    CONNECTIONS_ACCEPTED: CounterSpec<1> = "dormouse_connections_accepted_total" ["peer"] "Connections that were taken.";
    CONNECTIONS_REFUSED: CounterSpec<1> = "dormouse_connections_refused_total" ["reason"] "Connections that were turned away, by reason: full, handshake, draining.";
    REQUESTS: CounterSpec<2> = "dormouse_requests_total" ["surface", "status"] "Requests that were answered, by class of status.";
    REQUEST_SECONDS: HistogramSpec<1> = "dormouse_request_seconds" ["surface"] "Time from the end of a request's header to the head of its answer.";
    REQUESTS_PANICKED: CounterSpec<1> = "dormouse_requests_panicked_total" ["surface"] "Requests whose handler panicked; each is a bug.";
    TLS_RELOADS: CounterSpec<1> = "dormouse_tls_reloads_total" ["result"] "Reloads of certificate and key, by result: ok or kept_old.";

    INVOCATIONS: CounterSpec<4> = "dormouse_invocations_total" ["account", "function", "version", "outcome"] "Finished attempts, by outcome: success, function_error, timeout, throttled, platform_error.";
    INVOCATION_SECONDS: HistogramSpec<2> = "dormouse_invocation_seconds" ["account", "function"] "Time in the function, without init.";
    COLD_STARTS: CounterSpec<2> = "dormouse_cold_starts_total" ["account", "function"] "Invocations that waited for a new instance.";
    INIT_SECONDS: HistogramSpec<2> = "dormouse_init_seconds" ["account", "function"] "Time of init phases that an invocation waited for.";
    BILLED_MILLISECONDS: CounterSpec<2> = "dormouse_billed_milliseconds_total" ["account", "function"] "Time that is paid for.";
    CPU_MICROSECONDS: CounterSpec<2> = "dormouse_cpu_microseconds_total" ["account", "function"] "CPU time of invocations.";
    INSTANCES: GaugeSpec<1> = "dormouse_instances" ["state"] "Instances, by state: starting, idle (frozen or not), busy, stopping.";
    CONCURRENCY: GaugeSpec<1> = "dormouse_concurrency" ["account"] "Invocations in progress.";
    ASYNC_ACCEPTED: CounterSpec<1> = "dormouse_async_accepted_total" ["account"] "Asynchronous invocations that were accepted.";
    ASYNC_FINISHED: CounterSpec<2> = "dormouse_async_finished_total" ["account", "outcome"] "Asynchronous invocations that ended, by outcome: success, exhausted, expired, dropped.";

    LOG_RECORDS: CounterSpec<0> = "dormouse_log_records_total" [] "Records written to function logs.";
    LOG_BYTES: CounterSpec<0> = "dormouse_log_bytes_total" [] "Bytes written to function logs.";
    LOG_DROPPED: CounterSpec<1> = "dormouse_log_records_dropped_total" ["reason"] "Records of function logs that were lost, by reason: queue or disk.";
    USAGE_LOST: CounterSpec<0> = "dormouse_usage_rows_lost_total" [] "Rows of usage that could not be kept because their file cannot be written.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_names_are_those_that_dashboards_rely_on() {
        let golden = include_str!("metrics.txt");
        assert_eq!(
            listing(),
            golden,
            "a metric changed: this breaks dashboards; if it is meant, change metrics.txt too"
        );
    }

    #[test]
    fn names_are_unique_and_well_formed() {
        let mut seen = BTreeSet::new();
        for line in listing().lines() {
            let mut words = line.split(' ');
            let (name, kind) = (words.next().expect("a name"), words.next().expect("a kind"));
            assert!(seen.insert(name.to_owned()), "{name} is there twice");
            assert!(name.starts_with("dormouse_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(line.ends_with('.'), "{name} has no sentence");
        }
    }
}
