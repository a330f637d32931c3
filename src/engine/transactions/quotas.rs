//! Whose queries are in flight: how many each client has, who has most of all, and which of its queries is the oldest. At a bound
//! that one gives way, so that a client with few queries always finds room.
//!
//! A query counts one for each [`UNIT`] of octets that it may hold, so that one bound is a bound on both. While so few are in flight
//! that nobody can be over a bound, they are only counted: who has how many is found out when it begins to matter.

use crate::engine::client::Client;
use crate::engine::failure::Failure;
use crate::engine::keys::TransactionKey;
use crate::engine::recorder::Crowd;
use crate::engine::time::Time;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Octets of one query: the message, as it came and on its way, and what is noted beside it.
pub const UNIT: usize = 2_048;
/// A query gives way to one of an equal only after it had so long: most are answered by then. Otherwise a flood would push itself
/// through, and every query of it would be asked upstream.
const FAIR_TIME: Duration = Duration::from_millis(200);

/// What a message of so many octets counts.
pub fn units(octets: usize) -> usize {
    1 + octets / UNIT
}

/// A client's query in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub transaction: TransactionKey,
    pub units: usize,
    pub since: Time,
}

/// Whether there is room for one query more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Free,
    /// After this query is given up, which nobody waits for.
    InsteadOfIdle(TransactionKey),
    /// After this client's query is given up: its number, and why.
    InsteadOf(TransactionKey, u64, Failure),
    None(Failure),
}

/// One client's queries by number, which is their order.
#[derive(Debug, Default)]
struct Of {
    units: usize,
    queries: BTreeMap<u64, Asked>,
}

/// Who has how many.
#[derive(Debug, Default)]
struct Index {
    clients: BTreeMap<u128, Of>,
    /// The heaviest last; among equals the one whose oldest query is older.
    ranks: BTreeSet<(usize, Reverse<u64>, u128)>,
}

/// The bounds on queries in flight, and how far they are used.
#[derive(Debug)]
pub struct Quotas {
    most: usize,
    per_client: usize,
    units: usize,
    waiting: usize,
    next: u64,
    /// Queries in flight that nobody waits for, and what they count.
    idle: BTreeMap<u64, (TransactionKey, usize)>,
    index: Option<Box<Index>>,
}

impl Of {
    fn rank(&self, account: u128) -> (usize, Reverse<u64>, u128) {
        let oldest = self.queries.keys().next().copied().unwrap_or_default();
        (self.units, Reverse(oldest), account)
    }
}

impl Index {
    fn change(&mut self, account: u128, change: impl FnOnce(&mut Of)) {
        let of = self.clients.entry(account).or_default();
        self.ranks.remove(&of.rank(account));
        change(of);
        if of.queries.is_empty() {
            self.clients.remove(&account);
        } else {
            let rank = of.rank(account);
            self.ranks.insert(rank);
        }
    }

    fn oldest_of(&self, account: u128) -> Option<(u64, Asked)> {
        let first = self.clients.get(&account)?.queries.iter().next()?;
        Some((*first.0, *first.1))
    }
}

impl Quotas {
    /// Nobody has asked yet.
    pub fn new(most: usize, per_client: usize) -> Self {
        Self {
            most,
            per_client,
            units: 0,
            waiting: 0,
            next: 0,
            idle: BTreeMap::new(),
            index: None,
        }
    }

    /// Other bounds hold from now on. Where there are more already, they stay until another query needs room.
    pub fn set_bounds(&mut self, most: usize, per_client: usize) {
        (self.most, self.per_client) = (most, per_client);
    }

    /// Queries that wait for an answer.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Queries in flight that nobody waits for.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Is there room in all, without giving up anything?
    pub fn has_room(&self, units: usize) -> bool {
        self.units + units <= self.most
    }

    /// With fewer in all, nobody is over a bound.
    fn harmless(&self) -> usize {
        self.most.min(self.per_client)
    }

    /// Is one query more within all bounds, whosever it is?
    pub fn surely_fits(&self, units: usize) -> bool {
        self.units + units <= self.harmless()
    }

    /// Is it known who has how many?
    pub fn is_watching(&self) -> bool {
        self.index.is_some()
    }

