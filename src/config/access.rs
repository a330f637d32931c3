//! Who may ask: a list of address prefixes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::ConfigError;

/// An address prefix in CIDR notation (RFC 4632, RFC 4291), such as `192.168.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    length: u8,
}

impl Cidr {
    /// A prefix known to be well formed; parsing is for everything else.
    pub(super) const fn known(network: IpAddr, length: u8) -> Self {
        Self { network, length }
    }

    /// The prefix of this address alone.
    pub fn host(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Self::known(ip, if ip.is_ipv4() { 32 } else { 128 })
    }

    /// Whether it holds IPv4 addresses.
    pub fn is_ipv4(&self) -> bool {
        self.network.is_ipv4()
    }

    /// Whether it holds addresses that hosts of the Internet have.
    pub fn is_public(&self) -> bool {
        let holds = |other: &Self| other.length <= self.length && other.contains(self.network);
        // Behind a carrier's address translation (RFC 6598).
        let carrier = Self::known(IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10);
        !AccessList::default().cidrs.iter().any(holds) && !holds(&carrier)
    }

    /// Whether it is too large for a network of one owner: the registries give out nothing larger.
    pub fn is_most_of_the_internet(&self) -> bool {
        self.length < if self.is_ipv4() { 8 } else { 16 }
    }

    /// The network of this length around an address.
    pub(super) fn around(ip: IpAddr, length: u8) -> Self {
        let network = match ip {
            IpAddr::V4(ip) => IpAddr::V4(mask_v4(ip, length)),
            IpAddr::V6(ip) => IpAddr::V6(mask_v6(ip, length)),
        };
        Self { network, length }
    }

    /// Is the other one part of it?
    fn covers(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains(other.network)
    }

    /// Whether the prefix covers `ip`. An IPv4 prefix never covers an IPv6 address, nor the other
    /// way round.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.network, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => mask_v4(ip, self.length) == network,
            (IpAddr::V6(network), IpAddr::V6(ip)) => mask_v6(ip, self.length) == network,
            _ => false,
        }
    }
}

fn mask_v4(ip: Ipv4Addr, length: u8) -> Ipv4Addr {
    let shift = 32_u32.saturating_sub(length.into());
    Ipv4Addr::from_bits(ip.to_bits() & u32::MAX.checked_shl(shift).unwrap_or(0))
}

fn mask_v6(ip: Ipv6Addr, length: u8) -> Ipv6Addr {
    let shift = 128_u32.saturating_sub(length.into());
    Ipv6Addr::from_bits(ip.to_bits() & u128::MAX.checked_shl(shift).unwrap_or(0))
}

impl FromStr for Cidr {
    type Err = ConfigError;

    /// Reads `ADDRESS/LENGTH`, or an address alone for just that host.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let error = |reason: String| ConfigError::new("allow-net", text, reason);
        let (address, length) = text
            .split_once('/')
            .map_or((text, None), |(a, l)| (a, Some(l)));
        let ip: IpAddr = address
            .parse()
            .map_err(|_| error(format!("{address:?} is not an IP address")))?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|length| *length <= longest && digits.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| {
                    error(format!(
                        "the prefix length {digits:?} is not a number from 0 to {longest}"
                    ))
                })?,
        };
        let network = match ip {
            IpAddr::V4(ip) => IpAddr::V4(mask_v4(ip, length)),
            IpAddr::V6(ip) => IpAddr::V6(mask_v6(ip, length)),
        };
        if network != ip {
            return Err(error(format!(
                "has bits set behind the prefix; did you mean {network}/{length}?"
            )));
        }
        // Clients are compared in canonical form, in which such a prefix matches nobody.
        if matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
            return Err(error(
                "is an IPv4-mapped address; write it as IPv4".to_owned(),
            ));
        }
        Ok(Self { network, length })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// The clients that are served; all others are refused. An empty list serves nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList {
    cidrs: Vec<Cidr>,
    /// The networks that this host is on, as they are now, where they belong to the list.
    host: Option<Vec<Cidr>>,
}

