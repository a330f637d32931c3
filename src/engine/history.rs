//! What was tried for a transaction so far, and the budgets that bound it. By this the upstreams choose a connection, and
//! [`retry`](super::transactions::retry) the next step.

use super::keys::ConnectionKey;
use super::response::{Added, Edns};
use super::routes::ForwardingRoute;
use super::time::Time;
use super::upstream_set::UpstreamSet;
use crate::wire::Query;

/// How often a query may be sent again because it has to be: its connection was lost or fell silent, another upstream is asked
/// after an unusable response, or the same one without EDNS.
const MAX_RECOVERIES: u8 = 3;
/// How often a query may be sent beside an attempt that is under way: because the response is late, or to see whether an upstream
/// is healthy again. Such copies have a budget of their own, so that they never use up what recovery needs.
const MAX_COPIES: u8 = 1;
/// So many attempts that their upstream did not process use up neither budget. Each further one does, for an upstream that processes
/// nothing must not be asked without end.
const MAX_UNPROCESSED: u8 = 3;
/// All attempts that one transaction may make.
const MAX_ATTEMPTS: usize = 1 + MAX_RECOVERIES as usize + MAX_COPIES as usize;

/// Connects that one transaction may cost, beside the first one to each upstream: with every upstream down, one client must not
/// become a storm of handshakes.
const MAX_CONNECTS: u8 = 3;

/// After so many lost connections a query is sent on a connection that new ones do not use: one of those that it shared a
/// connection with may be what the upstream cannot take.
const ISOLATE_AFTER: u8 = 2;
/// After so many it is sent on a connection of its own.
const ALONE_AFTER: u8 = 3;

/// Why a query is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It has no attempt under way that is likely to succeed.
    Need,
    /// It has one, and this is beside it.
    Copy,
}

/// Which connections a query may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Those that all new queries share.
    Shared,
    /// Those kept for queries that lost their connection repeatedly.
    Isolated,
    /// The same, without any other query in flight.
    Alone,
}

impl Lane {
    /// Whether its connections are kept from new queries.
    pub fn is_isolated(self) -> bool {
        self != Self::Shared
    }
}

/// Names a queue of transactions that wait for a connection: none of them goes to these upstreams, all use this lane.
pub type Queue = (UpstreamSet, Lane);

/// One sending of a query that may still be answered. At most one is on one connection.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub connection: ConnectionKey,
    /// The message id that it has there.
    pub id: u16,
    pub sent_at: Time,
    /// With an OPT record or without.
    pub edns: Edns,
    /// It goes beyond a bound that was learned, to see whether that is one.
    pub probes: bool,
    /// It has the keepalive option (RFC 7828), which was added here.
    pub keepalive: bool,
    /// It has the padding option (RFC 7830).
    pub padded: bool,
}

impl Attempt {
    /// The option that was added here, if it has one.
    pub fn added(&self) -> Added {
        match (self.keepalive, self.padded) {
            (true, _) => Added::Keepalive,
            (false, true) => Added::Padding,
            (false, false) => Added::Nothing,
        }
    }
}

/// How a query may be sent with respect to EDNS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opt {
    /// It has no OPT record; one may be added.
    #[default]
    Absent,
    /// It has one, which may be left out or extended.
    Last,
    /// It is signed, or other records stand behind its OPT record: it goes as it came.
    Fixed,
}

impl Opt {
    /// How this query may be sent.
    pub fn of(query: &Query) -> Self {
        match query.opt {
            _ if query.signed => Self::Fixed,
            None => Self::Absent,
            Some(opt) if opt.last => Self::Last,
            Some(_) => Self::Fixed,
        }
    }
}

/// What the policy says of a query, once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preference {
    /// The upstream that should be asked first.
    pub upstream: usize,
    /// Stands for the domain of its name, where the policy goes by that.
    pub domain: u64,
}

