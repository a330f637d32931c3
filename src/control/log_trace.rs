//! The log traces queries, one line each with its name, until a time is over or somebody says so.

use super::peer::Peer;
use crate::logger;
use log::info;
use std::time::{Duration, Instant};

/// Until when it does, if it does.
#[derive(Default)]
pub struct LogTrace {
    until: Option<Instant>,
}

impl LogTrace {
    /// From now on, for so long; or no more.
    pub fn set(&mut self, time: Option<Duration>, by: Peer, now: Instant) {
        self.until = time.map(|time| now + time);
        if let Some(time) = time {
            logger::trace(true);
            info!("{by} has the log name what clients ask for, for {time:?} (trace)");
        } else {
            logger::trace(false);
            info!("{by} ends the trace: {} (trace)", what_follows());
        }
    }

    /// When it ends.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Ends it when its time is over.
    pub fn time(&mut self, now: Instant) {
        if self.until.take_if(|until| *until <= now).is_some() {
            logger::trace(false);
            info!("the time of the trace is over: {}", what_follows());
        }
    }
}

/// What the log says once queries are not traced any more.
fn what_follows() -> String {
    if logger::names_queries() {
        let level = logger::level().to_string().to_lowercase();
        format!(
            "the log still names what clients ask for, since its level is {level}; dotward log-level info ends that"
        )
    } else {
        "the log names no more what clients ask for".to_owned()
    }
}
