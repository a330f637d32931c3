//! The latest failures that clients were told of, with their explanations, and without the names that were asked for.

use super::failure::{Explanation, Failure};
use super::recorder::FailureId;
use super::remedies;
use super::repeats::Repeats;
use super::time::Time;
use log::log;
use std::time::Duration;

/// Different failures that are kept. A broken upstream fails in few ways; one more makes room by the one that was seen longest ago.
const MOST: usize = 16;

/// A failure that some clients were told of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecentFailure {
    /// The reason in a word, as the metrics have it.
    pub reason: &'static str,
    /// What the clients were told (the EXTRA-TEXT of RFC 8914): which upstreams failed, and why.
    pub text: String,
    /// What to do about it, if that is known.
    pub remedy: Option<&'static str>,
    /// How many queries failed like this, while it was kept.
    pub count: u64,
    /// How long ago the last one was.
    pub ago: Duration,
    /// The name of the record of the last one, where failures are recorded.
    pub id: Option<FailureId>,
}

/// One that is kept.
struct Kept {
    failure: Failure,
    text: Box<str>,
    count: u64,
    last: Time,
    id: Option<FailureId>,
}

/// The latest failures. What is the same as an earlier one only counts, so that a flood of failures costs a comparison each.
#[derive(Default)]
pub struct RecentFailures {
    /// The newest first.
    kept: Vec<Kept>,
    /// What the log has told, of each kind.
    told: [Repeats; Failure::ALL.len()],
}

impl RecentFailures {
    /// A client was told this.
    pub fn note(&mut self, why: &Explanation, now: Time) {
        self.tell(why, now);
        let text = why.bare_text();
        let is_same = |kept: &Kept| kept.failure == why.failure && *kept.text == *text;
        if let Some(at) = self.kept.iter().position(is_same) {
            let kept = &mut self.kept[at];
            kept.count += 1;
            kept.last = now;
            kept.id = why.id();
            self.kept[..=at].rotate_right(1);
            return;
        }
        self.kept.truncate(MOST - 1);
        let kept = Kept {
            failure: why.failure,
            text: text.into(),
            count: 1,
            last: now,
            id: why.id(),
        };
        self.kept.insert(0, kept);
    }

    /// Says so in the log, unless that was said a short while ago.
    fn tell(&mut self, why: &Explanation, now: Time) {
        let told = &mut self.told[why.failure as usize];
        if let Some(untold) = told.note(why.bare_text(), now)
            && let Some((level, line)) = why.line()
        {
            log!(level, "{line}{untold}");
        }
    }

    /// All of them, the newest first.
    pub fn list(&self, now: Time) -> impl Iterator<Item = RecentFailure> {
        self.kept.iter().map(move |kept| RecentFailure {
            reason: kept.failure.reason(),
            text: kept.text.to_string(),
            remedy: remedies::of_reason(&kept.text),
            count: kept.count,
            ago: now.since(kept.last),
            id: kept.id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::Trouble;
    use super::*;

    fn because(failure: Failure, reason: &str) -> Explanation {
        let trouble = Trouble {
            label: "u",
            reason: Some(reason),
            was_asked: true,
            proxy: None,
        };
        failure.explain([trouble].into_iter())
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_the_same_counts_and_comes_first() {
        let mut failures = RecentFailures::default();
        failures.note(&because(Failure::NotConnected, "refused"), at(1));
        failures.note(&because(Failure::NotAnswered, "refused"), at(2));
        failures.note(&because(Failure::NotConnected, "refused"), at(3));
        let told = |one: RecentFailure| (one.reason, one.text, one.count, one.ago.as_secs());
        let told: Vec<_> = failures.list(at(10)).map(told).collect();
        let text = |text: &str| text.to_owned();
        assert_eq!(
            told,
            [
                ("not_connected", text("u: refused"), 2, 7),
                ("not_answered", text("u: no answer in time"), 1, 8)
            ]
        );
    }

    #[test]
    fn only_so_many_are_kept_and_the_oldest_goes() {
        let mut failures = RecentFailures::default();
        for number in 0..100 {
            let why = because(Failure::NotConnected, &format!("reason {number}"));
            failures.note(&why, at(number));
        }
        let texts: Vec<_> = failures.list(at(100)).map(|one| one.text).collect();
        assert_eq!(texts.len(), MOST);
        assert_eq!((&*texts[0], &*texts[15]), ("u: reason 99", "u: reason 84"));
    }
}
