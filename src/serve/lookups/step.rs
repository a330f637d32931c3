//! One step of a search.

use super::messages::Question;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Addresses are looked up again after their TTL, but neither all the time nor hardly ever.
pub const LIFETIMES: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3600);
/// The most addresses of one upstream that are used. Others than these would hardly ever be connected to.
pub const MAX_ADDRESSES: usize = 32;

/// Addresses, and for how long they may be used.
pub type Found = (Vec<SocketAddr>, Duration);

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
pub fn found(mut addresses: Vec<SocketAddr>, ttl: u32) -> Step {
    if addresses.is_empty() {
        return Step::Nothing(None);
    }
    addresses.truncate(MAX_ADDRESSES);
    let lifetime = Duration::from_secs(ttl.into());
    let lifetime = lifetime.clamp(*LIFETIMES.start(), *LIFETIMES.end());
    Step::Found((addresses, lifetime))
}
