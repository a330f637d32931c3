//! What a connection does whenever it is polled: events of QUIC, streams, timers.

use super::connection::{Connection, MAX_FREE};
use super::errors::{self, NO_ERROR, PROTOCOL_ERROR, REQUEST_CANCELLED};
use super::exchange::{Exchange, Progress};
use crate::runtime::Runtime;
use crate::transport::{ConnectError, ConnectionError};
use bytes::Bytes;
use quinn_proto::{Dir, Event as QuicEvent, StreamEvent, StreamId, VarInt, WriteError};
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// While queries wait and the other end is not heard for so long, it is asked whether it is there: before any usual idle timeout of a server is
/// over.
const PING_AFTER: Duration = Duration::from_secs(2);
/// A server that allows no stream for so long, although all responses have come, does not go on.
const STARVING: Duration = Duration::from_secs(1);

impl<R: Runtime> Connection<R> {
    /// Opens as many streams as are allowed. The server hears of one with the first query on it, or on a later one.
    pub(super) fn open_streams(&mut self) {
        while self.free.len() < MAX_FREE
            && let Some(stream) = self.link.quic.streams().open(Dir::Bi)
        {
            self.free.push_back(stream);
        }
    }

    /// Gives waiting queries their streams, and QUIC what it takes of their messages.
    fn start_waiting(&mut self) {
        self.open_streams();
        while self.next_may_leave()
            && let Some(stream) = self.free.pop_front()
        {
            if let Some((id, message)) = self.waiting.pop_front() {
                if let Some(early) = &mut self.early {
                    early.note(id, &message);
                }
                self.exchanges.insert(stream, Exchange::new(id));
                self.unsent.push_back((stream, message));
            }
            self.open_streams();
        }
        for _ in 0..self.unsent.len() {
            if let Some((stream, mut message)) = self.unsent.pop_front()
                && self.write(stream, &mut message)
            {
                self.unsent.push_back((stream, message));
            }
        }
    }

    /// Whether there is a query that waits for a stream alone. One that may not leave early holds up what is behind it.
    fn next_may_leave(&self) -> bool {
        let early = self.early.as_ref();
        let mut first = self.waiting.iter().take(1);
        first.any(|(_, message)| early.is_none_or(|early| early.takes(message)))
    }

    /// Says whether there is a rest of a message that is to be written later.
    fn write(&mut self, stream: StreamId, message: &mut Bytes) -> bool {
        let mut stream = self.link.quic.send_stream(stream);
        while !message.is_empty() {
            match stream.write_chunks(std::slice::from_mut(message)) {
                Ok(_) => {}
                Err(WriteError::Blocked) => return true,
                // That the server stops it is an event of its own.
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => return false,
            }
        }
        // It fails if the server stops it meanwhile.
        let _finished_or_stopped = stream.finish();
        false
    }

