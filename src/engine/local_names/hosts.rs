//! Answers from the configured hosts. A name that is not among them is none of theirs, even if it lies below one of them.

use super::answer::{CONFIGURED_TTL, LocalAnswer, TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_PTR};
use super::reverse;
use crate::config::Hosts;
use crate::wire::{Labels, LocalRdata, Rcode};

const WHY: &str = "the host of the configuration has no records of this type";

/// The answer, if the name is a host, or the reverse name of an address of one.
pub fn answer<'a>(hosts: &'a Hosts, name: &[u8], qtype: u16) -> Option<LocalAnswer<'a>> {
    let answer = if let Some(addresses) = hosts.addresses(name) {
        let has = |v4| addresses.clone().any(|address| address.is_ipv4() == v4);
        let rtype = match qtype {
            // To a query for everything, one of the types is an answer (RFC 8482 section 4.1).
            TYPE_A | TYPE_ANY if has(true) => Some(TYPE_A),
            TYPE_AAAA | TYPE_ANY if has(false) => Some(TYPE_AAAA),
            _ => None,
        };
        rtype.map(|rtype| LocalAnswer::addresses(rtype, CONFIGURED_TTL, addresses))
    } else {
        let pointer = LocalRdata::Octets(reverse_name(hosts, name)?);
        let asks = matches!(qtype, TYPE_PTR | TYPE_ANY);
        asks.then(|| LocalAnswer::data(TYPE_PTR, CONFIGURED_TTL, pointer))
    };
    Some(answer.unwrap_or_else(|| LocalAnswer::negative(Rcode::NOERROR, 0, CONFIGURED_TTL, WHY)))
}

/// The name of a host that has the address whose reverse name this is.
fn reverse_name<'a>(hosts: &'a Hosts, name: &[u8]) -> Option<&'a [u8]> {
    if !name.ends_with(b"a\x00") && !name.ends_with(b"A\x00") {
        return None;
    }
    let range = reverse::addresses(&Labels::of(name))?;
    let (first, last) = (range.start(), range.end());
    (first == last).then(|| hosts.name_of(*first)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::name_octets;
    use crate::wire::{LocalRecord, Section};

    fn hosts() -> Hosts {
        let mut hosts = Hosts::default();
        let left_out = hosts.read(
            "192.168.0.2 nas.home.arpa nas\nfd00::2 nas.home.arpa\n192.168.0.3 nas.home.arpa\n\
             192.168.0.2 alias.example\n0.0.0.0 ads.example\nfd00::6 six.example\n",
        );
        assert_eq!(left_out, Ok(vec![]));
        hosts
    }

    /// The records of the answer to a question, or nothing if it is not for the hosts.
    fn records(hosts: &Hosts, name: &str, qtype: u16) -> Option<String> {
        let answer = answer(hosts, &name_octets(name), qtype)?;
        assert_eq!(answer.rcode, Rcode::NOERROR);
        let is_negative = answer.ede.is_some();
        let shown = answer.records.map(|record: LocalRecord<'_>| {
            assert_eq!((record.owner_at, record.ttl), (0, 60));
            assert_eq!(record.section == Section::Authority, is_negative);
            let rdata = match record.rdata {
                LocalRdata::Address(address) => address.to_string(),
                LocalRdata::Octets(name) => crate::wire::display(name).to_string(),
                LocalRdata::NameThen(at, _) => format!("SOA of {at}"),
            };
            format!("{} {rdata}", record.rtype)
        });
        Some(shown.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn hosts_have_their_addresses_and_nothing_else() {
        let hosts = hosts();
        for (name, qtype, expected) in [
            ("nas.home.arpa.", 1, "1 192.168.0.2, 1 192.168.0.3"),
            ("NAS.Home.ARPA.", 28, "28 fd00::2"),
            ("nas.", 1, "1 192.168.0.2"),
            ("ads.example.", 1, "1 0.0.0.0"),
            // One type is enough for a query for all.
            ("nas.home.arpa.", 255, "1 192.168.0.2, 1 192.168.0.3"),
            ("six.example.", 255, "28 fd00::6"),
            // There is nothing of these types.
            ("ads.example.", 28, "6 SOA of 0"),
            ("six.example.", 1, "6 SOA of 0"),
            ("nas.home.arpa.", 65, "6 SOA of 0"),
            ("nas.home.arpa.", 12, "6 SOA of 0"),
        ] {
            let found = records(&hosts, name, qtype);
            assert_eq!(found.as_deref(), Some(expected), "{name} {qtype}");
        }
    }

    #[test]
    fn an_address_has_the_first_name_that_it_was_given() {
        let hosts = hosts();
        let v6 = format!("2.{}d.f.ip6.arpa.", "0.".repeat(29));
        for (name, qtype, expected) in [
            ("2.0.168.192.in-addr.arpa.", 12, "12 nas.home.arpa."),
            ("2.0.168.192.IN-ADDR.ARPA.", 255, "12 nas.home.arpa."),
            (v6.as_str(), 12, "12 nas.home.arpa."),
            ("2.0.168.192.in-addr.arpa.", 1, "6 SOA of 0"),
        ] {
            let found = records(&hosts, name, qtype);
            assert_eq!(found.as_deref(), Some(expected), "{name} {qtype}");
        }
    }

    #[test]
    fn all_other_names_are_not_for_the_hosts() {
        let hosts = hosts();
        for name in [
            ".",
            "home.arpa.",
            "example.",
            "x.nas.home.arpa.",
            "nas.home.arpa.example.",
            "4.0.168.192.in-addr.arpa.",
            "0.168.192.in-addr.arpa.",
            "x.2.0.168.192.in-addr.arpa.",
            "2.0.168.192.",
        ] {
            for qtype in [1, 12, 255] {
                assert_eq!(records(&hosts, name, qtype), None, "{name}");
            }
        }
    }
}
