//! What is known of upstreams and connections at the moment of a failure, for its record.

use super::UpstreamPool;
use super::streams::Streams;
use crate::engine::keys::{ConnectionKey, TransactionKey};
use crate::engine::recorder::{Line, Seen, State};
use crate::engine::time::Now;

impl UpstreamPool {
    /// The upstreams of a route, in its order.
    pub fn states(&self, route: u16, now: Now) -> Box<[State]> {
        let state = |number: usize| {
            let upstream = self.upstreams.get(number)?;
            let nothing_up = self.nothing_up_beside(number);
            Some(State {
                number,
                is_healthy: self.is_healthy(number, true, now.mono),
                answered_at: upstream.answered_at(),
                failures: upstream.backoff.failures(),
                retry_at: upstream.backoff.connect_at(nothing_up),
                addresses: upstream.width(),
            })
        };
        self.routes.order(route).filter_map(state).collect()
    }

    /// The connections to them, also those that are being made.
    pub fn seen_connections(&self, route: u16) -> Box<[Seen]> {
        let of_route: Vec<usize> = self.routes.order(route).collect();
        let all = self.connections.iter();
        let those = all.filter(|(_, connection)| of_route.contains(&connection.upstream));
        let seen = those.map(|(key, connection)| Seen {
            line: Line {
                upstream: connection.upstream,
                connection: key,
            },
            since: connection.since,
            is_up: connection.is_up(),
            is_suspect: connection.is_suspect(),
            is_isolated: connection.is_isolated(),
            streams: connection.streams == Streams::Own,
            answered: connection.pipeline.answered(),
        });
        seen.collect()
    }

    /// The label of an upstream.
    pub fn label(&self, number: usize) -> &str {
        self.upstreams.get(number).map_or("", |it| &it.label)
    }

    /// The transaction that waits for the response with this id.
    pub fn waits_on(&self, connection: ConnectionKey, id: u16) -> Option<TransactionKey> {
        self.connections.get(connection)?.pipeline.find(id)
    }
}
