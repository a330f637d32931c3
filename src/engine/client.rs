//! Who asked, and where the answer goes.

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
}
