//! What is known about one question, for people: looking changes nothing.

use super::Forwarder;
use crate::engine::explained::{Explained, RouteExplained, TransactionExplained, Way};
use crate::engine::routes::{LocalRoute, Routed};
use crate::engine::time::Now;
use crate::engine::transactions::Transaction;
use crate::engine::upstream_set::UpstreamSet;
use crate::wire::{self, QuestionAt};

/// RD, AD and CD.
const TOLD_FLAGS: u16 = 0x0130;

impl Forwarder {
    /// From now on it is remembered which queries have failed lately.
    pub fn remember_failures(&mut self) {
        self.transactions.failed_mut().remember();
    }

    /// What is known about the question of this query. `None` if it is none that is forwarded. All transactions are looked at, so that it is
    /// nothing to ask for with each query.
    pub fn explain(&self, query: &[u8], now: Now) -> Option<Explained> {
        let at = wire::parse_query(query).ok()?.question;
        let routed = self.routes.find(query, &at);
        let cached = match routed {
            Routed::Forward(route) => {
                let route = route.fingerprint;
                self.cache.remembered(query, &at, route, now.boot)
            }
            Routed::Answer(..) => Vec::new(),
        };
        let in_flight = self.transactions.asking(query, &at);
        let label = |of: UpstreamSet| self.pool.labels(of);
        Some(Explained {
            route: self.explain_route(query, &at, routed, now),
            cached,
            in_flight: in_flight
                .map(|one| self.explain_transaction(one, now))
                .collect(),
            failures: self.transactions.failed().of(query, &at, label, now),
        })
    }

    fn explain_route(
        &self,
        query: &[u8],
        at: &QuestionAt,
        routed: Routed,
        now: Now,
    ) -> RouteExplained {
        let domain = self.routes.domain(query, at);
        match routed {
            Routed::Forward(route) => RouteExplained {
                way: Way::Forward,
                domain,
                policy: Some(self.pool.policy(route.number)),
                upstreams: self.pool.explain(route.number, now),
            },
            Routed::Answer(local, _) => RouteExplained {
                way: match local {
                    LocalRoute::Refuse => Way::Refuse,
                    LocalRoute::NxDomain => Way::NxDomain,
                    LocalRoute::Local => Way::Local,
                },
                domain,
                policy: None,
                upstreams: Vec::new(),
            },
        }
    }

    fn explain_transaction(&self, transaction: &Transaction, now: Now) -> TransactionExplained {
        let history = &transaction.history;
        let attempts = history.attempts();
        let (header, opt) = (transaction.query.header, transaction.query.opt);
        TransactionExplained {
            flags: header.flags.0 & TOLD_FLAGS,
            dnssec_ok: opt.is_some_and(|opt| opt.dnssec_ok),
            age: now.mono.since(history.arrived),
            left: transaction.deadline.since(now.mono),
            clients: transaction.clients().count(),
            sends: history.sends(),
            connects: history.connects(),
            waits_for_connection: history.queued().is_some(),
            tried: self.pool.labels(history.tried()),
            attempts: attempts
                .map(|attempt| self.pool.explain_attempt(attempt, now))
                .collect(),
        }
    }
}
