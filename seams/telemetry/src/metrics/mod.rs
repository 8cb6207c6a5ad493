//! Counters, gauges and histograms, and the Prometheus text format (version 0.0.4).
//!
//! Every metric of the product is named in [`names`], with its labels, so that a name cannot be used in two shapes and
//! the list can be read in one place. Counting is one atomic addition; looking a series up by its labels takes a read
//! lock, so who counts often keeps the series.

mod family;
pub mod names;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use family::{Family, Series};

/// Most series of one family. What goes beyond is counted together in a series whose labels are all `other`, so that
/// clients cannot fill the memory with names.
pub const SERIES: usize = 10_000;

/// Upper bounds of buckets for latencies, in seconds.
pub const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];

/// The declaration of a counter with `N` labels.
#[derive(Debug, Clone, Copy)]
pub struct CounterSpec<const N: usize> {
    /// Ends in `_total`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Names of the labels.
    pub labels: [&'static str; N],
}

/// The declaration of a gauge with `N` labels.
#[derive(Debug, Clone, Copy)]
pub struct GaugeSpec<const N: usize> {
    /// Ends in its unit, if it has one.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Names of the labels.
    pub labels: [&'static str; N],
}

/// The declaration of a histogram with `N` labels.
#[derive(Debug, Clone, Copy)]
pub struct HistogramSpec<const N: usize> {
    /// Ends in its unit.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Names of the labels.
    pub labels: [&'static str; N],
    /// Upper bounds of the buckets, ascending, without infinity.
    pub buckets: &'static [f64],
}

/// All series of one counter.
#[derive(Clone)]
pub struct CounterFamily<const N: usize>(Arc<Family>);

/// All series of one gauge.
#[derive(Clone)]
pub struct GaugeFamily<const N: usize>(Arc<Family>);

/// All series of one histogram.
#[derive(Clone)]
pub struct HistogramFamily<const N: usize>(Arc<Family>);

/// One series that only grows.
#[derive(Clone)]
pub struct Counter(Arc<Series>);

/// One series that goes up and down.
#[derive(Clone)]
pub struct Gauge(Arc<Series>);

/// One series of buckets.
#[derive(Clone)]
pub struct Histogram(Arc<Series>, &'static [f64]);

/// The registry of a node. A clone is the same registry.
#[derive(Clone, Default)]
pub struct Metrics {
    families: Arc<Mutex<BTreeMap<&'static str, Arc<Family>>>>,
}

impl Metrics {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The family of that name, made on first use. A family appears in the text once it has a series.
    pub fn counter<const N: usize>(&self, spec: &CounterSpec<N>) -> CounterFamily<N> {
        CounterFamily(self.family(spec.name, || Family::new("counter", spec.help, spec.labels.to_vec(), &[])))
    }

    /// As [`Metrics::counter`].
    pub fn gauge<const N: usize>(&self, spec: &GaugeSpec<N>) -> GaugeFamily<N> {
        GaugeFamily(self.family(spec.name, || Family::new("gauge", spec.help, spec.labels.to_vec(), &[])))
    }

    /// As [`Metrics::counter`].
    pub fn histogram<const N: usize>(&self, spec: &HistogramSpec<N>) -> HistogramFamily<N> {
        let make = || Family::new("histogram", spec.help, spec.labels.to_vec(), spec.buckets);
        HistogramFamily(self.family(spec.name, make))
    }

    /// All series as text, families by name, series by labels.
    pub fn render(&self) -> String {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut out = String::with_capacity(16 * 1024);
        for (name, family) in families {
            text::family(&mut out, name, &family);
        }
        out
    }

    fn family(&self, name: &'static str, make: impl FnOnce() -> Family) -> Arc<Family> {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(families.entry(name).or_insert_with(|| Arc::new(make())))
    }
}

impl<const N: usize> CounterFamily<N> {
    /// The series with these values of its labels.
    pub fn with(&self, values: [&str; N]) -> Counter {
        Counter(self.0.series(&values))
    }
}

impl<const N: usize> GaugeFamily<N> {
    /// The series with these values of its labels.
    pub fn with(&self, values: [&str; N]) -> Gauge {
        Gauge(self.0.series(&values))
    }
}

impl<const N: usize> HistogramFamily<N> {
    /// The series with these values of its labels.
    pub fn with(&self, values: [&str; N]) -> Histogram {
        Histogram(self.0.series(&values), self.0.buckets)
    }
}

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, by: u64) {
        self.0.add(0, by);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.get(0)
    }
}

impl Gauge {
    /// Sets the value.
    pub fn set(&self, to: i64) {
        self.0.set(0, to);
    }

    /// Changes the value.
    pub fn change(&self, by: i64) {
        self.0.add(0, by.cast_unsigned());
    }

    /// The value.
    pub fn get(&self) -> i64 {
        self.0.get(0).cast_signed()
    }
}

impl Histogram {
    /// Counts one observation of that many seconds.
    pub fn observe(&self, time: std::time::Duration) {
        let bucket = self.1.partition_point(|bound| *bound < time.as_secs_f64());
        self.0.add(bucket, 1);
        self.0.add_sum(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CALLS: CounterSpec<2> =
        CounterSpec { name: "calls_total", help: "Calls.\nAll \\ of them.", labels: ["who", "what"] };
    const OPEN: GaugeSpec<0> = GaugeSpec { name: "open", help: "Open now.", labels: [] };
    const TIMES: HistogramSpec<1> =
        HistogramSpec { name: "times_seconds", help: "Times.", labels: ["who"], buckets: &[0.1, 1.0] };

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::new();
        metrics.counter(&CALLS).with(["b", "x"]).add(2);
        metrics.counter(&CALLS).with(["a\"\\\n", "y"]).inc();
        metrics.gauge(&OPEN).with([]).set(-3);
        let times = metrics.histogram(&TIMES).with(["a"]);
        for millis in [100, 101, 5_000] {
            times.observe(Duration::from_millis(millis));
        }
        let expected = concat!(
            "# HELP calls_total Calls.\\nAll \\\\ of them.\n# TYPE calls_total counter\n",
            "calls_total{who=\"a\\\"\\\\\\n\",what=\"y\"} 1\n",
            "calls_total{who=\"b\",what=\"x\"} 2\n",
            "# HELP open Open now.\n# TYPE open gauge\nopen -3\n",
            "# HELP times_seconds Times.\n# TYPE times_seconds histogram\n",
            "times_seconds_bucket{who=\"a\",le=\"0.1\"} 1\n",
            "times_seconds_bucket{who=\"a\",le=\"1\"} 2\n",
            "times_seconds_bucket{who=\"a\",le=\"+Inf\"} 3\n",
            "times_seconds_sum{who=\"a\"} 5.201\n",
            "times_seconds_count{who=\"a\"} 3\n",
        );
        assert_eq!(metrics.render(), expected);
    }

    #[test]
    fn a_family_is_one_however_often_it_is_asked_for() {
        let metrics = Metrics::new();
        let (first, second) = (metrics.counter(&CALLS), metrics.clone().counter(&CALLS));
        first.with(["a", "b"]).inc();
        second.with(["a", "b"]).inc();
        assert_eq!(first.with(["a", "b"]).get(), 2);
    }

    #[test]
    fn series_without_end_are_counted_together() {
        let metrics = Metrics::new();
        let family = metrics.counter(&CALLS);
        for n in 0..SERIES + 5 {
            family.with([&n.to_string(), "x"]).inc();
        }
        assert_eq!(family.with(["other", "other"]).get(), 5);
        assert_eq!(family.with(["7", "x"]).get(), 1);
    }
}
