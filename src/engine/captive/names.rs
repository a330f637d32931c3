//! The names by which operating systems and browsers look for captive portals. `docs/captive.md` says where each comes from, and a test holds
//! both lists together.
//!
//! A name is here only if it is asked for in order to find out whether there is a portal: not one that a page or a program needs for anything
//! else, however often it is also used for that, such as `www.google.com`.

/// In lower case, without the final dot.
pub const NAMES: &[&str] = &[
    "captive.apple.com",
    "clients3.google.com",
    "conncheck.opensuse.org",
    "connectivity-check.ubuntu.com",
    "connectivitycheck.android.com",
    "connectivitycheck.grapheneos.network",
    "connectivitycheck.gstatic.com",
    "detectportal.firefox.com",
    "dns.msftncsi.com",
    "fedoraproject.org",
    "ipv6.msftconnecttest.com",
    "ipv6.msftncsi.com",
    "network-test.debian.org",
    "networkcheck.kde.org",
    "nmcheck.gnome.org",
    "ping.archlinux.org",
    "www.msftconnecttest.com",
    "www.msftncsi.com",
];

/// The place of a name in the list. The name is in wire format, in whatever letter case.
pub fn place_of(name: &[u8]) -> Option<u8> {
    let place = NAMES.iter().position(|known| is_same(name, known))?;
    u8::try_from(place).ok()
}

/// The name at this place in wire format.
pub fn to_wire(place: u8) -> Vec<u8> {
    let name = NAMES.get(usize::from(place)).copied().unwrap_or_default();
    let mut octets = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    octets
}

/// Whether a name in wire format is this one in text.
fn is_same(name: &[u8], text: &str) -> bool {
    // With a length octet in the place of each dot, one before, and the root behind.
    if name.len() != text.len() + 2 {
        return false;
    }
    let mut rest = name;
    for label in text.split('.') {
        let Some((len, behind)) = rest.split_first() else {
            return false;
        };
        let Some((octets, behind)) = behind.split_at_checked(label.len()) else {
            return false;
        };
        if usize::from(*len) != label.len() || !octets.eq_ignore_ascii_case(label.as_bytes()) {
            return false;
        }
        rest = behind;
    }
    rest == [0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of these labels in wire format.
    fn wire(labels: &[&[u8]]) -> Vec<u8> {
        let mut octets = Vec::new();
        for label in labels {
            octets.push(label.len() as u8);
            octets.extend_from_slice(label);
        }
        octets.push(0);
        octets
    }

    #[test]
    fn each_name_is_found_by_its_octets_in_any_letter_case() {
        for (place, name) in NAMES.iter().enumerate() {
            let octets = to_wire(place as u8);
            assert_eq!(place_of(&octets), Some(place as u8), "{name}");
            let upper = octets.to_ascii_uppercase();
            assert_eq!(place_of(&upper), Some(place as u8), "{name}");
            assert_eq!(*name, name.to_ascii_lowercase());
            assert!(name.contains('.') && !name.ends_with('.'));
        }
        assert!(NAMES.is_sorted(), "nothing is there twice");
    }

    // req 135, fault 160
    #[test]
    fn what_is_only_like_a_name_is_none() {
        for labels in [
            &[&b"example"[..], b"com"][..],
            &[b"apple", b"com"],
            &[b"www", b"captive", b"apple", b"com"],
            &[b"secret", b"captive", b"apple", b"com"],
            &[b"captive", b"apple", b"com", b"test"],
            &[b"captive", b"apple", b"co"],
            &[b"captive.apple", b"com"],
            &[b"captive", b"apple.com"],
            &[b"captive.apple.com"],
            &[b"captive\0apple", b"com"],
            &[b"captivd", b"apple", b"com"],
            &[],
        ] {
            assert_eq!(place_of(&wire(labels)), None, "{labels:?}");
        }
        for octets in [
            &b""[..],
            b"\x07captive",
            b"\x07captive\x05apple\x03com",
            &[7; 19],
        ] {
            assert_eq!(place_of(octets), None, "{octets:?}");
        }
    }

    #[test]
    fn the_page_lists_these_names_and_no_others() {
        const PAGE: &str = include_str!("../../../docs/captive.md");
        let (_, table) = PAGE.split_once("\n## The names").expect("the section");
        let table = table.split("\n## ").next().unwrap_or_default();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
        let mut listed: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        listed.sort_unstable();
        assert_eq!(listed, NAMES);
    }
}
