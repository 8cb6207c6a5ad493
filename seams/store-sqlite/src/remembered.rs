//! Which commits happened lately, so that one whose answer was lost can be repeated.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use dormouse_model::Timestamp;
use dormouse_store::{COMMIT_ID_REMEMBERED, CommitId, Version};

/// Ids are forgotten in lots of this time's worth.
const LOT: Duration = Duration::from_secs(30);

/// The ids of the last [`COMMIT_ID_REMEMBERED`], up to a lot more. In memory, beside the same in the file, because a
/// look-up is part of every commit.
#[derive(Default)]
pub(crate) struct Remembered {
    lots: VecDeque<Lot>,
}

struct Lot {
    begun: Timestamp,
    newest: Timestamp,
    last: Version,
    ids: HashMap<CommitId, (Version, Timestamp)>,
}

impl Remembered {
    pub(crate) fn get(&self, id: CommitId) -> Option<(Version, Timestamp)> {
        self.lots.iter().rev().find_map(|lot| lot.ids.get(&id).copied())
    }

    /// Adds commits in the order of their versions.
    pub(crate) fn insert(&mut self, id: CommitId, version: Version, time: Timestamp) {
        if self.lots.back().is_none_or(|lot| time.since(lot.begun) >= LOT) {
            self.lots.push_back(Lot { begun: time, newest: time, last: version, ids: HashMap::new() });
        }
        if let Some(lot) = self.lots.back_mut() {
            lot.newest = time;
            lot.last = version;
            lot.ids.insert(id, (version, time));
        }
    }

    /// Forgets what is old enough, and says up to which version. The newest lot always stays.
    pub(crate) fn forget(&mut self, now: Timestamp) -> Option<Version> {
        let mut forgotten = None;
        while self.lots.len() > 1 && self.lots.front().is_some_and(|lot| now.since(lot.newest) > COMMIT_ID_REMEMBERED) {
            forgotten = self.lots.pop_front().map(|lot| lot.last);
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_long_enough_and_not_for_ever() {
        let mut remembered = Remembered::default();
        let at = |secs: u64| Timestamp(1_000_000 + secs * 1000);
        for second in 0..600 {
            remembered.insert(CommitId(second.into()), Version(second), at(second));
            remembered.forget(at(second));
            let oldest_needed = second.saturating_sub(COMMIT_ID_REMEMBERED.as_secs());
            assert!(remembered.get(CommitId(oldest_needed.into())).is_some());
        }
        assert!(remembered.get(CommitId(400)).is_none());
        assert!(remembered.lots.len() <= 6);
    }
}
