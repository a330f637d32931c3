//! The bounds on the time for which responses are cached.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The bounds on the time for which responses are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TtlBounds {
    /// A response with a lower TTL is cached for so long all the same, unless its TTL is 0. Default: 0 s, which changes nothing. More than
    /// some minutes breaks services that change their addresses.
    pub min: Duration,
    /// No response is cached for longer, nor sent with a higher TTL. Default: a day, as in most resolvers.
    pub max: Duration,
    /// How long an expired response is kept, to be served when upstreams give no fresh one; 0 is never. Default: a day (RFC 8767 section 5
    /// advises one to three).
    pub stale: Duration,
}

impl TtlBounds {
    /// The range of [`TtlBounds::min`]. More than an hour would replace what the owners of all zones have configured.
    pub const MINS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3_600);

    /// The range of [`TtlBounds::max`]: with less than a second nothing would be cached; RFC 8767 section 4 caps TTLs at a week.
    pub const MAXES: RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);

    /// The range of [`TtlBounds::stale`]: RFC 8767 section 5 advises three days at most; a week covers a holiday.
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
