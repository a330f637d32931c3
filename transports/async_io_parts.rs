//! What async-std and smol share: async-io's reactor, its timers, and UDP sockets that it waits for.

use super::sockets;
use super::udp::Batches;
use crate::runtime::{Datagram, Datagrams, Ring, Sent};
use async_io::{Async, Timer};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Makes the reactor of this process, unless it is there.
///
/// # Panics
///
/// If the system refuses. async-io makes its reactor when it is first used; doing so at the start leaves no room for a panic later.
pub fn start_reactor() {
    async_io::block_on(Timer::after(Duration::ZERO));
}

/// A timer.
pub struct Sleep(Timer);

impl Sleep {
    /// Done at `at`.
    pub fn new(at: Instant) -> Self {
        Self(Timer::at(at))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

/// A UDP socket.
pub struct Udp {
    socket: Async<UdpSocket>,
    batches: Batches,
    /// The last batch emptied the socket: wait before the next one.
    drained: bool,
}

impl Udp {
    /// Binds.
    pub fn bind(at: SocketAddr, share: bool) -> io::Result<Self> {
        let (socket, batches) = sockets::bind(at, share)?;
        Ok(Self {
            socket: Async::new_nonblocking(socket)?,
            batches,
            drained: false,
        })
    }
}

impl Datagrams for Udp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, ring: &mut Ring) -> Poll<io::Result<()>> {
        loop {
            if self.drained {
                ready!(self.socket.poll_readable(cx))?;
                self.drained = false;
            }
            match self.batches.recv(self.socket.get_ref(), ring) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.drained = true,
                done => {
                    self.drained = ring.len() < Ring::BUSY;
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        batch: &[Datagram<'_>],
    ) -> Poll<io::Result<Sent>> {
        loop {
            match self.batches.send(self.socket.get_ref(), batch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_writable(cx))?;
                }
                done => return Poll::Ready(done),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }
}
