//! Whether a response may be cached, as what, and for how long.

use std::ops::Range;

use super::compression::{NameWalker, in_place, pointed_to};
use super::edns::TYPE_OPT;
use super::header::{HEADER_LEN, Rcode};
use super::malformed::Malformed;
use super::name::pointer_target;
use super::rdata::{TYPE_SOA, is_address, is_well_formed, soa_minimum};
use super::response::Response;
use super::response::records;
use super::scan::Section;

/// Runs of labels to which pointers lead and that are looked at in one response. Usual responses have fewer than a hundred.
const MOST_RUNS: usize = 2_000;
const CHANGES: Malformed = Malformed("a name that changes in the cache");

/// Whether a response may be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cacheability {
    /// A positive or a negative answer.
    Data {
        /// For how long it may be served, in seconds: at least 1.
        lifetime: u32,
        /// The name does not exist, or has no records of that type (RFC 2308).
        negative: bool,
    },
    /// An answer with a lifetime of zero: it replaces what is cached and is not cached itself.
    MustNotCache,
    /// A resolution failure (RFC 9520).
    Failure,
    /// Truncated, signed, malformed in its RDATA, or with an unusual response code: it says nothing about what is cached.
    Unusable,
}

/// Decides for a response that belongs to the question it repeats.
///
/// A response is cached whole, so its lifetime is the lowest TTL in any section. The lifetime of a negative one is also
/// limited by the SOA of the zone, and is zero without an SOA (RFC 2308 §5).
pub fn cacheability(message: &[u8], response: &Response) -> Cacheability {
    if response.signed || response.header.flags.tc() {
        return Cacheability::Unusable;
    }
    match response.rcode() {
        Rcode::NOERROR | Rcode::NXDOMAIN => data(message, response),
        Rcode::FORMERR | Rcode::SERVFAIL | Rcode::NOTIMP | Rcode::REFUSED => Cacheability::Failure,
        _ => Cacheability::Unusable,
    }
}

fn data(message: &[u8], response: &Response) -> Cacheability {
    // An OPT record that is not the last could not be cut out without looking behind it.
    let Some(question) = response
        .question
        .filter(|_| response.opt.is_none_or(|opt| opt.last))
    else {
        return Cacheability::Unusable;
    };
    let mut names = NameWalker::new(question.name_len);
    let (mut lowest, mut answered, mut minimum) = (u32::MAX, false, None);
    let mut points_elsewhere = false;
    for record in records(message, response).filter(|record| record.rtype != TYPE_OPT) {
        if !is_well_formed(message, &record, |message, at| names.walk(message, at)) {
            return Cacheability::Unusable;
        }
        let target = pointer_target(message, record.start);
        points_elsewhere |= target.is_some_and(|target| target != HEADER_LEN);
        lowest = lowest.min(effective_ttl(record.ttl));
        match record.section {
            Section::Answer => answered |= record.rtype == question.qtype,
            Section::Authority if record.rtype == TYPE_SOA => {
                minimum = soa_minimum(message, &record);
            }
            _ => {}
        }
    }
    if (points_elsewhere || names.followed) && !names_stay(message, response) {
        return Cacheability::Unusable;
    }
    let negative = !answered || response.rcode() == Rcode::NXDOMAIN;
    let lifetime = if negative {
        minimum.map_or(0, |minimum| lowest.min(effective_ttl(minimum)))
    } else {
        lowest
    };
    match lifetime {
        0 => Cacheability::MustNotCache,
        lifetime => Cacheability::Data { lifetime, negative },
    }
}

