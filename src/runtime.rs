//! What the shell asks of a runtime: a clock, one kind of timer, sockets and `block_on`. Nothing is ever spawned.

use crate::config::Cidr;
use crate::engine::{Now, Time};
use futures::io::{AsyncRead, AsyncWrite};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::task::{Context, Poll};
use std::time::Duration;

/// A runtime. Cheap to clone: a handle.
pub trait Runtime: Clone + Unpin {
    /// A TCP connection.
    type Stream: Stream;
    /// A connection in the making. Dropping it gives up.
    type Connect: Future<Output = io::Result<Self::Stream>>;
    /// Where TCP clients arrive.
    type Listener: Listener<Stream = Self::Stream>;
    /// Where UDP clients arrive.
    type Datagrams: Datagrams;
    /// Done at its moment, or a little later.
    type Sleep: Future<Output = ()> + Unpin;
    /// A future with a bound in time.
    type Within<F: Future>: Future<Output = Option<F::Output>>;

    /// Both clocks, from an origin that this runtime chose once.
    fn now(&self) -> Now;
    /// A timer on the monotonic clock. Dropping it disarms it.
    fn sleep_until(&self, at: Time) -> Self::Sleep;
    /// Runs `work` for at most `limit`; `None` when that is over. Dropping it drops `work`.
    fn within<F: Future>(&self, limit: Duration, work: F) -> Self::Within<F>;
    /// Connects. No time limit of its own.
    fn connect(&self, to: SocketAddr) -> Self::Connect;
    /// Does this error of `listen` or `bind` mean that the machine lacks the address, or its whole family?
    fn is_missing(error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::AddrNotAvailable
    }
    /// Listens for TCP clients. `share`: other sockets of this program may listen on the same address.
    fn listen(&self, at: SocketAddr, share: bool) -> io::Result<Self::Listener>;
    /// Binds a socket for UDP clients; `share` as in [`Runtime::listen`].
    fn bind(&self, at: SocketAddr, share: bool) -> io::Result<Self::Datagrams>;
    /// The networks that this host is on, as far as the system tells: who is in one of them may ask unless the user says who may.
    fn networks(&self) -> Vec<Cidr> {
        Vec::new()
    }
    /// Runs a future on this thread.
    fn block_on<F: Future>(&self, work: F) -> F::Output;
}

/// A TCP connection, with what only a real socket can do as hooks that do nothing by default.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Acknowledge at once what arrives next.
    fn ack_soon(&self) {}
}

/// A listening TCP socket.
pub trait Listener: Unpin {
    /// What it accepts.
    type Stream: Stream;
    /// The next client. An error concerns one client or a passing shortage; the listener lives on.
    fn poll_accept(&mut self, cx: &mut Context<'_>)
    -> Poll<io::Result<(Self::Stream, SocketAddr)>>;
    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A UDP socket that moves datagrams in batches.
pub trait Datagrams: Unpin {
    /// Waits for datagrams and fills `ring` from its start. Errors of single datagrams (an ICMP message that came back) are swallowed.
    /// Cancel-safe.
    fn poll_recv(&mut self, cx: &mut Context<'_>, ring: &mut Ring) -> Poll<io::Result<()>>;
    /// Sends from the front of `batch`; says how many it is done with, at least one. An answer that the system refuses to send is
    /// dropped and counted in [`Sent::refused`]. `Pending` when the socket's buffer is full.
    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &[Reply<'_>]) -> Poll<io::Result<Sent>>;
    /// Where it is bound.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// An answer on its way to a UDP client.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Whom to.
    pub to: SocketAddr,
    /// From which of the socket's addresses; `None`: it has only one.
    pub from: Option<IpAddr>,
    /// The message.
    pub message: &'a [u8],
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Answers that need no more attention.
    pub done: usize,
    /// Of those, answers that could not be sent.
    pub refused: usize,
}

/// Room for a batch of received datagrams.
pub struct Ring {
    buffer: Box<[u8]>,
    received: Vec<Received>,
}

#[derive(Clone, Copy)]
struct Received {
    len: usize,
    from: SocketAddr,
    local: Option<IpAddr>,
}

impl Ring {
    /// Datagrams in a batch: what `recvmmsg` takes at once in quinn-udp.
    pub const SLOTS: usize = 32;
    /// After so many datagrams at once the next ones are likely there as soon as these are answered: trying costs one system call,
    /// waiting several.
    pub const BUSY: usize = 8;
    /// Octets of a datagram. Queries are far smaller; one that is larger is cut by the system and then found malformed.
    pub const SLOT_LEN: usize = 4096;

    /// An empty ring.
    pub fn new() -> Self {
        Self {
            buffer: vec![0; Self::SLOTS * Self::SLOT_LEN].into_boxed_slice(),
            received: Vec::with_capacity(Self::SLOTS),
        }
    }

    /// Forgets the last batch and hands out the slots to receive into.
    pub fn slots(&mut self) -> std::slice::ChunksExactMut<'_, u8> {
        self.clear();
        self.free_slots()
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

    /// Notes that the next slot holds a datagram.
    pub fn push(&mut self, len: usize, from: SocketAddr, local: Option<IpAddr>) {
        self.received.push(Received { len, from, local });
    }

    /// How many datagrams there are.
    pub fn len(&self) -> usize {
        self.received.len()
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// The datagrams: their bytes, their sender, the address that was asked.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], SocketAddr, Option<IpAddr>)> {
        let slots: std::slice::ChunksExact<'_, u8> = self.buffer.chunks_exact(Self::SLOT_LEN);
        slots.zip(&self.received).map(|(slot, received)| {
            let Range { start, end } = 0..received.len.min(slot.len());
            (
                slot.get(start..end).unwrap_or_default(),
                received.from,
                received.local,
            )
        })
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}
