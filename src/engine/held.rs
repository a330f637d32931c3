//! What a forwarder holds at a moment: the gauges beside the counters.

use super::flight::Flight;
use super::forwarder::Forwarder;
use super::links::Link;
use std::collections::VecDeque;

/// What there is now. When nobody has asked for long, all of it is zero but the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// Clients' queries that wait for an answer.
    pub queries: usize,
    /// Questions in flight, those that nobody waits for included.
    pub questions: usize,
    /// Questions in flight that an identical query would join.
    pub joinable: usize,
    /// Questions that wait for a link.
    pub waiting: usize,
    /// Queues for links.
    pub queues: usize,
    /// Places in them: those of questions that are gone are left until their turn comes.
    pub queued: usize,
    /// Questions that neither are on a link nor wait for one. None, after any event.
    pub stranded: usize,
    /// Timers, one for each question.
    pub timers: usize,
    /// Look-ups under way.
    pub resolving: usize,
    /// Links that are being made.
    pub dialing: usize,
    /// Links that are up.
    pub up: usize,
    /// Questions in flight on the link that has most of them.
    pub on_one_link: usize,
    /// How often the question was sent that was sent most often.
    pub sends: u8,
    /// Connects that were begun for the question that cost most of them.
    pub connects: u8,
    /// Octets of memory for the messages of questions in flight.
    pub octets: usize,
    /// Octets in the cache, which all loops share.
    pub cached: usize,
}

impl Forwarder {
    /// What it holds. This counts everything anew, so it is nothing to ask for with each question.
    pub fn held(&self) -> Held {
        let flights = || self.flights.values();
        let links = || self.links.values();
        let is_waiting = |flight: &&Flight| flight.queued.is_some();
        let is_up = |link: &&Link| link.is_up();
        let up = links().filter(is_up).count();
        Held {
            queries: self.waiting_in_endings()
                + flights()
                    .map(|flight| flight.waiters().count())
                    .sum::<usize>(),
            questions: self.flights.len(),
            joinable: self.joinable.len(),
            waiting: flights().filter(is_waiting).count(),
            queues: self.waiting.len(),
            queued: self.waiting.values().map(VecDeque::len).sum(),
            stranded: flights()
                .filter(|flight| !flight.placed() && flight.queued.is_none())
                .count(),
            timers: self.timers.count(),
            resolving: self.upstreams.iter().filter(|u| u.resolving).count(),
            dialing: self.links.len() - up,
            up,
            on_one_link: links()
                .map(|link| link.pipeline.live())
                .max()
                .unwrap_or_default(),
            sends: flights()
                .map(|flight| flight.sends)
                .max()
                .unwrap_or_default(),
            connects: flights()
                .map(|flight| flight.connects)
                .max()
                .unwrap_or_default(),
            octets: flights().map(Flight::octets).sum::<usize>() + self.octets_in_endings(),
            cached: self.cache.bytes(),
        }
    }
}
