//! A client's connection (RFC 7766): many queries, answered in any order, with a bound on everything.

use super::backlog::{Backlog, BlockPool, Full};
use crate::config::Limits;
use crate::engine::{Client, Time};
use crate::runtime::ByteStream;
use crate::serve::core::Core;
use crate::serve::sources::{ClientKey, Polled, Source};
use crate::wire::{Frames, append_frame};
use log::debug;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// Octets of responses that a client has not read, from which on nothing more is read from it.
const MAX_BACKLOG: usize = 64 * 1024;
/// Reads in one iteration, so that others get their turn.
const MAX_READS: usize = 16;
/// Messages in a row that are no queries, until the connection is closed: framing that was lost is not found again, and no DNS client
/// sends such messages at all. A few are tolerated from a program that has one fault.
const MAX_STRAYS: usize = 16;
/// A part of a query of which nothing came for so long is no reason to stay, when the worker drains.
const ABANDONED: Duration = Duration::from_millis(500);
/// A handshake that has not finished after so long is given up, however long an idle connection may stay.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Octets of responses that are kept together for one write, and the memory that is kept for them.
const MAX_OUTGOING: usize = 4096;

/// A client's connection.
pub struct ClientConnection<S> {
    pub source: Source,
    pub peer: SocketAddr,
    stream: S,
    incoming: Frames,
    /// Responses that leave at the next flush.
    outgoing: Vec<u8>,
    /// Responses behind those: large ones, and those that the client had no room for.
    unread: Backlog,
    /// Queries whose response is due.
    pending: usize,
    stage: Stage,
    /// Not read from because of a bound, so that its waker waits for nothing.
    paused: bool,
    /// Messages since the last query that were none, and got no response.
    strays: usize,
    /// A response to a query that was accepted is due, or has not been read.
    useful: bool,
    /// When the last query that was accepted came, or the last octet of a response to one was taken.
    progress: Time,
    /// When the last octet of any response was taken.
    taken_at: Time,
    /// What of its memory is counted so far, in octets.
    pub accounted: usize,
    /// It was woken and waits for the next iteration.
    pub is_postponed: bool,
}

/// What a client may still send.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The handshake of the stream is not over.
    Handshake,
    /// Queries.
    Open,
    /// Nothing more; it still gets its responses (RFC 7766 section 6.2.4).
    HalfClosed,
}

impl<S: ByteStream> ClientConnection<S> {
    pub fn new(stream: S, peer: SocketAddr, source: Source, now: Time) -> Self {
        let stage = if stream.is_ready() {
            Stage::Open
        } else {
            Stage::Handshake
        };
        Self {
            source,
            peer,
            stage,
            stream,
            incoming: Frames::new(),
            outgoing: Vec::new(),
            unread: Backlog::default(),
            pending: 0,
            paused: false,
            strays: 0,
            useful: false,
            progress: now,
            taken_at: now,
            accounted: 0,
            is_postponed: false,
        }
    }

    /// When it is closed unless something happens: it is idle, sends a query octet by octet or nothing that is a query, or does
    /// not read its responses. `None` while all it waits for is a response.
    pub fn due(&self, limits: &Limits) -> Option<Time> {
        if self.stage == Stage::Handshake {
            return Some(self.progress + limits.tcp_idle.min(HANDSHAKE));
        }
        if self.backlog() > 0 {
            return Some(self.progress.max(self.taken_at) + limits.tcp_idle);
        }
        (self.pending == 0).then(|| self.progress + limits.tcp_idle)
    }

    /// Queries whose response is due.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Nothing under way in either direction?
    pub fn is_idle(&self) -> bool {
        self.pending == 0 && self.backlog() == 0 && self.incoming.is_empty()
    }

    /// May it be closed when the worker drains? No response is due, and nothing has come for a while.
    pub fn may_end(&self, quiet: Duration, now: Time) -> bool {
        let due = self.pending > 0 || self.backlog() > 0;
        let partial = self.stage == Stage::Handshake || !self.incoming.is_empty();
        let quiet = if partial { ABANDONED } else { quiet };
        !due && now >= self.progress + quiet
    }

