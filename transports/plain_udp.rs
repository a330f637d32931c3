//! Plain DNS over UDP (RFC 1035 section 4.2.1), over any runtime, for a resolver of one's own network that is best reached so.
//!
//! Whoever can send datagrams with the upstream's address can try to guess a response. So each query has a socket of its own, on a port that
//! the system chose, and an id from a cryptographic generator (RFC 5452 section 9.2). What comes from another address, with another id, or
//! with another question, is dropped; after some of that the query is sent over TCP instead. So is a query whose response was truncated
//! (RFC 7766 section 5), and one that may not be changed. A query without a response is repeated a few times.

use super::tcp::{Connecting, Tcp};
use super::time_limit::Bounded;
use crate::config::{Config, ConfigError, Upstream};
use crate::framed::Framed;
use crate::locks::lock;
use crate::runtime::{Datagram, Datagrams, Ring, Runtime};
use crate::serve::random_seed;
use crate::transport::{
    ConnectError, Connection, ConnectionError, Event, Transport, system_message,
};
use crate::wire::{self, Query};
use futures::stream::{FuturesUnordered, Stream};
use log::debug;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{HashMap, VecDeque};
use std::future::{self, Ready};
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A response of at most so many octets is asked for: it fits into one packet nearly everywhere (RFC 9715).
const MAX_RESPONSE: u16 = 1232;
/// Between two sends of one query.
const RETRY_AFTER: Duration = Duration::from_millis(800);
/// So often a query is sent. After that it is forgotten, if the core has not given it up before.
const MAX_SENDS: u8 = 4;
/// Datagrams that do not answer a query, and may be guesses.
const MAX_STRAYS: usize = 32;
/// Sockets at once. Further queries are sent over TCP.
const MAX_SOCKETS: usize = 256;

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
            tcp: self.tcp.clone(),
            fallback: Fallback::None,
            over_tcp: Vec::new(),
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
    tcp: Tcp<R>,
    fallback: Fallback<R>,
    /// The queries that are sent over it.
    over_tcp: Vec<OverTcp>,
    /// The response that was reported last.
    response: Vec<u8>,
}

/// The connection for what is not sent over UDP.
enum Fallback<R: Runtime> {
    None,
    Connecting(Bounded<R, Connecting<R>>),
    Open(Framed<R::Stream>),
}

/// A query that is sent over TCP.
struct OverTcp {
    message: Vec<u8>,
    /// A connection has ended without a response to it.
    again: bool,
}

impl<R: Runtime> UdpConnection<R> {
    /// Begins to send a query, which the core knows by this id.
    fn exchange(
        &mut self,
        id: u16,
        mut message: Vec<u8>,
        mut query: Query,
    ) -> io::Result<Exchange<R>> {
        let socket = bind(&self.runtime, self.addr)?;
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
            Outcome::OverTcp => {
                wire::set_id(&mut message, id);
                self.send_over_tcp(message);
            }
            Outcome::Nothing => {}
            Outcome::Error(why) => return Err(ConnectionError::Io(why)),
        }
        Ok(false)
    }

    fn send_over_tcp(&mut self, message: Vec<u8>) {
        match &mut self.fallback {
            Fallback::None => self.fallback = Fallback::Connecting(self.tcp.dial(self.addr)),
            Fallback::Connecting(_) => {}
            Fallback::Open(connection) => connection.queue(&message),
        }
        let again = false;
        self.over_tcp.push(OverTcp { message, again });
    }

    /// The connection has ended, as it may at any time: what it left unanswered is sent once more on another (RFC 7766 section 6.2.4).
    fn connect_again(&mut self) {
        self.over_tcp
            .retain_mut(|one| !mem::replace(&mut one.again, true));
        self.fallback = if self.over_tcp.is_empty() {
            Fallback::None
        } else {
            Fallback::Connecting(self.tcp.dial(self.addr))
        };
    }

    /// Goes on over TCP. Says whether there is a response for the core. Where that fails, nothing comes, and the core asks again or elsewhere.
    fn poll_tcp(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match &mut self.fallback {
                Fallback::None => return false,
                Fallback::Connecting(connecting) => match Pin::new(connecting).poll(cx) {
                    Poll::Pending => return false,
                    Poll::Ready(Ok(mut connection)) => {
                        for one in &self.over_tcp {
                            connection.queue(&one.message);
                        }
                        self.fallback = Fallback::Open(connection);
                    }
                    Poll::Ready(Err(why)) => {
                        debug!("{}: over TCP: {why}", self.addr);
                        self.over_tcp.clear();
                        self.fallback = Fallback::None;
                    }
                },
                Fallback::Open(connection) => {
                    let flushed = connection.poll_flush(cx);
                    match connection.poll_next(cx) {
                        Poll::Ready(Event::Message(message)) => {
                            self.response.clear();
                            self.response.extend_from_slice(message);
                            let id = self.response.first_chunk::<2>();
                            self.over_tcp
                                .retain(|one| one.message.first_chunk::<2>() != id);
                            return true;
                        }
                        Poll::Ready(Event::Closed(_)) => self.connect_again(),
                        Poll::Pending if matches!(flushed, Poll::Ready(Err(_))) => {
                            self.connect_again();
                        }
                        Poll::Pending => return false,
                    }
                }
            }
        }
    }
}

