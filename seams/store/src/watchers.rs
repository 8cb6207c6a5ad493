//! Who watches which prefix: the part of `watch` that every adapter needs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{Hints, Version};

/// The watched prefixes of one process. Costs nothing when nobody watches, and one look-up for each distinct length of a
/// watched prefix otherwise.
#[derive(Debug, Default)]
pub struct Watchers {
    by_length: Mutex<HashMap<usize, HashMap<Bytes, watch::Sender<u64>>>>,
}

impl Watchers {
    /// A receiver that changes when [`Watchers::touched`] is told of a key under the prefix.
    pub fn watch(&self, prefix: Bytes) -> Hints {
        let mut by_length = self.lock();
        for senders in by_length.values_mut() {
            senders.retain(|_, sender| sender.receiver_count() > 0);
        }
        by_length.retain(|_, senders| !senders.is_empty());
        let senders = by_length.entry(prefix.len()).or_default();
        senders.entry(prefix).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Tells whoever watches a prefix of one of these keys that the commit `version` changed it.
    pub fn touched<'a>(&self, keys: impl IntoIterator<Item = &'a Bytes>, version: Version) {
        let by_length = self.lock();
        if by_length.is_empty() {
            return;
        }
        for key in keys {
            for (&length, senders) in by_length.iter() {
                if let Some(sender) = key.get(..length).and_then(|prefix| senders.get(prefix)) {
                    sender.send_modify(|last| *last = version.0.max(*last + 1));
                }
            }
        }
    }

    /// Tells whoever watches a key between these two, or a prefix of one, that the range was changed.
    pub fn touched_range(&self, from: &[u8], to: &[u8]) {
        for (prefix, sender) in self.lock().values().flatten() {
            let watched = crate::key::KeyRange::prefix(prefix);
            if watched.from.as_ref() < to && from < watched.to.as_ref() {
                sender.send_modify(|last| *last += 1);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, HashMap<Bytes, watch::Sender<u64>>>> {
        self.by_length.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_watchers_of_a_prefix_hear_of_a_key() {
        let watchers = Watchers::default();
        let mut ab = watchers.watch(Bytes::from_static(b"ab"));
        let mut c = watchers.watch(Bytes::from_static(b"c"));
        let mut all = watchers.watch(Bytes::new());
        watchers.touched([&Bytes::from_static(b"abc"), &Bytes::from_static(b"a")], Version(3));
        assert!(ab.has_changed().unwrap() && all.has_changed().unwrap() && !c.has_changed().unwrap());
        ab.mark_unchanged();
        all.mark_unchanged();
        watchers.touched_range(b"b", b"cc");
        assert!(!ab.has_changed().unwrap() && all.has_changed().unwrap() && c.has_changed().unwrap());
        c.mark_unchanged();
    }

    #[test]
    fn a_watch_that_nobody_holds_is_forgotten() {
        let watchers = Watchers::default();
        drop(watchers.watch(Bytes::from_static(b"ab")));
        let _kept = watchers.watch(Bytes::from_static(b"xyz"));
        assert_eq!(watchers.lock().len(), 1);
    }
}
