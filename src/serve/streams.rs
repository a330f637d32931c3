//! Clients over TCP (RFC 7766): many queries on one connection, answered in any order, with a bound on everything.

use super::sources::SourceKey;
use super::unread::{Backlog, Full, Unread};
use crate::config::Limits;
use crate::engine::{Client, Forwarder, Now, Output, Time, Via};
use crate::runtime::Stream;
use crate::wire::{Frames, append_frame};
use slotmap::new_key_type;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

new_key_type! {
    /// Names a client's connection.
    pub struct ConnectionKey;
}

/// Answers that a client has not read, in octets, until nothing more is read from it.
const MAX_BACKLOG: usize = 64 * 1024;
/// Reads in one pass, so that others get their turn.
const MAX_READS: usize = 16;
/// Messages in a row that are no queries, until the connection is closed: what got out of step does not get into step again, and no
/// client of DNS sends such a message at all. A few are no reason to punish a program that has one fault.
const MAX_STRAYS: usize = 16;
/// A part of a query that has come no further for so long is no reason to stay, when the program wants to end.
const ABANDONED: Duration = Duration::from_millis(500);
/// Memory for outgoing answers that is kept between bursts.
const KEEP: usize = 4096;
/// Octets of answers that are kept together for one write.
const MAX_OUTGOING: usize = KEEP;

/// Whether the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Keep,
    /// There is more to read at once.
    Again,
    Close,
}

/// A client's connection.
pub struct Connection<S> {
    pub source: SourceKey,
    pub peer: SocketAddr,
    stream: S,
    incoming: Frames,
    /// Answers that leave at the next flush.
    outgoing: Vec<u8>,
    /// Answers behind those: large ones, and those that the client had no room for.
    unread: Backlog,
    /// Queries whose answer is due.
    pending: usize,
    /// The client has said its last word (RFC 7766 section 6.2.4: it still gets its answers).
    half_closed: bool,
    /// Not read from because of a bound, so that its waker waits for nothing.
    paused: bool,
    /// Messages since the last query that were none, and got no answer.
    strays: usize,
    /// An answer to a question that was accepted is due, or has not been read.
    useful: bool,
    /// When the last question that was accepted came, or the last octet of an answer to one was taken.
    progress: Time,
    /// When the last octet of any answer was taken.
    taken_at: Time,
    /// What of its memory is counted so far.
    pub accounted: usize,
}

impl<S: Stream> Connection<S> {
    pub fn new(stream: S, peer: SocketAddr, source: SourceKey, now: Time) -> Self {
        Self {
            source,
            peer,
            stream,
            incoming: Frames::new(),
            outgoing: Vec::new(),
            unread: Backlog::default(),
            pending: 0,
            half_closed: false,
            paused: false,
            strays: 0,
            useful: false,
            progress: now,
            taken_at: now,
            accounted: 0,
        }
    }

    /// When it is closed unless something happens: it is idle, sends a query octet by octet or nothing that is a question, or does
    /// not read its answers. Only while an answer is due from us it has all the time.
    pub fn due(&self, limits: &Limits) -> Option<Time> {
        if self.backlog() > 0 {
            return Some(self.progress.max(self.taken_at) + limits.tcp_idle);
        }
        (self.pending == 0).then(|| self.progress + limits.tcp_idle)
    }

    /// Queries whose answer is due.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Nothing under way in either direction?
    pub fn is_idle(&self) -> bool {
        self.pending == 0 && self.backlog() == 0 && self.incoming.is_empty()
    }

    /// May it be closed although its client has not asked for that? Nothing is owed, and nothing has come for a while.
    pub fn may_end(&self, quiet: Duration, now: Time) -> bool {
        let owed = self.pending > 0 || self.backlog() > 0;
        let quiet = if self.incoming.is_empty() {
            quiet
        } else {
            ABANDONED
        };
        !owed && now >= self.progress + quiet
    }

    /// Octets of memory that its queries and answers take.
    pub fn memory(&self) -> usize {
        self.incoming.memory() + self.outgoing.capacity() + self.unread.memory()
    }

    /// Octets of answers that were not tried to be written yet.
    pub fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    fn backlog(&self) -> usize {
        self.outgoing.len() + self.unread.len()
    }

    /// Takes what has arrived to the core, within the bounds. What is left waits in the kernel, and so does the client.
    pub fn receive(
        &mut self,
        name: u64,
        waker: &Waker,
        limits: &Limits,
        core: &mut Forwarder,
        now: Now,
        out: &mut Output,
    ) -> Fate {
        let mut cx = Context::from_waker(waker);
        let client = Client {
            addr: self.peer,
            via: Via::Stream(name),
        };
        // Answers that are there at once lie in `out` until it is drained, and are this client's all the same.
        let before = out.octets();
        for _ in 0..MAX_READS {
            while self.pending < limits.tcp_in_flight && self.backlog() < MAX_BACKLOG {
                if out.is_full() || self.backlog() + out.octets() - before >= MAX_BACKLOG {
                    return Fate::Again;
                }
                let Some(message) = self.incoming.next() else {
                    break;
                };
                let accepted = core.stats().accepted();
                if core.query(message, client, now, out) {
                    self.pending += 1;
                    self.strays = 0;
                } else {
                    self.strays += 1;
                }
                // Only a question is progress: with anything else a connection could be kept for ever.
                if core.stats().accepted() > accepted {
                    self.progress = now.mono;
                    self.useful = true;
                    self.strays = 0;
                } else if self.strays >= MAX_STRAYS {
                    log::debug!(
                        "{}: sends what is no query: its connection is closed",
                        self.peer
                    );
                    return Fate::Close;
                }
            }
            self.paused = self.pending >= limits.tcp_in_flight || self.backlog() >= MAX_BACKLOG;
            if self.paused {
                return Fate::Keep;
            }
            if self.half_closed {
                return self.fate();
            }
            match Pin::new(&mut self.stream).poll_read(&mut cx, self.incoming.space()) {
                Poll::Pending => {
                    self.incoming.release();
                    return self.fate();
                }
                Poll::Ready(Ok(0)) => self.half_closed = true,
                Poll::Ready(Ok(n)) => self.incoming.filled(n),
                Poll::Ready(Err(error)) => {
                    log::debug!("{}: {error}", self.peer);
                    return Fate::Close;
                }
            }
        }
        Fate::Again
    }

