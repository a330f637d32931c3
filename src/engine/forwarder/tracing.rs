//! Queries of the driver itself ([`Via::Inside`](crate::engine::Via::Inside)), whose way is noted: who answered them, and when.

use super::Forwarder;
use crate::engine::client::Client;
use crate::engine::history::Attempt;
use crate::engine::keys::{ConnectionKey, TransactionKey};
use crate::engine::output::{Action, Output};
use crate::engine::time::Now;
use std::time::Duration;

/// The most queries whose way is noted at once; that of others is not.
const MOST: usize = 16;

/// Where the answer to a query comes from, as far as is known when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The cache, where it is fresh.
    Cache,
    /// The cache, where it has expired.
    Stale,
    /// It is answered here: a host, a special-use name, or a route that does not forward.
    Local,
    /// It was refused at once: it cannot be read, or there is no room for it.
    Refused,
    /// It is forwarded. Whoever had sent the same query before waits for the same response.
    Upstream {
        /// Whether somebody had.
        joined: bool,
    },
}

/// The way of a query that was forwarded, once it is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// The upstream that answered, and its address; `None` if none did.
    pub answered_by: Option<String>,
    /// From the arrival of the query to the sending that was answered.
    pub sent_after: Option<Duration>,
    /// From there to the response.
    pub round_trip: Option<Duration>,
    /// How often it was sent.
    pub sends: u8,
    /// Connects that were begun for it.
    pub connects: u8,
}

/// A query whose way is noted.
pub(super) struct Traced {
    client: Client,
    key: TransactionKey,
    trace: Option<Trace>,
}

impl Forwarder {
    /// A query of the driver itself, from a client that asks nothing else: see [`Forwarder::query`].
    pub fn ask(&mut self, query: &[u8], client: Client, now: Now, out: &mut Output) -> Source {
        let (before, replied) = (self.ledger.stats, out.actions().len());
        self.query(query, client, now, out);
        let after = &self.ledger.stats;
        let is_reply =
            |action: &Action| matches!(action, Action::Reply { client: to, .. } if *to == client);
        let news = out.actions().get(replied..).unwrap_or_default();
        if news.iter().any(is_reply) {
            return match () {
                () if after.hits > before.hits => Source::Cache,
                () if after.local > before.local => Source::Local,
                () if after.stale > before.stale => Source::Stale,
                // Without an upstream to connect to it may fail at once, and is none that was refused.
                () if after.failed > before.failed => Source::Upstream { joined: false },
                () => Source::Refused,
            };
        }
        let joined = after.joined > before.joined;
        if let Some(key) = self.transactions.awaited_by(client)
            && self.traces.len() < MOST
        {
            self.traces.push(Traced {
                client,
                key,
                trace: None,
            });
        }
        Source::Upstream { joined }
    }

    /// The way of a query that was forwarded for this client, once it is answered. It is forgotten with that.
    pub fn take_trace(&mut self, client: Client) -> Option<Trace> {
        let at = self.traces.iter().position(|one| one.client == client)?;
        self.traces.swap_remove(at).trace
    }

    /// A transaction is about to be over, by the response to this attempt or by none. It is cheap where nothing is traced.
    #[inline]
    pub(super) fn trace(
        &mut self,
        key: TransactionKey,
        answered: Option<(&Attempt, ConnectionKey)>,
        now: Now,
    ) {
        if !self.traces.is_empty() {
            self.note_trace(key, answered, now);
        }
    }

    #[cold]
    fn note_trace(
        &mut self,
        key: TransactionKey,
        answered: Option<(&Attempt, ConnectionKey)>,
        now: Now,
    ) {
        let Some(history) = self.transactions.history(key) else {
            return;
        };
        let sent_at = answered.map(|(attempt, _)| attempt.sent_at);
        let trace = Trace {
            answered_by: answered.map(|(_, connection)| self.pool.describe(connection)),
            sent_after: sent_at.map(|at| at.since(history.arrived)),
            round_trip: sent_at.map(|at| now.mono.since(at)),
            sends: history.sends(),
            connects: history.connects(),
        };
        for traced in self.traces.iter_mut().filter(|one| one.key == key) {
            traced.trace = Some(trace.clone());
        }
    }
}
