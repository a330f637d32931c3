//! What an answer is remembered under, and which queries are none of the cache's business.

use crate::wire::{self, ClientSubnet, Query};
use std::hash::{DefaultHasher, Hasher};

/// Octets behind the name of a question: type and class.
const TYPE_AND_CLASS: usize = 4;
/// Octets of a question that are brought into lower case at once, to be hashed. Most questions have no more.
const CHUNK: usize = 64;
/// NSID, which asks for the name of the server (RFC 5001). An answer without it is an answer all the same.
const OPTION_NSID: u16 = 3;
/// Bits of a header that are part of the key: RD, AD and CD. A query with any other goes by the cache.
pub(super) const KEY_FLAGS: u16 = 0x0130;
/// An odd number with bits all over, which spreads a route's fingerprint over a whole hash.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The question in lower case, RD, AD, CD and the EDNS flags: DO, and those that this program knows nothing of (CO of RFC 9824, for
/// instance), since they are forwarded and the answer may depend on them; and the route, whose upstreams may know other names
/// than those of others. Two clients who agree in these get the same answer.
///
/// It borrows the question of a query, in whatever case: it is compared and hashed as if in lower case.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    question: &'a [u8],
    /// The fingerprint of the route in the upper half.
    bits: u64,
    hash: u64,
}

impl<'a> Key<'a> {
    /// The key of a query; `None` if the cache neither answers it nor learns from its answer. Without the seed nobody
    /// can aim queries at one place of the table.
    pub(super) fn of(
        message: &'a [u8],
        query: &Query,
        (route, subnet): (u32, ClientSubnet),
        seed: [u8; 16],
    ) -> Option<Self> {
        if !is_ordinary(message, query, subnet) {
            return None;
        }
        let key = Self::again(message, query, route, 0);
        Some(Self::restore(key.question, key.bits, seed))
    }

    /// The key with this question and these bits: those of an entry that had another seed.
    pub(super) fn restore(question: &'a [u8], bits: u64, seed: [u8; 16]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&seed);
        let mut name_left = parts(question).0.len();
        for chunk in question.chunks(CHUNK) {
            let mut lower = [0; CHUNK];
            if let Some(lower) = lower.get_mut(..chunk.len()) {
                lower.copy_from_slice(chunk);
                // Length octets are below 64, so they are no letters; type and class may be.
                let of_name = name_left.min(CHUNK);
                if let Some(name) = lower.get_mut(..of_name) {
                    name.make_ascii_lowercase();
                }
                name_left -= of_name;
                hasher.write(lower);
            }
        }
        hasher.write_u32(bits as u32);
        // The same query on two routes has two hashes, of which nobody knows either.
        let hash = hasher.finish() ^ (bits >> 32).wrapping_mul(SPREAD);
        Self {
            question,
            bits,
            hash,
        }
    }

    /// The key of a query that had one before, with this hash.
    #[inline]
    pub fn again(message: &'a [u8], query: &Query, route: u32, hash: u64) -> Self {
        let edns_flags = query.opt.map_or(0, |opt| opt.flags);
        Self {
            question: query.question.octets(message),
            bits: u64::from(route) << 32
                | u64::from(edns_flags) << 16
                | u64::from(query.header.flags.0 & KEY_FLAGS),
            hash,
        }
    }

    /// Whether it is the key of what is remembered with this question, in lower case, and with these bits.
    #[inline]
    pub(super) fn matches(&self, question: &[u8], bits: u64) -> bool {
        let in_any_case = || {
            let (name, fixed) = parts(self.question);
            let (their_name, their_fixed) = parts(question);
            fixed == their_fixed && name.eq_ignore_ascii_case(their_name)
        };
        // Most clients ask in lower case.
        self.bits == bits && (self.question == question || in_any_case())
    }

    pub(super) fn bits(&self) -> u64 {
        self.bits
    }

