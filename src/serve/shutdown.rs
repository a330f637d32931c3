//! The phases of an event loop, from serving to its end. Pure: the time and what is left to do are arguments.
//!
//! ```text
//! Serving --drain--> Draining --all answered and quiet, or time is up, or stop--> Closing --all closed, or time is up--> Ended
//!    |'-------------------------------stop-----------------------------------------^^
//!    '--hand over--> HandingOver --all answered, or stop----------------------------|
//!                         '--time is up, or another loop closes--> Finishing -------'
//! ```
//!
//! A loop that drains reads what clients send until they have stopped. One that hands its sockets over must not wait for that: they go on,
//! and what they send waits in the sockets for the next process. So it serves as usual up to a moment at which nobody waits for a response,
//! and reads nothing after it. The time from there to the next process is all that clients notice, and each part of it is short.

use crate::engine::Time;
use std::time::Duration;

/// Draining ends at the latest then: what is unanswered by now would come too late for its client anyway.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Draining ends when no query came for so long: what clients had sent before they could know has arrived by then.
pub const DRAIN_QUIET: Duration = Duration::from_millis(100);
/// How long a connection to an upstream may take to close.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a loop that hands over looks at what the others do: they end together, since nobody reads the socket of one that has ended.
pub const HANDOVER_LOOK: Duration = Duration::from_millis(10);
/// A loop that hands over and is never without a waiting client stops reading so long before the end: most responses come within a round
/// trip to the upstream. Meanwhile the next process is waited for by all clients, and the usual receive buffer holds 500 queries.
pub const HANDOVER_TAIL: Duration = Duration::from_millis(250);
/// How long a connection to an upstream may take to close while the next process is waited for. Its last octets leave in less, or not soon.
pub const HANDOVER_CLOSE: Duration = Duration::from_millis(20);

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
    /// Serves on until nobody waits for a response: another process will read the same sockets.
    HandingOver {
        /// When it stops reading them all the same.
        until: Time,
    },
    /// Reads nothing more that another process can read, and answers what was accepted.
    Finishing {
        /// When it gives up what is unanswered.
        until: Time,
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
    /// The command to leave the sockets to another process when everything is answered.
    HandOver,
    /// Another loop of this program that hands over has stopped reading.
    OtherFinished,
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
            (Self::Serving, Trigger::HandOver) => Self::HandingOver {
                until: now + DRAIN_TIMEOUT - HANDOVER_TAIL,
            },
            (
                Self::Serving
                | Self::Draining { .. }
                | Self::HandingOver { .. }
                | Self::Finishing { .. },
                Trigger::Stop,
            ) => Self::closing(now, CLOSE_TIMEOUT),
            (Self::Draining { until, quiet_at }, Trigger::Remaining { responses, .. })
                if now >= until || (!responses && now >= quiet_at) =>
            {
                Self::closing(now, CLOSE_TIMEOUT)
            }
            (Self::HandingOver { .. }, Trigger::Remaining { responses, .. }) if !responses => {
                Self::closing(now, HANDOVER_CLOSE)
            }
            (Self::HandingOver { until }, Trigger::Remaining { .. }) if now >= until => {
                Self::finishing(now)
            }
            (Self::HandingOver { .. }, Trigger::OtherFinished) => Self::finishing(now),
            (Self::Finishing { until }, Trigger::Remaining { responses, .. })
                if now >= until || !responses =>
            {
                Self::closing(now, HANDOVER_CLOSE)
            }
            (Self::Closing { until }, Trigger::Remaining { connections, .. })
                if now >= until || !connections =>
            {
                Self::Ended
            }
            (unmoved, _) => unmoved,
        }
    }

    fn finishing(now: Time) -> Self {
        let until = now + HANDOVER_TAIL;
        Self::Finishing { until }
    }

    fn closing(now: Time, timeout: Duration) -> Self {
        let until = now + timeout;
        Self::Closing { until }
    }

    /// Are the sockets of clients read?
    pub fn reads(self) -> bool {
        match self {
            Self::Serving | Self::Draining { .. } | Self::HandingOver { .. } => true,
            Self::Finishing { .. } | Self::Closing { .. } | Self::Ended => false,
        }
    }

    /// When [`Trigger::Remaining`] is due although nothing happens.
    pub fn next_alarm(self, now: Time) -> Option<Time> {
        match self {
            Self::Serving | Self::Ended => None,
            Self::Draining { .. } => Some(now + DRAIN_QUIET),
            Self::HandingOver { until } => Some(until.min(now + HANDOVER_LOOK)),
            Self::Finishing { until } | Self::Closing { until } => Some(until),
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

    const fn handing_over(until: u64) -> Phase {
        Phase::HandingOver { until: at(until) }
    }

    const fn finishing(until: u64) -> Phase {
        Phase::Finishing { until: at(until) }
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
        use Trigger::{Drain, HandOver, OtherFinished, Queries, Stop};
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
            // With sockets that go on it ends at the first moment at which nobody waits, whatever comes.
            (Serving, HandOver, 7, handing_over(4_757)),
            (Serving, OtherFinished, 7, Serving),
            (handing_over(4_757), Queries, 50, handing_over(4_757)),
            (handing_over(4_757), HandOver, 50, handing_over(4_757)),
            (handing_over(4_757), Drain, 50, handing_over(4_757)),
            (handing_over(4_757), all, 4_756, handing_over(4_757)),
            (handing_over(4_757), connected, 50, closing(70)),
            (handing_over(4_757), Stop, 50, closing(550)),
            // Such a moment may not come. Responses that are late by then are for the next process.
            (handing_over(4_757), all, 4_757, finishing(5_007)),
            (handing_over(4_757), OtherFinished, 50, finishing(300)),
            (finishing(300), Queries, 60, finishing(300)),
            (finishing(300), unanswered, 299, finishing(300)),
            (finishing(300), connected, 60, closing(80)),
            (finishing(300), all, 300, closing(320)),
            (finishing(300), Stop, 60, closing(560)),
            // A process whose sockets nobody else has stays with that.
            (draining(7, 7), HandOver, 50, draining(7, 7)),
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
            (handing_over(65), Some(at(65))),
            (handing_over(4_757), Some(at(70))),
            (finishing(300), Some(at(300))),
            (closing(507), Some(at(507))),
            (Phase::Ended, None),
        ];
        for (phase, alarm) in table {
            assert_eq!(phase.next_alarm(at(60)), alarm, "{phase:?}");
        }
    }
}
