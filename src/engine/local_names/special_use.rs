//! The special-use names that a resolver keeps to itself, and the zones that it serves itself: IANA's registries of both, as far as they
//! concern a resolver, and `internal`.
//!
//! Two top-level domains of RFC 6761 are not among them. `example` is an ordinary name to a resolver (section 6.5). For `test` section 6.2
//! would have NXDOMAIN, but whoever uses it has a server of theirs that knows it, and it would be looked for there in vain. Of IANA's
//! registry, `ipv4only.arpa` (RFC 8880), `6tisch.arpa` (RFC 9031) and `eap-noob.arpa` (RFC 9140) ask nothing of a resolver.

use super::answer::{
    FIXED_TTL, LocalAnswer, TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_NS, TYPE_PTR, TYPE_SOA,
};
use super::reverse::number;
use crate::wire::{Labels, LocalRdata, Rcode, TYPE_DS};
use std::net::{Ipv4Addr, Ipv6Addr};

const LOCALHOST: &[u8] = b"\x09localhost\x00";

/// What there is under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// Nothing: no name in it exists, nor does itself.
    NoName,
    /// Only itself: an empty zone, with its SOA and the NS of RFC 6303 section 3.
    EmptyZone,
    /// Each name, without any data.
    NoData,
    /// The loopback addresses, at every name.
    Loopback,
    /// The name of the loopback addresses, at itself alone.
    LoopbackName,
}

/// A row of the table.
struct Zone {
    /// The name, without the label that is a number.
    wire: &'static [u8],
    /// How many labels that are, without the root.
    labels: usize,
    /// One label more, which is a number in this range.
    numbers: Option<(u8, u8)>,
    holds: Holds,
    /// For people, with the specification.
    why: &'static str,
    #[cfg(test)]
    name: &'static str,
    #[cfg(test)]
    specification: &'static str,
}

macro_rules! zone {
    ($name:literal, $numbers:expr, $holds:ident, $specification:literal, $why:literal) => {
        Zone {
            wire: &const { wire::<{ $name.len() + 2 }>($name) },
            labels: const { labels($name) },
            numbers: $numbers,
            holds: Holds::$holds,
            why: concat!($why, " (", $specification, ")"),
            #[cfg(test)]
            name: $name,
            #[cfg(test)]
            specification: $specification,
        }
    };
    ($name:literal, $holds:ident, $specification:literal, $why:literal) => {
        zone!($name, None, $holds, $specification, $why)
    };
}

macro_rules! private {
    ($name:literal, $numbers:expr, $specification:literal) => {
        zone!(
            $name,
            $numbers,
            EmptyZone,
            $specification,
            "reverse zone of addresses for local use, answered here"
        )
    };
    ($name:literal) => {
        private!($name, None, "RFC 6303")
    };
}

macro_rules! loopback {
    ($name:literal, $holds:ident) => {
        zone!(
            $name,
            $holds,
            "RFC 6761",
            "a name of this machine, answered here"
        )
    };
}

/// All of them. Of two that fit a name the first counts.
const ZONES: &[Zone] = &[
    loopback!("localhost", Loopback),
    zone!("invalid", NoName, "RFC 6761", "a name that never exists"),
    zone!("local", NoName, "RFC 6762", "a name of multicast DNS"),
    zone!(
        "onion",
        NoName,
        "RFC 7686",
        "a name of Tor, which DNS does not know"
    ),
    zone!(
        "alt",
        NoName,
        "RFC 9476",
        "a name of another system than DNS"
    ),
    zone!(
        "internal",
        NoName,
        "ICANN 2024",
        "a name for private use, which is not public"
    ),
    zone!(
        "home.arpa",
        EmptyZone,
        "RFC 8375",
        "a name of the home network, answered here"
    ),
    zone!(
        "service.arpa",
        EmptyZone,
        "RFC 9665",
        "a name of services nearby, answered here"
    ),
    zone!(
        "resolver.arpa",
        NoData,
        "RFC 9462",
        "this resolver has no such record"
    ),
    loopback!("1.0.0.127.in-addr.arpa", LoopbackName),
    loopback!(
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
        LoopbackName
    ),
    private!("0.in-addr.arpa"),
    private!("10.in-addr.arpa"),
    private!("100.in-addr.arpa", Some((64, 127)), "RFC 7793"),
    private!("127.in-addr.arpa"),
    private!("254.169.in-addr.arpa"),
    private!("172.in-addr.arpa", Some((16, 31)), "RFC 6303"),
    private!("2.0.192.in-addr.arpa"),
    private!("168.192.in-addr.arpa"),
    private!("100.51.198.in-addr.arpa"),
    private!("113.0.203.in-addr.arpa"),
    private!("255.255.255.255.in-addr.arpa"),
    private!("0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa"),
    private!("d.f.ip6.arpa"),
    private!("8.e.f.ip6.arpa"),
    private!("9.e.f.ip6.arpa"),
    private!("a.e.f.ip6.arpa"),
    private!("b.e.f.ip6.arpa"),
    private!("8.b.d.0.1.0.0.2.ip6.arpa"),
];

