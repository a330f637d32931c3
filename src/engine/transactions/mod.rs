//! Every query that was accepted and is not answered yet.
//!
//! [`Transactions`] owns them: it joins identical queries, bounds how many there are, keeps their deadlines, and answers the clients
//! that wait. Of upstreams and connections it only knows names; what follows for them it leaves as tasks.
//!
//! - `transaction`: one of them. `waiting`: those that wait for a connection.
//! - `admission`: joining, starting, and making room. `quotas`: how many each client has.
//! - `retry`: what is done next for one that was not answered. `hedging`: which are late. `timers`: their deadlines.
//! - `replies`: what waiting clients get.

mod admission;
mod hedging;
mod quotas;
mod replies;
mod retry;
#[cfg(test)]
mod tests;
mod timers;
mod transaction;
mod waiting;

pub use admission::{Accepted, Lookup};
pub use retry::{Happened, Outcome, Possible, Step, WaitsFor, next_step};
pub use transaction::{Transaction, WaitingClient, edns_of, size_limit};

use super::answer_times::AnswerTimes;
use super::cache::Cache;
use super::client::{Client, Via};
use super::effects::{Effects, Task};
use super::failed_queries::FailedQueries;
use super::gauges::Gauges;
use super::hashing::RandomMap;
use super::history::{Attempt, History, Preference, Purpose};
use super::keys::{ConnectionKey, TransactionKey};
use super::routes::ForwardingRoute;
use super::time::{Now, Time};
use super::upstream_set::UpstreamSet;
use crate::config::Config;
use crate::wire::{self, QuestionAt};
use hedging::Hedging;
use quotas::{Quotas, UNIT};
use replies::Unfinished;
use slotmap::SlotMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;
use timers::{TICK, Timers};
use waiting::Waiting;

/// A response that takes longer is asked for elsewhere, too. Resolvers answer most names that they do not know yet within a second.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// While a policy keeps a query to some upstreams, those are looked at so often: another may be asked once none of them works.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Transactions that are over whose memory is kept for the next queries.
const MAX_SPARE: usize = 256;
/// Transactions that there is an address for from the start.
const MAX_RESERVED: usize = 4_096;

/// The transactions.
pub struct Transactions {
    /// Each in a box: it is large, and is moved when it begins and when it is over.
    table: SlotMap<TransactionKey, Box<Transaction>>,
    /// Those that an identical query may join, by the hash of their key in the cache.
    joinable: RandomMap<u64, TransactionKey>,
    waiting: Waiting,
    timers: Timers,
    quotas: Quotas,
    hedging: Hedging,
    /// Transactions that are over, with clients that have not got their responses yet.
    unfinished: VecDeque<Unfinished>,
    /// Those that are over and forgotten, for their memory.
    #[allow(clippy::vec_box, reason = "they go back into the table as they are")]
    spare: Vec<Box<Transaction>>,
    /// There were so many transactions that it mattered whose they are, and some of them still are.
    was_full: bool,
    cache: Arc<Cache>,
    timeout: Duration,
    udp_payload: u16,
    times: AnswerTimes,
    failed: FailedQueries,
}

/// What a transaction's timer means.
#[derive(Debug)]
pub enum Due {
    /// Its time is over.
    Deadline,
    /// It takes long: another upstream is to be asked, its clients are to get a stale answer, or both.
    Slow { elsewhere: bool, stale: bool },
}

impl Transactions {
    /// As configured, without any. The cache may be shared.
    pub fn new(config: &Config, cache: Arc<Cache>) -> Self {
        let limits = config.limits();
        let (most, per_client) = bounds(config);
        let upstreams = config.all_upstreams().len();
        Self {
            // All at once: memory that is not written to is only an address, and one that grows would move.
            table: SlotMap::with_capacity_and_key(limits.in_flight.min(MAX_RESERVED)),
            joinable: RandomMap::default(),
            waiting: Waiting::default(),
            timers: Timers::default(),
            quotas: Quotas::new(most, per_client),
            hedging: Hedging::new(config.hedge(), upstreams, routes(config)),
            unfinished: VecDeque::new(),
            spare: Vec::new(),
            was_full: false,
            cache,
            timeout: config.timeout(),
            udp_payload: limits.udp_payload,
            times: AnswerTimes::default(),
            failed: FailedQueries::default(),
        }
    }

