//! Another configuration while queries are in flight: none of them is lost.

use super::Forwarder;
use crate::config::{Config, Upstream};
use crate::engine::cache::Cache;
use crate::engine::keys::TransactionKey;
use crate::engine::output::Output;
use crate::engine::recorder::What;
use crate::engine::routes::{Routed, Routes};
use crate::engine::time::Now;
use crate::engine::upstream_set::UpstreamSet;
use std::sync::Arc;

impl Forwarder {
    /// Another configuration takes the place of the one `before`, and the cache is this one from now on.
    ///
    /// Upstreams that stay keep their numbers, their connections, and what is known of them. Connections to others get no more queries, and
    /// are closed when those in flight are answered; so are all connections when other certificates are trusted than before, or the key
    /// log begins or ends. A query in flight is sent again only to the upstreams that it would have now. Where those are not the ones that
    /// it had, its response is relayed to the clients that wait for it and not cached.
    ///
    /// Look-ups that are under way for upstreams that [`Forwarder::upstream`] does not know any more are of no use.
    pub fn reconfigure(
        &mut self,
        before: &Config,
        config: &Config,
        cache: Arc<Cache>,
        now: Now,
        out: &mut Output,
    ) {
        let fx = &mut self.ledger.at(now, out);
        // What follows from it is done by the new configuration.
        self.pool.notice_resume(fx);
        fx.failures.event(now.mono, || What::Reconfigured);
        let renew = before.roots() != config.roots() || before.key_log() != config.key_log();
        let fresh = self.pool.reconfigure(config, renew, fx);
        self.routes = Routes::new(config, self.pool.numbers());
        self.gate.reconfigure(config);
        self.reconfigure_captive(config);
        let upstreams = self.pool.numbers().len();
        self.transactions
            .reconfigure(config, upstreams, cache.clone());
        self.transactions.failed_mut().forget_upstreams();
        self.cache = cache;
        self.udp_payload = config.limits().udp_payload;
        self.subnet = config.client_subnet();
        for key in self.transactions.keys() {
            self.reroute(key, fresh, now, out);
        }
        self.transactions.requeue();
        self.settle(now, out);
    }

    /// Has a transaction go the way that its query would take now.
    fn reroute(&mut self, key: TransactionKey, fresh: UpstreamSet, now: Now, out: &mut Output) {
        let Some(transaction) = self.transactions.get(key) else {
            return;
        };
        let (message, question) = (&transaction.message, &transaction.query.question);
        match self.routes.find(message, question) {
            Routed::Forward(route) => {
                let preferred = self.pool.preferred(route.number, question.name(message));
                self.transactions.reroute(key, route, preferred, fresh, now);
                self.confine(key, now);
            }
            answered @ Routed::Answer(..) => {
                let fx = &mut self.ledger.at(now, out);
                let Some(over) = self.transactions.take(key, fx) else {
                    return;
                };
                for client in over.clients() {
                    let (message, query) = (&over.message, &over.query);
                    let gate = &self.gate;
                    gate.answer_locally(message, query, client, answered, fx);
                }
            }
        }
    }

    /// The upstream with this number, by which the actions name it. `None` if it is configured no more.
    pub fn upstream(&self, number: usize) -> Option<&Upstream> {
        self.pool.configured(number)
    }
}
