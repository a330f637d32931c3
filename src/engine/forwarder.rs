//! The heart: events in, actions out.
//!
//! The contract. The driver calls one method per event, with one reading of the clocks per batch of events, and afterwards
//! carries out every [`Action`](super::Action) of the [`Output`] in order. It calls [`Forwarder::time`] when
//! [`Forwarder::next_alarm`] has come; later is allowed, earlier does nothing. For each `Dial` it reports `link_up` or
//! `dial_failed`, for each `Resolve` `resolved`, for a link that was up and ended by itself `link_down`; of a link that
//! the core closed it reports nothing more. What it reports of an unknown link is ignored. While there are links, an alarm is never more
//! than a few seconds ahead: a driver that stays away for longer was stopped, and no link is trusted after that.
//!
//! In return every query for which [`Forwarder::query`] says true gets exactly one reply, within the configured timeout.

use super::cache::Cache;
use super::denials::Denials;
use super::ending::Ending;
use super::failure::Failure;
use super::flight::{Flight, FlightKey, Queue};
use super::hashing::RandomMap;
use super::hedging::Hedging;
use super::links::{Link, LinkKey};
use super::output::Output;
use super::quotas::{Quotas, UNIT};
use super::stats::{Stats, UpstreamStats};
use super::time::{Now, Time};
use super::timers::Timers;
use super::upstreams::Upstream;
use super::waking::BEAT;
use crate::config::{AccessList, Config, Limits, LocalNames, Policy};
use crate::transport::{ConnectError, ConnectionError};
use log::{Level, info, log};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use slotmap::SlotMap;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Emptied buffers that are kept for the next questions.
const MAX_SPARE: usize = 256;
/// Questions in flight that there is an address for from the start.
const MAX_RESERVED: usize = 4_096;

/// The core of a forwarder. One per event loop.
pub struct Forwarder {
    pub(super) timeout: Duration,
    pub(super) allow: AccessList,
    pub(super) limits: Limits,
    pub(super) random: ChaCha8Rng,
    pub(super) cache: Arc<Cache>,
    pub(super) flights: SlotMap<FlightKey, Flight>,
    /// Questions that are over, with clients who have not got their answers yet.
    pub(super) endings: VecDeque<Ending>,
    pub(super) joinable: RandomMap<u64, FlightKey>,
    /// Those without a link, in order of arrival: a queue for each set of upstreams that its questions shall not go to, and each lane.
    pub(super) waiting: BTreeMap<Queue, VecDeque<FlightKey>>,
    pub(super) timers: Timers,
    pub(super) links: SlotMap<LinkKey, Link>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) last_dial: Time,
    pub(super) policy: Policy,
    pub(super) local_names: LocalNames,
    /// Whose turn it is.
    pub(super) turn: usize,
    pub(super) hedging: Hedging,
    /// The clocks at the last event.
    pub(super) seen: Now,
    /// The most preferred upstream that was up when a link last came up.
    in_use: Option<usize>,
    /// Clients' queries that wait for an answer.
    pub(super) quotas: Quotas,
    pub(super) stats: Stats,
    pub(super) denials: Denials,
    pub(super) spare: Vec<Vec<u8>>,
    /// There were so many questions in flight that it mattered whose they are, and some of them still are.
    pub(super) crowded: bool,
}

impl Forwarder {
    /// A forwarder that has seen nothing yet. Every random choice it will make follows from `seed`.
    /// The cache may be shared with others.
    pub fn new(config: &Config, cache: Arc<Cache>, seed: [u8; 32]) -> Self {
        let random = ChaCha8Rng::from_seed(seed);
        Self {
            timeout: config.timeout(),
            allow: config.allow().clone(),
            limits: config.limits().clone(),
            cache,
            random,
            // All at once: memory that is not written to is only an address, and one that grows would move.
            flights: SlotMap::with_capacity_and_key(config.limits().in_flight.min(MAX_RESERVED)),
            endings: VecDeque::new(),
            joinable: RandomMap::default(),
            waiting: BTreeMap::new(),
            timers: Timers::default(),
            links: SlotMap::with_key(),
            upstreams: config.upstreams().iter().map(Upstream::new).collect(),
            last_dial: Time::ZERO,
            policy: config.policy(),
            local_names: config.local_names(),
            turn: 0,
            hedging: Hedging::new(config.hedge()),
            seen: Now::default(),
            in_use: None,
            quotas: Quotas::new(
                config
                    .limits()
                    .in_flight
                    .min(config.memory_for_questions() / UNIT),
                config.limits().in_flight_per_client,
            ),
            stats: Stats::default(),
            denials: Denials::default(),
            spare: Vec::new(),
            crowded: false,
        }
    }

