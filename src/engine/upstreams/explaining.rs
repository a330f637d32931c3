//! What is known of upstreams and connections, for people who ask about a question.

use super::UpstreamPool;
use super::connection::Connection;
use crate::config::Policy;
use crate::engine::explained::{
    AttemptExplained, ConnectionExplained, ConnectionState, UpstreamExplained,
};
use crate::engine::history::Attempt;
use crate::engine::remedies;
use crate::engine::time::Now;
use crate::engine::upstream_set::UpstreamSet;

impl UpstreamPool {
    /// The upstreams of a route, in its order.
    pub fn explain(&self, route: u16, now: Now) -> Vec<UpstreamExplained> {
        let explain = |number: usize| {
            let upstream = self.upstreams.get(number)?;
            let its = self.connections.values();
            let its = its.filter(|connection| connection.upstream == number);
            Some(UpstreamExplained {
                label: upstream.label.clone(),
                is_healthy: self.is_healthy(number, true, now.mono),
                trouble: upstream.trouble.as_deref().map(str::to_owned),
                remedy: upstream.trouble.as_deref().and_then(remedies::of_reason),
                connections: its.map(|one| explain_connection(one, now)).collect(),
            })
        };
        self.routes.order(route).filter_map(explain).collect()
    }

    /// The policy of a route.
    pub fn policy(&self, route: u16) -> Policy {
        self.routes.policy(route)
    }

    /// The labels of those that are configured.
    pub fn labels(&self, of: UpstreamSet) -> Vec<String> {
        let all = self.upstreams.iter().enumerate();
        let those = all.filter(|(number, it)| of.contains(*number) && !it.is_removed());
        those.map(|(_, upstream)| upstream.label.clone()).collect()
    }

    /// Where an attempt is.
    pub fn explain_attempt(&self, attempt: &Attempt, now: Now) -> AttemptExplained {
        let connection = self.connections.get(attempt.connection);
        let label = connection.map(|on| self.upstreams[on.upstream].label.clone());
        AttemptExplained {
            upstream: label.unwrap_or_default(),
            addr: connection.map(|on| on.addr),
            age: now.mono.since(attempt.sent_at),
        }
    }
}

fn explain_connection(connection: &Connection, now: Now) -> ConnectionExplained {
    let state = match connection {
        _ if !connection.is_up() => ConnectionState::Connecting,
        _ if connection.closing => ConnectionState::Closing,
        _ if connection.is_suspect() => ConnectionState::Suspect,
        _ => ConnectionState::Up,
    };
    ConnectionExplained {
        addr: connection.addr,
        state,
        age: now.mono.since(connection.since),
        in_flight: connection.pipeline.live(),
    }
}