    /// Takes an answer. It leaves at the next flush.
    pub fn reply(&mut self, message: &[u8], unread: &mut Unread) -> Result<(), Full> {
        self.pending = self.pending.saturating_sub(1);
        // Large ones go where large buffers come and go; small ones, which are nearly all, leave from here in one write.
        if self.unread.is_empty() && self.outgoing.len() + message.len() <= MAX_OUTGOING {
            append_frame(message, &mut self.outgoing);
            return Ok(());
        }
        let Ok(len) = u16::try_from(message.len()) else {
            return Ok(());
        };
        unread.append(&mut self.unread, &len.to_be_bytes())?;
        unread.append(&mut self.unread, message)
    }

    /// Writes what the client is ready to take, and puts the rest aside.
    pub fn flush(&mut self, waker: &Waker, now: Time, unread: &mut Unread) -> Result<Fate, Full> {
        let mut cx = Context::from_waker(waker);
        let mut taken = 0;
        loop {
            let rest = match self.outgoing.get(taken..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => unread.front(&self.unread),
            };
            if rest.is_empty() {
                break;
            }
            match Pin::new(&mut self.stream).poll_write(&mut cx, rest) {
                Poll::Pending => {
                    self.outgoing.drain(..taken);
                    if self.unread.is_empty() {
                        unread.append(&mut self.unread, &self.outgoing)?;
                        self.outgoing = Vec::new();
                    }
                    return Ok(Fate::Keep);
                }
                Poll::Ready(Ok(n)) if n > 0 => {
                    if taken < self.outgoing.len() {
                        taken += n;
                    } else {
                        unread.consume(&mut self.unread, n);
                    }
                    self.taken_at = now;
                    if self.useful {
                        self.progress = now;
                    }
                }
                Poll::Ready(Ok(_)) => return Ok(Fate::Close),
                Poll::Ready(Err(error)) => {
                    log::debug!("{}: {error}", self.peer);
                    return Ok(Fate::Close);
                }
            }
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(KEEP);
        self.useful &= self.pending > 0;
        Ok(self.fate())
    }

    /// Paused because of a bound that does not hold any more?
    pub fn may_resume(&self, limits: &Limits) -> bool {
        self.paused && self.pending < limits.tcp_in_flight && self.backlog() < MAX_BACKLOG
    }

    /// Over, when the client said its last word and has all its answers.
    fn fate(&self) -> Fate {
        let more = self.pending > 0 || self.backlog() > 0 || self.incoming.has_message();
        if self.half_closed && !more {
            Fate::Close
        } else {
            Fate::Keep
        }
    }

    /// Says goodbye. What the client does with it does not matter any more.
    pub fn close(mut self, waker: &Waker, unread: &mut Unread) {
        unread.clear(&mut self.unread);
        let mut cx = Context::from_waker(waker);
        let _sent_or_not = Pin::new(&mut self.stream).poll_close(&mut cx);
    }
}

#[cfg(test)]
mod tests {
    use super::super::unread::BLOCK;
    use super::*;
    use futures::io::{AsyncRead, AsyncWrite};
    use futures::task::noop_waker;
    use std::io;

    /// A client that has room for so many octets.
    struct Sipping(usize);

    impl AsyncRead for Sipping {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Sipping {
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

    impl Stream for Sipping {}

    // fault 77: what was read takes no memory, also where something is always left to read.
    #[test]
    fn a_client_that_never_catches_up_holds_what_it_has_not_read() {
        const FRAME: usize = 1_000;
        const LATE: usize = 10 * FRAME;
        let peer = "127.0.0.1:40000".parse().unwrap();
        let source = SourceKey::default();
        let mut unread = Unread::new(1 << 20);
        let mut connection = Connection::new(Sipping(0), peer, source, Time::ZERO);
        for _ in 0..10 {
            connection.reply(&[0; FRAME - 2], &mut unread).unwrap();
        }
        for _ in 0..10_000 {
            connection.reply(&[0; FRAME - 2], &mut unread).unwrap();
            connection.stream.0 = FRAME;
            let fate = connection.flush(&noop_waker(), Time::ZERO, &mut unread);
            assert_eq!(fate, Ok(Fate::Keep));
            assert_eq!(connection.backlog(), LATE);
            assert!(connection.memory() <= 3 * BLOCK);
        }
    }
}
