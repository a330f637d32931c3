//! Loops that hand their sockets over do so together: nobody reads the sockets of one that has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What the loops of one program know of each other.
#[derive(Clone, Default)]
pub struct LoopsInStep(Arc<State>);

#[derive(Default)]
struct State {
    /// Loops that clients wait for, and those that do not hand over yet.
    busy: AtomicUsize,
    /// One loop has stopped reading.
    ended: AtomicBool,
}

/// One loop's part. A loop that is dropped holds up no other.
pub struct Handover {
    all: LoopsInStep,
    is_busy: bool,
}

impl LoopsInStep {
    /// A loop begins.
    pub fn join(&self) -> Handover {
        self.0.busy.fetch_add(1, Ordering::SeqCst);
        Handover {
            all: self.clone(),
            is_busy: true,
        }
    }
}

impl Handover {
    /// Does a client wait for any loop? `busy` says whether one waits for this one.
    pub fn is_any_busy(&mut self, busy: bool) -> bool {
        let count = &self.all.0.busy;
        match (std::mem::replace(&mut self.is_busy, busy), busy) {
            (false, true) => count.fetch_add(1, Ordering::SeqCst),
            (true, false) => count.fetch_sub(1, Ordering::SeqCst),
            _ => 0,
        };
        count.load(Ordering::SeqCst) > 0
    }

    /// This loop reads no more, so that no other should.
    pub fn end(&mut self) {
        self.all.0.ended.store(true, Ordering::SeqCst);
    }

    /// Does another loop read no more?
    pub fn has_ended(&self) -> bool {
        self.all.0.ended.load(Ordering::SeqCst)
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.is_any_busy(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_end_at_a_moment_at_which_all_may() {
        let all = LoopsInStep::default();
        let (mut first, mut second) = (all.join(), all.join());
        assert!(first.is_any_busy(false), "the second does not hand over");
        assert!(second.is_any_busy(true));
        assert!(first.is_any_busy(true));
        assert!(second.is_any_busy(false) && !first.is_any_busy(false));
        assert!(!second.has_ended());
        first.end();
        assert!(second.has_ended());
    }

    #[test]
    fn a_loop_that_is_gone_is_not_waited_for() {
        let all = LoopsInStep::default();
        let (mut first, second) = (all.join(), all.join());
        assert!(first.is_any_busy(false));
        drop(second);
        assert!(!first.is_any_busy(false));
    }
}
