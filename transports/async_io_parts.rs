//! What async-std and smol share: async-io's reactor, and the timers and sockets that it waits for.

use super::reserve::Reserve;
use super::sockets;
use super::udp::Batches;
use crate::runtime::{ByteStream, Datagram, Datagrams, Listener, Ring, Sent};
use async_io::{Async, Timer};
use futures::future::BoxFuture;
use futures::io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Makes the reactor of this process, unless it exists.
///
/// # Panics
///
/// If the system refuses. async-io makes its reactor at the first use; at the start there are descriptors left for it.
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

/// A TCP socket of async-std or smol.
pub trait Socket: AsyncRead + AsyncWrite + AsFd + Unpin {
    /// Waits until there may be something to read. A socket that cannot tell has to be read.
    fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A connection.
pub struct Tcp<S> {
    socket: S,
    /// The last read emptied the socket: wait before the next one.
    drained: bool,
}

impl<S> Tcp<S> {
    /// Over a connected socket.
    pub fn new(socket: S) -> Self {
        Self {
            socket,
            drained: false,
        }
    }
}

impl<S: Socket> AsyncRead for Tcp<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.drained {
            ready!(self.socket.poll_readable(cx))?;
            self.drained = false;
        }
        let len = ready!(Pin::new(&mut self.socket).poll_read(cx, into))?;
        self.drained = len < into.len();
        Poll::Ready(Ok(len))
    }
}

impl<S: Socket> AsyncWrite for Tcp<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Sends the FIN, which the sockets' own `poll_close` leaves to the closing of the descriptor.
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(sockets::shutdown(&self.socket))
    }
}

impl<S: Socket> ByteStream for Tcp<S> {
    fn ack_soon(&self) {
        sockets::ack_soon(&self.socket);
    }
}

/// A client on its way: its socket, and its address.
pub type Accepting<S> = BoxFuture<'static, io::Result<(S, SocketAddr)>>;

/// A listening socket of async-std or smol.
pub trait Accept: Sized {
    /// What it accepts.
    type Socket: Socket;
    /// Waits for the next client.
    fn accept(self: Arc<Self>) -> Accepting<Self::Socket>;
    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A listening socket.
pub struct Listening<L: Accept> {
    socket: Arc<L>,
    /// The pending accept. Kept between polls: dropping it would drop its waker.
    accept: Option<Accepting<L::Socket>>,
    reserve: Reserve,
}

impl<L: Accept> Listening<L> {
    /// Over a listening socket.
    pub fn new(socket: L, reserve: Reserve) -> Self {
        Self {
            socket: Arc::new(socket),
            accept: None,
            reserve,
        }
    }
}

impl<L: Accept> Listener for Listening<L> {
    type Stream = Tcp<L::Socket>;

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Self::Stream, SocketAddr)>> {
        let accept = self
            .accept
            .get_or_insert_with(|| self.socket.clone().accept());
        let accepted = ready!(accept.as_mut().poll(cx));
        self.accept = None;
        let (socket, peer) = accepted?;
        self.reserve.refill()?;
        sockets::tune_client(&socket);
        Poll::Ready(Ok((Tcp::new(socket), peer)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
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
    /// Over a socket that is bound.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        let batches = Batches::new(&socket)?;
        Ok(Self {
            socket: Async::new(socket)?,
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
