//! Keys of several parts that keep their order.
//!
//! A part may hold every byte. It is written with 0x00 as 0x00 0xFF and closed by 0x00 0x01, so that a part sorts before
//! every part that it is a prefix of, and no key is a prefix of another key with the same number of parts.
//!
//! Numbers are parts of eight bytes, so a key can be taken apart without knowing what is in it.
//!
//! ```
//! use dormouse_store::key::{Key, Parts};
//!
//! let key = Key::new("fn").text("000000000000").text("hello").u64(7).bytes();
//! let mut parts = Parts::of(&key);
//! assert_eq!(parts.text(), Some("fn".to_owned()));
//! assert_eq!(parts.text(), Some("000000000000".to_owned()));
//! assert_eq!(parts.text(), Some("hello".to_owned()));
//! assert_eq!(parts.u64(), Some(7));
//! assert!(parts.end());
//!
//! // Every function of the account, and every one whose name begins with "he".
//! let all = Key::new("fn").text("000000000000").children();
//! let some = Key::new("fn").text("000000000000").starting_with("he");
//! assert!(all.contains(&key) && some.contains(&key));
//! ```

use bytes::Bytes;

use crate::{KEY_BYTES, Read};

/// Stands for 0x00 inside a part, after a 0x00.
const ESCAPED: u8 = 0xFF;
/// Closes a part, after a 0x00.
const CLOSED: u8 = 0x01;

/// A key that is being put together, part by part. Its first part names the keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    encoded: Vec<u8>,
}

impl Key {
    /// A key in the keyspace of that name.
    pub fn new(keyspace: &str) -> Self {
        Self { encoded: Vec::with_capacity(64) }.text(keyspace)
    }

    /// Adds a part of any bytes.
    #[must_use]
    pub fn part(mut self, part: &[u8]) -> Self {
        self.escape(part);
        self.encoded.extend_from_slice(&[0, CLOSED]);
        self
    }

    /// Adds a part of text; sorts by its UTF-8 bytes.
    #[must_use]
    pub fn text(self, part: &str) -> Self {
        self.part(part.as_bytes())
    }

    /// Adds a number; small ones first.
    #[must_use]
    pub fn u64(self, part: u64) -> Self {
        self.part(&part.to_be_bytes())
    }

    /// Adds a number; great ones first, so that times list newest first.
    #[must_use]
    pub fn u64_descending(self, part: u64) -> Self {
        self.u64(!part)
    }

    /// The key itself.
    pub fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.encoded)
    }

    /// Every key that begins with these parts and has at least one more.
    pub fn children(&self) -> KeyRange {
        // A part that follows never begins with a byte above ESCAPED, but may with any other: the parts so far are the
        // prefix. The key without more parts is left out.
        let mut range = KeyRange::prefix(&self.encoded);
        range.from = after(&self.encoded);
        range
    }

    /// Every key that has these parts and then one that begins with `start`.
    pub fn starting_with(&self, start: &str) -> KeyRange {
        let mut open = self.clone();
        open.escape(start.as_bytes());
        let mut range = KeyRange::prefix(&open.encoded);
        if start.is_empty() {
            range.from = after(&self.encoded);
        }
        range
    }

    fn escape(&mut self, part: &[u8]) {
        for &byte in part {
            self.encoded.push(byte);
            if byte == 0 {
                self.encoded.push(ESCAPED);
            }
        }
    }
}

impl From<Key> for Bytes {
    fn from(key: Key) -> Self {
        key.encoded.into()
    }
}

impl From<&Key> for Bytes {
    fn from(key: &Key) -> Self {
        key.bytes()
    }
}

/// Takes a key apart from its front. Each call gives the next part, or `None` when there is none of that kind.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The parts of a key, the keyspace first.
    pub fn of(key: &'a [u8]) -> Self {
        Self { rest: key }
    }

    /// The next part as bytes.
    pub fn part(&mut self) -> Option<Vec<u8>> {
        let mut part = Vec::new();
        let mut at = 0;
        loop {
            match (*self.rest.get(at)?, self.rest.get(at + 1).copied()) {
                (0, Some(ESCAPED)) => {
                    part.push(0);
                    at += 2;
                }
                (0, Some(CLOSED)) => {
                    self.rest = &self.rest[at + 2..];
                    return Some(part);
                }
                (0, _) => return None,
                (byte, _) => {
                    part.push(byte);
                    at += 1;
                }
            }
        }
    }

    /// The next part as text.
    pub fn text(&mut self) -> Option<String> {
        String::from_utf8(self.part()?).ok()
    }

    /// The next part as a number.
    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.part()?.try_into().ok()?))
    }

    /// The next part as a number that [`Key::u64_descending`] wrote.
    pub fn u64_descending(&mut self) -> Option<u64> {
        self.u64().map(|number| !number)
    }

    /// Whether the key is used up.
    pub fn end(&self) -> bool {
        self.rest.is_empty()
    }
}

/// The keys from `from` (inclusive) to `to` (exclusive).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// First key in the range.
    pub from: Bytes,
    /// First key behind the range.
    pub to: Bytes,
}

