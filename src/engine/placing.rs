//! Finding a link for a question: which upstream, which connection, when to dial, when to give up.

use super::flight::{FlightKey, MAX_SENDS, bit};
use super::forwarder::Forwarder;
use super::links::{Link, LinkKey, MAX_MISSED, State};
use super::output::{Action, Output};
use super::time::{Now, Time};
use super::timers::TICK;
use super::upstreams::Step;
use crate::transport::{DialError, LinkError};
use crate::wire::{self, Ede};
use log::{debug, info, warn};
use std::net::SocketAddr;
use std::time::Duration;

/// A connect that takes longer gets company: another upstream or another address is tried beside it (RFC 8305 section 8
/// recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);
/// Connects under way at once, in all.
const MAX_DIALS: usize = 4;
/// Links to one upstream, when it takes few questions on each.
const MAX_LINKS: usize = 4;
/// How long a question that no upstream can be reached for waits for the next try.
const PATIENCE: Duration = Duration::from_secs(1);
/// An answer that takes longer is asked for elsewhere too. Resolvers answer most cold names within a second.
const TRY: Duration = Duration::from_millis(1_500);

impl Forwarder {
    /// Puts a question on the best link there is, or among those that wait for one.
    pub(super) fn place(&mut self, key: FlightKey, now: Now, out: &mut Output) {
        let Some(flight) = self.flights.get_mut(key) else {
            return;
        };
        let exclude = flight.exclude;
        if let Some(link) = self.best_link(exclude, now)
            && self.send(key, link, now, out)
        {
            let (upstream, suspect) = (self.links[link].upstream, self.links[link].suspect);
            // The preferred upstream is tried again in the background; a link in doubt gets company.
            if suspect {
                self.dial_one(exclude | bit(upstream), now, out);
            } else if let Some(better) = self.missing_before(upstream, exclude, now) {
                self.dial_upstream(better, now, out);
            }
            return;
        }
        let flight = &mut self.flights[key];
        if !flight.waiting {
            flight.waiting = true;
            self.waiting.push_back(key);
        }
        self.dial(now, out);
        if self.is_hopeless(key) {
            self.stop_waiting(key, now, out);
        }
    }

    /// Places those who wait, in order of arrival, as far as links have room; then dials for the rest.
    pub(super) fn place_waiting(&mut self, now: Now, out: &mut Output) {
        while let Some(key) = self.waiting.pop_front() {
            let Some(flight) = self.flights.get(key).filter(|flight| flight.waiting) else {
                continue;
            };
            let exclude = flight.exclude;
            let link = self.best_link(exclude, now);
            if !link.is_some_and(|link| self.send(key, link, now, out)) {
                self.waiting.push_front(key);
                break;
            }
        }
        self.dial(now, out);
    }

    /// The link that a question should take: the most preferred upstream's, one without doubt, the newest.
    fn best_link(&self, exclude: u64, now: Now) -> Option<LinkKey> {
        let has_room = |link: &Link| {
            let bounds = self.upstreams[link.upstream].bounds(now.mono);
            link.has_room(self.limits.link_in_flight, bounds)
        };
        self.links
            .iter()
            .filter(|(_, link)| link.is_up() && exclude & bit(link.upstream) == 0 && has_room(link))
            .min_by_key(|(_, link)| (link.suspect, link.upstream, std::cmp::Reverse(link.since)))
            .map(|(key, _)| key)
    }

    /// Sends a question on a link. False if the link has no id to give.
    fn send(&mut self, key: FlightKey, to: LinkKey, now: Now, out: &mut Output) -> bool {
        let (Some(flight), Some(link)) = (self.flights.get_mut(key), self.links.get_mut(to)) else {
            return false;
        };
        let Some(id) = link.pipeline.enter(key, &mut self.random, now.mono) else {
            return false;
        };
        link.used(now.mono);
        let upstream = link.upstream;
        self.stats.sent += 1;
        self.stats.resent += u64::from(flight.sends > 0);
        // Its first link counts: a copy on another one does not give that one more time.
        let may_go_elsewhere =
            !flight.placed() && !flight.tries.elsewhere && self.upstreams.len() > 1;
        flight.place(to, id, upstream, now.mono);
        let edns = !flight.tries.plain && !self.upstreams[upstream].is_plain(now.mono);
        out.send(to, id, |out| {
            wire::forward_query(&flight.message, &flight.query, edns, out);
        });
        if may_go_elsewhere {
            flight.elsewhere_at = Some(now.mono + TRY);
            self.timers.set(key, flight.alarm());
        }
        true
    }

