//! The coordinator: events in, actions out.
//!
//! The contract. The driver calls one method per event, with one reading of the clocks per batch of events, and afterwards
//! carries out every [`Action`](super::Action) of the [`Output`] in order. It calls [`Forwarder::time`] when
//! [`Forwarder::next_alarm`] has come; later is allowed, earlier does nothing. For each `Connect` it reports `connected` or
//! `connect_failed`, and before that `early` where queries may leave before the handshake is over; for each `Resolve` `resolved`; for a
//! connection that was up and ended by itself `connection_lost`; of a connection that the core closed it reports nothing more. What it reports
//! of an unknown connection is ignored. While there are connections, an alarm is never more than a few seconds ahead: a driver that stays away
//! for longer was stopped, and no connection is trusted after that.
//!
//! In return every query for which [`Forwarder::query`] says true gets exactly one reply, within the configured timeout.

mod captive;
mod confinement;
mod explaining;
mod network;
mod queries;
mod reconfiguration;
mod recording;
mod responses;
mod tracing;
mod work;

pub use tracing::{Source, Trace};

use crate::config::{AccessList, Config};
use crate::engine::admission::Gate;
use crate::engine::answer_times::AnswerTimes;
use crate::engine::cache::Cache;
use crate::engine::effects::Ledger;
use crate::engine::failure::Failure;
use crate::engine::gauges::{Gauges, UpstreamGauges, UpstreamWords};
use crate::engine::keys::ConnectionKey;
use crate::engine::output::Output;
use crate::engine::recent_failures::RecentFailure;
use crate::engine::recorder::{Came, Line, What};
use crate::engine::replies::Replies;
use crate::engine::routes::Routes;
use crate::engine::stats::{Stats, UpstreamStats};
use crate::engine::time::{Now, Time};
use crate::engine::transactions::Transactions;
use crate::engine::upstreams::UpstreamPool;
use crate::transport::{Authentication, ConnectError, ConnectionError, Limits};
use crate::wire::{self, ClientSubnet, Header};
use captive::Captive;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tracing::Traced;

/// The core of a forwarder. One per event loop.
pub struct Forwarder {
    gate: Gate,
    routes: Routes,
    cache: Arc<Cache>,
    transactions: Transactions,
    pool: UpstreamPool,
    ledger: Ledger,
    udp_payload: u16,
    subnet: ClientSubnet,
    /// Queries of the driver itself that are not answered yet. Usually there is none.
    traces: Vec<Traced>,
    captive: Captive,
}

impl Forwarder {
    /// A forwarder that has seen nothing yet. Every random choice it will make follows from `seed`.
    /// The cache may be shared with others.
    pub fn new(config: &Config, cache: Arc<Cache>, seed: [u8; 32]) -> Self {
        let pool = UpstreamPool::new(config, ChaCha8Rng::from_seed(seed));
        Self {
            gate: Gate::new(config),
            routes: Routes::new(config, pool.numbers()),
            transactions: Transactions::new(config, cache.clone()),
            cache,
            pool,
            ledger: Ledger::default(),
            udp_payload: config.limits().udp_payload,
            subnet: config.client_subnet(),
            traces: Vec::new(),
            captive: Captive::new(config),
        }
    }

    /// From now on these may ask.
    pub fn set_allow(&mut self, allow: AccessList) {
        self.gate.set_allow(allow);
    }

    /// Looks whether the machine was suspended since the last event. Once for a batch of events is enough.
    #[inline]
    fn notice_resume(&mut self, now: Now, out: &mut Output) {
        self.pool.notice_resume(&mut self.ledger.at(now, out));
        if !self.ledger.tasks.is_empty() {
            self.settle(now, out);
        }
    }

    /// A connection takes queries, although its handshake is not over: those that wait go onto it. `connected` or `connect_failed` follows.
    pub fn early(&mut self, connection: ConnectionKey, now: Now, out: &mut Output) {
        self.pool.early(connection, &mut self.ledger.at(now, out));
        self.settle(now, out);
    }

    /// A connection came up: those that wait go onto it. The description is for the log.
    pub fn connected(
        &mut self,
        connection: ConnectionKey,
        description: &str,
        now: Now,
        out: &mut Output,
    ) {
        self.captive_reached(connection, now);
        let upstream = self.pool.upstream_of(connection);
        let waiting = upstream.map_or(0, |it| self.transactions.places_for(it));
        let fx = &mut self.ledger.at(now, out);
        self.pool.connected(connection, description, waiting, fx);
        self.settle(now, out);
    }

