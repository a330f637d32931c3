//! Whether an upstream is healthy, by what its own traffic shows. Nothing is ever asked for its own sake.
//!
//! One that falls silent, or that answers nothing but failures, is passed over while others are healthy. It is asked again with a
//! copy of a query that another upstream answers, every few seconds at most; one good response and it is healthy.

use crate::engine::time::Time;
use std::time::Duration;

/// The first wait between two probes; it doubles.
const PROBE_MIN: Duration = Duration::from_millis(250);
/// The longest wait: one that is healthy again is used again within so long.
const PROBE_MAX: Duration = Duration::from_secs(10);
/// So many failures in a row, without one good response between, are the upstream's and not the names'.
const FAILURES_IN_A_ROW: u32 = 16;

/// Why an upstream is suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It does not answer.
    Silent,
    /// It answers with failures alone.
    Failing,
    /// It ends connections without a response.
    Closing,
}

/// What became of an upstream's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is suspect from now on.
    Suspect(Why),
    /// It is suspect no more.
    Healthy,
}

#[derive(Clone, Copy)]
struct Suspicion {
    why: Why,
    probe_at: Time,
    wait: Duration,
}

/// How healthy an upstream is.
#[derive(Clone, Copy, Default)]
pub struct Health {
    suspicion: Option<Suspicion>,
    failures: u32,
}

impl Health {
    /// Whether it is passed over while others are healthy.
    pub fn is_suspect(&self) -> bool {
        self.suspicion.is_some()
    }

    /// It answered, well or with one more failure. Says what that changed.
    pub fn answered(&mut self, well: bool, now: Time) -> Option<Change> {
        self.failures = if well {
            0
        } else {
            self.failures.saturating_add(1)
        };
        let failing = |suspicion: Suspicion| suspicion.why == Why::Failing;
        if well || self.suspicion.is_some_and(|suspicion| !failing(suspicion)) {
            return self.suspicion.take().map(|_| Change::Healthy);
        }
        if self.failures >= FAILURES_IN_A_ROW {
            return self.suspect(Why::Failing, now);
        }
        None
    }

    /// It was connected to: that is no response yet, but reason to ask at once.
    pub fn connected(&mut self, now: Time) {
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.probe_at = now;
        }
    }

    /// Whatever was observed was another network.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether it may be probed.
    pub fn is_due(&self, now: Time) -> bool {
        self.suspicion
            .is_none_or(|suspicion| now >= suspicion.probe_at)
    }

    /// A probe goes out.
    pub fn probed(&mut self, now: Time) {
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.probe_at = now + suspicion.wait;
            suspicion.wait = (suspicion.wait * 2).min(PROBE_MAX);
        }
    }

    /// It is suspect, for this reason. Says whether that is new.
    pub fn suspect(&mut self, why: Why, now: Time) -> Option<Change> {
        if self.suspicion.is_some() {
            return None;
        }
        self.suspicion = Some(Suspicion {
            why,
            probe_at: now,
            wait: PROBE_MIN,
        });
        Some(Change::Suspect(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Time = Time::ZERO;

    #[test]
    fn a_silent_one_is_healthy_after_any_response() {
        let mut health = Health::default();
        assert!(!health.is_suspect() && health.is_due(T0));
        let silent = Some(Change::Suspect(Why::Silent));
        assert_eq!(health.suspect(Why::Silent, T0), silent);
        assert_eq!(health.suspect(Why::Closing, T0), None, "known already");
        assert!(health.is_suspect() && health.is_due(T0));
        assert_eq!(health.answered(false, T0), Some(Change::Healthy));
        assert!(!health.is_suspect());
    }

    #[test]
    fn one_that_only_fails_is_healthy_after_a_good_response() {
        // fault 30, 31
        let mut health = Health::default();
        for _ in 1..FAILURES_IN_A_ROW {
            health.answered(false, T0);
        }
        assert!(!health.is_suspect(), "it may be the names");
        let failing = Some(Change::Suspect(Why::Failing));
        assert_eq!(health.answered(false, T0), failing);
        assert!(health.is_suspect());
        assert_eq!(health.answered(false, T0), None);
        assert_eq!(health.answered(true, T0), Some(Change::Healthy));
        assert!(!health.is_suspect());
    }

    #[test]
    fn probes_become_rare_but_not_too_rare() {
        let mut health = Health::default();
        health.suspect(Why::Silent, T0);
        let (mut now, mut probes) = (T0, 0);
        let end = T0 + Duration::from_secs(60);
        while now < end {
            if health.is_due(now) {
                health.probed(now);
                probes += 1;
            }
            now = now + Duration::from_millis(50);
        }
        assert!((8..=12).contains(&probes), "{probes}");
        assert!(health.is_due(now + PROBE_MAX));
        health.probed(now);
        health.connected(now);
        assert!(health.is_due(now));
    }
}
