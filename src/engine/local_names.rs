//! Names that are answered here and leave for nobody: those of special use, the reverse zones of private addresses, and what is asked
//! about the server itself.
//!
//! Two top-level domains of RFC 6761 are not among them. `example` is an ordinary name to a resolver (section 6.5). For `test` section 6.2
//! would have NXDOMAIN, but whoever uses it has a server of theirs that knows it, and it would be looked for there in vain.

use crate::config::LocalNames;
use crate::wire::{Ede, Labels, LocalRecord, Query, QuestionAt, Rcode, Section};
use std::net::{Ipv4Addr, Ipv6Addr};

const CLASS_IN: u16 = 1;
const CLASS_CH: u16 = 3;
const TYPE_A: u16 = 1;
const TYPE_SOA: u16 = 6;
const TYPE_PTR: u16 = 12;
const TYPE_TXT: u16 = 16;
const TYPE_AAAA: u16 = 28;
const TYPE_DS: u16 = 43;
const TYPE_ANY: u16 = 255;

/// How long such an answer may be remembered: RFC 6303 section 3 has it so.
const TTL: u32 = 10_800;
/// Behind the primary server of an SOA: the mailbox `nobody.invalid.`, the serial number, the times, and how long "no" may be
/// remembered (RFC 6303 section 3).
const SOA_REST: [u8; 36] =
    *b"\x06nobody\x07invalid\x00\0\0\0\x01\0\0\x0e\x10\0\0\x04\xb0\0\x09\x3a\x80\0\0\x2a\x30";
const LOCALHOST: &[u8] = b"\x09localhost\x00";
const VERSION: &[u8] = concat!("dotward ", env!("CARGO_PKG_VERSION")).as_bytes();

/// What there is under a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// Nothing: no name in it exists, nor does itself.
    NoName,
    /// Only itself.
    Itself,
    /// Each name, without any data.
    NoData,
    /// The loopback addresses, at every name.
    Loopback,
    /// The name of the loopback addresses, at itself alone.
    LoopbackName,
}

/// A row of the table.
struct Domain {
    name: &'static str,
    holds: Holds,
    why: &'static str,
}

const PRIVATE: &str = "reverse zone of addresses for local use, answered here (RFC 6303)";
const LOOPBACK: &str = "a name of this machine, answered here (RFC 6761)";
const HIDDEN: &str = "not told here";

macro_rules! domains {
    ($( $name:literal, $holds:ident, $why:expr; )*) => {
        &[ $( Domain { name: $name, holds: Holds::$holds, why: $why }, )* ]
    };
}

/// The domains of class IN; of two that fit the first counts. A label `16-31` stands for each of these numbers.
const DOMAINS: &[Domain] = domains! {
    "onion", NoName, "a name of Tor, which DNS does not know (RFC 7686)";
    "invalid", NoName, "a name that never exists (RFC 6761)";
    "local", NoName, "a name of multicast DNS (RFC 6762)";
    "localhost", Loopback, LOOPBACK;
    "home.arpa", Itself, "a name of the home network, answered here (RFC 8375)";
    "resolver.arpa", NoData, "this resolver names no encrypted one (RFC 9462)";
    "1.0.0.127.in-addr.arpa", LoopbackName, LOOPBACK;
    "127.in-addr.arpa", Itself, PRIVATE;
    "10.in-addr.arpa", Itself, PRIVATE;
    "16-31.172.in-addr.arpa", Itself, PRIVATE;
    "168.192.in-addr.arpa", Itself, PRIVATE;
    "254.169.in-addr.arpa", Itself, PRIVATE;
    // Shared address space (RFC 7793).
    "64-127.100.in-addr.arpa", Itself, PRIVATE;
    "0.in-addr.arpa", Itself, PRIVATE;
    "2.0.192.in-addr.arpa", Itself, PRIVATE;
    "100.51.198.in-addr.arpa", Itself, PRIVATE;
    "113.0.203.in-addr.arpa", Itself, PRIVATE;
    "255.255.255.255.in-addr.arpa", Itself, PRIVATE;
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", LoopbackName, LOOPBACK;
    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", Itself, PRIVATE;
    // Unique local addresses; only half of them is assigned so far (RFC 4193).
    "d.f.ip6.arpa", Itself, PRIVATE;
    // Link-local addresses.
    "8.e.f.ip6.arpa", Itself, PRIVATE;
    "9.e.f.ip6.arpa", Itself, PRIVATE;
    "a.e.f.ip6.arpa", Itself, PRIVATE;
    "b.e.f.ip6.arpa", Itself, PRIVATE;
    // Documentation.
    "8.b.d.0.1.0.0.2.ip6.arpa", Itself, PRIVATE;
};