    /// Connects to the upstream that comes first, if none was connected to yet and that may be tried now: it can then be seen whether queries
    /// would be answered, although there are none.
    pub fn prepare(&mut self, now: Now, out: &mut Output) {
        // The clocks of this event are what the next one is compared with.
        self.notice_resume(now, out);
        self.pool.prepare(&mut self.ledger.at(now, out));
        self.settle(now, out);
    }

    /// How the other end of a connection that came up was authenticated, for the counters; nothing where that is not encrypted.
    pub fn authenticated(&mut self, connection: ConnectionKey, how: Authentication) {
        self.pool.authenticated(connection, how);
    }

    /// Each query of a connection has a stream of its own, which is to be said before it takes any: responses come in any order, and no option of EDNS tells how long it
    /// may be idle.
    pub fn has_streams(&mut self, connection: ConnectionKey) {
        self.pool.has_streams(connection);
    }

    /// A connection goes to another address than the one that was to be connected to, which the log tells.
    pub fn goes_to(&mut self, connection: ConnectionKey, addr: SocketAddr) {
        self.pool.goes_to(connection, addr);
    }

    /// The other end of a connection showed a certificate that is valid for so long from now on.
    pub fn certificate_left(&mut self, connection: ConnectionKey, left: Duration, now: Now) {
        self.pool.certificate_left(connection, left, now);
    }

    /// A connection could not be made.
    pub fn connect_failed(
        &mut self,
        connection: ConnectionKey,
        why: &ConnectError,
        now: Now,
        out: &mut Output,
    ) {
        self.pool
            .connect_failed(connection, why, &mut self.ledger.at(now, out));
        self.settle(now, out);
    }

    /// A connection ended by itself.
    pub fn connection_lost(
        &mut self,
        connection: ConnectionKey,
        why: &ConnectionError,
        now: Now,
        out: &mut Output,
    ) {
        self.pool
            .lost(connection, why, &mut self.ledger.at(now, out));
        self.settle(now, out);
    }

    /// One query failed on a connection that goes on.
    pub fn query_failed(&mut self, connection: ConnectionKey, id: u16, now: Now, out: &mut Output) {
        self.note_attempt(connection, id, || Came::Failed, now);
        self.pool
            .query_failed(connection, id, &mut self.ledger.at(now, out));
        self.settle(now, out);
    }

    /// One query was lost on a connection that goes on, with what carried it.
    pub fn query_lost(
        &mut self,
        connection: ConnectionKey,
        id: u16,
        why: &ConnectionError,
        now: Now,
        out: &mut Output,
    ) {
        self.note_attempt(connection, id, || Came::Lost(why.clone()), now);
        self.pool
            .query_lost(connection, id, why, &mut self.ledger.at(now, out));
        self.settle(now, out);
    }

    /// What a connection takes, from now on: see [`Limits`].
    pub fn limited(
        &mut self,
        connection: ConnectionKey,
        limits: Limits,
        now: Now,
        out: &mut Output,
    ) {
        if let Some(upstream) = self.pool.upstream_of(connection)
            && limits != Limits::default()
        {
            let line = Line {
                upstream,
                connection,
            };
            let most = limits.in_flight;
            self.ledger
                .failures
                .event(now.mono, || What::Limited(line, most));
        }
        self.pool.limited(connection, limits, now.mono);
        self.settle(now, out);
    }

    /// An upstream was looked up: its addresses, and for how long they hold.
    pub fn resolved(
        &mut self,
        upstream: usize,
        found: Result<(Vec<SocketAddr>, Duration), ConnectError>,
        now: Now,
        out: &mut Output,
    ) {
        self.pool
            .resolved(upstream, found, &mut self.ledger.at(now, out));
        self.settle(now, out);
    }

    /// A whole message from an upstream.
    pub fn answer(
        &mut self,
        connection: ConnectionKey,
        message: &[u8],
        now: Now,
        out: &mut Output,
    ) {
        let is_response = Header::parse(message).is_none_or(|header| header.flags.is_response());
        match wire::parse_response(message) {
            _ if !is_response => self
                .pool
                .unmatched(connection, &mut self.ledger.at(now, out)),
            Ok(answer) if answer.end == message.len() => {
                self.read_response(connection, message, &answer, now, out);
            }
            unreadable => {
                let why = unreadable
                    .err()
                    .map_or("octets behind the last record", |why| why.0);
                self.note_unreadable(connection, message, now);
                let fx = &mut self.ledger.at(now, out);
                self.pool.malformed(connection, message, why, fx);
            }
        }
        self.settle(now, out);
    }