    /// From now on these may ask.
    pub fn set_allow(&mut self, allow: AccessList) {
        self.allow = allow;
    }

    /// A link came up: whoever waits goes onto it. The description is for the log.
    pub fn link_up(&mut self, link: LinkKey, description: &str, now: Now, out: &mut Output) {
        let Some(up) = self.links.get_mut(link) else {
            return;
        };
        let took = now.mono.since(up.since);
        up.state = super::links::State::Up;
        up.since = now.mono;
        up.last_used = now.mono;
        up.heard_at = now.mono;
        let (upstream, addr) = (up.upstream, up.addr);
        let state = &mut self.upstreams[upstream];
        if state.is_known_to_reorder() {
            up.pipeline.expect_reordering();
        }
        up.failed_times = state.failed_times;
        state.reached(addr, took, now.mono);
        let is_first = state.connected_at.replace(now.mono).is_none();
        let level = if is_first { Level::Info } else { Level::Debug };
        let (label, took) = (&state.label, took.as_secs_f64() * 1000.0);
        log!(
            level,
            "{label} {addr}: connected, {description}, in {took:.1} ms"
        );
        self.note_in_use();
        self.relieve(link, now, out);
        self.place_waiting(now, out);
    }

    /// Says in the log when another upstream than before is the one that is asked first.
    fn note_in_use(&mut self) {
        if self.policy != Policy::Failover {
            return;
        }
        let up = self.links.values().filter(|link| link.is_up());
        let first = up.map(|link| link.upstream).min();
        if self.upstreams.len() > 1 && first.is_some() && first != self.in_use {
            if let Some(upstream) = first.and_then(|first| self.upstreams.get(first)) {
                info!("{}: questions go to it now", upstream.label);
            }
            self.in_use = first;
        }
    }

    /// A link could not be made.
    pub fn dial_failed(&mut self, link: LinkKey, why: &ConnectError, now: Now, out: &mut Output) {
        let Some(failed) = self.links.remove(link) else {
            return;
        };
        let upstream = failed.upstream;
        self.note_failure(upstream, Some(failed.addr), why, now);
        self.doubt(upstream, now, out);
        self.place_waiting(now, out);
    }

    /// A link ended by itself.
    pub fn link_down(&mut self, link: LinkKey, why: &ConnectionError, now: Now, out: &mut Output) {
        self.lose(link, why, now, out);
        self.place_waiting(now, out);
    }

    /// One question failed on a link that lives on.
    pub fn question_failed(&mut self, link: LinkKey, id: u16, now: Now, out: &mut Output) {
        let Some(on) = self.links.get_mut(link) else {
            return;
        };
        if let Some(key) = on.pipeline.find(id) {
            on.pipeline.leave(id);
            self.attempt_failed(key, link, now, out);
            self.place_waiting(now, out);
        }
    }

    /// An upstream said how many questions it takes at once on one link.
    pub fn link_limits(&mut self, link: LinkKey, in_flight: usize, now: Now) {
        if let Some(on) = self.links.get(link) {
            self.upstreams[on.upstream].said_at_once(in_flight, now.mono);
        }
    }

    /// The name of an upstream was looked up: its addresses, and for how long they hold.
    pub fn resolved(
        &mut self,
        upstream: usize,
        found: Result<(Vec<SocketAddr>, Duration), ConnectError>,
        now: Now,
        out: &mut Output,
    ) {
        let Some(state) = self.upstreams.get_mut(upstream) else {
            return;
        };
        match found {
            Ok((addresses, holds)) if !addresses.is_empty() => {
                state.resolved(&addresses, holds, now.mono);
            }
            other => {
                state.resolving = false;
                let nothing = ConnectError::Unresolved("no address".into());
                self.note_failure(upstream, None, &other.err().unwrap_or(nothing), now);
            }
        }
        self.place_waiting(now, out);
    }

