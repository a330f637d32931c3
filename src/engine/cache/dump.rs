//! The cache as octets: what one process leaves for the next.
//!
//! ```text
//! magic and format (8)  length of the program's version (1), version  times (3 x 4)  moment of the dump (8)  entries (4)
//! each entry: octets (4), state at (4), end (4), seconds aged (4), bits of the key (8), stored (8), expires (8), hits (1), marks (1), the octets
//! checksum of all that (8)
//! ```
//!
//! The bits of a key have the fingerprint of the route in them: where the next process has other upstreams for a name, it does not find what
//! the ones before answered. Numbers are in network order, moments are of the boot clock. So a dump is of use to a process on the same system that was not started
//! anew since, as long as its boot clock is the same: Linux has one for all processes. A dump is taken whole or not at all. Another version
//! of the program refuses it, so that the form of an entry may change with any version.

use super::super::time::Time;
use super::Times;
use super::entry::Entry;
use super::octets::Octets;
use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};

/// The format's number is its last octet. It changes with the form of a dump.
const MAGIC: &[u8; 8] = b"dotward\x01";
/// The form of an entry follows the code, and a version has one.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Octets of the checksum.
const CHECKSUM: usize = 8;

/// Why a dump is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportError {
    /// It is larger than this cache may become.
    TooLarge,
    /// It is no dump, or another version of the program made it.
    OtherVersion,
    /// Some of it is missing or was changed.
    Damaged,
    /// It was made with other bounds on lifetimes.
    OtherTimes,
    /// It was made later than now: the clock is another one.
    OtherClock,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "it is larger than the cache may become",
            Self::OtherVersion => "it is not of this version of the program",
            Self::Damaged => "it is damaged",
            Self::OtherTimes => "it was made with other bounds on TTLs",
            Self::OtherClock => "it was made after another start of the system",
        })
    }
}

impl std::error::Error for ImportError {}

/// A dump in the making.
pub(super) struct Dump {
    out: Vec<u8>,
    /// Where the number of entries stands.
    count_at: usize,
    count: u32,
}

impl Dump {
    pub(super) fn new(times: &Times, now: Time) -> Self {
        let mut out = MAGIC.to_vec();
        out.push(VERSION.len() as u8);
        out.extend_from_slice(VERSION.as_bytes());
        for bound in bounds(times) {
            out.extend_from_slice(&bound.to_be_bytes());
        }
        out.extend_from_slice(&now.as_nanos().to_be_bytes());
        let count_at = out.len();
        out.extend_from_slice(&[0; 4]);
        Self {
            out,
            count_at,
            count: 0,
        }
    }

    /// Octets in all.
    pub(super) fn len(&self) -> usize {
        self.out.len() + CHECKSUM
    }

    pub(super) fn add(&mut self, entry: &Entry, asked: bool) {
        entry.store(asked, &mut self.out);
        self.count += 1;
    }

    pub(super) fn close(mut self) -> Vec<u8> {
        let count = self.out.get_mut(self.count_at..);
        if let Some(count) = count.and_then(|tail| tail.first_chunk_mut::<4>()) {
            *count = self.count.to_be_bytes();
        }
        self.out.extend_from_slice(&checksum(&self.out));
        self.out
    }
}

/// Reads all entries of a dump, and whether somebody asked for each lately.
pub(super) fn read(
    dump: &[u8],
    times: &Times,
    now: Time,
) -> Result<Vec<(Entry, bool)>, ImportError> {
    let mut rest = Octets(dump);
    let of_version = |octets: &mut Octets<'_>| {
        let magic = octets.take(MAGIC.len())?;
        let length = octets.number::<1>()?;
        let version = octets.take(length as usize)?;
        Some(magic == MAGIC && version == VERSION.as_bytes())
    };
    if of_version(&mut rest) != Some(true) {
        return Err(ImportError::OtherVersion);
    }
    let body = dump.split_last_chunk::<CHECKSUM>();
    if body.is_none_or(|(body, sum)| checksum(body) != *sum) {
        return Err(ImportError::Damaged);
    }
    let mut number = || rest.number::<4>().ok_or(ImportError::Damaged);
    let made_with = [number()?, number()?, number()?];
    if made_with != bounds(times).map(u64::from) {
        return Err(ImportError::OtherTimes);
    }
    let made = rest.number::<8>().ok_or(ImportError::Damaged)?;
    if made > now.as_nanos() {
        return Err(ImportError::OtherClock);
    }
    let count = rest.number::<4>().ok_or(ImportError::Damaged)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let read = Entry::read(&mut rest).ok_or(ImportError::Damaged)?;
        entries.push(read);
    }
    if rest.0.len() != CHECKSUM {
        return Err(ImportError::Damaged);
    }
    Ok(entries)
}

/// The bounds that the lifetimes and TTLs in a dump follow from.
fn bounds(times: &Times) -> [u32; 3] {
    [times.min, times.max, times.max_negative]
}

/// It finds accidents. Whoever can change a dump can do worse.
fn checksum(octets: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = DefaultHasher::new();
    hasher.write(octets);
    hasher.finish().to_be_bytes()
}
