//! Judging what comes back: whose answer it is, whether it is good enough, and how each waiter gets it.

use super::failure::Failure;
use super::flight::{Flight, FlightKey, Place, Purpose, bit};
use super::forwarder::Forwarder;
use super::keepalive;
use super::links::LinkKey;
use super::output::{Action, Output};
use super::pipeline::Head;
use super::quotas::UNIT;
use super::response::{self, Edns, Meaning, Sent, Verdict};
use super::time::Now;
use crate::transport::ConnectionError;
use crate::wire::{self, Answer, Header};
use log::{Level, debug, info, log_enabled};
use std::time::Duration;

impl Forwarder {
    /// A whole message from an upstream.
    pub fn answer(&mut self, link: LinkKey, message: &[u8], now: Now, out: &mut Output) {
        let Some(on) = self.links.get_mut(link) else {
            return;
        };
        let quiet = on.heard(now.mono);
        if !quiet.is_zero() {
            self.upstreams[on.upstream].idling.answered_after(quiet);
        }
        let is_response = Header::parse(message).is_some_and(|header| header.flags.is_response());
        if message.len() >= wire::HEADER_LEN && !is_response {
            self.stray(link, now, out);
            return;
        }
        let answer = match wire::answer(message) {
            Ok(answer) if answer.end == message.len() => answer,
            Ok(_) => {
                return self.malformed(link, message, "octets behind the last record", now, out);
            }
            Err(malformed) => return self.malformed(link, message, malformed.0, now, out),
        };
        let id = answer.header.id;
        let Some(key) = self.links[link].pipeline.find(id) else {
            // Late is no sin: the question was given up.
            if !self.links[link].pipeline.leave(id) {
                self.stray(link, now, out);
            }
            return;
        };
        let flight = self.flights.get(key);
        let is_its =
            |flight: &Flight| response::answers(message, &answer, &flight.message, &flight.query);
        if !flight.is_some_and(is_its) {
            self.stray(link, now, out);
            return;
        }
        let on = &mut self.links[link];
        on.matched();
        on.pipeline.leave(id);
        let upstream = on.upstream;
        let state = &mut self.upstreams[upstream];
        state.has_answered(on.pipeline.answered());
        if on.pipeline.is_reordered() && !state.is_known_to_reorder() {
            state.reordered();
        }
        state.counts.answered += 1;
        if state.answered(on.failed_times, now.mono) {
            let failed = state.incidents.connected();
            info!("{} {}: answers again{failed}", state.label, on.addr);
        }
        if let Some(timeout) = keepalive::said(message, &answer) {
            self.link_idles(link, timeout);
        }
        self.judge(key, link, message, &answer, now, out);
        if let Some(on) = self.links.get(link)
            && let state = &self.upstreams[on.upstream]
            && on.is_spent(state.bounds(now.mono))
            && (state.is_sure_of_bounds() || !self.waiting.is_empty())
        {
            self.links.remove(link);
            out.push(Action::Close { link });
        }
        self.place_waiting(now, out);
    }

    /// An upstream said how long it keeps an idle connection; zero means that it wants this one closed (RFC 7828 section 3.3.2).
    fn link_idles(&mut self, link: LinkKey, timeout: Duration) {
        if let Some(on) = self.links.get_mut(link) {
            if timeout.is_zero() {
                on.leaving = true;
            } else {
                self.upstreams[on.upstream].idling.said(timeout);
            }
        }
    }

    /// A message that cannot be read, in a frame that can. It concerns the question whose id it bears, if any, and no other: the next
    /// frame begins where this one ends.
    fn malformed(
        &mut self,
        link: LinkKey,
        message: &[u8],
        why: &'static str,
        now: Now,
        out: &mut Output,
    ) {
        let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
        let on = &mut self.links[link];
        let Some((id, key)) = id.and_then(|id| Some((id, on.pipeline.find(id)?))) else {
            return self.stray(link, now, out);
        };
        on.pipeline.leave(id);
        self.stats.malformed_answers += 1;
        let label = &self.upstreams[on.upstream].label;
        debug!("{label} {}: a malformed answer: {why}", on.addr);
        self.attempt_failed(key, link, now, out);
        self.place_waiting(now, out);
    }

    /// An attempt came to nothing, while its connection lives on: another upstream is asked, or where there is none the same one once
    /// more.
    pub(super) fn attempt_failed(
        &mut self,
        key: FlightKey,
        link: LinkKey,
        now: Now,
        out: &mut Output,
    ) {
        let Some(flight) = self.flights.get_mut(key) else {
            return;
        };
        flight.leave(link);
        if flight.placed() || flight.queued.is_some() || self.try_elsewhere(key, now, out) {
            return;
        }
        let flight = &mut self.flights[key];
        if !flight.tries.repeated && flight.may_send(Purpose::Need) {
            flight.tries.repeated = true;
            self.place(key, now, out);
        } else {
            self.fail(key, Failure::Malformed, now, out);
        }
    }

    /// An answer that belongs to no question.
    fn stray(&mut self, link: LinkKey, now: Now, out: &mut Output) {
        self.stats.strays += 1;
        let Some(on) = self.links.get_mut(link) else {
            return;
        };
        if on.stray() {
            out.push(Action::Close { link });
            let why = ConnectionError::Protocol("too many messages that answer no question");
            self.link_down(link, &why, now, out);
        }
    }

