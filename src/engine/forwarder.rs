//! The heart: events in, actions out.
//!
//! The contract. The driver calls one method per event, with one reading of the clocks per batch of events, and afterwards
//! carries out every [`Action`](super::Action) of the [`Output`] in order. It calls [`Forwarder::time`] when
//! [`Forwarder::next_alarm`] has come; later is allowed, earlier does nothing. For each `Dial` it reports `link_up` or
//! `dial_failed`, for each `Resolve` `resolved`, for a link that was up and ended by itself `link_down`; of a link that
//! the core closed it reports nothing more. What it reports of an unknown link is ignored.
//!
//! In return every query for which [`Forwarder::query`] says true gets exactly one reply, within the configured timeout.

use super::client::Client;
use super::flight::{Flight, FlightKey, Tries, Waiter, size_limit};
use super::links::{Link, LinkKey};
use super::output::Output;
use super::time::{Now, Time};
use super::timers::Timers;
use super::upstreams::Upstream;
use crate::config::{AccessList, Config, Limits};
use crate::transport::{DialError, LinkError};
use crate::wire::{self, ClientEdns, Ede, Query, Rcode, Refusal, Reply};
use log::{debug, info};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use slotmap::SlotMap;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

/// Emptied buffers that are kept for the next questions.
const MAX_SPARE: usize = 256;

/// What happened so far. Every bound has its counter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages from clients.
    pub queries: u64,
    /// Messages that got no answer: too short, or answers themselves.
    pub dropped: u64,
    /// Queries from addresses that may not ask.
    pub denied: u64,
    /// Queries answered with an error at once, because they are malformed or not supported.
    pub refused: u64,
    /// Queries over the bound on questions in flight.
    pub shed: u64,
    /// Queries that joined an identical question in flight.
    pub joined: u64,
    /// Questions that simple-dns does not know how to read; they are forwarded all the same.
    pub opaque: u64,
    /// Questions sent to upstreams, repetitions included.
    pub sent: u64,
    /// Questions sent again.
    pub resent: u64,
    /// Queries answered with an upstream's answer.
    pub answered: u64,
    /// Queries answered with SERVFAIL for want of one.
    pub failed: u64,
    /// Answers from upstreams that belong to no question.
    pub strays: u64,
    /// Connects begun.
    pub dials: u64,
    /// Connects that failed.
    pub dial_failures: u64,
    /// Links that ended with questions in flight.
    pub links_lost: u64,
}

/// The core of a forwarder. One per event loop.
pub struct Forwarder {
    pub(super) timeout: Duration,
    pub(super) allow: AccessList,
    pub(super) limits: Limits,
    pub(super) random: ChaCha8Rng,
    join_seed: u64,
    pub(super) flights: SlotMap<FlightKey, Flight>,
    pub(super) joinable: HashMap<u64, FlightKey>,
    /// Those without a link, in order of arrival.
    pub(super) waiting: VecDeque<FlightKey>,
    pub(super) timers: Timers,
    pub(super) links: SlotMap<LinkKey, Link>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) last_dial: Time,
    /// The most preferred upstream that was up when a link last came up.
    in_use: Option<usize>,
    /// Clients' queries that wait for an answer.
    pub(super) in_flight: usize,
    pub(super) stats: Stats,
    spare: Vec<Vec<u8>>,
    scratch: Vec<u8>,
}

