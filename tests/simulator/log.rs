//! What happened, line by line, and what should not have happened.

use dotward::engine::Time;
use std::cell::RefCell;

/// The record of a run.
pub struct Log {
    clock: Box<dyn Fn() -> Time>,
    lines: RefCell<Option<Vec<String>>>,
    faults: RefCell<Vec<String>>,
}

impl Log {
    /// With a trace or without: one costs time, and most runs are good.
    pub fn new(clock: impl Fn() -> Time + 'static, traced: bool) -> Self {
        Self {
            clock: Box::new(clock),
            lines: RefCell::new(traced.then(Vec::new)),
            faults: RefCell::default(),
        }
    }

    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut *self.lines.borrow_mut() {
            let at = (self.clock)().as_nanos() / 1_000;
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

    /// What was found wrong, if it was.
    pub fn check(&self, found: Result<(), String>) {
        if let Err(what) = found {
            self.wrong(what);
        }
    }

    /// Was nothing wrong so far?
    pub fn is_clean(&self) -> bool {
        self.faults.borrow().is_empty()
    }

    /// The faults, and the trace.
    pub fn take(&self) -> (Vec<String>, Vec<String>) {
        let lines = self.lines.take().unwrap_or_default();
        (self.faults.take(), lines)
    }
}
