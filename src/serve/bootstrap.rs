//! Finding the addresses of an upstream that was given by name: A and AAAA from a resolver given by address.
//!
//! By TCP, never by UDP: nobody off the path can forge an answer (RFC 5452 section 9), and nothing is cut short. What a
//! liar on the path could say does no harm beyond delay, because the TLS certificate is checked for the name.

use crate::config::Host;
use crate::framed::Framed;
use crate::runtime::Runtime;
use crate::transport::{DialError, Event, Link};
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
    state: State<R>,
    alarm: Option<R::Sleep>,
    addresses: Vec<IpAddr>,
    ttl: Duration,
    missing: usize,
    why: String,
}

enum State<R: Runtime> {
    Next,
    Connecting(Pin<Box<R::Connect>>),
    Asking(Framed<R::Stream>),
}

impl<R: Runtime> Lookup<R> {
    /// Starts to ask the resolvers in turn. The ids should be random.
    pub fn new(runtime: R, host: Host, resolvers: &[SocketAddr], ids: [u16; 2]) -> Self {
        Self {
            runtime,
            host,
            ids,
            resolvers: resolvers.iter().rev().copied().collect(),
            state: State::Next,
            alarm: None,
            addresses: Vec::new(),
            ttl: *HOLDS.end(),
            missing: 0,
            why: "no bootstrap resolver".into(),
        }
    }

    /// Gives up on this resolver.
    fn next(&mut self, why: impl Into<String>) {
        self.why = why.into();
        self.state = State::Next;
    }

    fn take(&mut self, message: &[u8]) {
        let Ok(answer) = wire::answer(message) else {
            return;
        };
        let asked = self.ids.iter().position(|id| *id == answer.header.id);
        let (Some(index), Some(at)) = (asked, answer.question) else {
            return;
        };
        let query = question(&self.host.name, self.ids[index], TYPES[index]);
        let Ok(ours) = wire::query(&query) else {
            return;
        };
        if !wire::same_question(message, &at, &query, &ours.question) {
            return;
        }
        self.missing = self.missing.saturating_sub(1);
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

    fn found(&mut self) -> Result<Found, DialError> {
        if self.addresses.is_empty() {
            return Err(DialError::Unresolved(std::mem::take(&mut self.why)));
        }
        let port = self.host.port;
        let addresses = self.addresses.drain(..);
        let addresses = addresses.map(|ip| SocketAddr::new(ip, port)).collect();
        Ok((addresses, self.ttl.clamp(*HOLDS.start(), *HOLDS.end())))
    }
}

const TYPES: [u16; 2] = [A, AAAA];

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

impl<R: Runtime> Future for Lookup<R> {
    type Output = Result<Found, DialError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            if let Some(alarm) = &mut this.alarm
                && Pin::new(alarm).poll(cx).is_ready()
            {
                this.alarm = None;
                this.next("no answer in time");
            }
            match &mut this.state {
                State::Next => {
                    let next = this.resolvers.pop().filter(|_| this.addresses.is_empty());
                    let Some(resolver) = next else {
                        return Poll::Ready(this.found());
                    };
                    let until = this.runtime.now().mono + TRY;
                    this.alarm = Some(this.runtime.sleep_until(until));
                    this.state = State::Connecting(Box::pin(this.runtime.connect(resolver)));
                }
                State::Connecting(tcp) => match std::task::ready!(tcp.as_mut().poll(cx)) {
                    Err(error) => this.next(error.to_string()),
                    Ok(stream) => {
                        let mut link = Framed::new(stream, String::new());
                        for (id, qtype) in this.ids.into_iter().zip(TYPES) {
                            link.queue(id, &question(&this.host.name, id, qtype));
                        }
                        this.missing = TYPES.len();
                        this.state = State::Asking(link);
                    }
                },
                State::Asking(_) if this.missing == 0 => this.state = State::Next,
                State::Asking(link) => {
                    if let Poll::Ready(Err(why)) = link.poll_flush(cx) {
                        this.next(why.to_string());
                        continue;
                    }
                    let message = match std::task::ready!(link.poll_next(cx)) {
                        Event::Answer(message) => message.to_vec(),
                        Event::Closed(why) => {
                            this.next(why.to_string());
                            continue;
                        }
                        Event::Failed { .. } | Event::Limits { .. } => continue,
                    };
                    this.take(&message);
                }
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
        let scanned = wire::query(&query).unwrap();
        assert_eq!((scanned.header.id, scanned.question.qtype), (7, AAAA));
        assert_eq!(
            wire::describe(&query, &scanned.question).to_string(),
            "dot.example. AAAA IN"
        );
    }
}
