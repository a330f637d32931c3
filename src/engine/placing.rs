//! Finding a link for a question: which upstream, which connection, how long to wait, when to ask elsewhere.

use super::flight::{FlightKey, MAX_SENDS, bit};
use super::forwarder::Forwarder;
use super::links::{Link, LinkKey};
use super::output::Output;
use super::time::{Now, Time};
use super::timers::TICK;
use crate::wire::{self, Ede};
use std::time::Duration;

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
    pub(super) fn best_link(&self, exclude: u64, now: Now) -> Option<LinkKey> {
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
    pub(super) fn send(&mut self, key: FlightKey, to: LinkKey, now: Now, out: &mut Output) -> bool {
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
    pub(super) fn is_hopeless(&self, key: FlightKey) -> bool {
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

    pub(super) fn stop_waiting(&mut self, key: FlightKey, now: Now, out: &mut Output) {
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
}
