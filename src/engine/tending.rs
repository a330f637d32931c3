//! Looking after links: doubting the silent, relieving them, closing the idle, mourning the lost.

use super::failure::{Failure, remembered};
use super::flight::{FlightKey, MAX_SENDS, Place};
use super::forwarder::Forwarder;
use super::links::{Link, LinkKey, MAX_MISSED, State};
use super::output::{Action, Output};
use super::time::{Now, Time};
use crate::transport::LinkError;
use log::{debug, warn};
use std::collections::VecDeque;

impl Forwarder {
    /// A question's time ended here. One may be the question's fault; several in a row, each with a fair share of its time on the link
    /// and nothing heard since, are the link's, whatever the operating system says of it.
    pub(super) fn missed(&mut self, place: Place, now: Now, out: &mut Output) {
        let Some(link) = self.links.get_mut(place.link) else {
            return;
        };
        let short = now.mono.since(place.sent_at) < self.timeout / 2;
        if short || link.heard_at > place.sent_at {
            return;
        }
        link.missed += 1;
        if link.missed >= MAX_MISSED {
            out.push(Action::Close { link: place.link });
            self.lose(place.link, &LinkError::Silent, now, out);
        }
    }

    /// A link is gone: its questions go elsewhere.
    pub(super) fn lose(&mut self, key: LinkKey, why: &LinkError, now: Now, out: &mut Output) {
        let Some(link) = self.links.remove(key) else {
            return;
        };
        let (upstream, live) = (link.upstream, link.pipeline.live());
        let answered = link.pipeline.answered();
        let age = now.mono.since(link.since).as_secs_f32();
        if live > 0 || *why != LinkError::Closed {
            self.stats.links_lost += 1;
            let lost = format!("connection lost: {why}");
            self.upstreams[upstream].trouble = Some(remembered(&lost));
            warn!(
                "{} {}: {why}, after {age:.1} s and {answered} answers, {live} questions in flight",
                self.upstreams[upstream].label, link.addr
            );
        } else {
            debug!(
                "{} {}: {why}, after {age:.1} s and {answered} answers",
                self.upstreams[upstream].label, link.addr
            );
        }
        let by_peer = matches!(
            why,
            LinkError::Closed | LinkError::Io(_) | LinkError::Truncated
        );
        if by_peer && !link.suspect {
            let idle = now.mono.since(link.last_used);
            let quiet = if live == 0 { idle } else { link.quiet };
            self.upstreams[upstream]
                .idling
                .closed_after(quiet, now.mono);
        }
        if by_peer && !link.may_be_stale() {
            self.upstreams[upstream].closed_busy(answered, live, now.mono);
        }
        self.upstreams[upstream].probed();
        if *why == LinkError::Silent {
            self.upstreams[upstream].health.silent(now.mono);
        }
        if *why == LinkError::Silent || (live > 0 && link.may_be_stale()) {
            self.doubt_elders(upstream, link.since, link.heard_at);
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
        if flight.placed() || flight.queued.is_some() {
            return;
        }
        if !flight.tries.resent && flight.sends < MAX_SENDS {
            flight.tries.resent = true;
            self.place(key, now, out);
        } else if !self.try_elsewhere(key, now, out) {
            self.fail(key, Failure::ConnectionLost, now, out);
        }
    }

    /// A fresh link is up: connects to the same upstream that are still under way are not needed, and questions on links in doubt
    /// are asked on it, too. The first answer counts, wherever it comes from: a link in doubt may only be slow.
    pub(super) fn relieve(&mut self, fresh: LinkKey, now: Now, out: &mut Output) {
        let Some(upstream) = self.links.get(fresh).map(|link| link.upstream) else {
            return;
        };
        let waiting: usize = self.waiting.values().map(VecDeque::len).sum();
        let enough = waiting < self.limits.link_in_flight;
        let rivals = |link: &Link| link.state == State::Dialing && link.upstream == upstream;
        let rivals = self.keys(|link| enough && rivals(link));
        for rival in rivals {
            self.links.remove(rival);
            out.push(Action::Close { link: rival });
        }
        for key in self.keys(|link| link.suspect) {
            self.relieve_one(key, fresh, now, out);
        }
    }

    /// Asks on a fresh link what was asked on one in doubt: once more if it is the same upstream's, else elsewhere.
    fn relieve_one(&mut self, doubted: LinkKey, fresh: LinkKey, now: Now, out: &mut Output) {
        let same = self.links[doubted].upstream == self.links[fresh].upstream;
        for flight in self.links[doubted].pipeline.live_flights() {
            if !same {
                self.try_elsewhere(flight, now, out);
            } else if self.flights.get(flight).is_some_and(|f| !f.tries.resent)
                && self.send(flight, fresh, now, out)
            {
                self.flights[flight].tries.resent = true;
            }
        }
    }

    /// A link was found stale: those of its upstream that are as old, and were not heard of since, will be no better.
    fn doubt_elders(&mut self, upstream: usize, since: Time, heard_at: Time) {
        for link in self.links.values_mut() {
            let older = link.since <= since && link.heard_at <= heard_at;
            if link.upstream == upstream && link.is_up() && older {
                link.suspect = true;
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
    pub(super) fn keys(&self, so: impl Fn(&Link) -> bool) -> Vec<LinkKey> {
        let links = self.links.iter().filter(|(_, link)| so(link));
        links.map(|(key, _)| key).collect()
    }

    /// Looks after links: what is idle is closed before the server does it, what is silent is doubted.
    pub(super) fn check_links(&mut self, now: Now, out: &mut Output) {
        let limit = |link: &Link| self.upstreams[link.upstream].idling.limit();
        let idle = self.keys(|link| link.is_useless(limit(link), now.mono));
        for key in idle {
            out.push(Action::Close { link: key });
            if let Some(link) = self.links.remove(key) {
                let upstream = &mut self.upstreams[link.upstream];
                if now.mono >= link.last_used + upstream.idling.limit() {
                    upstream.idling.outlived(now.mono);
                }
                debug!(
                    "{} {}: closed by us after {} answers, {}",
                    upstream.label,
                    link.addr,
                    link.pipeline.answered(),
                    if link.suspect { "silent" } else { "idle" },
                );
            }
        }
        let silent = |link: &Link| link.is_silent(self.upstreams[link.upstream].srtt, now.mono);
        for key in self.keys(|link| link.is_up() && !link.suspect && silent(link)) {
            self.suspect(key, now, out);
        }
    }

    /// There is no room for one more question: what waits on silent links is asked elsewhere, so that its answers make room.
    pub(super) fn press(&mut self, now: Now, out: &mut Output) {
        let srtt = |link: &Link| self.upstreams[link.upstream].srtt;
        for key in self.keys(|link| link.is_holding_up(srtt(link), now.mono)) {
            self.suspect(key, now, out);
        }
    }

    /// A link has been silent for too long. What is there instead takes its questions over; else something is prepared.
    fn suspect(&mut self, key: LinkKey, now: Now, out: &mut Output) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.suspect = true;
        let (upstream, since, heard_at) = (link.upstream, link.since, link.heard_at);
        let (silent_since, crowded) = (link.pipeline.silent_since(), link.is_crowded());
        self.upstreams[upstream].health.silent(now.mono);
        self.doubt_elders(upstream, since, heard_at);
        let fresher = |link: &Link| {
            let heard = silent_since.is_some_and(|since| link.heard_at >= since);
            link.upstream == upstream && link.is_up() && !link.suspect && heard
        };
        match self.keys(fresher).first() {
            Some(fresh) => self.relieve_one(key, *fresh, now, out),
            None => self.replace(key, now, out),
        }
        if crowded {
            self.doubt(upstream, now, out);
        }
    }
}
