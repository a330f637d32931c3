//! Which connection a query takes, and what else its sending gives occasion to.

use super::UpstreamPool;
use super::capacity::Bounds;
use super::connection::{Connection, Room};
use super::edns_support::EdnsSupport;
use super::streams::Streams;
use crate::engine::history::{Attempt, History, Opt, Purpose, Queue};
use crate::engine::keys::{ConnectionKey, TransactionKey};
use crate::engine::response::Edns;
use crate::engine::time::{Now, Time};
use crate::wire::{self, ClientSubnet, Query, Rewrite};
use std::cmp::Reverse;
use std::time::Duration;

/// What is to be done beside a query that was just sent.
#[derive(Debug, Default)]
pub struct Companions {
    /// The connection that it was sent on is to be replaced.
    pub replace: bool,
    /// Send a copy on this connection, to see whether its upstream is healthy again.
    pub probe: Option<ConnectionKey>,
    /// Connect to these upstreams.
    pub connect: [Option<usize>; 2],
}

/// Where a late query may be asked a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// On this connection.
    On(ConnectionKey),
    /// Nowhere yet: connect to this upstream, for the next late query.
    Connect(usize),
    Nowhere,
}

impl UpstreamPool {
    /// The connection that a query should take: one that is not suspect, of a healthy upstream, the most preferred one's, one where no
    /// lost packet seems to hold up queries, the newest. A query that was never sent may go beyond bounds that are not sure, since it can
    /// be sent again. One that lost connections rather goes where it was not yet, and to the connection with the fewest others. So do
    /// all at an upstream that answers in order.
    pub fn assign(
        &self,
        history: &History,
        (exclude, lane): Queue,
        now: Now,
    ) -> Option<ConnectionKey> {
        let is_first = history.sends() == 0;
        let has_room = |connection: &Connection| match self.room(connection, now) {
            Room::None => false,
            Room::Within => true,
            Room::Beyond => is_first && self.upstreams[connection.upstream].capacity.may_probe(),
        };
        let usable = |connection: &Connection| {
            !exclude.contains(connection.upstream) && connection.admits(lane)
        };
        let mut candidates = self.connections.iter().filter(|(key, connection)| {
            usable(connection) && has_room(connection) && !history.is_on(*key)
        });
        let first = candidates.next()?;
        let Some(second) = candidates.next() else {
            return self.unless_suspect(first, usable);
        };
        let best = [first, second]
            .into_iter()
            .chain(candidates)
            .min_by_key(|(_, connection)| {
                let upstream = &self.upstreams[connection.upstream];
                let isolated = lane.is_isolated();
                let tried = isolated && history.tried().contains(connection.upstream);
                let spreads = isolated || upstream.answers_in_order();
                (
                    connection.is_suspect(),
                    upstream.health.is_suspect(),
                    tried,
                    self.rank(history, connection.upstream),
                    if spreads {
                        connection.pipeline.live()
                    } else {
                        0
                    },
                    connection.is_held_up(),
                    Reverse(connection.since),
                )
            });
        self.unless_suspect(best?, usable)
    }

    /// A suspect connection has room because nothing is answered there: rather than take that, a query waits for room on a good one.
    fn unless_suspect(
        &self,
        (key, connection): (ConnectionKey, &Connection),
        usable: impl Fn(&Connection) -> bool,
    ) -> Option<ConnectionKey> {
        let serves = |other: &Connection| other.is_good() && !other.closing && usable(other);
        let waits = connection.is_suspect() && self.connections.values().any(serves);
        (!waits).then_some(key)
    }

    fn room(&self, connection: &Connection, now: Now) -> Room {
        let bounds: Bounds = self.upstreams[connection.upstream]
            .capacity
            .bounds(now.mono);
        connection.room(self.in_flight, bounds)
    }

