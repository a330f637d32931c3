//! One step of a search.

use super::messages::Question;
use crate::config::{Protocol, Upstream};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Addresses are looked up again after their TTL, but neither all the time nor hardly ever.
pub const LIFETIMES: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3600);
/// The most addresses of one upstream that are used. Others than these would hardly ever be connected to.
pub const MAX_ADDRESSES: usize = 32;

/// What was found of an upstream, and for how long it may be used.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Its addresses, each once.
    pub places: Vec<Place>,
    /// For how long.
    pub lifetime: Duration,
}

/// An address of an upstream, with the port of the first protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub addr: SocketAddr,
    /// The protocols that are spoken there, in the order of trying. None: those of the configuration.
    pub protocols: Vec<Protocol>,
}

impl Place {
    /// What is said of this upstream here. `None`: nothing but the address.
    pub fn of(&self, upstream: &Upstream) -> Option<Upstream> {
        let is_designated = !self.protocols.is_empty();
        is_designated.then(|| upstream.designated_at(self.addr, &self.protocols))
    }
}

impl From<SocketAddr> for Place {
    fn from(addr: SocketAddr) -> Self {
        let protocols = Vec::new();
        Self { addr, protocols }
    }
}

/// What follows from the responses of a resolver.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The same resolver is asked more.
    Ask(Vec<Question>),
    /// The search is over.
    Found(Found),
    /// This resolver does not help. Says why, if its responses do.
    Nothing(Option<String>),
}

/// What follows from these addresses, the lowest TTL of which is this.
pub fn found(mut places: Vec<Place>, ttl: u32) -> Step {
    if places.is_empty() {
        return Step::Nothing(None);
    }
    places.truncate(MAX_ADDRESSES);
    let lifetime = Duration::from_secs(ttl.into());
    let lifetime = lifetime.clamp(*LIFETIMES.start(), *LIFETIMES.end());
    Step::Found(Found { places, lifetime })
}
