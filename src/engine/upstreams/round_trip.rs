//! How long an upstream takes to answer, smoothed as RFC 6298 section 2 has it.

use crate::engine::time::Time;
use std::time::Duration;

/// A smoothed time that is older counts no more than the next response does: an upstream that is seldom asked may have changed.
const FRESH: Duration = Duration::from_secs(10);
/// An upstream that was once quicker is near: a lost packet is repeated by TCP about as soon as a late query could be. The quickest
/// response counts, since the time on the path is a part of it, and others may have waited for the upstream itself.
const FAR: Duration = Duration::from_millis(10);
/// A query is not late before it took so much longer than usual.
const LATE_MIN: Duration = Duration::from_millis(10);
/// Where responses take so long and vary so much, a copy would come too late to help.
const LATE_MAX: Duration = Duration::from_secs(1);

/// The time from a query to its response, as far as it is known.
#[derive(Clone, Copy, Default)]
pub struct RoundTrip {
    /// SRTT, with its weight of 1/8.
    smoothed: Option<Duration>,
    /// RTTVAR, with its weight of 1/4.
    variation: Duration,
    /// The shortest one since the last pause.
    shortest: Duration,
    measured_at: Time,
}

impl RoundTrip {
    /// The smoothed time; `None` before the first response.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// A response took so long.
    pub fn measured(&mut self, took: Duration, now: Time) {
        let is_old = now.since(self.measured_at) > FRESH;
        self.measured_at = now;
        let Some(smoothed) = self.smoothed else {
            self.smoothed = Some(took);
            self.variation = took / 2;
            self.shortest = took;
            return;
        };
        if is_old {
            self.variation = (self.variation * 3 + smoothed.abs_diff(took)) / 4;
            self.smoothed = Some((smoothed + took) / 2);
            self.shortest = took;
            return;
        }
        self.shortest = self.shortest.min(took);
        // A response behind a lost packet took as long as TCP took to notice the loss. That says little of the path, so one such response
        // moves the times only a little (RFC 6298 section 3 leaves them out); several in a row move them as far as is right.
        let took = took.min(self.timer(smoothed));
        self.variation = (self.variation * 3 + smoothed.abs_diff(took)) / 4;
        self.smoothed = Some((smoothed * 7 + took) / 8);
    }

    /// The time after which TCP would send again (RFC 6298 section 2), with a smaller minimum.
    fn timer(&self, smoothed: Duration) -> Duration {
        smoothed + (4 * self.variation).max(LATE_MIN)
    }

    /// After how long a query counts as late, as TCP's retransmission timer has it. `None` where that is not known, or where the
    /// upstream is so near that TCP itself is as quick.
    pub fn late_after(&self) -> Option<Duration> {
        let smoothed = self.smoothed.filter(|_| self.shortest >= FAR)?;
        Some(self.timer(smoothed)).filter(|late| *late <= LATE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn it_follows_slowly_while_it_is_fresh_and_quickly_after_a_pause() {
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let mut time = RoundTrip::default();
        assert_eq!((time.smoothed(), time.late_after()), (None, None));
        time.measured(ms(80), at(1));
        assert_eq!(time.smoothed(), Some(ms(80)));
        time.measured(ms(160), at(2));
        assert_eq!(time.smoothed(), Some(ms(90)));
        time.measured(ms(190), at(60));
        assert_eq!(time.smoothed(), Some(ms(140)));
    }

    #[test]
    fn one_response_behind_a_lost_packet_moves_it_little_and_a_longer_path_soon() {
        let mut time = RoundTrip::default();
        for _ in 0..100 {
            time.measured(ms(40), Time::ZERO);
        }
        time.measured(ms(300), Time::ZERO);
        assert!(time.late_after() < Some(ms(55)), "{:?}", time.late_after());
        let follows = (1..=6).any(|_| {
            time.measured(ms(100), Time::ZERO);
            time.late_after() > Some(ms(100))
        });
        assert!(follows, "{:?} after six", time.late_after());
    }

    #[test]
    fn a_query_is_late_after_the_usual_time_and_four_times_its_variation() {
        let mut time = RoundTrip::default();
        for _ in 0..100 {
            time.measured(ms(40), Time::ZERO);
        }
        assert_eq!(time.late_after(), Some(ms(50)), "at least 10 ms more");
        let mut near = RoundTrip::default();
        near.measured(ms(2), Time::ZERO);
        for _ in 0..100 {
            near.measured(ms(40), Time::ZERO);
        }
        assert_eq!(
            near.late_after(),
            None,
            "the upstream is slow, not the path"
        );
        near.measured(ms(40), Time::ZERO + ms(10_001));
        assert!(near.late_after().is_some(), "the path may have changed");
        let mut erratic = RoundTrip::default();
        erratic.measured(ms(900), Time::ZERO);
        assert_eq!(erratic.late_after(), None);
    }
}
