//! Finding a link for a question: which upstream, which connection, how long to wait, when to ask elsewhere.

use super::edns_support::EdnsSupport;
use super::failure::Failure;
use super::flight::{Flight, FlightKey, Lane, Place, Purpose, Queue, bit};
use super::forwarder::Forwarder;
use super::keepalive;
use super::links::{Link, LinkKey, Room};
use super::output::Output;
use super::response::Edns;
use super::time::{Now, Time};
use super::timers::TICK;
use crate::wire;
use std::cmp::Reverse;
use std::time::Duration;

/// How long a question that no upstream can be reached for waits for the next try.
const PATIENCE: Duration = Duration::from_secs(1);
/// An answer that takes longer is asked for elsewhere too. Resolvers answer most cold names within a second.
const TRY: Duration = Duration::from_millis(1_500);

impl Forwarder {
    /// Puts a question on the best link there is, or among those that wait for one.
    pub(super) fn place(&mut self, key: FlightKey, now: Now, out: &mut Output) {
        let Some(flight) = self.flights.get(key) else {
            return;
        };
        let queue = (flight.exclude, flight.lane());
        if let Some(link) = self.best_link(key, queue, now)
            && self.send(key, link, Purpose::Need, now, out)
        {
            self.accompany(key, link, now, out);
            return;
        }
        let flight = &mut self.flights[key];
        if flight.queued != Some(queue) {
            flight.queued = Some(queue);
            self.waiting.entry(queue).or_default().push_back(key);
        }
        self.dial_one(key, queue, now, out);
    }

    /// Places those who wait, in order of arrival, as far as links have room; then dials for the rest, and gives up those for whom
    /// that is not possible.
    pub(super) fn place_waiting(&mut self, now: Now, out: &mut Output) {
        if self.waiting.is_empty() {
            return;
        }
        let queues: Vec<Queue> = self.waiting.keys().copied().collect();
        for queue in queues {
            while let Some(key) = self.first_waiting(queue) {
                let link = self.best_link(key, queue, now);
                if !link.is_some_and(|link| self.send(key, link, Purpose::Need, now, out)) {
                    self.dial_for_queue(queue, now, out);
                    break;
                }
            }
        }
        self.give_up_hopeless(now, out);
    }

    /// The first in a queue; those that have left it are forgotten.
    fn first_waiting(&mut self, queue: Queue) -> Option<FlightKey> {
        let waiting = self.waiting.get_mut(&queue)?;
        while let Some(key) = waiting.front().copied() {
            let flight = self.flights.get(key);
            if flight.is_some_and(|flight| flight.queued == Some(queue)) {
                return Some(key);
            }
            waiting.pop_front();
        }
        self.waiting.remove(&queue);
        None
    }

    /// The link that a question should take: one without doubt, of an upstream that is well, the most preferred one's, the newest. A
    /// question that was never sent may go beyond bounds that are not sure, since it can be sent again. One that lost connections
    /// rather goes where it was not yet, and to the link with the fewest others. So do all at an upstream that answers in order.
    fn best_link(&self, key: FlightKey, (exclude, lane): Queue, now: Now) -> Option<LinkKey> {
        let flight = self.flights.get(key)?;
        let fresh = flight.sends == 0;
        let has_room = |link: &Link| match self.room(link, now) {
            Room::None => false,
            Room::Within => true,
            Room::Beyond => fresh && self.upstreams[link.upstream].may_probe(),
        };
        let usable = |link: &Link| exclude & bit(link.upstream) == 0 && link.admits(lane);
        let mut candidates = self
            .links
            .iter()
            .filter(|(key, link)| usable(link) && has_room(link) && !flight.is_on(*key));
        let first = candidates.next()?;
        let Some(second) = candidates.next() else {
            return self.unless_in_doubt(first, usable);
        };
        let best = [first, second]
            .into_iter()
            .chain(candidates)
            .min_by_key(|(_, link)| {
                let doubtful = self.is_doubtful(link.upstream);
                let rank = self.rank(flight.preferred, link.upstream);
                let isolated = lane != Lane::Shared;
                let tried = isolated && flight.tried & bit(link.upstream) != 0;
                let spreads = isolated || self.upstreams[link.upstream].answers_in_order();
                let others = if spreads { link.pipeline.live() } else { 0 };
                (
                    link.suspect,
                    doubtful,
                    tried,
                    rank,
                    others,
                    Reverse(link.since),
                )
            });
        self.unless_in_doubt(best?, usable)
    }

    /// A link in doubt has room because nothing is answered there: rather than take that, a question waits for room on a good one.
    fn unless_in_doubt(
        &self,
        (key, link): (LinkKey, &Link),
        usable: impl Fn(&Link) -> bool,
    ) -> Option<LinkKey> {
        let serves = |link: &Link| link.is_up() && !link.suspect && !link.leaving && usable(link);
        let waits = link.suspect && self.links.values().any(serves);
        (!waits).then_some(key)
    }

    fn room(&self, link: &Link, now: Now) -> Room {
        let bounds = self.upstreams[link.upstream].bounds(now.mono);
        link.room(self.limits.link_in_flight, bounds)
    }

