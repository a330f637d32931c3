//! Whether an upstream takes EDNS (RFC 6891 section 6.2.2), by what it did with single queries.
//!
//! That it does not is learned only from a query that it did not understand with an OPT record and gave a useful answer to
//! without one. That a query without the record was answered says nothing more, so nothing is prolonged by it. It is tried
//! again with a query of its own: soon at first, then seldom.

use crate::engine::time::Time;
use std::time::Duration;

/// How long an upstream is asked without EDNS at first. It doubles each time that a trial fails.
const HOLD_MIN: Duration = Duration::from_secs(60);
/// The longest: an upstream that learns EDNS gets it within so long.
const HOLD_MAX: Duration = Duration::from_secs(15 * 60);
/// While one query tries, the others do without for so long.
const TRIAL: Duration = Duration::from_secs(5);
/// An upstream that has answered with an OPT record knows EDNS: so many queries in a row must say otherwise, of which none may be
/// answered with EDNS in between.
const CONTRADICTIONS: u8 = 8;

/// What is known of one upstream.
#[derive(Clone, Copy, Debug, Default)]
pub struct EdnsSupport {
    lacking: Option<Lacking>,
    /// It has answered with an OPT record.
    shown: bool,
    /// Queries in a row that it took only without EDNS.
    refusals: u8,
}

#[derive(Clone, Copy, Debug)]
struct Lacking {
    until: Time,
    hold: Duration,
}

impl EdnsSupport {
    /// Whether the next query goes with its OPT record. When it is time to, this one goes as a trial.
    pub fn send_with(&mut self, now: Time) -> bool {
        let Some(lacking) = &mut self.lacking else {
            return true;
        };
        let trial = now >= lacking.until;
        if trial {
            lacking.until = now + TRIAL;
        }
        trial
    }

    /// It answered with an OPT record, or usefully, a query that had one.
    pub fn taken(&mut self, with_opt: bool) {
        self.lacking = None;
        self.refusals = 0;
        self.shown |= with_opt;
    }

    /// It did not understand a query with an OPT record, and answered the same query usefully without.
    pub fn refused(&mut self, now: Time) {
        self.refusals = self.refusals.saturating_add(1);
        if self.shown && self.refusals < CONTRADICTIONS {
            return;
        }
        self.shown = false;
        let hold = match self.lacking {
            None => HOLD_MIN,
            // Of queries under way at once only one is a trial; the others say nothing new.
            Some(lacking) if now + TRIAL < lacking.until => return,
            Some(lacking) => (lacking.hold * 2).min(HOLD_MAX),
        };
        self.lacking = Some(Lacking {
            until: now + hold,
            hold,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Time {
        Time::ZERO + Duration::from_secs(n)
    }

    // fault 28
    #[test]
    fn it_is_tried_again_soon_and_then_seldom() {
        let mut support = EdnsSupport::default();
        assert!(support.send_with(second(0)));
        support.refused(second(0));
        let mut trials = Vec::new();
        for now in (1..7200).map(second) {
            if support.send_with(now) {
                assert!(!support.send_with(now), "one at a time");
                support.refused(now);
                trials.push(now.since(Time::ZERO).as_secs());
            }
        }
        assert_eq!(trials[..5], [60, 180, 420, 900, 1800]);
        assert_eq!(trials.last(), Some(&(1800 + 900 * 5)));
    }

    // fault 98
    #[test]
    fn one_query_that_is_taken_ends_it() {
        let mut support = EdnsSupport::default();
        support.refused(second(0));
        assert!(!support.send_with(second(1)));
        support.taken(true);
        assert!(support.send_with(second(1)));
    }

    // fault 98
    #[test]
    fn one_that_has_shown_an_opt_record_is_believed_longer_than_a_name() {
        let mut support = EdnsSupport::default();
        for now in (0..100).map(second) {
            support.taken(true);
            support.refused(now);
            assert!(support.send_with(now));
        }
        for now in (100..107).map(second) {
            support.refused(now);
        }
        assert!(!support.send_with(second(107)), "it has changed");
    }

    #[test]
    fn queries_under_way_at_once_count_once() {
        let mut support = EdnsSupport::default();
        for _ in 0..100 {
            support.refused(second(0));
        }
        assert!(support.send_with(second(60)));
        support.refused(second(61));
        support.refused(second(61));
        assert!(!support.send_with(second(180)));
        assert!(support.send_with(second(181)));
    }
}
