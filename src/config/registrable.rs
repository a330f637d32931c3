//! Whose a name is, as far as the name shows.

use super::suffix_octets;
use crate::wire::Labels;
#[cfg(feature = "cli")]
use std::net::IpAddr;

/// Labels of the reverse zone of an IPv4 /24: in-addr.arpa and three octets.
const IPV4_LABELS: usize = 2 + 3;
/// Labels of that of an IPv6 /48: ip6.arpa and twelve nibbles.
const IPV6_LABELS: usize = 2 + 12;

/// The registrable domain of a name in text, without a final dot: its public suffix and one label. `None` if it has none.
#[cfg(feature = "cli")]
pub(crate) fn registrable_domain(name: &str) -> Option<&str> {
    if name.parse::<IpAddr>().is_ok() {
        return None;
    }
    let octets = suffix_octets(name.rsplit('.').map(str::as_bytes));
    let before = name.get(..name.len().checked_sub(octets + 1)?)?;
    let start = before.rfind('.').map_or(0, |dot| dot + 1);
    name.get(start..).filter(|_| !before.is_empty())
}

/// The domain that a name in lower case belongs to: its registrable domain, or for a reverse name the zone of a /24 or /48, as these are
/// assigned. The name itself if it has none.
pub(crate) fn domain_of(name: &[u8]) -> &[u8] {
    let labels = Labels::of(name);
    let count = match (labels.from_top(0), labels.from_top(1)) {
        (Some(b"arpa"), Some(b"in-addr")) => IPV4_LABELS,
        (Some(b"arpa"), Some(b"ip6")) => IPV6_LABELS,
        _ => 1 + suffix_labels(&labels),
    };
    let start = labels.start(count - 1).unwrap_or_default();
    name.get(start..).unwrap_or_default()
}

/// How many labels the public suffix of a name has.
fn suffix_labels(labels: &Labels<'_>) -> usize {
    let from_top = || (0..labels.count()).map_while(|place| labels.from_top(place));
    let octets = suffix_octets(from_top());
    // Each label ends with a dot or the end of the suffix.
    let mut end = 0;
    let ends = from_top().map_while(|label| {
        end += label.len() + 1;
        (end <= octets + 1).then_some(end)
    });
    ends.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::name_octets;

    fn domain(name: &str) -> String {
        let name = name_octets(name);
        crate::wire::display(domain_of(&name)).to_string()
    }

    #[test]
    fn what_has_no_registrable_domain_stands_for_itself() {
        for name in [
            ".",
            "localhost.",
            "arpa.",
            "in-addr.arpa.",
            "2.0.192.in-addr.arpa.",
        ] {
            assert_eq!(domain(name), name);
        }
    }

    #[test]
    fn reverse_names_belong_to_a_slash_24_or_a_slash_48() {
        assert_eq!(domain("7.2.0.192.in-addr.arpa."), "2.0.192.in-addr.arpa.");
        assert_eq!(domain("a.7.2.0.192.in-addr.arpa."), "2.0.192.in-addr.arpa.");
        let zone = "1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
        assert_eq!(domain(zone), zone);
        assert_eq!(domain(&format!("f.e.{zone}")), zone);
        assert_eq!(
            domain("8.b.d.0.1.0.0.2.ip6.arpa."),
            "8.b.d.0.1.0.0.2.ip6.arpa."
        );
    }

    #[cfg(feature = "cli")]
    #[test]
    fn a_registrable_domain_is_a_suffix_and_one_label() {
        assert_eq!(registrable_domain("a.dns.test"), Some("dns.test"));
        assert_eq!(registrable_domain("dns.test"), Some("dns.test"));
        for none in ["test", "", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(registrable_domain(none), None, "{none}");
        }
    }
}
