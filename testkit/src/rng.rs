use std::time::{SystemTime, UNIX_EPOCH};

/// Small, fast, the same everywhere for the same seed (splitmix64). Not for secrets.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, and an iterator would have to be mutable everywhere"
    )]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// An index into something of that length, which is not zero.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Any bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_be_bytes()[0]).collect()
    }

    /// A generator of its own, for a task that runs beside others.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next())
    }
}

/// The seed of a randomised test: `DORMOUSE_TEST_SEED`, else another one each time. It is printed, and the test harness
/// shows it when the test fails.
pub fn seed(test: &str) -> u64 {
    let given = std::env::var("DORMOUSE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        u64::from(nanos) ^ (u64::from(std::process::id()) << 32)
    });
    println!("{test}: repeat with DORMOUSE_TEST_SEED={seed}");
    seed
}
