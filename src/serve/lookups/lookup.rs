//! One look-up: the queries go to the resolvers in turn, until one has addresses.
//!
//! It uses TCP, which nobody off the path can forge (RFC 5452 section 9), and UDP beside it when TCP is refused or slow: some networks
//! let only one of them pass. A datagram counts if it comes from the resolver, to a random port, with a random id and the
//! question (RFC 5452 section 9.1). A forged response can cause no more than delay, because the TLS certificate is checked for the
//! name, or for the address of the resolver that designates others.

use super::messages::{Queries, Question};
use super::search::Search;
use super::step::{Found, Step};
use crate::framed::Framed;
use crate::runtime::{Datagram, Datagrams, Ring, Runtime};
use crate::transport::{ConnectError, Connection, Event, system_message};
use rand_chacha::ChaCha8Rng;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long one resolver may take; then the next one is asked.
const RESOLVER_TIMEOUT: Duration = Duration::from_millis(1_500);
/// TCP is so much ahead of UDP. From then on the queries that are not answered go out by UDP as often.
const UDP_INTERVAL: Duration = Duration::from_millis(400);

/// The addresses of one upstream.
pub struct Lookup<R: Runtime> {
    runtime: R,
    search: Search,
    queries: Queries,
    /// Those that were not asked yet, the next one last.
    resolvers: Vec<SocketAddr>,
    attempt: Option<Attempt<R>>,
    /// Why the resolvers that were asked did not help: what the last one said.
    failure: String,
    random: ChaCha8Rng,
}

/// The queries to one resolver.
struct Attempt<R: Runtime> {
    runtime: R,
    resolver: SocketAddr,
    timeout: R::Sleep,
    /// `None` when it has failed.
    tcp: Option<Tcp<R>>,
    udp: Option<Udp<R>>,
}

enum Tcp<R: Runtime> {
    Connecting(Pin<Box<R::Connect>>),
    Connected(Framed<R::Stream>),
}

struct Udp<R: Runtime> {
    /// Bound before the first queries are sent, with memory for responses.
    socket: Option<(R::Datagrams, Box<Ring>)>,
    /// When the queries are sent, for the first time or again.
    send: R::Sleep,
}

impl<R: Runtime> Lookup<R> {
    /// Asks the resolvers in this order.
    pub fn new(runtime: R, search: Search, resolvers: &[SocketAddr], random: ChaCha8Rng) -> Self {
        Self {
            runtime,
            search,
            queries: Queries::default(),
            resolvers: resolvers.iter().rev().copied().collect(),
            attempt: None,
            failure: "no bootstrap resolver".into(),
            random,
        }
    }

    /// Sends these to a resolver.
    fn ask(&mut self, resolver: SocketAddr, questions: Vec<Question>) {
        self.queries = Queries::new(questions, self.search.nothing(), &mut self.random);
        self.attempt = Some(Attempt::new(self.runtime.clone(), resolver));
    }
}

impl<R: Runtime> Future for Lookup<R> {
    type Output = Result<Found, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            if let Some(attempt) = &mut this.attempt {
                ready!(attempt.poll(&mut this.queries, cx));
                let resolver = attempt.resolver;
                this.attempt = None;
                match this.search.step(&this.queries, &mut this.random) {
                    Step::Found(found) => return Poll::Ready(Ok(found)),
                    Step::Ask(questions) => {
                        this.ask(resolver, questions);
                        continue;
                    }
                    Step::Nothing(why) => {
                        let failure = || this.queries.why_nothing().to_owned();
                        this.failure = why.unwrap_or_else(failure);
                    }
                }
            }
            let Some(resolver) = this.resolvers.pop() else {
                let why = std::mem::take(&mut this.failure);
                return Poll::Ready(Err(ConnectError::Unresolved(why)));
            };
            let questions = this.search.first();
            this.ask(resolver, questions);
        }
    }
}

impl<R: Runtime> Attempt<R> {
    fn new(runtime: R, resolver: SocketAddr) -> Self {
        let now = runtime.now().mono;
        Self {
            resolver,
            timeout: runtime.sleep_until(now + RESOLVER_TIMEOUT),
            tcp: Some(Tcp::Connecting(Box::pin(runtime.connect(resolver)))),
            udp: Some(Udp {
                socket: None,
                send: runtime.sleep_until(now + UDP_INTERVAL),
            }),
            runtime,
        }
    }

