//! Every configured upstream and every connection to one.
//!
//! [`UpstreamPool`] owns them: it assigns queries to connections, makes connections, notices when they fail or fall silent, and closes
//! them when they are idle. Of a transaction it only knows its name and its [`History`]; what follows for transactions it leaves as
//! tasks.
//!
//! - `assignment`: which connection a query takes. `selection`: which upstream comes first, by the policy. `routes`: among which.
//!   `split`: which of them a domain is kept to, where the policy does that.
//! - `connecting`: when a connection is made, to which upstream. `backoff`: when that may be tried again.
//! - `responses`: what a response teaches about its upstream. `losses`: what the end of a connection does.
//! - `silence`: connections that do not answer, and what is asked elsewhere because of that. `health`: upstreams that do not.
//!   `reachability`: both together.
//! - `upstream`: what is known of one, with `capacity`, `edns_support`, `idle_timeout`, `keepalive`, `padding`, `round_trip`,
//!   `incidents`.
//! - `connection`: one connection, with the queries in flight on it: `pipeline`, in one of the `streams` or in many.
//! - `resume`: noticing that the machine was suspended. `moving`: the network has changed; `networks`: what was learned over each.
//!   `reconfiguration`: other upstreams than before. `measuring`: gauges. `recording`: what a record of a failure says. `explaining`: what of it people are told.

mod assignment;
mod backoff;
mod capacity;
mod connecting;
mod connection;
mod edns_support;
mod explaining;
mod health;
mod idle_timeout;
mod incidents;
mod keepalive;
mod losses;
mod measuring;
mod moving;
mod networks;
mod padding;
mod pipeline;
mod reachability;
mod reconfiguration;
mod recording;
mod responses;
mod resume;
mod round_trip;
mod routes;
mod selection;
mod silence;
mod split;
mod streams;
#[cfg(test)]
mod tests;
mod upstream;

pub use assignment::Second;
pub use responses::Matched;

use super::effects::{Effects, Task};
use super::failure::{self, Explanation, Trouble};
use super::history::{Attempt, History, Preference};
use super::keys::{ConnectionKey, TransactionKey};
use super::numbers::Numbers;
use super::output::Action;
use super::recorder::{Line, What};
use super::response::Meaning;
use super::routes::route_upstreams;
use super::stats::UpstreamStats;
use super::time::{Now, Time};
use super::upstream_set::UpstreamSet;
use crate::config::{Config, Profile, SplitKey, Upstream as Configured};
use crate::wire::{Response, Rewrite};
use connection::Connection;
use rand_chacha::ChaCha8Rng;
use routes::Routes;
use slotmap::SlotMap;
use split::Split;
use std::net::IpAddr;
use std::time::Duration;
use upstream::Upstream;

/// The upstreams, and the connections to them.
pub struct UpstreamPool {
    /// By number.
    upstreams: Vec<Upstream>,
    numbers: Numbers,
    connections: SlotMap<ConnectionKey, Connection>,
    routes: Routes,
    random: ChaCha8Rng,
    /// What may be added to queries here.
    own: Rewrite,
    /// The most queries in flight on one connection.
    in_flight: usize,
    timeout: Duration,
    /// Splits domains while none is configured.
    split_key: SplitKey,
    /// The upstreams that were healthy when this last mattered.
    healthy: UpstreamSet,
    /// The clocks at the last event.
    seen: Now,
}

/// What may be added to a query on its way to an upstream, whatever the upstream can do.
fn own_options(config: &Config) -> Rewrite {
    Rewrite {
        own_opt: Some(config.limits().udp_payload),
        subnet: config.client_subnet(),
        padding: config.padding(),
        ..Rewrite::default()
    }
}

