//! The response to a query: judged, learned from, and relayed, unless another one is asked for.

use super::Forwarder;
use crate::engine::history::{History, Purpose};
use crate::engine::keys::{ConnectionKey, TransactionKey};
use crate::engine::output::Output;
use crate::engine::recorder::Came;
use crate::engine::response::{self, Verdict};
use crate::engine::time::Now;
use crate::engine::transactions::{Happened, Step};
use crate::engine::upstreams::Matched;
use crate::engine::words::Lasting;
use crate::wire::{self, Response};
use log::{Level, debug, log_enabled};

/// Responses that say little, and are small, are kept beside a repetition. A larger one is not worth its memory.
const MAX_KEPT: usize = 2_048;

impl Forwarder {
    /// A response that can be read: to one of the queries on its connection, or to none.
    pub(super) fn read_response(
        &mut self,
        connection: ConnectionKey,
        message: &[u8],
        answer: &Response,
        now: Now,
        out: &mut Output,
    ) {
        if answer.header.flags.ad() && !answer.signed && self.pool.is_opportunistic(connection) {
            // Nobody knows who says that it is authentic.
            let (mut message, mut answer) = (message.to_vec(), *answer);
            answer.header.flags = wire::clear_ad(&mut message, answer.header.flags);
            return self.read_response(connection, &message, &answer, now, out);
        }
        match self.pool.find(connection, answer.header.id, now) {
            Matched::Transaction(key) if self.is_answer(key, message, answer) => {
                self.answered(key, connection, (message, answer), now, out);
            }
            Matched::Transaction(_) | Matched::Nobody => {
                self.pool
                    .unmatched(connection, &mut self.ledger.at(now, out));
            }
            Matched::Abandoned => {}
        }
    }

    /// Whether a message is the response to this query.
    fn is_answer(&self, key: TransactionKey, message: &[u8], answer: &Response) -> bool {
        self.transactions.get(key).is_some_and(|transaction| {
            let (sent, query) = (&transaction.message, &transaction.query);
            response::answers(message, answer, sent, query)
        })
    }

    /// The response to a query: it is relayed, or another one is asked for.
    fn answered(
        &mut self,
        key: TransactionKey,
        connection: ConnectionKey,
        (message, answer): (&[u8], &Response),
        now: Now,
        out: &mut Output,
    ) {
        let fx = &mut self.ledger.at(now, out);
        self.pool.matched(connection, answer.header.id, fx);
        let Some(attempt) = self.transactions.answered_on(key, connection, now) else {
            return;
        };
        let (Some(transaction), Some(upstream)) = (
            self.transactions.get(key),
            self.pool.upstream_of(connection),
        ) else {
            return;
        };
        let meaning = response::meaning(message, answer);
        let history = &transaction.history;
        self.pool
            .learn(&attempt, history, (message, answer), meaning, fx);
        let (signed, is_stale) = (transaction.query.signed, transaction.stale_at.is_some());
        let mut others = history.has_untried();
        if !meaning.is_useful() {
            let came = || Came::Message(wire::masked_response(message).into());
            self.note_ended(key, Some(attempt), came, now);
        }
        if !meaning.is_useful() && self.pool.splits() {
            // This may have been the failure by which its upstream became suspect.
            self.confine(key, now);
            let history = self.transactions.history(key);
            others = history.is_some_and(History::has_untried);
        }
        let verdict = response::judge(
            meaning,
            response::Sent {
                signed,
                edns: attempt.edns,
                added: attempt.added(),
                alternatives: others || is_stale,
            },
        );
        if verdict != Verdict::Relay
            && self.ask_again(key, connection, upstream, (message, verdict), now, out)
        {
            return;
        }
        if log_enabled!(Level::Debug)
            && let Some(transaction) = self.transactions.get(key)
        {
            debug!(
                "{}: {}, {} octets, from {} in {}",
                wire::describe(&transaction.message, &transaction.query.question),
                answer.rcode(),
                message.len(),
                self.pool.describe(connection),
                Lasting(now.mono.since(transaction.history.arrived)),
            );
        }
        self.trace(key, Some((&attempt, connection)), now);
        if !meaning.is_useful() {
            self.record_relayed(key, message, answer, now);
        }
        let fx = &mut self.ledger.at(now, out);
        let why = self.pool.useless(upstream, meaning, message, answer);
        let from = (Some(upstream), why);
        self.transactions.finish(key, (message, answer), from, fx);
        self.carry_out(now, out);
        let others_wait = |upstream| self.transactions.places_for(upstream) > 0;
        let fx = &mut self.ledger.at(now, out);
        self.pool.close_if_spent(connection, others_wait, fx);
    }

    /// A response is not to be relayed if another one can be had. Says whether it can.
    fn ask_again(
        &mut self,
        key: TransactionKey,
        connection: ConnectionKey,
        upstream: usize,
        (message, verdict): (&[u8], Verdict),
        now: Now,
        out: &mut Output,
    ) -> bool {
        let Some(history) = self.transactions.history_mut(key) else {
            return false;
        };
        match verdict {
            Verdict::WithoutEdns => {
                history.without_edns.insert(upstream);
                history.readmit(upstream);
            }
            Verdict::WithoutPadding => {
                history.without_padding.insert(upstream);
                history.readmit(upstream);
            }
            Verdict::WithEdns => history.with_edns.insert(upstream),
            _ => {}
        }
        if verdict == Verdict::WithEdns && message.len() <= MAX_KEPT {
            self.transactions.keep_fallback(key, message, upstream);
        }
        let happened = Happened::Response(verdict);
        if self.next_step(key, happened, true, now) == Step::SameConnection
            && self.send(key, connection, Purpose::Need, now, out)
        {
            return true;
        }
        self.transactions.keep_fallback(key, message, upstream);
        match self.next_step(key, happened, false, now) {
            Step::Relay => false,
            step => {
                self.take(step, key, now, out);
                true
            }
        }
    }
}
