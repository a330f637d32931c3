//! The queries that failed lately, for whoever asks why one did. Nothing is noted unless somebody may ask
//! ([`Forwarder::remember_failures`](super::Forwarder::remember_failures)), and nothing at all for a query that succeeds.

use super::failure::Explanation;
use super::recorder::FailureId;
use super::remedies;
use super::time::{Now, Time};
use super::upstream_set::UpstreamSet;
use crate::wire::{self, Ede, Query, QuestionAt, Rcode};
use std::collections::VecDeque;
use std::time::Duration;

/// Failures that are remembered: with names and reasons of usual length 30 KB, with the longest ones 70 KB.
const MOST: usize = 128;
/// Queries that were refused at once and are remembered. A flood of these does not make forget why upstreams fail.
const MOST_REFUSED: usize = 32;
/// Octets of a reason that are kept: as many as one of ours has at most.
const MAX_TEXT: usize = 216;

/// One of them, as it is kept.
struct Failed {
    /// The name in lower case, type and class.
    question: Box<[u8]>,
    at: Time,
    what: What,
    tried: UpstreamSet,
}

/// What happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct What {
    took: Duration,
    sends: u8,
    rcode: Rcode,
    code: Option<u16>,
    text: Box<str>,
    id: Option<FailureId>,
    served_stale: bool,
}

/// A query that failed lately.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FailedQuery {
    /// How long ago that was.
    pub ago: Duration,
    /// How long its client had waited then.
    pub took: Duration,
    /// The type that was asked for.
    pub qtype: u16,
    /// The response code that its clients got, unless [`served_stale`](Self::served_stale).
    pub rcode: Rcode,
    /// Whether its clients got what the cache had instead.
    pub served_stale: bool,
    /// The code of the extended error (RFC 8914), if there is one.
    pub code: Option<u16>,
    /// The text of it.
    pub text: String,
    /// What to do about it, if that is known.
    pub remedy: Option<&'static str>,
    /// How often the query was sent.
    pub sends: u8,
    /// The name of its record, where failures are recorded.
    pub id: Option<FailureId>,
    /// The labels of the upstreams that it was sent to, as far as they are configured still.
    pub tried: Vec<String>,
}

/// The last failures.
#[derive(Default)]
pub struct FailedQueries {
    is_on: bool,
    /// The oldest first.
    ring: VecDeque<Failed>,
    /// Those that were refused at once, the oldest first.
    refused: VecDeque<Failed>,
}

/// A query that fails now.
pub struct Failing<'a> {
    pub message: &'a [u8],
    pub question: &'a QuestionAt,
    pub arrived: Time,
    pub sends: u8,
    pub tried: UpstreamSet,
    /// Whether the cache has an answer that is served instead.
    pub served_stale: bool,
    pub id: Option<FailureId>,
}

impl<'a> Failing<'a> {
    /// One that has just arrived.
    pub fn at_once(message: &'a [u8], query: &'a Query, id: Option<FailureId>, now: Now) -> Self {
        Self {
            message,
            question: &query.question,
            arrived: now.mono,
            sends: 0,
            tried: UpstreamSet::EMPTY,
            id,
            served_stale: false,
        }
    }
}

impl FailedQueries {
    /// From now on failures are noted.
    pub fn remember(&mut self) {
        self.is_on = true;
    }

    /// Whether they are.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// A query fails, with this response code and extended error. The oldest failure is forgotten for it if need be.
    pub fn note(&mut self, failing: &Failing<'_>, rcode: Rcode, why: Option<Ede<'_>>, now: Now) {
        if !self.is_on {
            return;
        }
        push(&mut self.ring, MOST, failing, (rcode, why), now);
    }

    /// A query is refused at once, or to make room for another.
    pub fn note_refused(&mut self, failing: &Failing<'_>, why: &Explanation, now: Now) {
        if self.is_on {
            let why = (why.rcode, Some(why.ede()));
            push(&mut self.refused, MOST_REFUSED, failing, why, now);
        }
    }

    /// The numbers of upstreams stand for others from now on, or may.
    pub fn forget_upstreams(&mut self) {
        for failed in self.ring.iter_mut().chain(&mut self.refused) {
            failed.tried = UpstreamSet::EMPTY;
        }
    }

    /// Those for the name of this question, the latest first. `label` names upstreams.
    pub fn of(
        &self,
        message: &[u8],
        question: &QuestionAt,
        label: impl Fn(UpstreamSet) -> Vec<String>,
        now: Now,
    ) -> Vec<FailedQuery> {
        let name = question.name(message);
        let all = self.ring.iter().chain(&self.refused);
        let found = all.filter_map(|failed| {
            let (of, fixed) = failed.question.split_at_checked(name.len())?;
            let [high, low, _, _] = *fixed else {
                return None;
            };
            of.eq_ignore_ascii_case(name).then(|| {
                let What {
                    took,
                    sends,
                    rcode,
                    code,
                    text,
                    id,
                    served_stale,
                } = failed.what.clone();
                FailedQuery {
                    ago: now.mono.since(failed.at),
                    took,
                    qtype: u16::from_be_bytes([high, low]),
                    rcode,
                    served_stale,
                    code,
                    remedy: remedies::what_to_do(rcode, code, &text),
                    text: text.into(),
                    sends,
                    id,
                    tried: label(failed.tried),
                }
            })
        });
        let mut found: Vec<FailedQuery> = found.collect();
        // Those that came last come first, also among those of one moment.
        found.reverse();
        found.sort_by_key(|failure| failure.ago);
        found
    }
}

