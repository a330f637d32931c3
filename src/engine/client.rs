//! Who asked, and where the answer goes.

use super::per_client::prefix;
use std::net::{IpAddr, SocketAddr};

/// The sender of a query, as far as the core has to know it. Opaque to it but for the address and the kind of way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Address and port.
    pub addr: SocketAddr,
    /// The way that the query came, which the answer goes back.
    pub via: Via,
}

/// The way to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A datagram.
    Datagram {
        /// Which of the driver's sockets.
        socket: u16,
        /// The address that was asked, where the socket is bound to more than one (RFC 2181 section 4.1).
        local: Option<IpAddr>,
    },
    /// A stream with a length prefix; the number is the driver's own name for the connection.
    Stream(u64),
    /// The same over an encrypted connection, where a response to a padded query is padded.
    Encrypted(u64),
    /// None: the driver itself asks, on behalf of whoever may control it, and the number is its own name for that. The access list does not
    /// matter. To everything else it is a stream.
    Inside(u64),
}

impl Client {
    /// Did it arrive over UDP, so that the response has to fit into one datagram?
    pub fn is_datagram(&self) -> bool {
        matches!(self.via, Via::Datagram { .. })
    }

    /// Did it arrive encrypted, so that its length is all that others see of it?
    pub fn is_encrypted(&self) -> bool {
        matches!(self.via, Via::Encrypted(_))
    }

    /// Does the driver itself ask?
    pub fn is_inside(&self) -> bool {
        matches!(self.via, Via::Inside(_))
    }

    /// What counts as one client. From afar that is an IPv4 address, or the /64 that an IPv6 host chooses its addresses from. All clients of
    /// this machine share an address, so that each of their sockets is one.
    pub(crate) fn account(&self) -> u128 {
        let ip = self.addr.ip().to_canonical();
        if ip.is_loopback() {
            // The prefixes of IPv6 networks have zeros where these have an address.
            let stream = u128::from(!self.is_datagram());
            let socket = stream << 16 | u128::from(self.addr.port());
            return match ip {
                IpAddr::V4(ip) => socket << 64 | u128::from(ip.to_bits()),
                IpAddr::V6(ip) => socket << 64 | ip.to_bits(),
            };
        }
        prefix(ip)
    }

    /// Whether it has a bound of its own on queries in flight. Not on loopback: nobody forges an address there, and one socket may well
    /// send many, as a resolver of this machine does that forwards to us. At the bound for all, it counts like any other client.
    pub(super) fn is_bounded(&self) -> bool {
        !self.addr.ip().to_canonical().is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_afar_a_prefix_is_a_client_and_on_loopback_a_socket() {
        // fault 64, 99
        let by_datagram = Via::Datagram {
            socket: 0,
            local: None,
        };
        let account = |addr: &str, via| {
            let addr = addr.parse().unwrap();
            let client = Client { addr, via };
            (client.account(), client.is_bounded())
        };
        let (one, other) = (by_datagram, Via::Stream(1));
        for (addr, also) in [
            ("192.168.1.7:40000", "192.168.1.7:40001"),
            ("[fd00::7]:40000", "[fd00::ffff:7]:40000"),
        ] {
            assert_eq!(account(addr, one), account(also, other), "{addr} {also}");
            assert!(account(addr, one).1);
        }
        let sockets = [
            ("127.0.0.7:40000", one),
            ("127.0.0.7:40000", other),
            ("127.0.0.7:40001", one),
            ("[::1]:40000", one),
            ("192.168.1.7:40000", one),
            ("[fd00::7]:40000", one),
        ];
        let accounts = sockets.map(|(addr, via)| account(addr, via).0);
        let distinct: std::collections::BTreeSet<_> = accounts.into_iter().collect();
        assert_eq!(distinct.len(), sockets.len());
        assert!(!account("[::ffff:127.0.0.1]:40000", one).1);
    }
}
