//! Making connections: to which upstream, when, and what a failure means.

use super::UpstreamPool;
use super::connection::Connection;
use super::incidents::Incident;
use super::streams::Streams;
use super::upstream::Upstream;
use crate::engine::effects::{Effects, Task};
use crate::engine::failure::{NextTry, connect_line, connect_reason};
use crate::engine::history::{History, Lane, Queue};
use crate::engine::keys::ConnectionKey;
use crate::engine::output::Action;
use crate::engine::recorder::{Line, What};
use crate::engine::routes::ForwardingRoute;
use crate::engine::stats::UpstreamStats;
use crate::engine::time::{Now, Time};
use crate::engine::upstream_set::UpstreamSet;
use crate::engine::words::Lasting;
use crate::transport::ConnectError;
use log::{Level, debug, log, warn};
use std::net::SocketAddr;
use std::time::Duration;

/// The Connection Attempt Delay: a connect that takes longer is raced by one to another upstream or another address (RFC 8305
/// section 8 recommends 250 ms).
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Connects under way at once, on one route or several that share upstreams. When one more is due, one that makes no progress has to give
/// way. Routes that share none do not hold up each other.
const MAX_CONNECTS: usize = 8;
/// A connect that has taken so long may be given up for one to another upstream.
const NO_PROGRESS: Duration = Duration::from_secs(1);
/// Connects under way at once to one upstream. On a path that loses everything a fresh connect gets through sooner than one whose
/// packets the system repeats ever more seldom; the first is kept for a path that is only slow.
const MAX_CONNECTS_TO_ONE: usize = 4;
/// Connections to one upstream that new queries share, when it takes few queries on each.
const MAX_SHARED: usize = 4;
/// Connections to one upstream for queries that lost theirs repeatedly, or may hold up others.
const MAX_ISOLATED: usize = 6;
/// How long a query that no upstream can be reached for waits for the next try.
const HOPE: Duration = Duration::from_secs(1);

/// The number of the route that queries take that no other fits.
const DEFAULT_ROUTE: u16 = 0;

/// How many connections of a kind one upstream may have.
const fn most_of(isolated: bool) -> usize {
    if isolated { MAX_ISOLATED } else { MAX_SHARED }
}

impl UpstreamPool {
    /// Whether a connect to an upstream may begin, although no query waits for it. `nothing_up`: nor is anything else connected.
    pub(super) fn may_connect(&self, upstream: usize, nothing_up: bool, now: Now) -> bool {
        let at = self.connect_at(upstream, false, nothing_up);
        let state = &self.upstreams[upstream];
        self.pending(|u| u == upstream, false) == 0
            && at.is_some_and(|at| now.mono >= at)
            && !state.resolving
            && state.health.is_due(now.mono)
    }

    /// When one more connect to this upstream may begin, if at all. `nothing_up`: nothing is connected that could be used instead.
    fn connect_at(&self, upstream: usize, isolated: bool, nothing_up: bool) -> Option<Time> {
        let state = &self.upstreams[upstream];
        if state.is_removed() {
            return None;
        }
        let of_kind = |c: &&Connection| c.upstream == upstream && c.is_isolated() == isolated;
        let up = || {
            self.connections
                .values()
                .filter(of_kind)
                .filter(|c| c.is_up())
        };
        // Those that end do not hold up those that take their place, up to as many again.
        let most = most_of(isolated);
        if up().filter(|c| !c.closing).count() >= most || up().count() >= 2 * most {
            return None;
        }
        let to_it = self.pending(|u| u == upstream, isolated);
        let mut at = state.backoff.connect_at(nothing_up);
        if to_it >= state.width() {
            at = at.max(state.backoff.race_at());
        }
        let peers = self.routes.peers(upstream);
        if to_it < self.most_to(upstream) && self.connecting(peers) >= MAX_CONNECTS {
            let oldest = self.oldest_connect(peers);
            let oldest = oldest.map(|(_, since)| since + NO_PROGRESS);
            at = at.max(oldest.unwrap_or_default());
        }
        Some(at)
    }

