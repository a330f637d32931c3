//! Names of the reverse zones: of one address, or of all addresses that begin alike.

use crate::wire::Labels;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// The addresses whose reverse names are this name or lie below it. Nothing of other names, and of names below that of an address.
pub fn addresses(labels: &Labels<'_>) -> Option<RangeInclusive<IpAddr>> {
    let is = |place, text: &[u8]| {
        let label = labels.from_top(place);
        label.is_some_and(|label| label.eq_ignore_ascii_case(text))
    };
    if !is(0, b"arpa") {
        return None;
    }
    let digits = (2..labels.count()).map(|place| labels.from_top(place));
    if is(1, b"in-addr") {
        let (mut first, mut last) = ([0; 4], [u8::MAX; 4]);
        if digits.len() > first.len() {
            return None;
        }
        for ((label, first), last) in digits.zip(&mut first).zip(&mut last) {
            *first = number(label?)?;
            *last = *first;
        }
        Some(Ipv4Addr::from(first).into()..=Ipv4Addr::from(last).into())
    } else if is(1, b"ip6") {
        let (mut first, mut last) = (0_u128, u128::MAX);
        if digits.len() > 32 {
            return None;
        }
        for (place, label) in (1_u32..).zip(digits) {
            let shift = 128 - 4 * place;
            let digit = u128::from(nibble(label?)?) << shift;
            first |= digit;
            last = last & !(0xF << shift) | digit;
        }
        Some(Ipv6Addr::from(first).into()..=Ipv6Addr::from(last).into())
    } else {
        None
    }
}

/// A label that is a number as reverse zones have it: without zeros before it.
pub fn number(label: &[u8]) -> Option<u8> {
    match label {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] => label.iter().try_fold(0_u8, |number, digit| {
            let digit = char::from(*digit).to_digit(10)?;
            number.checked_mul(10)?.checked_add(digit as u8)
        }),
        _ => None,
    }
}

/// A label that is one hexadecimal digit.
fn nibble(label: &[u8]) -> Option<u32> {
    match label {
        [digit] => char::from(*digit).to_digit(16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::name_octets;

    fn range(name: &str) -> Option<(String, String)> {
        let name = name_octets(name);
        let range = addresses(&Labels::of(&name))?;
        Some((range.start().to_string(), range.end().to_string()))
    }

    #[test]
    fn a_reverse_name_is_a_range_of_addresses() {
        let loopback = format!("1.{}ip6.arpa.", "0.".repeat(31));
        for (name, first, last) in [
            ("4.3.2.1.in-addr.arpa.", "1.2.3.4", "1.2.3.4"),
            ("255.0.10.IN-ADDR.Arpa.", "10.0.255.0", "10.0.255.255"),
            ("in-addr.arpa.", "0.0.0.0", "255.255.255.255"),
            (loopback.as_str(), "::1", "::1"),
            (
                "B.8.b.d.0.1.0.0.2.ip6.arpa.",
                "2001:db8:b000::",
                "2001:db8:bfff:ffff:ffff:ffff:ffff:ffff",
            ),
            ("ip6.arpa.", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            let expected = Some((first.to_owned(), last.to_owned()));
            assert_eq!(range(name), expected, "{name}");
        }
    }

    #[test]
    fn other_names_are_no_addresses() {
        let zeros = "0.".repeat(31);
        for name in [
            ".",
            "arpa.",
            "home.arpa.",
            "1.in-addr.",
            "x.4.3.2.1.in-addr.arpa.",
            "256.in-addr.arpa.",
            "01.in-addr.arpa.",
            "+1.in-addr.arpa.",
            "1000.in-addr.arpa.",
            "0/25.2.0.192.in-addr.arpa.",
            "g.ip6.arpa.",
            "10.ip6.arpa.",
            &format!("1.0.{zeros}ip6.arpa."),
        ] {
            assert_eq!(range(name), None, "{name}");
        }
        let numbers = [&b"0"[..], b"7", b"99", b"255"].map(number);
        assert_eq!(numbers, [Some(0), Some(7), Some(99), Some(255)]);
    }
}
