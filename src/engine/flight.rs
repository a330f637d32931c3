//! A question in flight: its bytes, who waits for its answer, and what was tried so far.

use super::LinkKey;
use super::cache::{Cache, Key};
use super::client::Client;
use super::response::Edns;
use super::time::Time;
use crate::wire::{self, ClientEdns, Query, Reply};
use slotmap::new_key_type;
use std::collections::VecDeque;
use std::time::Duration;

new_key_type! {
    /// Names a question in flight. A key is never used twice.
    pub struct FlightKey;
}

/// How often a question may be sent again because it has to be: its connection was lost or fell silent, another upstream is asked
/// after a useless response, or the same one without EDNS.
const MAX_RECOVERIES: u8 = 3;
/// How often a question may be sent beside an attempt that is under way: because the answer is late, or to see whether an upstream
/// is healthy again. Such copies have a bound of their own, so that they never use up what recovery needs.
const MAX_COPIES: u8 = 1;
/// All attempts that one question may make.
pub const MAX_SENDS: u8 = 1 + MAX_RECOVERIES + MAX_COPIES;

/// Connects that one question may cost, beside the first one to each upstream: with every upstream down, one client must not become
/// a storm of handshakes.
const MAX_CONNECTS: u8 = 3;

/// After so many lost connections a question is asked on a connection that new questions do not use: one of those that it shared a
/// connection with may be what the upstream cannot take.
const ISOLATE_AFTER: u8 = 2;
/// After so many it is asked on a connection of its own.
const ALONE_AFTER: u8 = 3;

/// With an answer out of date at hand, a fresh one is waited for so long (RFC 8767 section 5 recommends 1.8 s).
pub const STALE_AFTER: Duration = Duration::from_millis(1_800);

/// Somebody who waits for the answer.
pub struct Waiter {
    pub client: Client,
    /// By what it is known among all that wait: the higher, the later it came.
    pub number: u64,
    /// What it counts among them.
    pub units: usize,
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
            number: 0,
            units: 1,
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
    pub more: VecDeque<Waiter>,
    /// By what it is known among those that nobody waits for.
    pub idle: Option<u64>,
    pub arrived: Time,
    pub deadline: Time,
    /// When another upstream is asked, too.
    pub elsewhere_at: Option<Time>,
    /// When its waiters get an answer out of date.
    pub stale_at: Option<Time>,
    /// The upstream that it should go to first, by the policy.
    pub preferred: usize,
    /// Connects that were begun for it.
    pub connects: u8,
    /// Upstreams that they were begun to, a bit each.
    pub connected: u64,
    /// Where it was sent and not yet answered.
    pub places: [Option<Place>; MAX_SENDS as usize],
    pub sends: u8,
    /// Of those, the ones that were copies: see [`Purpose::Copy`].
    pub copies: u8,
    /// Connections that ended while it was in flight on them.
    pub losses: u8,
    /// Other questions waited behind it for their answers: the upstream may answer in order.
    pub blocks: bool,
    /// Upstreams that were asked, a bit each.
    pub tried: u64,
    /// Upstreams that shall not be asked (again), a bit each.
    pub exclude: u64,
    /// In which queue of those that wait for a link it is.
    pub queued: Option<Queue>,
    pub tries: Tries,
    /// Upstreams that did not understand it with EDNS, a bit each: they get it without.
    pub plain: u64,
    /// Upstreams that are asked why it failed, a bit each: they get it with an OPT record of ours.
    pub explain: u64,
    /// An answer that is better than none, if the last try brings no other.
    pub fallback: Option<Vec<u8>>,
}

/// Which of the ways to try again a question has had. Each is had once.
#[derive(Clone, Copy, Default)]
pub struct Tries {
    /// Sent again to the same upstream, because its answer was of no use and there is no other upstream.
    pub repeated: bool,
}

/// Why a question is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It has no attempt under way that is likely to succeed.
    Need,
    /// It has one, and this is beside it.
    Copy,
}

