//! SVCB records (RFC 9460) with the parameters of DNS servers (RFC 9461): where a service is, and how it is spoken to.
//!
//! Reading is strict. A record that is malformed makes its whole set unusable (RFC 9460 §2.2), so that nothing is guessed.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::integers::u16_at;
use super::malformed::Malformed;
use super::name::plain_len;

/// SVCB (RFC 9460 §14.1).
pub const TYPE_SVCB: u16 = 64;

/// Keys of parameters (RFC 9460 §14.3.2, RFC 9461 §5).
const MANDATORY: u16 = 0;
pub(super) const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
pub(super) const PORT: u16 = 3;
pub(super) const IPV4HINT: u16 = 4;
pub(super) const IPV6HINT: u16 = 6;
pub(super) const DOHPATH: u16 = 7;
/// Those whose meaning is known here.
const KNOWN: [u16; 7] = [
    MANDATORY,
    ALPN,
    NO_DEFAULT_ALPN,
    PORT,
    IPV4HINT,
    IPV6HINT,
    DOHPATH,
];

const BROKEN: Malformed = Malformed("a parameter runs past the end of an SVCB record");
const NOT_SORTED: Malformed = Malformed("the parameters of an SVCB record are not in order");
const WRONG_VALUE: Malformed = Malformed("a parameter of an SVCB record has a wrong value");
const INCONSISTENT: Malformed = Malformed("a parameter of an SVCB record lacks another one");

/// One record that is well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Svcb<'a> {
    /// `SvcPriority`: the lowest comes first.
    pub priority: u16,
    /// `TargetName` in wire format, not compressed.
    pub target: &'a [u8],
    params: &'a [u8],
}

impl<'a> Svcb<'a> {
    /// Reads the RDATA of a record.
    pub fn read(rdata: &'a [u8]) -> Result<Self, Malformed> {
        let priority = u16_at(rdata, 0).ok_or(Malformed("an SVCB record without priority"))?;
        let len = plain_len(rdata, 2).ok_or(Malformed("the target of an SVCB record"))?;
        let (_, rest) = rdata.split_at_checked(2).ok_or(BROKEN)?;
        let (target, params) = rest.split_at_checked(len).ok_or(BROKEN)?;
        let record = Self {
            priority,
            target,
            params,
        };
        // The parameters of an alias are ignored (RFC 9460 §2.4.2).
        if !record.is_alias() {
            record.check()?;
        }
        Ok(record)
    }

    fn check(&self) -> Result<(), Malformed> {
        let (mut rest, mut last) = (self.params, None);
        while !rest.is_empty() {
            let (key, value, behind) = split_param(rest).ok_or(BROKEN)?;
            if last.is_some_and(|last| last >= key) {
                return Err(NOT_SORTED);
            }
            if !is_well_formed(key, value) {
                return Err(WRONG_VALUE);
            }
            (rest, last) = (behind, Some(key));
        }
        let is_there = |key| self.value(key).is_some();
        let alpn = is_there(ALPN) || !is_there(NO_DEFAULT_ALPN);
        if !alpn || !self.mandatory().all(is_there) {
            return Err(INCONSISTENT);
        }
        Ok(())
    }

    /// Whether it stands for the records of its target (`AliasMode`, RFC 9460 §2.4.2).
    pub fn is_alias(&self) -> bool {
        self.priority == 0
    }

    /// Whether every parameter is known here that must be understood to use the record (RFC 9460 §8). The port always must (RFC 9461 §4.2).
    pub fn is_understood(&self) -> bool {
        self.mandatory().all(|key| KNOWN.contains(&key))
    }

    /// The protocols, by their names in ALPN. No protocol is meant that is not among them (RFC 9461 §4.1).
    pub fn alpn(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        strings(self.value(ALPN).unwrap_or_default())
    }

    /// The port. Without it, that of the protocol counts.
    pub fn port(&self) -> Option<u16> {
        u16_at(self.value(PORT)?, 0)
    }

    /// IPv4 addresses that the target probably has.
    pub fn ipv4_hints(&self) -> impl Iterator<Item = Ipv4Addr> + use<'a> {
        let value = self.value(IPV4HINT).unwrap_or_default();
        let (addresses, _) = value.as_chunks::<4>();
        addresses.iter().copied().map(Ipv4Addr::from)
    }

    /// IPv6 addresses that the target probably has.
    pub fn ipv6_hints(&self) -> impl Iterator<Item = Ipv6Addr> + use<'a> {
        let value = self.value(IPV6HINT).unwrap_or_default();
        let (addresses, _) = value.as_chunks::<16>();
        addresses.iter().copied().map(Ipv6Addr::from)
    }

    /// The URI template of DNS over HTTPS, relative to the target (RFC 9461 §5).
    pub fn dohpath(&self) -> Option<&'a str> {
        str::from_utf8(self.value(DOHPATH)?).ok()
    }

    /// The keys that must be understood to use the record.
    fn mandatory(&self) -> impl Iterator<Item = u16> + use<'a> {
        let (keys, _) = self.value(MANDATORY).unwrap_or_default().as_chunks::<2>();
        keys.iter().copied().map(u16::from_be_bytes)
    }

    fn value(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.params;
        while let Some((key, value, behind)) = split_param(rest)
            && key <= wanted
            && !self.is_alias()
        {
            if key == wanted {
                return Some(value);
            }
            rest = behind;
        }
        None
    }
}

