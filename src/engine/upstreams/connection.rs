//! One connection to an upstream: being made or up, with the queries in flight on it.

use super::capacity::Bounds;
use super::idle_timeout::IdleTimeout;
use super::pipeline::{FULL_OF_ABANDONED, MAX_ABANDONED, Pipeline};
use super::streams::Streams;
use super::upstream::Upstream;
use crate::engine::history::Lane;
use crate::engine::time::Time;
use std::net::SocketAddr;
use std::time::Duration;

/// A connection that was quiet for so long may have died unnoticed (a NAT that forgot it, a server that went away).
const MAYBE_STALE: Duration = Duration::from_secs(1);
/// A response takes at least so long where the upstream has to ask far away; before, silence means nothing.
const SUSPECT_MIN: Duration = Duration::from_millis(250);
/// On a connection that worked a moment ago, one slow query is likelier than a dead connection.
const SUSPECT_LIVELY: Duration = Duration::from_secs(1);
/// Where a query waits for a connection of its own through a proxy, made of several round trips over several hosts.
const SUSPECT_ISOLATING: Duration = Duration::from_secs(10);
/// With so many queries unanswered, it is not one slow query any more.
const MANY: usize = 64;
/// Where queries must be refused for want of room, so much is enough: thousands wait, and not one was answered.
const SUSPECT_FULL: Duration = Duration::from_millis(20);
/// Messages that belong to no query, more than responses that do, until the connection is closed.
const MAX_UNMATCHED: u32 = 100;
/// Queries in a row whose time ended on a connection without a sign of life.
const MAX_MISSED: u32 = 2;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// Its handshake goes on, and it takes queries.
    Early,
    Up,
}

/// Whether a connection is believed to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Proven,
    /// It was quiet for longer than its upstream's connections are known to survive.
    Unproven,
    /// It was found silent.
    Suspect,
}

/// Whether a connection may take one more query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It is full, or not up.
    None,
    /// It may, by all that is known.
    Within,
    /// Its upstream seems to take no more on one connection.
    Beyond,
}

/// One connection to an upstream.
pub struct Connection {
    pub upstream: usize,
    pub addr: SocketAddr,
    /// The same, or where its transport goes instead of that: for the log.
    pub goes_to: SocketAddr,
    phase: Phase,
    /// Whose queries it takes; one that is isolated is [`Lane::Alone`] while its query shall stay alone.
    pub lane: Lane,
    /// How often its upstream had failed when it came up.
    pub failures_before: u32,
    /// When its connect began, then when it came up.
    pub since: Time,
    pub pipeline: Pipeline,
    /// When a query was last sent or something came: the upstream counts its idle time from about then.
    pub last_used: Time,
    /// When something last came.
    pub heard_at: Time,
    /// When the newest query was sent that was answered on it.
    pub answered_up_to: Time,
    /// A query is late on it, and none that was sent later is answered: a lost packet may hold up all that comes after.
    held_up: bool,
    /// How long it had been quiet when a query was last sent alone; zero once something came.
    pub quiet: Duration,
    trust: Trust,
    pub streams: Streams,
    /// A query with the keepalive option is in flight on it.
    pub asks_keepalive: bool,
    /// Its upstream wants it closed: it takes no more queries.
    pub closing: bool,
    /// The most queries without a response that its upstream takes on it, those included that nobody waits for any more.
    most: usize,
    unmatched: u32,
    /// Queries whose time ended since it was last heard.
    missed: u32,
}

impl Connection {
    /// A connection that is being made.
    pub fn connecting(upstream: usize, addr: SocketAddr, lane: Lane, now: Time) -> Self {
        Self {
            upstream,
            addr,
            goes_to: addr,
            phase: Phase::Connecting,
            lane,
            failures_before: 0,
            since: now,
            pipeline: Pipeline::default(),
            last_used: now,
            heard_at: now,
            answered_up_to: Time::ZERO,
            held_up: false,
            quiet: Duration::ZERO,
            trust: Trust::Proven,
            streams: Streams::Shared,
            asks_keepalive: false,
            closing: false,
            most: usize::MAX,
            unmatched: 0,
            missed: 0,
        }
    }

    /// It takes queries, of which some may leave before the handshake is over. That is not success yet.
    pub fn early(&mut self, failures_before: u32, now: Time) {
        self.phase = Phase::Early;
        self.failures_before = failures_before;
        self.last_used = now;
        self.heard_at = now;
    }

