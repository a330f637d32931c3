//! Accepting a query: it joins an identical one, starts a transaction, or finds no room.

use super::quotas::{self, Room, UNIT};
use super::replies::reply_failure;
use super::{Transaction, Transactions, WaitingClient};
use crate::engine::cache::Key;
use crate::engine::client::Client;
use crate::engine::effects::{Effects, Task};
use crate::engine::failed_queries::Failing;
use crate::engine::failure::Failure;
use crate::engine::history::{History, Opt};
use crate::engine::keys::TransactionKey;
use crate::engine::recorder::{Asked, Kind};
use crate::engine::routes::ForwardingRoute;
use crate::engine::time::Now;
use crate::wire::{self, Query};
use log::debug;
use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

/// The client response timer: with a stale answer at hand, a fresh one is waited for so long (RFC 8767 section 5 recommends 1.8 s).
const CLIENT_RESPONSE_TIMER: Duration = Duration::from_millis(1_800);
/// Prefetches in flight at once, and what is asked for behind stale answers.
const MAX_PREFETCHES: usize = 64;

/// What the cache knows of a query that it does not answer.
pub struct Lookup<'a> {
    /// The hash of its key, if it has one.
    pub hash: Option<u64>,
    /// The key, if there is a stale answer.
    pub stale: Option<Key<'a>>,
    /// That one is served without waiting for a fresh one.
    pub at_once: bool,
}

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It starts a transaction.
    Started(TransactionKey),
    /// It is the very query that this client waits for already: one response is for both.
    Repeated,
    /// It joined another, or was answered at once.
    Done,
}

impl Transactions {
    /// A query that the cache does not answer. Identical queries in flight are one query upstream, up to the bound on how many there are
    /// (RFC 5452 section 5).
    pub fn accept(
        &mut self,
        message: &[u8],
        query: Query,
        client: WaitingClient,
        route: ForwardingRoute,
        Lookup {
            hash,
            stale,
            at_once,
        }: Lookup<'_>,
        fx: &mut Effects<'_>,
    ) -> Accepted {
        let mut known = hash.and_then(|hash| self.joinable.get(&hash).copied());
        let mut twin = known.filter(|key| self.is_identical(*key, message, &query));
        // A client that is impatient repeats its datagram; one response is enough for it. Nothing new is asked, so no bound matters.
        let reply = client.reply(query.question.octets(message));
        if twin.is_some_and(|key| self.table[key].is_awaited_by(client.client, &reply)) {
            fx.stats.repeats += 1;
            return Accepted::Repeated;
        }
        // Clients of one that is late have their stale answer already. A fresh one is asked for all the same, so that the next client gets it.
        let is_late = |twin: TransactionKey| {
            fx.now.mono.since(self.table[twin].history.arrived) >= CLIENT_RESPONSE_TIMER
        };
        if stale.is_some() && (at_once || twin.is_some_and(is_late)) {
            let question = query.question.octets(message);
            if self.reply_stale(stale.as_ref(), question, &client, fx.now.mono, fx) {
                let started = self.refresh(message, query, (route, hash), fx);
                return started.map_or(Accepted::Done, Accepted::Started);
            }
        }
        let units = match twin {
            Some(_) => 1,
            None => quotas::units(message.len()),
        };
        if !self.fits(&client.client, units, fx.now) {
            // A stale answer harms nobody; a query given up does.
            let question = query.question.octets(message);
            if self.reply_stale(stale.as_ref(), question, &client, fx.now.mono, fx) {
                return Accepted::Done;
            }
            fx.task(Task::Relieve);
            if let Err(why) = self.make_room(&client.client, units, fx) {
                let cd = query.header.flags.cd();
                let crowd = self.quotas.crowd(&client.client, 0);
                let kind = Kind::Failed(why);
                let asked = || Asked::of(message, &query, &[&client]);
                let why = why.explain(std::iter::empty());
                let why = &fx.record_at_once(kind, why, crowd, fx.now.mono, asked);
                fx.failures.note(why, fx.now.mono);
                let failing = Failing::at_once(message, &query, why.id(), fx.now);
                self.failed.note_refused(&failing, why, fx.now);
                let why = (why, fx.now.mono);
                reply_failure(client.client, &reply, cd, why, self.udp_payload, fx);
                return Accepted::Done;
            }
            // The same query may have been given up.
            known = known.filter(|key| self.table.contains_key(*key));
            twin = twin.filter(|key| self.table.contains_key(*key));
        }
        let (key, accepted) = if let Some(key) = twin {
            self.join(key, message, &query, client, fx);
            (key, Accepted::Done)
        } else {
            // Of two different queries with one hash the second goes its own way. One that counts more than others do is not shared,
            // or else it would count no more when the client that sent it has left.
            let hash = hash.filter(|_| known.is_none() && message.len() < UNIT);
            let key = self.start(message, query, (route, hash), fx.now);
            self.add_first(key, client, units, fx.now);
            (key, Accepted::Started(key))
        };
        if stale.is_some() {
            self.expect_stale(key, fx.now);
        }
        accepted
    }

    /// Asks for an answer that expires soon, for no client in particular. `None` if that is under way, or there is no room.
    pub fn prefetch(
        &mut self,
        message: &[u8],
        query: Query,
        (route, hash): (ForwardingRoute, Option<u64>),
        fx: &mut Effects<'_>,
    ) -> Option<TransactionKey> {
        let started = self.refresh(message, query, (route, hash), fx)?;
        fx.stats.prefetches += 1;
        Some(started)
    }

