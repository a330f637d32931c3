//! The key by which domains are split among upstreams.

use super::ConfigError;
use siphasher::sip::SipHasher24;
use std::fmt;
use std::hash::Hasher as _;

/// A key for [`Policy::Split`](super::Policy::Split). Which upstream a domain is sent to follows from it, so that it is kept as long as that
/// is to hold, and secret: without it nobody can tell which domains an upstream is not asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SplitKey([u64; 2]);

impl SplitKey {
    /// The fewest random octets of which a key is made: `SipHash` has a key of so many.
    pub const MIN_OCTETS: usize = 16;

    /// The key of these random octets; all of them count. An error says that they are too few.
    pub fn new(octets: &[u8]) -> Result<Self, ConfigError> {
        let (count, least) = (octets.len(), Self::MIN_OCTETS);
        if count < least {
            let reason =
                format!("has {count} octets, and a key takes at least {least} random ones");
            return Err(ConfigError::new("split_key", "", reason));
        }
        Ok(Self::of(octets))
    }

    /// The key of a process whose random choices follow from this seed.
    pub(crate) fn of_seed(seed: [u8; 32]) -> Self {
        Self::of(&seed)
    }

    fn of(octets: &[u8]) -> Self {
        Self([1, 2].map(|half| hash([0, half], octets)))
    }

    /// A hash that is the same in every build.
    pub(crate) fn hash(self, octets: &[u8]) -> u64 {
        hash(self.0, octets)
    }
}

/// SipHash-2-4.
fn hash([k0, k1]: [u64; 2], octets: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(k0, k1);
    hasher.write(octets);
    hasher.finish()
}

impl fmt::Debug for SplitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SplitKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_siphash_2_4() {
        // The example of the paper (Aumasson and Bernstein, appendix A).
        let octets: Vec<u8> = (0..15).collect();
        let key = SplitKey([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);
        assert_eq!(key.hash(&octets), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn a_key_takes_enough_octets_and_does_not_show() {
        let error = SplitKey::new(&[7; 15]).unwrap_err().to_string();
        assert_eq!(
            error,
            "split_key: has 15 octets, and a key takes at least 16 random ones"
        );
        let [short, long] = [16, 17].map(|count| SplitKey::new(&vec![7; count]).unwrap());
        assert_ne!(short, long, "all octets count");
        assert_eq!(format!("{short:?}"), "SplitKey");
    }
}
