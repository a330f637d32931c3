//! Which incidents of an upstream the log tells of: the first of a kind, and then how many more there were, once a minute.

use crate::engine::time::Time;
use std::time::Duration;

/// Incidents like the last one that was told are only counted for so long.
const SILENCE: Duration = Duration::from_secs(60);

/// A kind of incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incident {
    /// A connect failed.
    Connect,
    /// A connection ended with queries in flight.
    Lost,
    /// It is passed over from now on.
    Suspect,
    /// It is used as before again.
    Healthy,
    /// It is reached over another network, or over none.
    Moved,
}

const KINDS: usize = 5;
/// Different reasons for one kind of incident that are told within one [`SILENCE`]. More are only counted.
const MAX_REASONS: usize = 3;

/// One reason that was told.
struct Told {
    reason: Box<str>,
    silent_until: Time,
    untold: u64,
}

/// The incidents of one upstream, by kind.
#[derive(Default)]
pub struct Incidents([Vec<Told>; KINDS]);

impl Incidents {
    /// Something happened. Returns what the log line is to end with, or `None` if there shall be no line: one of the kind and with the
    /// same reason was written too short a time ago, or too many with other reasons.
    pub fn note(&mut self, kind: Incident, reason: &str, now: Time) -> Option<String> {
        let told = &mut self.0[kind as usize];
        let of_reason = told.iter().position(|one| *one.reason == *reason);
        let at = of_reason.or_else(|| {
            if told.len() < MAX_REASONS {
                told.push(Told {
                    reason: reason.into(),
                    silent_until: now,
                    untold: 0,
                });
                return Some(told.len() - 1);
            }
            told.iter().position(|one| now >= one.silent_until)
        });
        let Some(one) = at.and_then(|at| told.get_mut(at)) else {
            if let Some(first) = told.first_mut() {
                first.untold += 1;
            }
            return None;
        };
        if now < one.silent_until {
            one.untold += 1;
            return None;
        }
        one.reason = reason.into();
        one.silent_until = now + SILENCE;
        Some(match std::mem::take(&mut one.untold) {
            0 => String::new(),
            1 => " (once more since the last such line)".into(),
            more => format!(" ({more} more times since the last such line)"),
        })
    }

    /// Connects succeed again, and the next one that fails is told at once. Returns what the log line is to end with: how many that failed
    /// were not told.
    pub fn connected(&mut self) -> String {
        let told = std::mem::take(&mut self.0[Incident::Connect as usize]);
        match told.iter().map(|one| one.untold).sum::<u64>() {
            0 => String::new(),
            1 => ", after one more connect had failed".into(),
            more => format!(", after {more} more connects had failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_itself_is_told_once_and_counted() {
        // fault 102
        let mut incidents = Incidents::default();
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let mut lost = |seconds| incidents.note(Incident::Lost, "reset", at(seconds));
        assert_eq!(lost(1).as_deref(), Some(""));
        for _ in 0..300 {
            assert_eq!(lost(2), None);
        }
        let later = lost(61);
        assert_eq!(
            later.as_deref(),
            Some(" (300 more times since the last such line)")
        );
        assert_eq!(lost(62), None);
        let other = incidents.note(Incident::Lost, "silent", at(62));
        assert_eq!(other.as_deref(), Some(""), "another reason is told at once");
        let another_kind = incidents.note(Incident::Connect, "silent", at(62));
        assert_eq!(another_kind.as_deref(), Some(""));
    }

    #[test]
    fn reasons_that_take_turns_are_told_as_seldom() {
        // fault 102
        let mut incidents = Incidents::default();
        let mut lines = 0;
        for second in 0..600 {
            for reason in ["reset", "closed", "truncated", "silent", "refused"] {
                let at = Time::ZERO + Duration::from_secs(second);
                lines += u32::from(incidents.note(Incident::Lost, reason, at).is_some());
            }
        }
        assert!((10..=30).contains(&lines), "{lines} lines in ten minutes");
    }

    #[test]
    fn the_line_that_ends_failed_connects_says_what_it_counts() {
        // fault 102
        let mut incidents = Incidents::default();
        let mut failed = |seconds| {
            let at = Time::ZERO + Duration::from_secs(seconds);
            incidents.note(Incident::Connect, "refused", at)
        };
        assert_eq!(failed(1).as_deref(), Some(""));
        assert_eq!((failed(2), failed(3)), (None, None));
        assert_eq!(incidents.connected(), ", after 2 more connects had failed");
        assert_eq!(incidents.connected(), "");
        let next = incidents.note(Incident::Connect, "refused", Time::ZERO);
        assert_eq!(next.as_deref(), Some(""), "the next one is told at once");
    }
}