/// What is asked about the server itself, in class CH.
const ABOUT_US: [&str; 4] = [
    "version.bind",
    "version.server",
    "hostname.bind",
    "id.server",
];

/// An answer from here: its response code, its record if it has one, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAnswer {
    pub rcode: Rcode,
    record: Option<(Section, u16, usize)>,
    rdata: Vec<u8>,
    pub ede: Option<Ede<'static>>,
}

impl LocalAnswer {
    /// Its record.
    pub fn record(&self) -> Option<LocalRecord<'_>> {
        let (section, rtype, owner_at) = self.record?;
        Some(LocalRecord {
            section,
            owner_at,
            rtype,
            ttl: if rtype == TYPE_TXT { 0 } else { TTL },
            rdata: &self.rdata,
        })
    }

    fn data(rtype: u16, rdata: Vec<u8>) -> Self {
        Self {
            rcode: Rcode::NOERROR,
            record: Some((Section::Answer, rtype, 0)),
            rdata,
            ede: None,
        }
    }

    /// There is no such name, or nothing of that type at it: with the SOA of the domain that starts at `apex` (RFC 2308).
    fn negative(rcode: Rcode, apex: usize, why: &'static str) -> Self {
        // The primary server is the domain itself: a pointer to it, behind the header.
        let pointer = u16::try_from(apex + 12).unwrap_or(12) | 0xC000;
        Self {
            rcode,
            record: Some((Section::Authority, TYPE_SOA, apex)),
            rdata: [&pointer.to_be_bytes()[..], &SOA_REST].concat(),
            ede: Some(Ede::OTHER.with_text(why)),
        }
    }

    fn refused() -> Self {
        Self {
            rcode: Rcode::REFUSED,
            record: None,
            rdata: Vec::new(),
            ede: Some(Ede::PROHIBITED.with_text(HIDDEN)),
        }
    }
}

/// The answer to a query, if it is to be answered here.
pub fn answer(local: LocalNames, message: &[u8], query: &Query) -> Option<LocalAnswer> {
    let at = &query.question;
    let name = at.name(message);
    match at.qclass {
        CLASS_IN if !local.forward_special && may_be_special(name) => special(name, at),
        CLASS_CH => about_us(local, name, at),
        _ => None,
    }
}

/// What is said to a question about the server itself.
fn about_us(local: LocalNames, name: &[u8], at: &QuestionAt) -> Option<LocalAnswer> {
    let labels = Labels::of(name);
    if !ABOUT_US
        .iter()
        .any(|name| labels_below(name, &labels) == Some(0))
    {
        return None;
    }
    let is_version = labels.from_top(1)?.eq_ignore_ascii_case(b"version");
    if !local.show_version || !is_version || !matches!(at.qtype, TYPE_TXT | TYPE_ANY) {
        return Some(LocalAnswer::refused());
    }
    let rdata = [&[VERSION.len() as u8][..], VERSION].concat();
    Some(LocalAnswer::data(TYPE_TXT, rdata))
}