    /// Asks for an answer anew whose clients have a stale one, for no client in particular. `None` as for [`Self::prefetch`].
    fn refresh(
        &mut self,
        message: &[u8],
        query: Query,
        (route, hash): (ForwardingRoute, Option<u64>),
        fx: &mut Effects<'_>,
    ) -> Option<TransactionKey> {
        let under_way = hash.is_some_and(|hash| self.joinable.contains_key(&hash));
        let units = quotas::units(message.len());
        if under_way || !self.quotas.has_room(units) || self.quotas.idle() >= MAX_PREFETCHES {
            return None;
        }
        let key = self.start(message, query, (route, hash), fx.now);
        self.table[key].idle = Some(self.quotas.rest(key, units));
        Some(key)
    }

    /// Remembers a new query until it is answered.
    fn start(
        &mut self,
        message: &[u8],
        query: Query,
        (route, hash): (ForwardingRoute, Option<u64>),
        now: Now,
    ) -> TransactionKey {
        debug!("query: {}", wire::describe(message, &query.question));
        let mut spare = self.spare.pop();
        let mut kept = spare
            .as_mut()
            .map_or_else(Vec::new, |spare| mem::take(&mut spare.message));
        kept.extend_from_slice(message);
        self.hedging.started();
        let deadline = now.mono + self.timeout;
        let transaction = Transaction {
            message: kept,
            query,
            hash,
            first: None,
            more: VecDeque::new(),
            idle: None,
            deadline,
            elsewhere_at: None,
            stale_at: None,
            history: History::new(Opt::of(&query), route, now.mono),
            fallback: None,
        };
        let boxed = match spare {
            Some(mut spare) => {
                *spare = transaction;
                spare
            }
            None => Box::new(transaction),
        };
        let key = self.table.insert(boxed);
        if let Some(hash) = hash {
            self.joinable.insert(hash, key);
        }
        self.timers.set(key, deadline);
        key
    }

    /// The client that starts a transaction.
    fn add_first(
        &mut self,
        key: TransactionKey,
        mut client: WaitingClient,
        units: usize,
        now: Now,
    ) {
        client.units = units;
        client.number = self.quotas.enter(units);
        self.note(&client, key, now);
        self.table[key].first = Some(client);
    }

    /// One client more waits for a transaction.
    fn join(
        &mut self,
        key: TransactionKey,
        message: &[u8],
        query: &Query,
        mut client: WaitingClient,
        fx: &mut Effects<'_>,
    ) {
        let transaction = &mut self.table[key];
        let question = query.question.octets(message);
        client.own_question = (question != transaction.question()).then(|| question.into());
        if let Some(number) = transaction.idle.take() {
            self.quotas.wake(number);
        }
        client.number = self.quotas.enter(1);
        self.note(&client, key, fx.now);
        self.table[key].more.push_back(client);
        fx.stats.joined += 1;
    }

    fn note(&mut self, client: &WaitingClient, transaction: TransactionKey, now: Now) {
        let asked = quotas::Asked {
            transaction,
            units: client.units,
            since: now.mono,
        };
        self.quotas.note(&client.client, client.number, asked);
    }

    /// There is a stale answer: it is served if no fresh one comes in time (RFC 8767 section 5).
    fn expect_stale(&mut self, key: TransactionKey, now: Now) {
        let transaction = &mut self.table[key];
        let at = now.mono + CLIENT_RESPONSE_TIMER;
        transaction.stale_at.get_or_insert(at);
        self.timers.set(key, transaction.alarm());
    }

    /// Whether it is this transaction's query. Their hashes are the same.
    fn is_identical(&self, key: TransactionKey, message: &[u8], query: &Query) -> bool {
        self.table.get(key).is_some_and(|transaction| {
            let (ours, theirs) = (&transaction.query.question, &query.question);
            wire::same_question(&transaction.message, ours, message, theirs)
        })
    }

    /// Whether there is room for this client's query, without giving up another.
    fn fits(&mut self, client: &Client, units: usize, now: Now) -> bool {
        if self.quotas.surely_fits(units) {
            return true;
        }
        if !self.quotas.is_watching() {
            let all = self.table.iter().flat_map(|(key, transaction)| {
                transaction.clients().map(move |waiting| {
                    let asked = quotas::Asked {
                        transaction: key,
                        units: waiting.units,
                        since: transaction.history.arrived,
                    };
                    (waiting.client.account(), waiting.number, asked)
                })
            });
            self.quotas.watch(all);
            self.was_full = true;
        }
        self.quotas.room(client, units, now.mono) == Room::Free
    }

    /// Makes room for one query more, at the expense of the client that has most in flight. Where there is none, it is counted, and
    /// this is the reason that its client gets.
    fn make_room(
        &mut self,
        client: &Client,
        units: usize,
        fx: &mut Effects<'_>,
    ) -> Result<(), Failure> {
        loop {
            match self.quotas.room(client, units, fx.now.mono) {
                Room::Free => return Ok(()),
                Room::InsteadOfIdle(key) => {
                    if let Some(transaction) = self.remove(key, fx) {
                        self.recycle(transaction);
                    }
                }
                Room::InsteadOf(key, number, why) => self.give_up(key, number, why, fx),
                Room::None(why) => {
                    match why {
                        Failure::TooManyOfClient => fx.stats.shed_per_client += 1,
                        _ => fx.stats.shed += 1,
                    }
                    return Err(why);
                }
            }
        }
    }
}