    /// Which upstream to connect to next for a query, and when: the one with the fewest connects under way, then one that was not
    /// tried in vain since the query came, then one whose last connect did not fail, then the most preferred, among those that may
    /// be connected to first.
    pub fn next_connect(
        &self,
        history: &History,
        (exclude, lane): Queue,
        now: Time,
    ) -> Option<(Time, usize)> {
        let isolated = lane.is_isolated();
        let usable = |upstream: usize| !exclude.contains(upstream);
        let route = history.route();
        let soonest = match self.pending(usable, isolated) {
            0 => Time::ZERO,
            _ => self.last_connect(history) + CONNECTION_ATTEMPT_DELAY,
        };
        let nothing_up = self.nothing_up(history.upstreams());
        self.routes
            .order(route.number)
            .filter(|&upstream| usable(upstream) && history.may_connect(upstream))
            .filter_map(|upstream| {
                let at = self.connect_at(upstream, isolated, nothing_up)?;
                // What may be connected to since long is not better than what may be connected to now.
                let at = at.max(soonest).max(now);
                let pending = self.pending(|u| u == upstream, isolated);
                let backoff = &self.upstreams[upstream].backoff;
                let lost = isolated && history.tried().contains(upstream);
                let failed = lost || backoff.has_failed_since(history.arrived);
                let failing = backoff.has_failed_lately(self.seen.mono);
                let rank = self.rank(history, upstream);
                Some((at, pending, failed, failing, rank, upstream))
            })
            .min()
            .map(|(at, _, _, _, _, upstream)| (at, upstream))
    }

    /// Starts a connect to this upstream, or the look-up that has to come before it. True if it is a connect.
    pub fn connect(&mut self, upstream: usize, isolated: bool, fx: &mut Effects<'_>) -> bool {
        let now = fx.now.mono;
        let state = &mut self.upstreams[upstream];
        if state.wants_resolving(now) {
            state.resolving = true;
            fx.out.push(Action::Resolve { upstream });
            fx.failures.event(now, || What::Lookup(upstream));
        }
        let Some(addr) = state.connecting(now) else {
            return false;
        };
        self.make_way(upstream, isolated, fx);
        fx.stats.dials += 1;
        self.upstreams[upstream].stats.connects += 1;
        let lane = if isolated {
            Lane::Isolated
        } else {
            Lane::Shared
        };
        let connection = Connection::connecting(upstream, addr, lane, now);
        let connection = self.connections.insert(connection);
        fx.failures.event(now, || {
            let of = Line {
                upstream,
                connection,
            };
            What::Connect(of, isolated)
        });
        fx.out.push(Action::Connect {
            connection,
            upstream,
            addr,
        });
        true
    }

    /// Before one more connect begins, gives up one that it replaces, where the bounds on connects under way want that.
    fn make_way(&mut self, upstream: usize, isolated: bool, fx: &mut Effects<'_>) {
        let peers = self.routes.peers(upstream);
        let mut to_it = self.keys(|connection| {
            let alike = connection.is_isolated() == isolated && connection.upstream == upstream;
            !connection.is_up() && alike
        });
        to_it.sort_by_key(|key| self.connections[*key].since);
        if to_it.len() >= self.most_to(upstream) {
            self.close_one(to_it[1], fx);
        } else if self.connecting(peers) >= MAX_CONNECTS
            && let Some((oldest, _)) = self.oldest_connect(peers)
            && let Some(given_up) = self.close_one(oldest, fx)
        {
            let (upstream, addr) = (given_up.upstream, given_up.addr);
            self.note_failure(upstream, Some(addr), &ConnectError::TimedOut, fx);
        }
    }

    /// How many connects to it may be under way at once.
    fn most_to(&self, upstream: usize) -> usize {
        self.upstreams[upstream].width().max(MAX_CONNECTS_TO_ONE)
    }

