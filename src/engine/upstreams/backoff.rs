//! When an upstream that could not be reached may be tried again, and when a slow connect is raced by another.

use crate::engine::time::Time;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::time::Duration;

/// The first wait after all addresses failed; it doubles.
const MIN: Duration = Duration::from_millis(250);
/// The longest wait: an upstream that is back is found within so long, and a connect's time, although others answer meanwhile.
const MAX: Duration = Duration::from_secs(10);
/// While no upstream is connected, each is tried so often, counted from one try to the next, as long as queries wait.
const RETRY: Duration = Duration::from_secs(1);
/// The same, where connects are not refused but meet silence: a path that works again does not tell.
const RETRY_SILENT: Duration = Duration::from_millis(500);
/// A connect is raced by another one to the same address after twice the time that it usually takes, but no sooner than this (RFC 8305
/// section 8).
const RACE_MIN: Duration = Duration::from_millis(250);
/// The same, while it is not known how long a connect takes: the system repeats a lost SYN after a second (RFC 6298).
const RACE_UNKNOWN: Duration = Duration::from_secs(1);
/// After so long without success connects are raced half as often.
const RACE_LONG: Duration = Duration::from_secs(3);
/// A connect so long after the one before begins a new series.
const SERIES_ENDS: Duration = Duration::from_secs(5);
/// What was seen so long ago says little about now.
const LATELY: Duration = Duration::from_secs(60);
/// Connections in a row that end without one response, until that counts as a failure to connect. A single one may meet a restart,
/// or a query that the upstream cannot handle.
const MAX_FRUITLESS: u32 = 2;

/// What is known of the connects to one upstream.
#[derive(Clone, Copy, Default)]
pub struct Backoff {
    /// Failures in a row.
    failures: u32,
    /// Failures so far; a connection notes how many there were when it came up.
    total: u32,
    retry_at: Time,
    last_connect: Time,
    /// The last connect that failed met silence.
    silent: bool,
    /// How long a connect takes, with its handshake; smoothed.
    connect_time: Option<Duration>,
    /// When the first of the connects began that have had no success so far.
    series_since: Time,
    /// Connections in a row that ended without a response.
    fruitless: u32,
}

impl Backoff {
    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Failures so far.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// How long a connect takes, with its handshake, if that is known.
    pub fn connect_time(&self) -> Option<Duration> {
        self.connect_time
    }

    /// A connect takes so long from now on, or it is not known how long: it is made over another network.
    pub fn expect_connect_time(&mut self, time: Option<Duration>) {
        self.connect_time = time;
    }

    /// When a connect was last begun.
    pub fn last_connect(&self) -> Time {
        self.last_connect
    }

    /// When the next connect may begin; sooner if nothing else is connected.
    pub fn connect_at(&self, nothing_up: bool) -> Time {
        if nothing_up && self.failures > 0 {
            let retry = if self.silent { RETRY_SILENT } else { RETRY };
            self.retry_at.min(self.last_connect + retry)
        } else {
            self.retry_at
        }
    }

    /// When a connect may race the one to the same address that was begun last.
    pub fn race_at(&self) -> Time {
        let usual = |time: Duration| (2 * time).max(RACE_MIN);
        let wait = self.connect_time.map_or(RACE_UNKNOWN, usual);
        let long = self.last_connect.since(self.series_since) >= RACE_LONG;
        self.last_connect + if long { 2 * wait } else { wait }
    }

    /// Whether the last connect was begun since then, and failed.
    pub fn has_failed_since(&self, then: Time) -> bool {
        self.failures > 0 && self.last_connect >= then
    }

    /// Whether the last connect failed, a short while ago.
    pub fn has_failed_lately(&self, now: Time) -> bool {
        self.failures > 0 && now.since(self.last_connect) < LATELY
    }

    /// Whether the last connect to each of so many addresses failed, a short while ago.
    pub fn has_failed_everywhere(&self, addresses: usize, now: Time) -> bool {
        self.failures as usize >= addresses && self.has_failed_lately(now)
    }

    /// When the first of the connects began that have had no success so far.
    pub fn series_since(&self) -> Time {
        self.series_since
    }

    /// For how long connects have had no success.
    pub fn tried_for(&self, now: Time) -> Duration {
        now.since(self.series_since)
    }

