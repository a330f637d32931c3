//! Sending a late query a second time: to the same upstream on a second connection, since a lost packet holds up all that is
//! behind it on the first one; and to another upstream, if the user wants that (`hedge`).
//!
//! By default a query is late when its response takes longer than TCP would wait before it sends again (RFC 6298): that is worth
//! something on a path that loses packets, and nothing is sent twice on one that does not. With `hedge` it is late when 19 of 20
//! responses are there sooner. The first response counts. Copies are bounded to 5 % of the queries.

use super::Transactions;
use crate::engine::history::{History, Purpose};
use crate::engine::keys::TransactionKey;
use crate::engine::time::{Now, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// The share of responses after which a query counts as late, in parts of a hundred.
const PERCENTILE: u32 = 95;
/// One copy for so many queries: 5 %.
const COST: u32 = 20;
/// What may be saved up while copies are not needed: ten of them. More would be a burst upon an upstream in trouble.
const MAX_SAVED: u32 = 10 * COST;
/// Responses until the percentile means something.
const ENOUGH: u32 = 64;
/// Responses that are remembered; then each counts half, so that older ones matter less.
const REMEMBERED: u32 = 1_024;
/// Four steps for each doubling from 64 microseconds on: up to about four seconds, within a fifth of the truth.
const STEPS: usize = 64;
const FIRST_STEP: u32 = 6;

/// How long responses take, as counts in steps that grow with the time.
#[derive(Clone)]
struct Times {
    counts: [u32; STEPS],
    total: u32,
}

/// How long responses take on each route; what copies may be sent; and which queries may become late.
pub struct Hedging {
    /// By route: what is late on one says nothing about another.
    times: Vec<Times>,
    saved: u32,
    /// The user wants other upstreams to be asked, too.
    elsewhere: bool,
    /// For each upstream the queries that were sent to it first, in that order, each with the time when it counts as late. Those that are
    /// over are left until their turn comes.
    late: Vec<VecDeque<(Time, TransactionKey)>>,
}

impl Times {
    /// Nothing known.
    const NONE: Self = Self {
        counts: [0; STEPS],
        total: 0,
    };

    /// A response took so long.
    fn took(&mut self, time: Duration) {
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

    /// What 19 of 20 responses do not take.
    fn percentile(&self) -> Option<Duration> {
        let mut left = (self.total >= ENOUGH).then_some(self.total * PERCENTILE / 100)?;
        let full = self.counts.iter().position(|count| {
            let reached = *count > left;
            left = left.saturating_sub(*count);
            reached
        });
        full.map(end_of)
    }
}

impl Hedging {
    /// Nothing known, nothing saved.
    pub fn new(elsewhere: bool, upstreams: usize, routes: usize) -> Self {
        // They are needed only where they decide what is late.
        let routes = if elsewhere { routes } else { 0 };
        Self {
            times: vec![Times::NONE; routes],
            saved: 0,
            elsewhere,
            late: (0..upstreams).map(|_| VecDeque::new()).collect(),
        }
    }

    /// Another configuration holds from now on. What is known of the default route holds on; the numbers of others may have changed.
    pub fn reconfigure(&mut self, elsewhere: bool, upstreams: usize, routes: usize) {
        self.elsewhere = elsewhere;
        self.times.truncate(usize::from(elsewhere));
        let routes = if elsewhere { routes } else { 0 };
        self.times.resize(routes, Times::NONE);
        let all = upstreams.max(self.late.len());
        self.late.resize_with(all, VecDeque::new);
    }

    /// A transaction starts: a part of a copy is saved.
    pub fn started(&mut self) {
        self.saved = (self.saved + 1).min(MAX_SAVED);
    }

    /// A response on this route took so long.
    pub fn took(&mut self, time: Duration, route: u16) {
        if let Some(times) = self.times.get_mut(usize::from(route)) {
            times.took(time);
        }
    }

    /// After how long a query on this route counts as late, where `usual` is what TCP would wait at its upstream; `None` while too little is
    /// known.
    fn late_after(&self, usual: Option<Duration>, route: u16) -> Option<Duration> {
        if self.elsewhere {
            self.times.get(usize::from(route))?.percentile()
        } else {
            usual
        }
    }

    /// A query was sent for the first time, on this route to this upstream.
    pub fn sent(
        &mut self,
        key: TransactionKey,
        (route, upstream): (u16, usize),
        usual: Option<Duration>,
        now: Time,
    ) {
        if let Some(after) = self.late_after(usual, route)
            && let Some(late) = self.late.get_mut(upstream)
        {
            late.push_back((now + after, key));
        }
    }

    /// When the next query may be late.
    #[inline]
    pub fn next(&self) -> Time {
        let fronts = self.late.iter().filter_map(VecDeque::front);
        fronts.fold(Time::NEVER, |first, (at, _)| first.min(*at))
    }

    /// Takes one query that may be late by now.
    fn pop_due(&mut self, now: Time) -> Option<TransactionKey> {
        for late in &mut self.late {
            if late.front().is_some_and(|(at, _)| *at <= now) {
                return late.pop_front().map(|(_, key)| key);
            }
        }
        None
    }

    /// Transactions are over: those at the fronts need no alarm any more.
    #[inline]
    pub fn forget(&mut self, exists: impl Fn(TransactionKey) -> bool) {
        for late in &mut self.late {
            while let Some((_, key)) = late.front()
                && !exists(*key)
            {
                late.pop_front();
            }
        }
    }

    /// Nothing is in flight any more.
    pub fn clear(&mut self) {
        for late in &mut self.late {
            late.clear();
        }
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

impl Transactions {
    /// The next query that is late by now and may be sent a second time.
    pub fn pop_late(&mut self, now: Now) -> Option<TransactionKey> {
        while let Some(key) = self.hedging.pop_due(now.mono) {
            let may_copy = |history: &History| {
                !history.lane().is_isolated()
                    && history.may_send(Purpose::Copy)
                    && history.is_under_way()
            };
            if self.hedging.is_affordable() && self.history(key).is_some_and(may_copy) {
                return Some(key);
            }
        }
        None
    }

    /// Whether late queries are rather sent to another upstream.
    pub fn hedges_elsewhere(&self) -> bool {
        self.hedging.elsewhere
    }

    /// A late query was sent a second time.
    pub fn hedged(&mut self) {
        self.hedging.spend();
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
        let mut hedging = Hedging::new(true, 1, 2);
        for n in 0..60 {
            hedging.took(ms(10 + n % 5), 1);
        }
        assert_eq!(hedging.late_after(None, 1), None, "too few");
        for n in 0..940 {
            let time = if n % 25 == 0 { ms(800) } else { ms(10 + n % 5) };
            hedging.took(time, 1);
        }
        assert_eq!(hedging.late_after(None, 0), None, "another route");
        let late = hedging.late_after(None, 1).unwrap();
        assert!(late >= ms(14) && late <= ms(18), "{late:?}");
        for _ in 0..4_000 {
            hedging.took(ms(100), 1);
        }
        let late = hedging.late_after(None, 1).unwrap();
        assert!(
            late >= ms(100) && late <= ms(125),
            "the past fades: {late:?}"
        );
    }

    #[test]
    fn copies_are_one_in_twenty_and_not_saved_for_long() {
        let mut hedging = Hedging::new(true, 1, 1);
        let mut copies = 0;
        for _ in 0..10_000 {
            hedging.started();
            if hedging.is_affordable() {
                hedging.spend();
                copies += 1;
            }
        }
        assert_eq!(copies, 500);
        for _ in 0..10_000 {
            hedging.started();
        }
        for _ in 0..10 {
            assert!(hedging.is_affordable());
            hedging.spend();
        }
        assert!(!hedging.is_affordable());
    }
}
