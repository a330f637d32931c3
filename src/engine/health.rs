//! Whether an upstream is well, by what its own traffic shows. Nothing is ever asked for its own sake.
//!
//! One that falls silent, or that answers nothing but failures, is passed over while others are well. It is asked again with a
//! copy of a question that somebody else answers, seldom at first and never more than every few seconds; one good answer
//! and it is well.

use super::flight::{FlightKey, Lane, Purpose, bit};
use super::forwarder::Forwarder;
use super::incidents::Incident;
use super::links::{Link, LinkKey};
use super::output::Output;
use super::time::{Now, Time};
use log::{debug, info, warn};
use std::time::Duration;

/// The first wait between two probes; it doubles.
const PROBE_MIN: Duration = Duration::from_millis(250);
/// The longest wait: one that is well again is used again within so long.
const PROBE_MAX: Duration = Duration::from_secs(10);
/// So many failures in a row, without one good answer between, are the upstream's and not the names'.
const POOR_RUN: u32 = 16;

/// Why an upstream is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It does not answer.
    Silent,
    /// It answers with failures alone.
    Poor,
    /// It ends connections without an answer.
    Closing,
}

/// What became of an upstream's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is in doubt from now on.
    Suspect(Why),
    /// It is in doubt no more.
    Healthy,
}

#[derive(Clone, Copy)]
struct Doubt {
    why: Why,
    probe_at: Time,
    wait: Duration,
}

/// How well an upstream is.
#[derive(Clone, Copy, Default)]
pub struct Health {
    doubt: Option<Doubt>,
    poor: u32,
}

impl Health {
    /// Passed over while others are well?
    pub fn is_doubtful(&self) -> bool {
        self.doubt.is_some()
    }

    /// It answered something, which is good or one more failure. Says whether that changed anything.
    pub fn answered(&mut self, good: bool, now: Time) -> Option<Change> {
        self.poor = if good { 0 } else { self.poor.saturating_add(1) };
        if good || self.doubt.is_some_and(|doubt| doubt.why != Why::Poor) {
            return self.doubt.take().map(|_| Change::Healthy);
        }
        if self.poor >= POOR_RUN {
            return self.suspect(Why::Poor, now);
        }
        None
    }

    /// It was reached: that is no answer yet, but reason to ask at once.
    pub fn reached(&mut self, now: Time) {
        if let Some(doubt) = &mut self.doubt {
            doubt.probe_at = now;
        }
    }

    /// Whatever was observed was another network.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// May it be probed?
    pub fn is_due(&self, now: Time) -> bool {
        self.doubt.is_none_or(|doubt| now >= doubt.probe_at)
    }

    /// A probe goes out.
    fn probed(&mut self, now: Time) {
        if let Some(doubt) = &mut self.doubt {
            doubt.probe_at = now + doubt.wait;
            doubt.wait = (doubt.wait * 2).min(PROBE_MAX);
        }
    }

    /// It is in doubt, for this reason. Says whether that is new.
    fn suspect(&mut self, why: Why, now: Time) -> Option<Change> {
        if self.doubt.is_some() {
            return None;
        }
        self.doubt = Some(Doubt {
            why,
            probe_at: now,
            wait: PROBE_MIN,
        });
        Some(Change::Suspect(why))
    }
}

impl Forwarder {
    /// An upstream is in doubt.
    pub(super) fn suspect_upstream(&mut self, upstream: usize, why: Why, now: Now) {
        if let Some(change) = self.upstreams[upstream].health.suspect(why, now.mono) {
            self.note_health(upstream, change, now);
        }
    }

    /// Says in the log that an upstream's health changed, why, and what follows.
    pub(super) fn note_health(&mut self, upstream: usize, change: Change, now: Now) {
        let alone = self.upstreams.len() == 1;
        let state = &mut self.upstreams[upstream];
        let (kind, text) = match change {
            Change::Suspect(why) => {
                state.counts.passed_over += 1;
                let text = match why {
                    Why::Silent => "does not answer",
                    Why::Poor => "answers with SERVFAIL, REFUSED or truncated messages alone",
                    Why::Closing => "ends connections without an answer",
                };
                (Incident::Suspect, text)
            }
            Change::Healthy => (Incident::Healthy, "answers again"),
        };
        let consequence = match kind {
            _ if alone => "",
            Incident::Suspect => "; others are asked instead while they answer",
            _ => "; it is asked as before",
        };
        match state.incidents.note(kind, text, now.mono) {
            Some(untold) if kind == Incident::Suspect => {
                warn!("{}: {text}{consequence}{untold}", state.label);
            }
            Some(untold) => info!("{}: {text}{consequence}{untold}", state.label),
            None => debug!("{}: {text}{consequence}", state.label),
        }
    }

