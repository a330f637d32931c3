//! The async-std runtime: it connects, async-io's timers keep time, smol-timeout bounds a dial; what is connected is waited for
//! by the worker's own set of sockets.
//!
//! async-std's own streams try to read before they wait, twice, and its reactor takes five system calls for each wait. Its
//! `block_on` starts a thread per processor, and they compete for that one reactor.

use super::interfaces;
use super::poller::{More, Poller, Waiting};
use super::sockets;
use super::spare::Spare;
use super::udp::Batches;
use crate::config::Cidr;
use crate::engine::{Now, Time};
use crate::runtime::{ByteStream, Datagram, Datagrams, Listener, Ring, Runtime, Sent};
use async_io::Timer;
use async_std::net::TcpStream;
use futures::future::BoxFuture;
use futures::io::{AsyncRead, AsyncWrite};
use smol_timeout::{Timeout, TimeoutExt};
use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::net::{self, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// async-std, with its clock's origin and the set of its sockets.
#[derive(Clone)]
pub struct AsyncStd {
    origin: Instant,
    poller: Poller,
    spare: Spare,
}

impl Default for AsyncStd {
    /// # Panics
    ///
    /// If the system refuses to make a set of sockets: without one there is nothing that could be served.
    fn default() -> Self {
        // The reactor is made when it is first used, and panics if it cannot be: at the start there is still room for it.
        async_io::block_on(Timer::after(Duration::ZERO));
        Self {
            origin: Instant::now(),
            poller: Poller::new().expect("the system makes a set of sockets"),
            spare: Spare::new(),
        }
    }
}

impl Runtime for AsyncStd {
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
        Sleep(Timer::at(self.origin + at.since(Time::ZERO)))
    }

    fn within<F: Future>(&self, limit: Duration, work: F) -> Timeout<F> {
        work.timeout(limit)
    }

    fn connect(&self, to: SocketAddr) -> Self::Connect {
        let (poller, spare) = (self.poller.clone(), self.spare.clone());
        Box::pin(async move {
            let connect = || async move {
                let stream = TcpStream::connect(to).await?;
                sockets::tune_link(&stream);
                stream.as_fd().try_clone_to_owned()
            };
            let stream = spare.connect(connect).await?;
            Ok(Tcp(poller.register(stream.into())?))
        })
    }

    fn is_missing(error: &io::Error) -> bool {
        sockets::is_missing(error)
    }

    fn listen(&self, at: SocketAddr, share: bool) -> io::Result<Listening> {
        Ok(Listening {
            socket: self.poller.register(sockets::listen(at, share)?)?,
            poller: self.poller.clone(),
            spare: self.spare.clone(),
        })
    }

    fn bind(&self, at: SocketAddr, share: bool) -> io::Result<Udp> {
        let (socket, batches) = sockets::bind(at, share)?;
        Ok(Udp {
            socket: self.poller.register(socket)?,
            batches,
        })
    }

    fn networks(&self) -> Vec<Cidr> {
        interfaces::networks()
    }

    fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.poller.block_on(work)
    }
}

/// A connection.
pub struct Tcp(Waiting<net::TcpStream>);

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, |mut socket| {
            let n = socket.read(into)?;
            let more = if n < into.len() {
                More::No
            } else {
                More::Maybe
            };
            Ok((n, more))
        })
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, |mut socket| socket.write(from))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, |mut socket| match from {
            // What is one piece has a shorter way through the kernel.
            [one] => socket.write(one),
            many => socket.write_vectored(many),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The kernel has it.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.0.get_ref().shutdown(net::Shutdown::Write) {
            // The other end was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        })
    }
}

impl ByteStream for Tcp {
    fn ack_soon(&self) {
        sockets::ack_soon(self.0.get_ref());
    }
}

/// A timer.
pub struct Sleep(Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

/// A listening socket.
pub struct Listening {
    socket: Waiting<net::TcpListener>,
    poller: Poller,
    spare: Spare,
}

impl Listener for Listening {
    type Stream = Tcp;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Tcp, SocketAddr)>> {
        let accept = |socket: &net::TcpListener| Ok((socket.accept()?, More::Maybe));
        let (stream, peer) = ready!(self.socket.poll_read(cx, accept))?;
        self.spare.refill()?;
        stream.set_nonblocking(true)?;
        sockets::tune_client(&stream);
        Poll::Ready(Ok((Tcp(self.poller.register(stream)?), peer)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }
}

/// A socket for datagrams.
pub struct Udp {
    socket: Waiting<UdpSocket>,
    batches: Batches,
}

impl Datagrams for Udp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, ring: &mut Ring) -> Poll<io::Result<()>> {
        self.socket.poll_read(cx, |socket| {
            self.batches.recv(socket, ring)?;
            let more = if ring.len() < Ring::BUSY {
                More::No
            } else {
                More::Maybe
            };
            Ok(((), more))
        })
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        batch: &[Datagram<'_>],
    ) -> Poll<io::Result<Sent>> {
        (self.socket).poll_write(cx, |socket| self.batches.send(socket, batch))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }
}
