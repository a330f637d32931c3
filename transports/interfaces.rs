//! This host's network interfaces.

use crate::config::{Cidr, interface_network};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;
use std::net::IpAddr;

/// The index of an interface, which the zone of a link-local address needs.
pub fn interface_number(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

/// Whether an interface of this host has this address. `false` where the system does not tell.
pub fn is_own_address(ip: IpAddr) -> bool {
    let mut own = interfaces().filter_map(|interface| ip_of(&interface.address?));
    own.any(|own| own == ip)
}

/// The networks that this host is on. Empty where the system does not tell.
pub fn networks() -> Vec<Cidr> {
    let found = interfaces().filter_map(|interface| {
        let up = interface.flags.contains(InterfaceFlags::IFF_UP);
        let ip = ip_of(&interface.address.filter(|_| up)?)?;
        let length = length_of(ip_of(&interface.netmask?)?);
        let tunnel = interface.flags.contains(InterfaceFlags::IFF_POINTOPOINT);
        interface_network(ip, length, tunnel)
    });
    found.collect()
}

fn interfaces() -> impl Iterator<Item = InterfaceAddress> {
    let interfaces = getifaddrs().inspect_err(|error| {
        log::debug!("the addresses of the interfaces could not be read: {error}");
    });
    interfaces.into_iter().flatten()
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(v4.ip().into());
    }
    address.as_sockaddr_in6().map(|v6| v6.ip().into())
}

/// The prefix length of a network mask.
fn length_of(mask: IpAddr) -> u8 {
    match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones() as u8,
        IpAddr::V6(mask) => mask.to_bits().leading_ones() as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_on_loopback_at_least() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert!(networks().iter().any(|cidr| cidr.contains(&loopback)));
        let documentation = IpAddr::from([192, 0, 2, 1]);
        assert!(is_own_address(loopback) && !is_own_address(documentation));
    }

    #[test]
    fn a_mask_is_a_length() {
        let length = |mask: &str| length_of(mask.parse().unwrap());
        assert_eq!((length("255.255.240.0"), length("0.0.0.0")), (20, 0));
        assert_eq!((length("ffff:ffff:ffff:ffff::"), length("::")), (64, 0));
    }
}
