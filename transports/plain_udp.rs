//! Plain DNS over UDP (RFC 1035 section 4.2.1), over any runtime, for a resolver of one's own network that is best reached so.
//!
//! Whoever can send datagrams with the upstream's address can try to guess a response. So each query has a socket of its own, on a port that
//! the system chose, and an id from a cryptographic generator (RFC 5452 section 9.2). What comes from another address, with another id, or
//! with another question, is dropped; after some of that the query is sent over TCP instead. So is a query whose response was truncated
//! (RFC 7766 section 5), and one that may not be changed. A query without a response is repeated a few times. When the system reports that
//! nobody is there, the connection ends.

mod over_tcp;

use super::tcp::Tcp;
use crate::config::{Config, ConfigError, Upstream};
use crate::locks::lock;
use crate::runtime::{Datagram, Datagrams, Ring, Runtime};
use crate::serve::random_seed;
use crate::transport::{
    ConnectError, Connection, ConnectionError, Event, Transport, system_message,
};
use crate::wire::{self, ClientSubnet, Query, Rewrite};
use futures::stream::{FuturesUnordered, Stream};
use log::warn;
use over_tcp::OverTcp;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{HashMap, VecDeque};
use std::future::{self, Ready};
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A response of at most so many octets is asked for: it fits into one packet nearly everywhere (RFC 9715).
const MAX_RESPONSE: u16 = 1232;
/// Between two sends of one query.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// So often a query is sent. After that it is forgotten, if the core has not given it up before.
const MAX_SENDS: u8 = 6;
/// Datagrams that do not answer a query, and may be guesses.
const MAX_STRAYS: usize = 100;
/// Sockets at once. Further queries are sent over TCP.
const MAX_SOCKETS: usize = 64;

/// Sends queries over UDP.
#[derive(Clone)]
pub struct Udp<R> {
    runtime: R,
    tcp: Tcp<R>,
}

/// There is nothing to check.
pub fn check(_config: &Config) -> Result<Vec<ConfigError>, ConfigError> {
    Ok(Vec::new())
}

impl<R: Clone> Udp<R> {
    /// Only the time limit of a connect over TCP is configured.
    pub fn new(runtime: R, config: &Config) -> Result<Self, ConfigError> {
        let tcp = Tcp::new(runtime.clone(), config)?;
        Ok(Self { runtime, tcp })
    }
}

impl<R: Runtime> Transport for Udp<R> {
    type Connection = UdpConnection<R>;
    type Connect = Ready<Result<UdpConnection<R>, ConnectError>>;

    /// There is nothing to wait for.
    fn connect(&self, _to: &Upstream, addr: SocketAddr) -> Self::Connect {
        let seed = random_seed().map_err(ConnectError::Unreachable);
        future::ready(seed.map(|seed| UdpConnection {
            runtime: self.runtime.clone(),
            addr,
            random: ChaCha8Rng::from_seed(seed),
            ring: Arc::default(),
            unsent: VecDeque::new(),
            exchanges: FuturesUnordered::new(),
            over: VecDeque::new(),
            awaited: HashMap::new(),
            number: 0,
            warned: false,
            tcp: OverTcp::new(self.tcp.clone(), addr),
            response: Vec::new(),
        }))
    }

    fn reconfigure(&mut self, before: &Config, config: &Config) -> Result<(), ConfigError> {
        self.tcp.reconfigure(before, config)
    }
}

/// The queries to one upstream.
pub struct UdpConnection<R: Runtime> {
    runtime: R,
    addr: SocketAddr,
    random: ChaCha8Rng,
    /// Where all of them receive.
    ring: Arc<Mutex<Ring>>,
    unsent: VecDeque<Exchange<R>>,
    exchanges: FuturesUnordered<Exchange<R>>,
    /// Those that are over and were not looked at yet.
    over: VecDeque<Over>,
    /// The number of the exchange that is for an id. Others with that id are given up.
    awaited: HashMap<u16, u64>,
    number: u64,
    /// That somebody guesses is in the log once.
    warned: bool,
    /// For what is not sent over UDP.
    tcp: OverTcp<R>,
    /// The response that was reported last.
    response: Vec<u8>,
}

impl<R: Runtime> UdpConnection<R> {
    /// Begins to send a query, which the core knows by this id.
    fn exchange(
        &mut self,
        id: u16,
        mut message: Vec<u8>,
        mut query: Query,
    ) -> io::Result<Exchange<R>> {
        let socket = self.runtime.datagrams_to(self.addr)?;
        query.header.id = self.random.next_u32() as u16;
        wire::set_id(&mut message, query.header.id);
        self.number += 1;
        self.awaited.insert(id, self.number);
        Ok(Exchange {
            number: self.number,
            id,
            message,
            query,
            runtime: self.runtime.clone(),
            addr: self.addr,
            socket,
            ring: self.ring.clone(),
            sends: 0,
            again_at: None,
            strays: 0,
        })
    }

