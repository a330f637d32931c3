//! Tables whose keys nobody can choose, because they are random already.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by random numbers: ids, or hashes that were made with a secret.
pub type RandomMap<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// One multiplication spreads a number over the table's high bits.
#[derive(Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u16(&mut self, id: u16) {
        self.write_u64(u64::from(id));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
