//! Changes of the network: which connections and upstreams they concern, by what the system says of the paths.

use super::event_loop::EventLoop;
use super::upstream_connections::UpstreamConnections;
use crate::config::{Config, Upstream};
use crate::engine::{Forwarder, Moved, Network, NetworkChange};
use crate::runtime::{NetworkPath, Runtime};
use crate::transport::Transport;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The most addresses of which a path is known: several times those of the upstreams of a configuration. Where names give ever new addresses, it
/// begins anew.
const MAX_KNOWN: usize = 512;

/// The paths to all upstreams, as the system told them last. Nothing is asked while nobody tells of changes.
pub struct Paths {
    watched: Arc<AtomicBool>,
    /// By where upstreams are connected to, or looked up.
    known: HashMap<SocketAddr, NetworkPath>,
}

impl Paths {
    /// Nothing is known yet. `watched`: whether somebody tells of changes.
    pub fn new(watched: Arc<AtomicBool>) -> Self {
        Self {
            watched,
            known: HashMap::new(),
        }
    }

    /// The path of a connection that is made to this address of an upstream now.
    pub fn of_connection<R: Runtime>(
        &mut self,
        runtime: &R,
        to: &Upstream,
        addr: SocketAddr,
    ) -> (SocketAddr, NetworkPath) {
        let at = to.socks5().map_or(addr, |socks5| socks5.proxy);
        (at, self.note(runtime, at))
    }

    /// Addresses are looked up now.
    pub fn looking_up<R: Runtime>(&mut self, runtime: &R, resolvers: &[SocketAddr]) {
        for at in resolvers {
            self.note(runtime, *at);
        }
    }

    /// The path to this address now. What was known of it stays until it is compared, so that a change is seen.
    fn note<R: Runtime>(&mut self, runtime: &R, at: SocketAddr) -> NetworkPath {
        if !self.watched.load(Ordering::Relaxed) {
            return NetworkPath::Unknown;
        }
        let path = runtime.path(at, None);
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&at) {
            self.known.clear();
        }
        self.known.entry(at).or_insert(path);
        path
    }

    /// The paths as they are now, in place of those that were known, and which upstreams are reached in another way.
    fn update<R: Runtime>(
        &mut self,
        runtime: &R,
        config: &Config,
        forwarder: &Forwarder,
    ) -> Vec<Moved> {
        let before = std::mem::take(&mut self.known);
        let mut moved = Vec::new();
        for (upstream, mut destinations) in forwarder.destinations() {
            if destinations.is_empty() {
                // Whoever finds its addresses is reached in another way.
                destinations = config.bootstrap().to_vec();
            }
            let mut has_changed = false;
            for at in &destinations {
                let now = self.known.entry(*at);
                let now = now.or_insert_with(|| runtime.path(*at, None));
                has_changed |= before
                    .get(at)
                    .is_some_and(|before| !before.continues_over(now));
            }
            if has_changed {
                moved.push(Moved {
                    upstream,
                    from: network_of(&destinations, &before),
                    to: network_of(&destinations, &self.known),
                });
            }
        }
        moved
    }

    /// Sorts the connections by what became of their paths.
    fn sort<R: Runtime, T: Transport>(
        &self,
        runtime: &R,
        connections: &mut UpstreamConnections<T>,
        change: &mut NetworkChange,
    ) {
        let open: Vec<_> = connections.paths().collect();
        for (key, at, made_over) in open {
            let asked = || runtime.path(at, None);
            let now = self.known.get(&at).copied().unwrap_or_else(asked);
            if made_over.continues_over(&now) {
                continue;
            }
            if now != NetworkPath::Unreachable && connections.change_path(key, now) {
                change.following.push(key);
                continue;
            }
            let own = made_over.source();
            let own = own.map_or(NetworkPath::Unreachable, |from| {
                runtime.path(at, Some(from))
            });
            if own != NetworkPath::Unreachable && made_over.continues_over(&own) {
                change.outdated.push(key);
            } else {
                change.gone.push(key);
            }
        }
    }
}

/// Over which network an upstream is reached: that of its first address to which a way leads.
fn network_of(
    destinations: &[SocketAddr],
    paths: &HashMap<SocketAddr, NetworkPath>,
) -> Option<Network> {
    let mut paths = destinations.iter().filter_map(|at| paths.get(at));
    paths.find_map(NetworkPath::network)
}

impl<R: Runtime, T: Transport> EventLoop<R, T> {
    /// Links, addresses or routes have changed, perhaps none that matter here: compares the paths to upstreams with what they were.
    pub(super) fn network_changed(&mut self) {
        let (runtime, core) = (&self.runtime, &mut self.core);
        let mut change = NetworkChange {
            moved: self.paths.update(runtime, &self.config, &core.forwarder),
            ..NetworkChange::default()
        };
        self.paths.sort(runtime, &mut self.upstreams, &mut change);
        if !change.is_empty() {
            core.forwarder
                .network_changed(&change, core.now, &mut core.out);
        }
    }
}
