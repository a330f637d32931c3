//! A question in the clear: what leaves, and what counts as its response.
//!
//! What a client sent is not in it. A [`Check`] is a place in a fixed list of names and one of two types, and the message is made of that and
//! of a random id alone, so that nothing else can leave.

use super::names::{NAMES, place_of, to_wire};
use crate::wire::{self, HEADER_LEN, QuestionAt, Rcode, Section};
use std::net::IpAddr;

/// TYPE of the addresses that are asked for.
const A: u16 = 1;
const AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
/// More addresses of a host are not handed on.
const MAX_ADDRESSES: usize = 8;
/// For how many seconds an answer may be kept: with a portal's own address a client is to ask again once the portal lets it through, and a
/// page that is being loaded does not ask for each of its parts.
const MAX_TTL: u32 = 5;

/// One of the names by which operating systems look for captive portals, and the kind of addresses that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    place: u8,
    v6: bool,
}

/// What the network's own resolver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckAnswer {
    /// None: there is no address of this kind.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ttl: u32,
}

impl Check {
    /// Of a question, if it is one.
    pub(crate) fn of(message: &[u8], at: &QuestionAt) -> Option<Self> {
        let v6 = match (at.qclass, at.qtype) {
            (CLASS_IN, A) => false,
            (CLASS_IN, AAAA) => true,
            _ => return None,
        };
        let place = place_of(at.name(message))?;
        Some(Self { place, v6 })
    }

    /// The name, without the final dot.
    pub fn name(self) -> &'static str {
        NAMES
            .get(usize::from(self.place))
            .copied()
            .unwrap_or_default()
    }

    /// TYPE.
    pub fn qtype(self) -> u16 {
        if self.v6 { AAAA } else { A }
    }

    /// The whole message with this id: a header that asks for recursion, and the question (RFC 1035 section 4.1). No EDNS.
    pub fn query(self, id: u16) -> Vec<u8> {
        let name = to_wire(self.place);
        let mut query = Vec::with_capacity(HEADER_LEN + name.len() + 4);
        query.extend_from_slice(&id.to_be_bytes());
        query.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        query.extend_from_slice(&name);
        query.extend_from_slice(&self.qtype().to_be_bytes());
        query.extend_from_slice(&CLASS_IN.to_be_bytes());
        query
    }

    /// What a message says, if it is the response to the query with this id. An error says why it is of no use.
    pub fn read(self, id: u16, message: &[u8]) -> Option<Result<CheckAnswer, String>> {
        let query = self.query(id);
        let asked = wire::parse_query(&query).ok()?;
        let response = wire::parse_response(message).ok()?;
        let question = response.question?;
        let flags = response.header.flags;
        let is_response = flags.is_response()
            && response.header.id == id
            && wire::same_question(message, &question, &query, &asked.question);
        if !is_response {
            return None;
        }
        if response.rcode() != Rcode::NOERROR {
            return Some(Err(response.rcode().to_string()));
        }
        let mut answer = CheckAnswer {
            addresses: Vec::new(),
            ttl: MAX_TTL,
        };
        // A chain of CNAMEs ends in address records of another owner; the resolver has followed it.
        for record in wire::records(message, &response) {
            let data = message.get(record.rdata.clone()).unwrap_or_default();
            let of_type = (record.section, record.class, record.rtype);
            if of_type == (Section::Answer, CLASS_IN, self.qtype())
                && let Some(ip) = address(data)
                && answer.addresses.len() < MAX_ADDRESSES
            {
                answer.addresses.push(ip);
                answer.ttl = answer.ttl.min(record.ttl);
            }
        }
        Some(Ok(answer))
    }
}

