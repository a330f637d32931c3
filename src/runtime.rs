//! What the shell needs of a runtime: clocks, a timer, sockets and `block_on`. Nothing is ever spawned.

use crate::config::{Cidr, Config, ConfigError, Encryption};
use crate::engine::{Network, Now, Time};
use futures::io::{AsyncRead, AsyncWrite};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A runtime. It is a handle, and cheap to clone.
pub trait Runtime: Clone + Unpin {
    /// A TCP connection.
    type Stream: ByteStream;
    /// A TCP connection in the making. Dropping it gives up.
    type Connect: Future<Output = io::Result<Self::Stream>>;
    /// A TCP socket that listens for clients.
    type Listener: Listener<Stream = Self::Stream>;
    /// A UDP socket.
    type Datagrams: Datagrams;
    /// Done at its moment, or a little later.
    type Sleep: Future<Output = ()> + Unpin;
    /// A future with a time limit.
    type Within<F: Future>: Future<Output = Option<F::Output>>;

    /// Both clocks, from an origin that this runtime chose once.
    fn now(&self) -> Now;
    /// A timer on the monotonic clock. Dropping it disarms it.
    fn sleep_until(&self, at: Time) -> Self::Sleep;
    /// Runs `work` for at most `limit`; `None` when that is over. Dropping it drops `work`.
    fn within<F: Future>(&self, limit: Duration, work: F) -> Self::Within<F>;
    /// Connects over TCP, without a time limit of its own.
    fn connect(&self, to: SocketAddr) -> Self::Connect;
    /// Listens for TCP clients. With `share`, other sockets of this program may listen on the same address. The errors are those of the
    /// operating system. `AddrNotAvailable` means that this host lacks the address, `Unsupported` that it lacks the whole family.
    fn listen(&self, at: SocketAddr, share: bool) -> io::Result<Self::Listener>;
    /// Binds a UDP socket; `share` and the errors are as in [`Runtime::listen`].
    fn bind(&self, at: SocketAddr, share: bool) -> io::Result<Self::Datagrams>;
    /// A UDP socket for one peer, on a port that the system chooses. Its errors, unlike those of others, are reported: that nobody is there
    /// (ICMP port unreachable). By default a socket that receives from everybody, and learns nothing of that.
    fn datagrams_to(&self, peer: SocketAddr) -> io::Result<Self::Datagrams> {
        let ip: IpAddr = match peer.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        self.bind(SocketAddr::new(ip, 0), false)
    }
    /// Listens at a socket that listens already, because somebody else has bound it. A runtime without file descriptors refuses.
    fn adopt_listener(&self, _socket: TcpListener) -> io::Result<Self::Listener> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Takes a UDP socket that is bound already, as [`Runtime::adopt_listener`] does.
    fn adopt_datagrams(&self, _socket: UdpSocket) -> io::Result<Self::Datagrams> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Has the clients of this listener encrypt what they send: by DNS over TLS (RFC 7858) or over HTTPS (RFC 8484). A runtime that has no
    /// encryption towards clients refuses.
    fn encrypt(&self, _listener: Self::Listener, _by: Encryption) -> io::Result<Self::Listener> {
        Err(io::Error::other(
            "this build has no encryption towards clients (features listen-tls and listen-https)",
        ))
    }
    /// Another configuration holds from now on: clients over TLS may get another certificate. An error says what is wrong with it, and the one
    /// before stays.
    fn reconfigure(&self, _config: &Config) -> Result<(), ConfigError> {
        Ok(())
    }
    /// The networks that this host is on, as far as the system tells. Clients in them may ask unless the user says which clients may.
    fn networks(&self) -> Vec<Cidr> {
        Vec::new()
    }
    /// Which way the system reaches an address, if it sends from this address of its own; by default from the one that it would choose.
    fn path(&self, _to: SocketAddr, _from: Option<IpAddr>) -> NetworkPath {
        NetworkPath::Unknown
    }
    /// The resolvers that the networks of this host name themselves, as far as the system tells; or those that this file names, which is read
    /// now. By default none are known.
    fn network_resolvers(&self, _file: Option<&Path>) -> Vec<SocketAddr> {
        Vec::new()
    }
    /// A seed for the random choices of one connection that no secret depends on. By default the system makes them; a network in virtual time
    /// has them follow from its own seed, so that what happens can happen again.
    fn random_seed(&self) -> Option<[u8; 32]> {
        None
    }
    /// Runs a future on this thread.
    fn block_on<F: Future>(&self, work: F) -> F::Output;
}

/// Which way the system reaches an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkPath {
    /// The system does not tell.
    Unknown,
    /// No way leads there, or not from that address, which may be none of the system's own any more.
    Unreachable,
    /// There is one.
    Over {
        /// The interface and the first router.
        network: Network,
        /// The address that it sends from.
        source: Option<IpAddr>,
    },
}

impl NetworkPath {
    /// The network on which it begins, if that is known.
    pub fn network(&self) -> Option<Network> {
        match self {
            Self::Over { network, .. } => Some(*network),
            Self::Unknown | Self::Unreachable => None,
        }
    }

    /// The address that the system sends from, if that is known.
    pub fn source(&self) -> Option<IpAddr> {
        match self {
            Self::Over { source, .. } => *source,
            Self::Unknown | Self::Unreachable => None,
        }
    }

