//! TCP by `wasi:sockets/tcp`. In each type, what depends on a socket stands before it: fields are dropped in this order, as the host
//! demands.

use super::addresses::{error, family, from_wasi, stream_error, to_wasi};
use super::reactor::{Reactor, Watch};
use crate::runtime::{ByteStream, Listener};
use futures::io::{AsyncRead, AsyncWrite};
use std::future::poll_fn;
use std::io::{self, IoSlice, Read};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::tcp::{ErrorCode, ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

/// Connections that the host queues between two accepts; it may reduce this.
const BACKLOG: u64 = 1024;
/// Idle nanoseconds before keepalive probes, so that a broken path is found before the next query.
const KEEPALIVE_IDLE: u64 = 10_000_000_000;
/// Nanoseconds between probes.
const KEEPALIVE_INTERVAL: u64 = 2_000_000_000;
/// Probes without a reply until the connection ends.
const KEEPALIVE_PROBES: u32 = 3;

/// A connection.
pub struct Tcp {
    readable: Watch,
    writable: Watch,
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
    /// The last read emptied the socket: wait before the next one.
    drained: bool,
}

impl Tcp {
    /// Connects. No time limit of its own.
    pub async fn connect(reactor: Reactor, to: SocketAddr) -> io::Result<Self> {
        let socket = create_tcp_socket(family(to)).map_err(error)?;
        tune_link(&socket);
        let connected = reactor.watch(socket.subscribe());
        socket
            .start_connect(&instance_network(), to_wasi(to))
            .map_err(error)?;
        let streams = poll_fn(|cx| {
            loop {
                match socket.finish_connect() {
                    Err(ErrorCode::WouldBlock) => ready!(connected.poll_ready(cx)),
                    done => return Poll::Ready(done),
                }
            }
        });
        let (input, output) = streams.await.map_err(error)?;
        drop(connected);
        Ok(Self::new(&reactor, socket, input, output))
    }

    fn new(reactor: &Reactor, socket: TcpSocket, input: InputStream, output: OutputStream) -> Self {
        Self {
            readable: reactor.watch(input.subscribe()),
            writable: reactor.watch(output.subscribe()),
            input,
            output,
            socket,
            drained: false,
        }
    }
}

/// Sets the options of a connection to an upstream. They reveal failures sooner; a connection works without them.
fn tune_link(socket: &TcpSocket) {
    let tuned = [
        socket.set_keep_alive_enabled(true),
        socket.set_keep_alive_idle_time(KEEPALIVE_IDLE),
        socket.set_keep_alive_interval(KEEPALIVE_INTERVAL),
        socket.set_keep_alive_count(KEEPALIVE_PROBES),
    ];
    for code in tuned.into_iter().filter_map(Result::err) {
        log::debug!("an option of a connection to an upstream could not be set: {code}");
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
                ready!(self.readable.poll_ready(cx));
                self.drained = false;
            }
            match self.input.read(into.len() as u64) {
                Ok(octets) if octets.is_empty() => self.drained = true,
                Ok(octets) => {
                    self.drained = octets.len() < into.len();
                    return Poll::Ready(octets.as_slice().read(into));
                }
                Err(StreamError::Closed) => return Poll::Ready(Ok(0)),
                Err(error) => return Poll::Ready(Err(stream_error(&error))),
            }
        }
    }
}

impl Tcp {
    /// How much may be written now, at least one octet.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            match self.output.check_write() {
                Ok(0) => ready!(self.writable.poll_ready(cx)),
                Ok(room) => return Poll::Ready(Ok(usize::try_from(room).unwrap_or(usize::MAX))),
                Err(error) => return Poll::Ready(Err(stream_error(&error))),
            }
        }
    }

    /// Writes what there is room for. The flush asks the host to send it now, and does not wait.
    fn write(&self, octets: &[u8]) -> io::Result<usize> {
        let written = self.output.write(octets);
        let sent = written.and_then(|()| self.output.flush());
        sent.map(|()| octets.len())
            .map_err(|error| stream_error(&error))
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        if from.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(cx))?;
        Poll::Ready(self.write(from.get(..room).unwrap_or(from)))
    }

    /// The host takes one slice: several are joined, so that their TLS records share a segment.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match from {
            [] => Poll::Ready(Ok(0)),
            [one] => self.poll_write(cx, one),
            several => {
                let several: Vec<&[u8]> = several.iter().map(|one| &**one).collect();
                self.poll_write(cx, &several.concat())
            }
        }
    }

    /// Each write is flushed already.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(ShutdownType::Send).map_err(error))
    }
}

/// Only the host decides when it acknowledges.
impl ByteStream for Tcp {}

/// A listening socket.
pub struct Listening {
    acceptable: Watch,
    socket: TcpSocket,
    reactor: Reactor,
}

impl Listening {
    /// Listens. Waits only for the host, which answers at once.
    pub fn new(reactor: &Reactor, at: SocketAddr) -> io::Result<Self> {
        let socket = create_tcp_socket(family(at)).map_err(error)?;
        let bound = socket.subscribe();
        socket
            .start_bind(&instance_network(), to_wasi(at))
            .map_err(error)?;
        bound.block();
        socket.finish_bind().map_err(error)?;
        if let Err(code) = socket.set_listen_backlog_size(BACKLOG) {
            log::debug!("a backlog of {BACKLOG} could not be set: {code}");
        }
        socket.start_listen().map_err(error)?;
        bound.block();
        drop(bound);
        socket.finish_listen().map_err(error)?;
        Ok(Self {
            acceptable: reactor.watch(socket.subscribe()),
            socket,
            reactor: reactor.clone(),
        })
    }
}

impl Listener for Listening {
    type Stream = Tcp;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Tcp, SocketAddr)>> {
        loop {
            match self.socket.accept() {
                Err(ErrorCode::WouldBlock) => ready!(self.acceptable.poll_ready(cx)),
                Err(code) => return Poll::Ready(Err(error(code))),
                Ok((socket, input, output)) => {
                    // Built first, so that an early return drops its parts in the right order.
                    let stream = Tcp::new(&self.reactor, socket, input, output);
                    let peer = stream.socket.remote_address().map_err(error)?;
                    return Poll::Ready(Ok((stream, from_wasi(peer))));
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_address().map(from_wasi).map_err(error)
    }
}
