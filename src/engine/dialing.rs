//! Reaching upstreams: whom to dial, when, and what a failure means.

use super::failure::{NextTry, connect_line, connect_reason};
use super::flight::{Flight, FlightKey, Lane, Queue, bit};
use super::forwarder::Forwarder;
use super::incidents::Incident;
use super::links::{Link, LinkKey, State};
use super::output::{Action, Output};
use super::time::{Now, Time};
use super::upstreams::{Step, Upstream};
use crate::transport::ConnectError;
use log::{debug, warn};
use std::net::SocketAddr;
use std::time::Duration;

/// The Connection Attempt Delay: a connect that takes longer is raced by one to another upstream or another address (RFC 8305
/// section 8 recommends 250 ms).
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Connects under way at once, in all. When one more is due, one that makes no progress has to give way.
const MAX_DIALS: usize = 8;
/// A connect that has taken so long may be given up for one to another upstream.
const NO_PROGRESS: Duration = Duration::from_secs(1);
/// Connects under way at once to one upstream. On a path that loses everything a fresh connect gets through sooner than one whose
/// packets the system repeats ever more seldom; the first is kept for a path that is only slow.
const MAX_DIALS_TO_ONE: usize = 4;
/// Connections to one upstream that new questions share, when it takes few questions on each.
const MAX_LINKS: usize = 4;
/// Connections to one upstream for questions that lost theirs repeatedly, or may hold up others.
const MAX_ISOLATED: usize = 6;

/// How many connections of a kind one upstream may have.
pub const fn most_of(isolated: bool) -> usize {
    if isolated { MAX_ISOLATED } else { MAX_LINKS }
}

impl Forwarder {
    /// Starts a connect to an upstream that this question would rather have gone to, or that could stand in for one in doubt: one of
    /// those before `rank` that has no good link.
    pub(super) fn dial_missing(
        &mut self,
        key: FlightKey,
        used: usize,
        rank: u64,
        now: Now,
        out: &mut Output,
    ) {
        let Some(flight) = self.flights.get(key) else {
            return;
        };
        let (preferred, exclude) = (flight.preferred, flight.exclude);
        let wanted = |upstream: &usize| {
            *upstream != used
                && exclude & bit(*upstream) == 0
                && self.rank(preferred, *upstream) < rank
                && self.may_dial(*upstream, now)
        };
        let good = |upstream: usize, link: &Link| {
            link.upstream == upstream && !link.suspect && !link.is_isolated()
        };
        let missing = (0..self.upstreams.len())
            .filter(wanted)
            .filter(|&upstream| !self.links.values().any(|link| good(upstream, link)))
            .min_by_key(|&upstream| self.rank(preferred, upstream));
        if let Some(upstream) = missing {
            self.dial_for(key, upstream, false, now, out);
        }
    }

    /// May a connect to it begin, although nobody waits for it?
    pub(super) fn may_dial(&self, upstream: usize, now: Now) -> bool {
        let at = self.connect_at(upstream, false);
        let state = &self.upstreams[upstream];
        self.pending(|u| u == upstream, false) == 0
            && at.is_some_and(|at| now.mono >= at)
            && !state.resolving
            && state.health.is_due(now.mono)
    }

    /// When one more connect to this upstream may begin, if at all.
    fn connect_at(&self, upstream: usize, isolated: bool) -> Option<Time> {
        let state = &self.upstreams[upstream];
        let ours = |link: &&Link| link.upstream == upstream && link.is_isolated() == isolated;
        let up = self.links.values().filter(ours).filter(|link| link.is_up());
        if up.count() >= most_of(isolated) {
            return None;
        }
        let to_it = self.pending(|u| u == upstream, isolated);
        let mut at = state.dial_at(self.nothing_up());
        if to_it >= state.width() {
            at = at.max(state.race_at());
        }
        if to_it < self.most_to(upstream) && self.dialing() >= MAX_DIALS {
            let oldest = self.oldest_dial().map(|(_, since)| since + NO_PROGRESS);
            at = at.max(oldest.unwrap_or_default());
        }
        Some(at)
    }

