//! For how long a response may be kept by a cache of HTTP (RFC 8484 section 5.1).

use super::cacheability::effective_ttl;
use super::header::Rcode;
use super::rdata::{TYPE_SOA, soa_minimum};
use super::response::{parse_response, records};
use super::scan::Section;

/// In seconds: the lowest TTL of the answer section. Without the record that was asked for, also what the SOA of the zone allows (RFC 2308
/// section 5). `None` if it says nothing that may be kept: it is a failure, or truncated.
pub fn freshness(message: &[u8]) -> Option<u32> {
    let response = parse_response(message).ok()?;
    let rcode = response.rcode();
    if response.header.flags.tc() || ![Rcode::NOERROR, Rcode::NXDOMAIN].contains(&rcode) {
        return None;
    }
    let (mut lowest, mut denial) = (None::<u32>, None);
    for record in records(message, &response) {
        let ttl = effective_ttl(record.ttl);
        match record.section {
            Section::Answer => lowest = Some(lowest.map_or(ttl, |lowest| lowest.min(ttl))),
            Section::Authority if record.rtype == TYPE_SOA => {
                let minimum = soa_minimum(message, &record);
                denial = minimum.map(|minimum| ttl.min(effective_ttl(minimum)));
            }
            _ => {}
        }
    }
    // The SOA stands in negative responses alone, and they may have aliases in front.
    let is_negative = lowest.is_none() || rcode == Rcode::NXDOMAIN || denial.is_some();
    if is_negative {
        let denial = denial.unwrap_or(0);
        return Some(lowest.map_or(denial, |lowest| lowest.min(denial)));
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, Message, TO_QUESTION, header_only};
    use super::*;

    fn of(built: &Message) -> Option<u32> {
        freshness(&built.build())
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

    // req 109
    #[test]
    fn the_lowest_ttl_of_the_answer_rules() {
        assert_eq!(of(&a(300)), Some(300));
        assert_eq!(of(&a(300).a(5, [192, 0, 2, 2])), Some(5));
        assert_eq!(of(&a(300).a(0x8000_0001, [0; 4])), Some(0));
        for section in [Section::Authority, Section::Additional] {
            let other = a(300).record(section, TO_QUESTION, 16, (1, 7), b"\x01x");
            assert_eq!(of(&other), Some(300));
        }
        assert_eq!(of(&a(300).edns(1232, 0, &[])), Some(300));
    }

    // req 109
    #[test]
    fn a_negative_response_holds_as_long_as_its_soa_says() {
        let nxdomain = testing::response("a.test.", 1).flags(0x8183);
        for empty in [nxdomain, testing::response("a.test.", 1)] {
            assert_eq!(of(&soa(empty.clone(), 100, 3)), Some(3));
            assert_eq!(of(&soa(empty.clone(), 3, 100)), Some(3));
            assert_eq!(of(&empty), Some(0));
        }
        let alias = |built: Message| {
            built.record(Section::Answer, TO_QUESTION, 5, (1, 60), b"\x01b\xC0\x0E")
        };
        let alias = alias(testing::response("a.test.", 1));
        assert_eq!(of(&soa(alias.clone(), 100, 90)), Some(60));
        assert_eq!(of(&soa(alias.clone(), 100, 9)), Some(9));
        assert_eq!(of(&alias), Some(60));
        assert_eq!(of(&alias.flags(0x8183)), Some(0));
    }

    // req 109
    #[test]
    fn failures_are_not_kept() {
        for flags in [0x8181, 0x8182, 0x8185, 0x8380] {
            assert_eq!(of(&header_only(flags)), None);
        }
        assert_eq!(of(&a(9).flags(0x8380)), None);
        assert_eq!(of(&a(9).edns(1232, 0x0100_0000, &[])), None, "BADVERS");
        assert_eq!(freshness(&[0; 11]), None);
        assert_eq!(freshness(&testing::query("a.test.", 1).build()), None);
    }
}
