//! How many queries an upstream takes on one connection, as its closes suggest.
//!
//! A bound is only believed after several connections in a row ended in the same way, holds for seconds, and is tried by single
//! queries beyond it.

use crate::engine::time::Time;
use std::time::Duration;

/// How long a learned bound holds, before more is tried again.
const BOUNDS_HOLD: Duration = Duration::from_secs(10);
/// Connections in a row that end after the same number of responses, until that is a bound. One that ends after another number is
/// evidence against it: the upstream then closes for another reason.
const EVIDENCE: u32 = 3;
/// Only a connection that ended after so few responses tells something about how the upstream counts.
const LEARNABLE: u64 = 64;

/// How many queries an upstream takes on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In flight.
    pub at_once: usize,
    /// Over the connection's whole life.
    pub in_all: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            at_once: usize::MAX,
            in_all: u64::MAX,
        }
    }
}

/// Bounds that were learned, and how sure they are.
#[derive(Clone, Copy)]
struct Learned {
    bounds: Bounds,
    until: Time,
    /// A query beyond them was lost with its connection.
    tried: bool,
    /// A query beyond them is in flight.
    probing: bool,
}

/// What is known of one upstream's capacity.
#[derive(Clone, Copy, Default)]
pub struct Capacity {
    learned: Option<Learned>,
    /// After how many responses the last connection ended with queries in flight, and how many ended so in a row.
    closes: Option<(u64, u32)>,
}

impl Capacity {
    /// What it takes on one connection.
    pub fn bounds(&self, now: Time) -> Bounds {
        match self.learned {
            Some(learned) if now < learned.until => learned.bounds,
            _ => Bounds::default(),
        }
    }

    /// Whether a query may go beyond the bounds, to see whether they are any. One at a time, until one was lost over it.
    pub fn may_probe(&self) -> bool {
        self.learned.is_some_and(|l| !l.tried && !l.probing)
    }

    /// A query went beyond the bounds; or the one that did was given up, and the next query may try.
    pub fn set_probing(&mut self, probing: bool) {
        if let Some(learned) = &mut self.learned {
            learned.probing = probing;
        }
    }

    /// Whether the bounds have been tried and found true.
    pub fn is_sure(&self) -> bool {
        self.learned.is_some_and(|learned| learned.tried)
    }

    /// What looked like a bound was none: more was answered, or the upstream is gone altogether.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// A connection has had so many responses: more than the number after which others ended speaks against a bound.
    pub fn answered(&mut self, responses: u64) {
        if self.closes.is_some_and(|(after, _)| responses > after) {
            self.closes = None;
        }
    }

    /// It closed a connection that had had so many responses with `live` queries in flight: after few responses, that may have been a
    /// bound of its own, on the queries of a connection or on those in flight. Or a query that it cannot handle; so it has to happen
    /// several times in a row in the same way, and the bound is tried.
    pub fn closed_busy(&mut self, responses: u64, live: usize, now: Time) {
        if live == 0 {
            return;
        }
        let before = self.closes.filter(|(after, _)| *after == responses);
        let alike = before.map_or(1, |(_, times)| times.saturating_add(1));
        self.closes = Some((responses, alike));
        if alike < EVIDENCE {
            return;
        }
        let bounds = match (responses, live) {
            (0, 2..) => Bounds {
                at_once: 1,
                in_all: u64::MAX,
            },
            (1..=LEARNABLE, 1..) => Bounds {
                at_once: responses as usize,
                in_all: responses,
            },
            _ => return,
        };
        let known = self.learned.filter(|learned| now < learned.until);
        self.learned = Some(Learned {
            bounds,
            until: now + BOUNDS_HOLD,
            tried: known.is_some_and(|learned| learned.tried || learned.probing),
            probing: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_nanos(100_000_000_000);

    #[test]
    fn bounds_are_learned_and_forgotten() {
        // fault 1, 34
        let mut capacity = Capacity::default();
        let closes = |capacity: &mut Capacity, responses, live| {
            for _ in 0..EVIDENCE {
                capacity.closed_busy(responses, live, NOW);
            }
        };
        closes(&mut capacity, 1_000_000, 5);
        assert_eq!(capacity.bounds(NOW), Bounds::default(), "a restart");
        closes(&mut capacity, 0, 1);
        assert_eq!(capacity.bounds(NOW), Bounds::default(), "nothing to learn");
        closes(&mut capacity, 0, 2);
        assert_eq!(capacity.bounds(NOW).at_once, 1);
        assert_eq!(capacity.bounds(NOW + BOUNDS_HOLD), Bounds::default());
        assert!(capacity.may_probe() && !capacity.is_sure());
        capacity.set_probing(true);
        assert!(!capacity.may_probe(), "one at a time");
        capacity.closed_busy(0, 2, NOW);
        assert!(!capacity.may_probe() && capacity.is_sure());
        closes(&mut capacity, 3, 1);
        let three = Bounds {
            at_once: 3,
            in_all: 3,
        };
        assert_eq!(capacity.bounds(NOW), three);
    }

    #[test]
    fn a_bound_takes_repeated_and_consistent_evidence() {
        // fault 96
        let mut capacity = Capacity::default();
        for responses in [3, 3, 2, 3, 3, 0, 0, 3] {
            capacity.closed_busy(responses, 5, NOW);
            assert_eq!(capacity.bounds(NOW), Bounds::default(), "mixed");
        }
        capacity.closed_busy(3, 5, NOW);
        capacity.answered(4);
        capacity.closed_busy(3, 5, NOW);
        assert_eq!(
            capacity.bounds(NOW),
            Bounds::default(),
            "another connection was given more responses"
        );
        capacity.closed_busy(3, 5, NOW);
        capacity.closed_busy(3, 5, NOW);
        assert_eq!(capacity.bounds(NOW).in_all, 3);
    }
}