/// Which connections a question may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Those that all new questions share.
    Shared,
    /// Those kept for questions that lost their connection repeatedly.
    Isolated,
    /// The same, without any other question in flight.
    Alone,
}

/// Names a queue of questions that wait for a connection: those in it shall not go to the same upstreams, and use the same lane.
pub type Queue = (u64, Lane);

impl Flight {
    /// Which connections it may use.
    pub fn lane(&self) -> Lane {
        if self.blocks || self.losses >= ALONE_AFTER {
            Lane::Alone
        } else if self.losses >= ISOLATE_AFTER {
            Lane::Isolated
        } else {
            Lane::Shared
        }
    }

    /// Is there an attempt left for this purpose?
    pub fn may_send(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Need => self.sends - self.copies <= MAX_RECOVERIES,
            Purpose::Copy => self.copies < MAX_COPIES,
        }
    }

    /// May it be sent once more to an upstream that it was sent to, of so many that there are? The last attempt is for one that it was
    /// not sent to, if there is one.
    pub fn may_repeat(&self, upstreams: usize) -> bool {
        let untried = (0..upstreams).any(|upstream| self.tried & bit(upstream) == 0);
        self.sends - self.copies + u8::from(untried) <= MAX_RECOVERIES
    }

    /// May one more connect to this upstream be begun for it?
    pub fn may_connect(&self, upstream: usize) -> bool {
        self.may_connect_again() || self.connected & bit(upstream) == 0
    }

    /// May one more connect be begun for it, wherever to?
    pub fn may_connect_again(&self) -> bool {
        self.connects < MAX_CONNECTS
    }

    /// The question's bytes: name, type, class.
    pub fn question(&self) -> &[u8] {
        self.message
            .get(wire::HEADER_LEN..self.query.question.end())
            .unwrap_or_default()
    }

    /// Octets of memory for messages.
    pub fn octets(&self) -> usize {
        let own = |waiter: &Waiter| waiter.own_question.as_ref().map_or(0, |own| own.len());
        let fallback = self.fallback.as_ref().map_or(0, Vec::capacity);
        self.message.capacity() + fallback + self.waiters().map(own).sum::<usize>()
    }

    /// Everybody who waits.
    pub fn waiters(&self) -> impl Iterator<Item = &Waiter> {
        self.first.iter().chain(&self.more)
    }

    /// Does this client wait already for the very reply that this query of it earns? In another letter case (DNS 0x20), or with other
    /// EDNS, the same id and port are another query: the client may take no other reply for the answer to it.
    pub fn is_awaited_by(&self, client: Client, reply: &Reply<'_>) -> bool {
        let same = |other: &Waiter| {
            // The id first: it tells most apart.
            other.id == reply.id && other.client == client && other.reply(self.question()) == *reply
        };
        client.is_datagram() && self.waiters().any(same)
    }

    /// Its key in the cache, if it has one.
    pub fn key(&self, cache: &Cache) -> Option<Key> {
        cache.key_again(&self.message, &self.query, self.hash?)
    }

    /// The one who has waited for longest waits no more.
    pub fn next_waiter(&mut self) -> Option<Waiter> {
        self.first.take().or_else(|| self.more.pop_front())
    }

    /// This one waits no more.
    pub fn take_waiter(&mut self, number: u64) -> Option<Waiter> {
        if let Some(first) = self.first.take_if(|first| first.number == number) {
            return Some(first);
        }
        let at = self.more.binary_search_by_key(&number, |one| one.number);
        self.more.remove(at.ok()?)
    }

    /// When something has to be done about it.
    pub fn alarm(&self) -> Time {
        [self.elsewhere_at, self.stale_at]
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
    pub fn place(&mut self, place: Place, purpose: Purpose, upstream: usize) {
        if let Some(free) = self.places.iter_mut().find(|place| place.is_none()) {
            *free = Some(place);
        }
        self.sends += 1;
        self.copies += u8::from(purpose == Purpose::Copy);
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
    /// With an OPT record or without.
    pub edns: Edns,
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