impl<R: Runtime> Connection for UdpConnection<R> {
    fn queue(&mut self, message: &[u8]) {
        let Some(id) = message.first_chunk().map(|id| u16::from_be_bytes(*id)) else {
            return;
        };
        // The core has given up what it asked under this id before.
        self.awaited.remove(&id);
        self.over_tcp
            .retain(|one| one.message.first_chunk() != Some(&id.to_be_bytes()));
        let has_room = self.exchanges.len() + self.unsent.len() < MAX_SOCKETS;
        let exchange = as_datagram(message)
            .filter(|_| has_room)
            .and_then(|(datagram, query)| self.exchange(id, datagram, query).ok());
        match exchange {
            Some(exchange) => self.unsent.push_back(exchange),
            None => self.send_over_tcp(message.to_vec()),
        }
    }

    fn backlog(&self) -> usize {
        let unsent: usize = self.unsent.iter().map(|one| one.message.len()).sum();
        let over_tcp = match &self.fallback {
            Fallback::None => 0,
            Fallback::Connecting(_) => self.over_tcp.iter().map(|one| one.message.len()).sum(),
            Fallback::Open(connection) => connection.backlog(),
        };
        unsent + over_tcp
    }

    /// A connection over TCP that is being made is not waited for.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        let sent = self.poll_unsent(cx);
        self.poll_exchanges(cx);
        let flushed = match &mut self.fallback {
            Fallback::Open(connection) => connection.poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        };
        if !self.over.is_empty() || matches!(self.fallback, Fallback::Connecting(..)) {
            // There is something for `poll_next`, which nothing else may wake.
            cx.waker().wake_by_ref();
        }
        if sent.is_pending() {
            return Poll::Pending;
        }
        flushed
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
        if self.poll_tcp(cx) {
            return Poll::Ready(Event::Message(&mut self.response));
        }
        Poll::Pending
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.fallback {
            Fallback::Open(connection) => connection.poll_close(cx),
            _ => Poll::Ready(()),
        }
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
                    Ok(None) if self.strays > MAX_STRAYS => return Poll::Ready(Outcome::OverTcp),
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

/// A socket on a port that the system chooses.
fn bind<R: Runtime>(runtime: &R, to: SocketAddr) -> std::io::Result<R::Datagrams> {
    let ip: IpAddr = match to.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    runtime.bind(SocketAddr::new(ip, 0), false)
}

/// A query as it is sent in a datagram: without options that concern a connection (RFC 7828 section 3.2.1), and asking for no response that does
/// not fit. `None` if it is signed, so that it may not be changed, or too long.
fn as_datagram(message: &[u8]) -> Option<(Vec<u8>, Query)> {
    let query = wire::parse_query(message)
        .ok()
        .filter(|query| !query.signed)?;
    let mut out = Vec::with_capacity(message.len());
    wire::forward_query(message, &query, true, &mut out);
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
    let Ok(response) = wire::parse_response(octets) else {
        return false;
    };
    let is_asked = match &response.question {
        Some(question) => wire::same_question(octets, question, message, &query.question),
        None => response.rcode() != wire::Rcode::NOERROR,
    };
    is_asked && response.header.id == query.header.id
}

fn is_truncated(response: &[u8]) -> bool {
    wire::Header::parse(response).is_some_and(|header| header.flags.tc())
}
