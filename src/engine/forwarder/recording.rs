//! Failures are recorded, where somebody may ask for the records. All of this is beside the way of a query that succeeds.

use super::Forwarder;
use crate::config::{Config, Policy};
use crate::engine::failure::{Explanation, Failure};
use crate::engine::history::Attempt;
use crate::engine::keys::{ConnectionKey, TransactionKey};
use crate::engine::output::Output;
use crate::engine::recorder::{
    Asked, Came, End, Failed, FailureId, Known, Line, Record, Recorder, Sent, Settings,
};
use crate::engine::response::{self, Meaning};
use crate::engine::time::Now;
use crate::engine::transactions::{Transaction, WaitingClient};
use crate::wire::{self, Ede, Response};
use std::time::Duration;

/// What happened so long before a query came is not part of its record.
const WINDOW: Duration = Duration::from_secs(600);

impl Forwarder {
    /// From now on what leads to a failure is recorded, in so many octets at most; 0: nothing, and what was is forgotten. `number`: of this
    /// forwarder, from 1 on, among so many that give their failures names of one kind.
    pub fn record_failures(&mut self, octets: usize, number: (usize, usize)) {
        let recorder = (octets > 0).then(|| Box::new(Recorder::new(octets, number)));
        self.ledger.failures.recorder = recorder;
        if octets > 0 {
            self.remember_failures();
        }
    }

    /// Octets that the records take.
    pub fn recorded(&self) -> usize {
        let recorder = self.ledger.failures.recorder.as_ref();
        recorder.map_or(0, |recorder| recorder.octets())
    }

    /// The failures of which there are records, the oldest first.
    pub fn recorded_failures(&self) -> Vec<FailureId> {
        let recorder = self.ledger.failures.recorder.as_ref();
        recorder.map_or_else(Vec::new, |recorder| recorder.ids().collect())
    }

    /// The record of a failure, if it is there still. `config`: the one that holds.
    pub fn why(&self, id: FailureId, config: &Config) -> Option<Record> {
        let recorder = self.ledger.failures.recorder.as_ref()?;
        let failed = recorder.find(id)?.clone();
        let policy = if failed.upstreams.is_empty() {
            Policy::default()
        } else {
            self.pool.policy(failed.route)
        };
        let numbers = failed.upstreams.iter().map(|state| state.number);
        let known = numbers.map(|number| {
            let label = self.pool.label(number);
            Known::of(number, label, self.pool.configured(number))
        });
        let known: Vec<Known> = known.collect();
        let begin = failed.arrived - WINDOW;
        let events = recorder.events_until(failed.at).filter(|event| {
            event.at >= begin
                && event
                    .what
                    .upstream()
                    .is_none_or(|it| known.iter().any(|known| known.number == it))
        });
        let events = events.cloned().collect();
        let settings = Settings::of(config, policy);
        let is_whole = !recorder.has_forgotten();
        Some(Record::new(settings, known, failed, events, is_whole))
    }

    /// Connects to an upstream, for no query in particular, or for those that lost their connections repeatedly: as a record has it that is played
    /// again.
    #[doc(hidden)]
    pub fn connect(&mut self, upstream: usize, isolated: bool, now: Now, out: &mut Output) {
        self.notice_resume(now, out);
        self.pool
            .connect(upstream, isolated, &mut self.ledger.at(now, out));
        self.settle(now, out);
    }

    /// An attempt came to nothing.
    pub(super) fn note_ended(
        &mut self,
        key: TransactionKey,
        attempt: Option<Attempt>,
        came: impl FnOnce() -> Came,
        now: Now,
    ) {
        if let Some(recorder) = &mut self.ledger.failures.recorder
            && let Some(attempt) = attempt
        {
            let connection = attempt.connection;
            let up = self.pool.upstream_of(connection);
            let line = up.map(|upstream| Line {
                upstream,
                connection,
            });
            if let Some(line) = line.or_else(|| recorder.line(connection)) {
                let sent = Sent {
                    line,
                    at: attempt.sent_at,
                    end: Some((now.mono, came())),
                };
                recorder.attempt(key, sent);
            }
        }
    }

