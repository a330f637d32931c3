//! For how long answers are remembered, within what they say themselves.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Bounds on the lifetime of remembered answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlBounds {
    /// An answer with a lower TTL, but 0, is remembered for so long all the same: 0 s, which changes nothing. More than some minutes
    /// breaks services that move.
    pub min: Duration,
    /// No answer is remembered for longer, nor leaves with a higher TTL: a day, as most resolvers have it.
    pub max: Duration,
    /// How long an answer that is out of date is kept, to be served when no fresh one is to be had: a day (RFC 8767 advises one to three).
    /// With 0 none is ever served.
    pub stale: Duration,
}

impl TtlBounds {
    /// An hour is where a minimum becomes a different configuration of everybody's zones.
    pub const MINS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3_600);

    /// Below a second nothing would be remembered; a week is the highest TTL that means something.
    pub const MAXES: RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);

    /// RFC 8767 section 5 advises three days at most; a week covers a holiday.
    pub const STALES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(7 * 86_400);
}

impl Default for TtlBounds {
    fn default() -> Self {
        Self {
            min: Duration::ZERO,
            max: Duration::from_secs(86_400),
            stale: Duration::from_secs(86_400),
        }
    }
}
