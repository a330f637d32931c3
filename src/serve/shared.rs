//! What the loops of one program share: the configuration, the cache, and the bounds that hold for all of them together.

use crate::config::{Config, Limits};
use crate::engine::{Cache, Times};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The common ground of all loops.
pub struct Shared {
    pub(super) config: Config,
    pub(super) cache: Arc<Cache>,
    connections: Mutex<Connections>,
    /// Loops that have begun.
    loops: AtomicUsize,
}

/// TCP clients, in all and by prefix. Touched when one comes or goes, never for a question.
#[derive(Default)]
struct Connections {
    in_all: usize,
    per_client: HashMap<IpAddr, usize>,
}

/// Why a TCP client is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// Its own prefix has too many connections.
    Client,
    /// There are too many in all.
    All,
}

impl Shared {
    /// For loops that serve by this configuration. Nobody who asks may know the `seed`.
    pub fn new(config: Config, seed: [u8; 16]) -> Self {
        let cache = Cache::new(config.cache_bytes, seed, Times::default());
        Self {
            config,
            cache: Arc::new(cache),
            connections: Mutex::default(),
            loops: AtomicUsize::new(0),
        }
    }

    /// What they serve by.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A number for a loop that begins, from 1 on: by it the log tells them apart.
    pub(super) fn number(&self) -> usize {
        self.loops.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        // Each change is one step: a panic elsewhere leaves nothing half done.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new TCP client in, if the bounds allow it.
    pub(super) fn admit(&self, client: IpAddr, limits: &Limits) -> Result<(), Crowded> {
        let mut connections = self.connections();
        let held = connections.per_client.get(&prefix(client)).copied();
        if held.unwrap_or_default() >= limits.tcp_per_client {
            return Err(Crowded::Client);
        }
        if connections.in_all >= limits.tcp_connections {
            return Err(Crowded::All);
        }
        connections.in_all += 1;
        *connections.per_client.entry(prefix(client)).or_default() += 1;
        Ok(())
    }

    /// Counts a TCP client out that was counted in.
    pub(super) fn dismiss(&self, client: IpAddr) {
        let mut connections = self.connections();
        connections.in_all = connections.in_all.saturating_sub(1);
        if let Some(held) = connections.per_client.get_mut(&prefix(client)) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                connections.per_client.remove(&prefix(client));
            }
        }
    }
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 host chooses its addresses from.
fn prefix(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let bits = u128::from(ip) & (u128::MAX << 64);
            Ipv6Addr::from(bits).into()
        }
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Modes;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_ipv6_host_is_one_client_with_all_its_addresses() {
        assert_eq!(prefix(ip("2001:db8::1")), prefix(ip("2001:db8::ffff:1")));
        assert_ne!(prefix(ip("2001:db8::1")), prefix(ip("2001:db8:0:1::1")));
        assert_ne!(prefix(ip("192.0.2.1")), prefix(ip("192.0.2.2")));
        assert_eq!(prefix(ip("::ffff:192.0.2.1")), prefix(ip("192.0.2.1")));
    }

    #[test]
    fn both_bounds_hold_and_are_given_back() {
        // req 67, fault 72, 73
        let config = Config::defaults(Modes {
            udp: true,
            tcp: true,
        });
        let limits = Limits {
            tcp_connections: 3,
            tcp_per_client: 2,
            ..Limits::default()
        };
        let shared = Shared::new(config, [0; 16]);
        let (one, two) = (ip("192.0.2.1"), ip("192.0.2.2"));
        assert_eq!(shared.admit(one, &limits), Ok(()));
        assert_eq!(shared.admit(one, &limits), Ok(()));
        assert_eq!(shared.admit(one, &limits), Err(Crowded::Client));
        assert_eq!(shared.admit(two, &limits), Ok(()));
        assert_eq!(shared.admit(two, &limits), Err(Crowded::All));
        shared.dismiss(one);
        assert_eq!(shared.admit(two, &limits), Ok(()));
        for client in [one, two, two] {
            shared.dismiss(client);
        }
        assert_eq!(shared.connections().in_all, 0);
        assert!(shared.connections().per_client.is_empty());
    }
}