    /// From now on it is noted who has how many, beginning with those that are in flight already.
    pub fn watch(&mut self, all: impl Iterator<Item = (u128, u64, Asked)>) {
        let mut index = Box::<Index>::default();
        for (account, number, asked) in all {
            index.change(account, |of| of.add(number, asked));
        }
        self.index = Some(index);
    }

    /// A client's query is accepted. Gives its number.
    pub fn enter(&mut self, units: usize) -> u64 {
        self.units += units;
        self.waiting += 1;
        self.next += 1;
        self.next
    }

    /// Notes whose it is, while that is of interest.
    pub fn note(&mut self, client: &Client, number: u64, asked: Asked) {
        if let Some(index) = &mut self.index {
            index.change(client.account(), |of| of.add(number, asked));
        }
    }

    /// A query that was accepted has its answer.
    pub fn leave(&mut self, client: &Client, number: u64, units: usize) {
        debug_assert!(self.waiting > 0 && self.units >= units, "nobody waits");
        self.units = self.units.saturating_sub(units);
        self.waiting = self.waiting.saturating_sub(1);
        let calm = self.units < self.harmless() / 2;
        if let Some(index) = &mut self.index {
            index.change(client.account(), |of| of.remove(number));
            if calm {
                self.index = None;
            }
        }
    }

    /// Nobody waits for a query that is in flight. Gives the number that it is known by.
    pub fn rest(&mut self, transaction: TransactionKey, units: usize) -> u64 {
        self.units += units;
        self.next += 1;
        self.idle.insert(self.next, (transaction, units));
        self.next
    }

    /// Somebody waits for it again, or it is over.
    pub fn wake(&mut self, number: u64) {
        if let Some((_, units)) = self.idle.remove(&number) {
            self.units = self.units.saturating_sub(units);
        }
    }

    /// Is there room for this client's query? [`Quotas::watch`] was called before.
    pub fn room(&self, client: &Client, units: usize, now: Time) -> Room {
        let Some(index) = &self.index else {
            return Room::Free;
        };
        let had_its_time = |asked: &Asked| now.since(asked.since) >= FAIR_TIME;
        let account = client.account();
        let own = units + index.clients.get(&account).map_or(0, |of| of.units);
        if client.is_bounded() && own > self.per_client {
            let why = Failure::TooManyOfClient;
            return match index.oldest_of(account) {
                Some((number, asked)) if had_its_time(&asked) => {
                    Room::InsteadOf(asked.transaction, number, why)
                }
                _ => Room::None(why),
            };
        }
        if self.has_room(units) {
            return Room::Free;
        }
        if let Some((transaction, _)) = self.idle.values().next() {
            return Room::InsteadOfIdle(*transaction);
        }
        let why = Failure::TooMany;
        let Some((heaviest, _, whose)) = index.ranks.last().copied() else {
            return Room::None(why);
        };
        let victim = if own <= heaviest { whose } else { account };
        match index.oldest_of(victim) {
            Some((number, asked)) if own < heaviest || had_its_time(&asked) => {
                Room::InsteadOf(asked.transaction, number, why)
            }
            _ => Room::None(why),
        }
    }

    /// How many queries are in flight beside one that is refused or gave way; `own` is what that has left behind.
    pub fn crowd(&self, client: &Client, own: usize) -> Crowd {
        let index = self.index.as_deref();
        let of = |account| index.and_then(|index| index.clients.get(&account));
        Crowd {
            in_flight: self.units + own,
            of_client: of(client.account()).map_or(0, |of| of.units) + own,
            clients: index.map_or(0, |index| index.clients.len()),
        }
    }

    /// Is nothing in flight?
    pub fn is_empty(&self) -> bool {
        self.units == 0 && self.waiting == 0 && self.idle.is_empty()
    }
}

impl Of {
    fn add(&mut self, number: u64, asked: Asked) {
        self.units += asked.units;
        self.queries.insert(number, asked);
    }

    fn remove(&mut self, number: u64) {
        if let Some(asked) = self.queries.remove(&number) {
            self.units -= asked.units;
        }
    }
}