impl UpstreamPool {
    /// As configured, with nothing known and no connection.
    pub fn new(config: &Config, random: ChaCha8Rng) -> Self {
        let (all, numbers) = (config.all_upstreams(), Numbers::new(config));
        let split_key = SplitKey::of_seed(random.get_seed());
        let split = Split::new(config, split_key, &numbers);
        Self {
            upstreams: all.iter().map(Upstream::new).collect(),
            connections: SlotMap::with_key(),
            routes: Routes::new(all.len(), route_upstreams(config, &numbers), split),
            numbers,
            random,
            own: own_options(config),
            in_flight: config.limits().link_in_flight,
            timeout: config.timeout(),
            split_key,
            healthy: UpstreamSet::EMPTY,
            seen: Now::default(),
        }
    }

    /// The upstream that a new query for this name on this route should be sent to first.
    #[inline]
    pub fn preferred(&mut self, route: u16, name: &[u8]) -> Preference {
        let random = &mut self.random;
        self.routes
            .preferred((route, name), &self.upstreams, random)
    }

    /// Whether a route splits domains among its upstreams, so that [`UpstreamPool::within`] matters.
    #[inline]
    pub fn splits(&self) -> bool {
        self.routes.splits()
    }

    /// Those of the route's upstreams that a query may be sent to now, by the policy. Where it lost its connections repeatedly, an
    /// upstream is as good as unhealthy for it.
    pub fn within(&self, history: &History, now: Now) -> UpstreamSet {
        let lost_at = history.repeatedly_lost_at();
        let is_healthy = |upstream, is_own| {
            !lost_at.contains(upstream) && self.is_healthy(upstream, is_own, now.mono)
        };
        self.routes
            .within(history.route(), history.preferred, is_healthy)
    }

    /// An upstream's place in the order of this query; 0 is the best.
    fn rank(&self, history: &History, upstream: usize) -> u64 {
        self.routes.rank(&self.upstreams, history, upstream)
    }

    /// The upstream of a connection.
    pub fn upstream_of(&self, connection: ConnectionKey) -> Option<usize> {
        Some(self.connections.get(connection)?.upstream)
    }

    /// Whether the upstream of a connection need not be the one that is meant (RFC 8310 section 5).
    pub fn is_opportunistic(&self, connection: ConnectionKey) -> bool {
        let upstream = self.upstream_of(connection);
        upstream.is_some_and(|upstream| self.upstreams[upstream].profile == Profile::Opportunistic)
    }

    /// The transactions that wait for a response on a connection.
    pub fn waiting_on(&self, connection: ConnectionKey) -> impl Iterator<Item = TransactionKey> {
        let connection = self.connections.get(connection);
        connection.into_iter().flat_map(|c| c.pipeline.waiting())
    }

    /// How many transactions wait for a response on a connection.
    pub fn in_flight_on(&self, connection: ConnectionKey) -> usize {
        self.connections
            .get(connection)
            .map_or(0, |connection| connection.pipeline.live())
    }