    /// It came up.
    pub fn connected(&mut self, failures_before: u32, now: Time) {
        if self.phase == Phase::Early {
            self.heard(now);
        }
        self.phase = Phase::Up;
        self.failures_before = failures_before;
        self.since = now;
        self.last_used = now;
        self.heard_at = now;
    }

    /// Its upstream says how many queries without a response it takes on it; 0: no more queries.
    pub fn limited(&mut self, most: usize) {
        self.closing |= most == 0;
        self.most = most;
    }

    /// Whether it is ready for queries.
    pub fn is_up(&self) -> bool {
        self.phase != Phase::Connecting
    }

    /// Whether it is up, its handshake is over, and it is not suspect.
    pub fn is_good(&self) -> bool {
        self.phase == Phase::Up && !self.is_suspect()
    }

    /// Whether it is kept for queries that lost their connection repeatedly, or that may hold up others.
    pub fn is_isolated(&self) -> bool {
        self.lane.is_isolated()
    }

    /// Whether it may take one more query, and whether that is within the bounds.
    pub fn room(&self, limit: usize, bounds: Bounds) -> Room {
        let (live, answered) = (self.pipeline.live(), self.pipeline.answered());
        let abandoned = self.pipeline.abandoned();
        let full = live >= limit || live + abandoned >= self.most || abandoned >= FULL_OF_ABANDONED;
        if !self.is_up() || self.closing || full {
            Room::None
        } else if live < bounds.at_once && answered + (live as u64) < bounds.in_all {
            Room::Within
        } else {
            Room::Beyond
        }
    }

    /// Whether a query of this lane may be sent on it.
    pub fn admits(&self, lane: Lane) -> bool {
        let is_empty = self.pipeline.live() == 0;
        match lane {
            Lane::Shared => !self.is_isolated(),
            Lane::Isolated => self.lane == Lane::Isolated || (self.is_isolated() && is_empty),
            Lane::Alone => self.is_isolated() && is_empty,
        }
    }

    /// Whether it has had all the queries that its upstream takes on one connection, and answered them.
    pub fn is_spent(&self, bounds: Bounds) -> bool {
        self.is_up() && self.pipeline.live() == 0 && self.pipeline.answered() >= bounds.in_all
    }

    /// A query goes out.
    pub fn used(&mut self, lane: Lane, idle_timeout: &IdleTimeout, now: Time) {
        if self.pipeline.live() <= 1 {
            self.quiet = self.quiet.max(now.since(self.last_used));
            if self.trust != Trust::Suspect {
                let proven = idle_timeout.is_proven(self.quiet);
                self.trust = if proven {
                    Trust::Proven
                } else {
                    Trust::Unproven
                };
            }
        }
        self.last_used = now;
        if self.is_isolated() {
            self.lane = lane.max(Lane::Isolated);
        }
    }

    /// Something came in. Gives the quiet that the connection has so survived.
    pub fn heard(&mut self, now: Time) -> Duration {
        self.pipeline.heard(now);
        self.last_used = now;
        self.heard_at = now;
        self.trust = Trust::Proven;
        self.missed = 0;
        self.held_up = false;
        std::mem::take(&mut self.quiet)
    }

    /// A query that was sent then is late on it. Says whether a lost packet may be the reason: not if a query that was sent later is
    /// answered.
    pub fn late(&mut self, sent_at: Time) -> bool {
        let may_be_lost = self.answered_up_to < sent_at;
        self.held_up |= may_be_lost;
        may_be_lost
    }

    /// Whether a lost packet may hold up what is sent on it.
    pub fn is_held_up(&self) -> bool {
        self.held_up
    }

    /// A message came that belongs to no query. Says whether there were too many: a few are a server's slip, a flood is an attack
    /// or a broken stream.
    pub fn unmatched(&mut self) -> bool {
        self.unmatched += 1;
        self.unmatched > MAX_UNMATCHED
    }

    /// A response came that belongs to a query.
    pub fn matched(&mut self) {
        self.unmatched = self.unmatched.saturating_sub(1);
    }

    /// The time of a query that was sent then ended. One may be the query's fault; several in a row with nothing heard since are the
    /// connection's, whatever the operating system says of it. Says whether it is to be given up.
    pub fn missed(&mut self, sent_at: Time) -> bool {
        if self.heard_at <= sent_at {
            self.missed += 1;
        }
        self.missed >= MAX_MISSED
    }

    /// Whether it has a query after a quiet that its upstream's connections are not known to survive.
    pub fn is_uncertain(&self) -> bool {
        self.trust == Trust::Unproven
    }

