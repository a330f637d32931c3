//! The network has changed: connections whose path is gone are given up, and upstreams that are reached in another way are tried afresh.

use super::UpstreamPool;
use super::incidents::Incident;
use crate::engine::effects::{Effects, Task};
use crate::engine::keys::ConnectionKey;
use crate::engine::network::{Moved, NetworkChange};
use crate::engine::words::counted;
use log::{Level, log};
use std::net::SocketAddr;

impl UpstreamPool {
    /// Gives up the connections whose path is gone: their queries are sent again on fresh ones. Those that go on over the new path stay, and those
    /// that only take another path than new ones end when their queries are answered. What failed on the old path is no reason to wait on the
    /// new one.
    pub fn network_changed(&mut self, change: &NetworkChange, fx: &mut Effects<'_>) {
        for moved in &change.moved {
            if let Some(upstream) = self.upstreams.get_mut(moved.upstream) {
                upstream.moved(moved.from, moved.to);
            }
            self.log_move(moved, change, fx);
        }
        for key in &change.outdated {
            if let Some(connection) = self.connections.get_mut(*key) {
                fx.stats.rerouted += 1;
                connection.closing = true;
            }
        }
        let mut gone = Vec::new();
        for key in &change.gone {
            if let Some(connection) = self.close_one(*key, fx) {
                fx.stats.rerouted += 1;
                gone.push((*key, connection));
            }
        }
        // Only when all are closed, so that no query moves from one that is gone to another.
        for (key, connection) in gone {
            for transaction in connection.pipeline.live_transactions() {
                fx.task(Task::ConnectionLost(transaction, key, false));
            }
        }
        self.close_idle(fx);
    }

    /// Where each upstream that is configured is connected to, by its number.
    pub fn destinations(&self) -> impl Iterator<Item = (usize, Vec<SocketAddr>)> {
        let all = self.upstreams.iter().enumerate();
        let configured = all.filter(|(_, upstream)| !upstream.is_removed());
        configured.map(|(number, upstream)| (number, upstream.destinations()))
    }

    /// Has a connection ready on the new path where one was in use.
    pub fn follow(&mut self, change: &NetworkChange, fx: &mut Effects<'_>) {
        for moved in &change.moved {
            if moved.to.is_some() && moved.upstream < self.upstreams.len() {
                self.keep_ready(moved.upstream, fx);
            }
        }
    }

    /// Says in the log what has changed, and what follows.
    fn log_move(&mut self, moved: &Moved, change: &NetworkChange, fx: &mut Effects<'_>) {
        let its = |keys: &[ConnectionKey]| {
            let of = |key: &&ConnectionKey| self.upstream_of(**key) == Some(moved.upstream);
            keys.iter().filter(of).copied().collect::<Vec<_>>()
        };
        let (gone, outdated) = (its(&change.gone), its(&change.outdated));
        let following = its(&change.following);
        let queries: usize = gone.iter().map(|key| self.in_flight_on(*key)).sum();
        let connections = counted(gone.len() as u64, "connection", "connections");
        let follows = if gone.is_empty() && !following.is_empty() {
            let follow = counted(following.len() as u64, "connection goes", "connections go");
            format!("{follow} on over it")
        } else if gone.is_empty() {
            String::from("it is tried afresh")
        } else {
            let queries = counted(queries as u64, "query", "queries");
            format!("{connections} given up, {queries} sent again")
        };
        let ending = match outdated.len() {
            0 => String::new(),
            count => {
                let connections = counted(count as u64, "connection", "connections");
                format!(", {connections} to end when answered")
            }
        };
        let Some(state) = self.upstreams.get_mut(moved.upstream) else {
            return;
        };
        let text = match moved.to {
            Some(to) if moved.from != moved.to => format!("it is now reached over {to}"),
            Some(_) => "the network path to it has changed".to_owned(),
            None => "no network path leads to it now".to_owned(),
        };
        let told = state.incidents.note(Incident::Moved, &text, fx.now.mono);
        let level = told.as_ref().map_or(Level::Debug, |_| Level::Info);
        let untold = told.unwrap_or_default();
        let label = &state.label;
        log!(level, "{label}: {text}: {follows}{ending}{untold}");
    }
}
