//! Which way the system reaches an address: what the kernel would do with a packet now, without sending one.

use super::netlink::{self, Route};
use crate::engine::Network;
use crate::runtime::NetworkPath;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

/// Octets of the longest answer: a route has at most some attributes.
const ANSWER: usize = 4_096;

/// Which way the system reaches this address, from this one of its own if one is named. It takes a few system calls and waits for nothing.
pub fn path(to: SocketAddr, from: Option<IpAddr>) -> NetworkPath {
    let Ok(socket) = netlink::open(0) else {
        return NetworkPath::Unknown;
    };
    if let Some(from) = from {
        // For IPv6 the kernel does not look whether it is its own.
        match ask(&socket, from.to_canonical(), None, None) {
            Ok(Route { is_local: true, .. }) => {}
            Ok(_) => return NetworkPath::Unreachable,
            Err(error) => return without(error),
        }
    }
    let interface = match to {
        SocketAddr::V6(to) if to.scope_id() != 0 => Some(to.scope_id()),
        _ => None,
    };
    match ask(&socket, to.ip().to_canonical(), interface, from) {
        Ok(route) => NetworkPath::Over {
            network: Network {
                interface: route.interface,
                gateway: route.gateway,
            },
            source: from.or(route.source),
        },
        Err(error) => without(error),
    }
}

/// What an error says of the path.
fn without(error: Errno) -> NetworkPath {
    match error {
        // The last two: the address to send from is not the system's own, and a route that forbids it.
        Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::INVAL | Errno::ACCESS => {
            NetworkPath::Unreachable
        }
        _ => NetworkPath::Unknown,
    }
}

fn ask(
    socket: &OwnedFd,
    to: IpAddr,
    interface: Option<u32>,
    from: Option<IpAddr>,
) -> Result<Route, Errno> {
    let question = netlink::question(to, interface, from);
    send(socket, &question, SendFlags::empty())?;
    let mut buffer = [0; ANSWER];
    // The kernel has answered when the question is sent.
    let (octets, _) = recv(socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
    let message = buffer.get(..octets).unwrap_or_default();
    netlink::answer(message).unwrap_or(Err(Errno::BADMSG))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_over_itself() {
        for to in ["127.0.0.1:853", "[::ffff:127.0.0.1]:853"] {
            let to: SocketAddr = to.parse().unwrap();
            let found = path(to, None);
            let source = to.ip().to_canonical();
            assert_eq!(found.source(), Some(source));
            let network = found.network().unwrap();
            assert!(network.interface > 0 && network.gateway.is_none());
            assert_eq!(path(to, Some(source)), found);
            assert!(found.continues_over(&path(to, None)));
        }
    }

    #[test]
    fn an_address_that_is_not_here_reaches_nothing() {
        let to = "127.0.0.1:853".parse().unwrap();
        let documentation = "192.0.2.77".parse().unwrap();
        assert_eq!(path(to, Some(documentation)), NetworkPath::Unreachable);
    }
}
