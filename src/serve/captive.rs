//! Asking the network's own resolver in the clear, where the core wants it: see `docs/captive.md`.
//!
//! Each question has a socket of its own for each resolver, on a port that the system chose, and a random id (RFC 5452 section 9.2). What comes
//! from another address, with another id or question, is dropped. There is no TCP: what is asked for fits into a datagram.

use super::core::Core;
use super::event_loop::EventLoop;
use super::sources::{Kind, Source, Sources};
use crate::config::{Config, DNS_PORT, NetworkResolver};
use crate::engine::{Check, CheckAnswer};
use crate::runtime::{Datagram, Datagrams as _, Ring, Runtime};
use crate::transport::{Transport, system_message};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// More resolvers are not asked; stub resolvers take as many (MAXNS of resolv.conf(5)).
const MAX_RESOLVERS: usize = 3;
/// How often each of them is asked.
const ROUNDS: usize = 2;
/// From one sending to the next.
const INTERVAL: Duration = Duration::from_millis(500);
/// Datagrams that are no response, and may be guesses. After so many the question is given up.
const MAX_STRAYS: usize = 100;
/// Addresses for documentation, to which the default route leads (RFC 5737, RFC 3849). Nothing is sent there.
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The questions of one event loop that are under way.
pub struct Checks<R: Runtime> {
    sources: Sources,
    running: Vec<Option<Running<R>>>,
    /// Where all of them receive. `None` before the first.
    ring: Option<Box<Ring>>,
    random: ChaCha8Rng,
}

struct Running<R: Runtime> {
    source: Source,
    exchange: Exchange<R>,
}

impl<R: Runtime> Checks<R> {
    /// None. The ids are random, by a stream of this generator that nothing else uses.
    pub fn new(random: &ChaCha8Rng, sources: &Sources) -> Self {
        let mut random = random.clone();
        random.set_stream(u64::MAX - random.get_stream());
        Self {
            sources: sources.clone(),
            running: Vec::new(),
            ring: None,
            random,
        }
    }

    /// Is none under way?
    pub fn is_empty(&self) -> bool {
        self.running.iter().all(Option::is_none)
    }

    fn start(&mut self, check: Check, resolvers: &[SocketAddr], runtime: &R) {
        let free = self.running.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.running.push(None);
            self.running.len() - 1
        });
        let rounds = resolvers.iter().copied().cycle();
        let exchange = Exchange {
            runtime: runtime.clone(),
            check,
            unsent: rounds.take(resolvers.len() * ROUNDS).collect(),
            open: Vec::new(),
            wait: None,
            strays: 0,
            failure: "no response".to_owned(),
        };
        // A new source is ready at once.
        let source = self.sources.add(Kind::Check(place));
        self.running[place] = Some(Running { source, exchange });
    }

    /// One was woken. Tells the core when it is over.
    pub fn ready(&mut self, place: usize, core: &mut Core) {
        let Some(Some(Running { source, exchange })) = self.running.get_mut(place) else {
            return;
        };
        let ring = self.ring.get_or_insert_default();
        let may_send = core.forwarder.may_ask_network(core.now);
        let polled = exchange.poll(ring, &mut self.random, may_send, &mut source.context());
        if let Poll::Ready(answer) = polled {
            let check = exchange.check;
            self.running[place] = None;
            core.forwarder
                .check_answered(check, answer, core.now, &mut core.out);
        }
    }
}

/// One question to the resolvers in turn.
struct Exchange<R: Runtime> {
    runtime: R,
    check: Check,
    /// To whom it is to be sent yet.
    unsent: VecDeque<SocketAddr>,
    open: Vec<Open<R>>,
    /// Until the next sending. `None`: that is due.
    wait: Option<R::Sleep>,
    strays: usize,
    failure: String,
}

/// A resolver that was asked.
struct Open<R: Runtime> {
    resolver: SocketAddr,
    socket: R::Datagrams,
    id: u16,
}

