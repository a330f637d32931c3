//! What the other ends do: each connect, sending and look-up gets what was recorded of one of its upstream, in order; then the last that is known.

use super::file::{Attempt, Came, File, Moment, What};
use dotward::transport::{ConnectError, ConnectionError};
use std::collections::{BTreeMap, VecDeque};

/// A connect that takes longer was given up by who made it.
const MAX_CONNECT: Moment = 30_000_000_000;
/// How long something takes of which the record does not say.
const SOON: Moment = 20_000_000;

/// A connection of the record.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    pub number: u64,
    pub upstream: u64,
    /// Whether it is kept from most queries.
    pub is_isolated: bool,
    /// When its connect began, if that is known.
    pub begun: Option<Moment>,
    pub early: Option<Moment>,
    /// When it came up, and whether it has streams.
    pub up: Option<(Moment, bool)>,
    pub failed: Option<(Moment, ConnectError)>,
    pub lost: Option<(Moment, ConnectionError, u64)>,
    pub closed: Option<Moment>,
    pub limits: Vec<(Moment, usize)>,
    /// When messages came that answer no query.
    pub unmatched: Vec<Moment>,
    /// Responses that came on it, as far as is known.
    pub answered: u64,
}

impl Connection {
    /// When it ended.
    pub fn ended(&self) -> Option<Moment> {
        let failed = self.failed.as_ref().map(|(at, _)| *at);
        let lost = self.lost.as_ref().map(|(at, ..)| *at);
        failed.or(lost).or(self.closed)
    }

    /// Whether it could be used when the query came.
    pub fn was_up(&self) -> bool {
        self.up.is_some_and(|(at, _)| at <= 0) && self.ended().is_none_or(|at| at > 0)
    }

    /// When it begins to be what the record knows of it.
    pub fn first(&self) -> Moment {
        let up = self.up.map(|(at, _)| at);
        self.begun.or(up).or(self.ended()).unwrap_or_default()
    }

    /// Whether a connect to it would end, and after how long.
    fn takes(&self) -> Option<Moment> {
        let begun = self.begun?;
        let end = self.up.map(|(at, _)| at);
        let end = end.or(self.failed.as_ref().map(|(at, _)| *at))?;
        Some((end - begun).clamp(0, MAX_CONNECT))
    }
}

/// What is to happen.
#[derive(Default)]
pub struct Plan {
    /// Connects that begin after the query came, by upstream.
    pub connects: BTreeMap<u64, VecDeque<Connection>>,
    /// How the last connect to an upstream ended that has ended.
    latest: BTreeMap<u64, Connection>,
    attempts: BTreeMap<u64, VecDeque<Attempt>>,
    last_attempt: BTreeMap<u64, Attempt>,
    lookups: BTreeMap<u64, VecDeque<Lookup>>,
    /// Connections by number.
    pub connections: Vec<Connection>,
    /// Until then nothing is known of an upstream that matters: the machine was suspended then, or the upstream answered.
    pub since: BTreeMap<u64, Moment>,
    pub resumes: Vec<Moment>,
}

/// After how long a look-up ends, and with how many addresses.
pub type Lookup = (Moment, Result<usize, ConnectError>);

impl Plan {
    /// That of a record.
    pub fn of(file: &File) -> Self {
        let mut plan = Self {
            connections: connections(file),
            ..Self::default()
        };
        let resumes = file.events.iter();
        let resumes = resumes.filter(|event| matches!(event.what, What::Resumed));
        plan.resumes = resumes.map(|event| event.at).collect();
        let latest = plan.resumes.iter().filter(|at| **at <= 0).max().copied();
        for upstream in &file.upstreams {
            let answered = upstream.answered.filter(|at| *at <= 0);
            if let Some(at) = answered.max(latest) {
                plan.since.insert(upstream.number, at);
            }
        }
        for connection in &plan.connections {
            let of = connection.upstream;
            if connection.begun.is_some_and(|at| at > 0) {
                let connects = plan.connects.entry(of).or_default();
                connects.push_back(connection.clone());
            }
            if connection.up.is_some() || connection.failed.is_some() {
                plan.latest.insert(of, connection.clone());
            }
        }
        for attempt in &file.attempts {
            let of = attempt.upstream;
            let attempts = plan.attempts.entry(of).or_default();
            attempts.push_back(attempt.clone());
            plan.last_attempt.insert(of, attempt.clone());
        }
        let mut begun = BTreeMap::new();
        for event in &file.events {
            match &event.what {
                What::Lookup => drop(begun.insert(event.upstream, event.at)),
                What::LookedUp(found) => {
                    let since = begun.remove(&event.upstream).unwrap_or(event.at);
                    let lookups = plan.lookups.entry(event.upstream).or_default();
                    lookups.push_back((event.at - since, found.clone()));
                }
                _ => {}
            }
        }
        plan
    }

