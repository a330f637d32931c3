//! Noticing that the machine was suspended, or the process stopped. What was known before is then worth little.

use super::UpstreamPool;
use crate::engine::effects::{Effects, Task};
use crate::engine::keys::ConnectionKey;
use crate::engine::output::Action;
use crate::engine::recorder::What;
use crate::engine::time::{Now, Time};
use crate::engine::words::Lasting;
use log::info;
use std::time::Duration;

/// While there are connections, the driver is wanted back at least so often, so that an absence shows.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// So long without an event although one was due, and the process was stopped. A loop that is merely late is not so late.
const STOPPED: Duration = Duration::from_secs(6);
/// The boot clock gains so much on the monotonic one only while the machine is suspended; both are slewed alike.
const SUSPENDED: Duration = Duration::from_secs(1);

impl UpstreamPool {
    /// Looks whether there was an absence since the last event. If so, no connection is trusted: all are closed, and what failed before
    /// is forgotten. Queries on them are sent on fresh ones.
    #[inline]
    pub fn notice_resume(&mut self, fx: &mut Effects<'_>) {
        if fx.now != self.seen {
            self.compare_clocks(fx);
        }
    }

    /// The clocks at the last event.
    #[inline]
    pub fn seen(&self) -> Now {
        self.seen
    }

    /// When the driver is wanted back at the latest.
    #[inline]
    pub(super) fn heartbeat(&self) -> Time {
        if self.connections.is_empty() {
            Time::NEVER
        } else {
            self.seen.mono + HEARTBEAT
        }
    }

    fn compare_clocks(&mut self, fx: &mut Effects<'_>) {
        let seen = std::mem::replace(&mut self.seen, fx.now);
        let gap = fx.now.mono.since(seen.mono);
        let slept = fx.now.boot.since(seen.boot).saturating_sub(gap);
        if (gap <= STOPPED && slept <= SUSPENDED) || self.connections.is_empty() {
            return;
        }
        info!(
            "the program was away for {}, and the machine asleep for {}: all connections are made anew",
            Lasting(gap),
            Lasting(slept)
        );
        fx.failures.event(fx.now.mono, || What::Resumed);
        for upstream in &mut self.upstreams {
            upstream.start_afresh();
        }
        let retired: Vec<(ConnectionKey, _)> = self.connections.drain().collect();
        for (connection, retired) in retired {
            fx.stats.retired += 1;
            fx.out.push(Action::Close { connection });
            for transaction in retired.pipeline.live_transactions() {
                fx.task(Task::ConnectionLost(transaction, connection, false));
            }
        }
    }
}
