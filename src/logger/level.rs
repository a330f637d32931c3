//! Which lines are logged: those of the level that is set, and all of them while queries are traced.

use log::LevelFilter;
use std::sync::{Mutex, PoisonError};

/// What counts while queries are traced.
const TRACING: LevelFilter = LevelFilter::Debug;

/// What was last set.
static STATE: Mutex<State> = Mutex::new(State {
    level: LevelFilter::Info,
    traces: false,
});

#[derive(Clone, Copy)]
struct State {
    level: LevelFilter,
    traces: bool,
}

impl State {
    fn in_force(self) -> LevelFilter {
        if self.traces {
            self.level.max(TRACING)
        } else {
            self.level
        }
    }
}

fn change(change: impl FnOnce(&mut State)) {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut state);
    log::set_max_level(state.in_force());
}

/// Lines of this level and the more severe ones are logged from now on.
pub fn set_level(level: LevelFilter) {
    change(|state| state.level = level);
}

/// The level that was set.
pub fn level() -> LevelFilter {
    STATE.lock().unwrap_or_else(PoisonError::into_inner).level
}

/// Whether lines are logged that name what clients ask for: while queries are traced, or by the level.
pub fn names_queries() -> bool {
    let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    state.in_force() >= TRACING
}

/// Whether queries are traced from now on, whatever the level is: with the names that clients ask for.
pub fn trace(on: bool) {
    change(|state| state.traces = on);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_shows_more_and_never_less() {
        let in_force = |level, traces| State { level, traces }.in_force();
        assert_eq!(in_force(LevelFilter::Warn, false), LevelFilter::Warn);
        assert_eq!(in_force(LevelFilter::Warn, true), LevelFilter::Debug);
        assert_eq!(in_force(LevelFilter::Off, true), LevelFilter::Debug);
        assert_eq!(in_force(LevelFilter::Trace, true), LevelFilter::Trace);
    }
}
