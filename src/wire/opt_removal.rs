//! An OPT record that is not the last: whether the records behind it stay valid when it is removed.

use super::compression::in_place;
use super::edns::OptAt;
use super::name::pointer_target;
use super::response::Response;
use super::response::records;
use super::scan::{Record, Section};

/// Types that stand in additional sections and whose RDATA never holds a compressed name: A, TXT, AAAA,
/// RRSIG, TLSA, SVCB and HTTPS.
const WITHOUT_POINTERS: [u16; 7] = [1, 16, 28, 46, 52, 64, 65];

/// Whether the records behind the OPT record can be moved. If a compression pointer among them may lead to what would move, says how many
/// additional records stand before the OPT record, and so stay where they are.
pub(super) fn bound_before(message: &[u8], response: &Response, opt: &OptAt) -> Option<u16> {
    if opt.last {
        return None;
    }
    let mut before = 0;
    let mut free = true;
    let additional = |record: &Record| record.section == Section::Additional;
    for record in records(message, response).filter(additional) {
        if record.start < opt.start {
            before += 1;
        } else if record.start > opt.start {
            free &= stays_valid(message, &record, opt);
        }
    }
    (!free).then_some(before)
}

/// Whether the record stays the same when it moves forward with all that follows the OPT record.
fn stays_valid(message: &[u8], record: &Record, opt: &OptAt) -> bool {
    let before = message.get(..opt.start).unwrap_or_default();
    WITHOUT_POINTERS.contains(&record.rtype)
        && pointer_target(message, record.start)
            .is_none_or(|target| in_place(before, target).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::response::parse_response;
    use super::super::testing::{self, Message, TO_QUESTION, name_octets};
    use super::*;

    fn looked_at(built: &Message) -> Option<u16> {
        let message = built.build();
        let response = parse_response(&message).unwrap();
        bound_before(&message, &response, &response.opt.unwrap())
    }

    fn additional(built: Message, owner: &[u8], rtype: u16, rdata: &[u8]) -> Message {
        built.record(Section::Additional, owner, rtype, (1, 60), rdata)
    }

    #[test]
    fn nothing_stands_behind_the_last_record() {
        let built = testing::response("a.test.", 1).a(60, [0; 4]);
        let built = additional(built, TO_QUESTION, 2, b"\xC0\x0C").edns(1232, 0, &[]);
        assert_eq!(looked_at(&built), None);
    }

    #[test]
    fn addresses_with_owners_named_earlier_are_free() {
        let built = testing::response("a.test.", 1).edns(1232, 0, &[]);
        let built = additional(built, TO_QUESTION, 1, &[0; 4]);
        let built = additional(built, b"\x02ns\xC0\x0E", 28, &[0; 16]);
        let built = additional(built, &name_octets("ns.example."), 1, &[0; 4]);
        assert_eq!(looked_at(&built), None);
    }

    #[test]
    fn an_owner_named_behind_the_opt_is_bound() {
        let built = testing::response("a.test.", 1).edns(1232, 0, &[]);
        let built = additional(built, &name_octets("ns.example."), 1, &[0; 4]);
        // To the name behind the OPT record, and to the root that is the owner of the OPT record itself.
        for target in [24 + 11, 24] {
            let built = additional(built.clone(), &[0xC0, target], 28, &[0; 16]);
            assert_eq!(looked_at(&built), Some(0));
        }
    }

    // req 13
    #[test]
    fn rdata_that_may_hold_a_compressed_name_is_bound() {
        let built = testing::response("a.test.", 1);
        let built = additional(built, TO_QUESTION, 1, &[0; 4]);
        let built = additional(built, TO_QUESTION, 28, &[0; 16]).edns(1232, 0, &[]);
        for rtype in [2, 5, 6, 15, 33, 65280] {
            let built = additional(built.clone(), TO_QUESTION, rtype, &[0; 30]);
            assert_eq!(looked_at(&built), Some(2), "{rtype}");
        }
    }
}
