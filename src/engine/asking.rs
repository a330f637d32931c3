//! What a client's message earns: a refusal, an answer from the cache, a place beside an identical question, or a flight.

use super::cache::{Found, Key};
use super::client::Client;
use super::failure::Failure;
use super::flight::{Flight, FlightKey, MAX_SENDS, STALE_AFTER, Tries, Waiter, size_limit};
use super::forwarder::Forwarder;
use super::local_names::{self, LocalAnswer};
use super::output::Output;
use super::time::Now;
use crate::wire::{self, ClientEdns, Ede, Query, Rcode, Refusal, Reply};
use log::{debug, info};
use std::collections::VecDeque;

/// Questions in flight that nobody waits for, asked because a popular answer ends soon.
const MAX_PREFETCHES: usize = 64;

impl Forwarder {
    /// A message from a client. Says whether a reply will come (or is there already).
    pub fn query(&mut self, message: &[u8], client: Client, now: Now, out: &mut Output) -> bool {
        self.notice(now, out);
        let scanned = wire::query(message);
        // Nothing can be sent to port 0, and it is nobody's source port.
        if matches!(scanned, Err(Refusal::Drop)) || client.addr.port() == 0 {
            self.stats.dropped += 1;
            return false;
        }
        self.stats.queries += 1;
        if !self.allow.allows(client.addr.ip()) {
            self.stats.denied += 1;
            if let Some(denial) = self.denials.note(client.addr.ip(), now.mono) {
                info!("{denial}");
            }
            self.refuse(message, client, Failure::NotAllowed, out);
            return true;
        }
        let query = match scanned {
            Ok(query) => query,
            Err(refusal) => {
                if let Refusal::Answer { rcode, .. } = refusal {
                    let malformed = rcode == Rcode::FORMERR;
                    self.stats.malformed += u64::from(malformed);
                    self.stats.unsupported += u64::from(!malformed);
                    self.turn_away(message, client, rcode, None, out);
                }
                return true;
            }
        };
        let waiter = Waiter::new(message, &query, client, self.limits.udp_payload);
        // What the cache tells apart, two clients may not share; what it does not, they may (RFC 5452 section 5).
        let key = self.cache.key(message, &query);
        let found = match &key {
            Some(key) => self.look_up(key, query.question.octets(message), &waiter, now, out),
            None => Found::Miss,
        };
        let hash = key.map(|key| key.hash());
        if let Found::Hit { prefetch } = found {
            self.stats.hits += 1;
            if prefetch {
                self.prefetch(message, query, hash, now, out);
            }
            return true;
        }
        // What is answered here is never in the cache, so a hit does not pay for this.
        if let Some(local) = local_names::answer(self.local_names, message, &query) {
            self.stats.local += 1;
            self.answer_here(&local, message, &query, &waiter, out);
            return true;
        }
        let stale = found == Found::Stale;
        self.miss(message, query, waiter, (hash, stale), now, out)
    }

    /// Answers a question that leaves for nobody.
    fn answer_here(
        &self,
        local: &LocalAnswer,
        message: &[u8],
        query: &Query,
        waiter: &Waiter,
        out: &mut Output,
    ) {
        let reply = waiter.reply(query.question.octets(message));
        let (payload, cd) = (self.limits.udp_payload, query.header.flags.cd());
        let LocalAnswer { rcode, ede, .. } = *local;
        out.reply(waiter.client, |out| match local.record() {
            Some(record) => wire::own_record(&reply, cd, rcode, &record, ede, payload, out),
            None => wire::own_answer(&reply, 0, cd, rcode, ede, payload, out),
        });
    }

    /// The cache has no answer that holds: what is in flight is asked for once, up to the bound on that.
    fn miss(
        &mut self,
        message: &[u8],
        query: Query,
        waiter: Waiter,
        (hash, stale): (Option<u64>, bool),
        now: Now,
        out: &mut Output,
    ) -> bool {
        let known = hash.and_then(|hash| self.joinable.get(&hash).copied());
        let twin = known.filter(|key| self.asks_the_same(*key, message, &query));
        // A client that is impatient repeats its datagram; one answer is enough for it. Nothing new is asked, so no bound is in the way.
        if twin.is_some_and(|key| self.flights[key].is_awaited_by(&waiter)) {
            self.stats.repeats += 1;
            return false;
        }
        if let Some(why) = self.shed(&waiter.client) {
            self.press(now, out);
            self.refuse(message, waiter.client, why, out);
            return true;
        }
        // Of two different questions with one hash the second goes its own way.
        let own_hash = hash.filter(|_| known.is_none());
        let key = match twin {
            Some(key) => self.join(key, message, &query, waiter),
            None => self.start(message, query, Some(waiter), own_hash, now, out),
        };
        if stale {
            self.remember_stale(key, now);
        }
        self.give_up_hopeless(now, out);
        true
    }

    /// Answers from the cache, if it can.
    fn look_up(
        &mut self,
        key: &Key,
        question: &[u8],
        waiter: &Waiter,
        now: Now,
        out: &mut Output,
    ) -> Found {
        let reply = waiter.reply(question);
        let payload = self.limits.udp_payload;
        out.reply_if_any(waiter.client, |out| {
            self.cache.get(key, &reply, payload, now.boot, out)
        })
    }

