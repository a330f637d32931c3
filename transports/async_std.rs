//! The async-std runtime: its TCP, async-io's reactor for timers and datagrams, smol-timeout for bounds.
//!
//! async-std's own `block_on` starts a thread per processor, and they compete for the one reactor; async-io's drives the
//! same reactor from this thread alone. async-std's UDP socket cannot be polled without a future per call; async-io's can.

use super::sockets::{self, Batches};
use crate::engine::{Now, Time};
use crate::runtime::{Datagrams, Listener, Reply, Ring, Runtime, Sent, Stream};
use async_io::{Async, Timer};
use async_std::net::{TcpListener, TcpStream};
use futures::future::BoxFuture;
use smol_timeout::{Timeout, TimeoutExt};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// async-std, with its clock's origin.
#[derive(Clone, Debug)]
pub struct AsyncStd {
    origin: Instant,
}

impl Default for AsyncStd {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Runtime for AsyncStd {
    type Stream = TcpStream;
    type Connect = BoxFuture<'static, io::Result<TcpStream>>;
    type Listener = Tcp;
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
        Box::pin(async move {
            let stream = TcpStream::connect(to).await?;
            sockets::tune_link(&stream);
            Ok(stream)
        })
    }

    fn listen(&self, at: SocketAddr, share: bool) -> io::Result<Tcp> {
        let listener = Arc::new(TcpListener::from(sockets::listen(at, share)?));
        Ok(Tcp {
            accepting: accept(listener.clone()),
            listener,
        })
    }

    fn bind(&self, at: SocketAddr, share: bool) -> io::Result<Udp> {
        let (socket, batches) = sockets::bind(at, share)?;
        Ok(Udp {
            socket: Async::new_nonblocking(socket)?,
            batches,
        })
    }

    fn block_on<F: Future>(&self, work: F) -> F::Output {
        async_io::block_on(work)
    }
}

impl Stream for TcpStream {
    fn ack_soon(&self) {
        sockets::ack_soon(self);
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

type Accepted = io::Result<(TcpStream, SocketAddr)>;

/// A listening socket. async-std can only accept in a future; it is kept, since dropping it would lose the waker.
pub struct Tcp {
    listener: Arc<TcpListener>,
    accepting: BoxFuture<'static, Accepted>,
}

fn accept(listener: Arc<TcpListener>) -> BoxFuture<'static, Accepted> {
    Box::pin(async move { listener.accept().await })
}

impl Listener for Tcp {
    type Stream = TcpStream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Accepted> {
        let accepted = ready!(self.accepting.as_mut().poll(cx));
        self.accepting = accept(self.listener.clone());
        if let Ok((stream, _)) = &accepted {
            sockets::tune_client(stream);
        }
        Poll::Ready(accepted)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A socket for datagrams.
pub struct Udp {
    socket: Async<UdpSocket>,
    batches: Batches,
}

impl Datagrams for Udp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, ring: &mut Ring) -> Poll<io::Result<()>> {
        loop {
            match self.batches.recv(self.socket.get_ref(), ring) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_readable(cx))?;
                }
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &[Reply<'_>]) -> Poll<io::Result<Sent>> {
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
