//! A query: answered here or from the cache, or a transaction that is sent to the upstreams of its route.

use super::Forwarder;
use crate::engine::admission::Admission;
use crate::engine::answered::Origin;
use crate::engine::cache::{Found, Key};
use crate::engine::client::Client;
use crate::engine::failed_queries::Failing;
use crate::engine::failure::Failure;
use crate::engine::output::Output;
use crate::engine::routes::Routed;
use crate::engine::time::Now;
use crate::engine::transactions::{Accepted, Lookup, WaitingClient};
use crate::wire;

impl Forwarder {
    /// A message from a client. Says whether a reply will come (or is there already).
    pub fn query(&mut self, message: &[u8], client: Client, now: Now, out: &mut Output) -> bool {
        self.notice_resume(now, out);
        let fx = &mut self.ledger.at(now, out);
        let query = match self.gate.admit(message, client, fx) {
            Admission::Admit(query) => query,
            Admission::Refused => return true,
            Admission::Denied(query, id) => {
                let why = Failure::NotAllowed.explain(std::iter::empty());
                let failing = Failing::at_once(message, &query, id, now);
                let failed = self.transactions.failed_mut();
                failed.note_refused(&failing, &why, now);
                return true;
            }
            Admission::Dropped => return false,
        };
        let client = WaitingClient::new(message, &query, client, (self.udp_payload, self.subnet));
        // What the cache tells apart, two clients may not share; what it does not, they may (RFC 5452 section 5).
        let route = match self.routes.find(message, &query.question) {
            Routed::Forward(route) => route,
            answered @ Routed::Answer(..) => {
                let gate = &self.gate;
                return gate.answer_locally(message, &query, &client, answered, fx);
            }
        };
        let key = self
            .cache
            .key(message, &query, route.fingerprint, self.subnet);
        let hash = key.as_ref().map(Key::hash);
        let found = key.as_ref().map_or(Found::Miss, |key| {
            let reply = client.reply(query.question.octets(message));
            fx.reply_if_any(client.client, Origin::Cache, |out| {
                self.cache.get(key, &reply, self.udp_payload, now.boot, out)
            })
        });
        let started = match found {
            Found::Hit { prefetch } => {
                fx.stats.hits += 1;
                if !prefetch {
                    return true;
                }
                let route = (route, hash);
                self.transactions.prefetch(message, query, route, fx)
            }
            // What is answered locally is never in the cache, so a hit does not pay for this.
            _ if {
                let routed = Routed::Forward(route);
                self.gate
                    .answer_locally(message, &query, &client, routed, fx)
            } =>
            {
                None
            }
            _ => {
                let typed = wire::typed(message, &query.question);
                fx.stats.opaque += u64::from(typed.is_none());
                let decides_alike = |it| self.routes.find_typed(&it) == Routed::Forward(route);
                debug_assert!(typed.is_none_or(decides_alike), "see `routes`");
                let stale = if found == Found::Stale { key } else { None };
                // Nothing can be asked just now: waiting for that would bring the same answer later (RFC 8767 section 5).
                let at_once = stale.is_some() && !self.pool.any_healthy(route.upstreams, now.mono);
                let lookup = Lookup {
                    hash,
                    stale,
                    at_once,
                };
                let all = &mut self.transactions;
                match all.accept(message, query, client, route, lookup, fx) {
                    Accepted::Started(key) => Some(key),
                    Accepted::Repeated => return false,
                    Accepted::Done => None,
                }
            }
        };
        if let Some(key) = started {
            let name = query.question.name(message);
            let preferred = self.pool.preferred(route.number, name);
            if let Some(history) = self.transactions.history_mut(key) {
                history.preferred = preferred;
            }
            self.confine(key, now);
            self.dispatch(key, now, out);
        }
        self.carry_out(now, out);
        self.give_up_hopeless(now, out);
        true
    }
}