    /// Starts a connect for a question, to an upstream that is not excluded, unless one is under way that is not late yet.
    pub(super) fn dial_one(&mut self, key: FlightKey, queue: Queue, now: Now, out: &mut Output) {
        if let Some(flight) = self.flights.get(key)
            && let Some((at, upstream)) = self.next_dial(flight, queue, now)
            && now.mono >= at
        {
            self.dial_for(key, upstream, queue.1 != Lane::Shared, now, out);
        }
    }

    /// Starts a connect for all who wait in a queue, at the expense of one of them.
    pub(super) fn dial_for_queue(&mut self, queue: Queue, now: Now, out: &mut Output) {
        for payer in self.payers(queue).into_iter().flatten() {
            self.dial_one(payer, queue, now, out);
        }
    }

    /// Which upstream to dial next for a question, and when: the one with the fewest connects under way, then one that was not tried
    /// in vain since the question came, then one whose last connect did not fail, then the most preferred, among those that may
    /// be dialled first.
    fn next_dial(
        &self,
        flight: &Flight,
        (exclude, lane): Queue,
        now: Now,
    ) -> Option<(Time, usize)> {
        let isolated = lane != Lane::Shared;
        let usable = |upstream: usize| exclude & bit(upstream) == 0;
        let soonest = match self.pending(usable, isolated) {
            0 => Time::ZERO,
            _ => self.last_dial + CONNECTION_ATTEMPT_DELAY,
        };
        (0..self.upstreams.len())
            .filter(|&upstream| usable(upstream) && flight.may_connect(upstream))
            .filter_map(|upstream| {
                let at = self.connect_at(upstream, isolated)?;
                // What may be dialled since long is not better than what may be dialled now.
                let at = at.max(soonest).max(now.mono);
                let pending = self.pending(|u| u == upstream, isolated);
                let state = &self.upstreams[upstream];
                let lost = isolated && flight.tried & bit(upstream) != 0;
                let failed = lost || state.has_failed_since(flight.arrived);
                let rank = self.rank(flight.preferred, upstream);
                let failing = state.has_failed_lately(self.seen.mono);
                Some((at, pending, failed, failing, rank, upstream))
            })
            .min()
            .map(|(at, _, _, _, _, upstream)| (at, upstream))
    }

    /// Starts a connect to this upstream, at the expense of this question.
    pub(super) fn dial_for(
        &mut self,
        key: FlightKey,
        upstream: usize,
        isolated: bool,
        now: Now,
        out: &mut Output,
    ) {
        let payer = self.flights.get(key);
        let Some(flight) = payer.filter(|flight| flight.may_connect(upstream)) else {
            return;
        };
        let (connects, connected) = (flight.connects + 1, flight.connected | bit(upstream));
        if self.dial(upstream, isolated, now, out)
            && let Some(flight) = self.flights.get_mut(key)
        {
            (flight.connects, flight.connected) = (connects, connected);
        }
    }

    /// Starts a connect to this upstream, or the look-up that has to come before it. True if it is a connect.
    fn dial(&mut self, upstream: usize, isolated: bool, now: Now, out: &mut Output) -> bool {
        self.last_dial = now.mono;
        let state = &mut self.upstreams[upstream];
        if state.wants_resolving(now.mono) {
            state.resolving = true;
            out.push(Action::Resolve { upstream });
        }
        let Step::Dial(addr) = state.step(now.mono) else {
            return false;
        };
        self.make_way(upstream, isolated, now, out);
        self.stats.dials += 1;
        self.upstreams[upstream].counts.connects += 1;
        let lane = if isolated {
            Lane::Isolated
        } else {
            Lane::Shared
        };
        let link = Link::dialing(upstream, addr, lane, now.mono);
        let link = self.links.insert(link);
        out.push(Action::Dial {
            link,
            upstream,
            addr,
        });
        true
    }

