//! Whether upstreams can be expected to answer: what decides how long a domain is kept to its own ones.

use super::UpstreamPool;
use super::connection::Connection;
use crate::engine::time::{Now, Time};
use crate::engine::upstream_set::UpstreamSet;
use std::time::Duration;

/// For so long a domain waits for a connect to an upstream of its own: the system repeats a lost SYN after a second (RFC 6298).
const OWN_CONNECT: Duration = Duration::from_secs(1);
/// For so long it waits for one that only stands in for them: the Connection Attempt Delay (RFC 8305 section 8).
const STANDBY_CONNECT: Duration = Duration::from_millis(250);

impl UpstreamPool {
    /// Whether an upstream can be expected to answer: it is not suspect, and it is connected, or connects to it neither failed lately nor take
    /// too long. `is_own`: it is one that a domain is kept to, and does not only stand in.
    pub(super) fn is_healthy(&self, upstream: usize, is_own: bool, now: Time) -> bool {
        let patience = if is_own { OWN_CONNECT } else { STANDBY_CONNECT };
        let state = &self.upstreams[upstream];
        if state.is_removed() || state.health.is_suspect() {
            return false;
        }
        let its = |c: &&Connection| c.upstream == upstream && !c.is_isolated();
        let is_slow = |c: &Connection| !c.is_up() && now.since(c.since) >= patience;
        let (mut good, mut slow) = (false, false);
        for connection in self.connections.values().filter(its) {
            good |= connection.is_good();
            slow |= is_slow(connection);
        }
        let lost = state.has_no_address_yet() && state.backoff.tried_for(now) >= patience;
        good || !(slow || lost || state.backoff.has_failed_everywhere(state.width(), now))
    }

    /// Whether one of these upstreams can be expected to answer.
    pub fn any_healthy(&self, among: UpstreamSet, now: Time) -> bool {
        let mut all = 0..self.upstreams.len();
        all.any(|one| among.contains(one) && self.is_healthy(one, true, now))
    }

    /// Whether other upstreams are healthy than at the last call.
    pub fn health_changed(&mut self, now: Now) -> bool {
        let all = 0..self.upstreams.len();
        let healthy: UpstreamSet = all
            .filter(|one| self.is_healthy(*one, true, now.mono))
            .collect();
        std::mem::replace(&mut self.healthy, healthy) != healthy
    }
}
