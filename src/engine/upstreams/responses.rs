//! What comes on a connection: which query a response belongs to, and what it teaches about its upstream.

use super::UpstreamPool;
use super::keepalive;
use super::pipeline::Slot;
use crate::engine::effects::{Effects, Task};
use crate::engine::history::{Attempt, History};
use crate::engine::keys::{ConnectionKey, TransactionKey};
use crate::engine::response::{Edns, Meaning};
use crate::engine::time::{Now, Time};
use crate::wire::Response;
use log::{debug, info};

/// What a message id on a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// This transaction waits for it.
    Transaction(TransactionKey),
    /// A query that was given up had it. A late response is harmless: nobody waits for it.
    Abandoned,
    /// Nobody.
    Nobody,
}

impl UpstreamPool {
    /// Which query has this id on a connection. An abandoned one's id is free from now on.
    pub fn find(&mut self, connection: ConnectionKey, id: u16, now: Now) -> Matched {
        let Some(on) = self.connections.get_mut(connection) else {
            return Matched::Nobody;
        };
        match on.pipeline.find(id) {
            Some(transaction) => Matched::Transaction(transaction),
            None if on.pipeline.leave(id) => {
                self.heard(connection, now);
                Matched::Abandoned
            }
            None => Matched::Nobody,
        }
    }

    /// A message came on a connection that belongs to a query there. Others are no sign of life: an upstream that answers nothing is as
    /// good as a silent one.
    pub(super) fn heard(&mut self, connection: ConnectionKey, now: Now) {
        let Some(on) = self.connections.get_mut(connection) else {
            return;
        };
        let quiet = on.heard(now.mono);
        if !quiet.is_zero() {
            self.upstreams[on.upstream]
                .idle_timeout
                .answered_after(quiet);
        }
    }

    /// A response is that to the query with this id: the id is free from now on.
    pub fn matched(&mut self, connection: ConnectionKey, id: u16, fx: &mut Effects<'_>) {
        self.heard(connection, fx.now);
        let Some(on) = self.connections.get_mut(connection) else {
            return;
        };
        on.matched();
        on.pipeline.leave(id);
        let upstream = &mut self.upstreams[on.upstream];
        upstream.capacity.answered(on.pipeline.answered());
        if on.pipeline.is_reordered() && !upstream.is_known_to_reorder() {
            upstream.reordered();
        }
        upstream.stats.answered += 1;
        if upstream.answered(on.failures_before, fx.now.mono) {
            let failed = upstream.incidents.connected();
            info!("{} {}: answers again{failed}", upstream.label, on.addr);
        }
    }

    /// A response to this attempt came, and it says this.
    pub fn learn(
        &mut self,
        attempt: &Attempt,
        history: &History,
        (message, answer): (&[u8], &Response),
        meaning: Meaning,
        fx: &mut Effects<'_>,
    ) {
        let now = fx.now.mono;
        self.notice_order(attempt.connection, history, now);
        let Some(on) = self.connections.get_mut(attempt.connection) else {
            return;
        };
        let upstream = on.upstream;
        on.answered_up_to = on.answered_up_to.max(attempt.sent_at);
        let state = &mut self.upstreams[upstream];
        match keepalive::said(message, answer) {
            // Zero: it wants this connection closed (RFC 7828 section 3.3.2).
            Some(timeout) if timeout.is_zero() => on.closing = true,
            Some(timeout) => state.idle_timeout.said(timeout),
            None => {}
        }
        state.trouble = None;
        state.round_trip.measured(now.since(attempt.sent_at), now);
        if attempt.probes {
            state.capacity.forget();
        }
        state.stats.useless += u64::from(!meaning.is_useful());
        if attempt.keepalive {
            on.asks_keepalive = false;
            match meaning {
                // One that knows EDNS may still not like the option that we added. It is not added again.
                Meaning::NotUnderstood { .. } => state.keepalive.refused(),
                _ => state.keepalive.answered(),
            }
        }
        if attempt.padded && state.padding.answered(message, answer) {
            let label = &state.label;
            info!(
                "{label}: does not pad its responses (RFC 7830), so that their lengths show something of what they are"
            );
        }
        if history.without_padding.contains(upstream)
            && !history.without_edns.contains(upstream)
            && meaning.is_useful()
            && state.padding.refused()
        {
            let label = &state.label;
            info!(
                "{label}: does not understand padded queries (RFC 7830); from now on none to it is padded"
            );
        }
        if attempt.edns == Edns::Sent {
            if answer.opt.is_some() || meaning.is_useful() {
                state.edns.taken(answer.opt.is_some());
            }
        } else if history.without_edns.contains(upstream) && meaning.is_useful() {
            state.edns.refused(now);
        }
        if let Some(change) = state.health.answered(meaning.shows_health(), now) {
            self.note_health(upstream, change, fx);
        }
    }

    /// A query was answered on one connection while it waits on another one: if there it waited behind an older one that is still not
    /// answered, the upstream answers in order.
    fn notice_order(&mut self, answered_on: ConnectionKey, history: &History, now: Time) {
        let mut others = history.attempts();
        let Some(other) = others.find(|attempt| attempt.connection != answered_on) else {
            return;
        };
        let Some(connection) = self.connections.get(other.connection) else {
            return;
        };
        let is_behind = match connection.pipeline.head() {
            Some(Slot::Live(head)) => connection.pipeline.find(other.id) != Some(head),
            Some(Slot::Abandoned) => true,
            None => false,
        };
        if connection.is_suspect() && is_behind {
            self.upstreams[connection.upstream].held_up(now);
        }
    }

    /// A message that cannot be read came in a frame that can. It concerns the query whose id it bears, if any, and no other: the next
    /// frame begins where this one ends.
    pub fn malformed(
        &mut self,
        connection: ConnectionKey,
        message: &[u8],
        why: &'static str,
        fx: &mut Effects<'_>,
    ) {
        let Some(on) = self.connections.get_mut(connection) else {
            return;
        };
        let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
        let Some((id, transaction)) = id.and_then(|id| Some((id, on.pipeline.find(id)?))) else {
            return self.unmatched(connection, fx);
        };
        on.pipeline.leave(id);
        fx.stats.malformed_answers += 1;
        let label = &self.upstreams[on.upstream].label;
        debug!("{label} {}: malformed response: {why}", on.addr);
        self.heard(connection, fx.now);
        fx.task(Task::AttemptFailed(transaction, connection));
    }

    /// The upstream and address of a connection, for the log.
    pub fn describe(&self, connection: ConnectionKey) -> String {
        self.connections
            .get(connection)
            .map_or_else(String::new, |on| {
                format!("{} {}", self.upstreams[on.upstream].label, on.addr)
            })
    }
}