impl Forwarder {
    /// A forwarder that has seen nothing yet. Every random choice it will make follows from `seed`.
    pub fn new(config: &Config, seed: [u8; 32]) -> Self {
        let mut random = ChaCha8Rng::from_seed(seed);
        Self {
            timeout: config.timeout,
            allow: config.allow.clone(),
            limits: config.limits.clone(),
            join_seed: random.next_u64(),
            random,
            flights: SlotMap::with_key(),
            joinable: HashMap::new(),
            waiting: VecDeque::new(),
            timers: Timers::default(),
            links: SlotMap::with_key(),
            upstreams: config.upstreams.iter().map(Upstream::new).collect(),
            last_dial: Time::ZERO,
            in_use: None,
            in_flight: 0,
            stats: Stats::default(),
            spare: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// A message from a client. Says whether a reply will come (or is there already).
    pub fn query(&mut self, message: &[u8], client: Client, now: Now, out: &mut Output) -> bool {
        self.stats.queries += 1;
        let scanned = wire::query(message);
        // Nothing can be sent to port 0, and it is nobody's source port.
        if matches!(scanned, Err(Refusal::Drop)) || client.addr.port() == 0 {
            self.stats.dropped += 1;
            return false;
        }
        if !self.allow.allows(client.addr.ip()) {
            self.stats.denied += 1;
            self.turn_away(message, client, Rcode::REFUSED, Some(Ede::PROHIBITED), out);
            return true;
        }
        let query = match scanned {
            Ok(query) => query,
            Err(refusal) => {
                self.stats.refused += 1;
                if let Refusal::Answer { rcode, .. } = refusal {
                    self.turn_away(message, client, rcode, None, out);
                }
                return true;
            }
        };
        if self.in_flight >= self.limits.in_flight {
            self.stats.shed += 1;
            self.turn_away(message, client, Rcode::SERVFAIL, Some(TOO_BUSY), out);
            return true;
        }
        let waiter = Waiter::new(message, &query, client, self.limits.udp_payload);
        let join = self.join_key(message, &query);
        if let Some(key) = join.and_then(|join| self.joinable.get(&join).copied()) {
            match self.join(key, message, &query, waiter) {
                Joined::Yes => return true,
                Joined::Repeated => return false,
                Joined::Differs(waiter) => self.start(message, query, waiter, None, now, out),
            }
        } else {
            self.start(message, query, waiter, join, now, out);
        }
        true
    }

    /// A new question: remembered until it is answered, and sent as soon as can be.
    fn start(
        &mut self,
        message: &[u8],
        query: Query,
        first: Waiter,
        join: Option<u64>,
        now: Now,
        out: &mut Output,
    ) {
        if wire::typed(message, &query.question).is_none() {
            self.stats.opaque += 1;
        }
        debug!(
            "{} asks {}",
            first.client.addr,
            wire::describe(message, &query.question)
        );
        let mut kept = self.spare.pop().unwrap_or_default();
        kept.extend_from_slice(message);
        let key = self.flights.insert(Flight {
            message: kept,
            query,
            join,
            first,
            more: Vec::new(),
            arrived: now.mono,
            deadline: now.mono + self.timeout,
            places: [None; 3],
            sent_at: now.mono,
            sends: 0,
            tried: 0,
            exclude: 0,
            waiting: false,
            tries: Tries::default(),
            fallback: None,
        });
        if let Some(join) = join {
            self.joinable.insert(join, key);
        }
        self.in_flight += 1;
        self.timers.set(key, now.mono + self.timeout);
        self.place(key, now.mono, out);
    }

    /// Identical questions in flight are one question upstream (RFC 5452 section 5).
    fn join(
        &mut self,
        key: FlightKey,
        message: &[u8],
        query: &Query,
        mut waiter: Waiter,
    ) -> Joined {
        let Some(flight) = self.flights.get_mut(key) else {
            return Joined::Differs(waiter);
        };
        let (ours, theirs) = (&flight.query.question, &query.question);
        if !wire::same_question(&flight.message, ours, message, theirs) {
            return Joined::Differs(waiter);
        }
        // A client that is impatient repeats its datagram; one answer is enough for it.
        let is_repeated = |other: &Waiter| {
            other.client == waiter.client && other.id == waiter.id && waiter.client.is_datagram()
        };
        if flight.waiters().any(is_repeated) {
            self.stats.dropped += 1;
            return Joined::Repeated;
        }
        let question = message.get(wire::HEADER_LEN..theirs.end());
        waiter.own_question = question
            .filter(|question| *question != flight.question())
            .map(Box::from);
        flight.more.push(waiter);
        self.in_flight += 1;
        self.stats.joined += 1;
        Joined::Yes
    }

    /// What has to be the same for two questions to be one: everything that reaches the upstream, but for the id and
    /// the letter case. A signed query is never shared.
    fn join_key(&mut self, message: &[u8], query: &Query) -> Option<u64> {
        if query.signed {
            return None;
        }
        self.scratch.clear();
        wire::lowercase_into(message, &query.question, &mut self.scratch);
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.join_seed);
        hasher.write(&self.scratch);
        hasher.write_u16(query.header.flags.0);
        if let Some(opt) = &query.opt {
            hasher.write_u8(1 + u8::from(opt.dnssec_ok));
            for (code, data) in wire::options(message, opt) {
                if !wire::is_hop_by_hop(code) {
                    hasher.write_u16(code);
                    hasher.write_usize(data.len());
                    hasher.write(data);
                }
            }
        }
        Some(hasher.finish())
    }

    /// Answers at once with an error.
    fn turn_away(
        &mut self,
        message: &[u8],
        client: Client,
        rcode: Rcode,
        ede: Option<Ede>,
        out: &mut Output,
    ) {
        let Some(header) = wire::Header::parse(message) else {
            return;
        };
        let (question, opt) = match wire::query(message) {
            Ok(query) => (Some(query.question), query.opt),
            Err(Refusal::Answer { question, opt, .. }) => (question, opt),
            Err(Refusal::Drop) => return,
        };
        let edns = opt.map(|opt| ClientEdns::of(message, &opt));
        let question = question.and_then(|at| message.get(wire::HEADER_LEN..at.end()));
        let reply = Reply {
            id: header.id,
            question: question.unwrap_or_default(),
            rd: header.flags.rd(),
            edns,
            limit: size_limit(client, edns.as_ref(), self.limits.udp_payload),
        };
        let payload = self.limits.udp_payload;
        out.reply(client, |out| {
            let flags = header.flags;
            wire::own_answer(&reply, flags.opcode(), flags.cd(), rcode, ede, payload, out);
        });
    }

    /// A link came up: whoever waits goes onto it. The description is for the log.
    pub fn link_up(&mut self, link: LinkKey, description: &str, now: Now, out: &mut Output) {
        let Some(up) = self.links.get_mut(link) else {
            return;
        };
        let took = now.mono.since(up.since).as_secs_f64() * 1000.0;
        up.state = super::links::State::Up;
        up.since = now.mono;
        up.last_used = now.mono;
        let (upstream, addr) = (up.upstream, up.addr);
        let label = &self.upstreams[upstream].label;
        if self.upstreams[upstream].is_failing() {
            info!("{label} {addr}: reached again, {description}, in {took:.1} ms");
        } else {
            debug!("{label} {addr}: connected, {description}, in {took:.1} ms");
        }
        self.upstreams[upstream].reached(addr);
        self.note_in_use();
        self.relieve(link, now.mono, out);
        self.place_waiting(now.mono, out);
    }

    /// Says in the log when another upstream than before is the one that is asked first.
    fn note_in_use(&mut self) {
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
    pub fn dial_failed(&mut self, link: LinkKey, why: &DialError, now: Now, out: &mut Output) {
        let Some(failed) = self.links.remove(link) else {
            return;
        };
        let upstream = failed.upstream;
        self.note_failure(upstream, Some(failed.addr), why, now.mono);
        self.doubt(upstream, now.mono, out);
        self.place_waiting(now.mono, out);
        self.give_up_hopeless(now.mono, out);
    }

    /// A link ended by itself.
    pub fn link_down(&mut self, link: LinkKey, why: &LinkError, now: Now, out: &mut Output) {
        self.lose(link, why, now.mono, out);
        self.place_waiting(now.mono, out);
    }

    /// One question failed on a link that lives on.
    pub fn question_failed(&mut self, link: LinkKey, id: u16, now: Now, out: &mut Output) {
        let Some(on) = self.links.get_mut(link) else {
            return;
        };
        if let Some(key) = on.pipeline.find(id) {
            on.pipeline.leave(id);
            self.lost(key, link, now.mono, out);
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
        found: Result<(Vec<SocketAddr>, Duration), DialError>,
        now: Now,
        out: &mut Output,
    ) {
        let Some(state) = self.upstreams.get_mut(upstream) else {
            return;
        };
        match found {
            Ok((addresses, holds)) => state.resolved(&addresses, holds, now.mono),
            Err(why) => self.note_failure(upstream, None, &why, now.mono),
        }
        self.place_waiting(now.mono, out);
        self.give_up_hopeless(now.mono, out);
    }

    /// Time went on.
    pub fn time(&mut self, now: Now, out: &mut Output) {
        while let Some(key) = self.timers.pop_due(now.mono) {
            self.overdue(key, now.mono, out);
        }
        self.check_links(now.mono, out);
        if !self.waiting.is_empty() {
            self.place_waiting(now.mono, out);
            self.give_up_hopeless(now.mono, out);
        }
    }

    /// When [`Forwarder::time`] has something to do.
    pub fn next_alarm(&self) -> Option<Time> {
        let links = self
            .links
            .values()
            .filter_map(|link| link.alarm(self.upstreams[link.upstream].srtt))
            .min();
        [self.timers.next(), links, self.dial_alarm()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Closes all links; for the end, when nothing is in flight any more or nobody can wait.
    pub fn close(&mut self, out: &mut Output) {
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
        self.in_flight
    }

    /// What happened so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Forgets a question that was answered: nothing of it may stay behind.
    pub(super) fn remove(&mut self, key: FlightKey, now: Time) -> Option<Flight> {
        let mut flight = self.flights.remove(key)?;
        self.timers.cancel(key);
        if let Some(join) = flight.join
            && self.joinable.get(&join) == Some(&key)
        {
            self.joinable.remove(&join);
        }
        for (link, id) in flight.places.iter_mut().filter_map(Option::take) {
            if let Some(link) = self.links.get_mut(link) {
                link.pipeline.abandon(id);
                link.last_used = now;
            }
        }
        self.in_flight -= flight.waiters().count();
        Some(flight)
    }

    /// Keeps a flight's buffer for the next one.
    pub(super) fn recycle(&mut self, mut message: Vec<u8>) {
        if self.spare.len() < MAX_SPARE && message.capacity() <= 1024 {
            message.clear();
            self.spare.push(message);
        }
    }
}

/// More questions in flight than the bound allows.
const TOO_BUSY: Ede = Ede {
    code: Ede::OTHER.code,
    text: "too many questions in flight",
};

enum Joined {
    Yes,
    Repeated,
    Differs(Waiter),
}
