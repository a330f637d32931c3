//! Which clients are served: a list of address prefixes in CIDR notation (RFC 4632, RFC 4291).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use ipnet::IpNet as Cidr;
use ipnet::{Ipv4Net, Ipv6Net};

use super::ConfigError;

/// The networks of private and local addresses.
const LOCAL: [Cidr; 8] = [
    // Loopback.
    v4([127, 0], 8),
    Cidr::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    // Private use (RFC 1918).
    v4([10, 0], 8),
    v4([172, 16], 12),
    v4([192, 168], 16),
    // Link-local (RFC 3927, RFC 4291).
    v4([169, 254], 16),
    v6(0xfe80, 10),
    // Unique local (RFC 4193).
    v6(0xfc00, 7),
];

/// Behind a carrier's address translation (RFC 6598). It is not local: a router whose outer address a carrier translates has an address
/// in it, and so have the carrier's other customers.
const CARRIER: Cidr = v4([100, 64], 10);

/// `A.B.0.0/LENGTH`
const fn v4([a, b]: [u8; 2], length: u8) -> Cidr {
    Cidr::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length))
}

/// `FIRST::/LENGTH`
const fn v6(first: u16, length: u8) -> Cidr {
    let ip = Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0);
    Cidr::V6(Ipv6Net::new_assert(ip, length))
}

/// Whether a network contains addresses of the Internet.
pub(super) fn is_public(network: &Cidr) -> bool {
    let mut others = LOCAL.iter().chain([&CARRIER]);
    !others.any(|other| other.contains(network))
}

/// The network of an interface with this address and prefix length, if its other hosts are neighbours; else the address alone. `point_to_point`:
/// the other end of the interface is one host, or a tunnel. `None` for an address that no host has.
pub fn interface_network(ip: IpAddr, length: u8, point_to_point: bool) -> Option<Cidr> {
    let ip = ip.to_canonical();
    if ip.is_unspecified() || ip.is_multicast() {
        return None;
    }
    // Wider ones have strangers in them: the customers of a carrier, a whole provider. Sites get a /48 of IPv6 at most (RFC 6177).
    let widest = if ip.is_ipv4() { 16 } else { 48 };
    let network = Cidr::new(ip, length).ok()?.trunc();
    let near = length >= widest && !point_to_point && !CARRIER.contains(&ip);
    Some(if near { network } else { ip.into() })
}

/// Reads a prefix for an access list: `ADDRESS/LENGTH`, or an address alone for one host. Unlike the parser of [`Cidr`], its errors say what
/// is wrong, and it refuses prefixes that match no client.
pub fn read_prefix(text: &str) -> Result<Cidr, ConfigError> {
    let error = |reason: String| ConfigError::new("allow_net", text, reason);
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        return Err(error(format!("{address:?} is not an IP address")));
    };
    let longest = Cidr::from(ip).prefix_len();
    let length = match length {
        None => Some(longest),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        Some(_) => None,
    };
    let Some(Ok(prefix)) = length.map(|length| Cidr::new(ip, length)) else {
        return Err(error(format!(
            "the prefix length is not a number from 0 to {longest}"
        )));
    };
    if prefix != prefix.trunc() {
        let meant = prefix.trunc();
        return Err(error(format!(
            "has bits set after the prefix; did you mean {meant}?"
        )));
    }
    // Addresses of clients are compared in canonical form, so that such a prefix matches none.
    if matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        let reason = "is an IPv4-mapped address; write it as IPv4";
        return Err(error(reason.to_owned()));
    }
    Ok(prefix)
}

/// The clients that are served; all others are refused. An empty list serves nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList {
    cidrs: Vec<Cidr>,
    /// The networks of this host as last found, if they belong to the list.
    host: Option<Vec<Cidr>>,
}

