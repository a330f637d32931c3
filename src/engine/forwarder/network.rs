//! The network changes while queries are in flight: they are sent again where they can be answered.

use super::Forwarder;
use crate::engine::network::NetworkChange;
use crate::engine::output::Output;
use crate::engine::recorder::What;
use crate::engine::time::Now;
use std::net::SocketAddr;

impl Forwarder {
    /// Where each upstream that is configured is connected to, by its number: its proxy, or its addresses, if they are known.
    pub fn destinations(&self) -> impl Iterator<Item = (usize, Vec<SocketAddr>)> {
        self.pool.destinations()
    }

    /// The network has changed, and this is what follows from it for upstreams and connections. Connections whose path is gone are closed, and
    /// their queries are sent again at once.
    pub fn network_changed(&mut self, change: &NetworkChange, now: Now, out: &mut Output) {
        self.notice_resume(now, out);
        self.captive_moved(change);
        self.ledger
            .failures
            .event(now.mono, || What::NetworkChanged);
        self.pool
            .network_changed(change, &mut self.ledger.at(now, out));
        self.settle(now, out);
        // Those that wait have their connects by now. Where nobody waits, the next query should not.
        self.pool.follow(change, &mut self.ledger.at(now, out));
        self.settle(now, out);
    }
}