impl KeyRange {
    /// Every key that begins with these bytes, themselves included.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { from: Bytes::copy_from_slice(prefix), to: behind_prefix(prefix) }
    }

    /// Every key of the store.
    pub fn all() -> Self {
        Self::prefix(&[])
    }

    /// The part of the range that lies behind `key`: where a listing goes on that ended with it.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        self.from = self.from.max(after(key));
        self
    }

    /// The part of the range before `key`, which is not in it.
    #[must_use]
    pub fn before(mut self, key: &[u8]) -> Self {
        self.to = self.to.min(Bytes::copy_from_slice(key));
        self
    }

    /// Whether the key lies in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.from.as_ref() && key < self.to.as_ref()
    }

    /// Reads its first `limit` items, in order, with values.
    pub fn read(&self, limit: usize) -> Read {
        Read::Range { from: self.from.clone(), to: self.to.clone(), limit, reverse: false, keys_only: false }
    }

    /// Reads its last `limit` items, the last one first, with values.
    pub fn read_last(&self, limit: usize) -> Read {
        Read::Range { from: self.from.clone(), to: self.to.clone(), limit, reverse: true, keys_only: false }
    }

    /// Reads its first `limit` keys.
    pub fn read_keys(&self, limit: usize) -> Read {
        Read::Range { from: self.from.clone(), to: self.to.clone(), limit, reverse: false, keys_only: true }
    }
}

/// The smallest key behind `key`.
pub fn after(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// The smallest key behind all that begin with `prefix`.
fn behind_prefix(prefix: &[u8]) -> Bytes {
    let kept = prefix.iter().rposition(|&byte| byte != 0xFF);
    match kept {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end.into()
        }
        // Longer than any key, and no byte is greater.
        None => vec![0xFF; KEY_BYTES + 1].into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn encode(parts: &[Vec<u8>]) -> Bytes {
        parts.iter().fold(Key { encoded: Vec::new() }, |key, part| key.part(part)).into()
    }

    /// Few distinct bytes, so that prefixes and the two special bytes meet often.
    fn part() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(0), Just(1), Just(2), Just(0xFE), Just(0xFF), any::<u8>()], 0..5)
    }

    proptest! {
        #[test]
        fn order_is_that_of_the_parts(a in vec(part(), 1..4), b in vec(part(), 1..4)) {
            prop_assert_eq!(a.cmp(&b), encode(&a).cmp(&encode(&b)));
        }

        #[test]
        fn decoding_gives_the_parts_back(parts in vec(part(), 0..5)) {
            let key = encode(&parts);
            let mut left = Parts::of(&key);
            for part in &parts {
                prop_assert_eq!(left.part(), Some(part.clone()));
            }
            prop_assert!(left.end());
            prop_assert_eq!(left.part(), None);
        }

        #[test]
        fn children_are_the_keys_with_more_parts(a in vec(part(), 1..3), b in vec(part(), 1..4)) {
            let range = Key { encoded: encode(&a).to_vec() }.children();
            prop_assert_eq!(range.contains(&encode(&b)), b.len() > a.len() && b.starts_with(&a));
        }

        #[test]
        fn numbers_keep_their_order(a: u64, b: u64) {
            let up = |n| Key::new("n").u64(n).bytes();
            let down = |n| Key::new("n").u64_descending(n).bytes();
            prop_assert_eq!(a.cmp(&b), up(a).cmp(&up(b)));
            prop_assert_eq!(b.cmp(&a), down(a).cmp(&down(b)));
            let bytes = down(a);
            let mut parts = Parts::of(&bytes);
            prop_assert_eq!(parts.text(), Some("n".to_owned()));
            prop_assert_eq!(parts.u64_descending(), Some(a));
        }

        #[test]
        fn a_prefix_range_holds_what_begins_so(prefix in part(), key in part()) {
            prop_assert_eq!(KeyRange::prefix(&prefix).contains(&key), key.starts_with(&prefix));
        }

        #[test]
        fn garbage_does_not_decode_past_its_end(bytes in vec(any::<u8>(), 0..20)) {
            let mut parts = Parts::of(&bytes);
            while parts.part().is_some() {}
        }
    }

    #[test]
    fn names_that_begin_alike() {
        let base = Key::new("fn").text("acct");
        let range = base.starting_with("he");
        assert!(range.contains(&base.clone().text("he").bytes()));
        assert!(range.contains(&base.clone().text("hello").bytes()));
        assert!(!range.contains(&base.clone().text("hf").bytes()));
        assert!(!range.contains(&base.bytes()));
        assert!(!base.starting_with("").contains(&base.bytes()));
        assert!(base.starting_with("").contains(&base.clone().text("").bytes()));
    }

    #[test]
    fn a_listing_goes_on_behind_a_key() {
        let base = Key::new("k");
        let (a, b) = (base.clone().text("a").bytes(), base.clone().text("b").bytes());
        let rest = base.children().after(&a);
        assert!(!rest.contains(&a) && rest.contains(&b));
        let head = base.children().before(&b);
        assert!(head.contains(&a) && !head.contains(&b));
    }
}