    /// What is wrong with each upstream of a route, for a client whose query was sent to `tried`.
    pub fn troubles(&self, route: u16, tried: UpstreamSet) -> impl Iterator<Item = Trouble<'_>> {
        self.routes.order(route).map(move |number| {
            let upstream = &self.upstreams[number];
            Trouble {
                label: &upstream.label,
                reason: upstream.trouble.as_deref(),
                was_asked: tried.contains(number),
                proxy: upstream.proxy(),
            }
        })
    }

    /// Whether one of these upstreams has this address.
    pub fn is_at(&self, among: UpstreamSet, ip: IpAddr) -> bool {
        let mut all = self.upstreams.iter().enumerate();
        all.any(|(number, upstream)| among.contains(number) && upstream.is_at(ip))
    }

    /// What a response of this upstream means, if it is of no use.
    #[inline]
    pub fn useless(
        &self,
        upstream: usize,
        meaning: Meaning,
        message: &[u8],
        answer: &Response,
    ) -> Option<Box<Explanation>> {
        if meaning.is_useful() {
            return None;
        }
        let label = &self.upstreams.get(upstream)?.label;
        failure::of_response(label, meaning, message, answer).map(Box::new)
    }

    /// Which upstream has which number.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// The upstream with this number, if it is configured.
    pub fn configured(&self, number: usize) -> Option<&Configured> {
        self.upstreams.get(number)?.configured.as_ref()
    }

    /// What happened with each upstream so far, by number: its label, and the counters.
    pub fn stats(&self) -> impl Iterator<Item = (&str, &UpstreamStats)> {
        let upstreams = self
            .upstreams
            .iter()
            .filter(|upstream| !upstream.is_removed());
        upstreams.map(|upstream| (upstream.label.as_str(), &upstream.stats))
    }

    /// Nobody waits for this attempt any more.
    pub fn abandon(&mut self, attempt: &Attempt) {
        let Some(connection) = self.connections.get_mut(attempt.connection) else {
            return;
        };
        connection.pipeline.abandon(attempt.id);
        let upstream = &mut self.upstreams[connection.upstream];
        if attempt.keepalive {
            connection.asks_keepalive = false;
            let now = self.seen.mono;
            let usual = upstream.round_trip.smoothed();
            let after = now.since(attempt.sent_at);
            upstream.keepalive.given_up(after, usual, now);
        }
        if attempt.probes {
            upstream.capacity.set_probing(false);
        }
    }

    /// One query failed on a connection that goes on.
    pub fn query_failed(&mut self, connection: ConnectionKey, id: u16, fx: &mut Effects<'_>) {
        let Some(on) = self.connections.get_mut(connection) else {
            return;
        };
        if let Some(transaction) = on.pipeline.find(id) {
            on.pipeline.leave(id);
            fx.task(Task::AttemptFailed(transaction, connection));
        }
    }

    /// Closes all connections, for the end.
    pub fn close(&mut self, fx: &mut Effects<'_>) {
        for (connection, _) in self.connections.drain() {
            fx.out.push(Action::Close { connection });
        }
    }

    /// Closes one connection, without a word about its queries.
    fn close_one(&mut self, connection: ConnectionKey, fx: &mut Effects<'_>) -> Option<Connection> {
        let closed = self.connections.remove(connection)?;
        fx.out.push(Action::Close { connection });
        let line = Line {
            upstream: closed.upstream,
            connection,
        };
        fx.failures.event(fx.now.mono, || What::Closed(line));
        Some(closed)
    }

    /// The connections that are so.
    fn keys(&self, so: impl Fn(&Connection) -> bool) -> Vec<ConnectionKey> {
        let connections = self.connections.iter();
        let so = connections.filter(|(_, connection)| so(connection));
        so.map(|(key, _)| key).collect()
    }

    /// How many connections of a kind an upstream has, those that are being made included.
    fn count_of(&self, upstream: usize, isolated: bool) -> usize {
        let of = |connection: &&Connection| {
            connection.upstream == upstream && connection.is_isolated() == isolated
        };
        self.connections.values().filter(of).count()
    }

    /// Whether no connection to one of these upstreams is up but suspect ones.
    fn nothing_up(&self, among: UpstreamSet) -> bool {
        let good = |c: &Connection| c.is_good() && among.contains(c.upstream);
        !self.connections.values().any(good)
    }

    /// Whether there is a route with this upstream on which no connection is up but suspect ones.
    fn nothing_up_beside(&self, upstream: usize) -> bool {
        let good = self.connections.values().filter(|c| c.is_good());
        let up = good.map(|connection| connection.upstream).collect();
        self.routes.depends_on(upstream, up)
    }

    /// When something has to be decided about a connection, if nothing happens before; and whether some connection is suspect: see
    /// [`UpstreamPool::suspects`].
    #[inline]
    pub fn next_alarm(&self) -> (Time, bool) {
        let mut first = self.heartbeat();
        let mut suspect = false;
        for connection in self.connections.values() {
            first = first.min(connection.alarm(&self.upstreams[connection.upstream]));
            suspect |= connection.is_suspect();
        }
        (first, suspect)
    }

    /// The connections that are suspect.
    pub fn suspects(&self) -> impl Iterator<Item = ConnectionKey> {
        let suspects = self.connections.iter();
        let suspects = suspects.filter(|(_, connection)| connection.is_suspect());
        suspects.map(|(key, _)| key)
    }
}
