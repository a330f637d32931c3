//! The core: decides, and does nothing itself.
//!
//! No socket, no clock, no thread, no `async`; no feature flag but that of the captive mode, which changes nothing else. Whoever drives it feeds events to a [`Forwarder`] and
//! carries out the [`Action`]s that it wants; time and the seed of every random choice are arguments. So the same code runs
//! on any runtime, in WebAssembly, and in a test where a week takes a millisecond.
//!
//! State has three owners. The first two never call each other; the first one asks and fills the third:
//!
//! - `transactions`: every query that was accepted and is not answered yet, with the clients that wait.
//! - `upstreams`: every configured upstream, and every connection to one.
//! - `cache`: answers by question.
//!
//! The `forwarder` coordinates them: one method for each event, which lets the owners do their part and then carries out the list of
//! tasks (`effects`) that they left. A query passes `admission` first, and `routes` says to which upstreams it may go (by the domains in
//! `suffixes`); `response` and `failure` are pure functions that say what a
//! response means, and what a failure means for clients and the log; `failed_queries` are those that failed lately, and `explained` is what is known
//! about one question. `captive` is for networks where one has to log in first. `recorder` keeps what led to failures. `history` is what was tried for a transaction: by it the upstreams
//! choose a connection.

mod admission;
mod answer_times;
mod answered;
mod cache;
// Whoever has no use for it, in WebAssembly above all, does not pay for it.
mod captive;
mod client;
mod denials;
#[cfg(test)]
#[path = "../../tests/support/diagrams.rs"]
mod diagrams;
mod effects;
mod explained;
mod failed_queries;
mod failure;
mod failures;
mod forwarder;
mod gauges;
mod hashing;
mod history;
mod keys;
pub(crate) mod local_names;
mod network;
mod numbers;
mod output;
mod per_client;
mod recent_failures;
mod recorder;
pub(crate) mod remedies;
mod repeats;
mod replies;
mod response;
mod routes;
mod stats;
mod suffixes;
mod time;
mod transactions;
mod upstream_set;
mod upstreams;
pub(crate) mod words;

pub use answer_times::AnswerTimes;
pub use answered::{Answered, Why};
pub use cache::{Cache, Counts, Flush, Found, Holds, ImportError, Key, Remembered, Times};
pub use captive::{CaptiveMode, Check, CheckAnswer};
pub use client::{Client, Via};
pub use explained::{
    AttemptExplained, ConnectionExplained, ConnectionState, Explained, RouteExplained,
    TransactionExplained, UpstreamExplained, Way,
};
pub use failed_queries::FailedQuery;
pub use forwarder::{Forwarder, Source, Trace};
pub use gauges::{CaptivePhase, CaptiveState, Gauges, UpstreamGauges, UpstreamWords};
pub use keys::ConnectionKey;
pub use network::{Moved, Network, NetworkChange};
pub use output::{Action, Output};
pub(crate) use per_client::PerClient;
pub use recent_failures::RecentFailure;
pub use recorder::{FailureId, Record};
pub use replies::Replies;
pub use stats::{Stats, UpstreamStats};
pub use time::{Now, Time};
