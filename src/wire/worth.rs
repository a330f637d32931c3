//! What an answer is worth to a cache: whether it may be remembered, as what, and for how long.

use super::answer::Answer;
use super::edns::TYPE_OPT;
use super::header::Rcode;
use super::names::Names;
use super::rdata::{TYPE_SOA, is_sound, soa_minimum};
use super::scan::{Section, records};

/// What may be remembered of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It says what there is, or that there is nothing.
    Data {
        /// For how long it holds, in seconds: at least 1.
        lifetime: u32,
        /// It says that the name does not exist, or has nothing of that type (RFC 2308).
        negative: bool,
    },
    /// It says what there is, and that this may not be remembered.
    Fleeting,
    /// It says that no answer was to be had (RFC 9520).
    Failure,
    /// It is truncated, signed, odd, or not sound: nothing follows from it.
    Nothing,
}

/// Looks at an answer that belongs to the question it repeats.
///
/// An answer is remembered whole, so it holds as long as the record of it that holds the shortest, in any
/// section; a negative one also no longer than the zone's SOA says, and without an SOA not at all (RFC 2308
/// §5).
pub fn worth(message: &[u8], answer: &Answer) -> Worth {
    if answer.signed || answer.header.flags.tc() {
        return Worth::Nothing;
    }
    match answer.rcode() {
        Rcode::NOERROR | Rcode::NXDOMAIN => data(message, answer),
        Rcode::FORMERR | Rcode::SERVFAIL | Rcode::NOTIMP | Rcode::REFUSED => Worth::Failure,
        _ => Worth::Nothing,
    }
}

fn data(message: &[u8], answer: &Answer) -> Worth {
    // An OPT record that is not the last could not be cut out without looking behind it.
    let Some(question) = answer
        .question
        .filter(|_| answer.opt.is_none_or(|opt| opt.last))
    else {
        return Worth::Nothing;
    };
    let mut names = Names::new(question.name_len);
    let (mut lowest, mut answered, mut minimum) = (u32::MAX, false, None);
    for record in records(message, answer).filter(|record| record.rtype != TYPE_OPT) {
        if !is_sound(message, &record, &mut names) {
            return Worth::Nothing;
        }
        lowest = lowest.min(meant_ttl(record.ttl));
        match record.section {
            Section::Answer => answered |= record.rtype == question.qtype,
            Section::Authority if record.rtype == TYPE_SOA => {
                minimum = soa_minimum(message, &record);
            }
            _ => {}
        }
    }
    let negative = !answered || answer.rcode() == Rcode::NXDOMAIN;
    let lifetime = if negative {
        minimum.map_or(0, |minimum| lowest.min(meant_ttl(minimum)))
    } else {
        lowest
    };
    match lifetime {
        0 => Worth::Fleeting,
        lifetime => Worth::Data { lifetime, negative },
    }
}