/// The first parameter, and what follows it.
fn split_param(params: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (key, len) = (u16_at(params, 0)?, u16_at(params, 2)?);
    let (value, behind) = params.get(4..)?.split_at_checked(len.into())?;
    Some((key, value, behind))
}

/// Whether a value has the form that its key prescribes. The values of other keys have any.
fn is_well_formed(key: u16, value: &[u8]) -> bool {
    let of = |size: usize| !value.is_empty() && value.len().is_multiple_of(size);
    match key {
        MANDATORY => {
            let (keys, _) = value.as_chunks::<2>();
            // The key itself may not be in its list (RFC 9460 §8).
            of(2) && keys.first() != Some(&[0, 0]) && keys.is_sorted_by(|one, next| one < next)
        }
        ALPN => {
            let octets = |text: &[u8]| 1 + text.len();
            !value.is_empty()
                && strings(value).all(|text| !text.is_empty())
                && strings(value).map(octets).sum::<usize>() == value.len()
        }
        NO_DEFAULT_ALPN => value.is_empty(),
        PORT => value.len() == 2,
        IPV4HINT => of(4),
        IPV6HINT => of(16),
        DOHPATH => !value.is_empty() && str::from_utf8(value).is_ok(),
        _ => true,
    }
}

/// Strings with an octet of length before each, as far as they are whole.
fn strings(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let (len, behind) = rest.split_first()?;
        let (text, behind) = behind.split_at_checked(usize::from(*len))?;
        rest = behind;
        Some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TO_QUESTION, name_octets, svcb};
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const DOT: &[u8] = b"\x03dot";

    /// The error for these parameters of a record in `ServiceMode`.
    fn error(params: &[(u16, &[u8])]) -> &'static str {
        Svcb::read(&svcb(1, "a.test", params)).unwrap_err().0
    }

    #[test]
    fn every_parameter_of_a_dns_server_is_read() {
        let v6 = "2001:db8::1".parse::<Ipv6Addr>().unwrap();
        let rdata = svcb(
            7,
            "dns.example.net",
            &[
                (MANDATORY, &[0, 1, 0, 3]),
                (ALPN, b"\x02h2\x03dot"),
                (NO_DEFAULT_ALPN, &[]),
                (PORT, &[0x22, 0x95]),
                (IPV4HINT, &[192, 0, 2, 1, 192, 0, 2, 2]),
                (IPV6HINT, &v6.octets()),
                (DOHPATH, b"/dns-query{?dns}"),
                (65280, b"any"),
            ],
        );
        let read = Svcb::read(&rdata).unwrap();
        assert_eq!((read.priority, read.port()), (7, Some(8853)));
        assert_eq!(read.target, name_octets("dns.example.net"));
        assert!(read.is_understood() && !read.is_alias());
        assert!(read.alpn().eq([&b"h2"[..], b"dot"]));
        assert!(
            read.ipv4_hints()
                .eq([Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)])
        );
        assert!(read.ipv6_hints().eq([v6]));
        assert_eq!(read.dohpath(), Some("/dns-query{?dns}"));
    }

    #[test]
    fn a_record_without_parameters_names_a_target_alone() {
        let rdata = svcb(1, ".", &[]);
        let read = Svcb::read(&rdata).unwrap();
        assert_eq!(
            (read.target, read.port(), read.dohpath()),
            (&[0][..], None, None)
        );
        assert_eq!(
            read.alpn().count() + read.ipv4_hints().count() + read.ipv6_hints().count(),
            0
        );
        assert!(read.is_understood());
    }

    #[test]
    fn what_must_be_understood_is_compared_with_what_is() {
        let understood = |key: u16| {
            let value = if key == PORT { &[3, 85][..] } else { &[] };
            let rdata = svcb(
                1,
                "a.test",
                &[(MANDATORY, &key.to_be_bytes()), (key, value)],
            );
            Svcb::read(&rdata).map(|read| read.is_understood())
        };
        assert_eq!(understood(PORT), Ok(true));
        // Encrypted ClientHello, which is not spoken here, and a key that nobody knows.
        assert_eq!((understood(5), understood(65280)), (Ok(false), Ok(false)));
    }

    #[test]
    fn an_alias_is_known_and_its_parameters_are_ignored() {
        let rdata = [&svcb(0, "b.test", &[(ALPN, DOT)])[..], &[0xFF]].concat();
        let read = Svcb::read(&rdata).unwrap();
        assert!(read.is_alias() && read.is_understood());
        assert_eq!(read.alpn().count(), 0);
    }

    // req 89: RFC 9460 section 2.2.
    #[test]
    fn keys_are_in_strictly_increasing_order() {
        assert_eq!(error(&[(PORT, &[3, 85]), (ALPN, DOT)]), NOT_SORTED.0);
        assert_eq!(error(&[(ALPN, DOT), (ALPN, DOT)]), NOT_SORTED.0);
        assert_eq!(error(&[(65281, &[]), (65280, &[])]), NOT_SORTED.0);
    }

    // req 89
    #[test]
    fn values_have_the_form_of_their_key() {
        for (key, value) in [
            (MANDATORY, &[][..]),
            (MANDATORY, &[0]),
            (MANDATORY, &[0, 0]),
            (MANDATORY, &[0, 3, 0, 1]),
            (MANDATORY, &[0, 3, 0, 3]),
            (ALPN, &[]),
            (ALPN, b"\x04dot"),
            (ALPN, b"\x03dot\x00"),
            (ALPN, b"\x00\x03dot"),
            (NO_DEFAULT_ALPN, &[0]),
            (PORT, &[]),
            (PORT, &[85]),
            (PORT, &[0, 3, 85]),
            (IPV4HINT, &[]),
            (IPV4HINT, &[192, 0, 2]),
            (IPV4HINT, &[192, 0, 2, 1, 192]),
            (IPV6HINT, &[]),
            (IPV6HINT, &[0; 17]),
            (DOHPATH, &[]),
            (DOHPATH, b"/\xFF"),
        ] {
            assert_eq!(error(&[(key, value)]), WRONG_VALUE.0, "{key} {value:?}");
        }
    }

    // req 89
    #[test]
    fn parameters_fit_together() {
        assert_eq!(error(&[(MANDATORY, &[0, 3]), (ALPN, DOT)]), INCONSISTENT.0);
        assert_eq!(error(&[(NO_DEFAULT_ALPN, &[])]), INCONSISTENT.0);
    }

    // req 89
    #[test]
    fn a_record_that_breaks_off_is_malformed() {
        let whole = svcb(1, "a.test", &[(ALPN, DOT), (PORT, &[3, 85])]);
        assert!(Svcb::read(&whole).is_ok());
        let shorter = svcb(1, "a.test", &[(ALPN, DOT)]).len();
        for end in 0..whole.len() {
            // Between two parameters it is a whole record, with fewer of them.
            let whole_anyway = [shorter, svcb(1, "a.test", &[]).len()].contains(&end);
            assert_eq!(Svcb::read(&whole[..end]).is_ok(), whole_anyway, "{end}");
        }
    }

    // req 89: the target is not compressed, and no pointer is followed.
    #[test]
    fn a_compressed_target_is_malformed() {
        let rdata = [&[0, 1], TO_QUESTION].concat();
        assert!(Svcb::read(&rdata).is_err());
        assert!(Svcb::read(&[&[0, 1, 1, b'a'], TO_QUESTION].concat()).is_err());
    }

    /// RDATA that is nearly right, so that all of it is looked at.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let param = (0u16..9, vec(0u8..6, 0..20));
        (
            0u16..3,
            vec(param, 0..5),
            any::<prop::sample::Index>(),
            any::<u8>(),
        )
            .prop_map(|(priority, params, at, octet)| {
                let params: Vec<(u16, &[u8])> = params
                    .iter()
                    .map(|(key, value)| (*key, &value[..]))
                    .collect();
                let mut rdata = svcb(priority, "a.test", &params);
                let at = at.index(rdata.len());
                rdata[at] = octet;
                rdata
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_octets_are_read_or_refused(rdata in prop_oneof![vec(any::<u8>(), 0..80), nearly()]) {
            if let Ok(read) = Svcb::read(&rdata) {
                prop_assert_eq!(read.target.last(), Some(&0));
                prop_assert_eq!(2 + read.target.len() + read.params.len(), rdata.len());
                let text: usize = read.alpn().map(<[u8]>::len).sum();
                let hints = read.ipv4_hints().count() * 4 + read.ipv6_hints().count() * 16;
                let path = read.dohpath().map_or(0, str::len);
                prop_assert!(text + hints + path <= rdata.len());
                prop_assert!(read.port().is_none() || !read.is_alias());
                prop_assert!(read.mandatory().all(|key| read.value(key).is_some()));
            }
        }

        #[test]
        fn what_is_well_formed_is_read_as_it_was_written(
            priority in 1u16..,
            port in any::<u16>(),
            hints in vec(any::<u32>(), 1..5),
            protocols in vec(vec(any::<u8>(), 1..9), 1..4),
            unknown in vec(any::<u8>(), 0..9),
        ) {
            let list: Vec<u8> = protocols.iter().flat_map(|text| [&[text.len() as u8][..], text].concat()).collect();
            let addresses: Vec<u8> = hints.iter().flat_map(|hint| hint.to_be_bytes()).collect();
            let rdata = svcb(priority, "a.test", &[
                (ALPN, &list),
                (PORT, &port.to_be_bytes()),
                (IPV4HINT, &addresses),
                (9, &unknown),
            ]);
            let read = Svcb::read(&rdata).unwrap();
            prop_assert_eq!((read.priority, read.port()), (priority, Some(port)));
            prop_assert!(read.alpn().eq(protocols.iter().map(|text| &text[..])));
            prop_assert!(read.ipv4_hints().eq(hints.into_iter().map(Ipv4Addr::from)));
        }
    }
}
