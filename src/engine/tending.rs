//! Looking after links: doubting the silent, relieving them, closing the idle, mourning the lost.

use super::dialing::most_of;
use super::failure::{Failure, remembered};
use super::flight::{Flight, FlightKey, Lane, Place, Purpose};
use super::forwarder::Forwarder;
use super::health::Why;
use super::incidents::Incident;
use super::links::{Link, LinkKey, MAX_MISSED, State};
use super::output::{Action, Output};
use super::pipeline::Head;
use super::time::{Now, Time};
use crate::transport::ConnectionError;
use log::{Level, debug, log};
use std::collections::VecDeque;
use std::time::Duration;

/// A connection that an upstream, or we, closed after a shorter life is not made anew before somebody asks: that would be more handshakes
/// than they save.
const WORTH_RENEWING: Duration = Duration::from_secs(3);

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
            self.lose(place.link, &ConnectionError::Silent, now, out);
        }
    }

    /// A link is gone: its questions go elsewhere.
    pub(super) fn lose(&mut self, key: LinkKey, why: &ConnectionError, now: Now, out: &mut Output) {
        let Some(link) = self.links.remove(key) else {
            return;
        };
        let (upstream, live) = (link.upstream, link.pipeline.live());
        let answered = link.pipeline.answered();
        let age = now.mono.since(link.since).as_secs_f32();
        if live > 0 || *why != ConnectionError::Closed {
            self.stats.links_lost += 1;
            let lost = remembered(&format!("connection lost: {why}"));
            let state = &mut self.upstreams[upstream];
            state.counts.lost_connections += 1;
            let told = state.incidents.note(Incident::Lost, &lost, now.mono);
            let (level, untold) = match told {
                Some(untold) => (Level::Warn, untold.to_string()),
                None => (Level::Debug, String::new()),
            };
            log!(
                level,
                "{} {}: {lost}, after {age:.1} s and {answered} answers, {live} questions in flight{untold}",
                state.label,
                link.addr
            );
            state.trouble = Some(lost);
        } else {
            debug!(
                "{} {}: {why}, after {age:.1} s and {answered} answers",
                self.upstreams[upstream].label, link.addr
            );
        }
        let by_peer = matches!(
            why,
            ConnectionError::Closed | ConnectionError::Io(_) | ConnectionError::Truncated
        );
        if by_peer && !link.suspect {
            let idle = now.mono.since(link.last_used);
            let quiet = if live == 0 { idle } else { link.quiet };
            self.upstreams[upstream]
                .idling
                .closed_after(quiet, now.mono);
        }
        let state = &mut self.upstreams[upstream];
        if by_peer && !link.may_be_stale() {
            state.closed_busy(answered, live, now.mono);
        }
        state.probed();
        if *why == ConnectionError::Silent {
            self.suspect_upstream(upstream, Why::Silent, now);
        } else if link.is_fruitless(now.mono)
            && !(link.is_isolated() && state.has_just_answered(now.mono))
            && state.fruitless(now.mono, &mut self.random)
        {
            self.suspect_upstream(upstream, Why::Closing, now);
        }
        if *why == ConnectionError::Silent || (live > 0 && link.may_be_stale()) {
            self.doubt_elders(upstream, link.since, link.heard_at);
        }
        let lost = link.pipeline.live_flights();
        let asks = |place: &Place| place.link == key && place.keepalive;
        let has_asked = |flight: &Flight| flight.places.iter().flatten().any(asks);
        if lost
            .iter()
            .any(|&flight| self.flights.get(flight).is_some_and(has_asked))
        {
            self.upstreams[upstream].keepalive.unanswered(now.mono);
        }
        // Where a connection was stale, or the upstream restarted, no question is to blame.
        let blame = by_peer && !link.may_be_stale();
        for flight in lost {
            if let Some(flight) = self.flights.get_mut(flight)
                && blame
            {
                flight.losses = flight.losses.saturating_add(1);
            }
            self.lost(flight, key, now, out);
        }
        if by_peer && live == 0 && now.mono.since(link.since) >= WORTH_RENEWING {
            self.keep_ready(upstream, now, out);
        }
    }

    /// A question's link is gone: it is sent again, on any link, as long as it may be. An upstream that was excluded because it was slow
    /// is as good as any other now.
    pub(super) fn lost(&mut self, key: FlightKey, link: LinkKey, now: Now, out: &mut Output) {
        let Some(flight) = self.flights.get_mut(key) else {
            return;
        };
        flight.leave(link);
        if flight.placed() || flight.queued.is_some() {
            return;
        }
        if flight.fallback.is_none() {
            flight.exclude = 0;
        }
        if flight.may_send(Purpose::Need) {
            self.place(key, now, out);
        } else {
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
        let isolated = self.links[fresh].is_isolated();
        let rivals = |link: &Link| {
            let same = link.upstream == upstream && link.is_isolated() == isolated;
            link.state == State::Dialing && same
        };
        let mut rivals = self.keys(rivals);
        if !enough {
            let up = self.links_of(upstream, isolated) - rivals.len();
            rivals.truncate((up + rivals.len()).saturating_sub(most_of(isolated)));
        }
        for rival in rivals {
            self.links.remove(rival);
            out.push(Action::Close { link: rival });
        }
        if isolated {
            return;
        }
        for key in self.keys(|link| link.suspect && !link.is_isolated()) {
            self.relieve_one(key, fresh, now, out);
        }
    }

    /// Asks on a fresh link what was asked on one in doubt: once more if it is the same upstream's, else elsewhere. The question that
    /// may hold up the others, because the upstream may answer in order, is asked again on a connection of its own.
    fn relieve_one(&mut self, doubted: LinkKey, fresh: LinkKey, now: Now, out: &mut Output) {
        let link = &self.links[doubted];
        let same = link.upstream == self.links[fresh].upstream;
        let blocks = match link.pipeline.head() {
            Some(Head::Live(flight)) if same && link.pipeline.live() > 1 => Some(flight),
            _ => None,
        };
        for flight in link.pipeline.live_flights() {
            if !same {
                self.try_elsewhere(flight, now, out);
            } else if blocks == Some(flight) {
                self.repeat_alone(flight, now, out);
            } else if self
                .flights
                .get(flight)
                .is_some_and(|f| f.lane() == Lane::Shared && f.may_repeat(self.upstreams.len()))
            {
                self.send(flight, fresh, Purpose::Need, now, out);
            }
        }
    }

    /// Asks a question again on a connection without others, beside the one that it is on.
    fn repeat_alone(&mut self, key: FlightKey, now: Now, out: &mut Output) {
        let Some(flight) = self.flights.get_mut(key) else {
            return;
        };
        if !flight.blocks && flight.may_repeat(self.upstreams.len()) {
            flight.blocks = true;
            self.place(key, now, out);
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
                if !link.is_isolated() && now.mono.since(link.since) >= WORTH_RENEWING {
                    self.keep_ready(link.upstream, now, out);
                }
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
        let silent = |link: &Link| link.is_silent(&self.upstreams[link.upstream], now.mono);
        for key in self.keys(|link| link.is_up() && !link.suspect && silent(link)) {
            self.suspect(key, now, out);
        }
        for key in self.keys(|link| link.suspect && !link.is_isolated()) {
            self.replace(key, now, out);
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
        if link.is_isolated() {
            // The question on it is slow, or the upstream cannot take it. That is what the link is for.
            return;
        }
        let (silent_since, crowded) = (link.pipeline.silent_since(), link.is_crowded());
        if !self.upstreams[upstream].answers_in_order() || link.pipeline.live() == 1 {
            self.suspect_upstream(upstream, Why::Silent, now);
        }
        self.doubt_elders(upstream, since, heard_at);
        let fresher = |link: &Link| {
            let heard = silent_since.is_some_and(|since| link.heard_at >= since);
            link.upstream == upstream && link.is_good() && heard
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
