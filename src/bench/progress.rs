//! How far the measurement is, on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

/// What takes no longer is not worth a bar.
const SHORT: Duration = Duration::from_secs(2);
/// How often the bar shows that time passes.
const TICK: Duration = Duration::from_millis(200);
const TEMPLATE: &str = "{elapsed:>4} [{bar:40}] {pos} of {len} {msg}";

/// A bar on standard error, or nothing.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar for work of this length, if standard error is a terminal and the work is long.
    pub fn new(time: Duration) -> Self {
        if time <= SHORT || !stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let bar = match ProgressStyle::with_template(TEMPLATE) {
            Ok(style) => bar.with_style(style.progress_chars("=> ")),
            Err(_) => bar,
        };
        Self(bar.with_message("queries"))
    }

    /// So many steps more are to be done. The first call shows the bar.
    pub fn expect(&self, steps: usize) {
        self.0.inc_length(steps as u64);
        if !self.0.is_hidden() {
            self.0.enable_steady_tick(TICK);
        }
    }

    /// So many steps are done, or will not be.
    pub fn pass(&self, steps: usize) {
        self.0.inc(steps as u64);
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