    /// What a question that was just sent gives occasion to: company for a link in doubt, and a try of an upstream that would have
    /// been preferred.
    pub(super) fn accompany(&mut self, key: FlightKey, on: LinkKey, now: Now, out: &mut Output) {
        let link = &self.links[on];
        let (upstream, suspect, uncertain) = (link.upstream, link.suspect, link.is_uncertain());
        let preferred = self.flights[key].preferred;
        if suspect || (uncertain && self.pending(|u| u == upstream, false) == 0) {
            self.replace(on, now, out);
        }
        // Questions are spread over two connections, so that a slow name holds up only half of them.
        if self.upstreams[upstream].answers_in_order()
            && self.links_of(upstream, false) < 2
            && self.may_dial(upstream, now)
        {
            self.dial_for(key, upstream, false, now, out);
        }
        let (doubtful, rank) = (self.is_doubtful(upstream), self.rank(preferred, upstream));
        if suspect || doubtful {
            self.dial_missing(key, upstream, u64::MAX, now, out);
        } else if rank > 0 {
            self.probe(key, upstream, rank, now, out);
            self.dial_missing(key, upstream, rank, now, out);
        }
    }

    /// Is it in doubt?
    pub(super) fn is_doubtful(&self, upstream: usize) -> bool {
        self.upstreams[upstream].health.is_doubtful()
    }

    /// Sends a copy to an upstream that was passed over because it is in doubt, if it is time to.
    fn probe(&mut self, key: FlightKey, used: usize, rank: u64, now: Now, out: &mut Output) {
        let Some(flight) = self.flights.get(key) else {
            return;
        };
        if flight.lane() != Lane::Shared {
            return;
        }
        let (preferred, exclude) = (flight.preferred, flight.exclude);
        let wanted = |upstream: usize| {
            let health = &self.upstreams[upstream].health;
            health.is_doubtful()
                && health.is_due(now.mono)
                && upstream != used
                && exclude & bit(upstream) == 0
                && self.rank(preferred, upstream) < rank
        };
        let usable = |link: &Link| link.is_good() && wanted(link.upstream);
        let found = self.links.iter().find(|(_, link)| usable(link));
        let Some((to, upstream)) = found.map(|(to, link)| (to, link.upstream)) else {
            return;
        };
        if self.send(key, to, Purpose::Copy, now, out) {
            self.stats.probes += 1;
            self.upstreams[upstream].health.probed(now.mono);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Time = Time::ZERO;

    #[test]
    fn a_silent_one_is_well_after_any_answer() {
        let mut health = Health::default();
        assert!(!health.is_doubtful() && health.is_due(T0));
        let silent = Some(Change::Suspect(Why::Silent));
        assert_eq!(health.suspect(Why::Silent, T0), silent);
        assert_eq!(health.suspect(Why::Closing, T0), None, "known already");
        assert!(health.is_doubtful() && health.is_due(T0));
        assert_eq!(health.answered(false, T0), Some(Change::Healthy));
        assert!(!health.is_doubtful());
    }

    #[test]
    fn one_that_only_fails_is_well_after_a_good_answer() {
        // fault 30, 31
        let mut health = Health::default();
        for _ in 1..POOR_RUN {
            health.answered(false, T0);
        }
        assert!(!health.is_doubtful(), "it may be the names");
        let poor = Some(Change::Suspect(Why::Poor));
        assert_eq!(health.answered(false, T0), poor);
        assert!(health.is_doubtful());
        assert_eq!(health.answered(false, T0), None);
        assert_eq!(health.answered(true, T0), Some(Change::Healthy));
        assert!(!health.is_doubtful());
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
        health.reached(now);
        assert!(health.is_due(now));
    }
}
