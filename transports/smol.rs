//! The smol runtime: TCP, timers, UDP and `block_on` by async-io, its reactor. smol-timeout bounds the time to connect.
//!
//! The streams of async-net would hold a future for each direction that waits. The sockets of the reactor can be polled.

use super::async_io_parts::{Accept, Accepting, Listening, Sleep, Socket, Tcp, Udp, start_reactor};
use super::interfaces;
use super::network_resolvers::network_resolvers;
use super::paths;
use super::reserve::Reserve;
use super::sockets;
use crate::config::Cidr;
use crate::engine::{Now, Time};
use crate::runtime::{NetworkPath, Runtime};
use async_io::Async;
use futures::future::BoxFuture;
use smol_timeout::{Timeout, TimeoutExt};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// smol, with its clock's origin.
#[derive(Clone, Debug)]
pub struct Smol {
    origin: Instant,
    reserve: Reserve,
}

impl Default for Smol {
    fn default() -> Self {
        start_reactor();
        Self {
            origin: Instant::now(),
            reserve: Reserve::new(),
        }
    }
}

impl Runtime for Smol {
    type Stream = Tcp<Async<TcpStream>>;
    type Connect = BoxFuture<'static, io::Result<Self::Stream>>;
    type Listener = Listening<Async<TcpListener>>;
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
            let socket = reserve.connect(|| Async::<TcpStream>::connect(to)).await?;
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

    fn adopt_listener(&self, socket: TcpListener) -> io::Result<Self::Listener> {
        Ok(Listening::new(Async::new(socket)?, self.reserve.clone()))
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

impl Socket for Async<TcpStream> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Async::poll_readable(self, cx)
    }
}

impl Accept for Async<TcpListener> {
    type Socket = Async<TcpStream>;

    fn accept(self: Arc<Self>) -> Accepting<Async<TcpStream>> {
        Box::pin(async move { Async::<TcpListener>::accept(&self).await })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }
}