    /// Sends what is unsent. `Pending` when a socket does not take it yet.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(mut exchange) = self.unsent.pop_front() {
            if exchange.poll_send(cx).is_pending() {
                self.unsent.push_front(exchange);
                return Poll::Pending;
            }
            self.exchanges.push(exchange);
        }
        Poll::Ready(())
    }

    /// Goes on with what was sent over UDP.
    fn poll_exchanges(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(over)) = Pin::new(&mut self.exchanges).poll_next(cx) {
            self.over.push_back(over);
        }
    }

    /// Looks at an exchange that is over. Says whether there is a response for the core.
    fn take(&mut self, over: Over) -> Result<bool, ConnectionError> {
        let Over {
            number,
            id,
            mut message,
            outcome,
        } = over;
        if self.awaited.get(&id) != Some(&number) {
            return Ok(false);
        }
        self.awaited.remove(&id);
        match outcome {
            Outcome::Response(response) => {
                self.response = response;
                wire::set_id(&mut self.response, id);
                return Ok(true);
            }
            Outcome::OverTcp | Outcome::Guessed => {
                if matches!(outcome, Outcome::Guessed) && !mem::replace(&mut self.warned, true) {
                    warn!(
                        "{}: more than {MAX_STRAYS} datagrams came for one query that are no response to it, as when somebody guesses; it is sent over TCP",
                        self.addr
                    );
                }
                wire::set_id(&mut message, id);
                self.tcp.queue(id, message);
            }
            Outcome::Nothing => {}
            Outcome::Error(why) => return Err(ConnectionError::Io(why)),
        }
        Ok(false)
    }
}

impl<R: Runtime> Connection for UdpConnection<R> {
    fn queue(&mut self, message: &[u8]) {
        let Some(id) = message.first_chunk().map(|id| u16::from_be_bytes(*id)) else {
            return;
        };
        // The core has given up what it asked under this id before.
        self.awaited.remove(&id);
        self.tcp.forget(id);
        let has_room = self.exchanges.len() + self.unsent.len() < MAX_SOCKETS;
        let exchange = as_datagram(message)
            .filter(|_| has_room)
            .and_then(|(datagram, query)| self.exchange(id, datagram, query).ok());
        match exchange {
            Some(exchange) => self.unsent.push_back(exchange),
            None => self.tcp.queue(id, message.to_vec()),
        }
    }

    fn backlog(&self) -> usize {
        let unsent: usize = self.unsent.iter().map(|one| one.message.len()).sum();
        unsent + self.tcp.backlog()
    }

    /// A connection over TCP that is being made is not waited for.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        let sent = self.poll_unsent(cx);
        self.poll_exchanges(cx);
        let flushed = self.tcp.poll_flush(cx);
        if !self.over.is_empty() {
            // There is something for `poll_next`, which nothing else may wake.
            cx.waker().wake_by_ref();
        }
        ready!(sent);
        flushed.map(Ok)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
        self.poll_exchanges(cx);
        while let Some(over) = self.over.pop_front() {
            match self.take(over) {
                Ok(true) => return Poll::Ready(Event::Message(&mut self.response)),
                Ok(false) => {}
                Err(why) => return Poll::Ready(Event::Closed(why)),
            }
        }
        ready!(self.tcp.poll_next(cx, &mut self.response));
        Poll::Ready(Event::Message(&mut self.response))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.tcp.poll_close(cx)
    }

    fn describe(&self) -> String {
        "plain UDP, not encrypted".into()
    }
}

/// One query and its response.
struct Exchange<R: Runtime> {
    number: u64,
    /// The id that the core knows it by. In the message is another.
    id: u16,
    message: Vec<u8>,
    query: Query,
    runtime: R,
    addr: SocketAddr,
    socket: R::Datagrams,
    ring: Arc<Mutex<Ring>>,
    sends: u8,
    /// When it is sent again. `None`: now.
    again_at: Option<R::Sleep>,
    strays: usize,
}

/// An exchange that is over.
struct Over {
    number: u64,
    id: u16,
    message: Vec<u8>,
    outcome: Outcome,
}

