//! One connection of QUIC with a stream for each query.

use super::errors::{self, NO_ERROR, PROTOCOL_ERROR, REQUEST_CANCELLED};
use super::exchange::{Exchange, Progress, framed};
use super::link::Link;
use crate::runtime::Runtime;
use crate::transport::{self, ConnectionError, Event, Limits};
use bytes::Bytes;
use quinn_proto::{Dir, Event as QuicEvent, StreamEvent, StreamId, VarInt, WriteError};
use rustls::pki_types::CertificateDer;
use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Streams that are opened before there are queries for them. Where the server allows that many, its limit does not matter: it follows what
/// is used up.
const MAX_FREE: usize = 256;
/// While queries wait and the other end is not heard for so long, it is asked whether it is there: before any usual idle timeout of a server is
/// over.
const PING_AFTER: Duration = Duration::from_secs(2);
/// A server that allows no stream for so long, although all responses have come, does not go on.
const STARVING: Duration = Duration::from_secs(1);

/// A connection over QUIC.
pub struct Connection<R: Runtime> {
    link: Link<R>,
    /// Ids and messages for which there is no stream yet.
    waiting: VecDeque<(u16, Bytes)>,
    /// Streams that are for the next queries.
    free: VecDeque<StreamId>,
    /// What QUIC has not taken of messages, since the server does not read or acknowledge.
    unsent: VecDeque<(StreamId, Bytes)>,
    exchanges: HashMap<StreamId, Exchange>,
    /// What is to be reported.
    done: VecDeque<(u16, Result<Vec<u8>, ConnectionError>)>,
    /// The message that was reported last.
    message: Vec<u8>,
    /// As last reported.
    limits: Limits,
    /// It takes no more queries.
    going: bool,
    ended: Option<ConnectionError>,
    pinged_at: Instant,
    /// Since when there is neither a stream for a query nor a response to wait for.
    starving_since: Option<Instant>,
    closing: bool,
    description: String,
    certificate_left: Option<Duration>,
}

impl<R: Runtime> Connection<R> {
    /// Over a link whose handshake is done.
    pub fn new(mut link: Link<R>) -> Self {
        link.established();
        let shown = link.is_verified.then(|| certificate(&link)).flatten();
        let certificate_left = shown.and_then(|shown| link.to.validity(&shown));
        let mut connection = Self {
            description: link.to.described(!link.is_verified),
            certificate_left,
            pinged_at: link.heard_at,
            link,
            waiting: VecDeque::new(),
            free: VecDeque::new(),
            unsent: VecDeque::new(),
            exchanges: HashMap::new(),
            done: VecDeque::new(),
            message: Vec::new(),
            limits: Limits::default(),
            going: false,
            ended: None,
            starving_since: None,
            closing: false,
        };
        connection.open_streams();
        connection.limits = connection.allowed();
        connection
    }

    /// Opens as many streams as are allowed. The server hears of one with the first query on it, or on a later one.
    fn open_streams(&mut self) {
        while self.free.len() < MAX_FREE
            && let Some(stream) = self.link.quic.streams().open(Dir::Bi)
        {
            self.free.push_back(stream);
        }
    }

    /// Gives waiting queries their streams, and QUIC what it takes of their messages.
    fn start_waiting(&mut self) {
        self.open_streams();
        while !self.waiting.is_empty()
            && let Some(stream) = self.free.pop_front()
        {
            if let Some((id, message)) = self.waiting.pop_front() {
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
    fn turn(&mut self, reads: bool, cx: &mut Context<'_>) {
        if reads
            && self.ended.is_none()
            && let Err(error) = self.link.receive(cx)
        {
            self.end(errors::of_socket(&error));
        }
        loop {
            self.expire();
            self.take_events();
            if self.ended.is_none() {
                self.start_waiting();
            }
            match self.link.poll_transmit(cx) {
                Poll::Ready(Err(error)) => self.end(errors::of_socket(&error)),
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
        (!self.exchanges.is_empty()).then(|| since + PING_AFTER)
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
        let starves = self.free.is_empty() && self.exchanges.is_empty() && !self.going;
        let now = self.link.now();
        self.starving_since = starves.then(|| self.starving_since.unwrap_or(now));
    }

    /// No more queries are sent. What waits was not processed.
    fn go(&mut self) {
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
                QuicEvent::ConnectionLost { reason } => {
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

    /// What the server allows. While it allows no stream, but may yet do so, one query may wait for that.
    fn allowed(&self) -> Limits {
        let in_flight = if self.going {
            0
        } else if self.free.len() >= MAX_FREE {
            usize::MAX
        } else {
            (self.exchanges.len() + self.free.len()).max(1)
        };
        Limits { in_flight }
    }

    /// The limits, if they are not those that were reported.
    fn changed_limits(&mut self) -> Option<Limits> {
        let limits = self.allowed();
        (std::mem::replace(&mut self.limits, limits) != limits).then_some(limits)
    }
}

/// The certificate that the server has shown.
fn certificate<R: Runtime>(link: &Link<R>) -> Option<CertificateDer<'static>> {
    let shown = link.quic.crypto_session().peer_identity()?;
    let shown: Box<Vec<CertificateDer<'static>>> = shown.downcast().ok()?;
    shown.into_iter().next()
}

impl<R: Runtime> transport::Connection for Connection<R> {
    fn queue(&mut self, message: &[u8]) {
        let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
        let message = Bytes::from(framed(message));
        self.waiting.push_back((id.unwrap_or_default(), message));
    }

    /// What QUIC has taken does not count, although congestion control may hold it back for a while.
    fn backlog(&self) -> usize {
        let waiting = self.waiting.iter().map(|(_, message)| message.len());
        let unsent = self.unsent.iter().map(|(_, rest)| rest.len());
        self.link.backlog() + waiting.chain(unsent).sum::<usize>()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.turn(false, cx);
        if self.going {
            self.go();
        }
        if !self.done.is_empty() || self.ended.is_some() {
            // `poll_next` reports it, with what it means for each query.
            cx.waker().wake_by_ref();
        } else if self.backlog() == 0 {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
        let mut turned = false;
        loop {
            match self.done.pop_front() {
                Some((_, Ok(message))) => {
                    self.message = message;
                    return Poll::Ready(Event::Message(&mut self.message));
                }
                Some((id, Err(why))) => return Poll::Ready(Event::Failed { id, why }),
                None => {}
            }
            if let Some(why) = &self.ended {
                return Poll::Ready(Event::Closed(why.clone()));
            }
            if let Some(limits) = self.changed_limits() {
                return Poll::Ready(Event::Limits(limits));
            }
            if turned {
                return Poll::Pending;
            }
            self.turn(true, cx);
            turned = true;
        }
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    /// The server is told once. It is not waited for: if that is lost, the server drops the connection when its idle timeout is over.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.closing, true) {
            let now = self.link.now();
            self.link.quic.close(now, NO_ERROR, Bytes::new());
        }
        self.link.poll_transmit(cx).map(drop)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn certificate_left(&self) -> Option<Duration> {
        self.certificate_left
    }
}
