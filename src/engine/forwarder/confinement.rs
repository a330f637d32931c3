//! Keeping a query to the upstreams of its domain, where the policy splits domains among upstreams.

use super::Forwarder;
use crate::engine::keys::TransactionKey;
use crate::engine::time::Now;

impl Forwarder {
    /// Has a transaction keep to the upstreams that its domain may be sent to now, as health has it. It does nothing under other policies.
    pub(super) fn confine(&mut self, key: TransactionKey, now: Now) {
        if self.pool.splits() && self.confine_one(key, now) {
            // One that waits does so in another queue from now on.
            let history = self.transactions.history(key);
            if history.is_some_and(|history| history.queued().is_some()) {
                self.transactions.wait(key, now);
            }
        }
    }

    /// The same for all that wait for a connection, if the health of an upstream has changed.
    pub(super) fn confine_waiting(&mut self, now: Now) {
        if !self.pool.splits() || !self.pool.health_changed(now) {
            return;
        }
        let mut any = false;
        for key in self.transactions.keys() {
            let history = self.transactions.history(key);
            if history.is_some_and(|history| history.queued().is_some()) {
                any |= self.confine_one(key, now);
            }
        }
        if any {
            self.transactions.requeue();
        }
    }

    /// Says whether it may be sent to other upstreams than before.
    fn confine_one(&mut self, key: TransactionKey, now: Now) -> bool {
        let Some(history) = self.transactions.history_mut(key) else {
            return false;
        };
        let within = self.pool.within(history, now);
        let differs = within != history.upstreams();
        if differs {
            history.confine(within);
        }
        differs
    }
}
