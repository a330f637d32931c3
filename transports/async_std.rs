//! The async-std runtime: TCP by its own sockets; timers, UDP and `block_on` by async-io, the reactor under it. smol-timeout bounds the
//! time to connect.
//!
//! async-std's own `block_on` would start a thread per processor, which compete for that one reactor. Its UDP socket cannot be polled.

use super::async_io_parts::{Accept, Accepting, Listening, Sleep, Socket, Tcp, Udp, start_reactor};
use super::interfaces;
use super::network_resolvers::network_resolvers;
use super::paths;
use super::reserve::Reserve;
use super::sockets;
use crate::config::Cidr;
use crate::engine::{Now, Time};
use crate::runtime::{NetworkPath, Runtime};
use async_std::net::{TcpListener, TcpStream};
use futures::future::BoxFuture;
use smol_timeout::{Timeout, TimeoutExt};
use std::io;
use std::net::{self, IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// async-std, with its clock's origin.
#[derive(Clone, Debug)]
pub struct AsyncStd {
    origin: Instant,
    reserve: Reserve,
}

impl Default for AsyncStd {
    fn default() -> Self {
        start_reactor();
        Self {
            origin: Instant::now(),
            reserve: Reserve::new(),
        }
    }
}

impl Runtime for AsyncStd {
    type Stream = Tcp<TcpStream>;
    type Connect = BoxFuture<'static, io::Result<Self::Stream>>;
    type Listener = Listening<TcpListener>;
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
        let reserve = self.reserve.clone();
        Box::pin(async move {
            let socket = reserve.connect(|| TcpStream::connect(to)).await?;
            sockets::tune_link(&socket);
            Ok(Tcp::new(socket))
        })
    }

    fn listen(&self, at: SocketAddr, share: bool) -> io::Result<Self::Listener> {
        self.adopt_listener(sockets::listen(at, share)?)
    }

    fn bind(&self, at: SocketAddr, share: bool) -> io::Result<Udp> {
        self.adopt_datagrams(sockets::bind(at, share)?)
    }

    fn datagrams_to(&self, peer: SocketAddr) -> io::Result<Udp> {
        self.adopt_datagrams(sockets::datagrams_to(peer)?)
    }

    fn adopt_listener(&self, socket: net::TcpListener) -> io::Result<Self::Listener> {
        socket.set_nonblocking(true)?;
        let reserve = self.reserve.clone();
        Ok(Listening::new(TcpListener::from(socket), reserve))
    }

    fn adopt_datagrams(&self, socket: UdpSocket) -> io::Result<Udp> {
        Udp::new(socket)
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
        async_io::block_on(work)
    }
}

impl Socket for TcpStream {}

impl Accept for TcpListener {
    type Socket = TcpStream;

    fn accept(self: Arc<Self>) -> Accepting<TcpStream> {
        Box::pin(async move { TcpListener::accept(&self).await })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}
