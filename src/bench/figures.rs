//! Figures from times. Pure.

use std::time::Duration;

/// Into how many parts the queries are cut at most, to show when responses were lost.
pub const PARTS: usize = 20;

/// Times of the same thing, done several times.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// One more.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The time that so many of a hundred do not exceed: one of those that were measured (nearest rank).
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

/// What became of one query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// NOERROR or NXDOMAIN, after this time.
    Answered(Duration),
    /// A response with another code.
    Failed,
    /// No response.
    Lost,
}

/// How many of the queries had no response, in up to [`PARTS`] parts of equal length: of how many each.
pub fn lost_over_time(outcomes: &[Outcome]) -> Vec<(usize, usize)> {
    let parts = PARTS.min(outcomes.len());
    let cut = |part: usize| {
        (outcomes.len() * part)
            .checked_div(parts)
            .unwrap_or_default()
    };
    let all = (0..parts).map(|part| outcomes.get(cut(part)..cut(part + 1)).unwrap_or_default());
    let lost = |part: &[Outcome]| part.iter().filter(|it| **it == Outcome::Lost).count();
    all.map(|part| (lost(part), part.len())).collect()
}

/// The same as a line of marks: `.` for none, `o` for some, `X` for all.
pub fn line_of_losses(outcomes: &[Outcome]) -> String {
    let mark = |(lost, of): (usize, usize)| match lost {
        0 => '.',
        lost if lost == of => 'X',
        _ => 'o',
    };
    lost_over_time(outcomes).into_iter().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let mut times = Times::default();
        assert_eq!((times.percentile(50), times.len()), (None, 0));
        for millis in (1..=100).rev() {
            times.push(Duration::from_millis(millis));
        }
        for (percent, millis) in [(0, 1), (1, 1), (50, 50), (99, 99), (100, 100)] {
            let expected = Some(Duration::from_millis(millis));
            assert_eq!(times.percentile(percent), expected, "{percent}");
        }
        let mut three = Times::default();
        for millis in [7, 9, 8] {
            three.push(Duration::from_millis(millis));
        }
        assert_eq!(three.percentile(50), Some(Duration::from_millis(8)));
        assert_eq!(three.percentile(99), Some(Duration::from_millis(9)));
    }

    #[test]
    fn losses_are_shown_where_they_were() {
        let good = Outcome::Answered(Duration::ZERO);
        let mut outcomes = vec![good; 100];
        outcomes[0] = Outcome::Lost;
        outcomes[95..].fill(Outcome::Lost);
        outcomes[50] = Outcome::Failed;
        assert_eq!(line_of_losses(&outcomes), "o..................X");
        assert_eq!(lost_over_time(&outcomes)[19], (5, 5));
        assert_eq!(line_of_losses(&[good, Outcome::Lost]), ".X");
        assert_eq!(line_of_losses(&[]), "");
        let sum: usize = lost_over_time(&[Outcome::Lost; 33])
            .iter()
            .map(|it| it.1)
            .sum();
        assert_eq!(sum, 33);
    }
}