/// Whether all names stay the same when TTLs decrease and addresses are rotated: a compression pointer may not lead through those octets.
fn names_stay(message: &[u8], response: &Response) -> bool {
    let mut changing = Vec::new();
    for record in records(message, response).filter(|record| record.rtype != TYPE_OPT) {
        changing.push(record.ttl_at..record.ttl_at + 4);
        if is_address(&record) {
            changing.push(record.rdata);
        }
    }
    // They are in order and disjoint: the last that starts before the end of a run ends behind its start, or none lies in it.
    let stays = |run: &Range<usize>| {
        let before = changing.partition_point(|change| change.start < run.end);
        let last = before.checked_sub(1).and_then(|last| changing.get(last));
        last.is_none_or(|change| change.end <= run.start)
    };
    let (mut left, mut known) = (MOST_RUNS, None);
    let mut walk_name = |message: &[u8], at: usize| {
        let target = pointer_target(message, at);
        // Records of one owner point to one name.
        if target != known {
            for run in pointed_to(message, at) {
                left = left.checked_sub(1).ok_or(CHANGES)?;
                Some(run).filter(stays).ok_or(CHANGES)?;
            }
            known = target;
        }
        in_place(message, at)
    };
    records(message, response).all(|record| {
        walk_name(message, record.start).is_ok() && is_well_formed(message, &record, &mut walk_name)
    })
}

