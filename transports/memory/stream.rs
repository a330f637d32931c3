//! TCP in memory: two pipes with latency, a window, FIN and reset; or silence, when the weather swallows everything.

use super::{Memory, Plan, loopback_of};
use crate::engine::Time;
use crate::runtime;
use futures::io::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Octets that a pipe holds until its reader takes them, as a socket's buffers do.
const WINDOW: usize = 128 * 1024;

/// One direction of a connection.
#[derive(Default)]
struct State {
    /// When each piece arrives; an empty one is the FIN.
    pieces: VecDeque<(Time, Vec<u8>)>,
    held: usize,
    finished: bool,
    reset: bool,
    /// What is written vanishes: some box on the path has forgotten the connection.
    forgotten: bool,
    reader: Option<Waker>,
    /// When the reader is woken for the first piece.
    plan: Option<Plan>,
    writer: Option<Waker>,
}

#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<State>>);

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reset(&self) {
        let mut state = self.state();
        state.reset = true;
        for waker in [state.reader.take(), state.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

/// Both pipes of a connection: towards the server, towards the client.
pub struct Pair(Pipe, Pipe);

impl Pair {
    /// Lets everything that either end writes vanish.
    pub fn forget(&self) {
        self.0.state().forgotten = true;
        self.1.state().forgotten = true;
    }

    /// Breaks the connection for both ends.
    pub fn reset(&self) {
        self.0.reset();
        self.1.reset();
    }
}

/// One end of a connection.
pub struct Stream {
    world: Memory,
    /// Whose weather it has.
    server: SocketAddr,
    incoming: Pipe,
    outgoing: Pipe,
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut world = self.world.world();
        let mut state = self.incoming.state();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        match state.pieces.front_mut() {
            Some((at, piece)) if *at <= world.now => {
                let n = piece.len().min(into.len());
                into[..n].copy_from_slice(&piece[..n]);
                if n > 0 {
                    piece.drain(..n);
                    if piece.is_empty() {
                        state.pieces.pop_front();
                    }
                    state.held -= n;
                    if let Some(writer) = state.writer.take() {
                        writer.wake();
                    }
                }
                Poll::Ready(Ok(n))
            }
            next => {
                let at = next.map(|(at, _)| *at);
                state.reader = Some(cx.waker().clone());
                if let Some(at) = at {
                    world.wake_at(&mut state.plan, at, cx.waker());
                }
                Poll::Pending
            }
        }
    }
}

impl Stream {
    fn put(&self, piece: Vec<u8>) {
        let mut world = self.world.world();
        let weather = world.weather(self.server);
        if weather.swallows {
            return;
        }
        let at = world.now + weather.latency;
        let mut state = self.outgoing.state();
        if state.forgotten {
            return;
        }
        state.held += piece.len();
        state.pieces.push_back((at, piece));
        if let Some(reader) = state.reader.clone() {
            world.wake_at(&mut state.plan, at, &reader);
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.outgoing.state();
        if state.reset || state.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let n = from.len().min(WINDOW - state.held.min(WINDOW));
        if n == 0 && !from.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        self.put(from[..n].to_vec());
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.outgoing.state().finished, true) {
            self.put(Vec::new());
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !std::mem::replace(&mut self.outgoing.state().finished, true) {
            self.put(Vec::new());
        }
        // Nobody reads any more: whoever writes learns it.
        self.incoming.state().finished = true;
    }
}

impl runtime::Stream for Stream {}

/// Clients that have arrived and were not accepted yet.
#[derive(Default)]
pub struct Queue {
    arrivals: VecDeque<(Stream, SocketAddr)>,
    waker: Option<Waker>,
}

/// A connection in the making.
pub struct Connect {
    world: Memory,
    to: SocketAddr,
    /// When the answer to the first packet arrives.
    answered: Option<Time>,
    plan: Option<Plan>,
}

impl Connect {
    pub(super) fn new(world: Memory, to: SocketAddr) -> Self {
        world.world().connects += 1;
        Self {
            world,
            to,
            answered: None,
            plan: None,
        }
    }
}

impl Future for Connect {
    type Output = io::Result<Stream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let handle = self.world.clone();
        let mut world = handle.world();
        let weather = world.weather(self.to);
        if weather.swallows {
            return Poll::Pending;
        }
        let at = *self.answered.get_or_insert(world.now + 2 * weather.latency);
        if world.now < at {
            world.wake_at(&mut self.plan, at, cx.waker());
            return Poll::Pending;
        }
        let to = self.to;
        let from = SocketAddr::new(loopback_of(to), world.free_port());
        let (up, down) = (Pipe::default(), Pipe::default());
        let end = |incoming: &Pipe, outgoing: &Pipe| Stream {
            world: self.world.clone(),
            server: to,
            incoming: incoming.clone(),
            outgoing: outgoing.clone(),
        };
        let queue = world.listeners.get_mut(&to).filter(|_| !weather.refuses);
        let Some(queue) = queue else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
        };
        queue.arrivals.push_back((end(&up, &down), from));
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
        world.connections.push((to, Pair(up.clone(), down.clone())));
        Poll::Ready(Ok(end(&down, &up)))
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
