//! The smol runtime: async-io, its reactor, connects and carries what is connected; smol-timeout bounds a dial.
//!
//! async-net's streams hold a future for each direction that waits, and its UDP socket cannot be polled without a future per call;
//! the reactor's own sockets can. And the reactor waits once for what a read has left empty, where a stream would try to read first.

use super::async_io_parts::{Sleep, Udp, start_reactor};
use super::interfaces;
use super::sockets;
use super::spare::Spare;
use crate::config::Cidr;
use crate::engine::{Now, Time};
use crate::runtime::{ByteStream, Listener, Runtime};
use async_io::Async;
use futures::future::BoxFuture;
use futures::io::{AsyncRead, AsyncWrite};
use smol_timeout::{Timeout, TimeoutExt};
use std::future::Future;
use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// smol, with its clock's origin.
#[derive(Clone, Debug)]
pub struct Smol {
    origin: Instant,
    spare: Spare,
}

impl Default for Smol {
    fn default() -> Self {
        start_reactor();
        Self {
            origin: Instant::now(),
            spare: Spare::new(),
        }
    }
}

impl Runtime for Smol {
    type Stream = Tcp;
    type Connect = BoxFuture<'static, io::Result<Tcp>>;
    type Listener = Listening;
    type Datagrams = Udp;
    type Sleep = Sleep;
    type Within<F: Future> = Timeout<F>;

    fn now(&self) -> Now {
        sockets::now(self.origin)
    }

    fn sleep_until(&self, at: Time) -> Sleep {
        Sleep::new(self.origin + at.since(Time::ZERO))
    }

    fn within<F: Future>(&self, limit: Duration, work: F) -> Timeout<F> {
        work.timeout(limit)
    }

    fn connect(&self, to: SocketAddr) -> Self::Connect {
        let spare = self.spare.clone();
        Box::pin(async move {
            let connect = || Async::<TcpStream>::connect(to);
            let socket = spare.connect(connect).await?;
            sockets::tune_link(socket.get_ref());
            Ok(Tcp::new(socket))
        })
    }

    fn is_missing(error: &io::Error) -> bool {
        sockets::is_missing(error)
    }

    fn listen(&self, at: SocketAddr, share: bool) -> io::Result<Listening> {
        let listener = sockets::listen(at, share)?;
        Ok(Listening {
            socket: Async::new_nonblocking(listener)?,
            spare: self.spare.clone(),
        })
    }

    fn bind(&self, at: SocketAddr, share: bool) -> io::Result<Udp> {
        Udp::bind(at, share)
    }

    fn networks(&self) -> Vec<Cidr> {
        interfaces::networks()
    }

    fn block_on<F: Future>(&self, work: F) -> F::Output {
        async_io::block_on(work)
    }
}

/// A connection.
pub struct Tcp {
    socket: Async<TcpStream>,
    /// The last read took all there was: the next one waits first.
    drained: bool,
}

impl Tcp {
    fn new(socket: Async<TcpStream>) -> Self {
        Self {
            socket,
            drained: false,
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.drained {
                ready!(self.socket.poll_readable(cx))?;
                self.drained = false;
            }
            match self.socket.get_ref().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.drained = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(n) => {
                    self.drained = n < into.len();
                    return Poll::Ready(Ok(n));
                }
            }
        }
    }
}

impl AsyncWrite for Tcp {
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

    /// Sends the FIN, which the reactor's own `poll_close` leaves to the closing of the socket.
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.socket.get_ref().shutdown(Shutdown::Write) {
            // The other end was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        })
    }
}

impl ByteStream for Tcp {
    fn ack_soon(&self) {
        sockets::ack_soon(self.socket.get_ref());
    }
}

/// A listening socket.
pub struct Listening {
    socket: Async<TcpListener>,
    spare: Spare,
}

impl Listener for Listening {
    type Stream = Tcp;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Tcp, SocketAddr)>> {
        loop {
            match self.socket.get_ref().accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_readable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
                Ok((stream, peer)) => {
                    self.spare.refill()?;
                    sockets::tune_client(&stream);
                    return Poll::Ready(Ok((Tcp::new(Async::new(stream)?), peer)));
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }
}