/// Whether it is worth to look closer: the last letters are those of a top-level domain of the table. This is all that most names cost.
fn may_be_special(name: &[u8]) -> bool {
    let ends_in = |end: &[u8]| {
        let at = name.len().checked_sub(end.len());
        let tail = at.and_then(|at| name.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    match name {
        [.., b'n' | b'N', 0] => ends_in(b"\x05onion\x00"),
        [.., b'd' | b'D', 0] => ends_in(b"\x07invalid\x00"),
        [.., b'l' | b'L', 0] => ends_in(b"\x05local\x00"),
        [.., b't' | b'T', 0] => ends_in(b"\x09localhost\x00"),
        [.., b'a' | b'A', 0] => ends_in(b"\x04arpa\x00"),
        _ => false,
    }
}

/// What is said to a question under a domain of special use.
fn special(name: &[u8], at: &QuestionAt) -> Option<LocalAnswer> {
    let labels = Labels::of(name);
    let mut rows = DOMAINS.iter();
    let (row, below) = rows.find_map(|row| Some((row, labels_below(row.name, &labels)?)))?;
    let apex = labels.start(labels.count().checked_sub(below + 1)?)?;
    let none = |rcode| LocalAnswer::negative(rcode, apex, row.why);
    let data = |rdata: &[u8]| LocalAnswer::data(at.qtype, rdata.to_vec());
    Some(match row.holds {
        // Whether a zone is signed is said by its parent, which is a public one.
        Holds::Itself if below == 0 && at.qtype == TYPE_DS => return None,
        Holds::LoopbackName if below == 0 && at.qtype == TYPE_PTR => data(LOCALHOST),
        Holds::Loopback if at.qtype == TYPE_A => data(&Ipv4Addr::LOCALHOST.octets()),
        Holds::Loopback if at.qtype == TYPE_AAAA => data(&Ipv6Addr::LOCALHOST.octets()),
        Holds::Loopback | Holds::NoData => none(Rcode::NOERROR),
        Holds::Itself | Holds::LoopbackName if below == 0 => none(Rcode::NOERROR),
        Holds::Itself | Holds::LoopbackName | Holds::NoName => none(Rcode::NXDOMAIN),
    })
}

/// Whether a name lies in a domain of the table, and then how many labels below it.
fn labels_below(domain: &str, labels: &Labels<'_>) -> Option<usize> {
    let below = labels.count().checked_sub(domain.split('.').count())?;
    let mut own = domain.rsplit('.').enumerate();
    let same = |(place, label)| labels.from_top(place).is_some_and(|it| is_label(it, label));
    own.all(same).then_some(below)
}

/// Whether a label is this one of the table.
fn is_label(found: &[u8], label: &str) -> bool {
    let range = label.split_once('-');
    let range =
        range.and_then(|(first, last)| Some(first.parse::<u8>().ok()?..=last.parse().ok()?));
    match range {
        Some(range) => number(found).is_some_and(|number| range.contains(&number)),
        None => found.eq_ignore_ascii_case(label.as_bytes()),
    }
}

/// A label that is a number as reverse zones have it: without zeros before it.
fn number(label: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(label).ok()?;
    let number = text.parse::<u8>().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;
    use crate::wire::testing::{header_only, name_octets};

    const ALL: LocalNames = LocalNames {
        forward_special: false,
        show_version: false,
    };

    fn ask(local: LocalNames, name: &[u8], qtype: u16, class: u16) -> Option<LocalAnswer> {
        let message = header_only(0x0100).question(name, qtype, class).build();
        answer(local, &message, &wire::parse_query(&message).unwrap())
    }

    /// Response code, type of the record and where its owner starts.
    fn told(name: &str, qtype: u16) -> Option<(Rcode, u16, usize)> {
        let answer = ask(ALL, &name_octets(name), qtype, 1)?;
        let record = answer.record().unwrap();
        Some((answer.rcode, record.rtype, record.owner_at))
    }

    // req 88, fault 109
    #[test]
    fn what_does_not_exist_does_not_leave() {
        for (name, apex) in [
            ("onion.", 0),
            ("abcdefgh.ONION.", 9),
            ("a.b.invalid.", 4),
            ("printer.local.", 8),
            ("nas.home.arpa.", 4),
            ("7.0.168.192.in-addr.arpa.", 4),
            ("1.2.16.172.in-addr.arpa.", 4),
            ("1.2.31.172.in-addr.arpa.", 4),
            ("1.2.64.100.in-addr.arpa.", 4),
            ("5.0.0.127.in-addr.arpa.", 6),
            ("1.d.f.ip6.arpa.", 2),
            ("1.8.b.d.0.1.0.0.2.ip6.arpa.", 2),
        ] {
            for qtype in [1, 28, 65] {
                assert_eq!(
                    told(name, qtype),
                    Some((Rcode::NXDOMAIN, 6, apex)),
                    "{name}"
                );
            }
        }
    }

    // req 86, 88, fault 109
    #[test]
    fn what_exists_has_nothing_of_that_type() {
        for (name, qtype, apex) in [
            ("_dns.resolver.arpa.", 64, 5),
            ("resolver.arpa.", 1, 0),
            ("home.arpa.", 1, 0),
            ("10.in-addr.arpa.", 12, 0),
            ("20.172.in-addr.arpa.", 12, 0),
            ("localhost.", 15, 0),
            ("x.localhost.", 65, 2),
            ("1.0.0.127.in-addr.arpa.", 1, 0),
        ] {
            assert_eq!(told(name, qtype), Some((Rcode::NOERROR, 6, apex)), "{name}");
        }
    }

    // fault 109
    #[test]
    fn this_machine_has_its_addresses_and_its_name() {
        let rdata = |name: &str, qtype| {
            let answer = ask(ALL, &name_octets(name), qtype, 1).unwrap();
            assert_eq!((answer.rcode, answer.ede), (Rcode::NOERROR, None));
            answer.record().unwrap().rdata.to_vec()
        };
        assert_eq!(rdata("localhost.", 1), [127, 0, 0, 1]);
        assert_eq!(
            rdata("a.b.LocalHost.", 28),
            std::net::Ipv6Addr::LOCALHOST.octets()
        );
        assert_eq!(rdata("1.0.0.127.in-addr.arpa.", 12), LOCALHOST);
        let loopback = format!("1.{}ip6.arpa.", "0.".repeat(31));
        assert_eq!(rdata(&loopback, 12), LOCALHOST);
    }

    // fault 109
    #[test]
    fn all_other_names_leave() {
        for name in [
            ".",
            "example.",
            "a.test.",
            "arpa.",
            "in-addr.arpa.",
            "8.8.8.8.in-addr.arpa.",
            "1.2.15.172.in-addr.arpa.",
            "1.2.32.172.in-addr.arpa.",
            "1.016.172.in-addr.arpa.",
            "172.in-addr.arpa.",
            "homearpa.",
            "nothome.arpa.",
            "mylocal.",
            "local.example.",
            "localhost.example.com.",
            "e.f.ip6.arpa.",
            "version.bind.",
        ] {
            assert_eq!(told(name, 1), None, "{name}");
        }
        // One label that only looks as if it ended in another one.
        assert_eq!(ask(ALL, b"\x08ab\x05local\x00", 1, 1), None);
        assert_eq!(
            ask(ALL, &name_octets("a.local."), 1, 4),
            None,
            "another class"
        );
        assert_eq!(told("home.arpa.", 43), None, "DS is the parent's");
        let forward = LocalNames {
            forward_special: true,
            ..ALL
        };
        assert_eq!(ask(forward, &name_octets("a.local."), 1, 1), None);
    }

    #[test]
    fn the_version_is_hidden_unless_the_user_wants_it_told() {
        let shown = LocalNames {
            show_version: true,
            forward_special: true,
        };
        let ask = |local, name: &str, qtype| ask(local, &name_octets(name), qtype, 3);
        for name in [
            "version.bind.",
            "VERSION.server.",
            "id.server.",
            "hostname.bind.",
        ] {
            assert_eq!(ask(ALL, name, 16).unwrap().rcode, Rcode::REFUSED, "{name}");
        }
        let answer = ask(shown, "version.bind.", 16).unwrap();
        assert_eq!(answer.rcode, Rcode::NOERROR);
        assert_eq!(&answer.record().unwrap().rdata[1..], VERSION);
        assert_eq!(ask(shown, "id.server.", 16).unwrap().rcode, Rcode::REFUSED);
        assert_eq!(ask(shown, "a.version.bind.", 16), None);
        assert_eq!(ask(shown, "other.bind.", 16), None);
    }
}
