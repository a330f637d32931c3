//! The well-known providers of DNS over TLS, by name. One row each: addresses and the name in their
//! certificate.
//!
//! A row is here when the provider publishes these addresses and this name for DNS over TLS. Some
//! serve it on other addresses than conventional DNS, found by name: those take `tls://NAME`.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::{TLS_PORT, Upstream};

/// A public resolver that speaks DNS over TLS (RFC 7858) on port 853.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// What the user writes.
    pub name: &'static str,
    /// The name that its certificate must be for (RFC 8310).
    pub server_name: &'static str,
    /// Its IPv4 addresses, the primary one first.
    pub v4: &'static [Ipv4Addr],
    /// Its IPv6 addresses, the primary one first.
    pub v6: &'static [Ipv6Addr],
    /// Whether it validates answers (DNSSEC), so that a forged one is a failure.
    pub validates: bool,
    /// Whether it blocks names.
    pub filters: bool,
    /// What it does with questions, in a few words.
    pub about: &'static str,
}

/// Where questions go when the user names nobody.
pub const DEFAULT: &Provider = &CLOUDFLARE;

const CLOUDFLARE: Provider = Provider {
    name: "cloudflare",
    server_name: "one.one.one.one",
    v4: &[v4(1, 1, 1, 1), v4(1, 0, 0, 1)],
    v6: &[
        v6(0x2606, 0x4700, 0x4700, 0x1111),
        v6(0x2606, 0x4700, 0x4700, 0x1001),
    ],
    validates: true,
    filters: false,
    about: "no filter (the default)",
};

