//! Moments as people write them.

use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

/// A time as RFC 3339 writes it, to the second. A clock before 1970 has not been set; 1970 says so just as well.
pub fn utc(time: SystemTime) -> impl Display {
    humantime::format_rfc3339_seconds(time.max(UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_gregorian() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(
                utc(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(),
                date
            );
        }
        assert_eq!(
            utc(UNIX_EPOCH - Duration::from_secs(1)).to_string(),
            "1970-01-01T00:00:00Z"
        );
    }
}
