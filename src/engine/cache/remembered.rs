//! What there is in the cache for one question, for people.

use super::Cache;
use super::key::{KEY_FLAGS, Key};
use crate::engine::time::Time;
use crate::wire::{QuestionAt, Rcode, lowercase_into};
use std::time::Duration;

/// RD, AD and CD in a header.
const FLAGS: [u16; 3] = [0x0100, 0x0020, 0x0010];
/// DO among the flags of EDNS (RFC 3225).
const DNSSEC_OK: u16 = 0x8000;

/// What something that is remembered is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It is served.
    Fresh,
    /// It has expired, and is served because asking failed just now.
    Standing,
    /// It has expired, and is served if asking fails.
    Stale,
}

impl Holds {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Standing => "standing",
            Self::Stale => "stale",
        }
    }
}

/// A response or a failure that the cache remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four of them are flags of a message, which are as they are"
)]
pub struct Remembered {
    /// Whether it was asked for with RD, as most clients ask.
    pub rd: bool,
    /// With AD, which asks whether the data is authentic.
    pub ad: bool,
    /// With CD, which asks for data that is not validated.
    pub cd: bool,
    /// With DO, which asks for DNSSEC's records.
    pub dnssec_ok: bool,
    /// What it is good for.
    pub holds: Holds,
    /// Whether it is a failure, of which no data could be served stale.
    pub is_failure: bool,
    /// Its response code.
    pub rcode: Rcode,
    /// The records of its answer section.
    pub answers: u16,
    /// Since it came.
    pub age: Duration,
    /// For how long it is fresh still.
    pub left: Duration,
    /// How often it was served, up to 255 times.
    pub hits: u8,
}

impl Remembered {
    /// Nothing but what these bits of a key say.
    pub(super) fn of_bits(bits: u64) -> Self {
        let has = |flag: u16| bits & u64::from(flag) != 0;
        let [rd, ad, cd] = FLAGS.map(has);
        Self {
            rd,
            ad,
            cd,
            dnssec_ok: bits >> 16 & u64::from(DNSSEC_OK) != 0,
            holds: Holds::Stale,
            is_failure: false,
            rcode: Rcode::NOERROR,
            answers: 0,
            age: Duration::ZERO,
            left: Duration::ZERO,
            hits: 0,
        }
    }
}

impl Cache {
    /// What is remembered for a question that the upstreams with the fingerprint `route` answer: one entry for each combination of RD, AD, CD
    /// and DO that it was asked with. Looking is no use of it.
    pub fn remembered(
        &self,
        message: &[u8],
        at: &QuestionAt,
        route: u32,
        now: Time,
    ) -> Vec<Remembered> {
        let mut question = Vec::new();
        lowercase_into(message, at, &mut question);
        let flags = (0..8_usize).map(|set| {
            let of = |bit: usize| if set >> bit & 1 == 0 { FLAGS[bit] } else { 0 };
            of(0) | of(1) | of(2)
        });
        let all = flags.flat_map(|flags| [(0, flags), (DNSSEC_OK, flags)]);
        let found = all.filter_map(|(edns, flags)| {
            let flags = u64::from(flags & KEY_FLAGS);
            let bits = u64::from(route) << 32 | u64::from(edns) << 16 | flags;
            let key = Key::restore(&question, bits, self.seed);
            let mut shard = self.lock(&key)?;
            let (_, entry) = shard.get(&key)?;
            entry.told(now, &self.times)
        });
        found.collect()
    }
}
