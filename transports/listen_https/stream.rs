//! A connection of HTTP/2 as the stream of messages that the shell reads and writes.

use super::request::{Wanted, checked, wanted};
use super::{MAX_MESSAGE, response};
use crate::locks::lock;
use crate::runtime::ByteStream;
use crate::transports::http2::{Bridge, DataFrames, Link, PREFACE, Progress};
use crate::wire::{Frames, append_frame};
use bytes::Bytes;
use futures::io::{AsyncRead, AsyncWrite};
use futures::stream::{FuturesUnordered, StreamExt};
use h2::server::{Builder, Connection, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, StatusCode};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

/// Octets that are read in one turn, so that others get theirs: a frame takes 9 or more.
const MAX_READ: usize = 4 * 1024;
/// Requests that are taken in one turn, likewise.
const MAX_REQUESTS: usize = 32;
/// Octets of the headers of a request, which the client is told (RFC 9113 section 6.5.2). Clients send a few hundred; a query in a URI takes a
/// third more than its own octets.
const MAX_HEADERS: u32 = 8 * 1024;
/// Octets of bodies that a client may have sent and that are not whole queries yet, on all streams together: 500 usual queries.
const WINDOW: u32 = 256 * 1024;
/// The same on one stream: one more than the largest message, so that a larger one shows as such.
const STREAM_WINDOW: u32 = MAX_MESSAGE as u32 + 1;
/// Octets of queries that the shell has not read, from which on no more requests are taken.
const MAX_QUERIES: usize = 64 * 1024;
/// Octets of responses that the client has no room for, from which on no more are taken from the shell.
const MAX_UNSENT: usize = 64 * 1024;
/// Octets that are taken from the shell at once.
const STEP: usize = 16 * 1024;
/// Requests in a row that were refused, until the connection is closed: a client with a wrong URI is told so a few times.
const MAX_REFUSED: usize = 100;
/// Streams that the client has reset before they were taken, until the connection is closed (CVE-2023-44487).
const MAX_RESETS: usize = 20;
/// Frames without a query among them, until the connection is closed: settings, pings, windows, parts of bodies. HTTP/2 looks at each of them. Clients
/// send a handful for each query.
const MAX_FRAMES: usize = 1_000;
/// Octets of memory of an idle connection: the state of HTTP/2 and its buffers, as measured.
const SESSION: usize = 18 * 1024;

type Http2<S> = Connection<Bridge<S>, Bytes>;

/// A connection of HTTP/2, over a stream that is encrypted.
pub struct HttpsStream<S> {
    link: Arc<Mutex<Link<S>>>,
    state: State<S>,
    /// How many requests there may be at once.
    requests: usize,
    /// Requests whose response is due, by the id of their query for the shell.
    asked: BTreeMap<u16, Asked>,
    /// The id of the last query.
    last_id: u16,
    bodies: FuturesUnordered<Body>,
    /// Queries that the shell has not read, each with its length in front.
    queries: Vec<u8>,
    /// How much of them the shell has read.
    read: usize,
    /// What the shell has written of responses that are not whole.
    responses: Frames,
    /// Requests that were refused since the last that was not.
    refused: usize,
    /// Frames that have come since the last query.
    frames: usize,
    /// Woken by HTTP/2 within a turn, when there is more to do at once.
    progress: Arc<Progress>,
    waker: Waker,
}

enum State<S> {
    /// The handshake of the stream below, and the preface of the client.
    Handshake(Box<Handshake<Bridge<S>, Bytes>>),
    Open(Box<Http2<S>>),
    /// It has ended, for this reason if there is one.
    Ended(Option<String>),
}

/// A request whose response is due.
struct Asked {
    /// The id of its message.
    id: [u8; 2],
    respond: SendResponse<Bytes>,
}

/// A request whose body is on its way.
struct Body {
    octets: Vec<u8>,
    from: RecvStream,
    respond: Option<SendResponse<Bytes>>,
}

/// A body has ended.
struct Whole {
    /// The status for one that cannot be read; `None`: the client has given up.
    message: Result<Vec<u8>, Option<StatusCode>>,
    respond: SendResponse<Bytes>,
}

impl Body {
    fn poll_octets(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Option<StatusCode>>> {
        while let Some(part) = ready!(self.from.poll_data(cx)) {
            let part = part.map_err(|_| None)?;
            if self.octets.len() + part.len() > MAX_MESSAGE {
                return Poll::Ready(Err(Some(StatusCode::PAYLOAD_TOO_LARGE)));
            }
            self.octets.extend_from_slice(&part);
        }
        // Only now, so that the window bounds what is not whole. It fails only for more than has come.
        let octets = self.octets.len();
        let _released = self.from.flow_control().release_capacity(octets);
        Poll::Ready(Ok(()))
    }
}

impl Future for Body {
    type Output = Option<Whole>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(self.poll_octets(cx));
        let message = ended.map(|()| std::mem::take(&mut self.octets));
        let respond = self.respond.take();
        Poll::Ready(respond.map(|respond| Whole { message, respond }))
    }
}

