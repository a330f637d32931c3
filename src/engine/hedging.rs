//! Asking a second time when an answer is late: of the same upstream on a second connection, since a lost packet holds up all that is
//! behind it on the first one; and of another upstream, if the user wants that (`hedge`).
//!
//! By default a question is late when an answer takes longer than TCP would wait before it sends again (RFC 6298): that is worth
//! something on a path that loses packets, and nothing is sent twice on one that does not. With `hedge` it is late when 19 of 20
//! answers are there sooner. The first answer counts. Copies are bounded to 5 % of the questions.

use super::flight::{FlightKey, Lane, Place, Purpose, bit};
use super::forwarder::Forwarder;
use super::links::Link;
use super::output::Output;
use super::time::Now;
use super::upstreams::Upstream;
use std::time::Duration;

/// The share of answers after which a question counts as late, in parts of a hundred.
const PERCENTILE: u32 = 95;
/// One copy for so many questions: 5 %.
const COST: u32 = 20;
/// What may be saved up in calm times: ten copies. More would be a burst upon an upstream in trouble.
const MAX_SAVED: u32 = 10 * COST;
/// Answers until the percentile means something.
const ENOUGH: u32 = 64;
/// Answers that are remembered; then each counts half, so that the past fades.
const REMEMBERED: u32 = 1_024;
/// Four steps for each doubling from 64 microseconds on: up to about four seconds, within a fifth of the truth.
const STEPS: usize = 64;
const FIRST_STEP: u32 = 6;

/// How long answers take, as counts in steps that grow with the time.
pub struct Hedging {
    counts: [u32; STEPS],
    total: u32,
    saved: u32,
    /// The user wants other upstreams to be asked, too.
    elsewhere: bool,
}

impl Hedging {
    /// Nothing known, nothing saved.
    pub fn new(elsewhere: bool) -> Self {
        Self {
            counts: [0; STEPS],
            total: 0,
            saved: 0,
            elsewhere,
        }
    }

    /// A question was asked: a part of a copy is saved.
    pub fn asked(&mut self) {
        self.saved = (self.saved + 1).min(MAX_SAVED);
    }

    /// An answer took so long.
    pub fn took(&mut self, time: Duration) {
        if !self.elsewhere {
            return;
        }
        if self.total >= REMEMBERED {
            for count in &mut self.counts {
                *count /= 2;
            }
            self.total = self.counts.iter().sum();
        }
        if let Some(count) = self.counts.get_mut(step_of(time)) {
            *count += 1;
            self.total += 1;
        }
    }

    /// When a question to this upstream counts as late; `None` while too little is known.
    pub fn late_after(&self, upstream: &Upstream) -> Option<Duration> {
        if self.elsewhere {
            self.percentile()
        } else {
            upstream.late_after()
        }
    }

    /// What 19 of 20 answers do not take.
    fn percentile(&self) -> Option<Duration> {
        let mut left = (self.total >= ENOUGH).then_some(self.total * PERCENTILE / 100)?;
        let full = self.counts.iter().position(|count| {
            let reached = *count > left;
            left = left.saturating_sub(*count);
            reached
        });
        full.map(end_of)
    }

    /// Is enough saved for a copy?
    fn is_affordable(&self) -> bool {
        self.saved >= COST
    }

    /// A copy was sent.
    fn spend(&mut self) {
        self.saved = self.saved.saturating_sub(COST);
    }
}

/// The step that a time belongs to: two bits below the highest one tell the quarter.
fn step_of(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    let exponent = micros.ilog2();
    if exponent < FIRST_STEP {
        return 0;
    }
    let quarter = (micros >> (exponent - 2)) & 3;
    let step = (exponent - FIRST_STEP) as usize * 4 + quarter as usize;
    step.min(STEPS - 1)
}

/// Where a step ends.
fn end_of(step: usize) -> Duration {
    let base = 1u64 << (FIRST_STEP as usize + step / 4);
    Duration::from_micros(base + base / 4 * (step as u64 % 4 + 1))
}

impl Forwarder {
    /// Looks after questions that are late by now.
    pub(super) fn hedge_late(&mut self, now: Now, out: &mut Output) {
        for upstream in 0..self.upstreams.len() {
            while let Some((at, key)) = self.upstreams[upstream].late.front().copied()
                && at <= now.mono
            {
                self.upstreams[upstream].late.pop_front();
                self.hedge(key, now, out);
            }
        }
    }

