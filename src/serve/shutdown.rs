//! The phases of an event loop, from serving to its end. Pure: the time and what is left to do are arguments.
//!
//! ```text
//! Serving --drain--> Draining --all answered and quiet, or time is up, or stop--> Closing --all closed, or time is up--> Ended
//!    '--------------------------------stop-----------------------------------------^
//! ```

use crate::engine::Time;
use std::time::Duration;

/// Draining ends at the latest then: what is unanswered by now would come too late for its client anyway.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Draining ends when no query came for so long: what clients had sent before they could know has arrived by then.
pub const DRAIN_QUIET: Duration = Duration::from_millis(100);
/// How long a connection to an upstream may take to close.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// What an event loop does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Takes queries.
    Serving,
    /// Takes no new connections, and answers what was accepted.
    Draining {
        /// When it gives up what is unanswered.
        until: Time,
        /// When it may end if everything is answered and no query comes over UDP.
        quiet_at: Time,
    },
    /// Waits until the connections to upstreams are closed.
    Closing {
        /// When it waits no longer.
        until: Time,
    },
    /// There is nothing left to do.
    Ended,
}

/// What moves it from one phase to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The command to end when everything is answered.
    Drain,
    /// The command to end.
    Stop,
    /// Queries came over UDP.
    Queries,
    /// An iteration of the loop has ended, and this is left.
    Remaining {
        /// Responses that clients wait for, or client connections.
        responses: bool,
        /// Connections to upstreams.
        connections: bool,
    },
}

impl Phase {
    /// The phase that follows.
    pub fn after(self, trigger: Trigger, now: Time) -> Self {
        let quiet_at = now + DRAIN_QUIET;
        match (self, trigger) {
            (Self::Serving, Trigger::Drain) => {
                let until = now + DRAIN_TIMEOUT;
                Self::Draining { until, quiet_at }
            }
            (Self::Draining { until, .. }, Trigger::Queries) => Self::Draining { until, quiet_at },
            (Self::Serving | Self::Draining { .. }, Trigger::Stop) => Self::closing(now),
            (Self::Draining { until, quiet_at }, Trigger::Remaining { responses, .. })
                if now >= until || (!responses && now >= quiet_at) =>
            {
                Self::closing(now)
            }
            (Self::Closing { until }, Trigger::Remaining { connections, .. })
                if now >= until || !connections =>
            {
                Self::Ended
            }
            (unmoved, _) => unmoved,
        }
    }

    fn closing(now: Time) -> Self {
        let until = now + CLOSE_TIMEOUT;
        Self::Closing { until }
    }

    /// When [`Trigger::Remaining`] is due although nothing happens.
    pub fn next_alarm(self, now: Time) -> Option<Time> {
        match self {
            Self::Serving | Self::Ended => None,
            Self::Draining { .. } => Some(now + DRAIN_QUIET),
            Self::Closing { until } => Some(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// Since when, and when the last query came.
    fn draining(since: u64, last_query: u64) -> Phase {
        Phase::Draining {
            until: at(since) + DRAIN_TIMEOUT,
            quiet_at: at(last_query) + DRAIN_QUIET,
        }
    }

    const fn closing(until: u64) -> Phase {
        Phase::Closing { until: at(until) }
    }

    const fn left(responses: bool, connections: bool) -> Trigger {
        Trigger::Remaining {
            responses,
            connections,
        }
    }

    #[test]
    fn an_event_loop_goes_from_serving_to_its_end() {
        use Phase::{Ended, Serving};
        use Trigger::{Drain, Queries, Stop};
        let (all, nothing, unanswered, connected) = (
            left(true, true),
            left(false, false),
            left(true, false),
            left(false, true),
        );
        let table = [
            // Before, the trigger, its time in milliseconds, after.
            (Serving, Queries, 7, Serving),
            (Serving, nothing, 7, Serving),
            (Serving, Drain, 7, draining(7, 7)),
            (Serving, Stop, 7, closing(507)),
            // A second command to drain changes nothing.
            (draining(7, 7), Drain, 50, draining(7, 7)),
            (draining(7, 7), Stop, 50, closing(550)),
            (draining(7, 7), Queries, 50, draining(7, 50)),
            // It ends when everything is answered and no query has come for 100 ms, and at the latest after 5 s.
            (draining(7, 50), nothing, 149, draining(7, 50)),
            (draining(7, 50), nothing, 150, closing(650)),
            (draining(7, 50), connected, 150, closing(650)),
            (draining(7, 50), unanswered, 5_006, draining(7, 50)),
            (draining(7, 50), unanswered, 5_007, closing(5_507)),
            (draining(7, 5_000), all, 5_007, closing(5_507)),
            // Commands and queries come too late then.
            (closing(507), Drain, 10, closing(507)),
            (closing(507), Stop, 10, closing(507)),
            (closing(507), Queries, 10, closing(507)),
            (closing(507), connected, 506, closing(507)),
            (closing(507), connected, 507, Ended),
            (closing(507), unanswered, 10, Ended),
            (Ended, Drain, 10, Ended),
            (Ended, Stop, 10, Ended),
            (Ended, all, 10, Ended),
        ];
        for (before, trigger, millis, after) in table {
            assert_eq!(
                before.after(trigger, at(millis)),
                after,
                "{before:?}, {trigger:?} at {millis} ms"
            );
        }
    }

    #[test]
    fn each_phase_but_the_first_and_the_last_has_an_alarm() {
        let table = [
            (Phase::Serving, None),
            (draining(7, 50), Some(at(160))),
            (closing(507), Some(at(507))),
            (Phase::Ended, None),
        ];
        for (phase, alarm) in table {
            assert_eq!(phase.next_alarm(at(60)), alarm, "{phase:?}");
        }
    }
}