impl<S: ByteStream> HttpsStream<S> {
    /// Before its handshake. `requests`: how many there may be at once.
    pub fn new(stream: S, requests: usize) -> Self {
        // A server sends no preface but a frame.
        let link = Link::new(stream, DataFrames::new(0)).notice_frames(PREFACE);
        let link = Arc::new(Mutex::new(link));
        let handshake = Builder::new()
            .max_concurrent_streams(u32::try_from(requests).unwrap_or(u32::MAX))
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(MAX_HEADERS)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .handshake(Bridge(link.clone()));
        let progress = Arc::new(Progress::default());
        Self {
            link,
            state: State::Handshake(Box::new(handshake)),
            requests,
            asked: BTreeMap::new(),
            last_id: 0,
            bodies: FuturesUnordered::new(),
            queries: Vec::new(),
            read: 0,
            responses: Frames::new(),
            refused: 0,
            frames: 0,
            waker: Waker::from(progress.clone()),
            progress,
        }
    }

    /// Does all that can be done without waiting, within the bounds of one turn.
    fn turn(&mut self, cx: &mut Context<'_>) {
        {
            let mut link = lock(&self.link);
            link.set_reads(true);
            link.allow(MAX_READ);
            link.set_waker(cx.waker());
        }
        let own = self.waker.clone();
        let within = &mut Context::from_waker(&own);
        let mut left = MAX_REQUESTS;
        loop {
            self.progress.take();
            let more = self.poll_connection(&mut left, within);
            while self.has_room()
                && let Poll::Ready(Some(whole)) = self.bodies.poll_next_unpin(within)
            {
                if let Some(whole) = whole {
                    self.body(whole);
                }
            }
            self.frames += lock(&self.link).take_received_frames();
            if (self.refused > MAX_REFUSED || self.frames > MAX_FRAMES)
                && let State::Open(connection) = &mut self.state
            {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                (self.refused, self.frames) = (0, 0);
            }
            if left == 0 || (!more && !self.progress.take()) {
                break;
            }
        }
        if left == 0 {
            cx.waker().wake_by_ref();
        }
    }

    /// Whether more queries may come.
    fn has_room(&self) -> bool {
        self.queries.len() - self.read < MAX_QUERIES
    }

