//! The options on the wire (RFC 9463).

use crate::config::{Domain, SvcbParams};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `OPTION_V4_DNR` of DHCPv4.
pub(super) const CODE_V4: u8 = 162;
/// `OPTION_V6_DNR` of DHCPv6.
pub(super) const CODE_V6: u16 = 144;
/// The option of router advertisements.
const TYPE_RA: u8 = 144;
/// For how long a router advertisement holds, in seconds: three times the usual interval between two of them (RFC 4861 section 6.2.1).
const LIFETIME: u32 = 1_800;

/// A resolver, and how it is spoken to.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) priority: u16,
    pub(super) ipv4: Vec<Ipv4Addr>,
    pub(super) ipv6: Vec<Ipv6Addr>,
    pub(super) alpn: Vec<String>,
    /// If it is not the usual one.
    pub(super) port: Option<u16>,
    /// The URI template of DNS over HTTPS.
    pub(super) path: Option<String>,
}

impl Instance {
    pub(super) fn new(
        name: &str,
        priority: u16,
        addresses: Vec<IpAddr>,
        alpn: Vec<String>,
        port: Option<u16>,
        path: Option<String>,
    ) -> Self {
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for ip in addresses {
            match ip {
                IpAddr::V4(ip) => ipv4.push(ip),
                IpAddr::V6(ip) => ipv6.push(ip),
            }
        }
        Self {
            name: name.to_owned(),
            priority,
            ipv4,
            ipv6,
            alpn,
            port,
            path,
        }
    }

    /// Each address once, in the order in which they were given.
    pub(super) fn without_repeated_addresses(&mut self) {
        fn once<T: Copy + PartialEq>(all: &mut Vec<T>) {
            let mut known: Vec<T> = Vec::new();
            all.retain(|one| {
                let is_new = !known.contains(one);
                known.push(*one);
                is_new
            });
        }
        once(&mut self.ipv4);
        once(&mut self.ipv6);
    }

    pub(super) fn has_no_address(&self) -> bool {
        self.ipv4.is_empty() && self.ipv6.is_empty()
    }

    /// How many addresses it has of the kind of which it has more.
    pub(super) fn most_addresses(&self) -> usize {
        self.ipv4.len().max(self.ipv6.len())
    }

    /// The authentication domain name in wire format.
    fn adn(&self) -> Vec<u8> {
        // A host name is the name of a domain.
        let domain = self.name.parse::<Domain>();
        domain.map(|domain| domain.wire()).unwrap_or_default()
    }

    /// The service parameters, without hints: the addresses stand before them (RFC 9463 section 3.1.5).
    fn params(&self) -> Vec<u8> {
        let alpn: Vec<&str> = self.alpn.iter().map(String::as_str).collect();
        let params = SvcbParams {
            alpn: &alpn,
            port: self.port,
            dohpath: self.path.as_deref(),
            ..SvcbParams::default()
        };
        let mut octets = Vec::new();
        params.write(&mut octets);
        octets
    }

    fn v6_octets(&self) -> Vec<u8> {
        self.ipv6.iter().flat_map(Ipv6Addr::octets).collect()
    }

    /// The data of option 144 of DHCPv6 (RFC 9463 section 4.1), if there is an IPv6 address.
    pub(super) fn dhcpv6(&self) -> Option<Vec<u8>> {
        (!self.ipv6.is_empty()).then(|| {
            let mut data = self.priority.to_be_bytes().to_vec();
            with_length(&mut data, &self.adn());
            with_length(&mut data, &self.v6_octets());
            data.extend(self.params());
            data
        })
    }

    /// The option of router advertisements (RFC 9463 section 6.1), with its type and length, if there is an IPv6 address. An error says that it
    /// is too long.
    pub(super) fn router_advertisement(&self) -> Result<Option<Vec<u8>>, String> {
        if self.ipv6.is_empty() {
            return Ok(None);
        }
        let mut option = vec![TYPE_RA, 0];
        option.extend(self.priority.to_be_bytes());
        option.extend(LIFETIME.to_be_bytes());
        with_length(&mut option, &self.adn());
        with_length(&mut option, &self.v6_octets());
        with_length(&mut option, &self.params());
        option.resize(option.len().next_multiple_of(8), 0);
        let units = u8::try_from(option.len() / 8)
            .map_err(|_| "the option of router advertisements would have more than 2,040 octets: name fewer addresses".to_owned())?;
        option[1] = units;
        Ok(Some(option))
    }

    /// An instance within option 162 of DHCPv4, with its length, if there is an IPv4 address.
    fn dhcpv4(&self) -> Option<Vec<u8>> {
        (!self.ipv4.is_empty()).then(|| {
            let adn = self.adn();
            let mut data = self.priority.to_be_bytes().to_vec();
            // A name has 255 octets at most, and so have 63 addresses.
            data.push(adn.len() as u8);
            data.extend(adn);
            data.push((self.ipv4.len() * 4) as u8);
            data.extend(self.ipv4.iter().flat_map(Ipv4Addr::octets));
            data.extend(self.params());
            let mut instance = Vec::new();
            with_length(&mut instance, &data);
            instance
        })
    }
}

/// The data of option 162 of DHCPv4 (RFC 9463 section 5.1): all resolvers that have an IPv4 address, if one has.
pub(super) fn dhcpv4(instances: &[Instance]) -> Option<Vec<u8>> {
    let all: Vec<u8> = instances
        .iter()
        .filter_map(Instance::dhcpv4)
        .flatten()
        .collect();
    (!all.is_empty()).then_some(all)
}

/// Octets with their number before them, in two octets.
fn with_length(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend((octets.len() as u16).to_be_bytes());
    out.extend_from_slice(octets);
}
