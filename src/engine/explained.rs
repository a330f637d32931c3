//! What is known about one question at a moment: its route, what is cached, what is in flight for it, and how it failed lately.

use super::cache::Remembered;
use super::failed_queries::FailedQuery;
use crate::config::Policy;
use std::net::SocketAddr;
use std::time::Duration;

/// What a core knows about a question; see [`Forwarder::explain`](super::Forwarder::explain).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explained {
    /// What becomes of a query for it.
    pub route: RouteExplained,
    /// What the cache has for it, for each combination of flags that it tells apart.
    pub cached: Vec<Remembered>,
    /// Queries for it that are not answered yet.
    pub in_flight: Vec<TransactionExplained>,
    /// Queries for its name that failed lately, whatever their type, the latest first.
    pub failures: Vec<FailedQuery>,
}

/// What becomes of a query, by the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is forwarded.
    Forward,
    /// It is answered with REFUSED.
    Refuse,
    /// It is answered with NXDOMAIN.
    NxDomain,
    /// It is answered from the configured hosts, or that there is nothing.
    Local,
}

/// The route of a question.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteExplained {
    /// What is done with its queries.
    pub way: Way,
    /// The domain by which it was found, as it stands on the wire; `None` for the default route.
    pub domain: Option<Vec<u8>>,
    /// How one of its upstreams is chosen, if it forwards.
    pub policy: Option<Policy>,
    /// Its upstreams, in the order of the configuration.
    pub upstreams: Vec<UpstreamExplained>,
}

/// An upstream of a route.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpstreamExplained {
    /// Its label.
    pub label: String,
    /// Whether it can be expected to answer.
    pub is_healthy: bool,
    /// Why it last failed; `None` once it answered since.
    pub trouble: Option<String>,
    /// What to do about that, if it is known.
    pub remedy: Option<&'static str>,
    /// The connections to it.
    pub connections: Vec<ConnectionExplained>,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is being made.
    Connecting,
    /// It takes queries.
    Up,
    /// It takes queries, and was found silent.
    Suspect,
    /// It takes no more queries.
    Closing,
}

impl ConnectionState {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Closing => "closing",
        }
    }
}

/// A connection to an upstream.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConnectionExplained {
    /// The address of the upstream.
    pub addr: SocketAddr,
    /// What it is doing.
    pub state: ConnectionState,
    /// For how long it has been made, or has been up.
    pub age: Duration,
    /// Queries that wait for their responses on it.
    pub in_flight: usize,
}

/// A query that is not answered yet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TransactionExplained {
    /// RD, AD and CD, as in the header of the query.
    pub flags: u16,
    /// Whether it was asked with DO.
    pub dnssec_ok: bool,
    /// Since it arrived.
    pub age: Duration,
    /// Until it is answered with SERVFAIL.
    pub left: Duration,
    /// Clients that wait for it.
    pub clients: usize,
    /// How often it was sent.
    pub sends: u8,
    /// Connects that were begun for it.
    pub connects: u8,
    /// Whether it waits for a connection.
    pub waits_for_connection: bool,
    /// The labels of the upstreams that it was sent to.
    pub tried: Vec<String>,
    /// Attempts that may still be answered, the oldest first.
    pub attempts: Vec<AttemptExplained>,
}

/// A query on a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptExplained {
    /// The label of the upstream.
    pub upstream: String,
    /// Its address.
    pub addr: Option<SocketAddr>,
    /// Since it was sent.
    pub age: Duration,
}
