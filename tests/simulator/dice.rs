//! Chance that follows from a seed: small, fast, and the same everywhere (`SplitMix64`).

use std::time::Duration;

/// What is drawn depends on the seed alone.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice that belong to this text, whatever was drawn before: so one choice stays the same when another falls away.
    pub fn of(seed: u64, text: &[u8]) -> Self {
        Self(hash(seed, text))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From 0 to less than `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn index(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).expect("an index")
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// From `low` to less than `high` milliseconds, to the nanosecond.
    pub fn ms(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_nanos(low * 1_000_000 + self.below((high - low) * 1_000_000))
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
}

/// A number for a text.
pub fn hash(seed: u64, text: &[u8]) -> u64 {
    let add = |sum: u64, octet: &u8| mix(sum ^ u64::from(*octet)).wrapping_add(1);
    text.iter().fold(mix(seed), add)
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