    /// Does all that can be done without waiting. `reads`: also takes what has come.
    pub(super) fn turn(&mut self, reads: bool, cx: &mut Context<'_>) {
        if reads
            && self.ended.is_none()
            && let Err(error) = self.link.receive(cx)
        {
            self.broken(&error);
        }
        loop {
            self.expire();
            self.take_events();
            if self.ended.is_none() {
                self.start_waiting();
            }
            match self.link.poll_transmit(cx) {
                Poll::Ready(Err(error)) => self.broken(&error),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            self.watch_streams();
            if self.ended.is_some() || self.poll_alarm(cx).is_pending() {
                return;
            }
        }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ping = self.pings_at();
        let starved = self.starving_since.map(|since| since + STARVING);
        let also = ping.into_iter().chain(starved).min();
        self.link.poll_alarm(cx, also)
    }

    /// When the other end is asked next whether it is there.
    fn pings_at(&self) -> Option<Instant> {
        let since = self.link.heard_at.max(self.pinged_at);
        let waits = !self.exchanges.is_empty() && self.early.is_none();
        waits.then(|| since + PING_AFTER)
    }

    fn expire(&mut self) {
        self.link.expire();
        let now = self.link.now();
        if self.pings_at().is_some_and(|at| at <= now) {
            self.link.quic.ping();
            self.pinged_at = now;
        }
        let starving = self.starving_since;
        if starving.is_some_and(|since| since + STARVING <= now) {
            self.go();
        }
    }

    /// Notes whether there is a stream for a query, or may soon be one.
    fn watch_streams(&mut self) {
        let is_used_up = self.free.is_empty() && self.exchanges.is_empty();
        let starves = is_used_up && !self.going && self.early.is_none();
        let now = self.link.now();
        self.starving_since = starves.then(|| self.starving_since.unwrap_or(now));
    }

    /// No more queries are sent. What waits was not processed.
    pub(super) fn go(&mut self) {
        self.going = true;
        let unprocessed = |(id, _)| (id, Err(ConnectionError::Unprocessed));
        self.done.extend(self.waiting.drain(..).map(unprocessed));
        // What has not left as a whole was not processed either.
        for (stream, _) in self.unsent.drain(..) {
            if let Some(exchange) = self.exchanges.remove(&stream) {
                let lost = Err(ConnectionError::Unprocessed);
                self.done.push_back((exchange.id, lost));
            }
        }
    }

    /// The socket has failed for good.
    fn broken(&mut self, error: &io::Error) {
        if let Some(early) = &mut self.early {
            let why = ConnectError::unreachable(error);
            early.outcome.get_or_insert(Err(why));
        }
        self.end(errors::of_socket(error));
    }

    fn end(&mut self, why: ConnectionError) {
        self.go();
        if self.ended.is_none() {
            self.ended = Some(why);
        }
    }

    /// What comes is against the protocol: the server is told so, as well as that can be done at once (RFC 9250 section 4.3.3).
    fn violated(&mut self, why: ConnectionError) {
        let now = self.link.now();
        self.link.quic.close(now, PROTOCOL_ERROR, Bytes::new());
        self.end(why);
    }

    fn take_events(&mut self) {
        while let Some(event) = self.link.quic.poll() {
            match event {
                QuicEvent::Connected => self.connected(),
                QuicEvent::ConnectionLost { reason } => {
                    self.lost_early(&reason);
                    let is_idle = self.exchanges.is_empty();
                    let why = errors::of_connection(&reason, &self.link.to, is_idle);
                    self.end(why);
                }
                QuicEvent::Stream(StreamEvent::Readable { id }) => self.read(id),
                QuicEvent::Stream(StreamEvent::Stopped { id, error_code }) => {
                    self.stopped(id, error_code);
                }
                // There is more to write, or to open, at the next turn.
                _ => {}
            }
        }
    }

    fn read(&mut self, stream: StreamId) {
        let Some(exchange) = self.exchanges.get_mut(&stream) else {
            return;
        };
        let id = exchange.id;
        let result = match exchange.read(self.link.quic.recv_stream(stream)) {
            Progress::Partial => return,
            Progress::Whole => {
                let whole = self.exchanges.remove(&stream);
                whole.map_or(Err(ConnectionError::Closed), Exchange::message)
            }
            Progress::Reset(code) => Err(errors::of_stream(code)),
            Progress::TooMuch => Err(ConnectionError::Protocol(
                "more than one response on a stream (RFC 9250 section 4.3.3)",
            )),
        };
        self.exchanges.remove(&stream);
        self.unsent.retain(|(other, _)| *other != stream);
        match result {
            Err(why @ ConnectionError::Protocol(_)) => self.violated(why),
            result => self.done.push_back((id, result)),
        }
    }

    /// The server does not want the rest of a query. Without an error it may respond all the same.
    fn stopped(&mut self, stream: StreamId, code: VarInt) {
        self.unsent.retain(|(other, _)| *other != stream);
        if code == NO_ERROR {
            return;
        }
        if let Some(exchange) = self.exchanges.remove(&stream) {
            // It fails if everything has come.
            let _stopped = self.link.quic.recv_stream(stream).stop(REQUEST_CANCELLED);
            let why = errors::of_stream(code);
            self.done.push_back((exchange.id, Err(why)));
        }
    }
}
