//! Records of failures: what led to a query's failure, so that it can be told and played again. Bounded in octets, without names and clients, and
//! off unless the driver asks for it ([`Forwarder::record_failures`](super::Forwarder::record_failures)).
//!
//! Nothing is noted of a query that succeeds, and nothing at all on the way of one that is answered at its first attempt.
//!
//! - `entries`: what is noted. `ring`: where, with its bound. `id`: the name of a failure.
//! - `record`: all that belongs to one failure. `lines`: the same as a file. `story`: the same for people.

mod entries;
mod id;
mod lines;
mod record;
mod ring;
mod story;

pub use entries::{Asked, Came, Crowd, End, Event, Failed, Kind, Line, Seen, Sent, State, What};
pub use id::FailureId;
pub use record::{Known, Record, Settings};

use super::failure::{Explanation, Failure};
use super::keys::TransactionKey;
use super::time::Time;
use crate::wire::Rcode;
use entries::Entry;
use ring::Ring;
use std::time::Duration;

/// Queries that fail at once for the same reason within this time are one failure with one id: the second tells nothing that the first does not,
/// and a flood of them must not push out everything else.
const ALIKE: Duration = Duration::from_secs(1);

/// The records.
pub struct Recorder {
    events: Ring<Event>,
    queries: Ring<Entry>,
    /// The number of this loop, from 1 on, and how many there are.
    of: (usize, usize),
    count: u64,
    /// The last failure that came at once.
    last: Option<Alike>,
}

/// A failure that others may be like.
struct Alike {
    id: FailureId,
    at: Time,
    kind: Kind,
    text: Box<str>,
}

impl Recorder {
    /// One that takes so many octets: half for what happens to connections, half for queries.
    pub fn new(octets: usize, of: (usize, usize)) -> Self {
        Self {
            events: Ring::new(octets / 2),
            queries: Ring::new(octets / 2),
            of,
            count: 0,
            last: None,
        }
    }

    /// Octets that it takes.
    pub fn octets(&self) -> usize {
        self.events.octets() + self.queries.octets()
    }

    /// Something happened.
    pub fn event(&mut self, at: Time, what: What) {
        self.events.push(Event { at, what });
    }

    /// An attempt came to nothing, of a query that goes on.
    pub fn attempt(&mut self, of: TransactionKey, sent: Sent) {
        self.queries.push(Entry::Attempt(of, sent));
    }

    /// The attempts of a query that ended before it did, in their order.
    pub fn attempts(&self, of: TransactionKey) -> Vec<Sent> {
        let attempts = self.queries.iter().filter_map(|entry| match entry {
            Entry::Attempt(key, sent) if *key == of => Some(sent.clone()),
            _ => None,
        });
        attempts.collect()
    }

    /// The upstream of a connection that may have ended by now.
    pub fn line(&self, connection: super::ConnectionKey) -> Option<Line> {
        let mut lines = self.events.iter().rev().filter_map(|it| it.what.line());
        lines.find(|line| line.connection == connection)
    }

    /// The failure a moment ago that one at once is like. It counts, and has that one's id.
    pub fn alike(&mut self, kind: Kind, text: &str, at: Time) -> Option<FailureId> {
        let last = self.last.as_ref()?;
        let is_alike = last.kind == kind && *last.text == *text && at.since(last.at) < ALIKE;
        let id = is_alike.then_some(last.id)?;
        let failed = self
            .queries
            .iter_mut()
            .rev()
            .find_map(|entry| match entry {
                Entry::Failed(failed) if failed.id == id => Some(failed),
                _ => None,
            })?;
        failed.count += 1;
        Some(id)
    }

    /// A name for the next failure.
    pub fn next_id(&mut self) -> FailureId {
        let id = FailureId::new(self.count, self.of);
        self.count += 1;
        id
    }

    /// A query has failed. `at_once`: others may be like it.
    pub fn failed(&mut self, failed: Failed, at_once: bool) {
        if at_once {
            let text = failed.end.why.as_ref().map_or("", |(_, text)| text);
            self.last = Some(Alike {
                id: failed.id,
                at: failed.at,
                kind: failed.end.kind,
                text: text.into(),
            });
        }
        self.queries.push(Entry::Failed(Box::new(failed)));
    }

    /// A query failed without any attempt, at once. Gives its id.
    pub fn failed_at_once(
        &mut self,
        (kind, why): (Kind, &Explanation),
        crowd: Option<Crowd>,
        (arrived, at): (Time, Time),
        asked: impl FnOnce() -> Asked,
    ) -> FailureId {
        let text = why.bare_text();
        if let Some(id) = self.alike(kind, text, at) {
            return id;
        }
        let id = self.next_id();
        let end = End {
            kind,
            rcode: why.rcode,
            why: Some((why.ede().code, text.into())),
        };
        let failed = Failed {
            id,
            count: 1,
            arrived,
            at,
            asked: asked(),
            upstreams: Box::default(),
            route: 0,
            sent: Box::default(),
            connects: 0,
            connections: Box::default(),
            crowd,
            end,
        };
        self.failed(failed, true);
        id
    }

    /// What is known about a failure.
    pub fn find(&self, id: FailureId) -> Option<&Failed> {
        self.queries.iter().rev().find_map(|entry| match entry {
            Entry::Failed(failed) if failed.id == id => Some(&**failed),
            _ => None,
        })
    }

    /// The names of all failures, the oldest first.
    pub fn ids(&self) -> impl Iterator<Item = FailureId> {
        self.queries.iter().filter_map(|entry| match entry {
            Entry::Failed(failed) => Some(failed.id),
            Entry::Attempt(..) => None,
        })
    }

    /// What happened until then, the oldest first.
    pub fn events_until(&self, then: Time) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.at <= then)
    }

    /// Whether events fell out.
    pub fn has_forgotten(&self) -> bool {
        self.events.lost() > 0
    }
}

impl End {
    /// Of a failure here.
    pub fn of(failure: Failure, why: &Explanation) -> Self {
        Self {
            kind: Kind::Failed(failure),
            rcode: why.rcode,
            why: Some((why.ede().code, why.bare_text().into())),
        }
    }

    /// Of an upstream's error.
    pub fn relayed(rcode: Rcode, code: Option<u16>) -> Self {
        Self {
            kind: Kind::Relayed,
            rcode,
            why: code.map(|code| (code, Box::default())),
        }
    }
}
