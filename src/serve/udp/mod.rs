//! Clients over UDP: all sockets of a worker.

mod batch;
mod socket;

use super::core::Core;
use super::sockets::{BoundDatagrams, are_shared};
use super::sources::{Kind, Polled, Sources};
use crate::config::Config;
use crate::engine::{Output, Time};
use crate::runtime::{Ring, Runtime};
use batch::Batches;
use socket::Socket;
use std::net::SocketAddr;

/// The UDP sockets of one worker.
pub struct UdpSockets<R: Runtime> {
    sources: Sources,
    /// By their numbers, which the core knows them by.
    sockets: Vec<Option<Serving<R::Datagrams>>>,
    ring: Ring,
    batches: Batches,
    /// Responses that were lost: refused by the system, or beyond what is kept for a socket without room.
    pub lost: u64,
}

/// One of them.
struct Serving<D> {
    /// The address that is configured for it.
    addr: SocketAddr,
    socket: Socket<D>,
    /// It takes no more queries, and closes then.
    until: Option<Time>,
}

impl<R: Runtime> UdpSockets<R> {
    pub fn new(sockets: Vec<BoundDatagrams<R::Datagrams>>, sources: &Sources) -> Self {
        let mut all = Self {
            sources: sources.clone(),
            sockets: Vec::new(),
            ring: Ring::new(),
            batches: Batches::default(),
            lost: 0,
        };
        for socket in sockets {
            all.add(socket);
        }
        all
    }

    /// Serves at one socket more.
    pub fn add(&mut self, bound: BoundDatagrams<R::Datagrams>) {
        let free = self.sockets.iter().position(Option::is_none);
        let number = free.unwrap_or(self.sockets.len());
        let source = self.sources.add(Kind::Udp(number));
        let serving = Serving {
            addr: bound.addr,
            socket: Socket::new(bound.socket, bound.rebind, source),
            until: None,
        };
        match self.sockets.get_mut(number) {
            Some(place) => *place = Some(serving),
            None => self.sockets.push(Some(serving)),
        }
    }

    /// Takes queries that have arrived at this address already. Says whether there were any.
    pub fn read(&mut self, addr: SocketAddr, core: &mut Core) -> bool {
        let mut any = false;
        for (index, place) in self.sockets.iter_mut().enumerate() {
            if let Some(serving) = place
                && serving.addr == addr
            {
                let ring = &mut self.ring;
                any |= serving.socket.receive(index as u16, ring, core).0;
            }
        }
        any
    }

    /// Takes no more queries at this address. Responses still leave from there, until then.
    pub fn retire(&mut self, addr: SocketAddr, until: Time) {
        for serving in self.sockets.iter_mut().flatten() {
            if serving.addr == addr {
                serving.until.get_or_insert(until);
            }
        }
    }

    /// Closes those of these sockets that take no more queries, because another one takes the place.
    pub fn close_retired(&mut self, which: impl Fn(SocketAddr) -> bool) {
        for place in &mut self.sockets {
            let closes = |it: &mut Serving<_>| it.until.is_some() && which(it.addr);
            drop(place.take_if(closes));
        }
    }

    /// Closes those that take no more queries once no response is to leave from them: what arrives there is not read, and whoever sends it learns
    /// that nobody is there instead of waiting. `is_awaited` says whether a client waits for a response from the socket of this number.
    pub fn close_settled(&mut self, is_awaited: impl Fn(u16) -> bool) {
        for (index, place) in self.sockets.iter_mut().enumerate() {
            let settled = |it: &mut Serving<_>| {
                it.until.is_some() && it.socket.is_flushed() && !is_awaited(index as u16)
            };
            drop(place.take_if(settled));
        }
    }

    /// A socket was woken and may not be read: sends what waits.
    pub fn flush(&mut self, index: usize) {
        if let Some(Some(serving)) = self.sockets.get_mut(index) {
            serving.socket.retry(&mut self.lost);
        }
    }

    /// A socket was woken: sends what waits, and takes what has arrived to the core. Says whether there were queries.
    pub fn ready(&mut self, index: usize, core: &mut Core) -> bool {
        let Some(Some(serving)) = self.sockets.get_mut(index) else {
            return false;
        };
        let socket = &mut serving.socket;
        socket.retry(&mut self.lost);
        if serving.until.is_some() {
            return false;
        }
        let (received, polled) = socket.receive(index as u16, &mut self.ring, core);
        if polled == Polled::More {
            socket.source.mark();
        }
        received
    }

    /// Sends the responses among these actions.
    pub fn send(&mut self, out: &Output) {
        for (index, serving) in self.sockets.iter_mut().enumerate() {
            let Some(Serving { socket, .. }) = serving else {
                continue;
            };
            self.batches.each(index as u16, out, |batch| {
                socket.send(batch, &mut self.lost);
            });
        }
    }

    /// Time went on: see [`Socket::time`].
    pub fn time(&mut self, runtime: &R, config: &Config, now: Time) {
        for place in &mut self.sockets {
            let over = |serving: &mut Serving<_>| serving.until.is_some_and(|until| until <= now);
            drop(place.take_if(over));
            if let Some(Serving { socket, .. }) = place {
                socket.time(runtime, are_shared(config), now);
            }
        }
    }

    /// When [`UdpSockets::time`] has something to do.
    pub fn next_alarm(&self) -> Option<Time> {
        let all = self.sockets.iter().flatten();
        all.filter_map(|serving| serving.until.or(serving.socket.next_alarm()))
            .min()
    }

    /// Has every response left?
    pub fn are_flushed(&self) -> bool {
        let mut all = self.sockets.iter().flatten();
        all.all(|serving| serving.socket.is_flushed())
    }
}