/// All of them, in the order in which they are listed for users.
pub const PROVIDERS: &[Provider] = &[
    CLOUDFLARE,
    Provider {
        name: "cloudflare-security",
        server_name: "security.cloudflare-dns.com",
        v4: &[v4(1, 1, 1, 2), v4(1, 0, 0, 2)],
        v6: &[
            v6(0x2606, 0x4700, 0x4700, 0x1112),
            v6(0x2606, 0x4700, 0x4700, 0x1002),
        ],
        validates: true,
        filters: true,
        about: "blocks malware",
    },
    Provider {
        name: "cloudflare-family",
        server_name: "family.cloudflare-dns.com",
        v4: &[v4(1, 1, 1, 3), v4(1, 0, 0, 3)],
        v6: &[
            v6(0x2606, 0x4700, 0x4700, 0x1113),
            v6(0x2606, 0x4700, 0x4700, 0x1003),
        ],
        validates: true,
        filters: true,
        about: "blocks malware and adult content",
    },
    Provider {
        name: "quad9",
        server_name: "dns.quad9.net",
        v4: &[v4(9, 9, 9, 9), v4(149, 112, 112, 112)],
        v6: &[v6(0x2620, 0xfe, 0, 0xfe), v6(0x2620, 0xfe, 0, 9)],
        validates: true,
        filters: true,
        about: "blocks malware",
    },
    Provider {
        name: "quad9-unfiltered",
        server_name: "dns10.quad9.net",
        v4: &[v4(9, 9, 9, 10), v4(149, 112, 112, 10)],
        v6: &[
            v6(0x2620, 0xfe, 0, 0x10),
            Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0xfe, 0x10),
        ],
        validates: false,
        filters: false,
        about: "no filter, no DNSSEC validation",
    },
    Provider {
        name: "quad9-ecs",
        server_name: "dns11.quad9.net",
        v4: &[v4(9, 9, 9, 11), v4(149, 112, 112, 11)],
        v6: &[
            v6(0x2620, 0xfe, 0, 0x11),
            Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0xfe, 0x11),
        ],
        validates: true,
        filters: true,
        about: "blocks malware, tells servers your network (client subnet)",
    },
    Provider {
        name: "google",
        server_name: "dns.google",
        v4: &[v4(8, 8, 8, 8), v4(8, 8, 4, 4)],
        v6: &[
            v6(0x2001, 0x4860, 0x4860, 0x8888),
            v6(0x2001, 0x4860, 0x4860, 0x8844),
        ],
        validates: true,
        filters: false,
        about: "no filter",
    },
    Provider {
        name: "adguard",
        server_name: "dns.adguard-dns.com",
        v4: &[v4(94, 140, 14, 14), v4(94, 140, 15, 15)],
        v6: &[
            v6_pair(0x2a10, 0x50c0, 0xad1, 0xff),
            v6_pair(0x2a10, 0x50c0, 0xad2, 0xff),
        ],
        validates: true,
        filters: true,
        about: "blocks advertisements, trackers and malware",
    },
    Provider {
        name: "adguard-family",
        server_name: "family.adguard-dns.com",
        v4: &[v4(94, 140, 14, 15), v4(94, 140, 15, 16)],
        v6: &[
            v6_pair(0x2a10, 0x50c0, 0xbad1, 0xff),
            v6_pair(0x2a10, 0x50c0, 0xbad2, 0xff),
        ],
        validates: true,
        filters: true,
        about: "as adguard, and adult content",
    },
    Provider {
        name: "adguard-unfiltered",
        server_name: "unfiltered.adguard-dns.com",
        v4: &[v4(94, 140, 14, 140), v4(94, 140, 14, 141)],
        v6: &[
            v6_pair(0x2a10, 0x50c0, 1, 0xff),
            v6_pair(0x2a10, 0x50c0, 2, 0xff),
        ],
        validates: true,
        filters: false,
        about: "no filter",
    },
    Provider {
        name: "cleanbrowsing-security",
        server_name: "security-filter-dns.cleanbrowsing.org",
        v4: &[v4(185, 228, 168, 9), v4(185, 228, 169, 9)],
        v6: &[v6(0x2a0d, 0x2a00, 1, 2), v6(0x2a0d, 0x2a00, 2, 2)],
        validates: true,
        filters: true,
        about: "blocks malware",
    },
    Provider {
        name: "cleanbrowsing-adult",
        server_name: "adult-filter-dns.cleanbrowsing.org",
        v4: &[v4(185, 228, 168, 10), v4(185, 228, 169, 11)],
        v6: &[v6(0x2a0d, 0x2a00, 1, 1), v6(0x2a0d, 0x2a00, 2, 1)],
        validates: true,
        filters: true,
        about: "blocks malware and adult content",
    },
    Provider {
        name: "cleanbrowsing-family",
        server_name: "family-filter-dns.cleanbrowsing.org",
        v4: &[v4(185, 228, 168, 168), v4(185, 228, 169, 168)],
        v6: &[v6(0x2a0d, 0x2a00, 1, 0), v6(0x2a0d, 0x2a00, 2, 0)],
        validates: true,
        filters: true,
        about: "as cleanbrowsing-adult, and proxies and mixed content",
    },
    Provider {
        name: "dns-sb",
        server_name: "dot.sb",
        v4: &[v4(185, 222, 222, 222), v4(45, 11, 45, 11)],
        v6: &[v6(0x2a09, 0, 0, 0), v6(0x2a11, 0, 0, 0)],
        validates: true,
        filters: false,
        about: "no filter",
    },
    Provider {
        name: "dns4eu",
        server_name: "unfiltered.joindns4.eu",
        v4: &[v4(86, 54, 11, 100), v4(86, 54, 11, 200)],
        v6: &[dns4eu_v6(0x100), dns4eu_v6(0x200)],
        validates: true,
        filters: false,
        about: "no filter",
    },
    Provider {
        name: "dns4eu-protective",
        server_name: "protective.joindns4.eu",
        v4: &[v4(86, 54, 11, 1), v4(86, 54, 11, 201)],
        v6: &[dns4eu_v6(0x1), dns4eu_v6(0x201)],
        validates: true,
        filters: true,
        about: "blocks malware",
    },
    Provider {
        name: "opendns",
        server_name: "dns.opendns.com",
        v4: &[v4(208, 67, 222, 222), v4(208, 67, 220, 220)],
        v6: &[v6(0x2620, 0x119, 0x35, 0x35), v6(0x2620, 0x119, 0x53, 0x53)],
        validates: true,
        filters: true,
        about: "blocks malware",
    },
    Provider {
        name: "opendns-family",
        server_name: "familyshield.opendns.com",
        v4: &[v4(208, 67, 222, 123), v4(208, 67, 220, 123)],
        v6: &[],
        validates: true,
        filters: true,
        about: "blocks malware and adult content",
    },
];

/// `a.b.c.d`
const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// `a:b:c::z`
const fn v6(a: u16, b: u16, c: u16, z: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, z)
}

/// `a:b::y:z`
const fn v6_pair(a: u16, b: u16, y: u16, z: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, 0, 0, 0, 0, y, z)
}

/// `2a13:1001::86:54:11:z`, the IPv4 address spelt in decimal digits.
const fn dns4eu_v6(z: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2a13, 0x1001, 0, 0, 0x86, 0x54, 0x11, z)
}

impl Provider {
    /// The provider as an upstream. The families alternate, so that a host with one of them finds
    /// its own soon.
    pub fn upstream(&self) -> Upstream {
        let (mut v4, mut v6) = (self.v4.iter(), self.v6.iter());
        let mut addresses = Vec::with_capacity(self.v4.len() + self.v6.len());
        loop {
            let pair = [
                v4.next().map(|ip| IpAddr::V4(*ip)),
                v6.next().map(|ip| IpAddr::V6(*ip)),
            ];
            if pair == [None, None] {
                break;
            }
            addresses.extend(
                pair.into_iter()
                    .flatten()
                    .map(|ip| SocketAddr::new(ip, TLS_PORT)),
            );
        }
        Upstream::known(
            self.name,
            "tls",
            Some(self.server_name.to_owned()),
            addresses,
        )
    }
}