    /// Sends a question on a link: the one gate, where all bounds on sending hold. False if it may not be sent there.
    pub(super) fn send(
        &mut self,
        key: FlightKey,
        to: LinkKey,
        purpose: Purpose,
        now: Now,
        out: &mut Output,
    ) -> bool {
        let room = self.links.get(to).map(|link| self.room(link, now));
        let (Some(flight), Some(link)) = (self.flights.get_mut(key), self.links.get_mut(to)) else {
            return false;
        };
        let upstream = &mut self.upstreams[link.upstream];
        let probes = room == Some(Room::Beyond);
        let may_send = room != Some(Room::None) && (!probes || upstream.may_probe());
        if !may_send || !flight.may_send(purpose) || flight.is_on(to) {
            return false;
        }
        let edns = edns_of(flight, bit(link.upstream), &mut upstream.edns, now.mono);
        // The first question on a link asks how long it may be idle, if it can (RFC 7828 section 3.2.1).
        // A question that got no answer is not sent with it again: the option may be the reason.
        let keepalive = edns == Edns::Sent
            && flight.sends == 0
            && link.pipeline.is_unused()
            && upstream.keepalive.may_ask(now.mono)
            && keepalive::fits(&flight.query);
        let Some(id) = link.pipeline.enter(key, &mut self.random, now.mono) else {
            return false;
        };
        if probes {
            upstream.probes();
        }
        link.used(&upstream.idling, now.mono);
        if link.is_isolated() {
            link.lane = flight.lane().max(Lane::Isolated);
        }
        upstream.used_at = now.mono;
        upstream.counts.sent += 1;
        self.stats.sent += 1;
        self.stats.resent += u64::from(flight.sends > 0);
        if flight.sends == 0
            && let Some(late) = self.hedging.late_after(upstream)
        {
            upstream.late.push_back((now.mono + late, key));
        }
        let place = Place {
            link: to,
            id,
            sent_at: now.mono,
            edns,
            probes,
            keepalive,
        };
        // Its first link counts: a copy on another one does not give that one more time.
        if !flight.placed() && self.upstreams.len() > 1 {
            flight.elsewhere_at = Some(now.mono + TRY);
            self.timers.set(key, flight.alarm());
        }
        flight.place(place, purpose, link.upstream);
        let udp_payload = self.limits.udp_payload;
        out.send(to, id, |out| {
            let start = out.len();
            wire::forward_query(&flight.message, &flight.query, edns != Edns::LeftOut, out);
            if edns == Edns::Sent && flight.query.opt.is_none() {
                wire::add_opt(out, start, udp_payload);
            }
            if keepalive {
                keepalive::ask(out, start);
            }
        });
        true
    }

    /// Answers those who would have to wait too long for the next try. Those behind them came later, and may wait longer.
    pub(super) fn give_up_hopeless(&mut self, now: Now, out: &mut Output) {
        if self.waiting.is_empty() {
            return;
        }
        let queues: Vec<Queue> = self.waiting.keys().copied().collect();
        for queue in queues {
            while let Some(key) = self.first_waiting(queue)
                && self.is_hopeless(key)
            {
                self.stop_waiting(key, now, out);
            }
        }
    }

    /// Is nothing to be hoped for: no link, none under way, and the next try too far off or not to be had? A question that may not
    /// cost another connect still hopes for those of others.
    pub(super) fn is_hopeless(&self, key: FlightKey) -> bool {
        let Some(flight) = self.flights.get(key) else {
            return false;
        };
        let Some(queue @ (exclude, lane)) = flight.queued else {
            return false;
        };
        let usable = |upstream: usize| exclude & bit(upstream) == 0;
        let isolated = lane != Lane::Shared;
        let full =
            |link: &Link| link.is_up() && usable(link.upstream) && link.is_isolated() == isolated;
        let until = flight.arrived + PATIENCE;
        self.pending(usable, isolated) == 0
            && !self.links.values().any(full)
            && self.next_connect_at(queue).is_none_or(|at| at > until)
    }

    pub(super) fn stop_waiting(&mut self, key: FlightKey, now: Now, out: &mut Output) {
        let Some(flight) = self.flights.get_mut(key) else {
            return;
        };
        flight.queued = None;
        // An answer may still come from where it was sent.
        if !flight.placed() {
            self.fail(key, Failure::NotConnected, now, out);
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
            let failure = match flight.sends {
                0 => Failure::NotConnected,
                _ => Failure::NotAnswered,
            };
            self.fail(key, failure, now, out);
            for place in places.into_iter().flatten() {
                self.missed(place, now, out);
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

    /// Asks another upstream that was not asked yet, if one is up or may be dialled. The first may still answer.
    pub(super) fn try_elsewhere(&mut self, key: FlightKey, now: Now, out: &mut Output) -> bool {
        let nothing_up = self.nothing_up();
        let Some(flight) = self.flights.get_mut(key) else {
            return false;
        };
        if !flight.may_send(Purpose::Need) {
            return false;
        }
        let exclude = flight.tried;
        let is_there = |upstream: usize| {
            let up = |link: &Link| link.upstream == upstream && link.is_up() && !link.suspect;
            self.links.values().any(up) || now.mono >= self.upstreams[upstream].dial_at(nothing_up)
        };
        if !(0..self.upstreams.len()).any(|u| exclude & bit(u) == 0 && is_there(u)) {
            return false;
        }
        flight.exclude = exclude;
        // That one may be late, too.
        flight.elsewhere_at = Some(now.mono + TRY);
        self.timers.set(key, flight.alarm());
        self.place(key, now, out);
        true
    }
}

/// Whether a question goes to an upstream, whose bit this is, with an OPT record.
fn edns_of(flight: &Flight, upstream: u64, support: &mut EdnsSupport, now: Time) -> Edns {
    match flight.query.opt {
        _ if flight.query.signed => Edns::Fixed,
        Some(opt) if !opt.last => Edns::Fixed,
        Some(_) if flight.plain & upstream == 0 && support.send_with(now) => Edns::Sent,
        Some(_) => Edns::LeftOut,
        None if flight.explain & !flight.plain & upstream != 0 => Edns::Sent,
        None => Edns::Absent,
    }
}
