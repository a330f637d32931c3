//! A question in flight: its bytes, who waits for its answer, and what was tried so far.

use super::LinkKey;
use super::cache::{Cache, Key};
use super::client::Client;
use super::time::Time;
use crate::wire::{self, ClientEdns, Query, Reply};
use slotmap::new_key_type;
use std::time::Duration;

new_key_type! {
    /// Names a question in flight. A key is never used twice.
    pub struct FlightKey;
}

/// How often a question may be sent in all: once, and again because a link was stale, to another upstream, or without EDNS.
pub const MAX_SENDS: u8 = 3;

/// Connects that one question may cost: with every upstream down, one client must not become a storm of handshakes.
pub const MAX_CONNECTS: u8 = 3;

/// With an answer out of date at hand, a fresh one is waited for so long (RFC 8767 section 5 recommends 1.8 s).
pub const STALE_AFTER: Duration = Duration::from_millis(1_800);

/// Somebody who waits for the answer.
pub struct Waiter {
    pub client: Client,
    /// The id of the client's own query.
    pub id: u16,
    pub rd: bool,
    pub edns: Option<ClientEdns>,
    /// Octets that fit on the way back.
    pub limit: usize,
    /// The question in this client's own letter case; `None` if it is the flight's.
    pub own_question: Option<Box<[u8]>>,
}

impl Waiter {
    /// The client's side of a query that came in.
    pub fn new(message: &[u8], query: &Query, client: Client, udp_payload: u16) -> Self {
        let edns = query.opt.map(|opt| ClientEdns::of(message, &opt));
        Self {
            client,
            id: query.header.id,
            rd: query.header.flags.rd(),
            edns,
            limit: size_limit(client, edns.as_ref(), udp_payload),
            own_question: None,
        }
    }

    /// How an answer to it has to look.
    pub fn reply<'a>(&'a self, flight_question: &'a [u8]) -> Reply<'a> {
        Reply {
            id: self.id,
            question: self.own_question.as_deref().unwrap_or(flight_question),
            rd: self.rd,
            edns: self.edns,
            limit: self.limit,
        }
    }
}

/// What fits on the way back: 512 octets in a datagram without EDNS (RFC 1035 section 4.2.1), with it what the client
/// offers but no more than the cap; the length prefix's own bound on a stream.
pub fn size_limit(client: Client, edns: Option<&ClientEdns>, udp_payload: u16) -> usize {
    if !client.is_datagram() {
        return usize::from(u16::MAX);
    }
    edns.map_or(512, |edns| usize::from(edns.udp_size.min(udp_payload)))
}

/// A question that was accepted and is not answered yet.
pub struct Flight {
    /// The query as the first client sent it.
    pub message: Vec<u8>,
    pub query: Query,
    /// Of its key in the cache. By it other clients' identical questions find this one; without it none may join.
    pub hash: Option<u64>,
    /// Most questions have one waiter; one that is asked beforehand has none.
    pub first: Option<Waiter>,
    pub more: Vec<Waiter>,
    pub arrived: Time,
    pub deadline: Time,
    /// When another upstream is asked, too.
    pub elsewhere_at: Option<Time>,
    /// When its waiters get an answer out of date.
    pub stale_at: Option<Time>,
    /// When it is later than nearly all others.
    pub hedge_at: Option<Time>,
    /// The upstream that it should go to first, by the policy.
    pub preferred: usize,
    /// Connects that were begun for it.
    pub connects: u8,
    /// Where it was sent and not yet answered.
    pub places: [Option<Place>; MAX_SENDS as usize],
    pub sends: u8,
    /// Upstreams that were asked, a bit each.
    pub tried: u64,
    /// Upstreams that shall not be asked (again), a bit each.
    pub exclude: u64,
    /// In which queue of those that wait for a link it is: that of its `exclude` at the time.
    pub queued: Option<u64>,
    pub tries: Tries,
    /// An answer that is better than none, if the last try brings no other.
    pub fallback: Option<Vec<u8>>,
}

/// Which of the ways to try again a question has had. Each is had once.
#[derive(Clone, Copy, Default)]
pub struct Tries {
    /// Sent again because its link was lost.
    pub resent: bool,
    /// Sent to another upstream because the first did not help.
    pub elsewhere: bool,
    /// Asked without EDNS.
    pub plain: bool,
}

impl Flight {
    /// The question's bytes: name, type, class.
    pub fn question(&self) -> &[u8] {
        self.message
            .get(wire::HEADER_LEN..self.query.question.end())
            .unwrap_or_default()
    }

    /// Everybody who waits.
    pub fn waiters(&self) -> impl Iterator<Item = &Waiter> {
        self.first.iter().chain(&self.more)
    }

    /// Is it the same datagram as one of those who wait have sent?
    pub fn is_awaited_by(&self, waiter: &Waiter) -> bool {
        let same = |other: &Waiter| other.client == waiter.client && other.id == waiter.id;
        waiter.client.is_datagram() && self.waiters().any(same)
    }

    /// Its key in the cache, if it has one.
    pub fn key(&self, cache: &Cache) -> Option<Key> {
        cache.key_again(&self.message, &self.query, self.hash?)
    }

    /// Nobody waits any more, or has ever waited.
    pub fn take_waiters(&mut self) -> impl Iterator<Item = Waiter> + use<> {
        let more = std::mem::take(&mut self.more);
        self.first.take().into_iter().chain(more)
    }

    /// When something has to be done about it.
    pub fn alarm(&self) -> Time {
        [self.elsewhere_at, self.stale_at, self.hedge_at]
            .into_iter()
            .flatten()
            .fold(self.deadline, Time::min)
    }

    /// On a link now, so that an answer may come?
    pub fn placed(&self) -> bool {
        self.places.iter().any(Option::is_some)
    }

    /// On this link now?
    pub fn is_on(&self, link: LinkKey) -> bool {
        self.places.iter().flatten().any(|place| place.link == link)
    }

    /// Notes that it was sent.
    pub fn place(&mut self, place: Place, upstream: usize) {
        if let Some(free) = self.places.iter_mut().find(|place| place.is_none()) {
            *free = Some(place);
        }
        self.sends += 1;
        self.tried |= bit(upstream);
        self.queued = None;
    }

    /// Notes that nothing more comes from this link.
    pub fn leave(&mut self, link: LinkKey) -> Option<Place> {
        let there = |place: &Option<Place>| place.as_ref().is_some_and(|p| p.link == link);
        self.places.iter_mut().find(|place| there(place))?.take()
    }
}

/// Where and how a question was sent. At most one place is on one link.
#[derive(Clone, Copy)]
pub struct Place {
    pub link: LinkKey,
    pub id: u16,
    pub sent_at: Time,
    /// With the client's OPT record, if there is one.
    pub edns: bool,
    /// To see whether a bound that was learned is one.
    pub probes: bool,
    /// With the question of how long an idle connection is kept.
    pub keepalive: bool,
}

/// An upstream's bit in the sets above, which have room for [`Config::MAX_UPSTREAMS`](crate::Config::MAX_UPSTREAMS). What is no upstream
/// has none.
pub const fn bit(upstream: usize) -> u64 {
    if upstream < 64 { 1 << upstream } else { 0 }
}
