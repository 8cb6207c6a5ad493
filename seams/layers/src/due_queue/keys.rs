//! The keyspace of a due-queue.

use bytes::Bytes;
use dormouse_model::Timestamp;
use dormouse_store::key::{Key, KeyRange, Parts};

#[derive(Debug, Clone)]
pub(super) struct Keys {
    base: Key,
}

impl Keys {
    pub(super) fn new(name: &str) -> Self {
        Self { base: Key::new(name) }
    }

    fn of(&self, kind: &str) -> Key {
        self.base.clone().text(kind)
    }

    pub(super) fn shards(&self) -> Key {
        self.of("shards")
    }

    pub(super) fn body(&self, id: &str, part: u64) -> Key {
        self.of("body").text(id).u64(part)
    }

    pub(super) fn due(&self, shard: u32, due: Timestamp, id: &str) -> Bytes {
        self.of("due").u64(shard.into()).u64(due.0).text(id).into()
    }

    pub(super) fn shard(&self, shard: u32) -> KeyRange {
        self.of("due").u64(shard.into()).children()
    }

    /// The items of a shard that are due at `due` or later.
    pub(super) fn shard_from(&self, shard: u32, due: Timestamp) -> KeyRange {
        let mut range = self.shard(shard);
        range.from = self.of("due").u64(shard.into()).u64(due.0).bytes();
        range
    }

    /// When the item of a key from [`Keys::due`] is due, and its id.
    pub(super) fn parse_due(&self, key: &[u8]) -> Option<(Timestamp, String)> {
        let mut parts = Parts::of(key);
        parts.part()?;
        parts.part()?;
        parts.u64()?;
        Some((Timestamp(parts.u64()?), parts.text()?))
    }

    pub(super) fn watched(&self, shard: u32) -> Bytes {
        self.of("due").u64(shard.into()).into()
    }

    pub(super) fn count(&self, shard: u32) -> Key {
        self.of("count").u64(shard.into())
    }

    pub(super) fn dead_count(&self) -> Key {
        self.of("dead-count")
    }

    pub(super) fn dead(&self, id: &str) -> Key {
        self.of("dead").text(id)
    }

    pub(super) fn dead_by_time(&self, time: Timestamp, id: &str) -> Key {
        self.of("dead-by-time").u64(time.0).text(id)
    }

    pub(super) fn all_dead_by_time(&self) -> KeyRange {
        self.of("dead-by-time").children()
    }

    /// The id in a key from [`Keys::dead_by_time`].
    pub(super) fn parse_dead(&self, key: &[u8]) -> Option<String> {
        let mut parts = Parts::of(key);
        parts.part()?;
        parts.part()?;
        parts.u64()?;
        parts.text()
    }

    /// The shard of an id: FNV-1a, which must stay as it is only as long as it is known where an id waits; nothing rests
    /// on that, so it may change.
    pub(super) fn shard_of(&self, id: &str, shards: u32) -> u32 {
        let hash = id
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
        u32::try_from((hash ^ (hash >> 32)) % u64::from(shards.max(1))).expect("below a u32")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_sort_by_shard_then_due_and_parse_back() {
        let keys = Keys::new("q");
        let early = keys.due(1, Timestamp(5), "zz");
        let late = keys.due(1, Timestamp(600), "aa");
        assert!(early < late && late < keys.due(2, Timestamp(0), "aa"));
        assert_eq!(keys.parse_due(&late), Some((Timestamp(600), "aa".to_owned())));
        assert!(keys.shard(1).contains(&early) && !keys.shard(2).contains(&early));
        assert!(keys.shard_from(1, Timestamp(5)).contains(&early));
        assert!(!keys.shard_from(1, Timestamp(6)).contains(&early));
    }

    #[test]
    fn ids_spread_over_shards() {
        let keys = Keys::new("q");
        let mut hits = [0; 4];
        for n in 0..1_000 {
            hits[keys.shard_of(&format!("item-{n}"), 4) as usize] += 1;
        }
        assert!(hits.iter().all(|&hits| hits > 150), "{hits:?}");
    }
}
