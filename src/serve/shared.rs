//! What the workers of one program share: the configuration, the cache, and the limits that hold for all of them together.

use super::handover::LoopsInStep;
use crate::config::{Config, Limits, SplitKey, TtlBounds};
use crate::engine::{Cache, CaptiveMode, PerClient, Times};
use crate::locks::lock;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What all workers of one program use.
pub struct Shared {
    pub config: Config,
    pub cache: Arc<Cache>,
    random: ChaCha8Rng,
    /// TCP clients. Touched when one comes or goes, never for a query.
    connections: Mutex<PerClient>,
    /// Workers that have begun.
    workers: AtomicUsize,
    pub loops_in_step: LoopsInStep,
    /// What is asked in the clear is bounded for all of them together.
    pub captive: Arc<CaptiveMode>,
}

/// The limit at which a TCP connection is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLimit {
    /// The address prefix of its client has too many.
    Client,
    /// There are too many in all.
    All,
}

impl Shared {
    /// For workers that serve by this configuration. Every random choice follows from `seed`.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let random = ChaCha8Rng::from_seed(seed);
        let mut cache_seed = [0; 16];
        random.clone().fill_bytes(&mut cache_seed);
        let cache = Cache::new(config.cache_bytes(), cache_seed, times(&config.ttl()));
        Self {
            cache: Arc::new(cache.with_rotation(config.rotate())),
            // All workers split domains alike.
            config: config.or_split_key(SplitKey::of_seed(seed)),
            random,
            connections: Mutex::default(),
            workers: AtomicUsize::new(0),
            loops_in_step: LoopsInStep::default(),
            captive: Arc::default(),
        }
    }

    /// A worker begins: a number from 1 on, by which the log tells workers apart, and a generator of its own.
    pub fn begin(&self) -> (usize, ChaCha8Rng) {
        let number = self.workers.fetch_add(1, Ordering::Relaxed) + 1;
        let mut random = self.random.clone();
        random.set_stream(number as u64);
        (number, random)
    }

    /// Counts a new TCP connection, if the limits allow it. All clients of a host share its loopback address, so that only the limit
    /// on all of them holds there, as it does for queries.
    pub fn admit(&self, client: IpAddr, limits: &Limits) -> Result<(), AtLimit> {
        let mut connections = lock(&self.connections);
        let is_remote = !client.to_canonical().is_loopback();
        if is_remote && connections.held_by(client) >= limits.tcp_per_client {
            return Err(AtLimit::Client);
        }
        if connections.in_all() >= limits.tcp_connections {
            return Err(AtLimit::All);
        }
        connections.enter(client);
        Ok(())
    }

    /// A TCP connection that was counted is closed.
    pub fn dismiss(&self, client: IpAddr) {
        lock(&self.connections).leave(client);
    }
}

/// The cache by this configuration, where `before` was the one until now.
pub fn cache_for(config: &Config, before: &Cache) -> Arc<Cache> {
    let cache = before.changed(config.cache_bytes(), times(&config.ttl()));
    Arc::new(cache.with_rotation(config.rotate()))
}

/// The configured TTL bounds as the cache takes them.
fn times(ttl: &TtlBounds) -> Times {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    Times {
        min: seconds(ttl.min),
        max: seconds(ttl.max),
        stale_for: seconds(ttl.stale),
        ..Times::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn both_bounds_hold_and_are_given_back() {
        // req 67, fault 72, 73
        let limits = Limits {
            tcp_connections: 3,
            tcp_per_client: 2,
            ..Limits::default()
        };
        let shared = Shared::new(Config::default(), [0; 32]);
        let (one, two) = (ip("192.0.2.1"), ip("192.0.2.2"));
        assert_eq!(shared.admit(one, &limits), Ok(()));
        assert_eq!(shared.admit(one, &limits), Ok(()));
        assert_eq!(shared.admit(one, &limits), Err(AtLimit::Client));
        assert_eq!(shared.admit(two, &limits), Ok(()));
        assert_eq!(shared.admit(two, &limits), Err(AtLimit::All));
        shared.dismiss(one);
        assert_eq!(shared.admit(two, &limits), Ok(()));
        for client in [one, two, two] {
            shared.dismiss(client);
        }
        assert!(lock(&shared.connections).is_empty());
    }

    #[test]
    fn clients_on_loopback_share_only_the_bound_on_all() {
        // req 67, fault 73
        let limits = Limits {
            tcp_connections: 3,
            tcp_per_client: 1,
            ..Limits::default()
        };
        let shared = Shared::new(Config::default(), [0; 32]);
        for local in ["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1"] {
            assert_eq!(shared.admit(ip(local), &limits), Ok(()));
        }
        for client in ["::1", "192.0.2.1"] {
            assert_eq!(shared.admit(ip(client), &limits), Err(AtLimit::All));
        }
    }
}