impl AccessList {
    /// Whether a client with this address is served. An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) counts as its IPv4 address.
    pub fn allows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        let mut cidrs = self.cidrs.iter().chain(self.host_networks());
        cidrs.any(|cidr| cidr.contains(&client))
    }

    /// The networks on the list, without those of this host.
    pub fn prefixes(&self) -> &[Cidr] {
        &self.cidrs
    }

    /// The networks on the list that contain addresses of the Internet.
    pub fn public(&self) -> impl Iterator<Item = &Cidr> {
        self.cidrs.iter().filter(|cidr| is_public(cidr))
    }

    /// The same list, to which the networks of this host belong too.
    #[must_use]
    pub fn with_host_networks(self) -> Self {
        let host = Some(self.host.unwrap_or_default());
        Self { host, ..self }
    }

    /// Whether the networks of this host belong to the list, as they do by default.
    pub fn follows_host(&self) -> bool {
        self.host.is_some()
    }

    /// The networks of this host as last found, without those that the list contains anyway.
    pub fn host_networks(&self) -> &[Cidr] {
        self.host.as_deref().unwrap_or_default()
    }

    /// Takes the networks of this host, if they belong to the list. Returns whether the list has changed.
    pub fn set_host_networks(&mut self, mut networks: Vec<Cidr>) -> bool {
        networks.retain(|network| !self.cidrs.iter().any(|cidr| cidr.contains(network)));
        networks.sort_unstable();
        networks.dedup();
        let Some(host) = self.host.as_mut().filter(|host| **host != networks) else {
            return false;
        };
        *host = networks;
        true
    }
}

impl Default for AccessList {
    /// The networks of private and local addresses, and those of this host: RFC 5625 section 6.2 asks that a proxy does not serve the whole
    /// Internet by default.
    fn default() -> Self {
        Self {
            cidrs: LOCAL.into(),
            host: Some(Vec::new()),
        }
    }
}