/// A name in lower case as it stands on the wire: each dot gives its place to the length of the label behind it.
const fn wire<const LEN: usize>(name: &str) -> [u8; LEN] {
    let name = name.as_bytes();
    let mut octets = [0; LEN];
    let (mut at, mut length_at) = (0, 0);
    while at < name.len() {
        if name[at] == b'.' {
            length_at = at + 1;
        } else {
            octets[at + 1] = name[at];
            octets[length_at] += 1;
        }
        at += 1;
    }
    octets
}

const fn labels(name: &str) -> usize {
    let (mut at, mut labels) = (0, 1);
    while at < name.len() {
        labels += (name.as_bytes()[at] == b'.') as usize;
        at += 1;
    }
    labels
}

impl Zone {
    /// Whether a name lies in it, and then how many labels below it.
    #[inline]
    fn covers(&self, name: &[u8], labels: &Labels<'_>) -> Option<usize> {
        let start = labels.start(self.labels - 1)?;
        if !name.get(start..)?.eq_ignore_ascii_case(self.wire) {
            return None;
        }
        let Some((first, last)) = self.numbers else {
            return labels.count().checked_sub(self.labels);
        };
        let number = labels.from_top(self.labels).and_then(number)?;
        let is_in_range = (first..=last).contains(&number);
        let below = labels.count().checked_sub(self.labels + 1)?;
        is_in_range.then_some(below)
    }
}

/// Whether it is worth to look closer: the last octets are those of a top-level domain of the table, or the name is shorter than these. This
/// is all that most names cost.
#[inline]
pub fn is_candidate(name: &[u8]) -> bool {
    let Some(octets) = name.last_chunk::<8>() else {
        return true;
    };
    let last = u64::from_be_bytes(*octets) | FOLD;
    let ends_in = |end: (u64, u64)| last & end.1 == end.0;
    ends_in(const { end(b"\x04arpa\x00") })
        || ends_in(const { end(b"\x05local\x00") })
        || ends_in(const { end(b"\x05onion\x00") })
        || ends_in(const { end(b"\x03alt\x00") })
        || ends_in(const { end(b"invalid\x00") })
        || ends_in(const { end(b"calhost\x00") })
        || ends_in(const { end(b"nternal\x00") })
}

/// The bit that makes letters lower-case, in each octet.
const FOLD: u64 = 0x2020_2020_2020_2020;

/// The end of a name as a number, and the bits in which others must be equal to it.
const fn end(octets: &[u8]) -> (u64, u64) {
    let (mut number, mut mask, mut at) = (0, 0, 0);
    while at < octets.len() {
        number = number << 8 | octets[at] as u64 | 0x20;
        mask = mask << 8 | 0xFF;
        at += 1;
    }
    (number, mask)
}

