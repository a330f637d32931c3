//! The question that a person writes: a name, or an address whose name is looked up, and a type.

use super::super::UsageError;
use super::super::typed::Typed;
use super::QUERY;
use crate::config::words::closest;
use domain::base::Name;
use domain::base::iana::Rtype;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::str::FromStr as _;

/// What is asked for, in class IN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name as it stands on the wire.
    pub name: Vec<u8>,
    /// The number of the type.
    pub rtype: u16,
}

/// Types that people mean when they misspell one.
const USUAL: [&str; 20] = [
    "A", "AAAA", "ANY", "CAA", "CNAME", "DNAME", "DNSKEY", "DS", "HTTPS", "LOC", "MX", "NAPTR",
    "NS", "PTR", "SOA", "SRV", "SSHFP", "SVCB", "TLSA", "TXT",
];
/// Types that are part of the protocol or ask for a whole zone, with the numbers that no record has.
const NO_TYPES: [Rtype; 6] = [
    Rtype::OPT,
    Rtype::TSIG,
    Rtype::TKEY,
    Rtype::AXFR,
    Rtype::IXFR,
    Rtype::from_int(0),
];

impl Question {
    /// The question of `dotward query`.
    pub(in super::super) fn read(typed: &Typed) -> Result<Self, UsageError> {
        let words: Vec<&str> = typed.words().iter().map(String::as_str).collect();
        let (name, rtype) = match (typed.one("-x"), &words[..]) {
            (Some(address), []) => (reverse(address)?, Rtype::PTR),
            (Some(address), [rtype]) => (reverse(address)?, read_type(rtype)?),
            (None, [name]) => (read_name(name)?, Rtype::A),
            (None, [name, rtype]) => {
                let read = read_type(rtype);
                if read.is_err() && Rtype::from_str(name).is_ok() {
                    return Err(UsageError(format!(
                        "{rtype:?} is no type: the name comes first, as in dotward query {rtype} {name}"
                    )));
                }
                (read_name(name)?, read?)
            }
            (None, []) => {
                let command = QUERY.command;
                return Err(UsageError(format!(
                    "a NAME is missing, as in dotward {command} example.com; see dotward {command} --help"
                )));
            }
            (Some(_) | None, [.., last]) => {
                return Err(UsageError(format!(
                    "{last:?} is too much: dotward query takes one NAME, or -x and an address, and one TYPE"
                )));
            }
        };
        let rtype = rtype.to_int();
        Ok(Self { name, rtype })
    }
}

/// Reads a name in presentation form (RFC 1035 section 5.1), in which `\` takes the meaning from a character, or stands before three digits
/// of an octet. The final dot may be left out.
pub(super) fn read_name(text: &str) -> Result<Vec<u8>, UsageError> {
    let wrong = |why: &str| UsageError(format!("NAME {text:?}: {why}"));
    if text.parse::<IpAddr>().is_ok() {
        let why = format!(
            "is an address; -x {text} looks up its name, and {text:?} with a dot behind it is the name"
        );
        return Err(wrong(&why));
    }
    if !text.is_ascii() {
        return Err(wrong(
            "has characters that are not ASCII: write it as it is registered, with xn--",
        ));
    }
    if text.is_empty() {
        return Err(wrong("is empty; the root is written \".\""));
    }
    let name = Name::<Vec<u8>>::from_str(text);
    name.map(Name::into_octets).map_err(|_| {
        wrong(
            "is no name: labels are 1 to 63 octets long, all together 255 at most, and a backslash stands before a character, or before three digits up to 255",
        )
    })
}

