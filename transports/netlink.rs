//! Netlink (rtnetlink(7)): a question about a route and its answer as octets, and sockets for them. It takes no capability.

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use std::net::IpAddr;
use std::os::fd::OwnedFd;

/// Octets of the header of a message (`nlmsghdr`), and of that of one about routes behind it (`rtmsg`).
const HEADER: usize = 16;
const ROUTE_HEADER: usize = 12;
/// Octets of the header of an attribute (`rtattr`). Attributes begin at multiples of it.
const ATTRIBUTE_HEADER: usize = 4;

const NLMSG_ERROR: u16 = 2;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLM_F_REQUEST: u16 = 1;

const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTA_VIA: u16 = 18;

const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A socket on which messages of these groups arrive, a bit for each (`RTMGRP_*`); none: for questions alone.
pub fn open(groups: u32) -> Result<OwnedFd, Errno> {
    let socket = net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// What the system says of the route to an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The address is one of this host.
    pub is_local: bool,
    pub interface: u32,
    pub gateway: Option<IpAddr>,
    pub source: Option<IpAddr>,
}

/// Asks for the route to an address, over this interface if one is named, from this address if one is named (`RTM_GETROUTE`).
pub fn question(to: IpAddr, interface: Option<u32>, from: Option<IpAddr>) -> Vec<u8> {
    let family = if to.is_ipv4() { AF_INET } else { AF_INET6 };
    let (to, from) = (octets(to), from.map(octets));
    let bits = |octets: &[u8]| (octets.len() * 8) as u8;
    let mut message = vec![0; HEADER];
    let lengths = [bits(&to), from.as_deref().map_or(0, bits)];
    message.extend([family, lengths[0], lengths[1], 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    attribute(&mut message, RTA_DST, &to);
    if let Some(from) = from {
        attribute(&mut message, RTA_SRC, &from);
    }
    if let Some(interface) = interface {
        attribute(&mut message, RTA_OIF, &interface.to_ne_bytes());
    }
    let length = (message.len() as u32).to_ne_bytes();
    let kind = RTM_GETROUTE.to_ne_bytes();
    let flags = NLM_F_REQUEST.to_ne_bytes();
    let head = length.into_iter().chain(kind).chain(flags);
    for (place, octet) in message.iter_mut().zip(head) {
        *place = octet;
    }
    message
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().into(),
        IpAddr::V6(ip) => ip.octets().into(),
    }
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = (ATTRIBUTE_HEADER + value.len()) as u16;
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    // Each value here ends at a multiple of four octets.
    message.extend(value);
}

/// Reads the answer. `None`: it is none. An error is what the system says instead of a route.
pub fn answer(message: &[u8]) -> Option<Result<Route, Errno>> {
    let length = usize::try_from(u32::from_ne_bytes(array(message, 0)?)).ok()?;
    let message = message.get(..length)?;
    match u16::from_ne_bytes(array(message, 4)?) {
        NLMSG_ERROR => {
            let error = i32::from_ne_bytes(array(message, HEADER)?);
            Some(Err(Errno::from_raw_os_error(error.checked_neg()?)))
        }
        RTM_NEWROUTE => {
            let is_local = match *message.get(HEADER + 7)? {
                RTN_UNICAST => false,
                RTN_LOCAL => true,
                // As `unreachable` and `blackhole`.
                _ => return Some(Err(Errno::NETUNREACH)),
            };
            let mut route = Route {
                is_local,
                ..Route::default()
            };
            let mut rest = message.get(HEADER + ROUTE_HEADER..)?;
            while let Some((kind, value, others)) = next_attribute(rest) {
                match kind {
                    RTA_OIF => route.interface = u32::from_ne_bytes(array(value, 0)?),
                    RTA_GATEWAY => route.gateway = address(value),
                    // A router of the other family: its family comes before it.
                    RTA_VIA => route.gateway = address(value.get(2..)?),
                    RTA_PREFSRC => route.source = address(value),
                    _ => {}
                }
                rest = others;
            }
            Some(Ok(route))
        }
        _ => None,
    }
}

/// The kind and the value of the attribute that begins here, and what follows it.
fn next_attribute(from: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::from(u16::from_ne_bytes(array(from, 0)?));
    let kind = u16::from_ne_bytes(array(from, 2)?);
    let value = from.get(ATTRIBUTE_HEADER..length)?;
    let end = length.next_multiple_of(ATTRIBUTE_HEADER);
    Some((kind, value, from.get(end..).unwrap_or_default()))
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => Some(<[u8; 4]>::try_from(octets).ok()?.into()),
        16 => Some(<[u8; 16]>::try_from(octets).ok()?.into()),
        _ => None,
    }
}

fn array<const N: usize>(octets: &[u8], at: usize) -> Option<[u8; N]> {
    octets.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn told(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut message = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.resize(HEADER, 0);
        message.extend(body);
        message
    }

    fn route(kind: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![0; ROUTE_HEADER];
        body[7] = kind;
        for (kind, value) in attributes {
            attribute(&mut body, *kind, value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        told(RTM_NEWROUTE, &body)
    }

    #[test]
    fn a_route_is_what_its_attributes_say() {
        let message = route(
            RTN_UNICAST,
            &[
                (15, &[254, 0, 0, 0]),
                (RTA_OIF, &3_u32.to_ne_bytes()),
                (99, b"odd"),
                (RTA_PREFSRC, &[10, 0, 0, 2]),
                (RTA_GATEWAY, &[10, 0, 0, 1]),
            ],
        );
        let expected = Route {
            is_local: false,
            interface: 3,
            gateway: Some(ip("10.0.0.1")),
            source: Some(ip("10.0.0.2")),
        };
        assert_eq!(answer(&message), Some(Ok(expected)));
        let mut via = AF_INET6.to_ne_bytes().to_vec();
        via.push(0);
        via.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let message = route(RTN_UNICAST, &[(RTA_VIA, &via)]);
        let found = answer(&message).unwrap().unwrap();
        assert_eq!(found.gateway, Some(ip("fe80::1")));
        let message = route(RTN_LOCAL, &[]);
        assert!(answer(&message).unwrap().unwrap().is_local);
    }

    #[test]
    fn what_is_no_route_is_said_so() {
        let error = told(NLMSG_ERROR, &(-101_i32).to_ne_bytes());
        assert_eq!(answer(&error), Some(Err(Errno::NETUNREACH)));
        let unreachable = 7;
        let message = route(unreachable, &[]);
        assert_eq!(answer(&message), Some(Err(Errno::NETUNREACH)));
        assert_eq!(answer(&told(3, &[])), None);
        assert_eq!(answer(&[]), None);
        let whole = route(RTN_UNICAST, &[(RTA_OIF, &3_u32.to_ne_bytes())]);
        assert_eq!(answer(&whole[..whole.len() - 1]), None, "it is cut");
    }

    proptest! {
        #[test]
        fn no_octets_end_the_program(octets in proptest::collection::vec(any::<u8>(), 0..200), kind in any::<u16>()) {
            answer(&octets);
            answer(&told(kind, &octets));
            answer(&told(RTM_NEWROUTE, &octets));
        }
    }
}