    /// Goes on with HTTP/2, and takes the next request. Says whether there was one, or another change.
    fn poll_connection(&mut self, left: &mut usize, cx: &mut Context<'_>) -> bool {
        let takes = self.has_room() && self.asked.len() + self.bodies.len() < self.requests;
        let polled = match &mut self.state {
            State::Handshake(handshake) => match Pin::new(handshake).poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(connection)) => {
                    self.state = State::Open(Box::new(connection));
                    return true;
                }
                Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            },
            State::Open(connection) if takes && *left > 0 => connection.poll_accept(cx),
            State::Open(connection) => match connection.poll_closed(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(())) => Poll::Ready(None),
                Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            },
            State::Ended(_) => return false,
        };
        match polled {
            Poll::Pending => false,
            Poll::Ready(Some(Ok((request, respond)))) => {
                *left -= 1;
                self.request(request, respond);
                true
            }
            Poll::Ready(ended) => {
                let why = ended.map(|error| match error {
                    Ok(_) => String::new(),
                    Err(error) => format!("HTTP/2: {error}"),
                });
                self.end(why);
                false
            }
        }
    }

    /// Nothing more is read or written.
    fn end(&mut self, why: Option<String>) {
        // A client that leaves without its responses has ended the connection, whatever it says.
        let gone = || "HTTP/2: the client ended it before it had all responses".to_owned();
        let unanswered = !self.asked.is_empty();
        self.state = State::Ended(why.or_else(|| unanswered.then(gone)));
        self.asked.clear();
        self.bodies.clear();
    }

    /// A request has come.
    fn request(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let (head, from) = request.into_parts();
        match wanted(&head) {
            Ok(Wanted::Message(message)) => self.query(message, respond),
            Ok(Wanted::Body) => self.bodies.push(Body {
                octets: Vec::new(),
                from,
                respond: Some(respond),
            }),
            Err(status) => self.refuse(status, respond),
        }
    }

    /// The body of a request has come.
    fn body(&mut self, Whole { message, respond }: Whole) {
        match message.and_then(|message| checked(message).map_err(Some)) {
            Ok(message) => self.query(message, respond),
            Err(Some(status)) => self.refuse(status, respond),
            Err(None) => {}
        }
    }

    /// The shell gets the query, under an id of ours.
    fn query(&mut self, mut message: Vec<u8>, respond: SendResponse<Bytes>) {
        // Fewer are due than there are ids.
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.asked.contains_key(&self.last_id) {
                break;
            }
        }
        let Some(id) = message.first_chunk_mut() else {
            return;
        };
        let asked = Asked {
            id: std::mem::replace(id, self.last_id.to_be_bytes()),
            respond,
        };
        self.asked.insert(self.last_id, asked);
        append_frame(&message, &mut self.queries);
        (self.refused, self.frames) = (0, 0);
    }

    fn refuse(&mut self, status: StatusCode, mut respond: SendResponse<Bytes>) {
        self.refused += 1;
        // It fails if the client has given up.
        let _sent_or_not = respond.send_response(response::refusal(status), true);
    }

    /// The client gets the responses that are whole.
    fn respond(&mut self) {
        while let Some(message) = self.responses.next() {
            let Some(id) = message.first_chunk_mut() else {
                continue;
            };
            let Some(mut asked) = self.asked.remove(&u16::from_be_bytes(*id)) else {
                continue;
            };
            *id = asked.id;
            let stream = asked.respond.stream_id().as_u32();
            let Ok(mut body) = asked.respond.send_response(response::head(message), false) else {
                // The client has given up.
                continue;
            };
            lock(&self.link).frames.expect(stream, message.len());
            if body
                .send_data(Bytes::copy_from_slice(message), true)
                .is_err()
            {
                lock(&self.link).frames.forget(stream);
            }
        }
        self.responses.release();
    }

    /// Gives the shell octets of queries.
    fn give(&mut self, into: &mut [u8]) -> usize {
        let rest = self.queries.get(self.read..).unwrap_or_default();
        let octets = rest.len().min(into.len());
        if let (Some(into), Some(rest)) = (into.get_mut(..octets), rest.get(..octets)) {
            into.copy_from_slice(rest);
        }
        self.read += octets;
        if self.read == self.queries.len() {
            self.queries = Vec::new();
            self.read = 0;
        }
        octets
    }

    fn ended(&self) -> Option<io::Result<usize>> {
        match &self.state {
            State::Handshake(_) | State::Open(_) => None,
            State::Ended(None) => Some(Ok(0)),
            State::Ended(Some(why)) => Some(Err(io::Error::other(why.clone()))),
        }
    }
}

impl<S: ByteStream> AsyncRead for HttpsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.queries.is_empty() {
            this.turn(cx);
        }
        match this.give(into) {
            0 => this.ended().map_or(Poll::Pending, Poll::Ready),
            octets => Poll::Ready(Ok(octets)),
        }
    }
}

impl<S: ByteStream> AsyncWrite for HttpsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.unsent() >= MAX_UNSENT {
            this.turn(cx);
        }
        if this.ended().is_some() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if this.unsent() >= MAX_UNSENT {
            return Poll::Pending;
        }
        let space = this.responses.space();
        let octets = from.len().min(space.len()).min(STEP);
        if let (Some(space), Some(from)) = (space.get_mut(..octets), from.get(..octets)) {
            space.copy_from_slice(from);
        }
        this.responses.filled(octets);
        this.respond();
        this.turn(cx);
        Poll::Ready(Ok(octets))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.turn(cx);
        match self.ended() {
            Some(_) => Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
            None if self.unsent() == 0 => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    /// Tells the client that this is the end (GOAWAY, `close_notify`), as far as it takes that at once.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match &mut this.state {
            State::Open(connection) => {
                connection.abrupt_shutdown(Reason::NO_ERROR);
                this.turn(cx);
                match this.state {
                    State::Ended(_) => Poll::Ready(Ok(())),
                    State::Handshake(_) | State::Open(_) => Poll::Pending,
                }
            }
            State::Handshake(_) | State::Ended(_) => {
                let mut link = lock(&this.link);
                link.set_waker(cx.waker());
                link.poll_close()
            }
        }
    }
}

impl<S: ByteStream> ByteStream for HttpsStream<S> {
    fn ack_soon(&self) {
        lock(&self.link).ack_soon();
    }

    fn is_encrypted(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        !matches!(self.state, State::Handshake(_))
    }

    fn memory(&self) -> usize {
        let bodies: usize = self.bodies.iter().map(|body| body.octets.capacity()).sum();
        let link = lock(&self.link);
        let own = self.queries.capacity() + self.responses.memory() + bodies;
        SESSION + own + link.backlog() + link.stream().memory()
    }

    fn unsent(&self) -> usize {
        match self.state {
            State::Handshake(_) | State::Ended(_) => 0,
            State::Open(_) => lock(&self.link).backlog(),
        }
    }

    fn wind_down(&mut self) {
        if let State::Open(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }
}
