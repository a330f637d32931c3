//! Clients over UDP: all sockets of a worker.

mod batch;
mod socket;

use super::core::Core;
use super::sockets::are_shared;
use super::sources::{Kind, Polled, Sources};
use crate::config::Config;
use crate::engine::{Output, Time};
use crate::runtime::{Ring, Runtime};
use batch::Batches;
use socket::Socket;

/// The UDP sockets of one worker.
pub struct UdpSockets<R: Runtime> {
    sources: Sources,
    sockets: Vec<Socket<R::Datagrams>>,
    ring: Ring,
    batches: Batches,
    /// Responses that were lost: refused by the system, or beyond what is kept for a socket without room.
    pub lost: u64,
}

impl<R: Runtime> UdpSockets<R> {
    pub fn new(sockets: Vec<R::Datagrams>, sources: &Sources) -> Self {
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
    pub fn add(&mut self, socket: R::Datagrams) {
        let source = self.sources.add(Kind::Udp(self.sockets.len()));
        self.sockets.push(Socket::new(socket, source));
    }

    /// A socket was woken: sends what waits, and takes what has arrived to the core. Says whether there were queries.
    pub fn ready(&mut self, index: usize, core: &mut Core) -> bool {
        let Some(socket) = self.sockets.get_mut(index) else {
            return false;
        };
        socket.retry(&mut self.lost);
        let (received, polled) = socket.receive(index as u16, &mut self.ring, core);
        if polled == Polled::More {
            socket.source.mark();
        }
        received
    }

    /// Sends the responses among these actions.
    pub fn send(&mut self, out: &Output) {
        for (index, socket) in self.sockets.iter_mut().enumerate() {
            self.batches.each(index as u16, out, |batch| {
                socket.send(batch, &mut self.lost);
            });
        }
    }

    /// Time went on: see [`Socket::time`].
    pub fn time(&mut self, runtime: &R, config: &Config, now: Time) {
        for socket in &mut self.sockets {
            socket.time(runtime, are_shared(config), now);
        }
    }

    /// When [`UdpSockets::time`] has something to do.
    pub fn next_alarm(&self) -> Option<Time> {
        self.sockets.iter().filter_map(Socket::next_alarm).min()
    }

    /// Has every response left?
    pub fn are_flushed(&self) -> bool {
        self.sockets.iter().all(Socket::is_flushed)
    }
}
