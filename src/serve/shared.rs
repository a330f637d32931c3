//! What the workers of one program share: the configuration, the cache, and the limits that hold for all of them together.

use crate::config::{Config, ConfigError, Limits, TtlBounds};
use crate::engine::{Cache, Crowd, Times};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The common ground of all loops.
pub struct Shared {
    pub(super) config: Config,
    pub(super) cache: Arc<Cache>,
    /// TCP clients. Touched when one comes or goes, never for a question.
    connections: Mutex<Crowd>,
    /// Loops that have begun.
    loops: AtomicUsize,
}

/// Why a TCP client is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// Its own prefix has too many connections.
    Client,
    /// There are too many in all.
    All,
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "its address has as many as one may have",
            Self::All => "there are as many as may be in all",
        })
    }
}

impl Shared {
    /// For loops that serve by this configuration. Nobody who asks may know the `seed`.
    ///
    /// More than one worker is an error, because threads are started by [`run`](crate::transports::run) only.
    pub fn new(config: Config, seed: [u8; 16]) -> Result<Self, ConfigError> {
        if config.workers().get() > 1 {
            let reason = "each call of `serve` is one loop; the threads of several are started by `transports::run` only";
            return Err(ConfigError::new("workers", &config.workers(), reason));
        }
        Ok(Self::for_workers(config, seed))
    }

    /// As [`Shared::new`], for whoever starts the workers.
    pub(crate) fn for_workers(config: Config, seed: [u8; 16]) -> Self {
        let cache = Cache::new(config.cache_bytes(), seed, times(&config.ttl()))
            .with_rotation(config.rotate());
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

    fn connections(&self) -> MutexGuard<'_, Crowd> {
        // A panic elsewhere leaves at worst one client counted that has gone.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new TCP client in, if the bounds allow it. All clients of a machine share its loopback address, so that only the bound
    /// on all of them holds there, as it is with questions.
    pub(super) fn admit(&self, client: IpAddr, limits: &Limits) -> Result<(), Crowded> {
        let mut connections = self.connections();
        let alone = !client.to_canonical().is_loopback();
        if alone && connections.held_by(client) >= limits.tcp_per_client {
            return Err(Crowded::Client);
        }
        if connections.in_all() >= limits.tcp_connections {
            return Err(Crowded::All);
        }
        connections.enter(Some(client));
        Ok(())
    }

    /// Counts a TCP client out that was counted in.
    pub(super) fn dismiss(&self, client: IpAddr) {
        self.connections().leave(Some(client));
    }
}

/// What the cache makes of the bounds that the user gave.
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
    fn workers_that_nobody_would_start_are_refused() {
        let workers = std::num::NonZeroUsize::new(2).unwrap();
        let config = Config::builder().workers(workers).build().unwrap();
        let error = Shared::new(config, [0; 16]).err().unwrap();
        assert!(
            error
                .to_string()
                .starts_with("workers \"2\": each call of `serve`")
        );
    }

    #[test]
    fn both_bounds_hold_and_are_given_back() {
        // req 67, fault 72, 73
        let limits = Limits {
            tcp_connections: 3,
            tcp_per_client: 2,
            ..Limits::default()
        };
        let shared = Shared::new(Config::default(), [0; 16]).unwrap();
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
        assert!(shared.connections().is_empty());
    }

    #[test]
    fn clients_on_loopback_share_only_the_bound_on_all() {
        // req 67, fault 73
        let limits = Limits {
            tcp_connections: 3,
            tcp_per_client: 1,
            ..Limits::default()
        };
        let shared = Shared::new(Config::default(), [0; 16]).unwrap();
        for local in ["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1"] {
            assert_eq!(shared.admit(ip(local), &limits), Ok(()));
        }
        for client in ["::1", "192.0.2.1"] {
            assert_eq!(shared.admit(ip(client), &limits), Err(Crowded::All));
        }
    }
}
