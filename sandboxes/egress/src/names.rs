//! Addresses for names. Pure.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use crate::Range;

/// Which name has which synthetic address. A name keeps its address for as long as the sandbox lives, since code may
/// keep what it resolved.
pub(crate) struct Names {
    range: Range,
    most: usize,
    by_name: HashMap<String, Ipv4Addr>,
    /// The name whose address is `range.base + 1 + index`.
    by_index: Vec<String>,
}

impl Names {
    pub(crate) fn new(range: Range, most: usize) -> Self {
        Self { range, most, by_name: HashMap::new(), by_index: Vec::new() }
    }

    /// The address of a name, a new one if it has none. Absent when the limit is reached.
    pub(crate) fn address_of(&mut self, name: &str) -> Option<Ipv4Addr> {
        if let Some(address) = self.by_name.get(name) {
            return Some(*address);
        }
        let index = self.by_index.len();
        let room = (1_usize << (32 - u32::from(self.range.prefix))).saturating_sub(2);
        if index >= self.most.min(room) {
            return None;
        }
        let address = Ipv4Addr::from(u32::from(self.range.base) + 1 + u32::try_from(index).ok()?);
        self.by_index.push(name.to_owned());
        self.by_name.insert(name.to_owned(), address);
        Some(address)
    }

    /// The name of an address; absent when no name was given it.
    pub(crate) fn name_of(&self, address: Ipv4Addr) -> Option<&str> {
        let offset = u32::from(address).checked_sub(u32::from(self.range.base) + 1)?;
        self.by_index.get(usize::try_from(offset).ok()?).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_address_and_an_address_its_name() {
        let mut names = Names::new(crate::SYNTHETIC, 2);
        let a = names.address_of("a.org").expect("room");
        let b = names.address_of("b.org").expect("room");
        assert_eq!((a, b), (Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2)));
        assert_eq!(names.address_of("a.org"), Some(a));
        assert_eq!(names.address_of("c.org"), None, "the limit holds");
        assert_eq!(names.name_of(b), Some("b.org"));
        for stranger in [Ipv4Addr::new(198, 18, 0, 0), Ipv4Addr::new(198, 18, 0, 3), Ipv4Addr::LOCALHOST] {
            assert_eq!(names.name_of(stranger), None);
        }
    }
}