impl FromIterator<Cidr> for AccessList {
    fn from_iter<I: IntoIterator<Item = Cidr>>(cidrs: I) -> Self {
        Self {
            cidrs: cidrs.into_iter().collect(),
            host: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn cidr_error(text: &str) -> String {
        read_prefix(text).unwrap_err().to_string()
    }

    #[test]
    fn the_default_serves_local_networks_only() {
        // req 27
        let list = AccessList::default();
        for local in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.7.7",
            "fe80::1",
            "febf::1",
            "fc00::1",
            "fdff::1",
        ] {
            assert!(list.allows(ip(local)), "{local}");
        }
        for foreign in [
            "126.255.255.255",
            "128.0.0.1",
            "::2",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.1.1",
            "192.169.0.0",
            "100.64.0.1",
            "100.127.255.255",
            "169.253.0.0",
            "fec0::1",
            "fe00::1",
            "2001:db8::1",
            "8.8.8.8",
            "0.0.0.0",
            "::",
        ] {
            assert!(!list.allows(ip(foreign)), "{foreign}");
        }
    }

    #[test]
    fn a_mapped_address_counts_as_ipv4() {
        // req 27: a socket on [::] reports IPv4 clients in this form.
        let list = AccessList::default();
        assert!(list.allows(ip("::ffff:192.168.0.7")));
        assert!(!list.allows(ip("::ffff:8.8.8.8")));
        let only_v6: AccessList = ["::/0".parse::<Cidr>().unwrap()].into_iter().collect();
        assert!(only_v6.allows(ip("2001:db8::1")) && !only_v6.allows(ip("::ffff:8.8.8.8")));
    }

    #[test]
    fn prefixes_of_every_length_are_read() {
        let contains = |cidr: &str, client: &str| read_prefix(cidr).unwrap().contains(&ip(client));
        assert!(contains("0.0.0.0/0", "255.255.255.255") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.6"));
        assert!(
            contains("192.0.2.128/25", "192.0.2.200") && !contains("192.0.2.128/25", "192.0.2.127")
        );
        assert!(
            contains("2001:db8::/32", "2001:db8:ffff::")
                && !contains("2001:db8::/32", "2001:db9::")
        );
        assert!(
            contains("2001:db8::1", "2001:db8::1") && !contains("2001:db8::1/128", "2001:db8::2")
        );
        assert!(contains("::/0", "ffff::"));
        assert_eq!(read_prefix("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(
            read_prefix("2001:db8::1").unwrap().to_string(),
            "2001:db8::1/128"
        );
    }

    #[test]
    fn public_networks_are_told_from_private_ones() {
        let is_public = |text: &str| is_public(&read_prefix(text).unwrap());
        for public in [
            "0.0.0.0/0",
            "::/0",
            "203.0.113.0/24",
            "8.8.8.8",
            "2001:db8::/32",
            "172.0.0.0/11",
            "100.0.0.0/8",
        ] {
            assert!(is_public(public), "{public}");
        }
        for private in [
            "127.0.0.0/8",
            "10.1.0.0/16",
            "192.168.0.7",
            "100.64.0.0/10",
            "fd00::/8",
            "fe80::/64",
            "::1",
        ] {
            assert!(!is_public(private), "{private}");
        }
        let list: AccessList = ["10.0.0.0/8", "8.0.0.0/8"]
            .iter()
            .map(|text| text.parse::<Cidr>().unwrap())
            .collect();
        assert_eq!(
            list.public().map(ToString::to_string).collect::<Vec<_>>(),
            ["8.0.0.0/8"]
        );
    }

    #[test]
    fn mistakes_are_named() {
        // fault 86
        assert_eq!(
            cidr_error("192.168.1.7/16"),
            "allow_net \"192.168.1.7/16\": has bits set after the prefix; \
             did you mean 192.168.0.0/16?"
        );
        assert!(cidr_error("2001:db8::1/64").contains("did you mean 2001:db8::/64?"));
        for length in ["33", "-1", "+8", "", "8/8", "256"] {
            let error = cidr_error(&format!("10.0.0.0/{length}"));
            assert!(
                error.contains("the prefix length is not a number from 0 to 32"),
                "{error}"
            );
        }
        assert!(cidr_error("fe80::/129").contains("from 0 to 128"));
        for address in ["", "lan", "10.0.0", "10.0.0.0.0/8", "/8"] {
            assert!(
                cidr_error(address).contains("is not an IP address"),
                "{address}"
            );
        }
        assert!(cidr_error("::ffff:10.0.0.0/104").contains("write it as IPv4"));
    }

    #[test]
    fn an_empty_list_serves_nobody() {
        assert!(!AccessList::from_iter([]).allows(ip("127.0.0.1")));
    }

    #[test]
    fn networks_of_the_host_belong_to_the_default_and_to_no_other() {
        let cidrs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let near = ip("2001:db8:1::9");
        let mut list = AccessList::default();
        assert!(!list.allows(near));
        let found: Vec<Cidr> = cidrs(&["192.168.7.0/24", "2001:db8:1::/64", "2001:db8:1::/64"]);
        assert!(list.set_host_networks(found.clone()));
        assert!(list.allows(near) && !list.allows(ip("2001:db8:2::9")));
        let only: Vec<Cidr> = cidrs(&["2001:db8:1::/64"]);
        assert_eq!(list.host_networks(), only);
        assert!(!list.set_host_networks(found.clone()), "as before");
        assert!(list.set_host_networks(Vec::new()) && !list.allows(near));

        let mut named: AccessList = ["10.0.0.0/8".parse::<Cidr>().unwrap()]
            .into_iter()
            .collect();
        assert!(!named.set_host_networks(found) && !named.allows(near));
    }

    #[test]
    fn a_network_of_the_host_is_near_unless_it_is_wide_or_a_tunnel() {
        let near = |ip: &str, length, tunnel| {
            let cidr = interface_network(ip.parse().unwrap(), length, tunnel);
            cidr.map(|cidr| cidr.to_string())
        };
        for (ip, length, tunnel, expected) in [
            ("2001:db8:1::99", 64, false, Some("2001:db8:1::/64")),
            ("2001:db8:1::99", 64, true, Some("2001:db8:1::99/128")),
            ("2001:db8:1::99", 32, false, Some("2001:db8:1::99/128")),
            ("198.51.100.7", 24, false, Some("198.51.100.0/24")),
            ("198.51.100.7", 8, false, Some("198.51.100.7/32")),
            ("198.51.100.7", 0, false, Some("198.51.100.7/32")),
            ("198.51.100.7", 32, false, Some("198.51.100.7/32")),
            ("100.64.3.4", 24, false, Some("100.64.3.4/32")),
            ("192.168.7.1", 24, false, Some("192.168.7.0/24")),
            ("224.0.0.1", 24, false, None),
            ("::", 64, false, None),
        ] {
            assert_eq!(
                near(ip, length, tunnel).as_deref(),
                expected,
                "{ip}/{length}"
            );
        }
    }
}