    /// Time went on.
    pub fn time(&mut self, now: Now, out: &mut Output) {
        self.notice(now, out);
        self.go_on_ending(now, out);
        while !out.is_full()
            && let Some(key) = self.timers.pop_due(now.mono)
        {
            self.overdue(key, now, out);
        }
        self.hedge_late(now, out);
        self.check_links(now, out);
        self.place_waiting(now, out);
    }

    /// When [`Forwarder::time`] has something to do.
    pub fn next_alarm(&self) -> Option<Time> {
        // This is asked at each turn of the loop, so nothing is looked at twice.
        let seen = self.seen.mono;
        let mut first = self.timers.next();
        let mut sooner = |at: Option<Time>| {
            if let Some(at) = at {
                first = Some(first.map_or(at, |first| first.min(at)));
            }
        };
        for (key, link) in &self.links {
            sooner(link.alarm(&self.upstreams[link.upstream]));
            if link.suspect {
                sooner(self.replacement_alarm(key, seen));
            }
        }
        if !self.links.is_empty() {
            sooner(Some(seen + BEAT));
        }
        for upstream in &self.upstreams {
            sooner(upstream.late.front().map(|(at, _)| *at));
        }
        if !self.waiting.is_empty() {
            sooner(self.dial_alarm());
        }
        if !self.endings.is_empty() {
            sooner(Some(seen));
        }
        first
    }

    /// Closes all links, and answers whoever still waits; for the end.
    pub fn close(&mut self, now: Now, out: &mut Output) {
        let flights: Vec<FlightKey> = self.flights.keys().collect();
        for key in flights {
            self.fail(key, Failure::Ending, now, out);
        }
        debug_assert!(self.quotas.is_empty(), "each question is counted once");
        self.waiting.clear();
        for upstream in &mut self.upstreams {
            upstream.late.clear();
        }
        for (link, _) in self.links.drain() {
            out.push(super::Action::Close { link });
        }
    }

    /// Questions that wait for an answer on this link.
    pub fn in_flight_on(&self, link: LinkKey) -> usize {
        self.links.get(link).map_or(0, |link| link.pipeline.live())
    }

    /// Queries that wait for an answer.
    pub fn in_flight(&self) -> usize {
        self.quotas.waiting() + self.waiting_in_endings()
    }

    /// What happened with each upstream so far, in the order of the configuration: its label, and the counters.
    pub fn upstream_stats(&self) -> impl Iterator<Item = (&str, &UpstreamStats)> {
        let upstreams = self.upstreams.iter();
        upstreams.map(|upstream| (upstream.label.as_str(), &upstream.counts))
    }

    /// What happened so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Forgets a question that was answered: nothing of it may stay behind.
    pub(super) fn remove(&mut self, key: FlightKey) -> Option<Flight> {
        let mut flight = self.flights.remove(key)?;
        self.timers.cancel(key);
        if let Some(hash) = flight.hash
            && let Entry::Occupied(entry) = self.joinable.entry(hash)
            && *entry.get() == key
        {
            entry.remove();
        }
        for place in flight.places.iter_mut().filter_map(Option::take) {
            if let Some(link) = self.links.get_mut(place.link) {
                link.pipeline.abandon(place.id);
                let upstream = &mut self.upstreams[link.upstream];
                if place.keepalive {
                    let (srtt, now) = (upstream.srtt, self.seen.mono);
                    let after = now.since(place.sent_at);
                    upstream.keepalive.given_up(after, srtt, now);
                }
                if place.probes {
                    self.upstreams[link.upstream].probed();
                }
            }
        }
        for waiter in flight.waiters() {
            self.quotas
                .leave(&waiter.client, waiter.number, waiter.units);
        }
        if let Some(number) = flight.idle {
            self.quotas.wake(number);
        }
        for upstream in &mut self.upstreams {
            upstream.forget_late(&self.flights);
        }
        Some(flight)
    }

    /// Keeps a flight's buffer for the next one.
    pub(super) fn recycle(&mut self, mut message: Vec<u8>) {
        if self.crowded {
            // What was made in a crowd lies anywhere, and would be in the way of giving memory back.
            self.spare = Vec::new();
            self.crowded = !self.flights.is_empty();
        } else if self.spare.len() < MAX_SPARE && message.capacity() <= 1024 {
            message.clear();
            self.spare.push(message);
        }
    }
}
