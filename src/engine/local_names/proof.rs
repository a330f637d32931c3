//! Names that only dotward answers, whatever is configured: by them a program on any client sees whether its queries come here (`dotward prove`).
//!
//! A name is one label below `dotward.arpa`, at random. Its addresses follow from the label and from how this forwarder is configured to
//! forward ([`Forwarding`]): they are no secret, but no wildcard and no resolver that rewrites NXDOMAIN has them by chance.
//!
//! The domain is one of `arpa` (RFC 3172), which the IAB alone delegates: nobody can register it, elsewhere it is NXDOMAIN, and stub
//! resolvers pass it on, other than `invalid`, `test`, `local`, `alt`, `home.arpa` or `resolver.arpa`.

use super::answer::{CONFIGURED_TTL, LocalAnswer, TYPE_A, TYPE_AAAA, TYPE_ANY};
use crate::config::{Config, Profile, Upstream};
use crate::wire::{Rcode, TYPE_DS};
use siphasher::sip::SipHasher24;
use std::hash::Hasher as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The domain, in lower case.
const ZONE: &[u8] = b"\x07dotward\x04arpa\x00";
/// The key of the function, which is no secret: it makes the function this one.
const KEY: &[u8; 16] = b"dotward.arpa. v1";
/// The network of the IPv6 address: addresses from which everything is discarded (RFC 6666).
const PREFIX: [u8; 8] = [1, 0, 0, 0, 0, 0, 0, 0];
/// The network of the IPv4 addresses: one for measuring devices (RFC 2544 appendix C.2.2), which is in no route of the Internet, and which filters against
/// DNS rebinding let through.
const NETWORK: [u8; 2] = [198, 18];
const WHY: &str = "a name by which dotward shows that it answers: it has addresses alone";

/// How many IPv4 addresses a name has. In all they have as many bits as the IPv6 address.
pub const ADDRESSES: usize = 4;

/// How queries are forwarded, by the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Forwarding {
    /// Encrypted, to servers that are authenticated, and in no other way.
    Authenticated = 0,
    /// So by default; those for the domains of some routes in another way.
    AuthenticatedButRoutes = 1,
    /// Without encryption, or to a server that is not authenticated, or that may happen.
    Unauthenticated = 2,
}

impl Forwarding {
    /// That of a configuration.
    pub fn of(config: &Config) -> Self {
        let is_safe = |one: &Upstream| {
            one.server_name().is_some() && matches!(one.profile(), Profile::Strict)
        };
        if !config.upstreams().iter().all(is_safe) {
            Self::Unauthenticated
        } else if !config.all_upstreams().iter().all(is_safe) {
            Self::AuthenticatedButRoutes
        } else {
            Self::Authenticated
        }
    }
}

/// The IPv6 address and the IPv4 addresses of the name with this label, which tell how queries are forwarded: of SipHash-2-4 over the label in
/// lower case and an octet for the latter.
pub fn addresses(label: &[u8], told: Forwarding) -> (Ipv6Addr, [Ipv4Addr; ADDRESSES]) {
    let mut hasher = SipHasher24::new_with_key(KEY);
    hasher.write(&label.to_ascii_lowercase());
    hasher.write(&[told as u8]);
    let hash = hasher.finish().to_be_bytes();
    let mut v6 = [0; 16];
    v6[..8].copy_from_slice(&PREFIX);
    v6[8..].copy_from_slice(&hash);
    let [net, subnet] = NETWORK;
    let v4 = [0, 2, 4, 6].map(|at| Ipv4Addr::new(net, subnet, hash[at], hash[at + 1]));
    (v6.into(), v4)
}

