//! What one event loop has counted and holds at a moment.

use crate::config::Limits;
use crate::engine::{
    AnswerTimes, CaptiveState, Counts, Gauges, RecentFailure, Replies, Stats, UpstreamGauges,
    UpstreamStats, UpstreamWords,
};

/// A copy of a loop's counters and gauges. The loop makes it in an iteration of its own, when it is asked for
/// ([`Control::measure`](super::Control::measure)), so that counting takes no lock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Measured {
    /// The loop's number, from 1 on.
    pub worker: usize,
    /// Whether it takes queries; not when it is about to end.
    pub is_serving: bool,
    /// What happened so far, in the core and around it.
    pub stats: Stats,
    /// The replies so far.
    pub replies: Replies,
    /// How long queries have taken that were forwarded.
    pub times: AnswerTimes,
    /// What it holds. Only the cache is that of all loops.
    pub gauges: Gauges,
    /// Clients that are connected over TCP.
    pub tcp_clients: usize,
    /// Each upstream by its label, in the order of the configuration.
    pub upstreams: Vec<(String, UpstreamStats, UpstreamGauges)>,
    /// The same upstreams in words, in the same order.
    pub upstream_words: Vec<UpstreamWords>,
    /// The latest failures that clients were told of, the newest first.
    pub failures: Vec<RecentFailure>,
    /// The cache, which all loops share.
    pub cache: CacheMeasured,
    /// The bounds that hold now, for each loop.
    pub limits: Limits,
    /// The captive mode, which all loops share.
    pub captive: CaptiveState,
}

/// The cache that all loops share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheMeasured {
    /// Responses and failures in it.
    pub entries: usize,
    /// Octets of memory that they take.
    pub octets: usize,
    /// The most octets; 0 if it is off.
    pub limit: usize,
    /// What came and went.
    pub counts: Counts,
}
