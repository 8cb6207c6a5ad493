use std::collections::VecDeque;

/// Numbers below a bound; one that was given back is the last to be given out again.
#[derive(Debug)]
pub(super) struct Slots {
    next: u32,
    count: u32,
    free: VecDeque<u32>,
}

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        Self { next: 0, count, free: VecDeque::new() }
    }

    pub(super) fn take(&mut self) -> Option<u32> {
        if self.next < self.count {
            self.next += 1;
            return Some(self.next - 1);
        }
        self.free.pop_front()
    }

    /// Whether there is one to take.
    pub(super) fn any(&self) -> bool {
        self.next < self.count || !self.free.is_empty()
    }

    pub(super) fn give_back(&mut self, slot: u32) {
        self.free.push_back(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_out_twice_and_the_oldest_comes_back_first() {
        let mut slots = Slots::new(2);
        assert_eq!((slots.take(), slots.take(), slots.take()), (Some(0), Some(1), None));
        assert!(!slots.any());
        slots.give_back(1);
        assert!(slots.any());
        slots.give_back(0);
        assert_eq!((slots.take(), slots.take(), slots.take()), (Some(1), Some(0), None));
    }
}