    /// The connection that one more connect to this upstream becomes.
    pub fn next_connect(&mut self, upstream: u64) -> Connection {
        let recorded = self.connects.get_mut(&upstream);
        let recorded = recorded.and_then(VecDeque::pop_front);
        recorded.unwrap_or_else(|| {
            let latest = self.latest.get(&upstream).cloned().unwrap_or_default();
            Connection {
                number: 0,
                lost: None,
                closed: None,
                limits: Vec::new(),
                unmatched: Vec::new(),
                ..latest
            }
        })
    }

    /// What comes of it, and after how long. `None`: nothing.
    pub fn outcome(of: &Connection) -> Option<(Moment, Result<bool, ConnectError>)> {
        let takes = of.takes().unwrap_or(SOON);
        match (&of.failed, of.up) {
            (Some((_, why)), _) => Some((takes, Err(why.clone()))),
            (None, Some((_, streams))) => Some((takes, Ok(streams))),
            (None, None) => None,
        }
    }

    /// What comes of one more sending to this upstream, and after how long.
    pub fn next_attempt(&mut self, upstream: u64) -> (Moment, Came) {
        let recorded = self.attempts.get_mut(&upstream);
        let recorded = recorded.and_then(VecDeque::pop_front);
        let attempt = recorded.or_else(|| self.last_attempt.get(&upstream).cloned());
        attempt.map_or((0, Came::Nothing), |it| (it.until - it.at, it.came))
    }

    /// Why the connection of an attempt ended, if not because of the core.
    pub fn loss(&self, attempt_until: Moment, upstream: u64) -> Option<ConnectionError> {
        let of = self.connections.iter().filter(|it| it.upstream == upstream);
        let mut lost = of.filter_map(|it| it.lost.as_ref());
        let same = lost.find(|(at, ..)| *at == attempt_until);
        match same {
            Some((_, why, _)) if *why != ConnectionError::Silent => Some(why.clone()),
            _ => None,
        }
    }

    /// How the next look-up of this upstream ends.
    pub fn next_lookup(&mut self, upstream: u64, known: usize) -> Lookup {
        let Some(lookups) = self.lookups.get_mut(&upstream) else {
            return (SOON, Ok(known));
        };
        match lookups.len() {
            0 => (SOON, Ok(known)),
            1 => lookups.front().cloned().unwrap_or((SOON, Ok(known))),
            _ => lookups.pop_front().unwrap_or((SOON, Ok(known))),
        }
    }
}

/// All connections that a record speaks of, in the order in which they began.
fn connections(file: &File) -> Vec<Connection> {
    let mut all: BTreeMap<u64, Connection> = BTreeMap::new();
    let mut of = |number: u64, upstream: u64| -> Connection {
        all.remove(&number).unwrap_or(Connection {
            number,
            upstream,
            ..Connection::default()
        })
    };
    let mut done = BTreeMap::new();
    for event in &file.events {
        if let What::Resumed = event.what {
            for connection in done.values_mut() {
                let connection: &mut Connection = connection;
                if connection.ended().is_none() {
                    connection.closed = Some(event.at);
                }
            }
        }
        if event.connection == u64::MAX {
            continue;
        }
        let fresh = of(event.connection, event.upstream);
        let one = done.entry(event.connection).or_insert(fresh);
        let at = event.at;
        match &event.what {
            What::Connect { isolated } => {
                (one.begun, one.is_isolated) = (Some(at), *isolated);
            }
            What::Early => one.early = Some(at),
            What::Connected { streams } => one.up = Some((at, *streams)),
            What::ConnectFailed(why) => one.failed = Some((at, why.clone())),
            What::Lost(why, answered) => {
                one.lost = Some((at, why.clone(), *answered));
                one.answered = *answered;
            }
            What::Closed => one.closed = Some(at),
            What::Limited(most) => one.limits.push((at, *most)),
            What::Unmatched => one.unmatched.push(at),
            What::Lookup | What::LookedUp(_) | What::Resumed | What::Other => {}
        }
        // Its beginning fell out of the record.
        if one.begun.is_none() && one.up.is_none() && one.failed.is_none() {
            one.up = Some((Moment::MIN / 4, false));
        }
    }
    for seen in &file.connections {
        let fresh = of(seen.connection, seen.upstream);
        let one: &mut Connection = done.entry(seen.connection).or_insert(fresh);
        (one.answered, one.is_isolated) = (seen.answered, seen.is_isolated);
        if seen.is_up && one.up.is_none() {
            one.up = Some((seen.since, seen.streams));
        } else if !seen.is_up && one.begun.is_none() {
            one.begun = Some(seen.since);
        }
    }
    let mut sorted: Vec<Connection> = done.into_values().collect();
    sorted.sort_by_key(|one| (one.first(), one.number));
    sorted
}
