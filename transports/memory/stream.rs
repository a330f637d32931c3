//! TCP in memory: connecting, reading, writing, and the ways to end.

use super::pipe::{End, Piece};
use super::{Memory, Plan};
use crate::engine::Time;
use crate::runtime;
use futures::io::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// When an attempt to connect that was not answered is repeated (RFC 6298: the first timeout).
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

/// One end of a connection.
pub struct Stream {
    world: Memory,
    end: End,
    /// What to send when it is dropped.
    farewell: Farewell,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Farewell {
    Fin,
    Reset,
    Nothing,
}

impl Stream {
    /// Ends with a reset, as a socket does that lingers for no time.
    pub fn abort(mut self) {
        self.farewell = Farewell::Reset;
    }

    /// Ends without a word, as a machine that lost power: what it is sent later is answered with a reset. The connection is half-open
    /// (RFC 9293 section 3.5.1).
    pub fn vanish(mut self) {
        self.farewell = Farewell::Nothing;
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut world = self.world.world();
        let mut state = self.end.incoming.state();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        match state.pieces.front_mut() {
            Some((at, piece)) if *at <= world.now => match piece {
                Piece::Fin => Poll::Ready(Ok(0)),
                Piece::Reset => {
                    state.reset = true;
                    drop(state);
                    self.end.outgoing.reset();
                    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
                }
                Piece::Octets(octets) => {
                    let n = octets.len().min(into.len());
                    into[..n].copy_from_slice(&octets[..n]);
                    octets.drain(..n);
                    if octets.is_empty() {
                        state.pieces.pop_front();
                    }
                    state.held -= n;
                    if let Some(writer) = state.writer.take() {
                        writer.wake();
                    }
                    Poll::Ready(Ok(n))
                }
            },
            _ => {
                state.reader = Some(cx.waker().clone());
                state.wake_reader(&mut world);
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let world = self.world.world();
        let weather = world.weather(self.end.server);
        let refused = self.end.incoming.state().is_refused(world.now);
        let mut state = self.end.outgoing.state();
        if refused || state.reset || state.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let n = from.len().min(state.room(&weather));
        if n == 0 && !from.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop((state, world));
        self.end.put(&self.world, Piece::Octets(from[..n].to_vec()));
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.end.outgoing.state().finished, true) {
            self.end.put(&self.world, Piece::Fin);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let finished = std::mem::replace(&mut self.end.outgoing.state().finished, true);
        let mut incoming = self.end.incoming.state();
        incoming.deserted = true;
        // A socket that is closed with something unread resets its connection.
        let unread = incoming.is_unread();
        drop(incoming);
        match self.farewell {
            Farewell::Nothing => {}
            Farewell::Fin if !unread && finished => {}
            Farewell::Fin if !unread => self.end.put(&self.world, Piece::Fin),
            Farewell::Fin | Farewell::Reset => self.end.put(&self.world, Piece::Reset),
        }
    }
}

impl runtime::ByteStream for Stream {}

/// Clients that have arrived and were not accepted yet.
#[derive(Default)]
pub struct Queue {
    arrivals: VecDeque<(Stream, SocketAddr)>,
    waker: Option<Waker>,
}

/// A connection in the making.
pub struct Connect {
    world: Memory,
    from: IpAddr,
    to: SocketAddr,
    /// When the answer to the first packet arrives, or the packet is sent again.
    answered: Option<Time>,
    plan: Option<Plan>,
}

impl Connect {
    pub(super) fn new(world: Memory, from: IpAddr, to: SocketAddr) -> Self {
        world.world().connects += 1;
        Self {
            world,
            from,
            to,
            answered: None,
            plan: None,
        }
    }
}

impl Future for Connect {
    type Output = io::Result<Stream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut world = this.world.world();
        let weather = world.weather(this.to);
        if weather.is_deaf() {
            let at = world.now + CONNECT_AGAIN;
            world.wake_at(&mut this.plan, at, cx.waker());
            return Poll::Pending;
        }
        let answered = match this.answered {
            Some(at) => at,
            None => world.now + 2 * world.dice.delay(&weather),
        };
        this.answered = Some(answered);
        if world.now < answered {
            world.wake_at(&mut this.plan, answered, cx.waker());
            return Poll::Pending;
        }
        let from = SocketAddr::new(this.from, world.free_port());
        let (near, far) = End::both(this.to);
        let stream = |end: End| Stream {
            world: this.world.clone(),
            end,
            farewell: Farewell::Fin,
        };
        let queue = world.listeners.get_mut(&this.to);
        let Some(queue) = queue.filter(|_| !weather.refuses) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
        };
        queue.arrivals.push_back((stream(far), from));
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
        world.connected(near.clone());
        Poll::Ready(Ok(stream(near)))
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        if let Some(plan) = self.plan {
            self.world.world().plans.remove(&plan);
        }
    }
}

/// A listening socket, bound until it is dropped.
pub struct Listener {
    world: Memory,
    at: SocketAddr,
}

impl Listener {
    pub(super) fn new(world: Memory, at: SocketAddr) -> Self {
        Self { world, at }
    }

    /// The next client.
    pub async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            let next = std::future::poll_fn(|cx| runtime::Listener::poll_accept(self, cx));
            if let Ok(accepted) = next.await {
                return accepted;
            }
        }
    }
}

impl runtime::Listener for Listener {
    type Stream = Stream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        let mut world = self.world.world();
        let Some(queue) = world.listeners.get_mut(&self.at) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if let Some((stream, peer)) = queue.arrivals.pop_front() {
            return Poll::Ready(Ok((stream, peer)));
        }
        queue.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let queue = self.world.world().listeners.remove(&self.at);
        // Those who had connected and were not accepted lose their connection; not under the lock, which their end takes.
        drop(queue);
    }
}
