//! Reasons that repeat: the log tells of the first, and then how many more there were, once a minute.

use super::time::Time;
use std::time::Duration;

/// What is like the last one that was told is only counted for so long.
const SILENCE: Duration = Duration::from_secs(60);
/// Different reasons that are told within one [`SILENCE`]. More are only counted.
const MAX_REASONS: usize = 3;

/// One reason that was told.
struct Told {
    reason: Box<str>,
    silent_until: Time,
    untold: u64,
}

/// The reasons of one kind that were told.
#[derive(Default)]
pub struct Repeats(Vec<Told>);

impl Repeats {
    /// Something happened, for this reason. Returns what the log line is to end with, or `None` if there shall be no line: one with the
    /// same reason was written too short a time ago, or too many with other reasons.
    pub fn note(&mut self, reason: &str, now: Time) -> Option<String> {
        let told = &mut self.0;
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

    /// What is told is forgotten, and the next one is told at once. Returns how many were not told.
    pub fn end(&mut self) -> u64 {
        let told = std::mem::take(&mut self.0);
        told.iter().map(|one| one.untold).sum()
    }
}
