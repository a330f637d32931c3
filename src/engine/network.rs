//! Networks, and what a change of them means for upstreams and connections.

use super::keys::ConnectionKey;
use std::fmt;
use std::net::IpAddr;

/// The network over which an upstream is reached: its gateway, on an interface of this host. What is learned of an upstream holds there, and
/// perhaps nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The index of the interface.
    pub interface: u32,
    /// The first router; `None` if the upstream is on the network itself.
    pub gateway: Option<IpAddr>,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = self.interface;
        match self.gateway {
            Some(gateway) => write!(f, "{gateway} on interface {interface}"),
            None => write!(f, "interface {interface}"),
        }
    }
}

/// The way to an upstream has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which upstream: see [`Forwarder::upstream`](super::Forwarder::upstream).
    pub upstream: usize,
    /// Over which network it was reached, if it was.
    pub from: Option<Network>,
    /// Over which it is reached now, if it is.
    pub to: Option<Network>,
}

/// What the driver found after the network has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkChange {
    /// The upstreams that are reached in another way than before.
    pub moved: Vec<Moved>,
    /// Connections whose path is gone: nothing more will come on them.
    pub gone: Vec<ConnectionKey>,
    /// Connections that work as before, although those that are made from now on take another path.
    pub outdated: Vec<ConnectionKey>,
    /// Connections that go on over another path, with their queries.
    pub following: Vec<ConnectionKey>,
}

impl NetworkChange {
    /// Whether it is none.
    pub fn is_empty(&self) -> bool {
        self.moved.is_empty() && self.gone.is_empty() && self.outdated.is_empty()
    }
}
