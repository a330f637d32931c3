//! The program, as metrics and status tell of it.

use std::time::{Instant, SystemTime};

/// What does not change while the program runs.
pub struct About {
    pub runtime: String,
    pub started: SystemTime,
    pub since: Instant,
}
