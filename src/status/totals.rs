//! What all event loops together have counted and hold.

use crate::config::Limits;
use crate::engine::{
    AnswerTimes, CaptiveState, RecentFailure, Replies, Stats, UpstreamGauges, UpstreamStats,
    UpstreamWords,
};
use crate::serve::{CacheMeasured, Control, Measured};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// How long the loops are waited for. A loop goes round within milliseconds, but where all processors are busy with others.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// The sums, and what is the same for all.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub workers: usize,
    /// Whether all of them take queries.
    pub is_serving: bool,
    pub stats: Stats,
    pub replies: Replies,
    pub times: AnswerTimes,
    pub in_flight: usize,
    pub waiting: usize,
    pub octets: usize,
    pub tcp_clients: usize,
    pub upstreams: Vec<Upstream>,
    /// The latest failures, the newest first.
    pub failures: Vec<RecentFailure>,
    pub cache: CacheMeasured,
    pub limits: Limits,
    /// The captive mode, of which all loops know the same.
    pub captive: CaptiveState,
}

/// One upstream, for all loops together.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    pub label: String,
    /// Those of the last loop that knows them.
    pub words: UpstreamWords,
    pub stats: UpstreamStats,
    pub connecting: usize,
    pub connected: usize,
    pub in_flight: usize,
    pub was_connected: bool,
    /// Whether it is healthy for all loops.
    pub is_healthy: bool,
    /// The mean of the loops that know one.
    pub round_trip: Option<Duration>,
    known_round_trips: u32,
    /// That which ends first.
    pub certificate_left: Option<Duration>,
}

/// Why there is nothing to add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmeasured {
    /// A loop does not say anything in time.
    Hangs,
    /// There is no loop any more, or not yet.
    Ended,
}

impl Totals {
    /// Asks all loops, and waits for each.
    pub fn measure(control: &Control) -> Result<Self, Unmeasured> {
        let until = Instant::now() + PATIENCE;
        let all = control.measure();
        let mut measured = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match all.recv_timeout(left) {
                Ok(one) => measured.push(one),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return Err(Unmeasured::Hangs),
            }
        }
        if measured.is_empty() {
            return Err(Unmeasured::Ended);
        }
        measured.sort_by_key(|one| one.worker);
        Ok(Self::of(&measured))
    }

    fn of(measured: &[Measured]) -> Self {
        let mut totals = Self {
            workers: measured.len(),
            is_serving: measured.iter().all(|one| one.is_serving),
            ..Self::default()
        };
        for one in measured {
            totals.stats += one.stats;
            totals.replies += &one.replies;
            totals.times += &one.times;
            totals.in_flight += one.gauges.queries;
            totals.waiting += one.gauges.waiting;
            totals.octets += one.gauges.octets;
            totals.tcp_clients += one.tcp_clients;
            for ((label, stats, gauges), words) in one.upstreams.iter().zip(&one.upstream_words) {
                let upstream = totals.upstream(label);
                upstream.add(stats, gauges);
                upstream.describe(words);
            }
            for failure in &one.failures {
                totals.fail(failure);
            }
            // Each loop has the same.
            totals.cache = one.cache;
            totals.limits = one.limits.clone();
            totals.captive = one.captive;
        }
        totals.failures.sort_by_key(|failure| failure.ago);
        totals
    }

    /// One that several loops have seen is one.
    fn fail(&mut self, failure: &RecentFailure) {
        let is_same = |known: &&mut RecentFailure| {
            (known.reason, &known.text) == (failure.reason, &failure.text)
        };
        match self.failures.iter_mut().find(is_same) {
            Some(known) => {
                known.count += failure.count;
                if failure.ago < known.ago {
                    known.id = failure.id;
                }
                known.ago = known.ago.min(failure.ago);
            }
            None => self.failures.push(failure.clone()),
        }
    }

    /// The one with this label. Loops may differ for a moment, while another configuration reaches them.
    fn upstream(&mut self, label: &str) -> &mut Upstream {
        let known = self.upstreams.iter().position(|one| one.label == label);
        let place = known.unwrap_or_else(|| {
            self.upstreams.push(Upstream {
                label: label.to_owned(),
                is_healthy: true,
                ..Upstream::default()
            });
            self.upstreams.len() - 1
        });
        &mut self.upstreams[place]
    }
}

impl Upstream {
    fn add(&mut self, stats: &UpstreamStats, gauges: &UpstreamGauges) {
        self.stats += *stats;
        self.connecting += gauges.connecting;
        self.connected += gauges.connected;
        self.in_flight += gauges.in_flight;
        self.was_connected |= gauges.was_connected;
        self.is_healthy &= gauges.is_healthy;
        if let Some(time) = gauges.round_trip {
            let all = self.round_trip.unwrap_or_default() * self.known_round_trips + time;
            self.known_round_trips += 1;
            self.round_trip = Some(all / self.known_round_trips);
        }
        let certificates = [self.certificate_left, gauges.certificate_left];
        self.certificate_left = certificates.into_iter().flatten().min();
    }

    fn describe(&mut self, words: &UpstreamWords) {
        let known = &mut self.words;
        known.protocols.clone_from(&words.protocols);
        for (known, one) in [
            (&mut known.connection, &words.connection),
            (&mut known.trouble, &words.trouble),
        ] {
            if one.is_some() {
                known.clone_from(one);
            }
        }
    }

    /// What it is now, in a word.
    pub fn state(&self) -> &'static str {
        match self {
            Self {
                is_healthy: false, ..
            } => "unhealthy",
            Self { connected: 1.., .. } => "connected",
            Self {
                connecting: 1.., ..
            } => "connecting",
            _ => "idle",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_of_several_loops_are_one_by_their_label() {
        let gauges = |ms, days: u64, is_healthy| UpstreamGauges {
            round_trip: Some(Duration::from_millis(ms)),
            certificate_left: Some(Duration::from_secs(86_400 * days)),
            connected: 1,
            is_healthy,
            ..UpstreamGauges::default()
        };
        let stats = UpstreamStats {
            sent: 3,
            ..UpstreamStats::default()
        };
        let mut totals = Totals::default();
        for (label, gauges) in [
            ("a", gauges(10, 7, true)),
            ("b", gauges(7, 30, true)),
            ("a", gauges(20, 9, false)),
            ("a", gauges(60, 8, true)),
        ] {
            totals.upstream(label).add(&stats, &gauges);
        }
        let [a, b] = &totals.upstreams[..] else {
            panic!("{totals:?}");
        };
        assert_eq!((a.stats.sent, a.connected, b.stats.sent), (9, 3, 3));
        assert_eq!((a.is_healthy, b.is_healthy), (false, true));
        assert_eq!((a.state(), b.state()), ("unhealthy", "connected"));
        assert_eq!(a.round_trip, Some(Duration::from_millis(30)));
        assert_eq!(a.certificate_left, Some(Duration::from_secs(86_400 * 7)));
    }
}