    /// Would one question more be over a bound? Then it is counted, and this is the reason that its client gets.
    fn shed(&mut self, client: &Client) -> Option<Failure> {
        let (in_flight, limits) = (self.in_flight.in_all(), &self.limits);
        if in_flight.max(self.flights.len()) >= limits.in_flight {
            self.stats.shed += 1;
            return Some(Failure::TooMany);
        }
        // With fewer in all nobody has so many, and there is no need to look.
        let most = limits.in_flight_per_client;
        let has_room = |client| self.in_flight.held_by(client) < most;
        if in_flight < most || client.counted_as().is_none_or(has_room) {
            return None;
        }
        self.stats.shed_per_client += 1;
        Some(Failure::TooManyOfClient)
    }

    /// A new question: remembered until it is answered, and sent as soon as can be.
    fn start(
        &mut self,
        message: &[u8],
        query: Query,
        waiter: Option<Waiter>,
        hash: Option<u64>,
        now: Now,
        out: &mut Output,
    ) -> FlightKey {
        if wire::typed(message, &query.question).is_none() {
            self.stats.opaque += 1;
        }
        debug!("asked: {}", wire::describe(message, &query.question));
        let mut kept = self.spare.pop().unwrap_or_default();
        kept.extend_from_slice(message);
        if let Some(waiter) = &waiter {
            self.in_flight.enter(waiter.client.counted_as());
        }
        let preferred = self.preferred();
        if let Some(hedging) = &mut self.hedging {
            hedging.asked();
        }
        let key = self.flights.insert(Flight {
            message: kept,
            query,
            hash,
            first: waiter,
            more: VecDeque::new(),
            arrived: now.mono,
            deadline: now.mono + self.timeout,
            elsewhere_at: None,
            stale_at: None,
            hedge_at: None,
            preferred,
            connects: 0,
            connected: 0,
            places: [None; MAX_SENDS as usize],
            sends: 0,
            copies: 0,
            losses: 0,
            blocks: false,
            tried: 0,
            exclude: 0,
            queued: None,
            tries: Tries::default(),
            plain: 0,
            explain: 0,
            fallback: None,
        });
        if let Some(hash) = hash {
            self.joinable.insert(hash, key);
        }
        self.timers.set(key, now.mono + self.timeout);
        self.place(key, now, out);
        key
    }

    /// Asks for an answer that ends soon, for nobody in particular.
    fn prefetch(
        &mut self,
        message: &[u8],
        query: Query,
        hash: Option<u64>,
        now: Now,
        out: &mut Output,
    ) {
        let under_way = hash.is_some_and(|hash| self.joinable.contains_key(&hash));
        let has_room = self.flights.len() < self.limits.in_flight;
        if !under_way && has_room && self.idle_flights() < MAX_PREFETCHES {
            self.stats.prefetches += 1;
            self.start(message, query, None, hash, now, out);
            self.give_up_hopeless(now, out);
        }
    }

    /// About how many flights nobody waits for: each of the others has at least one waiter.
    fn idle_flights(&self) -> usize {
        self.flights.len().saturating_sub(self.in_flight.in_all())
    }

    /// There is an answer out of date: it is served if no better one comes in time (RFC 8767 section 5).
    fn remember_stale(&mut self, key: FlightKey, now: Now) {
        if let Some(flight) = self.flights.get_mut(key) {
            flight.stale_at.get_or_insert(now.mono + STALE_AFTER);
            self.timers.set(key, flight.alarm());
        }
    }

    /// Is it the question of this flight? Their hashes are the same.
    fn asks_the_same(&self, key: FlightKey, message: &[u8], query: &Query) -> bool {
        self.flights.get(key).is_some_and(|flight| {
            let (ours, theirs) = (&flight.query.question, &query.question);
            wire::same_question(&flight.message, ours, message, theirs)
        })
    }

    /// Identical questions in flight are one question upstream (RFC 5452 section 5).
    fn join(
        &mut self,
        key: FlightKey,
        message: &[u8],
        query: &Query,
        mut waiter: Waiter,
    ) -> FlightKey {
        let flight = &mut self.flights[key];
        let question = message.get(wire::HEADER_LEN..query.question.end());
        waiter.own_question = question
            .filter(|question| *question != flight.question())
            .map(Box::from);
        self.in_flight.enter(waiter.client.counted_as());
        flight.more.push_back(waiter);
        self.stats.joined += 1;
        key
    }

    /// Answers at once that it is not asked, and why.
    fn refuse(&mut self, message: &[u8], client: Client, why: Failure, out: &mut Output) {
        let why = why.explain(&self.upstreams, 0);
        self.turn_away(message, client, why.rcode, Some(why.ede()), out);
    }

    /// Answers at once with an error.
    fn turn_away(
        &mut self,
        message: &[u8],
        client: Client,
        rcode: Rcode,
        ede: Option<Ede<'_>>,
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
}