    /// `Ready` when this resolver has answered or failed.
    fn poll(&mut self, queries: &mut Queries, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if queries.are_answered() || (self.tcp.is_none() && self.udp.is_none()) {
                return Poll::Ready(());
            }
            if Pin::new(&mut self.timeout).poll(cx).is_ready() {
                // Why TCP has failed says more than that no datagram came.
                if self.tcp.is_some() {
                    queries.failure = "no response in time".into();
                }
                return Poll::Ready(());
            }
            let (tcp, udp) = (self.poll_tcp(queries, cx), self.poll_udp(queries, cx));
            if tcp.is_pending() && udp.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// `Ready` after something happened to TCP.
    fn poll_tcp(&mut self, queries: &mut Queries, cx: &mut Context<'_>) -> Poll<()> {
        let failure = match &mut self.tcp {
            None => return Poll::Pending,
            Some(Tcp::Connecting(connect)) => match ready!(connect.as_mut().poll(cx)) {
                Ok(stream) => {
                    let mut connection = Framed::new(stream, String::new());
                    queries
                        .unanswered()
                        .for_each(|query| connection.queue(&query));
                    self.tcp = Some(Tcp::Connected(connection));
                    return Poll::Ready(());
                }
                Err(error) => system_message(&error),
            },
            Some(Tcp::Connected(connection)) => {
                let event = match connection.poll_flush(cx) {
                    Poll::Ready(Err(why)) => Event::Closed(why),
                    _ => ready!(connection.poll_next(cx)),
                };
                match event {
                    Event::Message(message) => {
                        queries.take(message, true);
                        return Poll::Ready(());
                    }
                    // It is not said of a stream of messages.
                    Event::Limits(_) => return Poll::Ready(()),
                    Event::Closed(why) | Event::Failed { why, .. } => why.to_string(),
                }
            }
        };
        queries.failure = failure;
        self.tcp = None;
        // UDP need not wait any longer.
        if let Some(udp) = self.udp.as_mut().filter(|udp| udp.socket.is_none()) {
            udp.send = self.runtime.sleep_until(self.runtime.now().mono);
        }
        Poll::Ready(())
    }

    /// `Ready` after something happened to UDP.
    fn poll_udp(&mut self, queries: &mut Queries, cx: &mut Context<'_>) -> Poll<()> {
        let Some(udp) = &mut self.udp else {
            return Poll::Pending;
        };
        let due = Pin::new(&mut udp.send).poll(cx).is_ready();
        if due && udp.socket.is_none() {
            match self.runtime.bind(any_port(self.resolver), false) {
                Ok(socket) => udp.socket = Some((socket, Box::default())),
                Err(error) => return self.udp_failed(&error, queries),
            }
        }
        let Some((socket, ring)) = &mut udp.socket else {
            return Poll::Pending;
        };
        if due {
            let now = self.runtime.now().mono;
            udp.send = self.runtime.sleep_until(now + UDP_INTERVAL);
            for message in queries.unanswered() {
                let query = Datagram {
                    to: self.resolver,
                    from: None,
                    message: &message,
                };
                // What could not be sent is sent again.
                let _sent_or_not = socket.poll_send(cx, &[query]);
            }
            return Poll::Ready(());
        }
        if let Err(error) = ready!(socket.poll_recv(cx, ring)) {
            return self.udp_failed(&error, queries);
        }
        let from_resolver = |from| canonical(from) == canonical(self.resolver);
        for (message, ..) in ring.iter().filter(|(_, from, _)| from_resolver(*from)) {
            queries.take(message, self.tcp.is_none());
        }
        Poll::Ready(())
    }

    fn udp_failed(&mut self, error: &io::Error, queries: &mut Queries) -> Poll<()> {
        queries.failure = system_message(error);
        self.udp = None;
        Poll::Ready(())
    }
}

/// An address without what the family of a socket makes of it.
fn canonical(addr: SocketAddr) -> (IpAddr, u16) {
    (addr.ip().to_canonical(), addr.port())
}

/// Any local address of the resolver's family. The system chooses the port at random (RFC 6056).
fn any_port(resolver: SocketAddr) -> SocketAddr {
    let any: IpAddr = if resolver.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    SocketAddr::new(any, 0)
}