    /// A more preferred upstream that has no link and may be dialled now.
    fn missing_before(&self, upstream: usize, exclude: u64, now: Now) -> Option<usize> {
        (0..upstream).find(|&better| {
            exclude & bit(better) == 0
                && now.mono >= self.upstreams[better].dial_at(false)
                && !self.upstreams[better].resolving
                && !self.links.values().any(|link| link.upstream == better)
        })
    }

    /// Sees to it that those who wait have something to wait for.
    fn dial(&mut self, now: Now, out: &mut Output) {
        while let Some(key) = self.waiting.front() {
            match self.flights.get(*key).filter(|flight| flight.waiting) {
                Some(flight) => return self.dial_one(flight.exclude, now, out),
                None => self.waiting.pop_front(),
            };
        }
    }

    /// Starts a connect to an upstream that is not excluded, unless one is under way that is not late yet.
    fn dial_one(&mut self, exclude: u64, now: Now, out: &mut Output) {
        if let Some((at, upstream)) = self.next_dial(exclude)
            && now.mono >= at
        {
            self.dial_upstream(upstream, now, out);
        }
    }

    /// Which upstream to dial next, and when: the one with the fewest connects under way, then the most preferred, among
    /// those that may be dialled first.
    fn next_dial(&self, exclude: u64) -> Option<(Time, usize)> {
        let usable = |upstream: usize| exclude & bit(upstream) == 0;
        let soonest = match self.pending(usable) {
            0 => Time::ZERO,
            MAX_DIALS.. => return None,
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
                (at.max(self.last_dial), pending, upstream)
            })
            .min()
            .map(|(at, _, upstream)| (at, upstream))
    }

    /// Starts a connect to this upstream.
    fn dial_upstream(&mut self, upstream: usize, now: Now, out: &mut Output) {
        self.last_dial = now.mono;
        let state = &mut self.upstreams[upstream];
        if state.wants_resolving(now.mono) {
            state.resolving = true;
            out.push(Action::Resolve { upstream });
        }
        if let Step::Dial(addr) = state.step() {
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
    fn pending(&self, of: impl Fn(usize) -> bool) -> usize {
        let dialing = |link: &&Link| link.state == State::Dialing && of(link.upstream);
        let resolving = |(index, upstream): &(usize, &super::upstreams::Upstream)| {
            upstream.resolving && of(*index)
        };
        self.links.values().filter(dialing).count()
            + self.upstreams.iter().enumerate().filter(resolving).count()
    }

    fn links_of(&self, upstream: usize) -> usize {
        let of = |link: &&Link| link.upstream == upstream;
        self.links.values().filter(of).count()
    }

    fn nothing_up(&self) -> bool {
        !self.links.values().any(Link::is_up)
    }

    /// When an upstream that is not excluded may be dialled.
    fn dial_at(&self, exclude: u64) -> Option<Time> {
        let nothing_up = self.nothing_up();
        let usable = |(index, _): &(usize, _)| exclude & bit(*index) == 0;
        let upstreams = self.upstreams.iter().enumerate().filter(usable);
        upstreams.map(|(_, u)| u.dial_at(nothing_up)).min()
    }

    /// When those who wait need a decision: a connect is late, or a back-off is over.
    pub(super) fn dial_alarm(&self) -> Option<Time> {
        let mut waiting = self.waiting.iter().filter_map(|key| self.flights.get(*key));
        let first = waiting.find(|flight| flight.waiting)?;
        self.next_dial(first.exclude).map(|(at, _)| at)
    }

    /// Answers those who would have to wait too long for the next try.
    pub(super) fn give_up_hopeless(&mut self, now: Now, out: &mut Output) {
        let hopeless: Vec<FlightKey> = self
            .waiting
            .iter()
            .copied()
            .filter(|key| self.is_hopeless(*key))
            .collect();
        for key in hopeless {
            self.stop_waiting(key, now, out);
        }
    }

    /// Is nothing to be hoped for: no link, none under way, and the next try too far off?
    fn is_hopeless(&self, key: FlightKey) -> bool {
        let Some(flight) = self.flights.get(key).filter(|flight| flight.waiting) else {
            return false;
        };
        let usable = |upstream: usize| flight.exclude & bit(upstream) == 0;
        let full = |link: &Link| link.is_up() && usable(link.upstream);
        let until = flight.arrived + PATIENCE;
        self.pending(usable) == 0
            && !self.links.values().any(full)
            && self.dial_at(flight.exclude).is_none_or(|at| at > until)
    }

    fn stop_waiting(&mut self, key: FlightKey, now: Now, out: &mut Output) {
        let Some(flight) = self.flights.get_mut(key) else {
            return;
        };
        flight.waiting = false;
        // An answer may still come from where it was sent.
        if !flight.placed() {
            self.fail(key, Ede::NO_REACHABLE_AUTHORITY, now, out);
        }
    }

    /// A question's timer: its time is over, or it is late.
    pub(super) fn overdue(&mut self, key: FlightKey, now: Now, out: &mut Output) {
        let Some(flight) = self.flights.get_mut(key) else {
            return;
        };
        let is_due = |at: Time| now.mono + TICK >= at;
        if is_due(flight.deadline) {
            let places = flight.places;
            let ede = match flight.sends {
                0 => Ede::NO_REACHABLE_AUTHORITY,
                _ => Ede::NETWORK_ERROR,
            };
            self.fail(key, ede, now, out);
            for (link, _) in places.into_iter().flatten() {
                self.missed(link, now, out);
            }
            return;
        }
        let elsewhere = flight.elsewhere_at.take_if(|at| is_due(*at)).is_some();
        let stale = flight.stale_at.take_if(|at| is_due(*at)).is_some();
        self.timers.set(key, flight.alarm());
        if stale {
            self.serve_stale(key, now, out);
        }
        if elsewhere {
            self.try_elsewhere(key, now, out);
        }
    }

    /// A question's time ended on this link. One may be the question's fault; several in a row with nothing heard in between are
    /// the link's, whatever the operating system says of it.
    fn missed(&mut self, key: LinkKey, now: Now, out: &mut Output) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.missed += 1;
        if link.missed >= MAX_MISSED {
            out.push(Action::Close { link: key });
            self.lose(key, &LinkError::Silent, now, out);
        }
    }

    /// Asks another upstream, once per question and only if one is up or may be dialled. The first may still answer.
    pub(super) fn try_elsewhere(&mut self, key: FlightKey, now: Now, out: &mut Output) -> bool {
        let Some(flight) = self.flights.get_mut(key) else {
            return false;
        };
        if flight.tries.elsewhere || flight.sends >= MAX_SENDS {
            return false;
        }
        let exclude = flight.tried;
        let nothing_up = !self.links.values().any(Link::is_up);
        let is_there = |upstream: usize| {
            let up = |link: &Link| link.upstream == upstream && link.is_up() && !link.suspect;
            self.links.values().any(up) || now.mono >= self.upstreams[upstream].dial_at(nothing_up)
        };
        if !(0..self.upstreams.len()).any(|u| exclude & bit(u) == 0 && is_there(u)) {
            return false;
        }
        flight.tries.elsewhere = true;
        flight.exclude = exclude;
        self.place(key, now, out);
        true
    }

    /// A link is gone: its questions go elsewhere.
    pub(super) fn lose(&mut self, key: LinkKey, why: &LinkError, now: Now, out: &mut Output) {
        let Some(link) = self.links.remove(key) else {
            return;
        };
        let (upstream, live) = (link.upstream, link.pipeline.live());
        let answered = link.pipeline.answered();
        let label = &self.upstreams[upstream].label;
        let age = now.mono.since(link.since).as_secs_f32();
        if live > 0 || *why != LinkError::Closed {
            self.stats.links_lost += 1;
            warn!(
                "{label} {}: {why}, after {age:.1} s and {answered} answers, {live} questions in flight",
                link.addr
            );
        } else {
            debug!(
                "{label} {}: {why}, after {age:.1} s and {answered} answers",
                link.addr
            );
        }
        let by_peer = matches!(
            why,
            LinkError::Closed | LinkError::Io(_) | LinkError::Truncated
        );
        if by_peer && !link.maybe_stale {
            self.upstreams[upstream].closed_busy(answered, live, now.mono);
        }
        for flight in link.pipeline.live_flights() {
            self.lost(flight, key, now, out);
        }
    }

    /// A question's link is gone: it is sent again once, on any link; then once more to another upstream.
    pub(super) fn lost(&mut self, key: FlightKey, link: LinkKey, now: Now, out: &mut Output) {
        let Some(flight) = self.flights.get_mut(key) else {
            return;
        };
        flight.leave(link);
        if flight.placed() || flight.waiting {
            return;
        }
        if !flight.tries.resent && flight.sends < MAX_SENDS {
            flight.tries.resent = true;
            self.place(key, now, out);
        } else if !self.try_elsewhere(key, now, out) {
            self.fail(key, Ede::NETWORK_ERROR, now, out);
        }
    }

    /// A fresh link is up: connects to the same upstream that are still under way are not needed, and questions on links in doubt
    /// are asked on it, too. The first answer counts, wherever it comes from: a link in doubt may only be slow.
    pub(super) fn relieve(&mut self, fresh: LinkKey, now: Now, out: &mut Output) {
        let Some(upstream) = self.links.get(fresh).map(|link| link.upstream) else {
            return;
        };
        let enough = self.waiting.len() < self.limits.link_in_flight;
        let rivals = |link: &Link| link.state == State::Dialing && link.upstream == upstream;
        let rivals = self.keys(|link| enough && rivals(link));
        for rival in rivals {
            self.links.remove(rival);
            out.push(Action::Close { link: rival });
        }
        for key in self.keys(|link| link.suspect) {
            let same = self.links[key].upstream == upstream;
            for flight in self.links[key].pipeline.live_flights() {
                if !same {
                    self.try_elsewhere(flight, now, out);
                } else if let Some(tries) = self.flights.get_mut(flight).map(|f| &mut f.tries)
                    && !std::mem::replace(&mut tries.resent, true)
                {
                    self.send(flight, fresh, now, out);
                }
            }
        }
    }

    /// An upstream with a link in doubt cannot be reached anew: its questions are asked elsewhere, too.
    pub(super) fn doubt(&mut self, upstream: usize, now: Now, out: &mut Output) {
        for key in self.keys(|link| link.suspect && link.upstream == upstream) {
            for flight in self.links[key].pipeline.live_flights() {
                self.try_elsewhere(flight, now, out);
            }
        }
    }

    /// The links that are so.
    fn keys(&self, so: impl Fn(&Link) -> bool) -> Vec<LinkKey> {
        let links = self.links.iter().filter(|(_, link)| so(link));
        links.map(|(key, _)| key).collect()
    }

    /// Looks after links: what is idle is closed before the server does it, what is silent is doubted.
    pub(super) fn check_links(&mut self, now: Now, out: &mut Output) {
        let idle = self.keys(|link| link.is_useless(now.mono));
        for key in idle {
            out.push(Action::Close { link: key });
            if let Some(link) = self.links.remove(key) {
                debug!(
                    "{} {}: closed by us after {} answers, {}",
                    self.upstreams[link.upstream].label,
                    link.addr,
                    link.pipeline.answered(),
                    if link.suspect { "silent" } else { "idle" },
                );
            }
        }
        let silent = |link: &Link| link.is_silent(self.upstreams[link.upstream].srtt, now.mono);
        for key in self.keys(|link| link.is_up() && !link.suspect && silent(link)) {
            self.links[key].suspect = true;
            let upstream = self.links[key].upstream;
            let ready = now.mono >= self.upstreams[upstream].dial_at(false);
            let alone = !self.links.values().any(|link| {
                link.upstream == upstream && (link.state == State::Dialing || !link.suspect)
            });
            if ready && alone && self.links_of(upstream) < MAX_LINKS {
                self.dial_upstream(upstream, now, out);
            }
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
        let state = &mut self.upstreams[upstream];
        state.failed(now.mono, &mut self.random);
        let wait = state.dial_at(false).since(now.mono).as_secs_f32();
        let label = &state.label;
        match addr {
            Some(addr) => warn!("{label} {addr}: {why}; next try in {wait:.2} s or more"),
            None => warn!("{label}: {why}; next try in {wait:.2} s or more"),
        }
        if matches!(why, DialError::Unauthenticated(_)) {
            info!("{label}: no question was sent to it");
        }
    }
}