    /// Octets of memory that its queries and responses take.
    pub fn memory(&self) -> usize {
        let queued = self.outgoing.capacity() + self.unread.memory();
        self.incoming.memory() + queued + self.stream.memory()
    }

    /// Octets of responses that leave at the next flush.
    pub fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    /// How the core knows this client.
    pub fn client(&self, key: ClientKey) -> Client {
        Client {
            addr: self.peer,
            via: key.via(self.stream.is_encrypted()),
        }
    }

    fn backlog(&self) -> usize {
        self.outgoing.len() + self.unread.len() + self.stream.unsent()
    }

    /// Tells the client to send its next queries elsewhere, if it can be told.
    pub fn wind_down(&mut self) {
        self.stream.wind_down();
        self.source.mark();
    }

    /// Takes what has arrived to the core, within the bounds. What is left waits in the kernel, and so does the client.
    pub fn receive(&mut self, key: ClientKey, limits: &Limits, core: &mut Core) -> Polled {
        let mut cx = self.source.context();
        let client = self.client(key);
        let (forwarder, out, now) = (&mut core.forwarder, &mut core.out, core.now);
        // Responses that are there at once are in `out` until it is carried out, and count for this client all the same.
        let before = out.octets();
        for _ in 0..MAX_READS {
            while self.pending < limits.tcp_in_flight && self.backlog() < MAX_BACKLOG {
                if out.is_full() || self.backlog() + out.octets() - before >= MAX_BACKLOG {
                    return Polled::More;
                }
                let Some(message) = self.incoming.next() else {
                    break;
                };
                let accepted = forwarder.stats().accepted();
                if forwarder.query(message, client, now, out) {
                    self.pending += 1;
                    self.strays = 0;
                } else {
                    self.strays += 1;
                }
                // Only a query is progress: with anything else a connection could be kept for ever.
                if forwarder.stats().accepted() > accepted {
                    self.progress = now.mono;
                    self.useful = true;
                    self.strays = 0;
                } else if self.strays >= MAX_STRAYS {
                    debug!(
                        "{}: sent {MAX_STRAYS} messages in a row that are no queries; its connection is closed",
                        self.peer
                    );
                    return Polled::Ended;
                }
            }
            self.paused = self.pending >= limits.tcp_in_flight || self.backlog() >= MAX_BACKLOG;
            if self.paused {
                return Polled::Pending;
            }
            if self.stage == Stage::HalfClosed {
                return self.polled();
            }
            let read = Pin::new(&mut self.stream).poll_read(&mut cx, self.incoming.space());
            if self.stage == Stage::Handshake && self.stream.is_ready() {
                // The time for silence begins.
                self.stage = Stage::Open;
                self.progress = now.mono;
            }
            match read {
                Poll::Pending => {
                    self.incoming.release();
                    return self.polled();
                }
                Poll::Ready(Ok(0)) => self.stage = Stage::HalfClosed,
                Poll::Ready(Ok(n)) => self.incoming.filled(n),
                Poll::Ready(Err(error)) => {
                    debug!(
                        "{}: reading from its connection failed: {error}; it is closed",
                        self.peer
                    );
                    return Polled::Ended;
                }
            }
        }
        Polled::More
    }

    /// Takes a response. It leaves at the next flush.
    pub fn reply(&mut self, message: &[u8], blocks: &mut BlockPool) -> Result<(), Full> {
        self.pending = self.pending.saturating_sub(1);
        // Nearly all are small, and leave from here in one write. Large ones go where large buffers come and go.
        if self.unread.is_empty() && self.outgoing.len() + message.len() <= MAX_OUTGOING {
            append_frame(message, &mut self.outgoing);
            return Ok(());
        }
        let Ok(len) = u16::try_from(message.len()) else {
            return Ok(());
        };
        blocks.append(&mut self.unread, &len.to_be_bytes())?;
        blocks.append(&mut self.unread, message)
    }

