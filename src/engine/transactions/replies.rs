//! A transaction is over: its clients get what there is. One large response for many clients leaves in parts, so that the list of what
//! the driver has to do stays small.

use super::quotas;
use super::{Transaction, Transactions, WaitingClient};
use crate::engine::answered::Origin;
use crate::engine::cache::Key;
use crate::engine::client::Client;
use crate::engine::effects::Effects;
use crate::engine::failed_queries::Failing;
use crate::engine::failure::{Explanation, Failure};
use crate::engine::keys::TransactionKey;
use crate::engine::recorder::{FailureId, Kind};
use crate::engine::response;
use crate::engine::time::{Now, Time};
use crate::engine::words::counted;
use crate::wire::{self, Ede, Rcode, Recipient};
use log::debug;
use std::borrow::Cow;
use std::collections::VecDeque;

/// A transaction that is over, with clients that have not got their responses yet.
pub struct Unfinished {
    transaction: Box<Transaction>,
    response: Response<'static>,
}

impl Unfinished {
    /// Those clients.
    pub fn clients(&self) -> impl Iterator<Item = &WaitingClient> {
        self.transaction.clients()
    }
}

/// What the clients of a transaction get.
enum Response<'a> {
    /// With the number of the upstream that gave it, and what it means if it is of no use.
    Answer(
        Cow<'a, [u8]>,
        wire::Response,
        Option<usize>,
        Option<Box<Explanation>>,
    ),
    Failure(Explanation),
}

impl Response<'_> {
    fn into_owned(self) -> Response<'static> {
        match self {
            Self::Answer(message, answer, from, why) => {
                Response::Answer(message.into_owned().into(), answer, from, why)
            }
            Self::Failure(why) => Response::Failure(why),
        }
    }
}

impl Transactions {
    /// A response is relayed to all clients that wait for it. `from`: the number of the upstream that gave it, if that is known. `why`: what
    /// it means, if it is of no use.
    pub fn finish(
        &mut self,
        key: TransactionKey,
        (message, answer): (&[u8], &wire::Response),
        (from, why): (Option<usize>, Option<Box<Explanation>>),
        fx: &mut Effects<'_>,
    ) {
        let Some(transaction) = self.remove(key, fx) else {
            return;
        };
        self.note_time(&transaction, fx.now);
        let why = why.map(|why| match fx.failures.take_relayed() {
            Some(id) => Box::new(why.with_id(id)),
            None => why,
        });
        if let Some(key) = transaction.key() {
            let query = (&*transaction.message, &transaction.query);
            match why.as_ref().and_then(|why| why.added()) {
                // The reason is remembered with it.
                Some(ede) => {
                    let failure = (answer.rcode(), ede);
                    self.cache.put_failure(&key, query, failure, fx.now.boot);
                }
                None => self.cache.put(&key, query, (message, answer), fx.now.boot),
            }
        }
        if let Some(why) = why.as_ref().filter(|_| self.failed.is_on()) {
            let theirs = wire::extended_errors(message, answer.opt.as_ref()).next();
            let told = (answer.rcode(), why.added().or(theirs));
            self.note_failure(&transaction, told, why.id(), fx.now);
        }
        let response = Response::Answer(message.into(), *answer, from, why);
        self.relay(transaction, response, fx);
    }

    /// The clients get what there is, since there is no response: a stale answer, or SERVFAIL and the reason.
    pub fn fail(&mut self, key: TransactionKey, why: Explanation, fx: &mut Effects<'_>) {
        let Some(transaction) = self.remove(key, fx) else {
            return;
        };
        self.note_time(&transaction, fx.now);
        let sends = transaction.history.sends();
        debug!(
            "{}: {}, {}, sent {}",
            wire::describe(&transaction.message, &transaction.query.question),
            why.rcode,
            why.ede().text,
            counted(u64::from(sends), "time", "times"),
        );
        // What was never sent says nothing about the name: it must work at once when there is a network again.
        if let Some(key) = transaction.key().filter(|_| sends > 0) {
            let query = (&*transaction.message, &transaction.query);
            let failure = (why.rcode, why.ede());
            self.cache.put_failure(&key, query, failure, fx.now.boot);
        }
        let told = (why.rcode, Some(why.ede()));
        self.note_failure(&transaction, told, why.id(), fx.now);
        self.relay(transaction, Response::Failure(why), fx);
    }