    /// Whether it was found silent. Another connection is being prepared.
    pub fn is_suspect(&self) -> bool {
        self.trust == Trust::Suspect
    }

    /// It was found silent.
    pub fn mark_suspect(&mut self) {
        self.trust = Trust::Suspect;
    }

    /// Whether it ended without one response, although it was asked, or as soon as it was up.
    pub fn is_fruitless(&self, now: Time) -> bool {
        let at_once = now.since(self.since) < MAYBE_STALE;
        self.is_up() && self.pipeline.answered() == 0 && (at_once || !self.pipeline.is_unused())
    }

    /// Whether it was quiet for long before the query that it has now.
    pub fn may_be_stale(&self) -> bool {
        self.quiet > MAYBE_STALE
    }

    /// Whether it is up, not suspect, and was heard of a moment ago.
    pub fn is_lively(&self, now: Time) -> bool {
        self.is_good() && !self.closing && now.since(self.heard_at) <= MAYBE_STALE
    }

    /// Whether so many queries wait on it that its silence can only be its own.
    pub fn has_many(&self) -> bool {
        self.pipeline.live() >= MANY
    }

    /// For how long it may be silent with a query in flight before it is suspect.
    fn silence_allowed(&self, upstream: &Upstream) -> Duration {
        let held_up = upstream.answers_in_order() && self.pipeline.live() > 1;
        let floor = if upstream.is_isolating() {
            SUSPECT_ISOLATING
        } else if self.may_be_stale() || self.has_many() || held_up {
            SUSPECT_MIN
        } else {
            SUSPECT_LIVELY
        };
        let usual = upstream.round_trip.smoothed();
        usual.map_or(floor, |usual| floor.max(3 * usual))
    }

    /// Whether it is up, not suspect yet, and has been silent for too long.
    pub fn is_silent(&self, upstream: &Upstream, now: Time) -> bool {
        let silence = self.pipeline.silence(now);
        let unsuspected = self.is_up() && !self.is_suspect();
        unsuspected && silence.is_some_and(|silence| silence >= self.silence_allowed(upstream))
    }

    /// Whether it has been silent for so long that queries should rather go elsewhere than be refused.
    pub fn holds_up_many(&self, usual: Option<Duration>, now: Time) -> bool {
        let allowed = usual.map_or(SUSPECT_MIN, |usual| SUSPECT_FULL.max(3 * usual));
        let silence = self.pipeline.silence(now);
        self.is_good() && silence.is_some_and(|silence| silence >= allowed)
    }

    /// Whether it is up, with no query in flight, and idle for long or of no use.
    pub fn is_useless(&self, idle: Duration, now: Time) -> bool {
        // Where each query takes one of a few streams, half of them are missed.
        let too_many = MAX_ABANDONED.min(self.most / 2);
        let worn = self.is_worn() || self.pipeline.abandoned() > too_many;
        let free = self.is_up() && self.pipeline.live() == 0;
        free && (worn || now >= self.last_used + idle)
    }

    fn is_worn(&self) -> bool {
        self.is_suspect() || self.closing
    }

