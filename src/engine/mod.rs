//! The core: decides, and does nothing itself.
//!
//! No socket, no clock, no thread, no `async`, no feature flag. Whoever drives it feeds events to a [`Forwarder`] and
//! carries out the [`Action`]s that it wants; time and the seed of every random choice are arguments. So the same code runs
//! on any runtime, in WebAssembly, and in a test where a week takes a millisecond.
//!
//! - [`Forwarder`] is the heart; `asking` is the part that looks at what clients want, `placing` finds a link for a
//!   question, `dialing` makes one, `tending` looks after them, `answering` takes what comes back, which
//!   `response` judges.
//! - `failure` says what clients and the log are told of a failure, `denials` what the log is told of clients that may not ask.
//! - `local_names` are those that leave for nobody.
//! - `held` says how much there is of everything.
//! - `flight` is one question with all who wait for it; `timers` bounds it in time; `hedging` asks a second time.
//! - `links` and `pipeline` are one connection and its ids, `hashing` their tables; `waking` doubts them all after an absence.
//! - `upstreams` is what is known of the servers: `health` whether they are well, `idling` and `keepalive` how long they keep an
//!   idle link, `edns_support` whether they take EDNS; `choosing` picks one.
//! - `crowd` knows how many questions of whom are in flight; `stats` is what is counted.

mod answering;
mod asking;
mod cache;
mod choosing;
mod client;
mod crowd;
mod denials;
mod dialing;
mod edns_support;
mod ending;
mod failure;
mod flight;
mod forwarder;
mod hashing;
mod health;
mod hedging;
mod held;
mod idling;
mod incidents;
mod keepalive;
mod links;
mod local_names;
mod output;
mod pipeline;
mod placing;
mod quotas;
mod response;
mod stats;
mod tending;
mod time;
mod timers;
mod upstreams;
mod waking;

pub use cache::{Cache, Counts, Found, Key, Times};
pub use client::{Client, Via};
pub(crate) use crowd::Crowd;
pub use forwarder::Forwarder;
pub use held::Held;
pub use links::LinkKey;
pub use output::{Action, Output};
pub use stats::{Stats, UpstreamStats};
pub use time::{Now, Time};