/// The answer to a question of class IN, if its name is a special-use name.
pub fn answer(name: &[u8], qtype: u16) -> Option<LocalAnswer<'static>> {
    let labels = Labels::of(name);
    let covers = |zone: &'static Zone| Some((zone, zone.covers(name, &labels)?));
    let (zone, below) = ZONES.iter().find_map(covers)?;
    // Where the zone starts in the name.
    let apex = labels.start(labels.count().checked_sub(below + 1)?)?;
    let negative = |rcode| LocalAnswer::negative(rcode, apex, FIXED_TTL, zone.why);
    let data = |rtype, rdata| LocalAnswer::data(rtype, FIXED_TTL, rdata);
    let is_any = qtype == TYPE_ANY;
    let is_apex = below == 0;
    Some(match zone.holds {
        // Whether a zone is signed is said by its parent, which is a public one.
        Holds::EmptyZone if is_apex && qtype == TYPE_DS => return None,
        Holds::EmptyZone if is_apex && (is_any || qtype == TYPE_SOA) => LocalAnswer::soa(FIXED_TTL),
        // The primary server is the zone itself, which has no address, so nobody asks it.
        Holds::EmptyZone if is_apex && qtype == TYPE_NS => {
            data(TYPE_NS, LocalRdata::NameThen(0, b""))
        }
        Holds::LoopbackName if is_apex && (is_any || qtype == TYPE_PTR) => {
            data(TYPE_PTR, LocalRdata::Octets(LOCALHOST))
        }
        Holds::Loopback if is_any || qtype == TYPE_A => {
            data(TYPE_A, LocalRdata::Address(Ipv4Addr::LOCALHOST.into()))
        }
        Holds::Loopback if qtype == TYPE_AAAA => {
            data(TYPE_AAAA, LocalRdata::Address(Ipv6Addr::LOCALHOST.into()))
        }
        Holds::Loopback | Holds::NoData => negative(Rcode::NOERROR),
        Holds::EmptyZone | Holds::LoopbackName if is_apex => negative(Rcode::NOERROR),
        Holds::EmptyZone | Holds::LoopbackName | Holds::NoName => negative(Rcode::NXDOMAIN),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{labels as octets_of, name_octets};
    use crate::wire::{LocalRecord, Section};

    fn asked(name: &str, qtype: u16) -> Option<LocalAnswer<'static>> {
        let name = name_octets(name);
        is_candidate(&name).then(|| answer(&name, qtype)).flatten()
    }

    /// Response code, and type and owner of the only record.
    fn told(name: &str, qtype: u16) -> Option<(Rcode, u16, usize)> {
        let answer = asked(name, qtype)?;
        let records: Vec<LocalRecord<'_>> = answer.records.collect();
        assert_eq!((records.len(), records[0].ttl), (1, 10_800), "{name}");
        let is_negative = records[0].section == Section::Authority;
        assert_eq!(answer.ede.is_some(), is_negative, "{name} {qtype}");
        Some((answer.rcode, records[0].rtype, records[0].owner_at))
    }

    /// A name in each zone of the table: the first one if there are several.
    fn name(zone: &Zone) -> String {
        let number = zone.numbers.map(|(first, _)| format!("{first}."));
        format!("{}{}.", number.unwrap_or_default(), zone.name)
    }

    // req 88
    #[test]
    fn each_zone_of_the_table_is_found_and_gives_its_reason() {
        for zone in ZONES {
            let below = format!("x.{}", name(zone).to_uppercase());
            let found = asked(&below, 65).unwrap_or_else(|| panic!("{below}"));
            let why = found.ede.unwrap();
            assert!(why.text.ends_with(&format!("({})", zone.specification)));
            // It travels in each such response.
            assert!(why.text.len() <= 80, "{why:?}");
        }
    }

    // req 88, fault 109
    #[test]
    fn what_does_not_exist_does_not_leave() {
        for (name, apex) in [
            ("onion.", 0),
            ("abcdefgh.ONION.", 9),
            ("a.b.invalid.", 4),
            ("printer.local.", 8),
            ("a.alt.", 2),
            ("internal.", 0),
            ("vm.zone.internal.", 8),
            ("nas.home.arpa.", 4),
            ("_matter._tcp.default.service.arpa.", 21),
            ("7.0.168.192.in-addr.arpa.", 4),
            ("1.2.16.172.in-addr.arpa.", 4),
            ("1.2.31.172.in-addr.arpa.", 4),
            ("1.2.64.100.in-addr.arpa.", 4),
            ("5.0.0.127.in-addr.arpa.", 6),
            ("x.1.0.0.127.in-addr.arpa.", 2),
            ("1.d.f.ip6.arpa.", 2),
            ("1.8.b.d.0.1.0.0.2.ip6.arpa.", 2),
        ] {
            for qtype in [1, 2, 6, 28, 43, 65, 255] {
                let expected = Some((Rcode::NXDOMAIN, 6, apex));
                assert_eq!(told(name, qtype), expected, "{name} {qtype}");
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
            let expected = Some((Rcode::NOERROR, 6, apex));
            assert_eq!(told(name, qtype), expected, "{name}");
        }
    }

    // req 88
    #[test]
    fn an_empty_zone_has_its_soa_and_its_ns() {
        for (qtype, rtype) in [(6, 6), (2, 2), (255, 6)] {
            let expected = Some((Rcode::NOERROR, rtype, 0));
            assert_eq!(told("31.172.in-addr.arpa.", qtype), expected);
            assert_eq!(told("Home.ARPA.", qtype), expected);
        }
    }

    // fault 109
    #[test]
    fn this_machine_has_its_addresses_and_its_name() {
        let rdata = |name: &str, qtype| {
            let mut answer = asked(name, qtype).unwrap();
            assert_eq!((answer.rcode, answer.ede), (Rcode::NOERROR, None));
            let record = answer.records.next().unwrap();
            assert_eq!(record.section, Section::Answer);
            record.rdata
        };
        let v4 = LocalRdata::Address(Ipv4Addr::LOCALHOST.into());
        let v6 = LocalRdata::Address(Ipv6Addr::LOCALHOST.into());
        assert_eq!(rdata("localhost.", 1), v4);
        assert_eq!(rdata("localhost.", 255), v4);
        assert_eq!(rdata("a.b.LocalHost.", 28), v6);
        let localhost = LocalRdata::Octets(LOCALHOST);
        let loopback = format!("1.{}ip6.arpa.", "0.".repeat(31));
        for name in ["1.0.0.127.in-addr.arpa.", &loopback] {
            assert_eq!(rdata(name, 12), localhost);
            assert_eq!(rdata(name, 255), localhost);
        }
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
            "cobalt.",
            "notinternal.",
            "local.example.",
            "localhost.example.com.",
            "ipv4only.arpa.",
            "e.f.ip6.arpa.",
            "version.bind.",
        ] {
            assert_eq!(told(name, 1), None, "{name}");
        }
        // One label that only looks as if it ended in another one.
        let misleading = octets_of(&[b"ab\x05local"]);
        assert!(is_candidate(&misleading) && answer(&misleading, 1).is_none());
        assert_eq!(told("home.arpa.", 43), None, "DS is the parent's");
    }

    /// The line of docs/local-names.md for a row of the table.
    fn line(zone: &Zone) -> String {
        let names = zone.numbers.map_or_else(
            || format!("`{}`", zone.name),
            |(first, last)| format!("`{first}.{0}` to `{last}.{0}`", zone.name),
        );
        let names = names.replace(&".0".repeat(31), ".0.….0");
        let answer = match zone.holds {
            Holds::NoName => "NXDOMAIN",
            Holds::EmptyZone => "an empty zone",
            Holds::NoData => "NODATA",
            Holds::Loopback => "127.0.0.1 and ::1, at every name below, too",
            Holds::LoopbackName => "PTR `localhost`",
        };
        format!("| {names} | {answer} | {} |\n", zone.specification)
    }

    #[test]
    fn the_page_about_local_names_has_the_table() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/local-names.md");
        #[expect(clippy::disallowed_methods, reason = "a test reads the page")]
        let page = std::fs::read_to_string(page).unwrap();
        let expected: String = ZONES.iter().map(line).collect();
        let table = page.split("|---|---|---|\n").nth(1).unwrap_or_default();
        let table = table.split("\n\n").next().unwrap_or_default();
        assert_eq!(
            format!("{table}\n"),
            expected,
            "docs/local-names.md, the first table"
        );
    }
}
