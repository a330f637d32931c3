//! The mio runtime: a reactor of its own for each loop, with the fewest system calls. It serves only inside its own `block_on`.

mod reactor;

pub use reactor::Sleep;

use super::interfaces;
use super::network_resolvers::network_resolvers;
use super::paths;
use super::reserve::Reserve;
use super::sockets;
use super::udp::Batches;
use crate::config::Cidr;
use crate::engine::{Now, Time};
use crate::runtime::{
    ByteStream, Datagram, Datagrams, Listener, NetworkPath, Ring, Runtime, Sent, Within,
};
use futures::future::BoxFuture;
use futures::io::{AsyncRead, AsyncWrite};
use reactor::{Reactor, Registered};
use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// mio, with its clock's origin.
#[derive(Clone)]
pub struct Mio {
    origin: Instant,
    reactor: Reactor,
    reserve: Reserve,
}

impl Default for Mio {
    /// # Panics
    ///
    /// If the system refuses to make a reactor: without one nothing can be served.
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            reactor: Reactor::new().expect("the system makes a reactor"),
            reserve: Reserve::new(),
        }
    }
}

impl Runtime for Mio {
    type Stream = Tcp;
    type Connect = BoxFuture<'static, io::Result<Tcp>>;
    type Listener = Listening;
    type Datagrams = Udp;
    type Sleep = Sleep;
    type Within<F: Future> = Within<F, Sleep>;

    fn now(&self) -> Now {
        sockets::now(self.origin)
    }

    fn sleep_until(&self, at: Time) -> Sleep {
        self.reactor.sleep_until(self.origin + at.since(Time::ZERO))
    }

    fn within<F: Future>(&self, limit: Duration, work: F) -> Self::Within<F> {
        Within::new(work, self.reactor.sleep_until(Instant::now() + limit))
    }

    fn connect(&self, to: SocketAddr) -> Self::Connect {
        let (reactor, reserve) = (self.reactor.clone(), self.reserve.clone());
        Box::pin(async move { reserve.connect(|| connect(&reactor, to)).await })
    }

    fn listen(&self, at: SocketAddr, share: bool) -> io::Result<Listening> {
        self.adopt_listener(sockets::listen(at, share)?)
    }

    fn bind(&self, at: SocketAddr, share: bool) -> io::Result<Udp> {
        self.adopt_datagrams(sockets::bind(at, share)?)
    }

    fn datagrams_to(&self, peer: SocketAddr) -> io::Result<Udp> {
        self.adopt_datagrams(sockets::datagrams_to(peer)?)
    }

    fn adopt_listener(&self, socket: TcpListener) -> io::Result<Listening> {
        socket.set_nonblocking(true)?;
        Ok(Listening {
            socket: self.reactor.register(socket)?,
            reactor: self.reactor.clone(),
            reserve: self.reserve.clone(),
        })
    }

    fn adopt_datagrams(&self, socket: UdpSocket) -> io::Result<Udp> {
        socket.set_nonblocking(true)?;
        let batches = Batches::new(&socket)?;
        Ok(Udp {
            socket: self.reactor.register(socket)?,
            batches,
        })
    }

    fn networks(&self) -> Vec<Cidr> {
        interfaces::networks()
    }

    fn path(&self, to: SocketAddr, from: Option<IpAddr>) -> NetworkPath {
        paths::path(to, from)
    }

    fn network_resolvers(&self, file: Option<&Path>) -> Vec<SocketAddr> {
        network_resolvers(file)
    }

    fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.reactor.block_on(work)
    }
}

/// Connects. The socket becomes writable when that is done, or has failed.
async fn connect(reactor: &Reactor, to: SocketAddr) -> io::Result<Tcp> {
    let mut socket = reactor.register(mio::net::TcpStream::connect(to)?.into())?;
    let connected = poll_fn(|cx| {
        socket.poll_write(cx, |socket: &TcpStream| match socket.take_error()? {
            Some(error) => Err(error),
            None => match socket.peer_addr() {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                done => done.map(drop),
            },
        })
    });
    connected.await?;
    sockets::tune_link(socket.get_ref());
    Ok(Tcp(socket))
}

/// A connection.
pub struct Tcp(Registered<TcpStream>);

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, |mut socket| {
            let len = socket.read(into)?;
            Ok((len, len < into.len()))
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
        self.0
            .poll_write(cx, |mut socket| socket.write_vectored(from))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(sockets::shutdown(self.0.get_ref()))
    }
}

impl ByteStream for Tcp {
    fn ack_soon(&self) {
        sockets::ack_soon(self.0.get_ref());
    }
}

/// A listening socket.
pub struct Listening {
    socket: Registered<TcpListener>,
    reactor: Reactor,
    reserve: Reserve,
}

impl Listener for Listening {
    type Stream = Tcp;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Tcp, SocketAddr)>> {
        let accept = |socket: &TcpListener| Ok((socket.accept()?, false));
        let (stream, peer) = ready!(self.socket.poll_read(cx, accept))?;
        self.reserve.refill()?;
        stream.set_nonblocking(true)?;
        sockets::tune_client(&stream);
        Poll::Ready(Ok((Tcp(self.reactor.register(stream)?), peer)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }
}

/// A UDP socket.
pub struct Udp {
    socket: Registered<UdpSocket>,
    batches: Batches,
}

impl Datagrams for Udp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, ring: &mut Ring) -> Poll<io::Result<()>> {
        self.socket.poll_read(cx, |socket| {
            self.batches.recv(socket, ring)?;
            Ok(((), ring.len() < Ring::BUSY))
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
