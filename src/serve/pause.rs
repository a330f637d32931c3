//! What a socket does about errors that come again and again: it is left alone for a while.

use crate::engine::Time;
use log::{debug, info, warn};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a socket is left alone. When the system is out of descriptors or memory, they come back when connections end, not by
/// trying.
const PAUSE: Duration = Duration::from_millis(100);
/// Errors so far apart are not in a row.
const APART: Duration = Duration::from_secs(1);

/// The errors of one socket in a row, and the pause after them.
pub struct Pause {
    /// The address of the socket and what it is for: the start of a log line.
    subject: String,
    /// Errors in a row that are no reason for a pause.
    tolerated: u32,
    errors: u32,
    last: Time,
    /// Pauses in a row.
    pub pauses: u32,
    until: Option<Time>,
    /// The error that was logged last.
    warned: Option<io::ErrorKind>,
}

impl Pause {
    /// For a socket that is bound to `at`, and for what it does there.
    pub fn new(at: Option<SocketAddr>, what: &str, tolerated: u32) -> Self {
        Self {
            subject: at.map_or(what.into(), |at| format!("{at}: {what}")),
            tolerated,
            errors: 0,
            last: Time::ZERO,
            pauses: 0,
            until: None,
            warned: None,
        }
    }

    /// The socket failed. True if it has to pause.
    pub fn failed(&mut self, error: &io::Error, now: Time) -> bool {
        if now.since(self.last) > APART {
            (self.errors, self.pauses) = (0, 0);
        }
        self.last = now;
        self.errors = self.errors.saturating_add(1);
        if self.errors <= self.tolerated {
            debug!("{} failed: {error}", self.subject);
            return false;
        }
        if self.warned.replace(error.kind()) != Some(error.kind()) {
            let subject = &self.subject;
            warn!("{subject} fails: {error}; it is tried again every {PAUSE:?}");
        }
        self.pauses += 1;
        self.until = Some(now + PAUSE);
        true
    }

    /// The socket works.
    pub fn succeeded(&mut self) {
        if self.warned.take().is_some() {
            info!("{} works again, after {} errors", self.subject, self.errors);
        }
        (self.errors, self.pauses, self.until) = (0, 0, None);
    }

    /// Is it left alone?
    pub fn is_on(&self, now: Time) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// When it has to end.
    pub fn until(&self) -> Option<Time> {
        self.until
    }

    /// Ends it, if it has to.
    pub fn ends(&mut self, now: Time) -> bool {
        self.until.take_if(|until| *until <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn errors_in_a_row_lead_to_a_pause_and_others_do_not() {
        let error = io::Error::other("no descriptor");
        let mut pause = Pause::new(None, "a test", 2);
        // When an error comes, in milliseconds, and whether a pause follows.
        for (millis, pauses) in [
            (0, false),
            (1, false),
            (2, true),
            (103, true),
            (1_104, false),
        ] {
            assert_eq!(pause.failed(&error, at(millis)), pauses, "at {millis} ms");
            assert_eq!(pause.is_on(at(millis)), pauses, "at {millis} ms");
        }
        assert_eq!(pause.until(), Some(at(203)));
        assert!(!pause.ends(at(202)));
        assert!(pause.ends(at(203)) && !pause.ends(at(203)));
        // After a success everything begins anew.
        pause.failed(&error, at(1_105));
        pause.succeeded();
        assert!(!pause.failed(&error, at(1_106)));
    }
}