    /// The right answer: is it good enough, or shall somebody else be asked?
    fn judge(
        &mut self,
        key: FlightKey,
        link: LinkKey,
        message: &[u8],
        answer: &Answer,
        now: Now,
        out: &mut Output,
    ) {
        self.note_order(key, link, now);
        let on = &self.links[link];
        let (upstream, addr) = (on.upstream, on.addr);
        let flight = &mut self.flights[key];
        let Some(place) = flight.leave(link) else {
            return;
        };
        let state = &mut self.upstreams[upstream];
        state.trouble = None;
        let took = now.mono.since(place.sent_at);
        state.timed(took, now.mono);
        self.hedging.took(took);
        if place.probes {
            state.forget_bounds();
        }
        let meaning = response::meaning(message, answer);
        state.counts.useless += u64::from(!meaning.is_useful());
        if let Some(change) = state.health.answered(meaning.shows_health(), now.mono) {
            self.note_health(upstream, change, now);
        }
        let (flight, state) = (&self.flights[key], &mut self.upstreams[upstream]);
        if place.keepalive {
            state.keepalive.answered();
        }
        if place.edns == Edns::Sent {
            if answer.opt.is_some() || meaning.is_useful() {
                state.edns.taken(answer.opt.is_some());
            }
        } else if flight.plain & bit(upstream) != 0 && meaning.is_useful() {
            state.edns.refused(now.mono);
        }
        if self.ask_again(key, link, place, (message, meaning), now, out) {
            return;
        }
        if log_enabled!(Level::Debug) {
            let flight = &self.flights[key];
            debug!(
                "{}: {}, {} octets, from {} {addr} in {:.1} ms",
                wire::describe(&flight.message, &flight.query.question),
                answer.rcode(),
                message.len(),
                self.upstreams[upstream].label,
                now.mono.since(flight.arrived).as_secs_f64() * 1000.0,
            );
        }
        self.finish(key, message, answer, now, out);
    }

    /// A question was answered on one connection while it waits on another one: if there it waited behind an older one that is still not
    /// answered, the upstream answers in order.
    fn note_order(&mut self, key: FlightKey, answered_on: LinkKey, now: Now) {
        let flight = &self.flights[key];
        let mut others = flight.places.iter().flatten();
        let other = others.find(|place| place.link != answered_on);
        if let Some(place) = other
            && let Some(link) = self.links.get(place.link)
            && link.suspect
            && link
                .pipeline
                .head()
                .is_some_and(|head| head != Head::Live(key))
        {
            self.upstreams[link.upstream].blocked(now.mono);
        }
    }

    /// Asks once more if that is what follows from an answer. False if the answer is to be relayed.
    fn ask_again(
        &mut self,
        key: FlightKey,
        link: LinkKey,
        place: Place,
        (message, meaning): (&[u8], Meaning),
        now: Now,
        out: &mut Output,
    ) -> bool {
        let upstream = self.links[link].upstream;
        let flight = &mut self.flights[key];
        let others = (0..self.upstreams.len()).any(|u| flight.tried & bit(u) == 0);
        let verdict = response::judge(
            meaning,
            Sent {
                signed: flight.query.signed,
                edns: place.edns,
                keepalive: place.keepalive,
                alternatives: others || flight.stale_at.is_some(),
            },
        );
        if verdict == Verdict::Relay {
            return false;
        }
        if place.keepalive && matches!(meaning, Meaning::NotUnderstood { .. }) {
            // One that knows EDNS may still not like the option that we added. It is not added again.
            self.upstreams[upstream].keepalive.refused();
        }
        let same = match verdict {
            Verdict::WithoutEdns => {
                flight.plain |= bit(upstream);
                flight.exclude &= !bit(upstream);
                true
            }
            Verdict::WithEdns => {
                flight.explain |= bit(upstream);
                // It says little, so that it is small; a large one is not worth its memory.
                if message.len() <= UNIT {
                    flight.fallback.get_or_insert_with(|| message.to_vec());
                }
                true
            }
            verdict => verdict == Verdict::WithoutKeepalive,
        };
        if same && self.send(key, link, Purpose::Need, now, out) {
            return true;
        }
        let flight = &mut self.flights[key];
        flight.fallback.get_or_insert_with(|| message.to_vec());
        let under_way = flight.placed() || flight.queued.is_some();
        self.try_elsewhere(key, now, out) || under_way
    }

    /// Relays an answer to everybody who waits for it.
    fn finish(
        &mut self,
        key: FlightKey,
        message: &[u8],
        answer: &Answer,
        now: Now,
        out: &mut Output,
    ) {
        let Some(flight) = self.remove(key) else {
            return;
        };
        let key = flight.key(&self.cache);
        if let Some(key) = &key {
            let asked = (&*flight.message, &flight.query);
            self.cache.put(key, asked, (message, answer), now.boot);
        }
        self.relay(flight, key, (message, answer), now, out);
    }

    /// Answers everybody who waits with what there is: a poor answer, one out of date, or SERVFAIL and a reason.
    pub(super) fn fail(&mut self, key: FlightKey, failure: Failure, now: Now, out: &mut Output) {
        let fallback = self.flights.get_mut(key).and_then(|f| f.fallback.take());
        if let Some(message) = fallback
            && let Ok(answer) = wire::answer(&message)
        {
            self.finish(key, &message, &answer, now, out);
            return;
        }
        let Some(flight) = self.remove(key) else {
            return;
        };
        let why = failure.explain(&self.upstreams, flight.tried);
        debug!(
            "{}: {}, {}, sent {} times",
            wire::describe(&flight.message, &flight.query.question),
            why.rcode,
            why.ede().text,
            flight.sends
        );
        // What was never sent says nothing about the name: it must work at once when there is a network again.
        let key = flight.key(&self.cache);
        if let Some(key) = key.as_ref().filter(|_| flight.sends > 0) {
            let asked = (&*flight.message, &flight.query);
            self.cache.put_failure(key, asked, why.ede(), now.boot);
        }
        self.tell_failure(flight, key.as_ref(), why, now, out);
    }
}
