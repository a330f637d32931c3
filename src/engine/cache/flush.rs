//! Forgetting a part of the cache, for whoever controls the program.

use super::Cache;
use crate::locks::lock;

/// Slots that are looked at under one lock, which takes about a hundredth of a millisecond: an event loop may wait for it.
const AT_ONCE: usize = 512;
/// Octets of a question behind its name.
const TYPE_AND_CLASS: usize = 4;

/// What is to be forgotten. Names are in lower case, as they stand on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flush {
    /// All.
    All,
    /// What is remembered for this name, of whatever type.
    Name(Vec<u8>),
    /// What is remembered for this name and for all names below it.
    Suffix(Vec<u8>),
}

impl Flush {
    /// Whether this question, in lower case, is meant.
    fn means(&self, question: &[u8]) -> bool {
        let name = question.len().checked_sub(TYPE_AND_CLASS);
        let name = name.and_then(|end| question.get(..end));
        let name = name.unwrap_or_default();
        match self {
            Self::All => true,
            Self::Name(wanted) => name == wanted,
            Self::Suffix(suffix) => is_within(name, suffix),
        }
    }
}

/// Whether a name is this one or lies below it.
fn is_within(mut name: &[u8], suffix: &[u8]) -> bool {
    loop {
        if name == suffix {
            return true;
        }
        match name.split_first() {
            Some((&len @ 1.., rest)) if rest.len() >= len.into() => name = &rest[len.into()..],
            _ => return false,
        }
    }
}

impl Cache {
    /// Forgets this; says how many responses and failures it was. Others can use the cache meanwhile, and what they put in may stay.
    pub fn flush(&self, flush: &Flush) -> usize {
        let mut forgotten = 0;
        for shard in &*self.shards {
            let mut from = 0;
            loop {
                // The lock is given back in between.
                let (count, more) = lock(shard).forget(from, AT_ONCE, |it| flush.means(it));
                forgotten += count;
                if !more {
                    break;
                }
                from += AT_ONCE;
            }
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::name_octets;

    #[test]
    fn a_suffix_is_whole_labels() {
        let suffix = name_octets("corp.example.");
        for (name, expected) in [
            ("corp.example.", true),
            ("a.b.corp.example.", true),
            ("xcorp.example.", false),
            ("example.", false),
            (".", false),
        ] {
            assert_eq!(is_within(&name_octets(name), &suffix), expected, "{name}");
            assert!(is_within(&name_octets(name), &name_octets(".")), "{name}");
        }
        assert!(!is_within(b"\x3fshort", &suffix));
    }
}
