//! Finding the addresses of an upstream that was given by name: A and AAAA from a resolver given by address.
//!
//! By TCP, which nobody off the path can forge (RFC 5452 section 9), and by UDP beside it when TCP is refused or slow: there are
//! networks where only one of them works. A datagram counts if it comes from the resolver, to a random port, with a random id and the
//! question (RFC 5452 section 9.1). What a liar could say does no harm beyond delay, because the TLS certificate is checked for
//! the name.

use crate::config::Host;
use crate::framed::Framed;
use crate::runtime::{Datagrams, Reply, Ring, Runtime};
use crate::transport::{ConnectError, Connection, Event};
use crate::wire::{self, Rcode};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

const A: u16 = 1;
const AAAA: u16 = 28;
/// For one resolver; then the next one is asked.
const TRY: Duration = Duration::from_millis(1_500);
/// TCP has so long a start. After that, and as often until there are answers, the questions go out by UDP.
const UDP_AGAIN: Duration = Duration::from_millis(400);
/// Addresses are looked up again after their TTL, but neither all the time nor hardly ever.
const HOLDS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3600);

/// Addresses, and for how long they hold.
pub type Found = (Vec<SocketAddr>, Duration);

/// A look-up under way.
pub struct Lookup<R: Runtime> {
    runtime: R,
    host: Host,
    ids: [u16; 2],
    resolvers: Vec<SocketAddr>,
    /// Whom it asks now.
    resolver: Option<SocketAddr>,
    tcp: Tcp<R>,
    udp: Udp<R>,
    /// When the next resolver is asked.
    alarm: Option<R::Sleep>,
    addresses: Vec<IpAddr>,
    ttl: Duration,
    answered: [bool; 2],
    why: String,
}

/// The way by TCP.
enum Tcp<R: Runtime> {
    Failed,
    Connecting(Pin<Box<R::Connect>>),
    Asking(Framed<R::Stream>),
}

/// The way by UDP.
enum Udp<R: Runtime> {
    Failed,
    /// TCP has its start still.
    Waiting(R::Sleep),
    /// With what was received last, and when the questions are repeated.
    Asking(R::Datagrams, Box<Ring>, R::Sleep),
}

/// Who answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Tcp,
    Udp,
}

impl<R: Runtime> Lookup<R> {
    /// Starts to ask the resolvers in turn. The ids should be random.
    pub fn new(runtime: R, host: Host, resolvers: &[SocketAddr], ids: [u16; 2]) -> Self {
        Self {
            runtime,
            host,
            ids,
            resolvers: resolvers.iter().rev().copied().collect(),
            resolver: None,
            tcp: Tcp::Failed,
            udp: Udp::Failed,
            alarm: None,
            addresses: Vec::new(),
            ttl: *HOLDS.end(),
            answered: [false; 2],
            why: "no bootstrap resolver".into(),
        }
    }

    /// The ids of its questions.
    pub fn ids(&self) -> [u16; 2] {
        self.ids
    }

    /// Goes on to the next resolver, if there is one and it is needed.
    fn next(&mut self) -> bool {
        let next = self.resolvers.pop().filter(|_| self.addresses.is_empty());
        (self.tcp, self.udp, self.alarm) = (Tcp::Failed, Udp::Failed, None);
        self.resolver = next;
        self.answered = [false; 2];
        let Some(resolver) = next else {
            return false;
        };
        let now = self.runtime.now().mono;
        self.alarm = Some(self.runtime.sleep_until(now + TRY));
        self.tcp = Tcp::Connecting(Box::pin(self.runtime.connect(resolver)));
        self.udp = Udp::Waiting(self.runtime.sleep_until(now + UDP_AGAIN));
        true
    }

    /// TCP does not work: UDP need not wait any longer.
    fn tcp_failed(&mut self, why: String) {
        self.why = why;
        self.tcp = Tcp::Failed;
        if let Udp::Waiting(_) = self.udp {
            self.udp = Udp::Waiting(self.runtime.sleep_until(self.runtime.now().mono));
        }
    }

    /// Takes a message that may be an answer.
    fn take(&mut self, message: &[u8], way: Way) {
        let Ok(answer) = wire::parse_response(message) else {
            return;
        };
        let asked = self.ids.iter().position(|id| *id == answer.header.id);
        let (Some(index), Some(at)) = (asked, answer.question) else {
            return;
        };
        let query = question(&self.host.name, self.ids[index], TYPES[index]);
        let Ok(ours) = wire::parse_query(&query) else {
            return;
        };
        if self.answered[index] || !wire::same_question(message, &at, &query, &ours.question) {
            return;
        }
        // What was cut is left to TCP. Without TCP, a part is better than nothing.
        let cut = way == Way::Udp && message.get(2).is_some_and(|flags| flags & TC != 0);
        if cut && !matches!(self.tcp, Tcp::Failed) {
            return;
        }
        self.answered[index] = true;
        if answer.rcode() != Rcode::NOERROR {
            self.why = format!("{} for {}", answer.rcode(), self.host.name);
            return;
        }
        // A chain of CNAMEs ends in address records of another owner; the resolver followed it for us.
        for record in wire::records(message, &answer) {
            let data = message.get(record.rdata.clone()).unwrap_or_default();
            let ip = match (record.section, record.rtype) {
                (wire::Section::Answer, A) => <[u8; 4]>::try_from(data)
                    .map(Ipv4Addr::from)
                    .map(IpAddr::from),
                (wire::Section::Answer, AAAA) => <[u8; 16]>::try_from(data)
                    .map(Ipv6Addr::from)
                    .map(IpAddr::from),
                _ => continue,
            };
            if let Ok(ip) = ip {
                self.addresses.push(ip);
                self.ttl = self.ttl.min(Duration::from_secs(u64::from(record.ttl)));
            }
        }
    }

