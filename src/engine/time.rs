//! Time as the core knows it: two counts from an origin that the driver chose.
//!
//! `std::time::Instant` cannot be made on wasm32-unknown-unknown nor by a virtual clock, so the core has its own.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds since the driver's origin. Never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// Later than everything: the alarm of what needs none.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The origin.
    pub const ZERO: Self = Self(0);

    /// The moment `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Nanoseconds, at most what fits. [`Duration::as_nanos`] would count in twice as many bits.
#[inline]
const fn nanos(span: Duration) -> u64 {
    let whole = span.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(span.subsec_nanos() as u64)
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

/// One reading of both clocks. A driver takes one per batch of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines: stands still while the machine is suspended.
    pub mono: Time,
    /// For the age of data: goes on while the machine is suspended.
    pub boot: Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_and_never_runs_backwards() {
        let t = Time::from_nanos(5);
        assert_eq!(t + Duration::from_nanos(3), Time::from_nanos(8));
        assert_eq!(t - Duration::from_secs(1), Time::ZERO);
        assert_eq!(Time::ZERO.since(t), Duration::ZERO);
        assert_eq!(t.since(Time::ZERO), Duration::from_nanos(5));
        assert_eq!(t + Duration::MAX, Time::from_nanos(u64::MAX));
    }
}
