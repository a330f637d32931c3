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
/// Connects that have had no success for so long, in spite of repetitions, meet a network that drops them. A query has a second left then, unless
/// another timeout is configured.
const NO_SUCCESS: Duration = Duration::from_secs(3);

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

    /// Whether none of these upstreams can be reached: to none is a connection up, and connects to each have failed at all of its addresses, or
    /// have had no success for so long that they will hardly have any.
    pub fn is_unreachable(&self, upstreams: UpstreamSet, now: Time) -> bool {
        self.unreachable_at(upstreams) <= now
            && self.among(upstreams).all(|upstream| {
                let backoff = &self.upstreams[upstream].backoff;
                backoff.has_failed_lately(now) || self.connects_to(upstream)
            })
    }

    /// When that will be so, if nothing happens before.
    pub fn unreachable_at(&self, upstreams: UpstreamSet) -> Time {
        let is_up = |c: &Connection| c.is_up() && upstreams.contains(c.upstream);
        if self.connections.values().any(is_up) {
            return Time::NEVER;
        }
        let of_one = |upstream: usize| {
            let state = &self.upstreams[upstream];
            match () {
                () if state.backoff.failures() as usize >= state.width() => Time::ZERO,
                () if self.connects_to(upstream) => state.backoff.series_since() + NO_SUCCESS,
                () => Time::NEVER,
            }
        };
        let all = self.among(upstreams).map(of_one);
        all.max().unwrap_or(Time::NEVER)
    }

    fn among(&self, upstreams: UpstreamSet) -> impl Iterator<Item = usize> {
        (0..self.upstreams.len()).filter(move |one| upstreams.contains(*one))
    }

    /// Whether a connection to an upstream is being made, or its addresses are being found.
    fn connects_to(&self, upstream: usize) -> bool {
        let its = |c: &Connection| c.upstream == upstream && !c.is_up();
        self.upstreams[upstream].has_no_address_yet() || self.connections.values().any(its)
    }
}