    /// A connect begins.
    pub fn connecting(&mut self, now: Time) {
        if now.since(self.last_connect) >= SERIES_ENDS {
            self.series_since = now;
        }
        self.last_connect = now;
    }

    /// A connect succeeded, after so long. Whether the upstream is of use shows when it answers.
    pub fn connected(&mut self, took: Duration, now: Time) {
        self.series_since = now;
        self.connect_time = Some(match self.connect_time {
            None => took,
            Some(usual) => (usual * 3 + took) / 4,
        });
    }

    /// A response came on a connection that came up after so many failures: those are forgotten. Says whether there were any.
    pub fn answered(&mut self, failures_before: u32) -> bool {
        self.fruitless = 0;
        if self.failures == 0 || failures_before < self.total {
            return false;
        }
        self.failures = 0;
        self.retry_at = Time::ZERO;
        true
    }

    /// A connect to one of so many addresses failed; `silent`: nothing came back at all. Each address gets its turn at once; after the
    /// last, the back-off begins, and each later try takes one address. Says whether it has begun.
    pub fn failed(
        &mut self,
        addresses: usize,
        silent: bool,
        now: Time,
        random: &mut ChaCha8Rng,
    ) -> bool {
        self.silent = silent;
        self.total = self.total.wrapping_add(1);
        self.failures = self.failures.saturating_add(1);
        let Some(rounds) = (self.failures as usize).checked_sub(addresses) else {
            return false;
        };
        let doubled = MIN.saturating_mul(1 << rounds.min(16));
        // Up to a quarter less, so that many forwarders do not come back at the same moment.
        let jitter = 0.75 + 0.25 * f64::from(random.next_u32()) / f64::from(u32::MAX);
        self.retry_at = now + doubled.min(MAX).mul_f64(jitter);
        true
    }

    /// A connection ended without one response. Several in a row are as bad as connects that fail, and more expensive. Says whether
    /// they are that many.
    pub fn ended_fruitless(&mut self) -> bool {
        self.fruitless = self.fruitless.saturating_add(1);
        self.fruitless > MAX_FRUITLESS
    }

    /// The machine was suspended or the process stopped: what failed before may work now.
    pub fn start_afresh(&mut self) {
        self.failures = 0;
        self.fruitless = 0;
        self.retry_at = Time::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    const NOW: Time = Time::from_nanos(100_000_000_000);

    #[test]
    fn every_address_has_its_turn_before_the_back_off() {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut backoff = Backoff::default();
        assert!(!backoff.failed(2, false, NOW, &mut random));
        assert!(backoff.connect_at(false) <= NOW);
        assert!(backoff.failed(2, false, NOW, &mut random));
        let wait = backoff.connect_at(false).since(NOW);
        assert!(wait >= MIN.mul_f64(0.75) && wait <= MIN);
    }

    #[test]
    fn it_is_bounded_jittered_and_reset_by_a_response() {
        // fault 48
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut backoff = Backoff::default();
        backoff.connecting(NOW);
        for _ in 0..100 {
            backoff.failed(2, false, NOW, &mut random);
        }
        let wait = backoff.connect_at(false).since(NOW);
        assert!(wait >= MAX.mul_f64(0.75) && wait <= MAX);
        assert!(backoff.connect_at(true).since(NOW) <= RETRY);
        backoff.connected(Duration::from_millis(20), NOW);
        assert!(
            backoff.connect_at(false) > NOW,
            "a connection that never answered is no success"
        );
        assert!(!backoff.answered(0), "on an older connection");
        assert!(backoff.answered(100));
        assert_eq!(backoff.connect_at(false), Time::ZERO);
    }

    #[test]
    fn connections_without_a_response_count_from_the_third_in_a_row_on() {
        // fault 102
        let mut backoff = Backoff::default();
        assert!(!backoff.ended_fruitless() && !backoff.ended_fruitless());
        assert!(backoff.ended_fruitless());
        backoff.answered(0);
        assert!(!backoff.ended_fruitless());
    }

    #[test]
    fn a_slow_connect_is_raced_after_twice_the_usual_time() {
        let mut backoff = Backoff::default();
        backoff.connecting(NOW);
        assert_eq!(backoff.race_at(), NOW + RACE_UNKNOWN);
        backoff.connected(Duration::from_millis(400), NOW);
        assert_eq!(backoff.race_at(), NOW + Duration::from_millis(800));
    }
}