    /// How long queries have taken that were forwarded.
    pub fn times(&self) -> &AnswerTimes {
        &self.times
    }

    /// The queries that failed lately.
    pub fn failed(&self) -> &FailedQueries {
        &self.failed
    }

    /// The same, to be changed.
    pub fn failed_mut(&mut self) -> &mut FailedQueries {
        &mut self.failed
    }

    /// Those that ask the question of this message. It takes a look at each.
    pub fn asking<'t>(
        &'t self,
        message: &'t [u8],
        question: &'t QuestionAt,
    ) -> impl Iterator<Item = &'t Transaction> {
        let all = self.table.values().map(|transaction| &**transaction);
        all.filter(move |one| {
            wire::same_question(&one.message, &one.query.question, message, question)
        })
    }

    /// The one that a client waits for, if it waits. It takes a look at each.
    pub fn awaited_by(&self, client: Client) -> Option<TransactionKey> {
        let waits = |one: &Transaction| one.clients().any(|waiting| waiting.client == client);
        let mut all = self.table.iter();
        all.find(|(_, one)| waits(one)).map(|(key, _)| key)
    }

    /// Whether a client waits for a response from the UDP socket of this number. It takes a look at each.
    pub fn is_awaited_at(&self, socket: u16) -> bool {
        let there = |waiting: &WaitingClient| match waiting.client.via {
            Via::Datagram { socket: at, .. } => at == socket,
            _ => false,
        };
        let unfinished = self.unfinished.iter();
        let mut unfinished = unfinished.flat_map(Unfinished::clients);
        let mut all = self.table.values().flat_map(|one| one.clients());
        all.any(there) || unfinished.any(there)
    }

    /// Another configuration holds from now on, with so many upstreams, and another cache. Deadlines that are set stay.
    pub fn reconfigure(&mut self, config: &Config, upstreams: usize, cache: Arc<Cache>) {
        let limits = config.limits();
        let (most, per_client) = bounds(config);
        self.quotas.set_bounds(most, per_client);
        self.hedging
            .reconfigure(config.hedge(), upstreams, routes(config));
        self.cache = cache;
        self.timeout = config.timeout();
        self.udp_payload = limits.udp_payload;
    }

    /// Has a transaction take another route, or the same one by other numbers; see [`History::reroute`].
    pub fn reroute(
        &mut self,
        key: TransactionKey,
        route: ForwardingRoute,
        preferred: Preference,
        fresh: UpstreamSet,
        now: Now,
    ) {
        let Some(transaction) = self.table.get_mut(key) else {
            return;
        };
        let history = &mut transaction.history;
        let same = history.route().fingerprint == route.fingerprint;
        history.reroute(route, preferred, fresh);
        if history.is_under_way() && history.has_untried() && transaction.elsewhere_at.is_none() {
            // The upstream that it was sent to may be none of the route, and not be replaced if it falls silent.
            transaction.elsewhere_at = Some(now.mono + ATTEMPT_TIMEOUT);
            self.timers.set(key, transaction.alarm());
        }
        if !same {
            // What comes may be from upstreams that are none of the route: it is for the clients that wait by now, and for nobody else.
            self.forget_hash(key);
        }
    }

    /// Puts those that wait for a connection into the queues that they belong to now.
    pub fn requeue(&mut self) {
        let all = self.table.iter_mut();
        let waiting = all.filter(|(_, one)| one.history.queued().is_some());
        let mut waiting: Vec<_> = waiting.map(|(key, one)| (key, &mut one.history)).collect();
        waiting.sort_by_key(|(_, history)| (history.queued_at(), history.arrived));
        self.waiting.clear();
        for (key, history) in waiting {
            self.waiting.push(history.requeue(), key);
        }
    }

    /// Takes a transaction out, with its clients, who wait for a response all the same.
    pub fn take(&mut self, key: TransactionKey, fx: &mut Effects<'_>) -> Option<Box<Transaction>> {
        self.remove(key, fx)
    }

    /// One of them.
    pub fn get(&self, key: TransactionKey) -> Option<&Transaction> {
        self.table.get(key).map(|transaction| &**transaction)
    }

    /// What was tried for one.
    pub fn history(&self, key: TransactionKey) -> Option<&History> {
        Some(&self.table.get(key)?.history)
    }

    /// The same, to be changed.
    pub fn history_mut(&mut self, key: TransactionKey) -> Option<&mut History> {
        Some(&mut self.table.get_mut(key)?.history)
    }

    /// All of them.
    pub fn keys(&self) -> Vec<TransactionKey> {
        self.table.keys().collect()
    }

    /// Notes that a query was sent. `late`: after how long without a response TCP would send again.
    pub fn sent(
        &mut self,
        key: TransactionKey,
        attempt: Attempt,
        purpose: Purpose,
        (upstream, late): (usize, Option<Duration>),
        fx: &mut Effects<'_>,
    ) {
        let Some(transaction) = self.table.get_mut(key) else {
            return;
        };
        let now = fx.now.mono;
        let history = &mut transaction.history;
        fx.stats.sent += 1;
        fx.stats.resent += u64::from(history.sends() > 0);
        if history.sends() == 0 {
            let on = (history.route().number, upstream);
            self.hedging.sent(key, on, late, now);
        }
        // The first connection counts: a copy on another one does not give that one more time.
        let is_only = !history.is_under_way();
        history.sent(attempt, purpose, upstream);
        if is_only && history.route().upstreams.has_several() {
            transaction.elsewhere_at = Some(now + ATTEMPT_TIMEOUT);
            self.timers.set(key, transaction.alarm());
        }
    }

    /// A response came on this connection, after so long.
    pub fn answered_on(
        &mut self,
        key: TransactionKey,
        connection: ConnectionKey,
        now: Now,
    ) -> Option<Attempt> {
        let history = self.history_mut(key)?;
        let (attempt, route) = (history.leave(connection)?, history.route().number);
        self.hedging.took(now.mono.since(attempt.sent_at), route);
        Some(attempt)
    }

    /// Has only upstreams asked that were not asked yet, and another one if this one is slow, too.
    pub fn exclude_tried(&mut self, key: TransactionKey, now: Now) {
        if let Some(transaction) = self.table.get_mut(key) {
            transaction.history.exclude_tried();
            transaction.elsewhere_at = Some(now.mono + ATTEMPT_TIMEOUT);
            self.timers.set(key, transaction.alarm());
        }
    }

    /// One that its policy keeps to some upstreams: those may fail yet, so that it is looked at again.
    pub fn look_again(&mut self, key: TransactionKey, now: Now) {
        if let Some(transaction) = self.table.get_mut(key)
            && transaction.history.is_confined()
            && transaction.elsewhere_at.is_none()
        {
            transaction.elsewhere_at = Some(now.mono + LOOK_AGAIN);
            self.timers.set(key, transaction.alarm());
        }
    }

    /// A transaction whose timer has come.
    pub fn pop_due(&mut self, now: Now) -> Option<TransactionKey> {
        self.timers.pop_due(now.mono)
    }

    /// What its timer means.
    pub fn due(&mut self, key: TransactionKey, now: Now) -> Option<Due> {
        let transaction = self.table.get_mut(key)?;
        let is_due = |at: Time| now.mono + TICK >= at;
        if is_due(transaction.deadline) {
            return Some(Due::Deadline);
        }
        let elsewhere = transaction.elsewhere_at.take_if(|at| is_due(*at)).is_some();
        let stale = transaction.stale_at.take_if(|at| is_due(*at)).is_some();
        self.timers.set(key, transaction.alarm());
        Some(Due::Slow { elsewhere, stale })
    }

    /// When something has to be done, if nothing happens before.
    #[inline]
    pub fn next_alarm(&self, now: Time) -> Time {
        if !self.unfinished.is_empty() {
            return now;
        }
        let deadline = self.timers.next().unwrap_or(Time::NEVER);
        deadline.min(self.hedging.next())
    }

    /// A response is better than none, if no other comes.
    pub fn keep_fallback(&mut self, key: TransactionKey, message: &[u8], upstream: usize) {
        if let Some(transaction) = self.table.get_mut(key) {
            let kept = &mut transaction.fallback;
            kept.get_or_insert_with(|| (message.to_vec(), upstream));
        }
    }

    /// No other comes: it, and the number of the upstream that gave it.
    pub fn take_fallback(&mut self, key: TransactionKey) -> Option<(Vec<u8>, usize)> {
        self.table.get_mut(key)?.fallback.take()
    }

    /// Queries of clients that wait for a response.
    pub fn in_flight(&self) -> usize {
        self.quotas.waiting() + self.clients_unfinished()
    }

    /// Removes one that is over: nothing of it may stay behind.
    fn remove(&mut self, key: TransactionKey, fx: &mut Effects<'_>) -> Option<Box<Transaction>> {
        let transaction = self.table.remove(key)?;
        self.timers.cancel(key);
        self.forget(key, transaction.hash);
        for attempt in transaction.history.attempts() {
            fx.task(Task::Abandon(*attempt));
        }
        for waiting in transaction.clients() {
            self.quotas
                .leave(&waiting.client, waiting.number, waiting.units);
        }
        if let Some(number) = transaction.idle {
            self.quotas.wake(number);
        }
        let table = &self.table;
        self.hedging.forget(|key| table.contains_key(key));
        Some(transaction)
    }

    /// From now on no identical query joins this one, and its response is not cached.
    fn forget_hash(&mut self, key: TransactionKey) {
        let transaction = self.table.get_mut(key);
        let hash = transaction.and_then(|transaction| transaction.hash.take());
        self.forget(key, hash);
    }

    /// Identical queries do not find this one by its hash any more.
    fn forget(&mut self, key: TransactionKey, hash: Option<u64>) {
        if let Some(hash) = hash
            && let Entry::Occupied(entry) = self.joinable.entry(hash)
            && *entry.get() == key
        {
            entry.remove();
        }
    }

    /// Keeps the memory of a transaction that is over for the next one.
    fn recycle(&mut self, mut transaction: Box<Transaction>) {
        if self.was_full {
            // What was allocated under load lies anywhere, and would be in the way of giving memory back.
            self.spare = Vec::new();
            self.was_full = !self.table.is_empty();
        } else if self.spare.len() < MAX_SPARE && transaction.message.capacity() <= 1024 {
            transaction.message.clear();
            self.spare.push(transaction);
        }
    }

    /// Forgets what waits or may become late, for the end: every transaction is over.
    pub fn close(&mut self) {
        debug_assert!(self.quotas.is_empty(), "each query is counted once");
        self.waiting.clear();
        self.hedging.clear();
    }

    /// Adds what it holds.
    pub fn measure(&self, gauges: &mut Gauges) {
        let all = || self.table.values();
        let histories = || all().map(|transaction| &transaction.history);
        let clients: usize = all().map(|one| one.clients().count()).sum();
        gauges.queries = self.clients_unfinished() + clients;
        gauges.transactions = self.table.len();
        gauges.joinable = self.joinable.len();
        gauges.waiting = histories().filter(|h| h.queued().is_some()).count();
        gauges.queues = self.waiting.queues();
        gauges.queued = self.waiting.places();
        gauges.stranded = histories()
            .filter(|history| !history.is_under_way() && history.queued().is_none())
            .count();
        gauges.timers = self.timers.count();
        gauges.sends = histories().map(History::sends).max().unwrap_or_default();
        gauges.connects = histories().map(History::connects).max().unwrap_or_default();
        let octets: usize = all().map(|transaction| transaction.octets()).sum();
        gauges.octets = octets + self.octets_unfinished();
    }
}

/// How many queries there may be in all, and of one client.
pub fn bounds(config: &Config) -> (usize, usize) {
    let limits = config.limits();
    let most = limits.in_flight.min(config.memory_for_queries() / UNIT);
    (most, limits.in_flight_per_client)
}

/// How many routes there are, with the default one.
fn routes(config: &Config) -> usize {
    1 + config.routes().len()
}
