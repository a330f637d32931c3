//! What a forwarder holds at a moment: the gauges beside the counters.

use std::fmt;
use std::time::Duration;

/// What there is now. After a while without queries, all of it is zero but the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gauges {
    /// Clients' queries that wait for a response.
    pub queries: usize,
    /// Transactions: queries in flight, those that no client waits for included.
    pub transactions: usize,
    /// Transactions that an identical query would join.
    pub joinable: usize,
    /// Transactions that wait for a connection.
    pub waiting: usize,
    /// Queues for connections.
    pub queues: usize,
    /// Places in them: those of transactions that are over are left until their turn comes.
    pub queued: usize,
    /// Transactions that neither are on a connection nor wait for one. None, after any event.
    pub stranded: usize,
    /// Timers, one for each transaction.
    pub timers: usize,
    /// Look-ups under way.
    pub resolving: usize,
    /// Connections that are being made.
    pub connecting: usize,
    /// Connections that are up.
    pub connected: usize,
    /// Queries in flight on the connection that has most of them.
    pub on_one_connection: usize,
    /// How often the query was sent that was sent most often.
    pub sends: u8,
    /// Connects that were begun for the transaction that cost most of them.
    pub connects: u8,
    /// Octets of memory for the messages of transactions.
    pub octets: usize,
    /// Octets in the cache, which all workers share.
    pub cached: usize,
}

/// What is known of one upstream at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamGauges {
    /// For how long the certificate is still valid that it showed last; zero after its end. `None` until it shows one, which it does not do
    /// when a session is resumed.
    pub certificate_left: Option<Duration>,
    /// Connections that are being made.
    pub connecting: usize,
    /// Connections that are up.
    pub connected: usize,
    /// Queries in flight on them.
    pub in_flight: usize,
    /// Whether it was ever connected to, in the way that its configuration demands.
    pub was_connected: bool,
    /// Whether it can be expected to answer: it is not passed over, and connects to it do not fail.
    pub is_healthy: bool,
    /// The time from a query to its response, smoothed as RFC 6298 has it; `None` before the first.
    pub round_trip: Option<Duration>,
}

/// The captive mode at a moment: see [`Config::captive`](crate::Config::captive).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptiveState {
    /// How far it is.
    pub phase: CaptivePhase,
    /// How much longer questions may be asked in the clear on this network.
    pub left: Duration,
}

/// How far the captive mode is on the network in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CaptivePhase {
    /// It is not allowed.
    #[default]
    Off,
    /// It is allowed, and was not needed.
    Armed,
    /// It has ended: an upstream was reached, or its time is over.
    Over,
    /// The network's own resolver was asked, and has not answered yet.
    Asking,
    /// The network's own resolver answers.
    On,
}

impl CaptivePhase {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Armed => "armed",
            Self::Over => "over",
            Self::Asking => "asking",
            Self::On => "on",
        }
    }

    /// Whether something may be asked in the clear now.
    pub fn is_on(self) -> bool {
        matches!(self, Self::Asking | Self::On)
    }
}

/// What is known of one upstream in words, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamWords {
    /// The protocols by which it may be reached, in the order of trying, such as `quic+tls`.
    pub protocols: String,
    /// How the last connection that came up was authenticated and encrypted.
    pub connection: Option<String>,
    /// Why it last failed; nothing once it has answered since.
    pub trouble: Option<String>,
}

impl fmt::Display for UpstreamGauges {
    /// What is known, as behind the counters of an upstream.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.certificate_left {
            Some(left) => write!(f, ", certificate_seconds {}", left.as_secs()),
            None => Ok(()),
        }
    }
}