    /// The oldest connect under way to one of these upstreams, and when it began.
    fn oldest_connect(&self, among: UpstreamSet) -> Option<(ConnectionKey, Time)> {
        let connecting = self.connections.iter();
        let connecting = connecting.filter(|(_, c)| !c.is_up() && among.contains(c.upstream));
        connecting
            .map(|(key, connection)| (key, connection.since))
            .min_by_key(|(_, since)| *since)
    }

    /// How many connects to these upstreams are under way.
    fn connecting(&self, among: UpstreamSet) -> usize {
        let connecting = |c: &&Connection| !c.is_up() && among.contains(c.upstream);
        self.connections.values().filter(connecting).count()
    }

    /// When a connect was last begun to an upstream that this query may be sent to.
    fn last_connect(&self, history: &History) -> Time {
        let order = self.routes.order(history.route().number);
        let order = order.filter(|upstream| history.upstreams().contains(*upstream));
        let begun = order.map(|upstream| self.upstreams[upstream].backoff.last_connect());
        begun.max().unwrap_or_default()
    }

    /// Connects and look-ups under way for the upstreams that `of` names.
    pub(super) fn pending(&self, of: impl Fn(usize) -> bool, isolated: bool) -> usize {
        let connecting = |connection: &&Connection| {
            !connection.is_up() && connection.is_isolated() == isolated && of(connection.upstream)
        };
        let resolving =
            |(index, upstream): &(usize, &Upstream)| upstream.has_no_address_yet() && of(*index);
        self.connections.values().filter(connecting).count()
            + self.upstreams.iter().enumerate().filter(resolving).count()
    }

    /// When an upstream of this route that is not excluded may be connected to.
    fn any_connect_at(&self, route: ForwardingRoute, exclude: UpstreamSet) -> Option<Time> {
        let nothing_up = self.nothing_up(route.upstreams);
        let order = self.routes.order(route.number);
        let usable = order.filter(|upstream| !exclude.contains(*upstream));
        usable
            .map(|upstream| self.upstreams[upstream].backoff.connect_at(nothing_up))
            .min()
    }

    /// Whether a query on this route that waits in this queue since then has nothing to hope for: no connection, none under way, and the
    /// next try too far off, or not to be had because no query there may cost another connect.
    pub fn is_hopeless(
        &self,
        route: ForwardingRoute,
        (exclude, lane): Queue,
        since: Time,
        can_pay: bool,
    ) -> bool {
        let isolated = lane.is_isolated();
        let usable = |upstream: usize| !exclude.contains(upstream);
        let full = |connection: &Connection| {
            connection.is_up()
                && usable(connection.upstream)
                && connection.is_isolated() == isolated
        };
        self.pending(usable, isolated) == 0
            && !self.connections.values().any(full)
            && !(can_pay
                && self
                    .any_connect_at(route, exclude)
                    .is_some_and(|at| at <= since + HOPE))
    }

    /// When the next connect to replace a suspect connection is due, and to which upstream. `None` if there is no need.
    pub fn replacement(&self, suspect: ConnectionKey, now: Time) -> Option<(Time, usize)> {
        let connection = self.connections.get(suspect)?;
        if connection.is_isolated() {
            return None;
        }
        let upstream = connection.upstream;
        let is_there = |(key, other): (ConnectionKey, &Connection)| {
            key != suspect
                && other.upstream == upstream
                && !other.is_isolated()
                && other.is_lively(now)
        };
        let unknown = self.upstreams[upstream].has_no_address_yet();
        if unknown || self.connections.iter().any(is_there) {
            return None;
        }
        let nothing_up = self.nothing_up_beside(upstream);
        Some((self.connect_at(upstream, false, nothing_up)?, upstream))
    }

    /// Connects to an upstream whose last connection was idle for too long, for no query in particular. It was of use a short while ago,
    /// and the next query then costs one round trip instead of three or four. Later there is no connection, and nothing to wake up
    /// for.
    pub(super) fn keep_ready(&mut self, upstream: usize, fx: &mut Effects<'_>) {
        if self.upstreams[upstream].is_active(fx.now.mono)
            && self.count_of(upstream, false) == 0
            && self.may_connect(upstream, self.nothing_up_beside(upstream), fx.now)
            && self.connect(upstream, false, fx)
        {
            fx.stats.renewed += 1;
        }
    }

