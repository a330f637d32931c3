//! Which queries were answered, and from where: for a query log. Nothing is noted unless the driver asks for it.

use super::client::Client;
use super::failure::Explanation;
use super::time::Time;
use std::ops::Range;
use std::time::Duration;

/// Where a response comes from, as those who make it know.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    Cache,
    /// Since this moment its query had waited.
    Stale(Time),
    Local,
    /// The network's own resolver, in the captive mode. Since this moment its query had waited.
    Captive(Time),
    /// It is an error at once, for this reason.
    Refused(&'static str),
    /// The upstream with this number, if that is still known.
    Upstream(Option<usize>, Time),
    /// There is none.
    Failure(&'a Explanation, Time),
}

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answered {
    /// To whom.
    pub client: Client,
    /// The response: see [`Output::message`](super::Output::message).
    pub message: Range<usize>,
    /// Where it comes from: `cache`, `stale`, `local`, `captive`, `upstream`, `failure` or `refused`.
    pub source: &'static str,
    /// The number of the upstream that gave it: see [`Forwarder::upstream`](super::Forwarder::upstream).
    pub upstream: Option<usize>,
    /// From the first client's query to this response; nothing for what is answered at once.
    pub took: Duration,
    /// Why it is an error of this program.
    pub why: Option<Why>,
}

/// The reason of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Why {
    /// In a word, as the metrics have it.
    pub reason: &'static str,
    /// The extended error (RFC 8914) with its text, although a client without EDNS is not told.
    pub ede: Option<(u16, Box<str>)>,
}

impl Answered {
    /// This client gets this message now.
    pub(super) fn new(
        client: Client,
        message: Range<usize>,
        origin: Origin<'_>,
        now: Time,
    ) -> Self {
        let (source, upstream, since, why) = match origin {
            Origin::Cache => ("cache", None, now, None),
            Origin::Stale(since) => ("stale", None, since, None),
            Origin::Local => ("local", None, now, None),
            Origin::Captive(since) => ("captive", None, since, None),
            Origin::Refused(reason) => ("refused", None, now, Some(Why { reason, ede: None })),
            Origin::Upstream(number, since) => ("upstream", number, since, None),
            Origin::Failure(why, since) => {
                let ede = why.ede();
                let reason = why.failure.reason();
                let ede = Some((ede.code, ede.text.into()));
                ("failure", None, since, Some(Why { reason, ede }))
            }
        };
        Self {
            client,
            message,
            source,
            upstream,
            took: now.since(since),
            why,
        }
    }
}