    fn found(&mut self) -> Result<Found, ConnectError> {
        if self.addresses.is_empty() {
            return Err(ConnectError::Unresolved(std::mem::take(&mut self.why)));
        }
        let port = self.host.port;
        let addresses = self.addresses.drain(..);
        let addresses = addresses.map(|ip| SocketAddr::new(ip, port)).collect();
        Ok((addresses, self.ttl.clamp(*HOLDS.start(), *HOLDS.end())))
    }
}

const TYPES: [u16; 2] = [A, AAAA];
/// TC, in the third octet of a header.
const TC: u8 = 2;

/// A query in wire format. The name was checked when the configuration was read.
fn question(name: &str, id: u16, qtype: u16) -> Vec<u8> {
    let mut query = Vec::with_capacity(wire::HEADER_LEN + name.len() + 6);
    query.extend_from_slice(&id.to_be_bytes());
    // RD, one question.
    query.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.push(0);
    query.extend_from_slice(&qtype.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    query
}

impl<R: Runtime> Lookup<R> {
    /// `Ready` after something happened on the way by TCP.
    fn poll_tcp(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.tcp {
            Tcp::Failed => return Poll::Pending,
            Tcp::Connecting(tcp) => match std::task::ready!(tcp.as_mut().poll(cx)) {
                Err(error) => self.tcp_failed(error.to_string()),
                Ok(stream) => {
                    let mut link = Framed::new(stream, String::new());
                    for (id, qtype) in self.ids.into_iter().zip(TYPES) {
                        link.queue(&question(&self.host.name, id, qtype));
                    }
                    self.tcp = Tcp::Asking(link);
                }
            },
            Tcp::Asking(link) => {
                if let Poll::Ready(Err(why)) = link.poll_flush(cx) {
                    self.tcp_failed(why.to_string());
                    return Poll::Ready(());
                }
                match std::task::ready!(link.poll_next(cx)) {
                    Event::Message(message) => {
                        let message = message.to_vec();
                        self.take(&message, Way::Tcp);
                    }
                    Event::Closed(why) => self.tcp_failed(why.to_string()),
                }
            }
        }
        Poll::Ready(())
    }

    /// `Ready` after something happened on the way by UDP.
    fn poll_udp(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(resolver) = self.resolver else {
            return Poll::Pending;
        };
        match &mut self.udp {
            Udp::Failed => return Poll::Pending,
            Udp::Waiting(start) => {
                std::task::ready!(Pin::new(start).poll(cx));
                let any: IpAddr = if resolver.is_ipv4() {
                    Ipv4Addr::UNSPECIFIED.into()
                } else {
                    Ipv6Addr::UNSPECIFIED.into()
                };
                // The system chooses the port at random (RFC 6056).
                match self.runtime.bind(SocketAddr::new(any, 0), false) {
                    Ok(socket) => {
                        let now = self.runtime.sleep_until(self.runtime.now().mono);
                        self.udp = Udp::Asking(socket, Box::default(), now);
                    }
                    Err(error) => {
                        self.why = error.to_string();
                        self.udp = Udp::Failed;
                    }
                }
            }
            Udp::Asking(socket, ring, again) => {
                if Pin::new(&mut *again).poll(cx).is_ready() {
                    *again = self
                        .runtime
                        .sleep_until(self.runtime.now().mono + UDP_AGAIN);
                    let unanswered = (0..TYPES.len()).filter(|index| !self.answered[*index]);
                    for index in unanswered {
                        let message = question(&self.host.name, self.ids[index], TYPES[index]);
                        let reply = Reply {
                            to: resolver,
                            from: None,
                            message: &message,
                        };
                        // What could not be sent is sent again.
                        let _sent_or_not = socket.poll_send(cx, &[reply]);
                    }
                    return Poll::Ready(());
                }
                if let Err(error) = std::task::ready!(socket.poll_recv(cx, ring)) {
                    self.why = error.to_string();
                    self.udp = Udp::Failed;
                    return Poll::Ready(());
                }
                let is_resolver = |from: &SocketAddr| {
                    from.ip().to_canonical() == resolver.ip().to_canonical()
                        && from.port() == resolver.port()
                };
                let received = ring.iter().filter(|(_, from, _)| is_resolver(from));
                let received: Vec<Vec<u8>> =
                    received.map(|(message, ..)| message.to_vec()).collect();
                for message in received {
                    self.take(&message, Way::Udp);
                }
            }
        }
        Poll::Ready(())
    }
}

impl<R: Runtime> Future for Lookup<R> {
    type Output = Result<Found, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let mut over = this.resolver.is_none() || this.answered == [true; 2];
            over |= matches!((&this.tcp, &this.udp), (Tcp::Failed, Udp::Failed));
            if let Some(alarm) = &mut this.alarm
                && Pin::new(alarm).poll(cx).is_ready()
            {
                this.why = "no answer in time".into();
                over = true;
            }
            if over {
                if !this.next() {
                    return Poll::Ready(this.found());
                }
                continue;
            }
            let (tcp, udp) = (this.poll_tcp(cx), this.poll_udp(cx));
            if tcp.is_pending() && udp.is_pending() {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_one_that_we_would_forward_ourselves() {
        let query = question("dot.example", 7, AAAA);
        let scanned = wire::parse_query(&query).unwrap();
        assert_eq!((scanned.header.id, scanned.question.qtype), (7, AAAA));
        assert_eq!(
            wire::describe(&query, &scanned.question).to_string(),
            "dot.example. AAAA IN"
        );
    }
}
