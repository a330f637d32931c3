//! How many TCP connections there are, in all and for each client.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

/// Counts all, and tells apart whose they are. A client that has none costs nothing.
#[derive(Debug, Default)]
pub struct PerClient {
    in_all: usize,
    /// A tree: addresses cannot be chosen so that they collide, and among a few clients it finds one sooner than a hash does.
    per_client: BTreeMap<u128, usize>,
}

impl PerClient {
    /// How many there are.
    pub fn in_all(&self) -> usize {
        self.in_all
    }

    /// How many are this client's.
    pub fn held_by(&self, client: IpAddr) -> usize {
        let held = self.per_client.get(&prefix(client));
        held.copied().unwrap_or_default()
    }

    /// One more.
    pub fn enter(&mut self, client: IpAddr) {
        self.in_all += 1;
        *self.per_client.entry(prefix(client)).or_default() += 1;
    }

    /// One that has entered, and has not left yet, leaves.
    pub fn leave(&mut self, client: IpAddr) {
        debug_assert!(self.in_all > 0, "nobody is there to leave");
        self.in_all = self.in_all.saturating_sub(1);
        match self.per_client.entry(prefix(client)) {
            Entry::Occupied(held) if *held.get() <= 1 => drop(held.remove()),
            Entry::Occupied(mut held) => *held.get_mut() -= 1,
            Entry::Vacant(_) => debug_assert!(false, "{client} has nothing to give back"),
        }
    }

    /// Is nobody there?
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.in_all == 0 && self.per_client.is_empty()
    }
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 host chooses its addresses from; as one number, which is
/// compared in one step.
pub fn prefix(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits() & (u128::MAX << 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_ipv6_host_is_one_client_with_all_its_addresses() {
        // fault 64, 73
        assert_eq!(prefix(ip("2001:db8::1")), prefix(ip("2001:db8::ffff:1")));
        assert_ne!(prefix(ip("2001:db8::1")), prefix(ip("2001:db8:0:1::1")));
        assert_ne!(prefix(ip("192.0.2.1")), prefix(ip("192.0.2.2")));
        assert_eq!(prefix(ip("::ffff:192.0.2.1")), prefix(ip("192.0.2.1")));
    }

    #[test]
    fn what_enters_leaves_and_nothing_stays_behind() {
        // fault 64, 73
        let mut connections = PerClient::default();
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for client in [one, one, other] {
            connections.enter(client);
        }
        assert_eq!(
            (
                connections.in_all(),
                connections.held_by(one),
                connections.held_by(other)
            ),
            (3, 2, 1)
        );
        connections.leave(one);
        assert_eq!((connections.in_all(), connections.held_by(one)), (2, 1));
        assert!(!connections.is_empty());
        connections.leave(other);
        connections.leave(one);
        assert!(connections.is_empty());
    }
}
