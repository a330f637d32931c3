//! Reaching upstreams: whom to dial, when, and what a failure means.

use super::failure::{NextTry, connect_line, connect_reason};
use super::flight::{Flight, FlightKey, MAX_CONNECTS, bit};
use super::forwarder::Forwarder;
use super::links::{Link, LinkKey, State};
use super::output::{Action, Output};
use super::time::{Now, Time};
use super::upstreams::{Step, Upstream};
use crate::transport::DialError;
use log::warn;
use std::net::SocketAddr;
use std::time::Duration;

/// A connect that takes longer gets company: another upstream or another address is tried beside it (RFC 8305 section 8
/// recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);
/// Connects under way at once, in all.
const MAX_DIALS: usize = 4;
/// Links to one upstream, when it takes few questions on each.
const MAX_LINKS: usize = 4;

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
        let good = |upstream: usize, link: &Link| link.upstream == upstream && !link.suspect;
        let missing = (0..self.upstreams.len())
            .filter(wanted)
            .filter(|&upstream| !self.links.values().any(|link| good(upstream, link)))
            .min_by_key(|&upstream| self.rank(preferred, upstream));
        if let Some(upstream) = missing {
            self.dial_for(key, upstream, now, out);
        }
    }

    /// May a connect to it begin, although nobody waits for it?
    fn may_dial(&self, upstream: usize, now: Now) -> bool {
        let state = &self.upstreams[upstream];
        self.may_dial_more()
            && now.mono >= state.dial_at(self.nothing_up())
            && !state.resolving
            && state.health.is_due(now.mono)
            && self.links_of(upstream) < MAX_LINKS
    }

    /// Is the bound on connects under way not reached? Those that wait are looked at again when one of them ends.
    fn may_dial_more(&self) -> bool {
        self.pending(|_| true) < MAX_DIALS
    }

    /// Starts a connect for a question, to an upstream that is not excluded, unless one is under way that is not late yet.
    pub(super) fn dial_one(&mut self, key: FlightKey, exclude: u64, now: Now, out: &mut Output) {
        if let Some(flight) = self.flights.get(key)
            && let Some((at, upstream)) = self.next_dial(flight, exclude, now)
            && now.mono >= at
        {
            self.dial_for(key, upstream, now, out);
        }
    }

    /// Which upstream to dial next for a question, and when: the one with the fewest connects under way, then one that was not tried
    /// in vain since the question came, then the most preferred, among those that may be dialled first.
    fn next_dial(&self, flight: &Flight, exclude: u64, now: Now) -> Option<(Time, usize)> {
        if flight.connects >= MAX_CONNECTS || !self.may_dial_more() {
            return None;
        }
        let usable = |upstream: usize| exclude & bit(upstream) == 0;
        let soonest = match self.pending(usable) {
            0 => Time::ZERO,
            _ => self.last_dial + STAGGER,
        };
        let nothing_up = self.nothing_up();
        (0..self.upstreams.len())
            .filter(|&upstream| usable(upstream) && self.links_of(upstream) < MAX_LINKS)
            .map(|upstream| (self.pending(|u| u == upstream), upstream))
            .filter(|&(pending, upstream)| pending < self.upstreams[upstream].width())
            .map(|(pending, upstream)| {
                let at = self.upstreams[upstream].dial_at(nothing_up).max(soonest);
                // What may be dialled since long is not better than what may be dialled now.
                let rank = self.rank(flight.preferred, upstream);
                let failed = self.upstreams[upstream].has_failed_since(flight.arrived);
                (at.max(now.mono), pending, failed, rank, upstream)
            })
            .min()
            .map(|(at, _, _, _, upstream)| (at, upstream))
    }

    /// Starts a connect to this upstream, at the expense of this question.
    pub(super) fn dial_for(&mut self, key: FlightKey, upstream: usize, now: Now, out: &mut Output) {
        let Some(flight) = self.flights.get_mut(key) else {
            return;
        };
        if flight.connects >= MAX_CONNECTS {
            return;
        }
        self.last_dial = now.mono;
        let state = &mut self.upstreams[upstream];
        if state.wants_resolving(now.mono) {
            state.resolving = true;
            out.push(Action::Resolve { upstream });
        }
        if let Step::Dial(addr) = state.step(now.mono) {
            flight.connects += 1;
            self.stats.dials += 1;
            let link = self.links.insert(Link::dialing(upstream, addr, now.mono));
            out.push(Action::Dial {
                link,
                upstream,
                addr,
            });
        }
    }

    /// Connects and look-ups under way for the upstreams that `of` names.
    pub(super) fn pending(&self, of: impl Fn(usize) -> bool) -> usize {
        let dialing = |link: &&Link| link.state == State::Dialing && of(link.upstream);
        let resolving =
            |(index, upstream): &(usize, &Upstream)| upstream.is_unknown() && of(*index);
        self.links.values().filter(dialing).count()
            + self.upstreams.iter().enumerate().filter(resolving).count()
    }

    pub(super) fn links_of(&self, upstream: usize) -> usize {
        let of = |link: &&Link| link.upstream == upstream;
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

    /// When those who wait need a decision: a connect is late, or a back-off is over.
    pub(super) fn dial_alarm(&self) -> Option<Time> {
        let long_ago = Now::default();
        let queues = self.waiting.keys().filter_map(|exclude| {
            let payer = self.payer(*exclude)?;
            self.next_dial(self.flights.get(payer)?, *exclude, long_ago)
        });
        queues.map(|(at, _)| at).min()
    }

    /// The first in a queue that may cost one more connect, for all who wait there.
    pub(super) fn payer(&self, exclude: u64) -> Option<FlightKey> {
        let can_pay = |key: &&FlightKey| {
            let flight = self.flights.get(**key);
            flight.is_some_and(|f| f.queued == Some(exclude) && f.connects < MAX_CONNECTS)
        };
        self.waiting.get(&exclude)?.iter().find(can_pay).copied()
    }

    /// A link in doubt gets company, so that there is something to go to if it is dead. One of the questions on it pays for that.
    pub(super) fn replace(&mut self, doubted: LinkKey, now: Now, out: &mut Output) {
        let Some(link) = self.links.get(doubted) else {
            return;
        };
        let upstream = link.upstream;
        let company = |(key, other): (LinkKey, &Link)| {
            let is_company = other.state == State::Dialing || other.is_lively(now.mono);
            key != doubted && other.upstream == upstream && is_company
        };
        if !self.may_dial(upstream, now) || self.links.iter().any(company) {
            return;
        }
        let can_pay = |key: &FlightKey| {
            let flight = self.flights.get(*key);
            flight.is_some_and(|flight| flight.connects < MAX_CONNECTS)
        };
        let payer = link.pipeline.live_flights().into_iter().find(can_pay);
        if let Some(payer) = payer {
            self.dial_for(payer, upstream, now, out);
        }
    }

    /// Notes that an upstream could not be reached, and says so in the log.
    pub(super) fn note_failure(
        &mut self,
        upstream: usize,
        addr: Option<SocketAddr>,
        why: &DialError,
        now: Now,
    ) {
        self.stats.dial_failures += 1;
        let gone = !self.links.values().any(|link| link.upstream == upstream);
        let state = &mut self.upstreams[upstream];
        state.failed(now.mono, &mut self.random);
        if gone {
            state.forget_bounds();
        }
        state.trouble = Some(connect_reason(why));
        let others_up = !self.nothing_up();
        let state = &self.upstreams[upstream];
        let next = NextTry {
            wait: state.dial_at(!others_up).since(now.mono),
            others_up,
        };
        warn!("{}", connect_line(&state.label, addr, why, next));
    }
}
