//! A link as the core sees it: dialling or up, with the questions in flight on it.

use super::flight::Lane;
use super::idling::Idling;
use super::pipeline::{FULL_OF_ABANDONED, MAX_ABANDONED, Pipeline};
use super::time::Time;
use super::upstreams::{Bounds, Upstream};
use slotmap::new_key_type;
use std::net::SocketAddr;
use std::time::Duration;

new_key_type! {
    /// Names a link, from the wish to dial it to its end. A key is never used twice.
    pub struct LinkKey;
}

/// A link that was quiet for so long may have died unnoticed (a NAT that forgot it, a server that went away).
const MAYBE_STALE: Duration = Duration::from_secs(1);
/// An answer takes at least so long where the upstream has to ask far away; before, silence means nothing.
const SUSPECT_MIN: Duration = Duration::from_millis(250);
/// On a link that was alive a moment ago, one slow question is likelier than a dead link.
const SUSPECT_LIVELY: Duration = Duration::from_secs(1);
/// With so many questions unanswered, it is not one slow question any more.
const CROWD: usize = 64;
/// Where questions must be turned away for want of room, so much is enough: thousands wait, and not one was answered.
const SUSPECT_PRESSED: Duration = Duration::from_millis(20);
/// Messages that belong to no question, more than answers that do, until the link is given up.
const MAX_STRAYS: u32 = 100;

/// Questions in a row whose time ended on a link without a sign of life.
pub const MAX_MISSED: u32 = 2;

/// What a link is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Connecting.
    Dialing,
    /// Ready for questions.
    Up,
}

/// Whether a link may take one more question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It is full, or not up.
    None,
    /// It may, by all that is known.
    Within,
    /// Its upstream seems to take no more on one link.
    Beyond,
}

/// One connection to an upstream.
pub struct Link {
    pub upstream: usize,
    pub addr: SocketAddr,
    pub state: State,
    /// Whose questions it takes; one that is isolated is [`Lane::Alone`] while its question shall stay alone.
    pub lane: Lane,
    /// How often its upstream had failed when it came up.
    pub failed_times: u32,
    /// When it was dialled, then when it came up.
    pub since: Time,
    pub pipeline: Pipeline,
    /// When a question was last sent or something came: the upstream counts its idle time from about then.
    pub last_used: Time,
    /// When something last came.
    pub heard_at: Time,
    /// How long it had been quiet when a question was last sent alone; zero once something came.
    pub quiet: Duration,
    /// That quiet was longer than its upstream's links are known to survive.
    pub unproven: bool,
    /// Its upstream wants it closed: it takes no more questions.
    pub leaving: bool,
    /// Found silent: a fresh link is being prepared.
    pub suspect: bool,
    strays: u32,
    /// Questions whose time ended since it was last heard.
    pub missed: u32,
}

impl Link {
    /// A link that is being dialled.
    pub fn dialing(upstream: usize, addr: SocketAddr, lane: Lane, now: Time) -> Self {
        Self {
            upstream,
            addr,
            state: State::Dialing,
            lane,
            failed_times: 0,
            since: now,
            pipeline: Pipeline::default(),
            last_used: now,
            heard_at: now,
            quiet: Duration::ZERO,
            unproven: false,
            leaving: false,
            suspect: false,
            strays: 0,
            missed: 0,
        }
    }

    /// Ready for questions?
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Up, without doubt, and shared by all questions?
    pub fn is_good(&self) -> bool {
        self.is_up() && !self.suspect && !self.is_isolated()
    }

    /// May it take one more question, and is that within the bounds?
    pub fn room(&self, limit: usize, bounds: Bounds) -> Room {
        let (live, answered) = (self.pipeline.live(), self.pipeline.answered());
        let full = live >= limit || self.pipeline.abandoned() >= FULL_OF_ABANDONED;
        if !self.is_up() || self.leaving || full {
            Room::None
        } else if live < bounds.at_once && answered + (live as u64) < bounds.in_all {
            Room::Within
        } else {
            Room::Beyond
        }
    }

    /// May a question of this lane be sent on it?
    pub fn admits(&self, lane: Lane) -> bool {
        let is_empty = self.pipeline.live() == 0;
        match lane {
            Lane::Shared => !self.is_isolated(),
            Lane::Isolated => self.lane == Lane::Isolated || (self.is_isolated() && is_empty),
            Lane::Alone => self.is_isolated() && is_empty,
        }
    }

    /// Is it kept for questions that lost their connection repeatedly, or that may hold up others?
    pub fn is_isolated(&self) -> bool {
        self.lane != Lane::Shared
    }

    /// Has it had all the questions that its upstream takes on one link, and answered them?
    pub fn is_spent(&self, bounds: Bounds) -> bool {
        self.is_up() && self.pipeline.live() == 0 && self.pipeline.answered() >= bounds.in_all
    }

    /// A question goes out.
    pub fn used(&mut self, idling: &Idling, now: Time) {
        if self.pipeline.live() <= 1 {
            self.quiet = self.quiet.max(now.since(self.last_used));
            self.unproven = !idling.is_proven(self.quiet);
        }
        self.last_used = now;
    }

