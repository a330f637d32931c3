//! The well-known providers of DNS over TLS, by name.
//!
//! A row is here when the provider publishes these addresses and this name for DNS over TLS. Some
//! serve it on other addresses than conventional DNS, found by name: those take `tls://NAME`.

use super::words;
use std::fmt::Write as _;
use std::net::IpAddr;

/// A public resolver that speaks DNS over TLS (RFC 7858) on port 853.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provider {
    /// What the user writes.
    pub name: &'static str,
    /// The name that its certificate must be for (RFC 8310).
    pub server_name: &'static str,
    /// Whether it validates responses (DNSSEC, RFC 4035), so that a forged one is a failure.
    pub validates: bool,
    /// Whether it blocks names.
    pub filters: bool,
    /// What it does with queries, in a few words.
    pub about: &'static str,
    /// Its addresses, the primary ones first. The families alternate, so that a host with one of them soon reaches its own.
    pub addresses: &'static [&'static str],
}

macro_rules! providers {
    ($( $name:literal, $server_name:literal, $validates:literal, $filters:literal, $about:literal, $($address:literal),*; )*) => {
        /// All providers, in the order in which they are listed for users.
        pub const PROVIDERS: &[Provider] = &[ $( Provider {
            name: $name,
            server_name: $server_name,
            validates: $validates,
            filters: $filters,
            about: $about,
            addresses: &[ $($address),* ],
        }, )* ];
    };
}

providers! {
    // name, name in its certificate, whether it validates, whether it filters, what it does, addresses
    "cloudflare", "one.one.one.one", true, false, "no filter (the default)",
        "1.1.1.1", "2606:4700:4700::1111", "1.0.0.1", "2606:4700:4700::1001";
    "cloudflare-security", "security.cloudflare-dns.com", true, true, "blocks malware",
        "1.1.1.2", "2606:4700:4700::1112", "1.0.0.2", "2606:4700:4700::1002";
    "cloudflare-family", "family.cloudflare-dns.com", true, true, "blocks malware and adult content",
        "1.1.1.3", "2606:4700:4700::1113", "1.0.0.3", "2606:4700:4700::1003";
    "quad9", "dns.quad9.net", true, true, "blocks malware",
        "9.9.9.9", "2620:fe::fe", "149.112.112.112", "2620:fe::9";
    "quad9-unfiltered", "dns10.quad9.net", false, false, "no filter, no DNSSEC validation",
        "9.9.9.10", "2620:fe::10", "149.112.112.10", "2620:fe::fe:10";
    "quad9-ecs", "dns11.quad9.net", true, true, "blocks malware, tells servers your network (client subnet)",
        "9.9.9.11", "2620:fe::11", "149.112.112.11", "2620:fe::fe:11";
    "google", "dns.google", true, false, "no filter",
        "8.8.8.8", "2001:4860:4860::8888", "8.8.4.4", "2001:4860:4860::8844";
    "adguard", "dns.adguard-dns.com", true, true, "blocks advertisements, trackers and malware",
        "94.140.14.14", "2a10:50c0::ad1:ff", "94.140.15.15", "2a10:50c0::ad2:ff";
    "adguard-family", "family.adguard-dns.com", true, true, "as adguard, and adult content",
        "94.140.14.15", "2a10:50c0::bad1:ff", "94.140.15.16", "2a10:50c0::bad2:ff";
    "adguard-unfiltered", "unfiltered.adguard-dns.com", true, false, "no filter",
        "94.140.14.140", "2a10:50c0::1:ff", "94.140.14.141", "2a10:50c0::2:ff";
    "cleanbrowsing-security", "security-filter-dns.cleanbrowsing.org", true, true, "blocks malware",
        "185.228.168.9", "2a0d:2a00:1::2", "185.228.169.9", "2a0d:2a00:2::2";
    "cleanbrowsing-adult", "adult-filter-dns.cleanbrowsing.org", true, true, "blocks malware and adult content",
        "185.228.168.10", "2a0d:2a00:1::1", "185.228.169.11", "2a0d:2a00:2::1";
    "cleanbrowsing-family", "family-filter-dns.cleanbrowsing.org", true, true, "as cleanbrowsing-adult, and proxies and mixed content",
        "185.228.168.168", "2a0d:2a00:1::", "185.228.169.168", "2a0d:2a00:2::";
    "dns-sb", "dot.sb", true, false, "no filter",
        "185.222.222.222", "2a09::", "45.11.45.11", "2a11::";
    "dns4eu", "unfiltered.joindns4.eu", true, false, "no filter",
        "86.54.11.100", "2a13:1001::86:54:11:100", "86.54.11.200", "2a13:1001::86:54:11:200";
    "dns4eu-protective", "protective.joindns4.eu", true, true, "blocks malware",
        "86.54.11.1", "2a13:1001::86:54:11:1", "86.54.11.201", "2a13:1001::86:54:11:201";
    "opendns", "dns.opendns.com", true, true, "blocks malware",
        "208.67.222.222", "2620:119:35::35", "208.67.220.220", "2620:119:53::53";
    "opendns-family", "familyshield.opendns.com", true, true, "blocks malware and adult content",
        "208.67.222.123", "208.67.220.123";
}

