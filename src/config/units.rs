//! Reading lengths of time and numbers of octets, with their units.
//!
//! Errors are the reason alone; the caller adds the setting and the value.

use std::ops::RangeInclusive;
use std::time::Duration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// Behind the point. A nanosecond has nine.
const MAX_DECIMALS: usize = 9;

/// Reads a length of time: `4s`, `1.5s`, `1500ms`, or a plain number of seconds.
pub fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let units = [
        ("ms", NANOS_PER_SECOND / 1_000),
        ("s", NANOS_PER_SECOND),
        ("h", 3_600 * NANOS_PER_SECOND),
        ("d", 86_400 * NANOS_PER_SECOND),
    ];
    let with_unit = |(suffix, unit)| Some((text.strip_suffix(suffix)?, unit));
    let found = units.into_iter().find_map(with_unit);
    let (number, unit) = found.unwrap_or((text, NANOS_PER_SECOND));
    let time = nanoseconds(number, unit)
        .ok_or("is not a length of time; write it as 4s, 1.5s, 1500ms or a number of seconds")?;
    // More than there are nanoseconds in a number is more than any range has.
    let time = Duration::from_nanos(time);
    if !range.contains(&time) {
        return Err(format!(
            "is not from {:?} to {:?}",
            range.start(),
            range.end()
        ));
    }
    Ok(time)
}

/// A decimal number of units of so many nanoseconds. What is too large becomes the largest number.
fn nanoseconds(number: &str, unit: u64) -> Option<u64> {
    let (whole, decimals) = match number.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (number, None),
    };
    let whole = count(whole)?.saturating_mul(unit);
    let Some(decimals) = decimals else {
        return Some(whole);
    };
    let digits = u32::try_from(decimals.len()).ok()?;
    if decimals.len() > MAX_DECIMALS {
        return None;
    }
    // Nine digits of at most a second are below 10^18.
    let part = count(decimals)? * unit / 10_u64.pow(digits);
    Some(whole.saturating_add(part))
}

/// Reads a number of octets: `4194304`, `64k`, `4M`, `1G`, or `64KiB`, `4MiB`, `1GiB`.
pub fn octets(text: &str) -> Result<usize, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.strip_suffix(unit).unwrap_or_default();
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" => Some(0),
        "k" | "kib" => Some(10),
        "m" | "mib" => Some(20),
        "g" | "gib" => Some(30),
        _ => None,
    };
    let (Some(_), Some(shift)) = (count(digits), shift) else {
        return Err(
            "is not a number of octets; write it as 4194304, 4M or 4MiB (all the same), 64k or 1G"
                .to_owned(),
        );
    };
    let number = digits.parse::<u64>().ok();
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .and_then(|octets| usize::try_from(octets).ok())
        .ok_or_else(|| "is more than this machine can address".to_owned())
}

/// A number of digits and nothing else; the largest there is for one that is larger.
fn count(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);

    #[test]
    fn times_come_in_seconds_and_milliseconds() {
        for (text, milliseconds) in [
            ("4s", 4_000),
            ("1500ms", 1_500),
            ("1.5s", 1_500),
            ("0.25s", 250),
            ("1.5", 1_500),
            ("4", 4_000),
            ("100ms", 100),
            ("60s", 60_000),
            ("0.01h", 36_000),
            ("0.0005d", 43_200),
        ] {
            assert_eq!(
                duration(text, &RANGE),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        let exact = duration("1.000000001s", &RANGE);
        assert_eq!(exact, Ok(Duration::from_nanos(1_000_000_001)));
        assert_eq!(
            duration("100.5ms", &RANGE),
            Ok(Duration::from_micros(100_500))
        );
    }

    #[test]
    fn wrong_times_are_named() {
        // fault 86
        for text in [
            "",
            "s",
            "ms",
            "4 s",
            "-4s",
            "+4s",
            "4m",
            ".5s",
            "1.s",
            "1.5.2s",
            "1,5s",
            "4sec",
            "1e1s",
            "1.0000000001s",
            "٤s",
        ] {
            assert!(
                duration(text, &RANGE)
                    .unwrap_err()
                    .contains("is not a length of time"),
                "{text}"
            );
        }
        for text in [
            "0",
            "99ms",
            "61s",
            "60.000000001s",
            "18446744073709551615",
            "99999999999999999999s",
            "99999999999999999999.999999999s",
        ] {
            assert_eq!(
                duration(text, &RANGE),
                Err("is not from 100ms to 60s".to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn octets_come_with_and_without_unit() {
        for (text, number) in [
            ("0", 0),
            ("4194304", 4 << 20),
            ("4M", 4 << 20),
            ("4m", 4 << 20),
            ("4MiB", 4 << 20),
            ("64k", 64 << 10),
            ("64K", 64 << 10),
            ("64KiB", 64 << 10),
            ("1G", 1 << 30),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(octets(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn wrong_numbers_of_octets_are_named() {
        // fault 86. Of MB nobody knows whether 1,000,000 or 1,048,576 are meant.
        for text in [
            "", "M", "4MB", "4kB", "4 M", "-1", "+1", "1.5M", "4T", "4Mi", "0x10", "many",
        ] {
            let error = octets(text).unwrap_err();
            assert!(
                error.contains("is not a number of octets"),
                "{text}: {error}"
            );
        }
        for text in [
            "99999999999999999999",
            "17179869184G",
            "99999999999999999999k",
        ] {
            assert!(octets(text).unwrap_err().contains("can address"), "{text}");
        }
    }
}
