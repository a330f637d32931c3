//! The tokio runtime: its own streams, datagrams by its reactor alone, and a reactor for each loop.
//!
//! Sockets are bound before a loop runs, and tokio's sockets and timers belong to the reactor under which they are made. So they
//! are made when they are first polled: under [`Runtime::block_on`], or under the runtime of an application that serves.

use super::interfaces;
use super::sockets;
use super::spare::Spare;
use super::udp::Batches;
use crate::config::Cidr;
use crate::engine::{Now, Time};
use crate::runtime::{ByteStream, Datagram, Datagrams, Listener, Ring, Runtime, Sent};
use futures::future::BoxFuture;
use futures::io::{AsyncRead, AsyncWrite};
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{self, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead as _, AsyncWrite as _, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Handle};
use tokio::task::unconstrained;
use tokio::time;

/// tokio, with its clock's origin.
///
/// [`serve`](crate::serve::serve) with it is `Send`: an application on tokio spawns it, and needs no [`Runtime::block_on`]. Its runtime
/// must have both I/O and time.
#[derive(Clone, Debug)]
pub struct Tokio {
    origin: Instant,
    spare: Spare,
}

impl Default for Tokio {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            spare: Spare::new(),
        }
    }
}

impl Runtime for Tokio {
    type Stream = Tcp;
    type Connect = BoxFuture<'static, io::Result<Tcp>>;
    type Listener = Listening;
    type Datagrams = Udp;
    type Sleep = Sleep;
    type Within<F: Future> = Within<F>;

    fn now(&self) -> Now {
        sockets::now(self.origin)
    }

    fn sleep_until(&self, at: Time) -> Sleep {
        Sleep::new(self.origin + at.since(Time::ZERO))
    }

    fn within<F: Future>(&self, limit: Duration, work: F) -> Within<F> {
        Within {
            work: Box::pin(work),
            sleep: Sleep::new(Instant::now() + limit),
        }
    }

    fn connect(&self, to: SocketAddr) -> Self::Connect {
        let spare = self.spare.clone();
        Box::pin(async move {
            let stream = spare.connect(|| TcpStream::connect(to)).await?;
            sockets::tune_link(&stream);
            Ok(Tcp(stream))
        })
    }

    fn is_missing(error: &io::Error) -> bool {
        sockets::is_missing(error)
    }

    fn listen(&self, at: SocketAddr, share: bool) -> io::Result<Listening> {
        Ok(Listening {
            socket: sockets::listen(at, share)?,
            joined: None,
            spare: self.spare.clone(),
        })
    }

    fn bind(&self, at: SocketAddr, share: bool) -> io::Result<Udp> {
        let (socket, batches) = sockets::bind(at, share)?;
        Ok(Udp {
            socket,
            batches,
            joined: None,
        })
    }

    fn networks(&self) -> Vec<Cidr> {
        interfaces::networks()
    }

    /// Runs a future on this thread, with a reactor of its own.
    ///
    /// # Panics
    ///
    /// If the system refuses to make the reactor, or if this thread is one of tokio's already.
    fn block_on<F: Future>(&self, work: F) -> F::Output {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system makes a reactor");
        // A loop bounds its passes itself; tokio's bound would have it look in vain at sources that are ready.
        runtime.block_on(unconstrained(work))
    }
}

/// A connection. It waits first for what a read has left empty, and writes first if the last write was whole.
pub struct Tcp(TcpStream);

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        let read = Pin::new(&mut self.0).poll_read(cx, &mut into);
        read.map_ok(|()| into.filled().len())
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl ByteStream for Tcp {
    fn ack_soon(&self) {
        sockets::ack_soon(&self.0);
    }
}

/// A timer.
pub struct Sleep {
    at: Instant,
    timer: Option<Pin<Box<time::Sleep>>>,
}

impl Sleep {
    fn new(at: Instant) -> Self {
        Self { at, timer: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(time::sleep_until(at.into())));
        timer.as_mut().poll(cx)
    }
}

/// A future with a bound in time.
pub struct Within<F> {
    work: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F: Future> Future for Within<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        Pin::new(&mut self.sleep).poll(cx).map(|()| None)
    }
}

/// Joins a socket to the reactor under which it is first polled.
fn join<S>(joined: &mut Option<S>, make: impl FnOnce() -> io::Result<S>) -> io::Result<&mut S> {
    if let Some(socket) = joined {
        return Ok(socket);
    }
    // Where there is no reactor, tokio's sockets would panic instead of saying so.
    Handle::try_current().map_err(io::Error::other)?;
    Ok(joined.insert(make()?))
}

/// A listening socket.
pub struct Listening {
    socket: net::TcpListener,
    joined: Option<TcpListener>,
    spare: Spare,
}

impl Listener for Listening {
    type Stream = Tcp;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Tcp, SocketAddr)>> {
        let make = || TcpListener::from_std(self.socket.try_clone()?);
        let (stream, peer) = ready!(join(&mut self.joined, make)?.poll_accept(cx))?;
        self.spare.refill()?;
        sockets::tune_client(&stream);
        Poll::Ready(Ok((Tcp(stream), peer)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A socket for datagrams. It is moved by batches, and tokio's clone of it is waited for.
pub struct Udp {
    socket: net::UdpSocket,
    batches: Batches,
    joined: Option<UdpSocket>,
}

impl Datagrams for Udp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, ring: &mut Ring) -> Poll<io::Result<()>> {
        let joined = join(&mut self.joined, || {
            UdpSocket::from_std(self.socket.try_clone()?)
        })?;
        loop {
            ready!(joined.poll_recv_ready(cx))?;
            let tried = joined.try_io(Interest::READABLE, || {
                self.batches.recv(&self.socket, ring)?;
                if ring.len() < Ring::BUSY {
                    // The batch took all there was. tokio hears that there is no more, and waits before the next one.
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            match tried {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && ring.is_empty() => {}
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        batch: &[Datagram<'_>],
    ) -> Poll<io::Result<Sent>> {
        let joined = join(&mut self.joined, || {
            UdpSocket::from_std(self.socket.try_clone()?)
        })?;
        loop {
            ready!(joined.poll_send_ready(cx))?;
            match joined.try_io(Interest::WRITABLE, || {
                self.batches.send(&self.socket, batch)
            }) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
