//! What a socket does about errors that come again and again: it is left alone for a while.

use crate::engine::Time;
use log::{debug, info, warn};
use std::fmt;
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
    /// What the socket is for: the start of a log line.
    purpose: &'static str,
    at: Option<SocketAddr>,
    /// Errors in a row that are no reason for a pause.
    tolerated: u32,
    errors: u32,
    last: Time,
    pauses: u32,
    until: Option<Time>,
    /// The log has a warning of it.
    warned: bool,
}

impl Pause {
    /// For a socket that is bound to `at`.
    pub fn new(purpose: &'static str, at: Option<SocketAddr>, tolerated: u32) -> Self {
        Self {
            purpose,
            at,
            tolerated,
            errors: 0,
            last: Time::ZERO,
            pauses: 0,
            until: None,
            warned: false,
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
            debug!("{self} failed: {error}");
            return false;
        }
        if !std::mem::replace(&mut self.warned, true) {
            warn!("{self} fails: {error}; it is tried again every {PAUSE:?}");
        }
        self.pauses += 1;
        self.until = Some(now + PAUSE);
        true
    }

    /// The socket works.
    pub fn succeeded(&mut self) {
        if self.errors > 0 {
            if self.warned {
                info!("{self} works again, after {} errors", self.errors);
            }
            *self = Self::new(self.purpose, self.at, self.tolerated);
        }
    }

    /// Forgets the pauses: another socket is bound in place of this one.
    pub fn start_over(&mut self) {
        (self.pauses, self.until) = (0, None);
    }

    /// Pauses in a row.
    pub fn count(&self) -> u32 {
        self.pauses
    }

    /// Is it left alone? A pause that is over ends.
    pub fn is_on(&mut self, now: Time) -> bool {
        self.until = self.until.filter(|until| now < *until);
        self.until.is_some()
    }

    /// When it is tried again.
    pub fn until(&self) -> Option<Time> {
        self.until
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{at}: {}", self.purpose),
            None => f.write_str(self.purpose),
        }
    }
}
