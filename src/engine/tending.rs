//! Looking after links: doubting the silent, relieving them, closing the idle, mourning the lost.

use super::flight::{FlightKey, MAX_SENDS, Place};
use super::forwarder::Forwarder;
use super::links::{Link, LinkKey, MAX_MISSED, State};
use super::output::{Action, Output};
use super::time::Now;
use crate::transport::LinkError;
use crate::wire::Ede;
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
        if flight.placed() || flight.queued.is_some() {
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
        let waiting: usize = self.waiting.values().map(VecDeque::len).sum();
        let enough = waiting < self.limits.link_in_flight;
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
                } else if self.flights.get(flight).is_some_and(|f| !f.tries.resent)
                    && self.send(flight, fresh, now, out)
                {
                    self.flights[flight].tries.resent = true;
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
    pub(super) fn keys(&self, so: impl Fn(&Link) -> bool) -> Vec<LinkKey> {
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
            self.replace(self.links[key].upstream, now, out);
        }
    }
}
