//! TCP in memory: connecting, reading, writing, and the ways to end.

use super::pipe::{End, Piece};
use super::{Memory, WakeUp};
use dotward::engine::Time;
use dotward::runtime;
use futures::io::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The time until a SYN without an answer is retransmitted (RFC 6298: the initial timeout).
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

/// One end of a connection.
pub struct Stream {
    world: Memory,
    end: End,
    /// What to send when it is dropped.
    ending: Ending,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Fin,
    Reset,
    Nothing,
}

impl Stream {
    /// Closes with a reset, as a socket with a linger time of 0 does.
    pub fn abort(mut self) {
        self.ending = Ending::Reset;
    }

    /// Ends without a FIN, as a host that loses power: what arrives later is answered with a reset. The connection is half-open
    /// (RFC 9293 section 3.5.1).
    pub fn vanish(mut self) {
        self.ending = Ending::Nothing;
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
                    world.now = world.now + world.work;
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
        let conditions = world.conditions(self.end.server);
        let refused = self.end.incoming.state().is_refused(world.now);
        let mut state = self.end.outgoing.state();
        if refused || state.reset || state.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let n = from.len().min(state.room(&conditions));
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
        incoming.abandoned = true;
        // A socket that is closed with unread octets resets its connection.
        let unread = incoming.is_unread();
        drop(incoming);
        match self.ending {
            Ending::Nothing => {}
            Ending::Fin if !unread && finished => {}
            Ending::Fin if !unread => self.end.put(&self.world, Piece::Fin),
            Ending::Fin | Ending::Reset => self.end.put(&self.world, Piece::Reset),
        }
    }
}

impl runtime::ByteStream for Stream {}

/// Connections that were not accepted yet.
#[derive(Default)]
pub struct Queue {
    arrivals: VecDeque<(Stream, SocketAddr)>,
    waker: Option<Waker>,
}

/// A connect in progress.
pub struct Connect {
    world: Memory,
    from: IpAddr,
    to: SocketAddr,
    /// When the answer to the SYN arrives.
    answered: Option<Time>,
    wake_up: Option<WakeUp>,
}

impl Connect {
    pub(super) fn new(world: Memory, from: IpAddr, to: SocketAddr) -> Self {
        world.world().connects += 1;
        Self {
            world,
            from,
            to,
            answered: None,
            wake_up: None,
        }
    }
}

impl Future for Connect {
    type Output = io::Result<Stream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut world = this.world.world();
        let conditions = world.conditions(this.to);
        if conditions.loses_connects() {
            let at = world.now + CONNECT_AGAIN;
            world.wake_at(&mut this.wake_up, at, cx.waker());
            return Poll::Pending;
        }
        let answered = match this.answered {
            Some(at) => at,
            None => world.now + 2 * world.random.delay(&conditions),
        };
        this.answered = Some(answered);
        if world.now < answered {
            world.wake_at(&mut this.wake_up, answered, cx.waker());
            return Poll::Pending;
        }
        let from = SocketAddr::new(this.from, world.free_port());
        let (near, far) = End::both(this.to);
        let stream = |end: End| Stream {
            world: this.world.clone(),
            end,
            ending: Ending::Fin,
        };
        let queue = world.listeners.get_mut(&this.to);
        let Some(queue) = queue.filter(|_| !conditions.refuses) else {
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
        if let Some(wake_up) = self.wake_up {
            self.world.world().wake_ups.remove(&wake_up);
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
        // Connections that were not accepted are reset. Not under the lock, which they take when they are dropped.
        drop(queue);
    }
}
