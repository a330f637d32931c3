//! Who asked, and where the answer goes.

use super::crowd::prefix;
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
}

impl Client {
    /// Came it as a datagram, whose answer has to fit into one?
    pub fn is_datagram(&self) -> bool {
        matches!(self.via, Via::Datagram { .. })
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

    /// The address that its questions in flight are counted under, where there is a bound for each. There is none over streams, which
    /// have bounds of their own and cannot be forged, and none on loopback: all clients of a machine share that address.
    pub(super) fn counted_as(&self) -> Option<IpAddr> {
        let ip = self.addr.ip();
        (self.is_datagram() && !ip.to_canonical().is_loopback()).then_some(ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_from_other_machines_are_counted() {
        // fault 64
        let by_datagram = Via::Datagram {
            socket: 0,
            local: None,
        };
        for (addr, via, counts) in [
            ("192.168.1.7:40000", by_datagram, true),
            ("[fd00::7]:40000", by_datagram, true),
            ("192.168.1.7:40000", Via::Stream(1), false),
            ("127.0.0.7:40000", by_datagram, false),
            ("[::1]:40000", by_datagram, false),
            ("[::ffff:127.0.0.1]:40000", by_datagram, false),
        ] {
            let addr: SocketAddr = addr.parse().unwrap();
            let counted = Client { addr, via }.counted_as();
            assert_eq!(counted, counts.then_some(addr.ip()), "{addr} {via:?}");
        }
    }
}
