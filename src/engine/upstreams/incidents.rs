//! Which incidents of an upstream the log tells of: the first of a kind, and then how many more there were, once a minute.

use crate::engine::repeats::Repeats;
use crate::engine::time::Time;

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

/// The incidents of one upstream, by kind.
#[derive(Default)]
pub struct Incidents([Repeats; KINDS]);

impl Incidents {
    /// Something happened. Returns what the log line is to end with, or `None` if there shall be no line: see [`Repeats::note`].
    pub fn note(&mut self, kind: Incident, reason: &str, now: Time) -> Option<String> {
        self.0[kind as usize].note(reason, now)
    }

    /// Connects succeed again, and the next one that fails is told at once. Returns what the log line is to end with: how many that failed
    /// were not told.
    pub fn connected(&mut self) -> String {
        match self.0[Incident::Connect as usize].end() {
            0 => String::new(),
            1 => ", after one more connect had failed".into(),
            more => format!(", after {more} more connects had failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