impl<R: Runtime> Exchange<R> {
    /// `Ready` when a resolver has answered, or none will.
    fn poll(
        &mut self,
        ring: &mut Ring,
        random: &mut ChaCha8Rng,
        may_send: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(CheckAnswer, SocketAddr), String>> {
        loop {
            if let Some(answer) = self.receive(ring, cx) {
                return Poll::Ready(Ok(answer));
            }
            if self.strays > MAX_STRAYS {
                return Poll::Ready(Err("too many datagrams that are no response".to_owned()));
            }
            if let Some(wait) = &mut self.wait
                && !self.open.is_empty()
                && Pin::new(wait).poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            let Some(resolver) = self.unsent.pop_front().filter(|_| may_send) else {
                return Poll::Ready(Err(std::mem::take(&mut self.failure)));
            };
            if let Err(why) = self.send(resolver, random, cx) {
                self.give_up(resolver, &why);
            }
            let next = self.runtime.now().mono + INTERVAL;
            self.wait = Some(self.runtime.sleep_until(next));
        }
    }

    fn send(
        &mut self,
        resolver: SocketAddr,
        random: &mut ChaCha8Rng,
        cx: &mut Context<'_>,
    ) -> Result<(), String> {
        let error = |error: std::io::Error| system_message(&error);
        let mut open = self.open.iter();
        let known = open.position(|open| open.resolver == resolver);
        if known.is_none() {
            self.open.push(Open {
                resolver,
                socket: self.runtime.datagrams_to(resolver).map_err(error)?,
                id: random.next_u32() as u16,
            });
        }
        let place = known.unwrap_or(self.open.len() - 1);
        let open = &mut self.open[place];
        let message = self.check.query(open.id);
        let datagram = Datagram {
            to: resolver,
            from: None,
            message: &message,
        };
        match open.socket.poll_send(cx, &[datagram]) {
            // What had no room is sent again.
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(sent)) if sent.refused == 0 => Ok(()),
            Poll::Ready(Ok(_)) => Err("the system does not send to this address".to_owned()),
            Poll::Ready(Err(why)) => Err(error(why)),
        }
    }

    /// This resolver is of no use.
    fn give_up(&mut self, resolver: SocketAddr, why: &str) {
        self.failure = format!("{resolver}: {why}");
        self.open.retain(|open| open.resolver != resolver);
        self.unsent.retain(|other| *other != resolver);
        // The next one is asked at once.
        self.wait = None;
    }

    /// The first response of use.
    fn receive(
        &mut self,
        ring: &mut Ring,
        cx: &mut Context<'_>,
    ) -> Option<(CheckAnswer, SocketAddr)> {
        let mut useless = Vec::new();
        for Open {
            resolver,
            socket,
            id,
        } in &mut self.open
        {
            while let Poll::Ready(received) = socket.poll_recv(cx, ring) {
                if let Err(error) = received {
                    useless.push((*resolver, system_message(&error)));
                    break;
                }
                let mut why = None;
                for (message, from, _) in ring.iter() {
                    let ours = Some(message).filter(|_| from == *resolver);
                    match ours.and_then(|message| self.check.read(*id, message)) {
                        Some(Ok(answer)) => return Some((answer, *resolver)),
                        Some(Err(rcode)) => why = Some(rcode),
                        None => self.strays += 1,
                    }
                }
                if let Some(why) = why {
                    useless.push((*resolver, why));
                    break;
                }
                if self.strays > MAX_STRAYS {
                    break;
                }
            }
        }
        for (resolver, why) in useless {
            self.give_up(resolver, &why);
        }
        None
    }
}

/// The network's own resolvers, as they are now.
fn resolvers<R: Runtime>(runtime: &R, config: &Config) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = Vec::new();
    let configured = config.captive().map(|captive| &captive.resolvers);
    for source in configured.into_iter().flatten() {
        match source {
            NetworkResolver::Address(address) => found.push(*address),
            NetworkResolver::File(path) => found.extend(runtime.network_resolvers(Some(path))),
            NetworkResolver::System => {
                let named = runtime.network_resolvers(None);
                if named.is_empty() {
                    found.extend(gateways(runtime));
                }
                found.extend(named);
            }
        }
    }
    let mut all: Vec<SocketAddr> = Vec::new();
    for one in found {
        let is_ours = config.listen().iter().any(|listen| listen.receives(one));
        if !is_ours && !all.contains(&one) && all.len() < MAX_RESOLVERS {
            all.push(one);
        }
    }
    all
}

/// The routers to which the default routes lead.
fn gateways<R: Runtime>(runtime: &R) -> impl Iterator<Item = SocketAddr> {
    ANYWHERE.into_iter().filter_map(|anywhere| {
        let path = runtime.path(SocketAddr::new(anywhere, DNS_PORT), None);
        let network = path.network()?;
        Some(match network.gateway? {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => {
                SocketAddrV6::new(ip, DNS_PORT, 0, network.interface).into()
            }
            ip => SocketAddr::new(ip, DNS_PORT),
        })
    })
}

impl<R: Runtime, T: Transport> EventLoop<R, T> {
    /// Begins with what the core wants asked. Says whether it has more to be carried out by now.
    pub(super) fn start_checks(&mut self) -> bool {
        while let Some(check) = self.core.forwarder.next_check(self.core.now) {
            let resolvers = resolvers(&self.runtime, &self.config);
            if resolvers.is_empty() {
                let core = &mut self.core;
                let why = "no resolver of the network is known (captive-resolver)".to_owned();
                core.forwarder
                    .check_answered(check, Err(why), core.now, &mut core.out);
            } else {
                self.checks.start(check, &resolvers, &self.runtime);
            }
        }
        !self.core.out.is_empty()
    }
}