    /// Gives a query a message id on a connection: the one gate, where what it may be sent to and all bounds on sending hold. `None` if it may not be sent there.
    pub fn enter(
        &mut self,
        transaction: TransactionKey,
        history: &History,
        to: ConnectionKey,
        purpose: Purpose,
        now: Now,
    ) -> Option<(Attempt, usize)> {
        let room = self.room(self.connections.get(to)?, now);
        let connection = self.connections.get_mut(to)?;
        let upstream = &mut self.upstreams[connection.upstream];
        let probes = room == Room::Beyond;
        let has_room = room != Room::None && (!probes || upstream.capacity.may_probe());
        let is_allowed = history.upstreams().contains(connection.upstream);
        if !is_allowed || !has_room || !history.may_send(purpose) || history.is_on(to) {
            return None;
        }
        let padded = self.own.padding.is_some()
            && upstream.padding.is_possible()
            && !history.without_padding.contains(connection.upstream);
        let wants_opt = padded || self.own.subnet == ClientSubnet::Forbid;
        let edns = edns_of(
            history,
            connection.upstream,
            wants_opt,
            &mut upstream.edns,
            now.mono,
        );
        // The first query on a connection asks how long it may be idle, if it can (RFC 7828 section 3.2.1).
        // A query that got no response is not sent with it again: the option may be the reason.
        let keepalive = edns == Edns::Sent
            && history.sends() == 0
            && connection.pipeline.is_unused()
            && connection.streams == Streams::Shared
            && upstream.keepalive.may_ask(now.mono);
        let pipeline = &mut connection.pipeline;
        let id = pipeline.enter(transaction, &mut self.random, now.mono)?;
        if probes {
            upstream.capacity.set_probing(true);
        }
        connection.used(history.lane(), &upstream.idle_timeout, now.mono);
        connection.asks_keepalive |= keepalive;
        upstream.used_at = now.mono;
        upstream.stats.sent += 1;
        let attempt = Attempt {
            connection: to,
            id,
            sent_at: now.mono,
            edns,
            probes,
            keepalive,
            padded: padded && edns == Edns::Sent,
        };
        Some((attempt, connection.upstream))
    }

    /// Writes a query as this attempt sends it.
    pub fn write_query(&self, message: &[u8], query: &Query, attempt: &Attempt, out: &mut Vec<u8>) {
        let rewrite = Rewrite {
            without_edns: attempt.edns == Edns::LeftOut,
            own_opt: self.own.own_opt.filter(|_| attempt.edns == Edns::Sent),
            subnet: self.own.subnet,
            keepalive: attempt.keepalive,
            padding: self.own.padding.filter(|_| attempt.padded),
        };
        wire::forward_query(message, query, &rewrite, out);
    }

    /// What a query that was just sent gives occasion to: a standby for a suspect connection, and a try of an upstream that would have
    /// been preferred.
    #[inline]
    pub fn companions(&self, history: &History, on: ConnectionKey, now: Now) -> Option<Companions> {
        let connection = self.connections.get(on)?;
        let upstream = connection.upstream;
        let mut companions = Companions {
            replace: connection.is_suspect()
                || (connection.is_uncertain() && self.pending(|u| u == upstream, false) == 0),
            ..Companions::default()
        };
        // Queries are spread over two connections, so that a slow name holds up only half of them.
        if self.upstreams[upstream].answers_in_order()
            && self.count_of(upstream, false) < 2
            && self.may_connect(upstream, self.nothing_up(history.upstreams()), now)
        {
            companions.connect[0] = Some(upstream);
        }
        if !history.upstreams().has_several() {
            return Some(companions);
        }
        let suspect = connection.is_suspect() || self.upstreams[upstream].health.is_suspect();
        let rank = self.rank(history, upstream);
        if suspect {
            companions.connect[1] = self.missing(history, upstream, u64::MAX, now);
        } else if rank > 0 {
            companions.probe = self.probe(history, upstream, rank, now);
            companions.connect[1] = self.missing(history, upstream, rank, now);
        }
        Some(companions)
    }

    /// The connection for a copy to an upstream that was passed over because it is suspect, if it is time to.
    fn probe(&self, history: &History, used: usize, rank: u64, now: Now) -> Option<ConnectionKey> {
        if history.lane().is_isolated() {
            return None;
        }
        let wanted = |upstream: usize| {
            let health = &self.upstreams[upstream].health;
            health.is_suspect()
                && health.is_due(now.mono)
                && upstream != used
                && !history.exclude().contains(upstream)
                && self.rank(history, upstream) < rank
        };
        let usable = |(_, connection): &(ConnectionKey, &Connection)| {
            connection.is_good() && !connection.is_isolated() && wanted(connection.upstream)
        };
        self.connections.iter().find(usable).map(|(key, _)| key)
    }

    /// A copy was sent on this connection to see whether its upstream is healthy again.
    pub fn probed(&mut self, connection: ConnectionKey, now: Now) {
        if let Some(upstream) = self.upstream_of(connection) {
            self.upstreams[upstream].health.probed(now.mono);
        }
    }