    /// Before one more connect begins, gives up one that it replaces, where the bounds on connects under way want that.
    fn make_way(&mut self, upstream: usize, isolated: bool, now: Now, out: &mut Output) {
        let mut to_it = self.keys(|link| {
            let dialing = link.state == State::Dialing && link.is_isolated() == isolated;
            dialing && link.upstream == upstream
        });
        to_it.sort_by_key(|key| self.links[*key].since);
        if to_it.len() >= self.most_to(upstream) {
            let second = to_it[1];
            self.links.remove(second);
            out.push(Action::Close { link: second });
        } else if self.dialing() >= MAX_DIALS
            && let Some((oldest, _)) = self.oldest_dial()
        {
            out.push(Action::Close { link: oldest });
            if let Some(link) = self.links.remove(oldest) {
                let why = ConnectError::TimedOut;
                self.note_failure(link.upstream, Some(link.addr), &why, now);
            }
        }
    }

    /// How many connects to it may be under way at once.
    fn most_to(&self, upstream: usize) -> usize {
        self.upstreams[upstream].width().max(MAX_DIALS_TO_ONE)
    }

    /// The oldest connect under way, and when it began.
    fn oldest_dial(&self) -> Option<(LinkKey, Time)> {
        let dialing = |(_, link): &(LinkKey, &Link)| link.state == State::Dialing;
        let dials = self.links.iter().filter(dialing);
        dials
            .map(|(key, link)| (key, link.since))
            .min_by_key(|(_, since)| *since)
    }

    /// Connects under way.
    fn dialing(&self) -> usize {
        let dialing = |link: &&Link| link.state == State::Dialing;
        self.links.values().filter(dialing).count()
    }

    /// Connects and look-ups under way for the upstreams that `of` names.
    pub(super) fn pending(&self, of: impl Fn(usize) -> bool, isolated: bool) -> usize {
        let dialing = |link: &&Link| {
            link.state == State::Dialing && link.is_isolated() == isolated && of(link.upstream)
        };
        let resolving =
            |(index, upstream): &(usize, &Upstream)| upstream.is_unknown() && of(*index);
        self.links.values().filter(dialing).count()
            + self.upstreams.iter().enumerate().filter(resolving).count()
    }

    pub(super) fn links_of(&self, upstream: usize, isolated: bool) -> usize {
        let of = |link: &&Link| link.upstream == upstream && link.is_isolated() == isolated;
        self.links.values().filter(of).count()
    }

    /// Is no link up but those in doubt?
    pub(super) fn nothing_up(&self) -> bool {
        !self
            .links
            .values()
            .any(|link| link.is_up() && !link.suspect)
    }

    /// When an upstream that is not excluded may be dialled.
    pub(super) fn dial_at(&self, exclude: u64) -> Option<Time> {
        let nothing_up = self.nothing_up();
        let usable = |(index, _): &(usize, _)| exclude & bit(*index) == 0;
        let upstreams = self.upstreams.iter().enumerate().filter(usable);
        upstreams.map(|(_, u)| u.dial_at(nothing_up)).min()
    }

    /// When the next connect for those who wait in a queue may begin; `None` if nobody there may cost one more.
    pub(super) fn next_connect_at(&self, queue: Queue) -> Option<Time> {
        self.payers(queue).into_iter().flatten().next()?;
        self.dial_at(queue.0)
    }

    /// When those who wait need a decision: a connect is late, or a back-off is over.
    pub(super) fn dial_alarm(&self) -> Option<Time> {
        let long_ago = Now::default();
        let of_queue = |queue: &Queue| {
            let payers = self.payers(*queue).into_iter().flatten();
            let at = payers.filter_map(|payer| {
                let flight = self.flights.get(payer)?;
                self.next_dial(flight, *queue, long_ago)
            });
            at.map(|(at, _)| at).min()
        };
        self.waiting.keys().filter_map(of_queue).min()
    }

    /// When a link in doubt is to be replaced.
    pub(super) fn replacement_alarm(&self, doubted: LinkKey, now: Time) -> Option<Time> {
        let (at, _) = self.replacement(doubted, now)?;
        Some(at.max(now))
    }