/// Where queries go when the user names no upstream.
pub const DEFAULT: &Provider = &PROVIDERS[0];

impl Provider {
    /// Its addresses, read.
    pub(super) fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter_map(|text| text.parse().ok())
    }

    /// Who operates it, as the beginning of its name: `quad9` of `quad9-ecs`.
    pub fn operator(&self) -> &'static str {
        match self.name.split_once('-') {
            Some((operator, kind)) if kind != "sb" => operator,
            _ => self.name,
        }
    }
}

/// The provider of this name. Case does not matter.
pub fn find(name: &str) -> Option<&'static Provider> {
    PROVIDERS
        .iter()
        .find(|provider| provider.name.eq_ignore_ascii_case(name))
}

/// The provider whose servers have this name in their certificates.
pub fn with_server_name(name: &str) -> Option<&'static Provider> {
    PROVIDERS
        .iter()
        .find(|provider| provider.server_name == name)
}

/// The provider that has this address.
pub fn with_address(ip: IpAddr) -> Option<&'static Provider> {
    PROVIDERS
        .iter()
        .find(|provider| provider.ips().any(|own| own == ip))
}

/// The provider whose name is nearest to a word that is none, if it is near enough to be a slip.
pub fn closest(word: &str) -> Option<&'static Provider> {
    words::closest(word, PROVIDERS.iter().map(|provider| provider.name)).and_then(find)
}

/// The table as text for people, a few lines each.
pub fn listing() -> String {
    let mut text = String::new();
    for provider in PROVIDERS {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{}\n    {}\n    {}  {}",
            provider.name,
            provider.about,
            provider.server_name,
            provider.addresses.join(" ")
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
            let provider = find(name).unwrap();
            provider.ips().map(|ip| ip.to_string()).collect()
        };
        assert_eq!(
            addresses("cloudflare"),
            [
                "1.1.1.1",
                "2606:4700:4700::1111",
                "1.0.0.1",
                "2606:4700:4700::1001"
            ]
        );
        assert_eq!(
            addresses("quad9-unfiltered"),
            [
                "9.9.9.10",
                "2620:fe::10",
                "149.112.112.10",
                "2620:fe::fe:10"
            ]
        );
        assert_eq!(
            addresses("adguard"),
            [
                "94.140.14.14",
                "2a10:50c0::ad1:ff",
                "94.140.15.15",
                "2a10:50c0::ad2:ff"
            ]
        );
        assert_eq!(
            addresses("cleanbrowsing-family"),
            [
                "185.228.168.168",
                "2a0d:2a00:1::",
                "185.228.169.168",
                "2a0d:2a00:2::"
            ]
        );
        assert_eq!(
            addresses("dns4eu-protective"),
            [
                "86.54.11.1",
                "2a13:1001::86:54:11:1",
                "86.54.11.201",
                "2a13:1001::86:54:11:201"
            ]
        );
        assert_eq!(
            addresses("opendns-family"),
            ["208.67.222.123", "208.67.220.123"]
        );
    }

    #[test]
    fn names_and_addresses_are_unique() {
        let mut seen = HashSet::new();
        for provider in PROVIDERS {
            assert!(seen.insert(provider.name.to_owned()), "{}", provider.name);
            assert_eq!(provider.ips().count(), provider.addresses.len());
            for address in provider.ips() {
                assert!(
                    seen.insert(address.to_string()),
                    "{address} of {}",
                    provider.name
                );
            }
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
            assert_eq!(with_server_name(provider.server_name), Some(provider));
        }
        assert_eq!(with_server_name("dns.test"), None);
    }

    #[test]
    fn one_organisation_operates_several_providers() {
        let of = |name: &str| find(name).unwrap().operator();
        for (name, operator) in [
            ("cloudflare", "cloudflare"),
            ("cloudflare-family", "cloudflare"),
            ("quad9-ecs", "quad9"),
            ("dns-sb", "dns-sb"),
            ("dns4eu-protective", "dns4eu"),
            ("cleanbrowsing-adult", "cleanbrowsing"),
        ] {
            assert_eq!(of(name), operator);
        }
        let by_address = with_address("149.112.112.11".parse().unwrap());
        assert_eq!(by_address.map(|provider| provider.name), Some("quad9-ecs"));
        assert_eq!(with_address("192.0.2.1".parse().unwrap()), None);
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