    /// Connects to the upstream that comes first for most queries, if none was connected to yet and one may be connected to now.
    pub fn prepare(&mut self, fx: &mut Effects<'_>) {
        let known = self.upstreams.iter().any(|upstream| upstream.was_connected);
        if known || !self.connections.is_empty() {
            return;
        }
        let mut order = self.routes.order(DEFAULT_ROUTE);
        if let Some(first) = order.find(|upstream| self.may_connect(*upstream, true, fx.now)) {
            drop(order);
            self.connect(first, false, fx);
        }
    }

    /// A connection takes queries, although its handshake is not over. Whether it comes up is still to be seen.
    pub fn early(&mut self, key: ConnectionKey, fx: &mut Effects<'_>) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let state = &mut self.upstreams[connection.upstream];
        state.comes_up_with(connection.streams);
        let line = Line {
            upstream: connection.upstream,
            connection: key,
        };
        fx.failures.event(fx.now.mono, || What::Early(line));
        connection.early(state.backoff.total(), fx.now.mono);
        if state.is_known_to_reorder() {
            connection.pipeline.expect_reordering();
        }
    }

    /// Each query of a connection that comes up has a stream of its own.
    pub fn has_streams(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.streams = Streams::Own;
        }
    }

    /// A connection goes to this address.
    pub fn goes_to(&mut self, key: ConnectionKey, addr: SocketAddr) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.goes_to = addr;
        }
    }

    /// A connection came up: those who wait go onto it. The description is for the log. `waiting`: how many wait for one to this
    /// upstream.
    pub fn connected(
        &mut self,
        key: ConnectionKey,
        description: &str,
        waiting: usize,
        fx: &mut Effects<'_>,
    ) {
        let now = fx.now.mono;
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let (upstream, addr, goes_to) = (connection.upstream, connection.addr, connection.goes_to);
        let line = Line {
            upstream,
            connection: key,
        };
        let streams = connection.streams == Streams::Own;
        fx.failures.event(now, || What::Connected(line, streams));
        let state = &mut self.upstreams[upstream];
        state.comes_up_with(connection.streams);
        let took = now.since(connection.since);
        connection.connected(state.backoff.total(), now);
        if state.is_known_to_reorder() {
            connection.pipeline.expect_reordering();
        }
        state.connected(addr, took, now);
        state.stats.connected += 1;
        state.connection = Some(description.into());
        let was_connected = std::mem::replace(&mut state.was_connected, true);
        let level = if was_connected {
            Level::Debug
        } else {
            Level::Info
        };
        let label = &state.label;
        log!(
            level,
            "{label} {goes_to}: connected, {description}, in {}",
            Lasting(took)
        );
        let connections = self.connections.values();
        self.routes
            .note_in_use(upstream, &self.upstreams, connections);
        self.close_rivals(key, waiting, fx);
        self.relieve_suspects(key, fx);
    }

    /// Connects to the same upstream that are still under way are not needed, unless more wait than one connection takes.
    fn close_rivals(&mut self, fresh: ConnectionKey, waiting: usize, fx: &mut Effects<'_>) {
        let connection = &self.connections[fresh];
        let (upstream, isolated) = (connection.upstream, connection.is_isolated());
        let mut rivals = self.keys(|connection| {
            let same = connection.upstream == upstream && connection.is_isolated() == isolated;
            !connection.is_up() && same
        });
        if waiting >= self.in_flight {
            let all = self.count_of(upstream, isolated);
            rivals.truncate(all.saturating_sub(most_of(isolated)));
        }
        for rival in rivals {
            self.close_one(rival, fx);
        }
    }

    /// A connection could not be made. What was sent on it before its handshake was over counts as not sent.
    pub fn connect_failed(&mut self, key: ConnectionKey, why: &ConnectError, fx: &mut Effects<'_>) {
        let Some(failed) = self.connections.remove(key) else {
            return;
        };
        let line = Line {
            upstream: failed.upstream,
            connection: key,
        };
        fx.failures
            .event(fx.now.mono, || What::ConnectFailed(line, why.clone()));
        self.note_failure(failed.upstream, Some(failed.addr), why, fx);
        for transaction in failed.pipeline.live_transactions() {
            fx.task(Task::NotSent(transaction, key));
        }
        if failed.is_up() {
            self.upstreams[failed.upstream].capacity.set_probing(false);
        }
        self.ask_elsewhere(failed.upstream, fx);
    }

    /// An upstream was looked up: its addresses, and for how long they hold.
    pub fn resolved(
        &mut self,
        upstream: usize,
        found: Result<(Vec<SocketAddr>, Duration), ConnectError>,
        fx: &mut Effects<'_>,
    ) {
        let Some(state) = self.upstreams.get_mut(upstream) else {
            return;
        };
        fx.failures.event(fx.now.mono, || {
            let found = found.as_ref().map(|(addresses, _)| addresses.len());
            What::LookedUp(upstream, found.map_err(Clone::clone))
        });
        match found {
            Ok((addresses, holds)) if !addresses.is_empty() => {
                state.resolved(&addresses, holds, fx.now.mono);
            }
            other => {
                state.resolving = false;
                let nothing = ConnectError::Unresolved("no address".into());
                self.note_failure(upstream, None, &other.err().unwrap_or(nothing), fx);
            }
        }
    }

    /// An upstream with a suspect connection cannot be reached anew: its queries are sent elsewhere, too.
    pub(super) fn ask_elsewhere(&mut self, upstream: usize, fx: &mut Effects<'_>) {
        for suspect in self.connections.values() {
            if suspect.is_suspect() && suspect.upstream == upstream {
                for transaction in suspect.pipeline.live_transactions() {
                    fx.task(Task::AskElsewhere(transaction));
                }
            }
        }
    }

    /// Notes that an upstream could not be reached, and says so in the log.
    fn note_failure(
        &mut self,
        upstream: usize,
        addr: Option<SocketAddr>,
        why: &ConnectError,
        fx: &mut Effects<'_>,
    ) {
        let now = fx.now.mono;
        fx.stats.failed_connects += 1;
        let gone = !self.connections.values().any(|c| c.upstream == upstream);
        let state = &mut self.upstreams[upstream];
        state.stats.failed_connects += 1;
        count(why, &mut state.stats);
        if let ConnectError::Unauthenticated { .. } = why {
            state.rejected(now, &mut self.random);
        } else {
            state.failed(*why == ConnectError::TimedOut, now, &mut self.random);
        }
        if gone {
            state.capacity.forget();
        }
        let reason = connect_reason(why);
        state.trouble = Some(reason.clone());
        let others_up = !self.nothing_up_beside(upstream);
        let state = &self.upstreams[upstream];
        let next = NextTry {
            wait: state.backoff.connect_at(!others_up).since(now),
            under_way: self.pending(|u| u == upstream, false) > 0,
            others_up,
        };
        let line = connect_line(&state.label, addr, why, next);
        let incidents = &mut self.upstreams[upstream].incidents;
        match incidents.note(Incident::Connect, &reason, now) {
            Some(untold) => warn!("{line}{untold}"),
            None => debug!("{line}"),
        }
    }
}

/// Counts why a connect has failed.
fn count(why: &ConnectError, stats: &mut UpstreamStats) {
    match why {
        ConnectError::Unresolved(_) => stats.failed_resolutions += 1,
        ConnectError::TimedOut => stats.failed_in_time += 1,
        ConnectError::Unauthenticated { .. } => stats.failed_verifications += 1,
        ConnectError::Handshake(_) => stats.failed_handshakes += 1,
        ConnectError::Unreachable(_) => {}
    }
}