/// A TTL has 31 bits; one with the top bit set is 0 (RFC 2181 §8).
fn meant_ttl(ttl: u32) -> u32 {
    if ttl >> 31 == 0 { ttl } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::super::answer::answer;
    use super::super::testing::{self, Builder, TO_QUESTION, header_only};
    use super::*;

    fn of(built: &Builder) -> Worth {
        let message = built.build();
        worth(&message, &answer(&message).unwrap())
    }

    fn positive(lifetime: u32) -> Worth {
        Worth::Data {
            lifetime,
            negative: false,
        }
    }

    fn negative(lifetime: u32) -> Worth {
        Worth::Data {
            lifetime,
            negative: true,
        }
    }

    fn a(ttl: u32) -> Builder {
        testing::answer("a.test.", 1).a(ttl, [192, 0, 2, 1])
    }

    fn soa(built: Builder, ttl: u32, minimum: u32) -> Builder {
        let mut rdata = [TO_QUESTION, TO_QUESTION, &[0; 20]].concat();
        let at = rdata.len() - 4;
        rdata[at..].copy_from_slice(&minimum.to_be_bytes());
        built.record(Section::Authority, TO_QUESTION, 6, (1, ttl), &rdata)
    }

    fn nxdomain() -> Builder {
        testing::answer("a.test.", 1).flags(0x8183)
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
        // The TTL field of an OPT record is none.
        assert_eq!(of(&a(300).edns(1232, 0, &[])), positive(300));
    }

    // req 10
    #[test]
    fn a_ttl_with_the_top_bit_is_zero_and_zero_is_not_kept() {
        for ttl in [0, 0x8000_0001, u32::MAX] {
            assert_eq!(of(&a(300).a(ttl, [0; 4])), Worth::Fleeting);
        }
        assert_eq!(of(&a(0x7FFF_FFFF)), positive(0x7FFF_FFFF));
    }

    // req 42
    #[test]
    fn a_negative_answer_holds_as_long_as_its_soa_says() {
        for empty in [nxdomain(), testing::answer("a.test.", 1)] {
            assert_eq!(of(&soa(empty.clone(), 100, 3)), negative(3));
            assert_eq!(of(&soa(empty.clone(), 3, 100)), negative(3));
            assert_eq!(of(&soa(empty, 100, 0x8000_0000)), Worth::Fleeting);
        }
        let alias = testing::answer("a.test.", 1).record(
            Section::Answer,
            TO_QUESTION,
            5,
            (1, 60),
            b"\x01b\xC0\x0E",
        );
        assert_eq!(of(&soa(alias.clone(), 100, 90)), negative(60));
        assert_eq!(of(&alias), Worth::Fleeting);
    }

    // req 43
    #[test]
    fn without_an_soa_there_is_no_negative_caching() {
        assert_eq!(of(&nxdomain()), Worth::Fleeting);
        assert_eq!(of(&testing::answer("a.test.", 1)), Worth::Fleeting);
        let referral = testing::answer("a.test.", 1).record(
            Section::Authority,
            TO_QUESTION,
            2,
            (1, 60),
            b"\x02ns\xC0\x0C",
        );
        assert_eq!(of(&referral), Worth::Fleeting);
    }

    // req 45
    #[test]
    fn errors_that_say_nothing_of_the_name_are_failures() {
        for rcode in [1, 2, 4, 5] {
            assert_eq!(of(&header_only(0x8180 | rcode)), Worth::Failure);
        }
        for rcode in [6, 9, 11, 15] {
            assert_eq!(of(&header_only(0x8180 | rcode)), Worth::Nothing);
        }
        // BADVERS and its like need the bits of the OPT record: the header says NOERROR.
        assert_eq!(of(&a(9).edns(1232, 0x0100_0000, &[])), Worth::Nothing);
    }

    // req 18, req 50
    #[test]
    fn nothing_follows_from_what_is_cut_signed_or_not_sound() {
        assert_eq!(of(&a(9).flags(0x8380)), Worth::Nothing);
        assert_eq!(of(&a(9).tsig()), Worth::Nothing);
        let long = a(9).record(Section::Answer, TO_QUESTION, 1, (1, 9), &[0; 5]);
        assert_eq!(of(&long), Worth::Nothing);
        let empty = a(9).record(Section::Answer, TO_QUESTION, 5, (1, 9), &[]);
        assert_eq!(of(&empty), Worth::Nothing);
        let unasked = header_only(0x8180).record(Section::Answer, &[0], 1, (1, 9), &[0; 4]);
        assert_eq!(of(&unasked), Worth::Nothing);
        let early = a(9).edns(1232, 0, &[]);
        let early = early.record(Section::Additional, TO_QUESTION, 1, (1, 9), &[0; 4]);
        assert_eq!(of(&early), Worth::Nothing);
    }

    // fault 93
    #[test]
    fn many_records_under_a_long_alias_are_worth_as_much_as_others() {
        let target = [&b"\x01a".repeat(120)[..], TO_QUESTION].concat();
        let mut built =
            testing::answer("a.test.", 1).record(Section::Answer, TO_QUESTION, 5, (1, 9), &target);
        // Its name in every record by a pointer to its first label, behind the CNAME's twelve octets.
        let owner = (0xC000_u16 + 24 + 12).to_be_bytes();
        for _ in 0..1_200 {
            built = built.record(Section::Answer, &owner, 1, (1, 9), &[192, 0, 2, 1]);
        }
        assert_eq!(of(&built), positive(9));
    }
}