/// The answer to a query of class IN for a name in the domain.
pub(super) fn answer(name: &[u8], qtype: u16, told: Forwarding) -> Option<LocalAnswer<'static>> {
    let apex = name.len().checked_sub(ZONE.len())?;
    if !name.get(apex..)?.eq_ignore_ascii_case(ZONE) {
        return None;
    }
    let negative = |apex| {
        let answer = LocalAnswer::negative(Rcode::NOERROR, apex, CONFIGURED_TTL, WHY);
        Some(answer)
    };
    let Some((&len, rest)) = name.split_first().filter(|_| apex > 0) else {
        // The DS record belongs to the domain above (RFC 4035 section 3.1.4.1).
        return if qtype == TYPE_DS { None } else { negative(0) };
    };
    let at = 1 + usize::from(len);
    if at > apex {
        // The octets of the domain lie within a label.
        return None;
    }
    let label = rest.get(..usize::from(len)).filter(|_| at == apex);
    let Some(label) = label else {
        return negative(apex);
    };
    let (v6, v4) = addresses(label, told);
    match qtype {
        TYPE_A | TYPE_ANY => Some(LocalAnswer::made(TYPE_A, v4.map(IpAddr::V4).to_vec())),
        TYPE_AAAA => Some(LocalAnswer::made(TYPE_AAAA, vec![v6.into()])),
        _ => negative(apex),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Policy, Route, Target};
    use crate::wire::testing::{labels, name_octets};
    use crate::wire::{LocalRdata, Section};

    const LABEL: &str = "0123456789abcdef";
    const ALL: [Forwarding; 3] = [
        Forwarding::Authenticated,
        Forwarding::AuthenticatedButRoutes,
        Forwarding::Unauthenticated,
    ];

    /// The addresses of an answer; none: nothing of that type.
    fn asked(name: &[u8], qtype: u16) -> Option<Vec<IpAddr>> {
        let answer = answer(name, qtype, Forwarding::Authenticated)?;
        assert_eq!(answer.rcode, Rcode::NOERROR);
        let records = answer.records.filter_map(|record| {
            if let LocalRdata::Address(address) = record.rdata {
                assert_eq!((record.section, record.owner_at), (Section::Answer, 0));
                // What was asked once is asked by nobody again.
                assert_eq!(record.ttl, 0);
                Some(address)
            } else {
                assert_eq!((record.section, record.rtype), (Section::Authority, 6));
                None
            }
        });
        Some(records.collect())
    }

    // req 131
    #[test]
    fn a_label_has_addresses_that_follow_from_it() {
        let name = name_octets(&format!("{LABEL}.dotward.arpa."));
        let v4: Vec<IpAddr> = [
            "198.18.233.181",
            "198.18.42.188",
            "198.18.100.184",
            "198.18.190.147",
        ]
        .map(|ip| ip.parse().unwrap())
        .into();
        assert_eq!(asked(&name, TYPE_A), Some(v4.clone()));
        assert_eq!(asked(&name.to_ascii_uppercase(), TYPE_A), Some(v4.clone()));
        assert_eq!(asked(&name, TYPE_ANY), Some(v4));
        let v6 = asked(&name, TYPE_AAAA).unwrap();
        assert_eq!(v6, ["100::e9b5:2abc:64b8:be93".parse::<IpAddr>().unwrap()]);
        // Nothing of another type, nor at the domain itself, nor further below.
        for (name, qtype) in [
            ("a.dotward.arpa.", 16),
            ("dotward.arpa.", TYPE_A),
            ("Dotward.ARPA.", 2),
            ("b.a.dotward.arpa.", TYPE_A),
        ] {
            assert_eq!(asked(&name_octets(name), qtype), Some(vec![]), "{name}");
        }
    }

    // req 131
    #[test]
    fn other_names_are_left_to_others() {
        for name in [
            ".",
            "arpa.",
            "ward.arpa.",
            "a.xdotward.arpa.",
            "a.dotward.arpa.test.",
        ] {
            assert_eq!(asked(&name_octets(name), TYPE_A), None, "{name}");
        }
        assert_eq!(asked(&name_octets("dotward.arpa."), TYPE_DS), None);
        // One label that only looks as if the domain began in it.
        let misleading = labels(&[b"ab\x07dotward", b"arpa"]);
        assert_eq!(asked(&misleading, TYPE_A), None);
    }

    // fault 156
    #[test]
    fn each_label_and_each_way_has_other_addresses() {
        let mut all: Vec<Ipv4Addr> = Vec::new();
        for label in ["a", "b", LABEL] {
            for told in ALL {
                let (v6, v4) = addresses(label.as_bytes(), told);
                assert_eq!(v6.octets()[..8], PREFIX);
                all.extend(v4);
            }
        }
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    // req 132
    #[test]
    fn what_is_told_is_what_is_configured() {
        let upstream = |spec: &str| Upstream::parse(spec, crate::config::SCHEMES).unwrap();
        let config = |upstreams: &[&str], routed: Option<&str>| {
            let all: Vec<Upstream> = upstreams.iter().map(|spec| upstream(spec)).collect();
            let routes = routed.map(|spec| {
                let upstreams = vec![upstream(spec)];
                let policy = Policy::default();
                let target = Target::Upstreams { upstreams, policy };
                Route::new(vec!["corp.test".parse().unwrap()], target)
            });
            let routes: Vec<Route> = routes.into_iter().collect();
            let config = Config::builder().upstreams(all).routes(routes);
            Forwarding::of(&config.build().unwrap())
        };
        let (tls, plain, weak) = (
            "192.0.2.1#a.test",
            "tcp://192.0.2.2",
            "192.0.2.3#b.test?profile=opportunistic",
        );
        for (upstreams, routed, expected) in [
            (&[tls][..], None, Forwarding::Authenticated),
            (&[tls], Some(tls), Forwarding::Authenticated),
            (&["ddr://192.0.2.4"], None, Forwarding::Authenticated),
            (&[tls], Some(plain), Forwarding::AuthenticatedButRoutes),
            (&[tls, plain], None, Forwarding::Unauthenticated),
            (&[weak], None, Forwarding::Unauthenticated),
        ] {
            assert_eq!(config(upstreams, routed), expected, "{upstreams:?}");
        }
    }
}
