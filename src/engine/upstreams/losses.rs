//! The end of a connection: what it says about its upstream, and what becomes of the queries on it.

use super::UpstreamPool;
use super::connection::Connection;
use super::health::Why;
use super::incidents::Incident;
use crate::engine::effects::{Effects, Task};
use crate::engine::failure::{STRAYS, remembered};
use crate::engine::history::Attempt;
use crate::engine::keys::ConnectionKey;
use crate::engine::output::Action;
use crate::engine::recorder::{Line, What};
use crate::engine::time::Time;
use crate::engine::words::{Lasting, counted};
use crate::transport::{ConnectionError, Limits};
use log::{Level, debug, log, warn};
use std::time::Duration;

/// A connection that an upstream, or we, closed after a shorter life is not made anew before a query comes: that would be more
/// handshakes than they save.
const WORTH_RENEWING: Duration = Duration::from_secs(3);

impl UpstreamPool {
    /// A connection ended: its queries are sent again.
    pub fn lost(&mut self, key: ConnectionKey, why: &ConnectionError, fx: &mut Effects<'_>) {
        let Some(connection) = self.connections.remove(key) else {
            return;
        };
        self.log_loss(&connection, why, fx);
        let now = fx.now.mono;
        let (upstream, live) = (connection.upstream, connection.pipeline.live());
        fx.failures.event(now, || {
            let of = Line {
                upstream,
                connection: key,
            };
            What::Lost(of, why.clone(), connection.pipeline.answered(), live)
        });
        let by_peer = matches!(
            why,
            ConnectionError::Closed | ConnectionError::Io(_) | ConnectionError::Truncated
        );
        // Where a connection was stale, or the upstream restarted, no query is to blame.
        let blame = by_peer && !connection.may_be_stale();
        let state = &mut self.upstreams[upstream];
        if by_peer && !connection.is_suspect() {
            let idle = now.since(connection.last_used);
            let quiet = if live == 0 { idle } else { connection.quiet };
            state.idle_timeout.closed_after(quiet, now);
        }
        if blame {
            let answered = connection.pipeline.answered();
            state.capacity.closed_busy(answered, live, now);
        }
        state.capacity.set_probing(false);
        if connection.asks_keepalive {
            state.keepalive.unanswered(now);
        }
        if *why == ConnectionError::Silent {
            self.suspect_upstream(upstream, Why::Silent, fx);
        } else if connection.is_fruitless(now)
            && !(connection.is_isolated() && state.has_just_answered(now))
            && state.ended_fruitless(now, &mut self.random)
        {
            self.suspect_upstream(upstream, Why::Closing, fx);
        }
        if *why == ConnectionError::Silent || (live > 0 && connection.may_be_stale()) {
            self.suspect_older(upstream, connection.since, connection.heard_at);
        }
        for transaction in connection.pipeline.live_transactions() {
            fx.task(Task::ConnectionLost(transaction, key, blame));
        }
        if by_peer && live == 0 {
            self.renew(&connection, fx);
        }
    }