/// An address that a portal or a server can have. That of this host itself is none: a page is not to reach its services by such a name.
fn address(data: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(data).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(data).ok().map(IpAddr::from);
    let ip = v4.or_else(v6)?;
    let bare = ip.to_canonical();
    let is_broadcast = bare == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    let is_usable =
        !(bare.is_unspecified() || bare.is_loopback() || bare.is_multicast() || is_broadcast);
    is_usable.then_some(ip)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::testing::{Message, name_octets, query_octets, response_to};

    /// The check of this name and type.
    pub fn check(name: &str, qtype: u16) -> Option<Check> {
        let query = question(name, qtype, 1);
        let at = wire::parse_query(&query).unwrap().question;
        Check::of(&query, &at)
    }

    fn question(name: &str, qtype: u16, qclass: u16) -> Vec<u8> {
        query_octets(&name_octets(name), qtype, qclass).build()
    }

    // req 135, fault 160
    #[test]
    fn only_addresses_of_these_names_in_this_class_are_checks() {
        for (name, qtype, qclass, is_one) in [
            ("captive.apple.com.", A, 1, true),
            ("captive.apple.com.", AAAA, 1, true),
            ("CAPTIVE.Apple.COM.", A, 1, true),
            ("captive.apple.com.", 65, 1, false),
            ("captive.apple.com.", 16, 1, false),
            ("captive.apple.com.", 255, 1, false),
            ("captive.apple.com.", 2, 1, false),
            ("captive.apple.com.", A, 3, false),
            ("captive.apple.com.", A, 255, false),
            ("x.captive.apple.com.", A, 1, false),
            ("apple.com.", A, 1, false),
            (".", A, 1, false),
        ] {
            let query = question(name, qtype, qclass);
            let at = wire::parse_query(&query).unwrap().question;
            assert_eq!(
                Check::of(&query, &at).is_some(),
                is_one,
                "{name} {qtype} {qclass}"
            );
        }
    }

    // req 135
    #[test]
    fn the_message_is_a_header_a_name_of_the_list_and_a_type() {
        let check = check("CAPTIVE.apple.com.", AAAA).unwrap();
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07captive\x05apple\x03com\0\0\x1c\0\x01";
        assert_eq!(check.query(0x1234), expected);
        assert_eq!((check.name(), check.qtype()), ("captive.apple.com", AAAA));
    }

    fn read(
        check: Check,
        change: impl FnOnce(Message) -> Message,
    ) -> Option<Result<CheckAnswer, String>> {
        let query = check.query(7);
        check.read(7, &change(response_to(&query)).build())
    }

    // fault 161
    #[test]
    fn addresses_are_all_that_is_taken_of_a_response() {
        let check = check("captive.apple.com.", A).unwrap();
        let many = read(check, |plain| {
            (1..=20).fold(plain, |plain, last| plain.a(300, [192, 168, 1, last]))
        });
        let many = many.unwrap().unwrap();
        assert_eq!((many.addresses.len(), many.ttl), (MAX_ADDRESSES, MAX_TTL));
        let short = read(check, |plain| plain.a(2, [10, 0, 0, 1]))
            .unwrap()
            .unwrap();
        assert_eq!(short.ttl, 2);
        let none = read(check, |plain| plain.answer(AAAA, 300, &[1; 16]));
        assert_eq!(none.unwrap().unwrap().addresses, Vec::<IpAddr>::new());
        for unusable in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4]] {
            let answer = read(check, |plain| plain.a(300, unusable));
            assert_eq!(
                answer.unwrap().unwrap().addresses,
                Vec::<IpAddr>::new(),
                "{unusable:?}"
            );
        }
    }

    #[test]
    fn a_response_to_something_else_is_none_and_an_error_is_of_no_use() {
        let check = check("captive.apple.com.", A).unwrap();
        let other = super::tests::check("captive.apple.com.", AAAA).unwrap();
        let response = response_to(&check.query(7)).a(5, [10, 0, 0, 1]).build();
        assert!(check.read(7, &response).is_some());
        assert_eq!(check.read(8, &response), None);
        assert_eq!(other.read(7, &response), None);
        assert_eq!(check.read(7, &check.query(7)), None, "a query");
        assert_eq!(check.read(7, &response[..20]), None);
        for (rcode, told) in [(3, "NXDOMAIN"), (5, "REFUSED")] {
            let refused = read(check, |plain| plain.on(0x8180 | rcode));
            assert_eq!(refused, Some(Err(told.to_owned())));
        }
    }
}
