//! The counter: added to by every node under a key of its own, summed on reading.

use dormouse_store::Store;

use crate::record::counter_value;
use crate::{Change, Key, LayerError, Reads};

/// Numbers of one keyspace, written by one node.
#[derive(Debug, Clone)]
pub struct Counter {
    base: Key,
    node: String,
}

impl Counter {
    /// Counters under that keyspace, as this node adds to them.
    pub fn new(keyspace: &str, node: &str) -> Self {
        Self { base: Key::new(keyspace), node: node.to_owned() }
    }

    /// Adds to the number of that name in a batch. Never conflicts.
    pub fn add(&self, change: &mut Change, name: &str, by: i64) {
        change.add(self.base.clone().text(name).text(&self.node), by);
    }

    /// The sum over all nodes.
    pub async fn sum(&self, store: &dyn Store, name: &str) -> Result<i64, LayerError> {
        let mut rest = self.base.clone().text(name).children();
        let mut sum = 0_i64;
        loop {
            const PAGE: usize = 1_000;
            let items = Reads::new().range(&rest, PAGE).run(store).await?.items();
            sum = items.iter().map(counter_value).fold(sum, i64::saturating_add);
            match items.last() {
                Some(last) if items.len() == PAGE => rest = rest.after(&last.key),
                _ => return Ok(sum),
            }
        }
    }
}