    /// The attempt with this id on a connection came to nothing.
    pub(super) fn note_attempt(
        &mut self,
        connection: ConnectionKey,
        id: u16,
        came: impl FnOnce() -> Came,
        now: Now,
    ) {
        if self.ledger.failures.recorder.is_some()
            && let Some(key) = self.pool.waits_on(connection, id)
        {
            let history = self.transactions.history(key);
            let attempt = history.and_then(|history| history.on(connection));
            self.note_ended(key, attempt, came, now);
        }
    }

    /// A message came that cannot be read.
    pub(super) fn note_unreadable(&mut self, connection: ConnectionKey, message: &[u8], now: Now) {
        if let Some(id) = message.first_chunk() {
            let came = || Came::Message(wire::masked_response(message).into());
            self.note_attempt(connection, u16::from_be_bytes(*id), came, now);
        }
    }

    /// A query is about to fail. Gives the explanation with the name of the record.
    pub(super) fn record_failure(
        &mut self,
        key: TransactionKey,
        why: Explanation,
        now: Now,
    ) -> Explanation {
        if self.ledger.failures.recorder.is_none() {
            return why;
        }
        match self.record(key, End::of(why.failure, &why), now) {
            Some(id) => why.with_id(id),
            None => why,
        }
    }

    /// An upstream's response is about to be relayed that is none that the client has asked for.
    #[cold]
    pub(super) fn record_relayed(
        &mut self,
        key: TransactionKey,
        message: &[u8],
        answer: &Response,
        now: Now,
    ) {
        if self.ledger.failures.recorder.is_none() {
            return;
        }
        let end = match response::meaning(message, answer) {
            Meaning::Useful => return,
            Meaning::Truncated => {
                // Over UDP that is what it is; over a stream it is a failure.
                let transaction = self.transactions.get(key);
                let over_stream = |one: &WaitingClient| !one.client.is_datagram();
                if !transaction.is_some_and(|it| it.clients().any(over_stream)) {
                    return;
                }
                let why = Failure::Truncated.explain(std::iter::empty());
                End::of(Failure::Truncated, &why)
            }
            _ => {
                let mut errors = wire::extended_errors(message, answer.opt.as_ref());
                let theirs = errors.next().map(|error| error.code);
                // One that has none gets one: see `failure::of_response`.
                End::relayed(answer.rcode(), theirs.or(Some(Ede::OTHER.code)))
            }
        };
        if let Some(id) = self.record(key, end, now) {
            self.ledger.failures.relays(id);
        }
    }

    fn record(&mut self, key: TransactionKey, end: End, now: Now) -> Option<FailureId> {
        let transaction = self.transactions.get(key)?;
        let recorder = self.ledger.failures.recorder.as_mut()?;
        let history = &transaction.history;
        let at_once = history.sends() == 0;
        if at_once {
            let text = end.why.as_ref().map_or("", |(_, text)| text);
            let alike = recorder.alike(end.kind, text, now.mono);
            if alike.is_some() {
                return alike;
            }
        }
        let mut sent = recorder.attempts(key);
        sent.extend(history.attempts().filter_map(|attempt| {
            let connection = attempt.connection;
            let upstream = self.pool.upstream_of(connection)?;
            Some(Sent {
                line: Line {
                    upstream,
                    connection,
                },
                at: attempt.sent_at,
                end: None,
            })
        }));
        sent.sort_by_key(|sent| sent.at);
        let route = history.route().number;
        let id = recorder.next_id();
        let tried = history.tried();
        let is_upstream = |one: &&WaitingClient| self.pool.is_at(tried, one.client.addr.ip());
        let failed = Failed {
            id,
            count: 1,
            arrived: history.arrived,
            at: now.mono,
            asked: Asked {
                from_upstreams: transaction.more.iter().filter(is_upstream).count(),
                ..asked(transaction)
            },
            upstreams: self.pool.states(route, now),
            route,
            sent: sent.into(),
            connects: history.connects(),
            connections: self.pool.seen_connections(route),
            crowd: None,
            end,
        };
        recorder.failed(failed, at_once);
        Some(id)
    }
}

fn asked(transaction: &Transaction) -> Asked {
    let clients: Vec<&WaitingClient> = transaction.clients().collect();
    Asked::of(&transaction.message, &transaction.query, &clients)
}