/// A TTL has 31 bits; one with the top bit set is 0 (RFC 2181 §8).
pub(super) fn effective_ttl(ttl: u32) -> u32 {
    if ttl >> 31 == 0 { ttl } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::super::response::parse_response;
    use super::super::testing::{self, Message, TO_QUESTION, header_only};
    use super::*;

    fn of(built: &Message) -> Cacheability {
        let message = built.build();
        cacheability(&message, &parse_response(&message).unwrap())
    }

    fn positive(lifetime: u32) -> Cacheability {
        Cacheability::Data {
            lifetime,
            negative: false,
        }
    }

    fn negative(lifetime: u32) -> Cacheability {
        Cacheability::Data {
            lifetime,
            negative: true,
        }
    }

    fn a(ttl: u32) -> Message {
        testing::response("a.test.", 1).a(ttl, [192, 0, 2, 1])
    }

    fn soa(built: Message, ttl: u32, minimum: u32) -> Message {
        let mut rdata = [TO_QUESTION, TO_QUESTION, &[0; 20]].concat();
        let at = rdata.len() - 4;
        rdata[at..].copy_from_slice(&minimum.to_be_bytes());
        built.record(Section::Authority, TO_QUESTION, 6, (1, ttl), &rdata)
    }

    fn nxdomain() -> Message {
        testing::response("a.test.", 1).flags(0x8183)
    }

    // req 9, req 52
    #[test]
    fn the_lowest_ttl_of_any_section_rules() {
        assert_eq!(of(&a(300)), positive(300));
        assert_eq!(of(&a(300).a(5, [192, 0, 2, 2])), positive(5));
        for section in [Section::Authority, Section::Additional] {
            let other = a(300).record(section, TO_QUESTION, 16, (1, 7), b"\x01x");
            assert_eq!(of(&other), positive(7));
        }
        // The TTL field of an OPT record is not a TTL.
        assert_eq!(of(&a(300).edns(1232, 0, &[])), positive(300));
    }

    // req 10
    #[test]
    fn a_ttl_with_the_top_bit_set_is_zero_and_zero_is_not_cached() {
        for ttl in [0, 0x8000_0001, u32::MAX] {
            assert_eq!(of(&a(300).a(ttl, [0; 4])), Cacheability::MustNotCache);
        }
        assert_eq!(of(&a(0x7FFF_FFFF)), positive(0x7FFF_FFFF));
    }

    // req 42
    #[test]
    fn a_negative_answer_holds_as_long_as_its_soa_says() {
        for empty in [nxdomain(), testing::response("a.test.", 1)] {
            assert_eq!(of(&soa(empty.clone(), 100, 3)), negative(3));
            assert_eq!(of(&soa(empty.clone(), 3, 100)), negative(3));
            assert_eq!(
                of(&soa(empty, 100, 0x8000_0000)),
                Cacheability::MustNotCache
            );
        }
        let alias = testing::response("a.test.", 1).record(
            Section::Answer,
            TO_QUESTION,
            5,
            (1, 60),
            b"\x01b\xC0\x0E",
        );
        assert_eq!(of(&soa(alias.clone(), 100, 90)), negative(60));
        assert_eq!(of(&alias), Cacheability::MustNotCache);
    }

    // req 43
    #[test]
    fn without_an_soa_there_is_no_negative_caching() {
        assert_eq!(of(&nxdomain()), Cacheability::MustNotCache);
        assert_eq!(
            of(&testing::response("a.test.", 1)),
            Cacheability::MustNotCache
        );
        let referral = testing::response("a.test.", 1).record(
            Section::Authority,
            TO_QUESTION,
            2,
            (1, 60),
            b"\x02ns\xC0\x0C",
        );
        assert_eq!(of(&referral), Cacheability::MustNotCache);
    }

    // req 45
    #[test]
    fn errors_that_do_not_concern_the_name_are_failures() {
        for rcode in [1, 2, 4, 5] {
            assert_eq!(of(&header_only(0x8180 | rcode)), Cacheability::Failure);
        }
        for rcode in [6, 9, 11, 15] {
            assert_eq!(of(&header_only(0x8180 | rcode)), Cacheability::Unusable);
        }
        // BADVERS and its like need the bits of the OPT record: the header says NOERROR.
        assert_eq!(
            of(&a(9).edns(1232, 0x0100_0000, &[])),
            Cacheability::Unusable
        );
    }

    // req 18, req 50
    #[test]
    fn truncated_signed_and_malformed_responses_are_unusable() {
        assert_eq!(of(&a(9).flags(0x8380)), Cacheability::Unusable);
        assert_eq!(of(&a(9).tsig()), Cacheability::Unusable);
        let long = a(9).record(Section::Answer, TO_QUESTION, 1, (1, 9), &[0; 5]);
        assert_eq!(of(&long), Cacheability::Unusable);
        let empty = a(9).record(Section::Answer, TO_QUESTION, 5, (1, 9), &[]);
        assert_eq!(of(&empty), Cacheability::Unusable);
        let unasked = header_only(0x8180).record(Section::Answer, &[0], 1, (1, 9), &[0; 4]);
        assert_eq!(of(&unasked), Cacheability::Unusable);
        let early = a(9).edns(1232, 0, &[]);
        let early = early.record(Section::Additional, TO_QUESTION, 1, (1, 9), &[0; 4]);
        assert_eq!(of(&early), Cacheability::Unusable);
    }

    // fault 17
    #[test]
    fn a_name_in_a_ttl_or_in_an_address_is_unusable() {
        let first = testing::response("a.test.", 1).a(0x0000_0100, [0; 4]);
        for (target, usable) in [(12, true), (14, true), (24 + 6, false), (24 + 12, false)] {
            let owner = (0xC000_u16 | target).to_be_bytes();
            let second = first
                .clone()
                .record(Section::Answer, &owner, 1, (1, 9), &[0; 4]);
            let alias = [&b"\x01b"[..], &owner].concat();
            let third = first
                .clone()
                .record(Section::Answer, TO_QUESTION, 5, (1, 9), &alias);
            for built in [second, third] {
                assert_eq!(of(&built) != Cacheability::Unusable, usable, "{target}");
            }
        }
    }

    // fault 17
    #[test]
    fn a_name_of_which_a_part_is_a_ttl_is_unusable() {
        // The class of the first record and its TTL are a pointer to the question, or a label that reaches as far as the RDATA.
        for (class, ttl) in [(0x01C0, 0x0C00_0009), (6, 9)] {
            let first = testing::response("a.test.", 1).record(
                Section::Answer,
                TO_QUESTION,
                65280,
                (class, ttl),
                &[0; 4],
            );
            assert_eq!(of(&first), Cacheability::MustNotCache);
            let second = first.record(Section::Answer, b"\xC0\x1D", 1, (1, 9), &[0; 4]);
            assert_eq!(of(&second), Cacheability::Unusable, "class {class}");
        }
    }

    // fault 93
    #[test]
    fn many_records_under_a_long_alias_are_cacheable() {
        let target = [&b"\x01a".repeat(120)[..], TO_QUESTION].concat();
        let mut built = testing::response("a.test.", 1).record(
            Section::Answer,
            TO_QUESTION,
            5,
            (1, 9),
            &target,
        );
        // Every record is owned by the alias: a pointer to its first label, behind the CNAME's twelve octets.
        let owner = (0xC000_u16 + 24 + 12).to_be_bytes();
        for _ in 0..1_200 {
            built = built.record(Section::Answer, &owner, 1, (1, 9), &[192, 0, 2, 1]);
        }
        assert_eq!(of(&built), positive(9));
    }
}