/// One failure more. The oldest is forgotten for it if need be.
fn push(
    ring: &mut VecDeque<Failed>,
    most: usize,
    failing: &Failing<'_>,
    (rcode, why): (Rcode, Option<Ede<'_>>),
    now: Now,
) {
    if ring.len() >= most {
        ring.pop_front();
    }
    let mut question = Vec::new();
    wire::lowercase_into(failing.message, failing.question, &mut question);
    let text = why.map_or("", |why| why.text);
    let mut ends = (0..=MAX_TEXT.min(text.len())).rev();
    let end = ends.find(|&at| text.is_char_boundary(at));
    ring.push_back(Failed {
        question: question.into(),
        at: now.mono,
        what: What {
            took: now.mono.since(failing.arrived),
            sends: failing.sends,
            rcode,
            code: why.map(|why| why.code),
            text: text.get(..end.unwrap_or(0)).unwrap_or_default().into(),
            id: failing.id,
            served_stale: failing.served_stale,
        },
        tried: failing.tried,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::failure::Failure;
    use crate::wire::testing;

    fn at(seconds: u64) -> Now {
        let mono = Time::ZERO + Duration::from_secs(seconds);
        Now { mono, boot: mono }
    }

    fn note(failures: &mut FailedQueries, name: &str, qtype: u16, text: &str, now: u64) {
        let message = testing::query(name, qtype).build();
        let query = wire::parse_query(&message).unwrap();
        let failing = Failing {
            message: &message,
            question: &query.question,
            arrived: at(now - 1).mono,
            sends: 2,
            tried: UpstreamSet::of(1),
            id: None,
            served_stale: false,
        };
        let why = Ede::NETWORK_ERROR.with_text(text);
        failures.note(&failing, Rcode::SERVFAIL, Some(why), at(now));
    }

    fn of(failures: &FailedQueries, name: &str, now: u64) -> Vec<FailedQuery> {
        let message = testing::query(name, 1).build();
        let query = wire::parse_query(&message).unwrap();
        let label = |set: UpstreamSet| {
            let known = set.contains(1).then(|| "quad9".to_owned());
            known.into_iter().collect()
        };
        failures.of(&message, &query.question, label, at(now))
    }

    #[test]
    fn the_failures_of_a_name_are_told_the_latest_first() {
        let mut failures = FailedQueries::default();
        note(&mut failures, "a.test.", 1, "before it is on", 5);
        assert!(of(&failures, "a.test.", 6).is_empty());
        failures.remember();
        note(&mut failures, "a.test.", 1, "first", 10);
        note(&mut failures, "b.test.", 1, "another name", 11);
        note(&mut failures, "A.Test.", 28, "second", 12);
        let found = of(&failures, "a.TEST.", 20);
        let told = |one: &FailedQuery| (one.ago.as_secs(), one.qtype, one.text.clone());
        let told: Vec<_> = found.iter().map(told).collect();
        assert_eq!(told, [(8, 28, "second".into()), (10, 1, "first".into())]);
        let FailedQuery {
            took,
            rcode,
            code,
            sends,
            ..
        } = found[0];
        assert_eq!((took.as_secs(), rcode, sends), (1, Rcode::SERVFAIL, 2));
        assert_eq!(
            (code, &*found[0].tried),
            (Some(23), &["quad9".to_owned()][..])
        );
        failures.forget_upstreams();
        assert!(of(&failures, "a.test.", 20)[0].tried.is_empty());
        assert!(of(&failures, "test.", 20).is_empty());
    }

    // fault 175
    #[test]
    fn a_flood_of_refused_queries_leaves_the_failures_of_upstreams() {
        let mut failures = FailedQueries::default();
        failures.remember();
        note(&mut failures, "a.test.", 1, "an upstream's", 5);
        let message = testing::query("a.test.", 1).build();
        let query = wire::parse_query(&message).unwrap();
        let why = Failure::TooMany.explain(std::iter::empty());
        for _ in 0..1_000 {
            let failing = Failing::at_once(&message, &query, None, at(6));
            failures.note_refused(&failing, &why, at(6));
        }
        let found = of(&failures, "a.test.", 7);
        assert_eq!(found.len(), MOST_REFUSED + 1);
        assert_eq!(found[0].text, "too many queries in flight");
        assert!(found[0].remedy.is_some() && found[0].tried.is_empty());
        assert_eq!(found[MOST_REFUSED].text, "an upstream's", "the oldest");
    }

    #[test]
    fn they_are_bounded_in_number_and_in_text() {
        let mut failures = FailedQueries::default();
        failures.remember();
        let long = "\u{e4}".repeat(300);
        for number in 0..=MOST {
            let name = format!("n{number}.test.");
            note(&mut failures, &name, 1, &long, 10 + number as u64);
        }
        assert_eq!(failures.ring.len(), MOST);
        assert!(of(&failures, "n0.test.", 999).is_empty(), "the oldest");
        let newest = of(&failures, &format!("n{MOST}.test."), 999);
        assert_eq!(newest[0].text, "\u{e4}".repeat(MAX_TEXT / 2));
    }
}
