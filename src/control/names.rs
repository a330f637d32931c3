//! Types and codes of DNS by name, as IANA's registries have them.

use std::fmt::Display;

/// The types that people ask for.
const TYPES: [(&str, u16); 45] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("RP", 17),
    ("AFSDB", 18),
    ("SIG", 24),
    ("KEY", 25),
    ("AAAA", 28),
    ("LOC", 29),
    ("SRV", 33),
    ("NAPTR", 35),
    ("KX", 36),
    ("CERT", 37),
    ("DNAME", 39),
    ("APL", 42),
    ("DS", 43),
    ("SSHFP", 44),
    ("IPSECKEY", 45),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("DHCID", 49),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("SMIMEA", 53),
    ("HIP", 55),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("ZONEMD", 63),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("SPF", 99),
    ("EUI48", 108),
    ("EUI64", 109),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
];

/// Extended errors (RFC 8914), by their codes.
const EXTENDED_ERRORS: [&str; 25] = [
    "Other Error",
    "Unsupported DNSKEY Algorithm",
    "Unsupported DS Digest Type",
    "Stale Answer",
    "Forged Answer",
    "DNSSEC Indeterminate",
    "DNSSEC Bogus",
    "Signature Expired",
    "Signature Not Yet Valid",
    "DNSKEY Missing",
    "RRSIGs Missing",
    "No Zone Key Bit Set",
    "NSEC Missing",
    "Cached Error",
    "Not Ready",
    "Blocked",
    "Censored",
    "Filtered",
    "Prohibited",
    "Stale NXDOMAIN Answer",
    "Not Authoritative",
    "Not Supported",
    "No Reachable Authority",
    "Network Error",
    "Invalid Data",
];

/// The number of a type, by its name in any letter case, or as `TYPE65280` (RFC 3597 section 5).
pub fn type_of(text: &str) -> Option<u16> {
    let known = TYPES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    known.map(|(_, number)| *number).or_else(|| {
        let digits = text
            .get(..4)
            .filter(|word| word.eq_ignore_ascii_case("TYPE"));
        let digits = digits.and(text.get(4..))?;
        let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
        digits.parse().ok().filter(|number| plain && *number != 0)
    })
}

/// A type by name.
pub fn type_name(number: u16) -> String {
    let known = TYPES.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| format!("TYPE{number}"), |(name, _)| (*name).to_owned())
}

/// The names of types that are like this one, for people who have misspelt it.
pub fn type_names() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(name, _)| *name)
}

/// An extended error by name.
pub fn extended_error(code: impl Display + Copy + TryInto<usize>) -> String {
    let known = code.try_into().ok().and_then(|at| EXTENDED_ERRORS.get(at));
    known.map_or_else(|| format!("code {code}"), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_a_name_or_a_number() {
        for (text, number) in [
            ("a", 1),
            ("AAAA", 28),
            ("https", 65),
            ("TYPE1", 1),
            ("type65280", 65280),
        ] {
            assert_eq!(type_of(text), Some(number), "{text}");
        }
        for text in [
            "",
            "TYPE",
            "TYPE0",
            "TYPE65536",
            "TYPE+1",
            "XYZ",
            "AA",
            "\u{e4}\u{e4}1",
        ] {
            assert_eq!(type_of(text), None, "{text}");
        }
        for (name, number) in TYPES {
            assert_eq!(
                (type_name(number), type_of(name)),
                (name.into(), Some(number))
            );
        }
        assert_eq!(type_name(65280), "TYPE65280");
    }

    #[test]
    fn extended_errors_have_the_names_of_the_registry() {
        for (code, name) in [
            (0, "Other Error"),
            (3, "Stale Answer"),
            (6, "DNSSEC Bogus"),
            (18, "Prohibited"),
            (22, "No Reachable Authority"),
            (23, "Network Error"),
            (24, "Invalid Data"),
            (49152, "code 49152"),
        ] {
            assert_eq!(extended_error(code), name);
        }
    }
}
