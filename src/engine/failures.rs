//! What is kept of failures: the latest that clients were told of, and the records of how they came about, where those are on.

use super::failure::Explanation;
use super::recent_failures::RecentFailures;
use super::recorder::{FailureId, Recorder, What};
use super::time::Time;

/// All of it.
#[derive(Default)]
pub struct Failures {
    pub recent: RecentFailures,
    /// `None` while nothing is recorded.
    pub recorder: Option<Box<Recorder>>,
    /// The failure that a response tells of which is about to be relayed.
    relayed: Option<FailureId>,
}

impl Failures {
    /// A client was told this.
    pub fn note(&mut self, why: &Explanation, now: Time) {
        self.recent.note(why, now);
    }

    /// Something happened to an upstream or a connection.
    pub fn event(&mut self, now: Time, what: impl FnOnce() -> What) {
        if let Some(recorder) = &mut self.recorder {
            recorder.event(now, what());
        }
    }

    /// The error of an upstream that is about to be relayed has this name.
    pub fn relays(&mut self, id: FailureId) {
        self.relayed = Some(id);
    }

    /// The name of the error that is relayed, if it has one.
    pub fn take_relayed(&mut self) -> Option<FailureId> {
        self.relayed.take()
    }
}