    /// Those in a queue who may cost one more connect, for all who wait there: the first with something left of its budget, and the
    /// first that may still try an upstream that it did not try yet.
    fn payers(&self, queue: Queue) -> [Option<FlightKey>; 2] {
        let first = |so: &dyn Fn(&Flight) -> bool| {
            let can_pay = |key: &&FlightKey| {
                let flight = self.flights.get(**key);
                flight.is_some_and(|flight| flight.queued == Some(queue) && so(flight))
            };
            self.waiting.get(&queue)?.iter().find(can_pay).copied()
        };
        let untried = |flight: &Flight| {
            let excluded = |upstream: usize| queue.0 & bit(upstream) != 0;
            (0..self.upstreams.len()).any(|u| !excluded(u) && flight.connected & bit(u) == 0)
        };
        let rich = first(&Flight::may_connect_again);
        [rich, first(&untried).filter(|other| rich != Some(*other))]
    }

    /// A link in doubt gets a replacement, so that there is something to go to if it is dead. One of the questions on it pays for that.
    pub(super) fn replace(&mut self, doubted: LinkKey, now: Now, out: &mut Output) {
        if let Some((at, payer)) = self.replacement(doubted, now.mono)
            && now.mono >= at
            && let Some(upstream) = self.links.get(doubted).map(|link| link.upstream)
        {
            self.dial_for(payer, upstream, false, now, out);
        }
    }

    /// When the next connect to replace a link in doubt is due, and who pays for it. `None` if there is no need.
    fn replacement(&self, doubted: LinkKey, now: Time) -> Option<(Time, FlightKey)> {
        let link = self.links.get(doubted).filter(|link| !link.is_isolated())?;
        let upstream = link.upstream;
        let is_there = |(key, other): (LinkKey, &Link)| {
            key != doubted
                && other.upstream == upstream
                && !other.is_isolated()
                && other.is_lively(now)
        };
        if self.upstreams[upstream].is_unknown() || self.links.iter().any(is_there) {
            return None;
        }
        let at = self.connect_at(upstream, false)?;
        let can_pay = |key: FlightKey| {
            let flight = self.flights.get(key);
            flight.is_some_and(|flight| flight.may_connect(upstream))
        };
        let payer = link.pipeline.find_live(can_pay)?;
        Some((at, payer))
    }

    /// Connects to an upstream whose last connection was idle for too long, for nobody in particular. It was of use a short while ago, and
    /// the next question then costs one round trip instead of three or four. Later there is no connection, and nothing to wake up for.
    pub(super) fn keep_ready(&mut self, upstream: usize, now: Now, out: &mut Output) {
        if self.upstreams[upstream].is_active(now.mono)
            && self.links_of(upstream, false) == 0
            && self.may_dial(upstream, now)
            && self.dial(upstream, false, now, out)
        {
            self.stats.renewed += 1;
        }
    }

    /// Notes that an upstream could not be reached, and says so in the log.
    pub(super) fn note_failure(
        &mut self,
        upstream: usize,
        addr: Option<SocketAddr>,
        why: &ConnectError,
        now: Now,
    ) {
        self.stats.dial_failures += 1;
        self.upstreams[upstream].counts.failed_connects += 1;
        let gone = !self.links.values().any(|link| link.upstream == upstream);
        let state = &mut self.upstreams[upstream];
        state.failed(*why == ConnectError::TimedOut, now.mono, &mut self.random);
        if gone {
            state.forget_bounds();
        }
        state.trouble = Some(connect_reason(why));
        let others_up = !self.nothing_up();
        let state = &self.upstreams[upstream];
        let next = NextTry {
            wait: state.dial_at(!others_up).since(now.mono),
            under_way: self.pending(|u| u == upstream, false) > 0,
            others_up,
        };
        let line = connect_line(&state.label, addr, why, next);
        let about = connect_reason(why);
        let incidents = &mut self.upstreams[upstream].incidents;
        match incidents.note(Incident::Connect, &about, now.mono) {
            Some(untold) => warn!("{line}{untold}"),
            None => debug!("{line}"),
        }
    }
}
