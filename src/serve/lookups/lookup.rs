//! One look-up: the queries go to the resolvers in turn, until one has addresses.
//!
//! It uses TCP, which nobody off the path can forge (RFC 5452 section 9), and UDP beside it when TCP is refused or slow: some networks
//! let only one of them pass. A datagram counts if it comes from the resolver, to a random port, with a random id and the
//! question (RFC 5452 section 9.1). A forged response can cause no more than delay, because the TLS certificate is checked for the
//! name.

use super::messages::{Found, Queries};
use crate::config::Host;
use crate::framed::Framed;
use crate::runtime::{Datagram, Datagrams, Ring, Runtime};
use crate::transport::{ConnectError, Connection, Event, system_message};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long one resolver may take; then the next one is asked.
const RESOLVER_TIMEOUT: Duration = Duration::from_millis(1_500);
/// TCP is so much ahead of UDP. From then on the queries that are not answered go out by UDP as often.
const UDP_INTERVAL: Duration = Duration::from_millis(400);

/// The addresses of one host.
pub struct Lookup<R: Runtime> {
    runtime: R,
    queries: Queries,
    /// Those that were not asked yet, the next one last.
    resolvers: Vec<SocketAddr>,
    attempt: Option<Attempt<R>>,
}

/// The queries to one resolver.
struct Attempt<R: Runtime> {
    resolver: SocketAddr,
    timeout: R::Sleep,
    tcp: Tcp<R>,
    udp: Udp<R>,
    /// The last thing that went wrong.
    why: String,
}

enum Tcp<R: Runtime> {
    Failed,
    Connecting(Pin<Box<R::Connect>>),
    Connected(Framed<R::Stream>),
}

enum Udp<R: Runtime> {
    Failed,
    /// For TCP, which is tried first.
    Waiting(R::Sleep),
    /// The last datagrams, and when the queries are repeated.
    Bound(R::Datagrams, Box<Ring>, R::Sleep),
}

impl<R: Runtime> Lookup<R> {
    /// Asks the resolvers in this order. The ids should be random.
    pub fn new(runtime: R, host: Host, resolvers: &[SocketAddr], ids: [u16; 2]) -> Self {
        Self {
            runtime,
            queries: Queries::new(host, ids),
            resolvers: resolvers.iter().rev().copied().collect(),
            attempt: None,
        }
    }

    /// The ids of its queries.
    pub fn ids(&self) -> [u16; 2] {
        self.queries.ids()
    }

    fn next_attempt(&mut self) -> Option<Attempt<R>> {
        let resolver = self.resolvers.pop()?;
        self.queries.start_over();
        let now = self.runtime.now().mono;
        Some(Attempt {
            resolver,
            timeout: self.runtime.sleep_until(now + RESOLVER_TIMEOUT),
            tcp: Tcp::Connecting(Box::pin(self.runtime.connect(resolver))),
            udp: Udp::Waiting(self.runtime.sleep_until(now + UDP_INTERVAL)),
            why: "no address".into(),
        })
    }
}

impl<R: Runtime> Future for Lookup<R> {
    type Output = Result<Found, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut why = "no bootstrap resolver".to_owned();
        loop {
            if let Some(attempt) = &mut this.attempt {
                ready!(attempt.poll(&this.runtime, &mut this.queries, cx));
                why = std::mem::take(&mut attempt.why);
            }
            if let Some(found) = this.queries.found() {
                return Poll::Ready(Ok(found));
            }
            this.attempt = this.next_attempt();
            if this.attempt.is_none() {
                return Poll::Ready(Err(ConnectError::Unresolved(why)));
            }
        }
    }
}

impl<R: Runtime> Attempt<R> {
    /// `Ready` when this resolver has answered or failed.
    fn poll(&mut self, runtime: &R, queries: &mut Queries, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let failed = matches!((&self.tcp, &self.udp), (Tcp::Failed, Udp::Failed));
            if failed || queries.are_answered() {
                return Poll::Ready(());
            }
            if Pin::new(&mut self.timeout).poll(cx).is_ready() {
                self.why = "no response in time".into();
                return Poll::Ready(());
            }
            let tcp = self.poll_tcp(runtime, queries, cx);
            let udp = self.poll_udp(runtime, queries, cx);
            if tcp.is_pending() && udp.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// `Ready` after something happened to TCP.
    fn poll_tcp(&mut self, runtime: &R, queries: &mut Queries, cx: &mut Context<'_>) -> Poll<()> {
        let failure = match &mut self.tcp {
            Tcp::Failed => return Poll::Pending,
            Tcp::Connecting(connect) => match ready!(connect.as_mut().poll(cx)) {
                Ok(stream) => {
                    let mut connection = Framed::new(stream, String::new());
                    for query in queries.unanswered() {
                        connection.queue(&query);
                    }
                    self.tcp = Tcp::Connected(connection);
                    return Poll::Ready(());
                }
                Err(error) => system_message(&error),
            },
            Tcp::Connected(connection) => match connection.poll_flush(cx) {
                Poll::Ready(Err(why)) => why.to_string(),
                _ => match ready!(connection.poll_next(cx)) {
                    Event::Message(message) => {
                        if let Err(why) = queries.take(message, true) {
                            self.why = why;
                        }
                        return Poll::Ready(());
                    }
                    Event::Closed(why) => why.to_string(),
                },
            },
        };
        self.why = failure;
        self.tcp = Tcp::Failed;
        // UDP need not wait any longer.
        if let Udp::Waiting(start) = &mut self.udp {
            *start = runtime.sleep_until(runtime.now().mono);
        }
        Poll::Ready(())
    }

    /// `Ready` after something happened to UDP.
    fn poll_udp(&mut self, runtime: &R, queries: &mut Queries, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.udp {
            Udp::Failed => return Poll::Pending,
            Udp::Waiting(start) => {
                ready!(Pin::new(start).poll(cx));
                self.udp = match runtime.bind(any_port(self.resolver), false) {
                    Ok(socket) => {
                        let at_once = runtime.sleep_until(runtime.now().mono);
                        Udp::Bound(socket, Box::default(), at_once)
                    }
                    Err(error) => self.udp_failed(&error),
                };
            }
            Udp::Bound(socket, ring, repeat) => {
                if Pin::new(&mut *repeat).poll(cx).is_ready() {
                    *repeat = runtime.sleep_until(runtime.now().mono + UDP_INTERVAL);
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
                    self.udp = self.udp_failed(&error);
                    return Poll::Ready(());
                }
                let may_be_partial = matches!(self.tcp, Tcp::Failed);
                let from_resolver = |from: SocketAddr| canonical(from) == canonical(self.resolver);
                for (message, ..) in ring.iter().filter(|(_, from, _)| from_resolver(*from)) {
                    if let Err(why) = queries.take(message, may_be_partial) {
                        self.why = why;
                    }
                }
            }
        }
        Poll::Ready(())
    }

    fn udp_failed(&mut self, error: &io::Error) -> Udp<R> {
        self.why = system_message(error);
        Udp::Failed
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
