//! The tokio runtime: TCP, timers and `block_on` of tokio, with a reactor for each loop. Its reactor also waits for UDP.
//!
//! Sockets are bound before a loop runs, and tokio's sockets and timers belong to the reactor under which they are made. So they
//! are made when they are first polled: under [`Runtime::block_on`], or under the runtime of an application that embeds dotward.

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
use std::io::{self, IoSlice};
use std::net::{self, IpAddr, SocketAddr};
use std::path::Path;
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
    reserve: Reserve,
}

impl Default for Tokio {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            reserve: Reserve::new(),
        }
    }
}

impl Runtime for Tokio {
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
        Sleep::new(self.origin + at.since(Time::ZERO))
    }

    fn within<F: Future>(&self, limit: Duration, work: F) -> Self::Within<F> {
        Within::new(work, Sleep::new(Instant::now() + limit))
    }

    fn connect(&self, to: SocketAddr) -> Self::Connect {
        let reserve = self.reserve.clone();
        Box::pin(async move {
            let stream = reserve.connect(|| TcpStream::connect(to)).await?;
            sockets::tune_link(&stream);
            Ok(Tcp(stream))
        })
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

    fn adopt_listener(&self, socket: net::TcpListener) -> io::Result<Listening> {
        socket.set_nonblocking(true)?;
        let join = |socket: &net::TcpListener| TcpListener::from_std(socket.try_clone()?);
        Ok(Listening {
            socket: Joining::new(socket, join),
            reserve: self.reserve.clone(),
        })
    }

    fn adopt_datagrams(&self, socket: net::UdpSocket) -> io::Result<Udp> {
        socket.set_nonblocking(true)?;
        let batches = Batches::new(&socket)?;
        let join = |socket: &net::UdpSocket| UdpSocket::from_std(socket.try_clone()?);
        Ok(Udp {
            socket: Joining::new(socket, join),
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

    /// Runs a future on this thread, with a reactor of its own.
    ///
    /// # Panics
    ///
    /// If the system refuses to make the reactor, or if this thread is one of tokio's already.
    fn block_on<F: Future>(&self, work: F) -> F::Output {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system makes a reactor");
        // A loop bounds its passes itself. tokio's budget would end a pass early, and let sources that are ready look empty.
        runtime.block_on(unconstrained(work))
    }
}

/// A connection. After a read that emptied it, tokio waits before it reads again.
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

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(sockets::shutdown(&self.0))
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

/// A socket that joins the reactor under which it is first polled. What joins is a clone of it.
struct Joining<S, J> {
    socket: S,
    joined: Option<J>,
    join: fn(&S) -> io::Result<J>,
}

impl<S, J> Joining<S, J> {
    fn new(socket: S, join: fn(&S) -> io::Result<J>) -> Self {
        Self {
            socket,
            joined: None,
            join,
        }
    }

    /// The socket, and its clone in the reactor.
    fn join(&mut self) -> io::Result<(&S, &J)> {
        let joined = if let Some(joined) = self.joined.take() {
            joined
        } else {
            // Without a reactor, tokio's sockets panic.
            Handle::try_current().map_err(io::Error::other)?;
            (self.join)(&self.socket)?
        };
        Ok((&self.socket, self.joined.insert(joined)))
    }
}

/// A listening socket.
pub struct Listening {
    socket: Joining<net::TcpListener, TcpListener>,
    reserve: Reserve,
}

impl Listener for Listening {
    type Stream = Tcp;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Tcp, SocketAddr)>> {
        let (_, joined) = self.socket.join()?;
        let (stream, peer) = ready!(joined.poll_accept(cx))?;
        self.reserve.refill()?;
        sockets::tune_client(&stream);
        Poll::Ready(Ok((Tcp(stream), peer)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.socket.local_addr()
    }
}

/// A UDP socket. The batches use it; tokio waits for its clone.
pub struct Udp {
    socket: Joining<net::UdpSocket, UdpSocket>,
    batches: Batches,
}

impl Datagrams for Udp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, ring: &mut Ring) -> Poll<io::Result<()>> {
        let (socket, joined) = self.socket.join()?;
        ring.clear();
        while ring.is_empty() {
            ready!(joined.poll_recv_ready(cx))?;
            let received = joined.try_io(Interest::READABLE, || {
                self.batches.recv(socket, ring)?;
                if ring.len() < Ring::BUSY {
                    // The batch has emptied the socket. This error has tokio wait before the next one.
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            match received {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                _ => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        batch: &[Datagram<'_>],
    ) -> Poll<io::Result<Sent>> {
        let (socket, joined) = self.socket.join()?;
        loop {
            ready!(joined.poll_send_ready(cx))?;
            match joined.try_io(Interest::WRITABLE, || self.batches.send(socket, batch)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.socket.local_addr()
    }
}