fn read_type(text: &str) -> Result<Rtype, UsageError> {
    let number = |text: &str| {
        let digits = text.get(4..).unwrap_or_default();
        digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    // What stands behind TYPE is a number, of which the library would take one with a sign.
    let is_number = text
        .get(..4)
        .is_some_and(|it| it.eq_ignore_ascii_case("TYPE"));
    let rtype = Rtype::from_str(text).ok();
    let rtype = rtype.filter(|_| !is_number || number(text));
    let Some(rtype) = rtype else {
        let upper = text.to_ascii_uppercase();
        let hint = closest(&upper, USUAL.into_iter()).map_or_else(
            || "write one such as MX, or TYPE and its number".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        return Err(UsageError(format!("there is no type {text:?}; {hint}")));
    };
    if NO_TYPES.contains(&rtype) {
        return Err(UsageError(format!(
            "{text:?} is no type of records that a query asks for"
        )));
    }
    Ok(rtype)
}

/// The name of an address: its octets (RFC 1035 section 3.5) or its hexadecimal digits (RFC 3596 section 2.5), the last one first.
fn reverse(text: &str) -> Result<Vec<u8>, UsageError> {
    let ip: IpAddr = text
        .parse()
        .map_err(|_| UsageError(format!("-x {text:?}: is not an IP address")))?;
    let mut name = String::new();
    // Writing to a string does not fail.
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            for octet in ip.octets().iter().rev() {
                let _ = write!(name, "{octet}.");
            }
            name.push_str("in-addr.arpa.");
        }
        IpAddr::V6(ip) => {
            for octet in ip.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
            name.push_str("ip6.arpa.");
        }
    }
    read_name(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Question, UsageError> {
        let mut typed = Typed::default();
        let mut rest = line.split_whitespace().map(str::to_owned);
        while let Some(word) = rest.next() {
            assert!(typed.read(&QUERY, &word, &mut rest)?, "{word}");
        }
        Question::read(&typed)
    }

    fn question(line: &str) -> (String, u16) {
        let Question { name, rtype } = read(line).unwrap();
        let name = Name::from_octets(name).unwrap();
        (name.fmt_with_dot().to_string(), rtype)
    }

    // req 119
    #[test]
    fn names_and_types_are_read_as_people_write_them() {
        for (line, name, rtype) in [
            ("www.example.com", "www.example.com.", 1),
            ("www.example.com. mx", "www.example.com.", 15),
            (". NS", ".", 2),
            ("a.test TYPE65280", "a.test.", 65_280),
            ("a.test type1", "a.test.", 1),
            ("a.test HTTPS", "a.test.", 65),
            ("a.test ANY", "a.test.", 255),
            ("192.0.2.1. A", "192.0.2.1.", 1),
            ("_853._tcp.a.test TLSA", "_853._tcp.a.test.", 52),
        ] {
            assert_eq!(question(line), (name.to_owned(), rtype), "{line}");
        }
        let odd = read(r"\000odd\255\.\@.test").unwrap().name;
        assert_eq!(odd, b"\x07\x00odd\xff.@\x04test\x00");
    }

    // req 121
    #[test]
    fn an_address_stands_for_its_name() {
        for (line, name, rtype) in [
            ("-x 192.0.2.1", "1.2.0.192.in-addr.arpa.", 12),
            ("-x ::ffff:192.0.2.1", "1.2.0.192.in-addr.arpa.", 12),
            ("-x 192.0.2.1 SOA", "1.2.0.192.in-addr.arpa.", 6),
            (
                "-x 2001:db8::567:89ab",
                "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
                12,
            ),
        ] {
            assert_eq!(question(line), (name.to_owned(), rtype), "{line}");
        }
    }

    #[test]
    fn what_is_no_question_is_explained() {
        let long = format!("{}.test", "a".repeat(64));
        for (line, expected) in [
            ("", "a NAME is missing"),
            ("-x a.test", "-x \"a.test\": is not an IP address"),
            (
                "192.0.2.1",
                "NAME \"192.0.2.1\": is an address; -x 192.0.2.1",
            ),
            (
                "b\u{fc}cher.test",
                "not ASCII: write it as it is registered",
            ),
            ("a..test", "is no name"),
            (&long, "is no name"),
            ("a.test MXX", "there is no type \"MXX\"; did you mean MX?"),
            ("a.test TYPE+5", "there is no type"),
            ("a.test TYPE65536", "there is no type"),
            (
                "MX a.test",
                "the name comes first, as in dotward query a.test MX",
            ),
            ("a.test AXFR", "is no type of records that a query asks for"),
            (
                "a.test TYPE0",
                "is no type of records that a query asks for",
            ),
            ("a.test A more", "\"more\" is too much"),
            ("-x ::1 PTR more", "\"more\" is too much"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
