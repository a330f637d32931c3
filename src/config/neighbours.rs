//! Who is near this host, by the addresses of its interfaces.

use std::net::IpAddr;

use super::Cidr;
use super::access::CARRIER;

/// Networks that are wider hold strangers: a carrier's customers, a whole provider. IPv6 sites get a /48 at most (RFC 6177).
const WIDEST_V4: u8 = 16;
const WIDEST_V6: u8 = 48;

/// Whom an interface with this address and prefix length lets ask: those in its network, or this host alone where the network says
/// nothing about who is near. `point_to_point`: the other end of the interface is one machine, or a tunnel to anywhere.
pub fn neighbours(ip: IpAddr, length: u8, point_to_point: bool) -> Option<Cidr> {
    let ip = ip.to_canonical();
    if ip.is_unspecified() || ip.is_multicast() {
        return None;
    }
    let widest = if ip.is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
    let network = Cidr::new(ip, length).ok()?.trunc();
    let near = length >= widest && !point_to_point && !CARRIER.contains(&ip);
    Some(if near { network } else { ip.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_the_host_is_near_unless_it_is_wide_or_a_tunnel() {
        let near = |ip: &str, length, tunnel| {
            let cidr = neighbours(ip.parse().unwrap(), length, tunnel);
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
