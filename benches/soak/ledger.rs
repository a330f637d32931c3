//! What became of the questions: counts for each tenth of a second, by the moment when a question was asked.

use std::fmt;
use std::time::{Duration, Instant};

/// An answer that comes later counts as none. dotward gives up after 4 s.
pub const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(100);
/// Wrong answers that are shown; the rest are counted.
const SHOWN: u64 = 5;

/// How one question ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Answered with the data that belong to it, or with TC where they do not fit.
    Right,
    /// Answered with an error.
    Failed,
    /// Answered with something else.
    Wrong,
    /// Not answered in time.
    Lost,
}

#[derive(Clone, Default)]
struct Step {
    asked: u64,
    right: u64,
    failed: u64,
    wrong: u64,
    lost: u64,
    /// Not asked, because the connection had enough in flight.
    held: u64,
    /// Right answers to new names that came in this time, whenever they were asked for.
    news: u64,
    slowest: Duration,
}

/// The counts.
pub struct Ledger {
    begun: Instant,
    steps: Vec<Step>,
    waiting: usize,
    shown: u64,
}

impl Ledger {
    pub fn new(begun: Instant) -> Self {
        Self {
            begun,
            steps: Vec::new(),
            waiting: 0,
            shown: 0,
        }
    }

    fn at(&mut self, moment: Instant) -> &mut Step {
        let index = (moment - self.begun).as_millis() / STEP.as_millis();
        let index = index as usize;
        if self.steps.len() <= index {
            self.steps.resize(index + 1, Step::default());
        }
        &mut self.steps[index]
    }

    /// Questions that have no end yet.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// A question left.
    pub fn asked(&mut self, when: Instant) {
        self.waiting += 1;
        self.at(when).asked += 1;
    }

    /// A question could not leave.
    pub fn held(&mut self, when: Instant) {
        self.at(when).held += 1;
    }

    /// An answer that belongs to no question of its socket.
    pub fn stray(&mut self, message: &[u8], now: Instant) {
        self.at(now).wrong += 1;
        self.show("to no question", message);
    }

    /// A question that was asked at `when` ended.
    pub fn ended(&mut self, when: Instant, end: End, is_new: bool, now: Instant) {
        self.waiting = self.waiting.saturating_sub(1);
        let took = now - when;
        let end = if took > PATIENCE { End::Lost } else { end };
        if end == End::Right && is_new {
            self.at(now).news += 1;
        }
        let step = self.at(when);
        match end {
            End::Right => step.right += 1,
            End::Failed => step.failed += 1,
            End::Wrong => step.wrong += 1,
            End::Lost => step.lost += 1,
        }
        if end != End::Lost {
            step.slowest = step.slowest.max(took);
        }
    }

    /// Shows a wrong answer, unless enough were shown.
    pub fn show(&mut self, what: &str, message: &[u8]) {
        self.shown += 1;
        if self.shown <= SHOWN {
            eprintln!("wrong answer, {what}: {message:02x?}");
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "asked right failed wrong lost held news slowest-ms")?;
        for step in &self.steps {
            let Step {
                asked,
                right,
                failed,
                wrong,
                lost,
                held,
                news,
                slowest,
            } = step;
            let slowest = slowest.as_secs_f64() * 1000.0;
            writeln!(
                f,
                "{asked} {right} {failed} {wrong} {lost} {held} {news} {slowest:.1}"
            )?;
        }
        Ok(())
    }
}
