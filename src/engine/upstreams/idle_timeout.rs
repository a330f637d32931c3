//! How long an idle connection to an upstream is kept: learned from when the upstream closes, or told by it.
//!
//! A connection that we close before the upstream does costs nobody anything; a query that meets a closing connection costs a round
//! trip more. So the limit is careful, and it grows while nothing speaks against it.

use crate::config::Upstream;
use crate::engine::time::Time;
use std::time::Duration;

/// Common servers close at 10 s, so this is where it begins.
const START: Duration = Duration::from_millis(8_500);
/// Whoever closes earlier than this is better learned by the number of its answers; and a connection that is gone so soon is not worth its
/// handshake.
const MIN: Duration = Duration::from_secs(3);
/// Most boxes on a path keep a quiet connection for minutes; a minute saves the handshakes that are worth saving.
const MAX: Duration = Duration::from_secs(60);
/// A close after a shorter quiet is no idle limit but a restart, or a bound on queries.
const QUIET: Duration = Duration::from_secs(1);
/// How long a limit that was learned stands before more is dared.
const HOLDS: Duration = Duration::from_secs(600);

/// What is known of an upstream's patience with idle connections.
#[derive(Clone, Copy, Debug)]
pub struct IdleTimeout {
    limit: Duration,
    /// Until when the limit is not raised.
    stands_until: Time,
    /// What the upstream said itself (RFC 7828).
    said: Option<Duration>,
    /// The longest quiet after which a connection still answered.
    proven: Duration,
    /// Nothing is learned.
    fixed: bool,
}

impl IdleTimeout {
    /// Nothing known.
    pub fn new() -> Self {
        Self {
            limit: START,
            stands_until: Time::ZERO,
            said: None,
            proven: Duration::ZERO,
            fixed: false,
        }
    }

    /// Nothing known of this upstream.
    pub fn of(upstream: &Upstream) -> Self {
        if upstream.is_isolating() {
            Self::fixed()
        } else {
            Self::new()
        }
    }

    /// For connections with several behind them, which they themselves close when they are idle.
    fn fixed() -> Self {
        let (limit, fixed) = (MAX, true);
        Self {
            limit,
            fixed,
            ..Self::new()
        }
    }

    /// The same of an upstream of which nothing is known.
    pub fn unlearned(&self) -> Self {
        if self.fixed {
            Self::fixed()
        } else {
            Self::new()
        }
    }

    /// Whether its connections have several behind them.
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// An idle connection is closed by us after so long.
    pub fn limit(&self) -> Duration {
        self.said.unwrap_or(self.limit)
    }

    /// The upstream closed a connection after so long a quiet: less from now on.
    pub fn closed_after(&mut self, quiet: Duration, now: Time) {
        if quiet < QUIET || self.fixed {
            return;
        }
        self.said = None;
        self.limit = self.limit.min(careful(quiet)).max(MIN);
        self.stands_until = now + HOLDS;
        self.proven = self.proven.min(quiet);
    }

    /// A connection reached the limit and the upstream had not closed it: more next time.
    pub fn outlived(&mut self, now: Time) {
        if self.said.is_none() && now >= self.stands_until {
            self.limit = (self.limit * 5 / 4).min(MAX);
        }
    }

    /// The upstream said how long it keeps an idle connection (RFC 7828 section 3.3.2). It knows better than we do.
    pub fn said(&mut self, timeout: Duration) {
        if !self.fixed {
            self.said = Some(careful(timeout).min(MAX));
        }
    }

    /// A connection answered after so long a quiet.
    pub fn answered_after(&mut self, quiet: Duration) {
        self.proven = self.proven.max(quiet);
    }

    /// Do connections survive so long a quiet, by all that is known? An upstream's word is as good as a connection that did.
    pub fn is_proven(&self, quiet: Duration) -> bool {
        self.fixed || quiet <= self.proven.max(self.said.unwrap_or_default()) + QUIET
    }