    /// An upstream that this query would rather have gone to, or that could stand in for a suspect one, and that has no good
    /// connection: the most preferred of those before `rank`.
    pub fn missing(&self, history: &History, used: usize, rank: u64, now: Now) -> Option<usize> {
        let nothing_up = self.nothing_up(history.upstreams());
        let wanted = |upstream: &usize| {
            *upstream != used
                && !history.exclude().contains(*upstream)
                && self.rank(history, *upstream) < rank
                && self.may_connect(*upstream, nothing_up, now)
        };
        let has_good = |upstream: usize| {
            let good =
                |c: &Connection| c.upstream == upstream && !c.is_suspect() && !c.is_isolated();
            self.connections.values().any(good)
        };
        (0..self.upstreams.len())
            .filter(wanted)
            .filter(|upstream| !has_good(*upstream))
            .min_by_key(|upstream| self.rank(history, *upstream))
    }

    /// Whether an upstream that it may be sent to and was not asked yet has a good connection, or may be connected to.
    pub fn has_untried(&self, history: &History, now: Now) -> bool {
        let upstreams = history.upstreams();
        let nothing_up = self.nothing_up(upstreams);
        let is_there = |upstream: usize| {
            let up = |c: &Connection| c.upstream == upstream && c.is_good();
            self.connections.values().any(up)
                || now.mono >= self.upstreams[upstream].backoff.connect_at(nothing_up)
        };
        let mut order = self.routes.order(history.route().number);
        order.any(|upstream| {
            let may_be_asked = upstreams.contains(upstream) && !history.tried().contains(upstream);
            may_be_asked && is_there(upstream)
        })
    }

    /// After how long without a response a query to this upstream counts as late.
    pub fn late_after(&self, upstream: usize) -> Option<Duration> {
        self.upstreams[upstream].round_trip.late_after()
    }

    /// Where a late query may be asked a second time. `elsewhere`: rather at another upstream, else at the same one, and only if none that
    /// was sent later on the same connections is answered: then the query itself is slow, and no packet was lost.
    pub fn second(&mut self, history: &History, elsewhere: bool, now: Now) -> Second {
        let mut may_be_lost = true;
        for attempt in history.attempts() {
            let connection = self.connections.get_mut(attempt.connection);
            may_be_lost &= connection.is_some_and(|connection| connection.late(attempt.sent_at));
        }
        if !elsewhere && !may_be_lost {
            return Second::Nowhere;
        }
        let tried = |connection: &Connection| history.tried().contains(connection.upstream);
        let usable = |key: ConnectionKey, connection: &Connection| {
            connection.is_good()
                && !connection.is_isolated()
                && !self.upstreams[connection.upstream].health.is_suspect()
                && !history.is_on(key)
                && !history.exclude().contains(connection.upstream)
                && (elsewhere || tried(connection))
        };
        let others = self.connections.iter();
        let best = others
            .filter(|(key, connection)| usable(*key, connection))
            .min_by_key(|(_, connection)| {
                (tried(connection), self.rank(history, connection.upstream))
            });
        if let Some((key, _)) = best {
            return Second::On(key);
        }
        let standby = self.standby(history, elsewhere, now);
        standby.map_or(Second::Nowhere, Second::Connect)
    }

    /// The upstream to connect to so that the next late query finds a second connection.
    fn standby(&self, history: &History, elsewhere: bool, now: Now) -> Option<usize> {
        let all = history.upstreams();
        if self.pending(|upstream| all.contains(upstream), false) > 0 {
            return None;
        }
        let on = history.attempts().next()?.connection;
        let upstream = self.upstream_of(on)?;
        if elsewhere && all.has_several() {
            return self.missing(history, upstream, u64::MAX, now);
        }
        let state = &self.upstreams[upstream];
        let may_connect = !state.is_removed() && now.mono >= state.backoff.connect_at(false);
        (self.count_of(upstream, false) < 2 && may_connect).then_some(upstream)
    }
}

/// Whether a query is sent to an upstream with an OPT record.
fn edns_of(
    history: &History,
    upstream: usize,
    wants_opt: bool,
    support: &mut EdnsSupport,
    now: Time,
) -> Edns {
    match history.opt {
        Opt::Fixed => Edns::Fixed,
        Opt::Last if !history.without_edns.contains(upstream) && support.send_with(now) => {
            Edns::Sent
        }
        Opt::Last => Edns::LeftOut,
        Opt::Absent if history.without_edns.contains(upstream) => Edns::Absent,
        Opt::Absent if history.with_edns.contains(upstream) => Edns::Sent,
        Opt::Absent if wants_opt && support.send_with(now) => Edns::Sent,
        Opt::Absent => Edns::Absent,
    }
}