/// What became of a query.
enum Outcome {
    Response(Vec<u8>),
    /// It is to be sent over TCP.
    OverTcp,
    /// The same, because of what came that was no response to it.
    Guessed,
    /// There is no response.
    Nothing,
    Error(String),
}

impl<R: Runtime> Exchange<R> {
    /// Sends the query, and sets the time at which it is sent again. An error says why it cannot be sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        let (to, from, message) = (self.addr, None, &*self.message);
        let datagram = Datagram { to, from, message };
        let why = match ready!(self.socket.poll_send(cx, &[datagram])) {
            Ok(sent) if sent.refused == 0 => {
                self.sends += 1;
                let again_at = self.runtime.now().mono + RETRY_AFTER;
                self.again_at = Some(self.runtime.sleep_until(again_at));
                return Poll::Ready(Ok(()));
            }
            Ok(_) => "the system does not send to this address".to_owned(),
            Err(error) => system_message(&error),
        };
        Poll::Ready(Err(why))
    }

    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            if self.again_at.is_none()
                && let Err(why) = ready!(self.poll_send(cx))
            {
                return Poll::Ready(Outcome::Error(why));
            }
            while let Poll::Ready(received) = self.poll_received(cx) {
                match received {
                    Ok(Some(response)) if is_truncated(&response) => {
                        return Poll::Ready(Outcome::OverTcp);
                    }
                    Ok(Some(response)) => return Poll::Ready(Outcome::Response(response)),
                    Ok(None) if self.strays > MAX_STRAYS => return Poll::Ready(Outcome::Guessed),
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Outcome::Error(system_message(&error))),
                }
            }
            let Some(again_at) = &mut self.again_at else {
                continue;
            };
            match Pin::new(again_at).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if self.sends < MAX_SENDS => self.again_at = None,
                Poll::Ready(()) => return Poll::Ready(Outcome::Nothing),
            }
        }
    }

    /// The response, if it is among the datagrams that have come.
    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Vec<u8>>>> {
        let ring = &mut *lock(&self.ring);
        match self.socket.poll_recv(cx, ring) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
        }
        let mut datagrams = ring.iter();
        let response = datagrams.find(|(octets, from, _)| {
            let is_response = *from == self.addr && answers(octets, &self.message, &self.query);
            self.strays += usize::from(!is_response);
            is_response
        });
        Poll::Ready(Ok(response.map(|(octets, ..)| octets.to_vec())))
    }
}

impl<R: Runtime> Future for Exchange<R> {
    type Output = Over;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Over> {
        self.poll_outcome(cx).map(|outcome| Over {
            number: self.number,
            id: self.id,
            message: mem::take(&mut self.message),
            outcome,
        })
    }
}

/// A query as it is sent in a datagram: without options that concern a connection (RFC 7828 section 3.2.1), and asking for no response that does
/// not fit. `None` if it is signed, so that it may not be changed, or too long.
fn as_datagram(message: &[u8]) -> Option<(Vec<u8>, Query)> {
    let query = wire::parse_query(message)
        .ok()
        .filter(|query| !query.signed)?;
    let mut out = Vec::with_capacity(message.len());
    let rewrite = Rewrite {
        subnet: ClientSubnet::Keep,
        ..Rewrite::default()
    };
    wire::forward_query(message, &query, &rewrite, &mut out);
    let query = wire::parse_query(&out).ok()?;
    if let Some(opt) = query.opt
        && opt.udp_size > MAX_RESPONSE
    {
        wire::set_udp_size(&mut out, &opt, MAX_RESPONSE);
    }
    (out.len() <= MAX_RESPONSE.into()).then_some((out, query))
}

/// Whether this is the response to a query. Only an error may lack the question, as some servers send it.
fn answers(octets: &[u8], message: &[u8], query: &Query) -> bool {
    if is_cut(octets) {
        // It cannot be read to its end.
        let question = &query.question;
        return wire::Header::parse(octets).is_some_and(|header| header.id == query.header.id)
            && wire::same_question(octets, question, message, question);
    }
    let Ok(response) = wire::parse_response(octets) else {
        return false;
    };
    let is_asked = match &response.question {
        Some(question) => wire::same_question(octets, question, message, &query.question),
        None => response.rcode() != wire::Rcode::NOERROR,
    };
    is_asked && response.header.id == query.header.id
}

/// Whether it may have been larger than what is received of a datagram. That is more than was asked for.
fn is_cut(octets: &[u8]) -> bool {
    octets.len() >= Ring::SLOT_LEN
}

fn is_truncated(response: &[u8]) -> bool {
    is_cut(response) || wire::Header::parse(response).is_some_and(|header| header.flags.tc())
}
