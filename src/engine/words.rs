//! Numbers and times as people say them, for the log.

use std::fmt;
use std::time::Duration;

/// `1 query`, `2 queries`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A length of time: `0ms`, `21.3ms`, `4.5s`, `3m 20s`, `2h 5m`, `3d 4h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lasting(pub Duration);

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(time) = self;
        let (micros, seconds) = (time.as_micros(), time.as_secs());
        // Without floating point, whose formatting is large.
        let tenths = |f: &mut fmt::Formatter<'_>, count: u128, unit| {
            write!(f, "{}.{}{unit}", count / 10, count % 10)
        };
        let parts = |f: &mut fmt::Formatter<'_>, large, small, units: [&str; 2]| match small {
            0 => write!(f, "{large}{}", units[0]),
            small => write!(f, "{large}{} {small}{}", units[0], units[1]),
        };
        match seconds {
            // Less than is told.
            0 if micros < 50 => f.write_str("0ms"),
            0 if micros < 999_950 => tenths(f, (micros + 50) / 100, "ms"),
            0..60 if micros < 59_950_000 => tenths(f, (micros + 50_000) / 100_000, "s"),
            0..3_600 => {
                let rounded = seconds.max(60);
                parts(f, rounded / 60, rounded % 60, ["m", "s"])
            }
            3_600..86_400 => parts(f, seconds / 3_600, seconds % 3_600 / 60, ["h", "m"]),
            _ => parts(f, seconds / 86_400, seconds % 86_400 / 3_600, ["d", "h"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // fault 129
    #[test]
    fn times_are_told_as_people_say_them() {
        for (micros, told) in [
            (0, "0ms"),
            (49, "0ms"),
            (50, "0.1ms"),
            (21_340, "21.3ms"),
            (999_949, "999.9ms"),
            (999_950, "1.0s"),
            (4_500_000, "4.5s"),
            (59_949_000, "59.9s"),
            (59_950_000, "1m"),
            (60_000_000, "1m"),
            (200_000_000, "3m 20s"),
            (3_600_000_000, "1h"),
            (7_500_000_000, "2h 5m"),
            (90_000_000_000, "1d 1h"),
        ] {
            let time = Duration::from_micros(micros);
            assert_eq!(Lasting(time).to_string(), told, "{micros}");
        }
        assert_eq!(Lasting(Duration::MAX).to_string(), "213503982334601d 7h");
        assert_eq!(Lasting(Duration::from_nanos(1)).to_string(), "0ms");
    }

    // fault 129
    #[test]
    fn one_is_no_plural() {
        let told = [0, 1, 2].map(|count| counted(count, "query", "queries"));
        assert_eq!(told, ["0 queries", "1 query", "2 queries"]);
    }
}
