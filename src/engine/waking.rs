//! Noticing that we were away: a suspended machine, a stopped process. What was believed before is then worth little.

use super::forwarder::Forwarder;
use super::links::{Link, LinkKey};
use super::output::{Action, Output};
use super::time::Now;
use log::info;
use std::time::Duration;

/// While there are links, the driver is wanted back at least so often, so that an absence shows.
pub const BEAT: Duration = Duration::from_secs(3);
/// So long without an event although one was due, and the process was stopped. A loop that is merely late is not so late.
const STOPPED: Duration = Duration::from_secs(6);
/// The boot clock gains so much on the monotonic one only while the machine is suspended; both are slewed alike.
const SUSPENDED: Duration = Duration::from_secs(1);

impl Forwarder {
    /// Looks whether we were away since the last event. If so, no link is trusted. Once for a batch of events is enough.
    #[inline]
    pub(super) fn notice(&mut self, now: Now, out: &mut Output) {
        if now != self.seen {
            self.compare_clocks(now, out);
        }
    }

    fn compare_clocks(&mut self, now: Now, out: &mut Output) {
        let seen = std::mem::replace(&mut self.seen, now);
        let gap = now.mono.since(seen.mono);
        let slept = now.boot.since(seen.boot).saturating_sub(gap);
        if (gap > STOPPED || slept > SUSPENDED) && !self.links.is_empty() {
            let (gap, slept) = (gap.as_secs_f32(), slept.as_secs_f32());
            info!("away for {gap:.1} s, asleep for {slept:.1} s: all connections are made anew");
            self.retire_all(now, out);
        }
    }

    /// Gives up every link, up or not, and forgets what failed before. Questions on them are asked on fresh ones.
    fn retire_all(&mut self, now: Now, out: &mut Output) {
        let retired: Vec<(LinkKey, Link)> = self.links.drain().collect();
        for upstream in &mut self.upstreams {
            upstream.start_afresh();
        }
        for (key, _) in &retired {
            self.stats.retired += 1;
            out.push(Action::Close { link: *key });
        }
        for (key, link) in retired {
            for flight in link.pipeline.live_flights() {
                self.lost(flight, key, now, out);
            }
        }
        self.place_waiting(now, out);
    }
}
