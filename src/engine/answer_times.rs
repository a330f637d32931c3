//! How long queries take that are forwarded: a histogram whose bounds are powers of two, so that finding the place of a time takes a few
//! instructions.

use super::time::Time;
use std::ops::AddAssign;
use std::time::Duration;

/// The first bound is 2 to the power of this, in nanoseconds: 0.26 ms, which only a resolver nearby is quicker than.
const FIRST: u32 = 18;
/// Bounds, each twice the one before. The last is 8.6 s.
const BOUNDS: usize = 16;

/// From the first client's query to its response, for each transaction that clients waited for. Queries that are answered at once, such as
/// those from the cache, are not among them: the clocks are read once for a batch, so that they would take no time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerTimes {
    /// The last place is for what took longer than the last bound.
    counts: [u64; BOUNDS + 1],
    nanos: u64,
}

impl AnswerTimes {
    /// One more, which took from one of these moments to the other.
    #[inline]
    pub(super) fn took(&mut self, from: Time, to: Time) {
        let nanos = to.as_nanos().saturating_sub(from.as_nanos());
        // A time at a bound is within it.
        let beyond = u64::BITS - (nanos.saturating_sub(1) >> FIRST).leading_zeros();
        self.counts[(beyond as usize).min(BOUNDS)] += 1;
        self.nanos = self.nanos.wrapping_add(nanos);
    }

    /// How many took longer than the bound before, up to this one: in rising order, the last without a bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = (0..BOUNDS).map(|place| Some(Duration::from_nanos(1 << FIRST << place)));
        bounds.chain([None]).zip(self.counts)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time of all together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }
}

/// The sums of two, such as those of two workers.
impl AddAssign<&Self> for AnswerTimes {
    fn add_assign(&mut self, other: &Self) {
        for (own, other) in self.counts.iter_mut().zip(other.counts) {
            *own += other;
        }
        self.nanos = self.nanos.wrapping_add(other.nanos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_bucket_of_the_first_bound_that_is_not_smaller() {
        let bounds: Vec<Duration> = AnswerTimes::default()
            .buckets()
            .filter_map(|(bound, _)| bound)
            .collect();
        assert_eq!(bounds.len(), BOUNDS);
        assert_eq!(bounds[0], Duration::from_nanos(262_144));
        assert_eq!(bounds[BOUNDS - 1], Duration::from_nanos(8_589_934_592));
        let mut times = vec![0, 1, u64::MAX];
        for bound in &bounds {
            let at = bound.as_nanos() as u64;
            times.extend([at - 1, at, at + 1]);
        }
        for time in times {
            let mut one = AnswerTimes::default();
            one.took(Time::ZERO, Time::from_nanos(time));
            let found = one.buckets().find(|(_, count)| *count == 1);
            let within = |bound: &Duration| Duration::from_nanos(time) <= *bound;
            let wanted = bounds.iter().copied().find(within);
            assert_eq!(found, Some((wanted, 1)), "{time}");
        }
    }

    #[test]
    fn times_and_their_counts_add_up() {
        let mut both = AnswerTimes::default();
        let start = Time::from_nanos(7);
        both.took(start, start + Duration::from_millis(3));
        both += &both.clone();
        both.took(start, start + Duration::from_secs(60));
        assert_eq!(both.count(), 3);
        assert_eq!(both.sum(), Duration::from_millis(60_006));
    }
}
