//! What a client's message earns: a refusal, an answer from the cache, a place beside an identical question, or a flight.

use super::cache::{Found, Key};
use super::client::Client;
use super::failure::Failure;
use super::flight::{Flight, FlightKey, MAX_SENDS, STALE_AFTER, Tries, Waiter, size_limit};
use super::forwarder::Forwarder;
use super::local_names::{self, LocalAnswer};
use super::output::Output;
use super::quotas::{self, Asked, Room, UNIT};
use super::time::Now;
use crate::wire::{self, ClientEdns, Ede, Query, Rcode, Refusal, Reply};
use log::{debug, info};
use std::collections::VecDeque;

/// Questions in flight that nobody waits for, up to which more are asked because a popular answer ends soon.
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
        let hash = key.as_ref().map(Key::hash);
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
        let stale = key.filter(|_| found == Found::Stale);
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
        (hash, stale): (Option<u64>, Option<Key>),
        now: Now,
        out: &mut Output,
    ) -> bool {
        let mut known = hash.and_then(|hash| self.joinable.get(&hash).copied());
        let mut twin = known.filter(|key| self.asks_the_same(*key, message, &query));
        // A client that is impatient repeats its datagram; one answer is enough for it. Nothing new is asked, so no bound is in the way.
        let reply = waiter.reply(query.question.octets(message));
        if twin.is_some_and(|key| self.flights[key].is_awaited_by(waiter.client, &reply)) {
            self.stats.repeats += 1;
            return false;
        }
        let units = match twin {
            Some(_) => 1,
            None => quotas::units(message.len()),
        };
        if !self.fits(&waiter.client, units, now) {
            // An answer out of date harms nobody; a question given up does.
            if let Some(key) = &stale {
                let payload = self.limits.udp_payload;
                let served = out.reply_if_any(waiter.client, |out| {
                    self.cache.get_stale(key, &reply, payload, now.boot, out)
                });
                if served {
                    self.stats.stale += 1;
                    return true;
                }
            }
            if let Err(why) = self.admit(&waiter.client, units, now, out) {
                self.refuse(message, waiter.client, why, out);
                return true;
            }
            // The same question may have been given up.
            known = known.filter(|key| self.flights.contains_key(*key));
            twin = twin.filter(|key| self.flights.contains_key(*key));
        }
        // Of two different questions with one hash the second goes its own way.
        // One that counts more than others do is not shared, or else it would count no more when the one who asked it has left.
        let own_hash = hash.filter(|_| known.is_none() && message.len() < UNIT);
        let key = match twin {
            Some(key) => self.join(key, message, &query, waiter, now),
            None => self.start(message, query, Some(waiter), own_hash, now, out),
        };
        if stale.is_some() {
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

    /// Makes room for one question more, at the expense of the client that has most in flight. Where there is none, it is counted, and
    /// this is the reason that its client gets.
    fn admit(
        &mut self,
        client: &Client,
        units: usize,
        now: Now,
        out: &mut Output,
    ) -> Result<(), Failure> {
        self.press(now, out);
        loop {
            match self.quotas.room(client, units, now.mono) {
                Room::Free => return Ok(()),
                Room::InsteadOfIdle(flight) => {
                    if let Some(flight) = self.remove(flight) {
                        self.recycle(flight.message);
                    }
                }
                Room::InsteadOf(flight, number, why) => {
                    self.give_up(flight, number, why, now, out);
                }
                Room::None(why) => {
                    match why {
                        Failure::TooManyOfClient => self.stats.shed_per_client += 1,
                        _ => self.stats.shed += 1,
                    }
                    return Err(why);
                }
            }
        }
    }

    /// Is there room for this client's question, without giving up another?
    fn fits(&mut self, client: &Client, units: usize, now: Now) -> bool {
        if self.quotas.surely_fits(units) {
            return true;
        }
        if !self.quotas.is_watching() {
            let all = self.flights.iter().flat_map(|(key, flight)| {
                flight.waiters().map(move |waiter| {
                    let asked = Asked {
                        flight: key,
                        units: waiter.units,
                        since: flight.arrived,
                    };
                    (waiter.client.account(), waiter.number, asked)
                })
            });
            self.quotas.watch(all);
            self.crowded = true;
        }
        self.quotas.room(client, units, now.mono) == Room::Free
    }

    /// A new question: remembered until it is answered, and sent as soon as can be.
    fn start(
        &mut self,
        message: &[u8],
        query: Query,
        mut waiter: Option<Waiter>,
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
        let units = quotas::units(message.len());
        let asked = waiter.as_mut().map(|waiter| {
            waiter.units = units;
            waiter.number = self.quotas.enter(units);
            (waiter.client, waiter.number)
        });
        let preferred = self.preferred();
        self.hedging.asked();
        let key = self.flights.insert(Flight {
            message: kept,
            query,
            hash,
            first: waiter,
            more: VecDeque::new(),
            idle: None,
            arrived: now.mono,
            deadline: now.mono + self.timeout,
            elsewhere_at: None,
            stale_at: None,
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
        match asked {
            Some((client, number)) => self.note(&client, number, key, units, now),
            None => self.flights[key].idle = Some(self.quotas.rest(key, units)),
        }
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
        let has_room = self.quotas.has_room(quotas::units(message.len()));
        if !under_way && has_room && self.quotas.idle() < MAX_PREFETCHES {
            self.stats.prefetches += 1;
            self.start(message, query, None, hash, now, out);
            self.give_up_hopeless(now, out);
        }
    }

    fn note(&mut self, client: &Client, number: u64, flight: FlightKey, units: usize, now: Now) {
        let since = now.mono;
        let asked = Asked {
            flight,
            units,
            since,
        };
        self.quotas.note(client, number, asked);
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
        now: Now,
    ) -> FlightKey {
        let flight = &mut self.flights[key];
        let question = message.get(wire::HEADER_LEN..query.question.end());
        waiter.own_question = question
            .filter(|question| *question != flight.question())
            .map(Box::from);
        if let Some(number) = flight.idle.take() {
            self.quotas.wake(number);
        }
        waiter.number = self.quotas.enter(1);
        let (client, number) = (waiter.client, waiter.number);
        flight.more.push_back(waiter);
        self.note(&client, number, key, 1, now);
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
