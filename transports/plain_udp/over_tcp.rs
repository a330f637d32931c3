//! Queries to an upstream over UDP that are sent to it over TCP instead, on one connection.

use super::super::socks5::Path;
use super::super::tcp::{Connecting, Tcp};
use super::super::time_limit::Bounded;
use crate::engine::words::counted;
use crate::framed::Framed;
use crate::runtime::Runtime;
use crate::transport::{Connection, Event};
use crate::wire::{self, Rcode, Recipient};
use log::debug;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// So often a query is sent: again if its connection ended, which may have been idle for too long when the query left (RFC 7766
/// section 6.2.4).
const MAX_SENDS: u8 = 2;

/// The connection, if there is one, and the queries that wait for a response on it.
pub struct OverTcp<R: Runtime> {
    tcp: Tcp<R>,
    addr: SocketAddr,
    stage: Stage<R>,
    waiting: BTreeMap<u16, Waiting>,
    /// Error responses to queries that could not be sent. They are made here, so that the core asks another upstream at once.
    failed: VecDeque<Vec<u8>>,
}

struct Waiting {
    message: Vec<u8>,
    sends: u8,
}

enum Stage<R: Runtime> {
    None,
    Connecting(Bounded<R, Connecting<R>>),
    Open(Framed<R::Stream>),
}

impl<R: Runtime> OverTcp<R> {
    /// Connects to this address when the first query comes.
    pub fn new(tcp: Tcp<R>, addr: SocketAddr) -> Self {
        Self {
            tcp,
            addr,
            stage: Stage::None,
            waiting: BTreeMap::new(),
            failed: VecDeque::new(),
        }
    }

    /// Takes a query, which leaves at the next flush.
    pub fn queue(&mut self, id: u16, message: Vec<u8>) {
        let mut waiting = Waiting { message, sends: 0 };
        match &mut self.stage {
            Stage::None => self.stage = Stage::Connecting(self.tcp.dial(&Path::direct(self.addr))),
            Stage::Connecting(_) => {}
            Stage::Open(connection) => waiting.send(connection),
        }
        self.waiting.insert(id, waiting);
    }

    /// Nobody waits any more for the response to this query.
    pub fn forget(&mut self, id: u16) {
        self.waiting.remove(&id);
    }

    /// Octets that have not left.
    pub fn backlog(&self) -> usize {
        match &self.stage {
            Stage::None => 0,
            Stage::Connecting(_) => self.waiting.values().map(|one| one.message.len()).sum(),
            Stage::Open(connection) => connection.backlog(),
        }
    }

    /// Sends what is queued, as far as there is a connection. One that is being made is not waited for.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let was_open = matches!(self.stage, Stage::Open(_));
        let flushed = self.poll_sent(cx);
        if !self.failed.is_empty() || (!was_open && matches!(self.stage, Stage::Open(_))) {
            // There is something for `poll_next`, which nothing else wakes.
            cx.waker().wake_by_ref();
        }
        flushed
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::None => return Poll::Ready(()),
                Stage::Connecting(connecting) => match Pin::new(connecting).poll(cx) {
                    Poll::Pending => return Poll::Ready(()),
                    Poll::Ready(Ok(mut connection)) => {
                        for waiting in self.waiting.values_mut() {
                            waiting.send(&mut connection);
                        }
                        self.stage = Stage::Open(connection);
                    }
                    Poll::Ready(Err(why)) => {
                        for waiting in self.waiting.values_mut() {
                            waiting.sends = MAX_SENDS;
                        }
                        self.ended(&why);
                    }
                },
                Stage::Open(connection) => match ready!(connection.poll_flush(cx)) {
                    Ok(()) => return Poll::Ready(()),
                    Err(why) => self.ended(&why),
                },
            }
        }
    }

    /// The next response, which it copies.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, response: &mut Vec<u8>) -> Poll<()> {
        loop {
            // What is not sent yet needs no response.
            let _sent_or_not = self.poll_sent(cx);
            if let Some(failed) = self.failed.pop_front() {
                *response = failed;
                return Poll::Ready(());
            }
            let Stage::Open(connection) = &mut self.stage else {
                return Poll::Pending;
            };
            match ready!(connection.poll_next(cx)) {
                Event::Message(message) => {
                    response.clear();
                    response.extend_from_slice(message);
                    if let Some(id) = response.first_chunk() {
                        self.waiting.remove(&u16::from_be_bytes(*id));
                    }
                    return Poll::Ready(());
                }
                // It is not said of a stream of messages.
                Event::Limits(_) => {}
                Event::Closed(why) | Event::Failed { why, .. } => self.ended(&why),
            }
        }
    }

    /// The connection ended, or was not made: what waits is sent on another, or has failed.
    fn ended(&mut self, why: &impl Display) {
        self.stage = Stage::None;
        if self.waiting.is_empty() {
            return;
        }
        debug!(
            "{} over TCP: {why}; not answered yet: {}",
            self.addr,
            counted(self.waiting.len() as u64, "query", "queries")
        );
        let all = mem::take(&mut self.waiting).into_iter();
        let (failed, again) = all.partition(|(_, one)| one.sends >= MAX_SENDS);
        self.waiting = again;
        let failed: BTreeMap<u16, Waiting> = failed;
        self.failed
            .extend(failed.values().filter_map(Waiting::failure));
        if !self.waiting.is_empty() {
            self.stage = Stage::Connecting(self.tcp.dial(&Path::direct(self.addr)));
        }
    }

    /// Closes in order.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stage {
            Stage::Open(connection) => connection.poll_close(cx),
            _ => Poll::Ready(()),
        }
    }
}

impl Waiting {
    fn send(&mut self, connection: &mut impl Connection) {
        self.sends += 1;
        connection.queue(&self.message);
    }

    /// SERVFAIL.
    fn failure(&self) -> Option<Vec<u8>> {
        let query = wire::parse_query(&self.message).ok()?;
        let flags = query.header.flags;
        let recipient = Recipient {
            id: query.header.id,
            question: query.question.octets(&self.message),
            rd: flags.rd(),
            edns: None,
            limit: usize::from(u16::MAX),
        };
        let mut out = Vec::new();
        let head = (flags.opcode(), flags.cd(), Rcode::SERVFAIL);
        wire::local_response(&recipient, head, None, super::MAX_RESPONSE, &mut out);
        Some(out)
    }
}
