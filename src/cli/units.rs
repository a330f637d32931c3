//! Durations and numbers of octets with their units, numbers of things, and switches.
//!
//! An error is the reason alone; the caller adds the setting and the value.

use std::time::Duration;

/// Reads a duration: `4s`, `1.5s`, `1500ms`, `1h 30m`, a plain number of seconds, or `off` for none.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = match text {
        "off" | "no" | "false" => "0s".to_owned(),
        _ if text.ends_with(|last: char| last.is_ascii_digit()) => format!("{text}s"),
        _ => text.to_owned(),
    };
    humantime::parse_duration(&seconds).map_err(|_| {
        "is not a duration; write it as 4s, 1.5s, 1500ms or a number of seconds".to_owned()
    })
}

/// Reads a number of octets: `4194304`, `64k`, `4M`, `1G`, or `64KiB`, `4MiB`, `1GiB`. `MB` is an error, because it may mean 1,000,000 or
/// 1,048,576.
pub(super) fn octets(text: &str) -> Result<usize, String> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let shift = match unit.to_ascii_lowercase().as_str() {
        _ if digits.is_empty() => None,
        "" => Some(0),
        "k" | "kib" => Some(10),
        "m" | "mib" => Some(20),
        "g" | "gib" => Some(30),
        _ => None,
    };
    let shift = shift.ok_or(
        "is not a number of octets; write it as 4194304, 4M or 4MiB (all the same), 64k or 1G",
    )?;
    let number = digits.parse::<usize>().ok();
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "is more than this machine can address".to_owned())
}

/// Reads whether a switch is set.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

/// Writes a number of things: `1 worker`, `2 workers`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_every_usual_unit() {
        for (text, milliseconds) in [
            ("4s", 4_000),
            ("1500ms", 1_500),
            ("1.5s", 1_500),
            ("0.25s", 250),
            ("1.5", 1_500),
            ("4", 4_000),
            ("0", 0),
            ("off", 0),
            ("60s", 60_000),
            ("0.01h", 36_000),
            ("0.5d", 43_200_000),
            ("1h 30m", 5_400_000),
        ] {
            let time = Duration::from_millis(milliseconds);
            assert_eq!(duration(text), Ok(time), "{text}");
        }
        let exact = duration("1.000000001s");
        assert_eq!(exact, Ok(Duration::from_nanos(1_000_000_001)));
        let exact = duration("100.5ms");
        assert_eq!(exact, Ok(Duration::from_micros(100_500)));
    }

    #[test]
    fn wrong_times_are_named() {
        // fault 86
        for text in [
            "",
            "s",
            "ms",
            "-4s",
            "+4s",
            ".5s",
            "1.s",
            "1.5.2s",
            "1,5s",
            "1e1s",
            "1.0000000001s",
            "٤s",
            "soon",
            "99999999999999999999s",
        ] {
            let error = duration(text).expect_err(text);
            assert!(error.contains("is not a duration"), "{text}");
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
        // fault 86
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
