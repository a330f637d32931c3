//! What can be seen of a loop between two polls.

use super::event_loop::EventLoop;
use crate::engine::{Forwarder, Stats};
use crate::runtime::Runtime;
use crate::transport::Transport;
use log::info;

impl<R: Runtime, T: Transport> EventLoop<R, T> {
    /// The forwarder that it drives.
    pub fn core(&self) -> &Forwarder {
        &self.core.forwarder
    }

    /// What was counted so far, in the core and around it.
    pub fn stats(&self) -> Stats {
        Stats {
            unsent: self.udp.lost,
            rejected_clients: self.tcp.refused,
            unread: self.tcp.closed_unread,
            ..*self.core.forwarder.stats()
        }
    }

    /// Logs the counters. Those of the cache are of all workers together.
    pub(super) fn report(&self) {
        let (gauges, cache) = (self.core.forwarder.gauges(), &self.cache);
        info!(
            "worker {}: {}; in_flight {}, connections_up {}, cache_entries {}, cache_octets {}",
            self.number,
            self.stats(),
            gauges.queries,
            gauges.connected,
            cache.len(),
            cache.bytes(),
        );
        let upstreams = self.core.forwarder.upstream_stats();
        let upstreams = upstreams.zip(self.core.forwarder.upstream_gauges(self.core.now));
        for ((label, stats), (_, gauges)) in upstreams {
            info!("worker {}: upstream {label}: {stats}{gauges}", self.number);
        }
    }

    /// TCP clients, and the queries of the one that waits for most responses.
    pub fn clients(&self) -> (usize, usize) {
        self.tcp.counts()
    }

    /// Nothing under way around the core: no connection, no look-up, no client, no response that the system had no room for.
    pub fn is_idle(&self) -> bool {
        self.upstreams.is_empty()
            && self.lookups.is_empty()
            && self.tcp.is_empty()
            && self.udp.are_flushed()
            && self.core.out.is_empty()
    }
}