    /// Notes a query that fails, for whoever asks about it later.
    fn note_failure(
        &mut self,
        transaction: &Transaction,
        (rcode, why): (Rcode, Option<Ede<'_>>),
        id: Option<FailureId>,
        now: Now,
    ) {
        if !self.failed.is_on() {
            return;
        }
        let key = transaction.key();
        let served_stale = key.is_some_and(|key| self.cache.has_data(&key, now.boot));
        let failing = Failing {
            served_stale,
            ..failing(transaction, id)
        };
        self.failed.note(&failing, rcode, why, now);
    }

    /// Notes how long the client that came first has waited, if one waits.
    fn note_time(&mut self, transaction: &Transaction, now: Now) {
        if transaction.first.is_some() || !transaction.more.is_empty() {
            self.times.took(transaction.history.arrived, now.mono);
        }
    }

    /// Answers all clients that wait. A stale answer is better than a failure or an unusable response.
    fn relay(
        &mut self,
        mut transaction: Box<Transaction>,
        response: Response<'_>,
        fx: &mut Effects<'_>,
    ) {
        let payload = self.udp_payload;
        let is_worse_than_stale = match &response {
            Response::Answer(message, answer, ..) => {
                response::meaning(message, answer).is_worse_than_stale()
            }
            Response::Failure(_) => true,
        };
        let arrived = transaction.history.arrived;
        let mut relayed = None;
        while let Some(waiting) = transaction.next_client() {
            if fx.out.is_full() {
                // The driver first has to do what there is; then the rest is answered.
                transaction.first = Some(waiting);
                let response = response.into_owned();
                return self.unfinished.push_back(Unfinished {
                    transaction,
                    response,
                });
            }
            let question = transaction.question();
            let key = transaction.key().filter(|_| is_worse_than_stale);
            if self.reply_stale(key.as_ref(), question, &waiting, arrived, fx) {
                continue;
            }
            match &response {
                Response::Failure(why) => {
                    count(why.failure, fx);
                    fx.failures.note(why, fx.now.mono);
                    self.reply_why(&transaction, &waiting, why, fx);
                }
                Response::Answer(_, answer, ..)
                    if answer.header.flags.tc() && !waiting.client.is_datagram() =>
                {
                    // Whoever asks over a stream cannot ask for more; a silently short answer would be worse.
                    fx.stats.answered += 1;
                    fx.stats.truncated += 1;
                    let mut why = Failure::Truncated.explain(std::iter::empty());
                    if let Some(id) = relayed.or_else(|| fx.failures.take_relayed()) {
                        relayed = Some(id);
                        why = why.with_id(id);
                    }
                    fx.failures.note(&why, fx.now.mono);
                    let told = (why.rcode, Some(why.ede()));
                    self.note_failure(&transaction, told, why.id(), fx.now);
                    self.reply_why(&transaction, &waiting, &why, fx);
                }
                Response::Answer(message, answer, from, why) => {
                    fx.stats.answered += 1;
                    if let Some(why) = why {
                        fx.failures.note(why, fx.now.mono);
                    }
                    let reply = waiting.reply(question);
                    let origin = Origin::Upstream(*from, arrived);
                    let added = why.as_ref().and_then(|why| why.added());
                    fx.reply(waiting.client, origin, |out| match added {
                        None => wire::relay_response(message, answer, &reply, payload, out),
                        Some(ede) => {
                            wire::relay_error(message, answer, &reply, payload, ede, out);
                        }
                    });
                    if waiting.edns.is_some() && answer.rcode().is_extended() {
                        let rcode = answer.rcode().0 as u8;
                        fx.replies.extend(waiting.client, rcode);
                    }
                }
            }
        }
        self.recycle(transaction);
    }

    /// Answers one client of a transaction with SERVFAIL and the reason.
    fn reply_why(
        &self,
        transaction: &Transaction,
        waiting: &WaitingClient,
        why: &Explanation,
        fx: &mut Effects<'_>,
    ) {
        let reply = waiting.reply(transaction.question());
        let cd = transaction.query.header.flags.cd();
        let why = (why, transaction.history.arrived);
        reply_failure(waiting.client, &reply, cd, why, self.udp_payload, fx);
    }

    /// Answers clients that had to wait until there was room.
    pub fn go_on(&mut self, fx: &mut Effects<'_>) {
        while !fx.out.is_full()
            && let Some(unfinished) = self.unfinished.pop_front()
        {
            self.relay(unfinished.transaction, unfinished.response, fx);
        }
    }

    /// Whether some have to.
    pub fn has_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// How many they are.
    pub(super) fn clients_unfinished(&self) -> usize {
        let waiting = |unfinished: &Unfinished| unfinished.transaction.clients().count();
        self.unfinished.iter().map(waiting).sum()
    }

    /// Octets of memory for messages in them.
    pub(super) fn octets_unfinished(&self) -> usize {
        let octets = |unfinished: &Unfinished| {
            let response = match &unfinished.response {
                Response::Answer(message, ..) => message.len(),
                Response::Failure(_) => 0,
            };
            unfinished.transaction.octets() + response
        };
        self.unfinished.iter().map(octets).sum()
    }

    /// One client's query makes room for another's. Others may wait for the same transaction.
    pub(super) fn give_up(
        &mut self,
        key: TransactionKey,
        number: u64,
        why: Failure,
        fx: &mut Effects<'_>,
    ) {
        let Some(transaction) = self.table.get_mut(key) else {
            return;
        };
        let Some(waiting) = transaction.take_client(number) else {
            return;
        };
        self.quotas.leave(&waiting.client, number, waiting.units);
        let transaction = &self.table[key];
        let known = transaction.key();
        let arrived = transaction.history.arrived;
        if !self.reply_stale(
            known.as_ref(),
            transaction.question(),
            &waiting,
            arrived,
            fx,
        ) {
            fx.stats.yielded += 1;
            let crowd = self.quotas.crowd(&waiting.client, 1);
            let kind = Kind::GaveWay(why);
            let asked = || transaction.asked(&waiting);
            let why = why.explain(std::iter::empty());
            let why = fx.record_at_once(kind, why, crowd, arrived, asked);
            fx.failures.note(&why, fx.now.mono);
            self.reply_why(transaction, &waiting, &why, fx);
            if self.failed.is_on() {
                let failing = failing(transaction, why.id());
                self.failed.note_refused(&failing, &why, fx.now);
            }
        }
        if transaction.clients().next().is_none()
            && let Some(transaction) = self.remove(key, fx)
        {
            self.recycle(transaction);
        }
    }

    /// Answers all clients that wait with a stale answer. The transaction goes on, to learn the fresh one.
    pub fn serve_stale(&mut self, key: TransactionKey, fx: &mut Effects<'_>) {
        let Some(transaction) = self.table.get_mut(key) else {
            return;
        };
        if transaction.key().is_none() {
            return;
        }
        let mut waiting: Vec<WaitingClient> = Vec::new();
        while let Some(client) = transaction.next_client() {
            waiting.push(client);
        }
        let arrived = transaction.history.arrived;
        let served_before = fx.stats.stale;
        let mut unserved = VecDeque::new();
        let mut put_off = false;
        for client in waiting {
            put_off |= fx.out.is_full();
            let transaction = &self.table[key];
            let key = transaction.key();
            let question = transaction.question();
            if !put_off && self.reply_stale(key.as_ref(), question, &client, arrived, fx) {
                self.quotas
                    .leave(&client.client, client.number, client.units);
            } else {
                unserved.push_back(client);
            }
        }
        if fx.stats.stale > served_before {
            self.times.took(arrived, fx.now.mono);
        }
        let transaction = &mut self.table[key];
        transaction.more = unserved;
        if put_off {
            transaction.stale_at = Some(fx.now.mono);
            self.timers.set(key, transaction.alarm());
        }
        if transaction.more.is_empty() && transaction.idle.is_none() {
            let units = quotas::units(transaction.message.len());
            transaction.idle = Some(self.quotas.rest(key, units));
        }
    }

    /// Answers a client with what the cache has, be it stale, if it has anything. It waits since then.
    pub(super) fn reply_stale(
        &self,
        key: Option<&Key<'_>>,
        question: &[u8],
        waiting: &WaitingClient,
        since: Time,
        fx: &mut Effects<'_>,
    ) -> bool {
        let Some(key) = key else {
            return false;
        };
        let reply = waiting.reply(question);
        let now = fx.now.boot;
        let served = fx.reply_if_any(waiting.client, Origin::Stale(since), |out| {
            let payload = self.udp_payload;
            self.cache.get_stale(key, &reply, payload, now, out)
        });
        fx.stats.stale += u64::from(served);
        served
    }
}

/// It fails now.
fn failing(transaction: &Transaction, id: Option<FailureId>) -> Failing<'_> {
    Failing {
        message: &transaction.message,
        question: &transaction.query.question,
        arrived: transaction.history.arrived,
        sends: transaction.history.sends(),
        tried: transaction.history.tried(),
        id,
        served_stale: false,
    }
}