/// What was tried for one transaction.
#[derive(Default)]
pub struct History {
    pub arrived: Time,
    route: ForwardingRoute,
    /// Those of the route's upstreams that it may be sent to now: all, unless the policy keeps a domain to some of them.
    upstreams: UpstreamSet,
    /// By the policy.
    pub preferred: Preference,
    pub opt: Opt,
    /// Attempts that may still be answered.
    attempts: [Option<Attempt>; MAX_ATTEMPTS],
    sends: u8,
    /// Of those, the ones that were copies: see [`Purpose::Copy`].
    copies: u8,
    /// Attempts that were not processed and do not count.
    unprocessed: u8,
    /// Connects that were begun for it.
    connects: u8,
    /// Upstreams that they were begun to.
    connected: UpstreamSet,
    /// How often the upstream ended connections while it was in flight on them.
    losses: u8,
    /// When it last did.
    lost_at: Option<Time>,
    /// Other queries wait behind it for their responses: the upstream may answer in order.
    pub holds_up_others: bool,
    /// Upstreams that were asked.
    tried: UpstreamSet,
    /// Upstreams that shall not be asked (again), and all that it may not be sent to.
    exclude: UpstreamSet,
    /// The queue in which it waits for a connection.
    queued: Option<Queue>,
    /// Since when.
    queued_at: Time,
    /// A response was malformed.
    pub malformed: bool,
    /// It was sent again because of that, although it had been sent everywhere.
    pub repeated: bool,
    /// Upstreams that did not understand it with EDNS: they get it without.
    pub without_edns: UpstreamSet,
    /// Upstreams that did not understand it padded: they get it without padding.
    pub without_padding: UpstreamSet,
    /// Upstreams that are asked why it failed: they get it with an OPT record of ours.
    pub with_edns: UpstreamSet,
}

impl History {
    /// Of a query that has just arrived.
    pub fn new(opt: Opt, route: ForwardingRoute, now: Time) -> Self {
        Self {
            arrived: now,
            route,
            upstreams: route.upstreams,
            opt,
            exclude: !route.upstreams,
            queued_at: now,
            ..Self::default()
        }
    }

    /// How often it was sent.
    pub fn sends(&self) -> u8 {
        self.sends
    }

    /// How many connects were begun for it.
    pub fn connects(&self) -> u8 {
        self.connects
    }

    /// The upstreams that were asked.
    pub fn tried(&self) -> UpstreamSet {
        self.tried
    }

    /// The route that it takes.
    pub fn route(&self) -> ForwardingRoute {
        self.route
    }

    /// Those of the route's upstreams that it may be sent to.
    pub fn upstreams(&self) -> UpstreamSet {
        self.upstreams
    }

    /// Whether these are not all of them.
    pub fn is_confined(&self) -> bool {
        self.upstreams != self.route.upstreams
    }

    /// From now on it may be sent to these upstreams of its route, and to no others. Those that it was not to be sent to again stay excluded,
    /// unless none would be left.
    pub fn confine(&mut self, upstreams: UpstreamSet) {
        let excluded = self.exclude & self.upstreams;
        self.upstreams = upstreams & self.route.upstreams;
        self.exclude = excluded | !self.upstreams;
        if excluded.has_all(self.upstreams) {
            self.readmit_all();
        }
    }

    /// Upstreams that shall not be asked, and all that it may not be sent to.
    pub fn exclude(&self) -> UpstreamSet {
        self.exclude
    }

    /// From now on, only upstreams are asked that were not asked yet.
    pub fn exclude_tried(&mut self) {
        self.exclude = self.tried | !self.upstreams;
    }

    /// From now on, all upstreams may be asked that it may be sent to.
    pub fn readmit_all(&mut self) {
        self.exclude = !self.upstreams;
    }

    /// This upstream may be asked (again), if it may be sent there.
    pub fn readmit(&mut self, upstream: usize) {
        if self.upstreams.contains(upstream) {
            self.exclude.remove(upstream);
        }
    }

