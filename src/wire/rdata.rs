//! RDATA whose shape is known: whether it is well-formed, so that it can be cached.

use super::compression::NameAt;
use super::malformed::Malformed;
use super::scan::Record;

/// Class IN, the Internet. A and AAAA are addresses in this class only.
const CLASS_IN: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_NS: u16 = 2;
const TYPE_CNAME: u16 = 5;
/// SOA, start of a zone of authority.
pub(super) const TYPE_SOA: u16 = 6;
const TYPE_PTR: u16 = 12;
const TYPE_MX: u16 = 15;
const TYPE_AAAA: u16 = 28;
const TYPE_SRV: u16 = 33;
const TYPE_DNAME: u16 = 39;
/// Octets of an SOA behind its two names: five numbers of 32 bits (RFC 1035 §3.3.13).
const SOA_NUMBERS: usize = 20;

/// Whether the RDATA has the size that its type has, or the names in it end where it ends. Other types are
/// opaque, and always well-formed (RFC 3597).
///
/// `walk_name` walks the names in it.
pub(super) fn is_well_formed(
    message: &[u8],
    record: &Record,
    mut walk_name: impl FnMut(&[u8], usize) -> Result<NameAt, Malformed>,
) -> bool {
    let (start, end) = (record.rdata.start, record.rdata.end);
    let mut name_end = |at| walk_name(message, at).ok().map(|name| name.end);
    match record.rtype {
        TYPE_A if is_address(record) => record.rdata.len() == 4,
        TYPE_AAAA if is_address(record) => record.rdata.len() == 16,
        TYPE_NS | TYPE_CNAME | TYPE_PTR | TYPE_DNAME => name_end(start) == Some(end),
        // Behind a preference; behind priority, weight and port.
        TYPE_MX => name_end(start + 2) == Some(end),
        TYPE_SRV => name_end(start + 6) == Some(end),
        TYPE_SOA => {
            let numbers = name_end(start).and_then(&mut name_end);
            numbers.map(|at| at + SOA_NUMBERS) == Some(end)
        }
        _ => true,
    }
}

/// Whether the RDATA is an address, and nothing else.
pub(super) fn is_address(record: &Record) -> bool {
    matches!(record.rtype, TYPE_A | TYPE_AAAA) && record.class == CLASS_IN
}

/// MINIMUM of a well-formed SOA, its last number: how long a negative answer of its zone may be cached, in seconds (RFC 2308 §4).
pub(super) fn soa_minimum(message: &[u8], soa: &Record) -> Option<u32> {
    let minimum = message.get(soa.rdata.clone())?.last_chunk::<4>()?;
    Some(u32::from_be_bytes(*minimum))
}

#[cfg(test)]
mod tests {
    use super::super::compression::NameWalker;
    use super::super::response::parse_response;
    use super::super::response::records;
    use super::super::scan::Section;
    use super::super::testing::{self, TO_QUESTION, name_octets};
    use super::*;

    fn sound(rtype: u16, class: u16, rdata: &[u8]) -> bool {
        let message = testing::response("a.test.", 1)
            .record(Section::Answer, TO_QUESTION, rtype, (class, 1), rdata)
            // What a name that runs out of its RDATA would run into.
            .record(Section::Answer, TO_QUESTION, 1, (1, 1), &[0; 4])
            .build();
        let response = parse_response(&message).unwrap();
        let record = records(&message, &response).next().unwrap();
        is_well_formed(&message, &record, |message, at| {
            NameWalker::new(8).walk(message, at)
        })
    }

    // req 18
    #[test]
    fn addresses_have_their_size() {
        for len in 0..20 {
            assert_eq!(sound(1, 1, &vec![0; len]), len == 4);
            assert_eq!(sound(28, 1, &vec![0; len]), len == 16);
            // In another class the type means something else.
            assert!(sound(1, 3, &vec![0; len]) && sound(65280, 1, &vec![0; len]));
        }
    }

    // req 18
    #[test]
    fn names_end_where_their_rdata_ends() {
        let name = name_octets("b.test.");
        for (rtype, before) in [(2, 0), (5, 0), (12, 0), (39, 0), (15, 2), (33, 6)] {
            let rdata = [&vec![0; before][..], &name].concat();
            assert!(sound(rtype, 1, &rdata), "TYPE{rtype}");
            for end in 0..rdata.len() {
                assert!(!sound(rtype, 1, &rdata[..end]), "TYPE{rtype} of {end}");
            }
            assert!(!sound(rtype, 1, &[&rdata[..], &[0]].concat()));
        }
        assert!(sound(5, 1, TO_QUESTION));
        assert!(!sound(5, 1, &[0xC0, 0xFF]) && !sound(5, 1, b"\x40"));
    }

    // req 18
    #[test]
    fn an_soa_is_two_names_and_five_numbers() {
        let soa = [TO_QUESTION, b"\x01h", TO_QUESTION, &[7; 20]].concat();
        assert!(sound(6, 1, &soa));
        for end in 0..soa.len() {
            assert!(!sound(6, 1, &soa[..end]));
        }
    }
}