    /// Time went on.
    pub fn time(&mut self, now: Now, out: &mut Output) {
        self.notice_resume(now, out);
        self.captive_time(now);
        self.transactions.go_on(&mut self.ledger.at(now, out));
        self.carry_out(now, out);
        while !out.is_full()
            && let Some(key) = self.transactions.pop_due(now)
        {
            self.due(key, now, out);
            self.carry_out(now, out);
        }
        while let Some(key) = self.transactions.pop_late(now) {
            self.hedge(key, now, out);
        }
        let fx = &mut self.ledger.at(now, out);
        self.pool.close_idle(fx);
        self.pool.check_silence(fx);
        self.settle(now, out);
    }

    /// When [`Forwarder::time`] has something to do.
    pub fn next_alarm(&self) -> Option<Time> {
        // This is asked at each turn of the loop, so nothing is looked at twice.
        let seen = self.pool.seen();
        let now = seen.mono;
        let (connections, any_suspect) = self.pool.next_alarm();
        let mut first = connections.min(self.transactions.next_alarm(now));
        if self.captive.is_allowed() {
            first = first.min(self.captive_alarm(seen));
        }
        if any_suspect {
            for suspect in self.pool.suspects() {
                if let Some((at, ..)) = self.replacement(suspect, now) {
                    first = first.min(at.max(now));
                }
            }
        }
        if self.transactions.any_waiting()
            && let Some(at) = self.connect_alarm()
        {
            first = first.min(at);
        }
        (first < Time::NEVER).then_some(first)
    }

    /// Closes all connections, and answers those that still wait; for the end.
    pub fn close(&mut self, now: Now, out: &mut Output) {
        for key in self.transactions.keys() {
            self.fail(key, Failure::Ending, now, out);
        }
        self.transactions.close();
        self.ledger.tasks.clear();
        self.pool.close(&mut self.ledger.at(now, out));
    }

    /// Did clients have to wait until there was room, although their answers are there? Then [`Forwarder::time`] goes on with them, and
    /// nothing more should be read before.
    pub fn has_more(&self) -> bool {
        self.transactions.has_unfinished()
    }

    /// Queries that wait for a response on this connection.
    pub fn in_flight_on(&self, connection: ConnectionKey) -> usize {
        self.pool.in_flight_on(connection)
    }

    /// Whether a client waits for a response from the UDP socket of this number. It takes a look at each.
    pub fn is_awaited_at(&self, socket: u16) -> bool {
        self.transactions.is_awaited_at(socket)
    }

    /// Queries that wait for an answer.
    pub fn in_flight(&self) -> usize {
        self.transactions.in_flight()
    }

    /// What happened with each upstream so far, in the order of the configuration: its label, and the counters.
    pub fn upstream_stats(&self) -> impl Iterator<Item = (&str, &UpstreamStats)> {
        self.pool.stats()
    }

    /// What is known of each upstream now, in the order of the configuration: its label, and the gauges.
    pub fn upstream_gauges(&self, now: Now) -> impl Iterator<Item = (&str, UpstreamGauges)> {
        self.pool.gauges(now)
    }

    /// What is known of each upstream in words, in the order of the configuration.
    pub fn upstream_words(&self) -> impl Iterator<Item = UpstreamWords> {
        self.pool.words()
    }

    /// The latest failures that clients were told of, the newest first. Names that were asked for are not in them.
    pub fn recent_failures(&self, now: Now) -> impl Iterator<Item = RecentFailure> {
        self.ledger.failures.recent.list(now.mono)
    }

    /// What happened so far.
    pub fn stats(&self) -> &Stats {
        &self.ledger.stats
    }

    /// The replies so far, by protocol and response code.
    pub fn replies(&self) -> &Replies {
        &self.ledger.replies
    }

    /// How long queries have taken so far that were forwarded.
    pub fn answer_times(&self) -> &AnswerTimes {
        self.transactions.times()
    }

    /// What it holds. This counts everything anew, so it is nothing to ask for with each query.
    pub fn gauges(&self) -> Gauges {
        let mut gauges = Gauges {
            cached: self.cache.bytes(),
            ..Gauges::default()
        };
        self.transactions.measure(&mut gauges);
        self.pool.measure(&mut gauges);
        gauges
    }
}