    /// A question is late: it is asked a second time where a link is up, if that is affordable. Where there is none,
    /// a spare one is made for the next such question.
    fn hedge(&mut self, key: FlightKey, now: Now, out: &mut Output) {
        let affordable = self.hedging.is_affordable();
        let Some(flight) = self.flights.get(key) else {
            return;
        };
        let shared = flight.lane() == Lane::Shared;
        if !affordable || !shared || !flight.may_send(Purpose::Copy) || !flight.placed() {
            return;
        }
        let asked = |link: &Link| flight.tried & bit(link.upstream) != 0;
        let usable = |link: &Link| link.is_good() && !self.is_doubtful(link.upstream);
        let elsewhere = self.hedging.elsewhere;
        // Behind a lost packet nothing arrives. If something did, the question itself is slow.
        let waits = |place: &Place| {
            let link = self.links.get(place.link);
            link.is_some_and(|link| link.heard_at <= place.sent_at)
        };
        if !elsewhere && !flight.places.iter().flatten().all(waits) {
            return;
        }
        let preferred = flight.preferred;
        let excluded = |link: &Link| flight.exclude & bit(link.upstream) != 0;
        let others = self
            .links
            .iter()
            .filter(|(to, link)| usable(link) && !flight.is_on(*to) && !excluded(link))
            .filter(|(_, link)| elsewhere || asked(link));
        let best =
            others.min_by_key(|(_, link)| (asked(link), self.rank(preferred, link.upstream)));
        let Some(to) = best.map(|(to, _)| to) else {
            self.prepare_spare(key, now, out);
            return;
        };
        if self.send(key, to, Purpose::Copy, now, out) {
            self.hedging.spend();
            self.stats.hedges += 1;
        }
    }

    /// Dials an upstream that has no link, or else a second link to the one that was asked.
    fn prepare_spare(&mut self, key: FlightKey, now: Now, out: &mut Output) {
        if self.pending(|_| true, false) > 0 {
            return;
        }
        let on = self.flights.get(key).and_then(|flight| {
            let mut places = flight.places.iter().flatten();
            places.next().map(|place| place.link)
        });
        let Some(upstream) = on
            .and_then(|on| self.links.get(on))
            .map(|link| link.upstream)
        else {
            return;
        };
        if self.hedging.elsewhere && self.upstreams.len() > 1 {
            self.dial_missing(key, upstream, u64::MAX, now, out);
        } else if self.links_of(upstream, false) < 2
            && now.mono >= self.upstreams[upstream].dial_at(false)
        {
            self.dial_for(key, upstream, false, now, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn steps_hold_what_belongs_to_them() {
        for micros in (1..5_000_000).step_by(997) {
            let time = Duration::from_micros(micros);
            let step = step_of(time);
            assert!(time < end_of(step) || step == STEPS - 1, "{time:?}");
            assert!(step == 0 || time >= end_of(step - 1), "{time:?}");
        }
        assert_eq!(step_of(Duration::from_secs(3_600)), STEPS - 1);
        assert_eq!(step_of(Duration::ZERO), 0);
    }

    #[test]
    fn late_is_what_19_of_20_are_not() {
        let mut hedging = Hedging::new(true);
        for n in 0..60 {
            hedging.took(ms(10 + n % 5));
        }
        assert_eq!(hedging.percentile(), None, "too few");
        for n in 0..940 {
            hedging.took(if n % 25 == 0 { ms(800) } else { ms(10 + n % 5) });
        }
        let late = hedging.percentile().unwrap();
        assert!(late >= ms(14) && late <= ms(18), "{late:?}");
        for _ in 0..4_000 {
            hedging.took(ms(100));
        }
        let late = hedging.percentile().unwrap();
        assert!(
            late >= ms(100) && late <= ms(125),
            "the past fades: {late:?}"
        );
    }

    #[test]
    fn copies_are_one_in_twenty_and_not_saved_for_long() {
        let mut hedging = Hedging::new(true);
        let mut copies = 0;
        for _ in 0..10_000 {
            hedging.asked();
            if hedging.is_affordable() {
                hedging.spend();
                copies += 1;
            }
        }
        assert_eq!(copies, 500);
        for _ in 0..10_000 {
            hedging.asked();
        }
        for _ in 0..10 {
            assert!(hedging.is_affordable());
            hedging.spend();
        }
        assert!(!hedging.is_affordable());
    }
}