    /// It takes another route from now on, or the same one by other numbers. `fresh`: the numbers that stand for other upstreams now.
    pub fn reroute(&mut self, route: ForwardingRoute, preferred: Preference, fresh: UpstreamSet) {
        let excluded = self.exclude & self.upstreams & !fresh;
        (self.route, self.upstreams) = (route, route.upstreams);
        self.preferred = preferred;
        for set in [
            &mut self.tried,
            &mut self.connected,
            &mut self.without_edns,
            &mut self.without_padding,
            &mut self.with_edns,
        ] {
            *set = *set & !fresh;
        }
        self.exclude = excluded | !route.upstreams;
        if excluded.has_all(route.upstreams) {
            self.readmit_all();
        }
    }

    /// Whether an upstream was not asked yet that it may be sent to.
    pub fn has_untried(&self) -> bool {
        !self.tried.has_all(self.upstreams)
    }

    /// Attempts that may still be answered, the oldest first.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().flatten()
    }

    /// Whether an attempt may still be answered.
    pub fn is_under_way(&self) -> bool {
        self.attempts().next().is_some()
    }

    /// The attempt on this connection that may still be answered, if there is one.
    pub fn on(&self, connection: ConnectionKey) -> Option<Attempt> {
        let mut attempts = self.attempts().copied();
        attempts.find(|attempt| attempt.connection == connection)
    }

    /// Whether it is in flight on this connection.
    pub fn is_on(&self, connection: ConnectionKey) -> bool {
        self.attempts()
            .any(|attempt| attempt.connection == connection)
    }

    /// Which connections it may use.
    pub fn lane(&self) -> Lane {
        if self.holds_up_others || self.losses >= ALONE_AFTER {
            Lane::Alone
        } else if self.losses >= ISOLATE_AFTER {
            Lane::Isolated
        } else {
            Lane::Shared
        }
    }

    /// The upstreams that were asked, if so many connections were lost that they had better not be asked again.
    pub fn repeatedly_lost_at(&self) -> UpstreamSet {
        if self.losses >= ISOLATE_AFTER {
            self.tried
        } else {
            UpstreamSet::EMPTY
        }
    }

    /// The queue that it belongs to while it waits for a connection.
    pub fn queue(&self) -> Queue {
        (self.exclude, self.lane())
    }

    /// The queue in which it waits for a connection, if it does.
    pub fn queued(&self) -> Option<Queue> {
        self.queued
    }

    /// Since when it waits for a connection.
    pub fn queued_at(&self) -> Time {
        self.queued_at
    }

    /// Notes that it waits for a connection in the queue that it belongs to now. Gives that queue if it is not in it yet.
    pub fn wait(&mut self, now: Time) -> Option<Queue> {
        let queue = self.queue();
        match self.queued.replace(queue) {
            Some(queued) if queued == queue => return None,
            Some(_) => {}
            None => self.queued_at = now,
        }
        Some(queue)
    }

    /// It waits on, in the queue that it belongs to now.
    pub fn requeue(&mut self) -> Queue {
        let queue = self.queue();
        self.queued = Some(queue);
        queue
    }

    /// Notes that it waits for a connection no more.
    pub fn stop_waiting(&mut self) {
        self.queued = None;
    }

    /// Whether an attempt is left for this purpose.
    pub fn may_send(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Need => self.sends - self.copies <= MAX_RECOVERIES,
            Purpose::Copy => self.copies < MAX_COPIES,
        }
    }

    /// Whether it may be sent once more while an attempt is under way, because that is on a suspect connection. The last attempt is for
    /// when that connection is lost, or for an upstream that was not asked yet.
    pub fn may_repeat(&self) -> bool {
        self.sends - self.copies < MAX_RECOVERIES
    }

    /// Whether one more connect to this upstream may be begun for it.
    pub fn may_connect(&self, upstream: usize) -> bool {
        self.may_connect_again() || !self.connected.contains(upstream)
    }

    /// Whether one more connect may be begun for it, to whichever upstream.
    pub fn may_connect_again(&self) -> bool {
        self.connects < MAX_CONNECTS
    }

    /// Whether a connect was begun for it to each upstream of its route that is not in `exclude`.
    pub fn has_connected_to_all(&self, exclude: UpstreamSet) -> bool {
        self.connected.has_all(self.upstreams & !exclude)
    }

    /// Notes that a connect to this upstream was begun for it.
    pub fn connecting(&mut self, upstream: usize) {
        self.connects = self.connects.saturating_add(1);
        self.connected.insert(upstream);
    }

    /// Notes that it was sent to this upstream.
    pub fn sent(&mut self, attempt: Attempt, purpose: Purpose, upstream: usize) {
        if let Some(free) = self.attempts.iter_mut().find(|attempt| attempt.is_none()) {
            *free = Some(attempt);
        }
        self.sends += 1;
        self.copies += u8::from(purpose == Purpose::Copy);
        self.tried.insert(upstream);
        self.queued = None;
    }

    /// Notes that no response comes on this connection any more.
    pub fn leave(&mut self, connection: ConnectionKey) -> Option<Attempt> {
        let on_it = |attempt: &Attempt| attempt.connection == connection;
        let mut attempts = self.attempts.iter_mut();
        attempts.find_map(|attempt| attempt.take_if(|attempt| on_it(attempt)))
    }

    /// Notes that its upstream did not process it: the attempt does not count. False, and nothing is noted, if that has happened too often
    /// before: then the attempt counts as any other that is lost.
    pub fn unprocessed(&mut self, connection: ConnectionKey) -> bool {
        let uncounted = self.unprocessed < MAX_UNPROCESSED && self.take_back(connection);
        self.unprocessed += u8::from(uncounted);
        uncounted
    }

    /// Notes that its connection could not be made: what was sent there before that was clear was not sent.
    /// Says whether anything was.
    pub fn not_sent(&mut self, connection: ConnectionKey) -> bool {
        let left = self.take_back(connection);
        if self.sends == 0 {
            self.tried = UpstreamSet::EMPTY;
        }
        left
    }

    /// The attempt on this connection, if there is one, does not count. If only copies are left that count, one of them does so in its place.
    fn take_back(&mut self, connection: ConnectionKey) -> bool {
        let left = self.leave(connection).is_some();
        self.sends -= u8::from(left);
        self.copies = self.copies.min(self.sends);
        left
    }

    /// Notes that its connection was lost; `blame`: perhaps because of this query.
    pub fn lost(&mut self, connection: ConnectionKey, blame: bool, now: Time) {
        let attempt = self.leave(connection);
        // What is sent at the very moment when its connection turns out to be lost has never left: it uses up the copy instead, if that
        // is left, and nobody is to blame.
        if attempt.is_some_and(|attempt| attempt.sent_at == now) && self.copies < MAX_COPIES {
            self.copies += 1;
            return;
        }
        // Connections that it was on at the same time, and that end one after the other, end because of the upstream, and count once.
        let is_new = |attempt: Attempt| self.lost_at.is_none_or(|at| attempt.sent_at >= at);
        if blame && attempt.is_some_and(is_new) {
            self.losses = self.losses.saturating_add(1);
            self.lost_at = Some(now);
        }
        if !self.is_under_way() {
            // Those behind it were on that connection, too.
            self.holds_up_others = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    fn attempt(connection: ConnectionKey) -> Attempt {
        Attempt {
            connection,
            id: 1,
            sent_at: Time::ZERO,
            edns: Edns::Absent,
            probes: false,
            keepalive: false,
            padded: false,
        }
    }

    // fault 95, 112
    #[test]
    fn copies_never_use_up_what_recovery_needs() {
        let mut connections: SlotMap<ConnectionKey, ()> = SlotMap::with_key();
        let mut history = History::new(Opt::Absent, ForwardingRoute::default_of(2), Time::ZERO);
        history.sent(attempt(connections.insert(())), Purpose::Need, 0);
        history.sent(attempt(connections.insert(())), Purpose::Copy, 0);
        assert!(!history.may_send(Purpose::Copy));
        let mut recoveries = 0;
        while history.may_send(Purpose::Need) {
            history.sent(attempt(connections.insert(())), Purpose::Need, 0);
            recoveries += 1;
        }
        assert_eq!(recoveries, MAX_RECOVERIES);
        assert_eq!(history.attempts().count(), MAX_ATTEMPTS);
    }

    // fault 120
    #[test]
    fn three_attempts_that_were_not_processed_do_not_count() {
        let mut connections: SlotMap<ConnectionKey, ()> = SlotMap::with_key();
        let mut history = History::new(Opt::Absent, ForwardingRoute::default_of(2), Time::ZERO);
        let mut sent = 0;
        let mut counted = 0;
        while history.may_send(Purpose::Need) {
            let attempt = attempt(connections.insert(()));
            history.sent(attempt, Purpose::Need, 0);
            sent += 1;
            counted += u8::from(!history.unprocessed(attempt.connection));
            assert_eq!(history.is_under_way(), counted > 0, "nothing is noted then");
            history.leave(attempt.connection);
        }
        assert_eq!((sent, counted), (7, 1 + MAX_RECOVERIES));
    }

    // fault 120
    #[test]
    fn a_copy_that_does_not_count_leaves_all_attempts() {
        let mut connections: SlotMap<ConnectionKey, ()> = SlotMap::with_key();
        let take_back: [fn(&mut History, ConnectionKey) -> bool; 2] =
            [History::unprocessed, History::not_sent];
        for [first, second] in [[0, 1], [1, 0], [0, 0], [1, 1]] {
            let mut history = History::new(Opt::Absent, ForwardingRoute::default_of(2), Time::ZERO);
            let [need, copy] = [(); 2].map(|()| attempt(connections.insert(())));
            history.sent(need, Purpose::Need, 0);
            history.sent(copy, Purpose::Copy, 1);
            assert!(take_back[first](&mut history, need.connection));
            assert!(take_back[second](&mut history, copy.connection));
            assert_eq!(history.sends(), 0);
            assert!(history.may_send(Purpose::Need) && history.may_send(Purpose::Copy));
        }
    }

    // fault 95
    #[test]
    fn the_last_attempt_is_kept_for_a_lost_connection() {
        let mut connections: SlotMap<ConnectionKey, ()> = SlotMap::with_key();
        let mut history = History::new(Opt::Absent, ForwardingRoute::default_of(2), Time::ZERO);
        for _ in 0..MAX_RECOVERIES {
            assert!(history.may_repeat());
            history.sent(attempt(connections.insert(())), Purpose::Need, 0);
        }
        assert!(!history.may_repeat() && history.may_send(Purpose::Need));
    }

    // fault 94
    #[test]
    fn a_query_that_loses_its_connections_is_isolated_and_then_alone() {
        let mut connections: SlotMap<ConnectionKey, ()> = SlotMap::with_key();
        let mut history = History::new(Opt::Absent, ForwardingRoute::default_of(2), Time::ZERO);
        let mut lanes = Vec::new();
        for sent in [1, 2, 2, 4] {
            let (sent_at, lost_at) = (Time::from_nanos(sent), Time::from_nanos(sent + 1));
            let connection = connections.insert(());
            let attempt = attempt(connection);
            history.sent(Attempt { sent_at, ..attempt }, Purpose::Need, 0);
            assert!(history.is_on(connection));
            history.lost(connection, true, lost_at);
            lanes.push(history.lane());
        }
        let [shared, isolated] = [Lane::Shared, Lane::Isolated];
        assert_eq!(lanes, [shared, isolated, isolated, Lane::Alone]);
        assert!(!history.is_under_way());
    }

    // fault 95: several connections of a server that restarts end at once.
    #[test]
    fn what_was_sent_on_a_connection_that_was_lost_already_is_nobodys_fault() {
        let mut connections: SlotMap<ConnectionKey, ()> = SlotMap::with_key();
        let mut history = History::new(Opt::Absent, ForwardingRoute::default_of(2), Time::ZERO);
        let now = Time::from_nanos(7);
        let [first, second] = [Time::ZERO, now].map(|sent_at| {
            let attempt = attempt(connections.insert(()));
            Attempt { sent_at, ..attempt }
        });
        history.sent(first, Purpose::Need, 0);
        history.lost(first.connection, true, now);
        history.sent(second, Purpose::Need, 0);
        history.lost(second.connection, true, now);
        assert_eq!(history.lane(), Lane::Shared);
        assert!(history.may_repeat() && !history.may_send(Purpose::Copy));
    }

    #[test]
    fn what_is_outside_of_the_route_is_never_asked() {
        let route = ForwardingRoute {
            upstreams: UpstreamSet::from_iter([1, 3]),
            ..ForwardingRoute::default()
        };
        let mut connections: SlotMap<ConnectionKey, ()> = SlotMap::with_key();
        let mut history = History::new(Opt::Absent, route, Time::ZERO);
        let allowed = |history: &History| -> Vec<usize> {
            let excluded = history.exclude();
            (0..64).filter(|n| !excluded.contains(*n)).collect()
        };
        assert_eq!(allowed(&history), [1, 3]);
        history.sent(attempt(connections.insert(())), Purpose::Need, 3);
        history.exclude_tried();
        assert_eq!((allowed(&history), history.has_untried()), (vec![1], true));
        history.readmit(3);
        assert_eq!(allowed(&history), [1, 3]);
        history.sent(attempt(connections.insert(())), Purpose::Need, 1);
        history.exclude_tried();
        assert_eq!((allowed(&history), history.has_untried()), (vec![], false));
        history.readmit_all();
        assert_eq!(allowed(&history), [1, 3]);
    }

    #[test]
    fn what_is_confined_to_some_upstreams_is_sent_to_no_others() {
        let mut connections: SlotMap<ConnectionKey, ()> = SlotMap::with_key();
        let mut history = History::new(Opt::Absent, ForwardingRoute::default_of(3), Time::ZERO);
        let allowed = |history: &History| -> Vec<usize> {
            (0..64)
                .filter(|n| !history.exclude().contains(*n))
                .collect()
        };
        assert!(!history.is_confined());
        history.confine(UpstreamSet::of(1));
        assert_eq!((allowed(&history), history.is_confined()), (vec![1], true));
        history.sent(attempt(connections.insert(())), Purpose::Need, 1);
        history.exclude_tried();
        assert_eq!((allowed(&history), history.has_untried()), (vec![], false));
        // The one that was tried stays excluded while another may be asked.
        history.confine(UpstreamSet::from_iter([1, 2]));
        assert_eq!((allowed(&history), history.has_untried()), (vec![2], true));
        history.confine(UpstreamSet::of(1));
        assert_eq!(allowed(&history), [1]);
        history.readmit(0);
        assert_eq!(allowed(&history), [1], "it may not be sent there");
    }

    #[test]
    fn every_upstream_may_cost_one_connect_and_all_together_three_more() {
        let mut history = History::new(Opt::Absent, ForwardingRoute::default_of(2), Time::ZERO);
        for _ in 0..MAX_CONNECTS {
            assert!(history.may_connect_again());
            history.connecting(0);
        }
        assert!(!history.may_connect(0) && history.may_connect(1));
        assert!(!history.has_connected_to_all(UpstreamSet::EMPTY));
        assert!(history.has_connected_to_all(UpstreamSet::of(1)));
    }
}