    /// What a connection takes from now on. One that takes nothing more although it is idle is as good as closed by its upstream.
    pub fn limited(&mut self, key: ConnectionKey, limits: Limits, now: Time) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if limits.in_flight == 0 && !connection.closing && connection.pipeline.live() == 0 {
            let idle = now.since(connection.last_used);
            self.upstreams[connection.upstream]
                .idle_timeout
                .closed_after(idle, now);
        }
        connection.limited(limits.in_flight);
    }

    /// One query was lost on a connection that goes on: it is sent again, if it may be. The upstream itself still works, unless it rejects
    /// every query.
    pub fn query_lost(
        &mut self,
        key: ConnectionKey,
        id: u16,
        why: &ConnectionError,
        fx: &mut Effects<'_>,
    ) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let lost = connection.pipeline.lose(id);
        let state = &mut self.upstreams[connection.upstream];
        let (upstream, reason) = (connection.upstream, remembered(&why.to_string()));
        // That a connection is about to end is nothing to tell of.
        let told = match why {
            ConnectionError::Unprocessed => None,
            _ => (state.incidents).note(Incident::Lost, &reason, fx.now.mono),
        };
        match told {
            Some(untold) => warn!(
                "{} {}: a query is lost: {reason}{untold}",
                state.label, connection.goes_to
            ),
            None => debug!(
                "{} {}: a query is lost: {reason}",
                state.label, connection.goes_to
            ),
        }
        state.trouble = Some(reason);
        if let ConnectionError::Rejected(_) = why {
            // It is a response, if none of DNS.
            self.heard(key, fx.now);
            let state = &mut self.upstreams[upstream];
            state.stats.useless += 1;
            if let Some(change) = state.health.answered(false, fx.now.mono) {
                self.note_health(upstream, change, fx);
            }
        }
        if let Some(transaction) = lost {
            fx.task(match why {
                ConnectionError::Unprocessed => Task::AttemptUnprocessed(transaction, key),
                ConnectionError::Rejected(_) => Task::AttemptFailed(transaction, key),
                _ => Task::AttemptLost(transaction, key),
            });
        }
    }

    fn log_loss(&mut self, connection: &Connection, why: &ConnectionError, fx: &mut Effects<'_>) {
        let addr = connection.goes_to;
        let state = &mut self.upstreams[connection.upstream];
        let live = connection.pipeline.live();
        let answered = counted(connection.pipeline.answered(), "response", "responses");
        let age = Lasting(fx.now.mono.since(connection.since));
        if live == 0 && *why == ConnectionError::Closed {
            debug!("{} {addr}: {why}, after {age} and {answered}", state.label);
            return;
        }
        fx.stats.connections_lost += 1;
        state.stats.lost_connections += 1;
        let lost = remembered(&format!("connection lost: {why}"));
        let told = state.incidents.note(Incident::Lost, &lost, fx.now.mono);
        let level = told.as_ref().map_or(Level::Debug, |_| Level::Warn);
        let untold = told.unwrap_or_default();
        log!(
            level,
            "{} {addr}: {lost}, after {age} and {answered}, {} in flight{untold}",
            state.label,
            counted(live as u64, "query", "queries"),
        );
        let strays = state.trouble.as_deref() == Some(STRAYS);
        // That says more than that the right answer did not come.
        if !(strays && *why == ConnectionError::Silent) {
            state.trouble = Some(lost);
        }
    }

    /// The time of a query ended with this attempt under way. If it had a fair share of that time, its connection may be dead.
    pub fn missed(&mut self, attempt: &Attempt, fx: &mut Effects<'_>) {
        let Some(connection) = self.connections.get_mut(attempt.connection) else {
            return;
        };
        let short = fx.now.mono.since(attempt.sent_at) < self.timeout / 2;
        if !short && connection.missed(attempt.sent_at) {
            self.drop_connection(attempt.connection, &ConnectionError::Silent, fx);
        }
    }

    /// A message came that answers no query.
    pub fn unmatched(&mut self, key: ConnectionKey, fx: &mut Effects<'_>) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        fx.stats.strays += 1;
        let upstream = connection.upstream;
        let trouble = &mut self.upstreams[upstream].trouble;
        if trouble.as_deref() != Some(STRAYS) {
            *trouble = Some(STRAYS.into());
            fx.failures.event(fx.now.mono, || {
                What::Unmatched(Line {
                    upstream,
                    connection: key,
                })
            });
        }
        if connection.unmatched() {
            let why = ConnectionError::Protocol("too many messages that answer no query");
            self.drop_connection(key, &why, fx);
        }
    }

    /// Closes a connection as if it had been lost.
    fn drop_connection(&mut self, key: ConnectionKey, why: &ConnectionError, fx: &mut Effects<'_>) {
        fx.out.push(Action::Close { connection: key });
        self.lost(key, why, fx);
    }

    /// Connections of an upstream that are older than one that was found dead, and not heard of since, are no better.
    pub(super) fn suspect_older(&mut self, upstream: usize, since: Time, heard_at: Time) {
        for connection in self.connections.values_mut() {
            let older = connection.since <= since && connection.heard_at <= heard_at;
            if connection.upstream == upstream && connection.is_up() && older {
                connection.mark_suspect();
            }
        }
    }

    /// Closes connections that are idle before their upstreams do, and those that are of no use.
    pub fn close_idle(&mut self, fx: &mut Effects<'_>) {
        let now = fx.now.mono;
        let limit = |upstream: usize| self.upstreams[upstream].idle_timeout.limit();
        for key in self.keys(|c| c.is_useless(limit(c.upstream), now)) {
            let Some(closed) = self.close_one(key, fx) else {
                continue;
            };
            if !closed.is_isolated() {
                self.renew(&closed, fx);
            }
            let upstream = &mut self.upstreams[closed.upstream];
            if now >= closed.last_used + upstream.idle_timeout.limit() {
                upstream.idle_timeout.outlived(now);
            }
            debug!(
                "{} {}: closed here after {}, {}",
                upstream.label,
                closed.goes_to,
                counted(closed.pipeline.answered(), "response", "responses"),
                if closed.is_suspect() {
                    "silent"
                } else {
                    "idle"
                },
            );
        }
    }

    fn renew(&mut self, closed: &Connection, fx: &mut Effects<'_>) {
        if fx.now.mono.since(closed.since) >= WORTH_RENEWING {
            self.keep_ready(closed.upstream, fx);
        }
    }

    /// Closes a connection that has had all the queries that its upstream takes on one, if that is sure or if others wait for one to it.
    pub fn close_if_spent(
        &mut self,
        key: ConnectionKey,
        others_wait: impl FnOnce(usize) -> bool,
        fx: &mut Effects<'_>,
    ) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        let capacity = &self.upstreams[connection.upstream].capacity;
        let spent = connection.is_spent(capacity.bounds(fx.now.mono));
        if spent && (capacity.is_sure() || others_wait(connection.upstream)) {
            self.close_one(key, fx);
        }
    }
}
