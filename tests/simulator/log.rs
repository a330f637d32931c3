//! What happened, line by line, and what should not have happened.

use dotward::runtime::Runtime;
use dotward::transports::memory::Memory;
use std::cell::RefCell;

/// The record of a run.
pub struct Log {
    world: Memory,
    lines: RefCell<Option<Vec<String>>>,
    faults: RefCell<Vec<String>>,
}

impl Log {
    /// With a trace or without: one costs time, and most runs are good.
    pub fn new(world: Memory, traced: bool) -> Self {
        Self {
            world,
            lines: RefCell::new(traced.then(Vec::new)),
            faults: RefCell::default(),
        }
    }

    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut *self.lines.borrow_mut() {
            let at = self.world.now().mono.as_nanos() / 1_000;
            lines.push(format!(
                "{:>4}.{:06} {}",
                at / 1_000_000,
                at % 1_000_000,
                line()
            ));
        }
    }

    /// Something is wrong with the forwarder. What stays wrong is said once.
    pub fn wrong(&self, what: String) {
        let mut faults = self.faults.borrow_mut();
        if faults.last() != Some(&what) {
            self.note(|| format!("WRONG: {what}"));
            faults.push(what);
        }
    }

    /// The faults, and the trace.
    pub fn take(&self) -> (Vec<String>, Vec<String>) {
        let lines = self.lines.take().unwrap_or_default();
        (self.faults.take(), lines)
    }
}