    /// Something came in. Gives the quiet that the link has so survived.
    pub fn heard(&mut self, now: Time) -> Duration {
        self.pipeline.heard(now);
        self.last_used = now;
        self.heard_at = now;
        self.suspect = false;
        self.unproven = false;
        self.missed = 0;
        std::mem::take(&mut self.quiet)
    }

    /// A message came that belongs to no question. Says whether there were too many: a few are a server's slip, a flood is an attack
    /// or a broken stream.
    pub fn stray(&mut self) -> bool {
        self.strays += 1;
        self.strays > MAX_STRAYS
    }

    /// An answer came that belongs to a question.
    pub fn matched(&mut self) {
        self.strays = self.strays.saturating_sub(1);
    }

    /// Has it a question after a quiet that its upstream's links are not known to survive?
    pub fn is_uncertain(&self) -> bool {
        self.unproven
    }

    /// Did it end without one answer, although it was asked, or as soon as it was up?
    pub fn is_fruitless(&self, now: Time) -> bool {
        let at_once = now.since(self.since) < MAYBE_STALE;
        self.is_up() && self.pipeline.answered() == 0 && (at_once || !self.pipeline.is_unused())
    }

    /// Was it quiet for long before the question that it has now?
    pub fn may_be_stale(&self) -> bool {
        self.quiet > MAYBE_STALE
    }

    /// Up, not in doubt, and heard of a moment ago?
    pub fn is_lively(&self, now: Time) -> bool {
        self.is_up() && !self.suspect && !self.leaving && now.since(self.heard_at) <= MAYBE_STALE
    }

    /// Do so many questions wait on it that its silence can only be its own?
    pub fn is_crowded(&self) -> bool {
        self.pipeline.live() >= CROWD
    }

    /// For how long it may be silent with a question in flight before it is doubted.
    fn patience(&self, upstream: &Upstream) -> Duration {
        let held_up = upstream.answers_in_order() && self.pipeline.live() > 1;
        let floor = if self.may_be_stale() || self.is_crowded() || held_up {
            SUSPECT_MIN
        } else {
            SUSPECT_LIVELY
        };
        upstream.srtt.map_or(floor, |srtt| floor.max(3 * srtt))
    }

    /// Has it been silent for too long?
    pub fn is_silent(&self, upstream: &Upstream, now: Time) -> bool {
        self.pipeline
            .silence(now)
            .is_some_and(|silence| silence >= self.patience(upstream))
    }

    /// Has it been silent for so long that questions should rather go elsewhere than be turned away?
    pub fn is_holding_up(&self, srtt: Option<Duration>, now: Time) -> bool {
        let patience = srtt.map_or(SUSPECT_MIN, |srtt| SUSPECT_PRESSED.max(3 * srtt));
        let silence = self.pipeline.silence(now);
        self.is_up() && !self.suspect && silence.is_some_and(|silence| silence >= patience)
    }

    /// Up, with no question in flight, and idle for long or of no use?
    pub fn is_useless(&self, idle: Duration, now: Time) -> bool {
        let worn = self.is_worn() || self.pipeline.abandoned() > MAX_ABANDONED;
        let free = self.is_up() && self.pipeline.live() == 0;
        free && (worn || now >= self.last_used + idle)
    }

    fn is_worn(&self) -> bool {
        self.suspect || self.leaving
    }

    /// When something has to be decided about it, if nothing happens before.
    pub fn alarm(&self, upstream: &Upstream) -> Option<Time> {
        if !self.is_up() {
            return None;
        }
        match self.pipeline.silent_since() {
            None if self.is_worn() => Some(self.last_used),
            None => Some(self.last_used + upstream.idling.limit()),
            Some(_) if self.suspect => None,
            Some(since) => Some(since + self.patience(upstream)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::flight::FlightKey;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use slotmap::SlotMap;

    // fault 24: ids of questions given up are taken; while others are in flight there is no end to wait for.
    #[test]
    fn a_link_full_of_questions_given_up_takes_no_more_although_others_are_in_flight() {
        let mut flights: SlotMap<FlightKey, ()> = SlotMap::with_key();
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let addr = "192.0.2.1:853".parse().unwrap();
        let mut link = Link::dialing(0, addr, Lane::Shared, Time::ZERO);
        link.state = State::Up;
        let mut enter = |link: &mut Link| {
            let flight = flights.insert(());
            link.pipeline.enter(flight, &mut random, Time::ZERO)
        };
        let live = enter(&mut link).unwrap();
        for _ in 0..FULL_OF_ABANDONED {
            assert_ne!(link.room(1_000, Bounds::default()), Room::None);
            let id = enter(&mut link).unwrap();
            link.pipeline.abandon(id);
        }
        assert_eq!(link.room(1_000, Bounds::default()), Room::None);
        assert!(!link.is_useless(Duration::from_secs(60), Time::ZERO));
        link.pipeline.abandon(live);
        assert!(link.is_useless(Duration::from_secs(60), Time::ZERO));
    }
}