    /// Writes what the client is ready to take, and puts the rest aside.
    pub fn flush(&mut self, now: Time, blocks: &mut BlockPool) -> Result<Polled, Full> {
        let mut cx = self.source.context();
        let (mut taken, unsent) = (0, self.stream.unsent());
        loop {
            let rest = match self.outgoing.get(taken..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => blocks.front(&self.unread),
            };
            if rest.is_empty() {
                break;
            }
            match Pin::new(&mut self.stream).poll_write(&mut cx, rest) {
                Poll::Pending => {
                    self.note_unsent(unsent, now);
                    self.outgoing.drain(..taken);
                    if self.unread.is_empty() {
                        blocks.append(&mut self.unread, &self.outgoing)?;
                        self.outgoing = Vec::new();
                    }
                    return Ok(Polled::Pending);
                }
                Poll::Ready(Ok(n)) if n > 0 => {
                    if taken < self.outgoing.len() {
                        taken += n;
                    } else {
                        blocks.consume(&mut self.unread, n);
                    }
                    self.taken_at = now;
                    if self.useful {
                        self.progress = now;
                    }
                }
                Poll::Ready(Ok(_)) => return Ok(Polled::Ended),
                Poll::Ready(Err(error)) => {
                    debug!(
                        "{}: writing to its connection failed: {error}; it is closed",
                        self.peer
                    );
                    return Ok(Polled::Ended);
                }
            }
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(MAX_OUTGOING);
        if self.stream.unsent() > 0
            && let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_flush(&mut cx)
        {
            debug!(
                "{}: writing to its connection failed: {error}; it is closed",
                self.peer
            );
            return Ok(Polled::Ended);
        }
        self.note_unsent(unsent, now);
        self.useful &= self.pending > 0 || self.stream.unsent() > 0;
        Ok(self.polled())
    }

    /// The stream had so many octets that it could not hand on: with fewer the client has taken some.
    fn note_unsent(&mut self, before: usize, now: Time) {
        if self.stream.unsent() < before {
            self.taken_at = now;
            if self.useful {
                self.progress = now;
            }
        }
    }

    /// Is it paused because of a bound that it no longer reaches?
    pub fn may_resume(&self, limits: &Limits) -> bool {
        self.paused && self.pending < limits.tcp_in_flight && self.backlog() < MAX_BACKLOG
    }

    /// It has ended when the client sends nothing more and has all its responses.
    fn polled(&self) -> Polled {
        let more = self.pending > 0 || self.backlog() > 0 || self.incoming.has_message();
        if self.stage == Stage::HalfClosed && !more {
            Polled::Ended
        } else {
            Polled::Pending
        }
    }

    /// Closes it. How the client takes that does not matter any more.
    pub fn close(mut self, blocks: &mut BlockPool) {
        blocks.clear(&mut self.unread);
        let _sent_or_not = Pin::new(&mut self.stream).poll_close(&mut self.source.context());
    }
}

#[cfg(test)]
mod tests {
    use super::super::backlog::BLOCK;
    use super::*;
    use crate::serve::sources::{Kind, Sources};
    use futures::io::{AsyncRead, AsyncWrite};
    use std::io;
    use std::task::Context;

    /// A client that reads so many octets.
    struct SlowReader(usize);

    impl AsyncRead for SlowReader {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for SlowReader {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            from: &[u8],
        ) -> Poll<io::Result<usize>> {
            let n = from.len().min(self.0);
            self.0 -= n;
            if n == 0 {
                return Poll::Pending;
            }
            Poll::Ready(Ok(n))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl ByteStream for SlowReader {}

    // fault 77: what was read takes no memory, also where something is always left to read.
    #[test]
    fn a_client_that_never_catches_up_holds_what_it_has_not_read() {
        const FRAME: usize = 1_000;
        const LATE: usize = 10 * FRAME;
        let peer = "127.0.0.1:40000".parse().unwrap();
        let source = Sources::default().add(Kind::Control);
        let mut blocks = BlockPool::new(1 << 20);
        let mut connection = ClientConnection::new(SlowReader(0), peer, source, Time::ZERO);
        for _ in 0..10 {
            connection.reply(&[0; FRAME - 2], &mut blocks).unwrap();
        }
        for _ in 0..10_000 {
            connection.reply(&[0; FRAME - 2], &mut blocks).unwrap();
            connection.stream.0 = FRAME;
            let polled = connection.flush(Time::ZERO, &mut blocks);
            assert_eq!(polled, Ok(Polled::Pending));
            assert_eq!(connection.backlog(), LATE);
            assert!(connection.memory() <= 3 * BLOCK);
        }
    }
}