    /// Whether a connection that was made over this path goes on over the other. What the system does not tell has not changed. Over IPv6
    /// another router alone does not end a connection: a host keeps its address, and may take now one router, now another (RFC 4861 section
    /// 6.3.6). Over IPv4 there may be another translation of addresses behind it.
    pub fn continues_over(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => true,
            (
                Self::Over { network, source },
                Self::Over {
                    network: other,
                    source: from,
                },
            ) => {
                let v6 = source.is_some_and(|source| source.is_ipv6());
                source == from
                    && network.interface == other.interface
                    && (v6 || network.gateway == other.gateway)
            }
            (one, other) => one == other,
        }
    }
}

/// A future with a time limit, for a runtime that brings none: over its timer. `None`: the time is over.
pub struct Within<F, S> {
    work: Pin<Box<F>>,
    sleep: S,
}

impl<F, S> Within<F, S> {
    /// Runs `work` until `sleep` is done.
    pub fn new(work: F, sleep: S) -> Self {
        let work = Box::pin(work);
        Self { work, sleep }
    }
}

impl<F: Future, S: Future<Output = ()> + Unpin> Future for Within<F, S> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        Pin::new(&mut self.sleep).poll(cx).map(|()| None)
    }
}

/// A stream of octets. What only a real socket can do is a hook that does nothing by default.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin {
    /// Acknowledges at once what arrives next.
    fn ack_soon(&self) {}
    /// Whether what is written is encrypted, so that its length is all that others see of it.
    fn is_encrypted(&self) -> bool {
        false
    }
    /// Octets that it has taken and not handed to the system, because it may not, or the client has no room for them. `poll_flush` goes on
    /// with them. A stream that takes octets only when it has handed them on has none.
    fn unsent(&self) -> usize {
        0
    }
    /// Tells the client to send nothing more here, if the protocol has a way of saying so before the end. It leaves with the next poll.
    fn wind_down(&mut self) {}
    /// Whether the handshake is over that comes before the first octet. It goes on whenever the stream is polled.
    fn is_ready(&self) -> bool {
        true
    }
    /// Octets of memory that it takes beyond what the system has.
    fn memory(&self) -> usize {
        0
    }
}

/// A TCP socket that listens for clients.
pub trait Listener: Unpin {
    /// What it accepts.
    type Stream: ByteStream;
    /// The next client and its address. An error concerns one client or a passing shortage, and the socket can be polled again.
    fn poll_accept(&mut self, cx: &mut Context<'_>)
    -> Poll<io::Result<(Self::Stream, SocketAddr)>>;
    /// The address that it is bound to.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A UDP socket that moves datagrams in batches.
pub trait Datagrams: Unpin {
    /// Waits for datagrams and fills `ring` from its start. Cancel-safe. Errors of single datagrams (an ICMP message that came back)
    /// are not reported.
    fn poll_recv(&mut self, cx: &mut Context<'_>, ring: &mut Ring) -> Poll<io::Result<()>>;
    /// Sends from the front of `batch`, and says how many it is done with: at least one. One that the system refuses to send is
    /// dropped and counted in [`Sent::refused`]. `Pending` when the socket's buffer is full.
    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &[Datagram<'_>])
    -> Poll<io::Result<Sent>>;
    /// The address that it is bound to.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A datagram to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Its destination.
    pub to: SocketAddr,
    /// Which of the socket's addresses it comes from; `None` where the socket has only one.
    pub from: Option<IpAddr>,
    /// Its octets.
    pub message: &'a [u8],
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams that need no more attention.
    pub done: usize,
    /// Of those, datagrams that could not be sent.
    pub refused: usize,
}

/// Memory for a batch of received datagrams.
pub struct Ring {
    buffer: Box<[u8]>,
    /// The octets, the sender and the local address of each.
    received: Vec<(usize, SocketAddr, Option<IpAddr>)>,
}

impl Ring {
    /// Datagrams in a batch.
    pub const SLOTS: usize = 32;
    /// After so many datagrams at once the next ones have likely arrived when these are answered: to try costs one system call, to
    /// wait costs several.
    pub const BUSY: usize = 8;
    /// Octets of a datagram. Queries are far smaller; a larger one is truncated by the system and then found malformed.
    pub const SLOT_LEN: usize = 4096;

    /// An empty ring.
    pub fn new() -> Self {
        Self {
            buffer: vec![0; Self::SLOTS * Self::SLOT_LEN].into_boxed_slice(),
            received: Vec::with_capacity(Self::SLOTS),
        }
    }

    /// Forgets the last batch.
    pub fn clear(&mut self) {
        self.received.clear();
    }

    /// The slots behind those that are filled.
    pub fn free_slots(&mut self) -> std::slice::ChunksExactMut<'_, u8> {
        let filled = self.received.len() * Self::SLOT_LEN;
        let free = self.buffer.get_mut(filled..).unwrap_or_default();
        free.chunks_exact_mut(Self::SLOT_LEN)
    }

    /// Notes that the next slot holds a datagram of so many octets: its sender, and the local address that it was sent to.
    pub fn push(&mut self, len: usize, from: SocketAddr, local: Option<IpAddr>) {
        self.received.push((len, from, local));
    }

    /// How many datagrams there are.
    pub fn len(&self) -> usize {
        self.received.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// The datagrams: their octets, their sender, the local address that they were sent to.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], SocketAddr, Option<IpAddr>)> {
        let slots: std::slice::ChunksExact<'_, u8> = self.buffer.chunks_exact(Self::SLOT_LEN);
        let received = slots.zip(&self.received);
        received.map(|(slot, (len, from, local))| (slot.get(..*len).unwrap_or(slot), *from, *local))
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}
