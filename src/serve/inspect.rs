//! What can be seen of a loop between two polls.

use super::event_loop::EventLoop;
use super::measured::{CacheMeasured, Measured};
use super::shutdown::Phase;
use crate::config::Config;
use crate::engine::{Explained, FailureId, Forwarder, Record, Stats};
use crate::runtime::Runtime;
use crate::transport::Transport;
use log::info;
use std::sync::mpsc;

/// Has the core of a loop record failures as this configuration wants it, with its part of the memory.
pub(super) fn record_failures(forwarder: &mut Forwarder, config: &Config, number: usize) {
    let loops = config.workers().get();
    forwarder.record_failures(config.record_bytes() / loops, (number, loops));
}

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
            unlogged: self.unlogged,
            ..*self.core.forwarder.stats()
        }
    }

    /// Sends what was counted so far, and what it holds now.
    pub(super) fn measure(&mut self, to: &mpsc::Sender<Measured>) {
        self.count_unwritten();
        let forwarder = &self.core.forwarder;
        let upstreams = forwarder.upstream_stats();
        let upstreams = upstreams.zip(forwarder.upstream_gauges(self.core.now));
        let measured = Measured {
            worker: self.number,
            is_serving: self.phase == Phase::Serving,
            stats: self.stats(),
            replies: forwarder.replies().clone(),
            times: forwarder.answer_times().clone(),
            gauges: forwarder.gauges(),
            tcp_clients: self.tcp.counts().0,
            upstreams: upstreams
                .map(|((label, stats), (_, gauges))| (label.to_owned(), *stats, gauges))
                .collect(),
            upstream_words: forwarder.upstream_words().collect(),
            failures: forwarder.recent_failures(self.core.now).collect(),
            cache: CacheMeasured {
                entries: self.cache.len(),
                octets: self.cache.bytes(),
                limit: self.config.cache_bytes(),
                counts: self.cache.counts(),
            },
            limits: self.config.limits().clone(),
            captive: forwarder.captive(self.core.now),
        };
        // Whoever asked may have given up by now.
        drop(to.send(measured));
    }

    /// Sends what it knows about the question of this query. Nothing, if that is none.
    pub(super) fn explain(&self, query: &[u8], to: &mpsc::Sender<(usize, Explained)>) {
        if let Some(explained) = self.core.forwarder.explain(query, self.core.now) {
            // Whoever asked may have given up by now.
            drop(to.send((self.number, explained)));
        }
    }

    /// Sends the record of a failure, if it has one.
    pub(super) fn why(&self, id: FailureId, to: &mpsc::Sender<Option<Record>>) {
        // Whoever asked may have given up by now.
        drop(to.send(self.core.forwarder.why(id, &self.config)));
    }

    /// Connects to an upstream, if there has never been a connection. One loop is enough to see whether that can be done.
    pub(super) fn prepare(&mut self) {
        if self.logs_for_all() && self.phase == Phase::Serving {
            self.core
                .forwarder
                .prepare(self.core.now, &mut self.core.out);
        }
    }

    /// Logs the counters. Those of the cache are of all workers together.
    pub(super) fn report(&mut self) {
        self.count_unwritten();
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
            && self.checks.is_empty()
            && self.tcp.is_empty()
            && self.udp.are_flushed()
            && self.core.out.is_empty()
    }
}