/// Counts a query that is answered with SERVFAIL.
fn count(why: Failure, fx: &mut Effects<'_>) {
    let stats = &mut *fx.stats;
    stats.failed += 1;
    match why {
        Failure::NotConnected => stats.failed_unconnected += 1,
        Failure::NotAnswered | Failure::Loop => stats.failed_unanswered += 1,
        Failure::ConnectionLost => stats.failed_lost += 1,
        Failure::Malformed => stats.failed_malformed += 1,
        Failure::Ending => stats.failed_ending += 1,
        // They end no transaction, or are answers, and have counters of their own.
        Failure::Truncated
        | Failure::TooMany
        | Failure::TooManyOfClient
        | Failure::NotAllowed
        | Failure::Servfail
        | Failure::Refused
        | Failure::NotUnderstood
        | Failure::NotValidated
        | Failure::Blocked => {}
    }
}

/// Answers a client's query with a failure, after it has waited since then. `cd`: whether the query has that flag.
pub fn reply_failure(
    client: Client,
    reply: &Recipient<'_>,
    cd: bool,
    (why, since): (&Explanation, Time),
    payload: u16,
    fx: &mut Effects<'_>,
) {
    let (head, ede) = ((0, cd, why.rcode), Some(why.ede()));
    fx.reply(client, Origin::Failure(why, since), |out| {
        wire::local_response(reply, head, ede, payload, out);
    });
}
