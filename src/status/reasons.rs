//! Why queries and connects have failed, in the words that metrics and status share.

use crate::engine::{Stats, UpstreamStats};

/// A reason, and how often it was that.
pub type Counted = (&'static str, u64);

/// Queries answered with SERVFAIL for want of an answer.
pub fn failures(s: &Stats) -> [Counted; 6] {
    [
        ("not_connected", s.failed_unconnected),
        ("not_answered", s.failed_unanswered),
        ("connection_lost", s.failed_lost),
        ("malformed", s.failed_malformed),
        ("ending", s.failed_ending),
        ("truncated", s.truncated),
    ]
}

/// Queries answered with an error at once.
pub fn refusals(s: &Stats) -> [Counted; 3] {
    [
        ("denied", s.denied),
        ("malformed", s.malformed),
        ("unsupported", s.unsupported),
    ]
}

/// Connects to an upstream that failed.
pub fn connect_failures(s: &UpstreamStats) -> [Counted; 5] {
    let named =
        s.failed_resolutions + s.failed_in_time + s.failed_verifications + s.failed_handshakes;
    [
        ("name_not_found", s.failed_resolutions),
        ("unreachable", s.failed_connects.saturating_sub(named)),
        ("timed_out", s.failed_in_time),
        ("not_authenticated", s.failed_verifications),
        ("handshake", s.failed_handshakes),
    ]
}