/// The provider of this name. Case does not matter.
pub fn find(name: &str) -> Option<&'static Provider> {
    PROVIDERS
        .iter()
        .find(|provider| provider.name.eq_ignore_ascii_case(name))
}

/// The provider that an upstream leads to, whether it was written as that or by address and name.
pub fn of(upstream: &Upstream) -> Option<&'static Provider> {
    let name = upstream.server_name()?;
    PROVIDERS
        .iter()
        .find(|provider| provider.server_name == name)
}

/// The provider whose name is nearest to a word that is none, if it is near enough to be a slip.
pub fn closest(word: &str) -> Option<&'static Provider> {
    crate::config::closest(word, PROVIDERS.iter().map(|provider| provider.name)).and_then(find)
}

/// The table as text for people, a few lines each.
pub fn listing() -> String {
    let mut text = String::new();
    for provider in PROVIDERS {
        let addresses: Vec<String> = provider
            .v4
            .iter()
            .map(ToString::to_string)
            .chain(provider.v6.iter().map(ToString::to_string))
            .collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{}\n    {}\n    {}  {}",
            provider.name,
            provider.about,
            provider.server_name,
            addresses.join(" ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn addresses_are_as_published() {
        // One of each way of writing them in the table, as the providers print them.
        let addresses = |name: &str| -> Vec<String> {
            find(name)
                .unwrap()
                .upstream()
                .addresses()
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(
            addresses("cloudflare"),
            [
                "1.1.1.1:853",
                "[2606:4700:4700::1111]:853",
                "1.0.0.1:853",
                "[2606:4700:4700::1001]:853"
            ]
        );
        assert_eq!(
            addresses("quad9-unfiltered"),
            [
                "9.9.9.10:853",
                "[2620:fe::10]:853",
                "149.112.112.10:853",
                "[2620:fe::fe:10]:853"
            ]
        );
        assert_eq!(
            addresses("adguard"),
            [
                "94.140.14.14:853",
                "[2a10:50c0::ad1:ff]:853",
                "94.140.15.15:853",
                "[2a10:50c0::ad2:ff]:853"
            ]
        );
        assert_eq!(
            addresses("cleanbrowsing-family"),
            [
                "185.228.168.168:853",
                "[2a0d:2a00:1::]:853",
                "185.228.169.168:853",
                "[2a0d:2a00:2::]:853"
            ]
        );
        assert_eq!(
            addresses("dns4eu-protective"),
            [
                "86.54.11.1:853",
                "[2a13:1001::86:54:11:1]:853",
                "86.54.11.201:853",
                "[2a13:1001::86:54:11:201]:853"
            ]
        );
        assert_eq!(
            addresses("opendns-family"),
            ["208.67.222.123:853", "208.67.220.123:853"]
        );
    }

    #[test]
    fn names_and_addresses_are_unique() {
        let mut seen = HashSet::new();
        for provider in PROVIDERS {
            assert!(seen.insert(provider.name.to_owned()), "{}", provider.name);
            for address in provider.upstream().addresses() {
                assert!(
                    seen.insert(address.to_string()),
                    "{address} of {}",
                    provider.name
                );
            }
        }
    }

    #[test]
    fn every_row_is_an_upstream_that_authenticates() {
        // req 74, req 75
        for provider in PROVIDERS {
            let upstream = provider.upstream();
            assert_eq!(
                (upstream.scheme(), upstream.label()),
                ("tls", provider.name)
            );
            assert_eq!(upstream.server_name(), Some(provider.server_name));
            assert!(!upstream.addresses().is_empty());
        }
    }

    #[test]
    fn a_name_is_found_in_any_case_and_a_slip_is_recognised() {
        assert_eq!(find("CloudFlare"), Some(DEFAULT));
        assert_eq!(find("cloudflare "), None);
        assert_eq!(
            closest("adgaurd").map(|provider| provider.name),
            Some("adguard")
        );
    }

    #[test]
    fn what_a_provider_does_is_what_is_said_of_it() {
        for provider in PROVIDERS {
            let Provider { name, about, .. } = provider;
            assert_eq!(provider.filters, !about.contains("no filter"), "{name}");
            assert_eq!(provider.validates, !about.contains("no DNSSEC"), "{name}");
            assert_eq!(of(&provider.upstream()), Some(provider));
        }
        let addresses = DEFAULT.upstream().addresses().to_vec();
        let elsewhere = Upstream::known("quad9", "tls", Some("dns.test".to_owned()), addresses);
        assert_eq!(of(&elsewhere), None);
    }

    #[test]
    fn the_listing_shows_every_row() {
        let listing = listing();
        for provider in PROVIDERS {
            for part in [provider.name, provider.server_name, provider.about] {
                assert!(listing.contains(part), "{part}");
            }
        }
    }
}