impl AccessList {
    /// Whether a client with this address is served. An IPv4-mapped IPv6 address counts as the IPv4
    /// address it holds.
    pub fn allows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        let mut cidrs = self.cidrs.iter().chain(self.host_networks());
        cidrs.any(|cidr| cidr.contains(client))
    }

    /// Those networks on it that hosts of the Internet are in.
    pub fn public(&self) -> impl Iterator<Item = &Cidr> {
        self.cidrs.iter().filter(|cidr| cidr.is_public())
    }

    /// Do the networks belong to it that this host is on? So it is by default.
    pub fn follows_host(&self) -> bool {
        self.host.is_some()
    }

    /// Those of them that are known, less what is on the list anyhow.
    pub fn host_networks(&self) -> &[Cidr] {
        self.host.as_deref().unwrap_or_default()
    }

    /// Takes the networks that this host is on, where they belong to the list. False if nothing changes.
    pub fn set_host_networks(&mut self, mut networks: Vec<Cidr>) -> bool {
        networks.retain(|network| !self.cidrs.iter().any(|cidr| cidr.covers(network)));
        networks.sort_unstable_by_key(|cidr| (cidr.network, cidr.length));
        networks.dedup();
        let Some(host) = self.host.as_mut().filter(|host| **host != networks) else {
            return false;
        };
        *host = networks;
        true
    }
}

impl Default for AccessList {
    /// The local networks, and those that this host is on (RFC 5625 asks that a proxy does not
    /// serve the whole Internet by default).
    fn default() -> Self {
        const fn v4(a: u8, b: u8, length: u8) -> Cidr {
            Cidr::known(IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), length)
        }
        const fn v6(first: u16, length: u8) -> Cidr {
            Cidr::known(
                IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)),
                length,
            )
        }
        let cidrs = vec![
            // Loopback.
            v4(127, 0, 8),
            Cidr::known(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
            // Private use (RFC 1918). Not 100.64.0.0/10 (RFC 6598): a router whose outer address a carrier translates has one of these,
            // and so have its neighbours out there.
            v4(10, 0, 8),
            v4(172, 16, 12),
            v4(192, 168, 16),
            // Link-local (RFC 3927, RFC 4291).
            v4(169, 254, 16),
            v6(0xfe80, 10),
            // Unique local (RFC 4193).
            v6(0xfc00, 7),
        ];
        Self {
            cidrs,
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
        text.parse::<Cidr>().unwrap_err().to_string()
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
        let contains =
            |cidr: &str, client: &str| cidr.parse::<Cidr>().unwrap().contains(ip(client));
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
        assert_eq!(
            "10.0.0.0/8".parse::<Cidr>().unwrap().to_string(),
            "10.0.0.0/8"
        );
        assert_eq!(
            "2001:db8::1".parse::<Cidr>().unwrap().to_string(),
            "2001:db8::1/128"
        );
    }

    #[test]
    fn public_networks_are_told_from_private_ones() {
        let is_public = |text: &str| text.parse::<Cidr>().unwrap().is_public();
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
        let huge = |text: &str| text.parse::<Cidr>().unwrap().is_most_of_the_internet();
        assert!(
            huge("0.0.0.0/1") && huge("2000::/3") && !huge("8.0.0.0/8") && !huge("2001:db8::/32")
        );
    }

    #[test]
    fn mistakes_are_named() {
        // fault 86
        assert_eq!(
            cidr_error("192.168.1.7/16"),
            "allow-net \"192.168.1.7/16\": has bits set behind the prefix; \
             did you mean 192.168.0.0/16?"
        );
        assert!(cidr_error("2001:db8::1/64").contains("did you mean 2001:db8::/64?"));
        for length in ["33", "-1", "+8", "", "8/8", "256"] {
            let error = cidr_error(&format!("10.0.0.0/{length}"));
            assert!(error.contains("is not a number from 0 to 32"), "{error}");
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
}
