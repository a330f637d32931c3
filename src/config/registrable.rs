//! Whose a name is, as far as the name shows.

use super::suffix_octets;
use std::net::IpAddr;

/// The registrable domain of a name in text, without a final dot: its public suffix and one label. `None` if it has none.
pub(crate) fn registrable_domain(name: &str) -> Option<&str> {
    if name.parse::<IpAddr>().is_ok() {
        return None;
    }
    let octets = suffix_octets(name.rsplit('.').map(str::as_bytes));
    let before = name.get(..name.len().checked_sub(octets + 1)?)?;
    let start = before.rfind('.').map_or(0, |dot| dot + 1);
    name.get(start..).filter(|_| !before.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrable_domain_is_a_suffix_and_one_label() {
        assert_eq!(registrable_domain("a.dns.test"), Some("dns.test"));
        assert_eq!(registrable_domain("dns.test"), Some("dns.test"));
        for none in ["test", "", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(registrable_domain(none), None, "{none}");
        }
    }
}