    /// The path may have changed: what was proven on the old one says nothing.
    pub fn forget_proof(&mut self) {
        self.proven = Duration::ZERO;
    }
}

/// A sixth less: the upstream's clock began earlier than ours by the time on the way, and 10 s must give 8.5 s or so.
fn careful(span: Duration) -> Duration {
    span * 5 / 6
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Time = Time::ZERO;
    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// The limit after many connections that were left idle, with an upstream that closes after `closes`.
    fn settled(closes: Duration) -> Duration {
        let mut idle_timeout = IdleTimeout::new();
        let mut now = T0;
        for _ in 0..100 {
            now = now + s(30);
            if closes <= idle_timeout.limit() {
                idle_timeout.closed_after(closes, now);
            } else {
                idle_timeout.outlived(now);
            }
        }
        idle_timeout.limit()
    }

    #[test]
    fn of_connections_that_are_several_nothing_is_learned() {
        let mut idle_timeout = IdleTimeout::fixed();
        idle_timeout.said(s(5));
        idle_timeout.closed_after(s(5), T0);
        idle_timeout.outlived(T0);
        idle_timeout.forget_proof();
        assert_eq!(idle_timeout.limit(), MAX);
        assert!(idle_timeout.is_proven(MAX));
    }

    #[test]
    fn the_limit_settles_below_the_upstreams() {
        // req 66, 78
        assert_eq!(IdleTimeout::new().limit(), Duration::from_millis(8_500));
        for seconds in [4, 8, 10, 30, 50] {
            let (limit, closes) = (settled(s(seconds)), s(seconds));
            assert!(limit < closes, "{limit:?} for {closes:?}");
            assert!(limit * 3 / 2 > closes, "{limit:?} for {closes:?}");
        }
        assert_eq!(settled(s(2)), MIN);
        assert_eq!(settled(s(3_600)), MAX);
    }

    #[test]
    fn a_limit_that_was_learned_stands_and_is_tried_again() {
        let mut idle_timeout = IdleTimeout::new();
        idle_timeout.closed_after(s(6), T0);
        assert_eq!(idle_timeout.limit(), s(5));
        idle_timeout.outlived(T0 + s(599));
        assert_eq!(idle_timeout.limit(), s(5));
        idle_timeout.outlived(T0 + s(600));
        assert!(idle_timeout.limit() > s(5));
        idle_timeout.closed_after(Duration::from_millis(900), T0);
        assert!(idle_timeout.limit() > s(5), "a restart is no limit");
    }

    #[test]
    fn what_the_upstream_says_counts_until_it_breaks_its_word() {
        // req 71
        let mut idle_timeout = IdleTimeout::new();
        idle_timeout.said(s(12));
        assert_eq!(idle_timeout.limit(), s(10));
        idle_timeout.outlived(T0 + s(10_000));
        assert_eq!(idle_timeout.limit(), s(10));
        idle_timeout.said(Duration::from_millis(600));
        assert_eq!(
            idle_timeout.limit(),
            Duration::from_millis(500),
            "below our own bounds"
        );
        idle_timeout.said(s(6_000));
        assert_eq!(idle_timeout.limit(), MAX);
        idle_timeout.closed_after(s(6), T0);
        assert_eq!(idle_timeout.limit(), s(5));
    }

    #[test]
    fn a_quiet_is_proven_by_an_answer_after_it() {
        let mut idle_timeout = IdleTimeout::new();
        assert!(idle_timeout.is_proven(s(1)) && !idle_timeout.is_proven(s(2)));
        idle_timeout.answered_after(s(5));
        assert!(idle_timeout.is_proven(s(6)) && !idle_timeout.is_proven(s(7)));
        idle_timeout.closed_after(s(3), T0);
        assert!(!idle_timeout.is_proven(s(5)));
        idle_timeout.forget_proof();
        assert!(!idle_timeout.is_proven(s(2)));
    }
}