    /// The same for the same question, and unguessable.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// The name of a question, and its type and class.
fn parts(question: &[u8]) -> (&[u8], &[u8]) {
    question.split_at(question.len().saturating_sub(TYPE_AND_CLASS))
}

/// Whether nothing but the key can make a difference to the answer.
fn is_ordinary(message: &[u8], query: &Query, subnet: ClientSubnet) -> bool {
    let header = &query.header;
    let question = &query.question;
    !query.signed
        && header.flags.0 & !KEY_FLAGS == 0
        && header.authorities == 0
        && usize::from(header.additionals) == usize::from(query.opt.is_some())
        && is_data_type(question.qtype)
        && is_data_class(question.qclass)
        && query.opt.is_none_or(|opt| {
            wire::options(message, &opt)
                .all(|(code, data)| code == OPTION_NSID || subnet.ends_here(code, data))
        })
}

/// Types that records have. 128 to 255 are for questions and for one message alone, ANY among them: what is
/// answered to them is a choice of the moment (RFC 6895, RFC 8482). 0 is no type.
fn is_data_type(qtype: u16) -> bool {
    !matches!(qtype, 0 | 41 | 128..=255)
}

/// Classes that records have: not 0, NONE or ANY (RFC 6895).
fn is_data_class(qclass: u16) -> bool {
    !matches!(qclass, 0 | 254 | 255)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{self, Message, TO_QUESTION, header_only, name_of_len};

    const SEED: [u8; 16] = [7; 16];

    /// What the key of a query is made of: its question as it is remembered, its bits and its hash. `None` if it has no key.
    fn parts(built: &Message) -> Option<(Vec<u8>, u64, u64)> {
        let message = built.build();
        let query = wire::parse_query(&message).unwrap();
        let key = Key::of(&message, &query, (7, ClientSubnet::Keep), SEED)?;
        let mut lower = Vec::new();
        wire::lowercase_into(&message, &query.question, &mut lower);
        assert!(key.matches(&lower, key.bits()));
        Some((lower, key.bits(), key.hash()))
    }

    fn plain() -> Message {
        testing::query("a.test.", 1)
    }

    #[test]
    fn ids_cases_and_what_speaks_of_one_hop_make_no_difference() {
        let usual = parts(&plain()).unwrap();
        assert_eq!(usual.0, b"\x01a\x04test\x00\x00\x01\x00\x01");
        let hop: [(u16, &[u8]); 4] = [(3, b""), (10, &[7; 8]), (11, b""), (12, &[0; 40])];
        for same in [
            plain().id(7),
            testing::query("A.tEsT.", 1),
            plain().edns(4096, 0, &[]),
            plain().edns(1232, 0, &hop),
        ] {
            assert_eq!(parts(&same).unwrap(), usual);
        }
    }

    #[test]
    fn type_and_class_have_no_case() {
        // The types of the letters A, which is HTTPS, and a.
        let [https, other] = [65, 97].map(|qtype| testing::query("a.", qtype).build());
        let key = |message| {
            let query = wire::parse_query(message).unwrap();
            Key::of(message, &query, (7, ClientSubnet::Keep), SEED).unwrap()
        };
        let (https, other) = (key(&https), key(&other));
        assert_ne!(https.hash(), other.hash());
        assert!(https.matches(b"\x01a\x00\x00\x41\x00\x01", https.bits()));
        assert!(!other.matches(b"\x01a\x00\x00\x41\x00\x01", https.bits()));
    }

    #[test]
    fn a_key_matches_only_its_question_and_bits() {
        let message = testing::query("A.tEsT.", 1).build();
        let query = wire::parse_query(&message).unwrap();
        let key = Key::of(&message, &query, (7, ClientSubnet::Keep), SEED).unwrap();
        let question = b"\x01a\x04test\x00\x00\x01\x00\x01";
        assert!(key.matches(question, key.bits()));
        assert!(!key.matches(question, key.bits() ^ 1));
        for other in [
            &b"\x01b\x04test\x00\x00\x01\x00\x01"[..],
            b"\x04test\x00\x00\x01\x00\x01",
            b"\x01a\x04test\x00\x00\x01\x00\x03",
            b"",
        ] {
            assert!(!key.matches(other, key.bits()), "{other:?}");
        }
    }

    // req 47, req 48, req 49
    #[test]
    fn name_type_class_and_flags_are_the_key() {
        let named = |name: &[u8], qtype, qclass| header_only(0x0100).question(name, qtype, qclass);
        let mut all: Vec<_> = [
            plain(),
            testing::query("b.test.", 1),
            testing::query("a.test.", 28),
            named(b"\x01a\x04test\x00", 1, 3),
            plain().flags(0),
            plain().flags(0x0120),
            plain().flags(0x0110),
            plain().edns(1232, 0x8000, &[]),
            // fault 101
            plain().edns(1232, 0x4000, &[]),
            plain().edns(1232, 0xC000, &[]),
            plain().edns(1232, 0x0130, &[]),
            plain().edns(1232, 0x0001, &[]),
        ]
        .iter()
        .map(|built| parts(built).unwrap())
        .collect();
        let count = all.len();
        all.sort();
        all.dedup_by_key(|parts| parts.2);
        assert_eq!(all.len(), count);
        let long = |name: [u8; 255]| parts(&named(&name, 1, 1)).unwrap();
        let name: [u8; 255] = name_of_len(255).try_into().unwrap();
        assert_eq!(
            long(name),
            long(name.map(|octet| octet.to_ascii_uppercase()))
        );
        // One octet is different behind those that are hashed first.
        let mut other = name;
        other[253] ^= 1;
        assert_ne!(long(name).2, long(other).2);
    }

    #[test]
    fn another_seed_is_another_place() {
        let message = plain().build();
        let query = wire::parse_query(&message).unwrap();
        let hash = |seed| {
            Key::of(&message, &query, (7, ClientSubnet::Keep), seed)
                .unwrap()
                .hash()
        };
        assert_ne!(hash([1; 16]), hash([2; 16]));
    }

    #[test]
    fn another_route_is_another_key() {
        let message = plain().build();
        let query = wire::parse_query(&message).unwrap();
        let of = |route| {
            let key = Key::of(&message, &query, (route, ClientSubnet::Keep), SEED).unwrap();
            (key.bits(), key.hash())
        };
        let (one, other) = (of(7), of(8));
        assert!(one.0 != other.0 && one.1 != other.1);
    }

    // req 21, req 26, req 50
    #[test]
    fn what_may_change_the_answer_goes_by_the_cache() {
        let typed = |qtype| header_only(0x0100).question(b"\x01a\x00", qtype, 1);
        let classed = |qclass| header_only(0x0100).question(b"\x01a\x00", 1, qclass);
        let record = |section| plain().record(section, TO_QUESTION, 1, (1, 0), &[0; 4]);
        for passing in [
            plain().tsig(),
            plain().flags(0x0140),
            plain().flags(0x0300),
            plain().edns(1232, 0, &[(8, &[0, 1, 0, 0])]),
            plain().edns(1232, 0, &[(3, b""), (100, b"")]),
            record(wire::Section::Authority),
            record(wire::Section::Additional),
            typed(0),
            typed(249),
            typed(255),
            classed(254),
            classed(255),
        ] {
            assert!(parts(&passing).is_none(), "{passing:?}");
        }
        for kept in [typed(1), typed(127), typed(256), typed(65280), classed(3)] {
            assert!(parts(&kept).is_some());
        }
    }
}
