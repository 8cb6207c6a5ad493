use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::SERIES;

/// One metric with all its series.
pub(crate) struct Family {
    pub(crate) kind: &'static str,
    pub(crate) help: &'static str,
    pub(crate) labels: Vec<&'static str>,
    pub(crate) buckets: &'static [f64],
    series: RwLock<BTreeMap<Vec<String>, Arc<Series>>>,
}

/// The numbers of one series: one cell for a counter or gauge; for a histogram one for each bucket, the last of them
/// without a bound, and the sum in nanoseconds.
pub(crate) struct Series {
    cells: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

impl Series {
    fn new(cells: usize) -> Self {
        Self { cells: (0..cells).map(|_| AtomicU64::new(0)).collect(), sum_ns: AtomicU64::new(0) }
    }

    pub(crate) fn add(&self, cell: usize, by: u64) {
        self.cells[cell].fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, cell: usize, to: i64) {
        self.cells[cell].store(to.cast_unsigned(), Ordering::Relaxed);
    }

    pub(crate) fn get(&self, cell: usize) -> u64 {
        self.cells[cell].load(Ordering::Relaxed)
    }

    pub(crate) fn add_sum(&self, ns: u64) {
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    pub(crate) fn sum_seconds(&self) -> f64 {
        self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9
    }
}

impl Family {
    pub(crate) fn new(
        kind: &'static str,
        help: &'static str,
        labels: Vec<&'static str>,
        buckets: &'static [f64],
    ) -> Self {
        Self { kind, help, labels, buckets, series: RwLock::default() }
    }

    pub(crate) fn series(&self, values: &[&str]) -> Arc<Series> {
        let key: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        if let Some(series) = self.series.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(series);
        }
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let full = all.len() >= SERIES && !all.contains_key(&key);
        let key = if full { vec!["other".to_owned(); key.len()] } else { key };
        Arc::clone(all.entry(key).or_insert_with(|| Arc::new(Series::new(self.buckets.len() + 1))))
    }

    pub(crate) fn all(&self) -> Vec<(Vec<String>, Arc<Series>)> {
        let all = self.series.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(values, series)| (values.clone(), Arc::clone(series))).collect()
    }
}
