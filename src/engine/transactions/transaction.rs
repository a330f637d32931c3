//! One transaction: a query that was accepted, the clients that wait for its response, and what was tried.

use crate::engine::cache::Key;
use crate::engine::client::Client;
use crate::engine::history::History;
use crate::engine::recorder::Asked;
use crate::engine::time::Time;
use crate::wire::{ClientEdns, ClientSubnet, OPTION_PADDING, OptAt, Query, Recipient, options};
use std::collections::VecDeque;

/// A client that waits for a response.
pub struct WaitingClient {
    pub client: Client,
    /// Its number among all that wait: the higher, the later it came.
    pub number: u64,
    /// What it counts among them.
    pub units: usize,
    /// The id of the client's own query.
    pub id: u16,
    pub rd: bool,
    pub edns: Option<ClientEdns>,
    /// Octets that fit on the way back.
    pub limit: usize,
    /// The question in this client's own letter case; `None` if it is the transaction's.
    pub own_question: Option<Box<[u8]>>,
}

impl WaitingClient {
    /// The client's side of a query that came in.
    pub fn new(
        message: &[u8],
        query: &Query,
        client: Client,
        (udp_payload, subnet): (u16, ClientSubnet),
    ) -> Self {
        let edns = query.opt.map(|opt| edns_of(message, &opt, client, subnet));
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

    /// How a response to it has to look.
    pub fn reply<'a>(&'a self, question: &'a [u8]) -> Recipient<'a> {
        Recipient {
            id: self.id,
            question: self.own_question.as_deref().unwrap_or(question),
            rd: self.rd,
            edns: self.edns,
            limit: self.limit,
        }
    }
}

/// What a client's OPT record says. A response to a padded query is padded (RFC 7830 section 3) if it leaves encrypted, and never otherwise.
pub fn edns_of(message: &[u8], opt: &OptAt, client: Client, subnet: ClientSubnet) -> ClientEdns {
    let mut edns = ClientEdns::of(message, opt, subnet);
    if client.is_encrypted() {
        edns.pads = options(message, opt).any(|(code, _)| code == OPTION_PADDING);
    }
    edns
}

/// What fits on the way back: 512 octets in a datagram without EDNS (RFC 1035 section 4.2.1), with it what the client
/// offers but no more than the cap; the length prefix's own bound on a stream.
pub fn size_limit(client: Client, edns: Option<&ClientEdns>, udp_payload: u16) -> usize {
    if !client.is_datagram() {
        return usize::from(u16::MAX);
    }
    edns.map_or(512, |edns| usize::from(edns.udp_size.min(udp_payload)))
}

/// A query that was accepted and is not answered yet.
pub struct Transaction {
    /// The query as the first client sent it.
    pub message: Vec<u8>,
    pub query: Query,
    /// Of its key in the cache. By it other clients' identical queries find this one; without it none may join.
    pub hash: Option<u64>,
    /// Most transactions have one waiting client; a prefetch has none.
    pub first: Option<WaitingClient>,
    pub more: VecDeque<WaitingClient>,
    /// Its number among those that no client waits for.
    pub idle: Option<u64>,
    pub deadline: Time,
    /// When another upstream is asked, too.
    pub elsewhere_at: Option<Time>,
    /// When its clients get a stale answer.
    pub stale_at: Option<Time>,
    pub history: History,
    /// A response that is better than none, if the last attempt brings no other, and the number of the upstream that gave it.
    pub fallback: Option<(Vec<u8>, usize)>,
}

impl Transaction {
    /// How one of its clients asked, for the record of a failure.
    pub fn asked(&self, by: &WaitingClient) -> Asked {
        Asked::of(&self.message, &self.query, &[by])
    }

    /// The question's octets: name, type, class.
    pub fn question(&self) -> &[u8] {
        self.query.question.octets(&self.message)
    }

    /// Octets of memory for messages.
    pub fn octets(&self) -> usize {
        let own = |client: &WaitingClient| client.own_question.as_ref().map_or(0, |own| own.len());
        let fallback = self.fallback.as_ref();
        let fallback = fallback.map_or(0, |(message, _)| message.capacity());
        self.message.capacity() + fallback + self.clients().map(own).sum::<usize>()
    }

    /// All clients that wait.
    pub fn clients(&self) -> impl Iterator<Item = &WaitingClient> {
        self.first.iter().chain(&self.more)
    }

    /// Whether this client waits already for the very response that this query of it earns. In another letter case (DNS 0x20), or with
    /// other EDNS, the same id and port are another query: the client may take no other response for the one to it.
    pub fn is_awaited_by(&self, client: Client, reply: &Recipient<'_>) -> bool {
        let same = |other: &WaitingClient| {
            // The id first: it tells most apart.
            other.id == reply.id && other.client == client && other.reply(self.question()) == *reply
        };
        client.is_datagram() && self.clients().any(same)
    }

    /// Its key in the cache, if it has one.
    pub fn key(&self) -> Option<Key<'_>> {
        let route = self.history.route().fingerprint;
        Some(Key::again(&self.message, &self.query, route, self.hash?))
    }

    /// The client that has waited for longest waits no more.
    pub fn next_client(&mut self) -> Option<WaitingClient> {
        self.first.take().or_else(|| self.more.pop_front())
    }

    /// This client waits no more.
    pub fn take_client(&mut self, number: u64) -> Option<WaitingClient> {
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
}
