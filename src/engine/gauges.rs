//! What a forwarder holds at a moment: the gauges beside the counters.

/// What there is now. When nobody has asked for long, all of it is zero but the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gauges {
    /// Clients' queries that wait for an answer.
    pub queries: usize,
    /// Questions in flight, those that nobody waits for included.
    pub questions: usize,
    /// Questions in flight that an identical query would join.
    pub joinable: usize,
    /// Questions that wait for a connection.
    pub waiting: usize,
    /// Queues for connections.
    pub queues: usize,
    /// Places in them: those of questions that are gone are left until their turn comes.
    pub queued: usize,
    /// Questions that neither are on a connection nor wait for one. None, after any event.
    pub stranded: usize,
    /// Timers, one for each question.
    pub timers: usize,
    /// Look-ups under way.
    pub resolving: usize,
    /// Links that are being made.
    pub dialing: usize,
    /// Links that are up.
    pub up: usize,
    /// Questions in flight on the connection that has most of them.
    pub on_one_link: usize,
    /// How often the question was sent that was sent most often.
    pub sends: u8,
    /// Connects that were begun for the question that cost most of them.
    pub connects: u8,
    /// Octets of memory for the messages of questions in flight.
    pub octets: usize,
    /// Octets in the cache, which all loops share.
    pub cached: usize,
}