    /// When something has to be decided about it, if nothing happens before.
    #[inline]
    pub fn alarm(&self, upstream: &Upstream) -> Time {
        if !self.is_up() {
            return Time::NEVER;
        }
        match self.pipeline.silent_since() {
            None if self.is_worn() => self.last_used,
            None => self.last_used + upstream.idle_timeout.limit(),
            Some(_) if self.is_suspect() => Time::NEVER,
            Some(since) => since + self.silence_allowed(upstream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::diagrams::{Diagram, OUTSIDE, Transition, variants};
    use crate::engine::keys::TransactionKey;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use slotmap::SlotMap;
    use std::collections::BTreeSet;

    // fault 24: ids of abandoned queries are taken; while others are in flight there is no end to wait for.
    #[test]
    fn one_full_of_abandoned_queries_takes_no_more_although_others_are_in_flight() {
        let mut transactions: SlotMap<TransactionKey, ()> = SlotMap::with_key();
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let addr = "192.0.2.1:853".parse().unwrap();
        let mut connection = Connection::connecting(0, addr, Lane::Shared, Time::ZERO);
        connection.connected(0, Time::ZERO);
        let mut enter = |connection: &mut Connection| {
            let transaction = transactions.insert(());
            connection
                .pipeline
                .enter(transaction, &mut random, Time::ZERO)
        };
        let live = enter(&mut connection).unwrap();
        for _ in 0..FULL_OF_ABANDONED {
            assert_ne!(connection.room(1_000, Bounds::default()), Room::None);
            let id = enter(&mut connection).unwrap();
            connection.pipeline.abandon(id);
        }
        assert_eq!(connection.room(1_000, Bounds::default()), Room::None);
        assert!(!connection.is_useless(Duration::from_secs(60), Time::ZERO));
        connection.pipeline.abandon(live);
        assert!(connection.is_useless(Duration::from_secs(60), Time::ZERO));
    }

    // fault 7
    #[test]
    fn two_queries_in_a_row_that_end_in_silence_are_the_connections_fault() {
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let addr = "192.0.2.1:853".parse().unwrap();
        let mut connection = Connection::connecting(0, addr, Lane::Shared, Time::ZERO);
        connection.connected(0, at(1));
        assert!(!connection.missed(at(2)));
        connection.heard(at(8));
        assert!(!connection.missed(at(7)), "something came since");
        assert!(!connection.missed(at(9)));
        assert!(connection.missed(at(10)));
    }

    /// What each method makes of a connection that is up.
    fn changes_of_trust() -> BTreeSet<(&'static str, &'static str, &'static str)> {
        let (nothing_proven, mut much_proven) = (IdleTimeout::new(), IdleTimeout::new());
        much_proven.answered_after(Duration::from_secs(100));
        let now = Time::ZERO + Duration::from_secs(30);
        let after = |from, method, idle_timeout: &IdleTimeout| {
            let addr = "192.0.2.1:853".parse().unwrap();
            let mut connection = Connection::connecting(0, addr, Lane::Shared, Time::ZERO);
            connection.connected(0, Time::ZERO);
            connection.trust = from;
            match method {
                "used" => connection.used(Lane::Shared, idle_timeout, now),
                "heard" => drop(connection.heard(now)),
                _ => connection.mark_suspect(),
            }
            connection.trust
        };
        let mut found = BTreeSet::new();
        for (from, trust) in variants!(Trust: Proven, Unproven, Suspect) {
            for method in ["used", "heard", "mark_suspect"] {
                for idle_timeout in [&nothing_proven, &much_proven] {
                    let after = after(trust, method, idle_timeout);
                    let all = variants!(Trust: Proven, Unproven, Suspect);
                    let (to, _) = all.into_iter().find(|(_, one)| *one == after).unwrap();
                    if from != to {
                        found.insert((from, method, to));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn the_diagram_of_a_connection_is_what_its_methods_do() {
        let diagram = Diagram::under("The states of a connection to an upstream");
        let trust = variants!(Trust: Proven, Unproven, Suspect).map(|(name, _)| name);
        let phases = variants!(Phase: Connecting, Early, Up).map(|(name, _)| name);
        let states: BTreeSet<_> = trust.into_iter().chain(phases).collect();
        assert_eq!(diagram.states(), states);
        let inner = |end: &str| end == OUTSIDE || trust.contains(&end);
        let (within, around): (Vec<_>, Vec<_>) = diagram
            .transitions
            .into_iter()
            .partition(|it| inner(it.from) && inner(it.to));
        let method = |it: &Transition| it.label.split([' ', ',']).next().unwrap_or_default();
        let told = |all: &[Transition]| -> BTreeSet<_> {
            let inside = all.iter().filter(|it| it.to != OUTSIDE);
            inside.map(|it| (it.from, method(it), it.to)).collect()
        };
        let mut changes = changes_of_trust();
        changes.insert((OUTSIDE, "", "Proven"));
        assert_eq!(told(&within), changes);
        let addr = "192.0.2.1:853".parse().unwrap();
        let mut connection = Connection::connecting(0, addr, Lane::Shared, Time::ZERO);
        assert_eq!(connection.phase, Phase::Connecting);
        connection.early(0, Time::ZERO);
        assert_eq!(connection.phase, Phase::Early);
        connection.connected(0, Time::ZERO);
        assert_eq!(
            (connection.phase, connection.trust),
            (Phase::Up, Trust::Proven)
        );
        let mut connection = Connection::connecting(0, addr, Lane::Shared, Time::ZERO);
        connection.connected(0, Time::ZERO);
        assert_eq!(
            (connection.phase, connection.trust),
            (Phase::Up, Trust::Proven)
        );
        let made = [
            (OUTSIDE, "connecting", "Connecting"),
            ("Connecting", "early", "Early"),
            ("Early", "connected", "Up"),
            ("Connecting", "connected", "Up"),
        ];
        assert_eq!(told(&around), BTreeSet::from(made));
    }
}
