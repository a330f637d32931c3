//! Which incidents of an upstream the log tells of: the first of a kind, and then how many more there were, once a minute.

use super::time::Time;
use std::fmt;
use std::time::Duration;

/// Incidents like the last one that was told are only counted for so long.
const SILENCE: Duration = Duration::from_secs(60);

/// A kind of incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incident {
    /// A connect failed.
    Connect,
    /// A connection ended with questions in flight.
    Lost,
    /// It is passed over from now on.
    Suspect,
    /// It is used as before again.
    Healthy,
}

const KINDS: usize = 4;

#[derive(Default)]
struct Told {
    /// What was told last.
    about: Box<str>,
    silent_until: Time,
    untold: u64,
}

/// The incidents of one upstream.
#[derive(Default)]
pub struct Incidents([Told; KINDS]);

impl Incidents {
    /// Something happened. Returns what the log line is to end with, or `None` if there shall be no line: one of the kind and about
    /// the same was written too short a time ago.
    pub fn note(&mut self, kind: Incident, about: &str, now: Time) -> Option<Untold> {
        let told = &mut self.0[kind as usize];
        if now < told.silent_until && *told.about == *about {
            told.untold += 1;
            return None;
        }
        told.about = about.into();
        told.silent_until = now + SILENCE;
        Some(Untold(std::mem::take(&mut told.untold)))
    }

    /// Connects succeed again: how many that failed were not told, and the next one is told at once.
    pub fn connected(&mut self) -> FailedConnects {
        FailedConnects(std::mem::take(&mut self.0[Incident::Connect as usize]).untold)
    }
}

/// How many incidents of a kind the log did not tell of.
#[derive(Debug, PartialEq, Eq)]
pub struct Untold(u64);

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(" (once more since the last such line)"),
            more => write!(f, " ({more} more times since the last such line)"),
        }
    }
}

/// How many connects failed that the log did not tell of, on the line that says that they succeed again.
#[derive(Debug, PartialEq, Eq)]
pub struct FailedConnects(u64);

impl fmt::Display for FailedConnects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(", after one more connect had failed"),
            more => write!(f, ", after {more} more connects had failed"),
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
        let line = |told: Option<Untold>| told.map(|untold| untold.to_string());
        let mut lost = |seconds| line(incidents.note(Incident::Lost, "reset", at(seconds)));
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
        assert_eq!(
            line(other).as_deref(),
            Some(" (once more since the last such line)"),
            "another reason is told at once"
        );
        let another_kind = incidents.note(Incident::Connect, "silent", at(62));
        assert_eq!(line(another_kind).as_deref(), Some(""));
    }

    #[test]
    fn the_line_that_ends_failed_connects_says_what_it_counts() {
        // fault 102
        let mut incidents = Incidents::default();
        let mut failed = |seconds| {
            let at = Time::ZERO + Duration::from_secs(seconds);
            incidents.note(Incident::Connect, "refused", at)
        };
        assert_eq!(failed(1), Some(Untold(0)));
        assert_eq!((failed(2), failed(3)), (None, None));
        assert_eq!(
            incidents.connected().to_string(),
            ", after 2 more connects had failed"
        );
        assert_eq!(incidents.connected().to_string(), "");
        let next = incidents.note(Incident::Connect, "refused", Time::ZERO);
        assert_eq!(next, Some(Untold(0)), "the next one is told at once");
    }
}
