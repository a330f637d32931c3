//! An upstream that speaks DNS over HTTPS (RFC 8484), frame by frame.

use super::certificates;
use super::messages;
use super::stage::Stage;
use super::story::{Act, Manner, upstream_addr};
use super::upstream::{Heard, LATE, Role, message};
use crate::support::http2::{self, Frame};
use crate::support::memory::Stream;
use dotward::engine::Time;
use dotward::runtime::Runtime;
use futures::io::{AsyncRead, AsyncWriteExt};
use futures_rustls::TlsAcceptor;
use futures_rustls::server::TlsStream;
use rustls::ServerConfig;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Streams at once on a connection, in good times.
const STREAMS: u32 = 100;
/// Octets of a request before the client has to wait (RFC 9113 section 6.9.2).
const WINDOW: u32 = 65_535;
/// The same when it is narrow: less than any query has.
const NARROW: u32 = 20;
/// A narrow window grows after so long.
const SLOWLY: Duration = Duration::from_millis(40);
/// The time between two parts of a body.
const PARTS: Duration = Duration::from_millis(30);
/// One octet more than the largest message has.
const TOO_LONG: usize = 65_536;
/// The most octets in a frame.
const MAX_FRAME: usize = 16_384;
/// The media type of a response.
const OURS: (&str, &str) = ("content-type", "application/dns-message");

/// Takes connections for ever.
pub async fn listen(stage: Rc<Stage>, index: usize) {
    let Ok(mut listener) = stage.world.listen(upstream_addr(index), false) else {
        unreachable!("each upstream has its own address")
    };
    let (usual, other) = (certificates::server("h2"), certificates::server("http/1.1"));
    for number in 0.. {
        let (stream, _) = listener.accept().await;
        let role = Role::new(stage.clone(), index, number);
        let manner = role.memoir().manner;
        let tls = match manner {
            Manner::OtherProtocol => &other,
            _ => &usual,
        };
        stage.join(accept(role, stream, tls.clone()));
    }
}

async fn accept(role: Role, stream: Stream, tls: Arc<ServerConfig>) {
    if role.memoir().is_shut {
        role.ended(0);
        return role.note("closed");
    }
    match TlsAcceptor::from(tls).accept(stream).await {
        Ok(stream) => Session::new(role).hold(stream).await,
        Err(error) => {
            if error.kind() == io::ErrorKind::InvalidData {
                role.ended(0);
            }
            role.note(&format!("no handshake: {error}"));
        }
    }
}

/// What is to be sent.
#[derive(Default)]
struct Word {
    /// It falls away if this stream is no more. 0: it concerns the connection.
    stream: u32,
    /// Frames before the body.
    head: Vec<u8>,
    body: Option<Vec<u8>>,
    /// Frames behind the body.
    tail: Vec<u8>,
    /// The stream ends with the body.
    ends: bool,
    /// The query has its response.
    is_answer: bool,
    /// The query was not processed.
    is_refusal: bool,
    then: Then,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Then {
    #[default]
    GoOn,
    /// Takes no more queries, and has processed those up to this one.
    GoAway,
    /// Closes in order.
    Close,
    /// The same, since nobody asks.
    Idle,
    /// Closes TCP alone.
    Cut,
    Reset,
    Vanish,
}

/// One connection of HTTP/2.
struct Session {
    role: Role,
    /// What is to be said when.
    due: BTreeMap<(Time, u64), Word>,
    sequence: u64,
    /// What has come and is no whole frame.
    octets: Vec<u8>,
    greeted: bool,
    /// Requests that are not whole.
    bodies: BTreeMap<u32, Vec<u8>>,
    /// Queries without a whole response.
    open: BTreeMap<u32, Vec<u8>>,
    /// The newest stream.
    newest: u32,
    /// Octets of bodies that the client takes now.
    credit: usize,
    /// Bodies that wait for that.
    held: VecDeque<Word>,
    /// Limits on streams that the client has not acknowledged.
    announced: VecDeque<u32>,
    /// The one that it has.
    limit: u32,
    manner: Manner,
    /// What goes out at once.
    out: Vec<u8>,
    /// The last stream that is processed, when it takes no more queries.
    last: Option<u32>,
    answered: usize,
    active: Time,
}

impl Session {
    fn new(role: Role) -> Self {
        let active = role.stage.world.now().mono;
        Self {
            role,
            due: BTreeMap::new(),
            sequence: 0,
            octets: Vec::new(),
            greeted: false,
            bodies: BTreeMap::new(),
            open: BTreeMap::new(),
            newest: 0,
            credit: WINDOW as usize,
            held: VecDeque::new(),
            announced: VecDeque::new(),
            limit: u32::MAX,
            manner: Manner::default(),
            out: Vec::new(),
            last: None,
            answered: 0,
            active,
        }
    }

    async fn hold(mut self, mut stream: TlsStream<Stream>) {
        self.announce();
        loop {
            let Ok(then) = self.turn(&mut stream).await else {
                return self.role.note("ended by the other end");
            };
            if !matches!(then, Then::GoOn | Then::GoAway) {
                self.role.note(&format!("ends it: {then:?}"));
                if then != Then::Idle {
                    self.role.ended(self.answered);
                }
            }
            match then {
                Then::GoOn | Then::GoAway => {}
                Then::Close | Then::Idle => {
                    // The client may be gone.
                    let _closed_or_not = stream.close().await;
                    return;
                }
                Then::Cut => return,
                Then::Reset => return stream.into_inner().0.abort(),
                Then::Vanish => return stream.into_inner().0.vanish(),
            }
        }
    }

    /// Waits for one thing, and does what follows from it.
    async fn turn(&mut self, stream: &mut TlsStream<Stream>) -> io::Result<Then> {
        self.take_frames();
        self.put(stream).await?;
        if self.last.is_some_and(|last| self.is_done(last)) {
            return Ok(Then::Close);
        }
        let world = self.role.stage.world.clone();
        let next = self.due.first_key_value().map(|((at, _), _)| *at);
        let idle = self.role.character().idle.map(|idle| self.active + idle);
        let until = next.or(idle);
        let mut octets = [0; 4096];
        let (manner, role) = (self.manner, &self.role);
        let read = poll_fn(|cx| {
            if role.memoir().manner != manner {
                return Poll::Ready(Ok(None));
            }
            role.stage.upstreams[role.index]
                .borrow_mut()
                .watch(cx.waker());
            Pin::new(&mut *stream)
                .poll_read(cx, &mut octets)
                .map_ok(Some)
        });
        // Without anything to do it has no timer either: one would show at rest.
        let read = match until {
            Some(until) => world.within(until.since(world.now().mono), read).await,
            None => Some(read.await),
        };
        match read {
            Some(Ok(Some(0))) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(Ok(Some(n))) => {
                self.octets.extend_from_slice(&octets[..n]);
                self.active = world.now().mono;
            }
            Some(Ok(None)) => self.announce(),
            Some(Err(error)) => return Err(error),
            None => {
                if let Some((_, due)) = self.due.pop_first() {
                    let then = self.say(due);
                    self.put(stream).await?;
                    return Ok(then);
                }
                self.go_away(self.newest);
                self.put(stream).await?;
                return Ok(Then::Idle);
            }
        }
        Ok(Then::GoOn)
    }

    async fn put(&mut self, stream: &mut TlsStream<Stream>) -> io::Result<()> {
        if !self.out.is_empty() {
            stream.write_all(&std::mem::take(&mut self.out)).await?;
            stream.flush().await?;
        }
        Ok(())
    }

    /// Says what it allows.
    fn announce(&mut self) {
        self.manner = self.role.memoir().manner;
        let streams = match self.manner {
            Manner::Streams(streams) => streams,
            _ => STREAMS,
        };
        let window = if self.manner == Manner::Narrow {
            NARROW
        } else {
            WINDOW
        };
        self.role.note(&format!("allows {streams} streams"));
        self.announced.push_back(streams);
        let all = [
            (http2::MAX_CONCURRENT_STREAMS, streams),
            (http2::INITIAL_WINDOW_SIZE, window),
        ];
        self.out.extend(http2::settings(&all));
    }

    /// No more queries are taken. Those behind `last` were not processed.
    fn go_away(&mut self, last: u32) {
        if self.last.is_some_and(|before| before <= last) {
            return;
        }
        self.role.note(&format!("goes away after stream {last}"));
        self.out.extend(http2::goaway(last, http2::NO_ERROR));
        self.bodies.retain(|stream, _| *stream <= last);
        for query in self.open.split_off(&(last + 1)).values() {
            self.role.unprocessed(query);
        }
        self.last = Some(last);
    }

    /// Has it responded to all that it will respond to?
    fn is_done(&self, last: u32) -> bool {
        let is_open = |stream: u32| stream <= last && self.open.contains_key(&stream);
        let is_due = self.due.values().any(|word| is_open(word.stream));
        let is_held = self.held.iter().any(|word| is_open(word.stream));
        !is_due && !is_held && self.bodies.is_empty()
    }

    fn take_frames(&mut self) {
        if !self.greeted {
            if self.octets.len() < http2::PREFACE.len() {
                return;
            }
            let rest = self.octets.split_off(http2::PREFACE.len());
            if self.octets != http2::PREFACE {
                self.role.wrong("no preface of HTTP/2");
            }
            self.octets = rest;
            self.greeted = true;
        }
        while let Some(head) = self.octets.first_chunk::<9>() {
            let (len, mut frame) = http2::head(*head);
            if self.octets.len() < 9 + len {
                return;
            }
            let rest = self.octets.split_off(9 + len);
            frame.payload = self.octets.split_off(9);
            self.octets = rest;
            self.take(&frame);
        }
    }

    fn take(&mut self, frame: &Frame) {
        let is_ack = frame.flags & http2::ACK != 0;
        let stream = frame.stream;
        match frame.kind {
            http2::SETTINGS if is_ack => {
                self.limit = self.announced.pop_front().unwrap_or(self.limit);
            }
            http2::SETTINGS => {
                let ack = http2::frame(http2::SETTINGS, http2::ACK, 0, &[]);
                self.out.extend(ack);
            }
            http2::PING if !is_ack => {
                let pong = http2::frame(http2::PING, http2::ACK, 0, &frame.payload);
                self.out.extend(pong);
            }
            http2::HEADERS => self.open(stream),
            http2::DATA => self.take_data(frame),
            http2::RST_STREAM => {
                self.role.note(&format!("stream {stream} is reset"));
                self.bodies.remove(&stream);
                self.open.remove(&stream);
            }
            http2::WINDOW_UPDATE if stream == 0 => {
                let more = frame.payload.first_chunk().copied().unwrap_or_default();
                self.credit += u32::from_be_bytes(more) as usize;
                for word in std::mem::take(&mut self.held) {
                    self.say(word);
                }
            }
            _ => {}
        }
    }

    /// A stream is opened.
    fn open(&mut self, stream: u32) {
        if stream <= self.newest || stream.is_multiple_of(2) {
            self.role.wrong(&format!("stream {stream} is not new"));
        }
        self.newest = stream;
        if self.last.is_some() {
            // The client will hear that this is not processed.
            return;
        }
        let streams = self.bodies.len() + self.open.len();
        if streams >= self.limit as usize {
            let what = format!("stream {stream} beside {streams}, of {}", self.limit);
            self.role.wrong(&what);
        }
        let announced = self.announced.iter().min().copied().unwrap_or(self.limit);
        if streams >= announced as usize {
            // The client did not know.
            self.role.note(&format!("refuses stream {stream}"));
            let refused = http2::reset(stream, http2::REFUSED_STREAM);
            self.out.extend(refused);
            return;
        }
        self.bodies.insert(stream, Vec::new());
    }

    fn take_data(&mut self, frame: &Frame) {
        let (stream, octets) = (frame.stream, frame.payload.len() as u32);
        if octets > 0 {
            self.out.extend(http2::window_update(0, octets));
        }
        let Some(body) = self.bodies.get_mut(&stream) else {
            return;
        };
        body.extend_from_slice(&frame.payload);
        if frame.flags & http2::END_STREAM == 0 {
            let grows = Word {
                head: http2::window_update(stream, NARROW),
                stream,
                ..Word::default()
            };
            self.later(SLOWLY, grows);
        } else if let Some(query) = self.bodies.remove(&stream) {
            self.hear(stream, &query);
        }
    }

    /// A query has come: plans what to do.
    fn hear(&mut self, stream: u32, query: &[u8]) {
        if messages::id(query) != 0 {
            self.role
                .wrong(&format!("stream {stream}: a query with an id"));
        }
        let Some(heard) = self.role.hear(query, &format!("stream {stream}")) else {
            return;
        };
        let other = self.open.values().next().cloned();
        self.open.insert(stream, query.to_vec());
        self.plan(stream, query, other.as_deref(), heard);
    }

    #[expect(
        clippy::too_many_lines,
        reason = "an arm for each thing that a server may do"
    )]
    fn plan(&mut self, stream: u32, query: &[u8], other: Option<&[u8]>, chosen: Heard) {
        let Heard {
            act,
            pace,
            mut dice,
            ..
        } = chosen;
        let answer = messages::answer(query);
        let (first, second) = answer.split_at(answer.len() / 2);
        let head = http2::headers(stream, 200, &[OURS]);
        let good = Word::response(stream, 200, OURS, answer.clone());
        let half = Word {
            ends: false,
            is_answer: false,
            ..Word::response(stream, 200, OURS, first.to_vec())
        };
        let end = |then| Word {
            then,
            ..Word::default()
        };
        let interim = http2::headers(stream, 103, &[]);
        match act {
            Act::Silence => {}
            Act::AnswerLate => self.later(LATE + pace, good),
            Act::AnswerTwice => {
                let tail = http2::response(stream, &answer);
                self.later(pace, Word { tail, ..good });
            }
            Act::AnswerThenClose => {
                let then = Then::GoAway;
                self.later(pace, Word { then, ..good });
            }
            Act::Crossed => {
                let crossed = other.map_or(answer, messages::answer);
                self.later(pace, Word::response(stream, 200, OURS, crossed));
            }
            Act::EmptyFrame => self.later(pace, Word::response(stream, 200, OURS, Vec::new())),
            Act::TooShort => self.later(pace, Word::response(stream, 200, OURS, vec![0])),
            Act::TooLong => {
                let long = Word::response(stream, 200, OURS, vec![0; TOO_LONG]);
                self.later(pace, long);
            }
            Act::Status(status) => {
                self.later(pace, Word::response(stream, status, OURS, answer));
            }
            Act::Html => {
                let html = ("content-type", "text/html");
                self.later(pace, Word::response(stream, 200, html, b"<p>".to_vec()));
            }
            Act::Interim => {
                let head = [interim.repeat(3), head].concat();
                self.later(pace, Word { head, ..good });
            }
            Act::LateInterim => {
                let (tail, ends) = (interim, false);
                self.later(pace, Word { tail, ends, ..good });
            }
            Act::Trailers => {
                let (tail, ends) = (http2::trailers(stream, &[("x", "y")]), false);
                self.later(pace, Word { tail, ends, ..good });
            }
            Act::Pings => {
                let pings = http2::frame(http2::PING, 0, 0, &[7; 8]).repeat(5);
                let head = [pings, head].concat();
                self.later(pace, Word { head, ..good });
            }
            Act::GoAway => {
                let then = Then::GoAway;
                // Nothing of this stream is left to be sent.
                self.later(
                    pace,
                    Word {
                        stream,
                        then,
                        ..Word::default()
                    },
                );
            }
            Act::ResetStream(code) | Act::StopSending(code) => {
                self.later(pace, Word::reset(stream, code));
            }
            Act::HalfThenReset(code) => {
                self.later(pace, half);
                self.later(pace + PARTS, Word::reset(stream, code));
            }
            Act::InParts => {
                self.later(pace, half);
                let second = Word {
                    head: Vec::new(),
                    body: Some(second.to_vec()),
                    ..good
                };
                self.later(pace + PARTS, second);
            }
            Act::NoEnd | Act::HalfThenStall => self.later(pace, half),
            Act::HalfThenClose => {
                let then = Then::Cut;
                self.later(pace, Word { then, ..half });
            }
            Act::CloseWith(code) => {
                let head = http2::goaway(self.newest, code);
                let then = Then::Close;
                self.later(
                    pace,
                    Word {
                        head,
                        then,
                        ..Word::default()
                    },
                );
            }
            Act::Close => self.later(pace, end(Then::Close)),
            Act::Reset => self.later(pace, end(Then::Reset)),
            Act::Vanish => self.later(pace, end(Then::Vanish)),
            act => {
                // Whatever id a response has, its stream tells what it is for.
                let said = message(act, query, &mut dice).unwrap_or(answer);
                self.later(pace, Word::response(stream, 200, OURS, said));
            }
        }
    }

    fn later(&mut self, wait: Duration, word: Word) {
        self.sequence += 1;
        let at = self.role.stage.world.now().mono + wait;
        self.due.insert((at, self.sequence), word);
    }

    /// Has it sent, as far as the client takes it.
    fn say(&mut self, mut word: Word) -> Then {
        self.active = self.role.stage.world.now().mono;
        let stream = word.stream;
        let is_there = self.open.contains_key(&stream) || self.bodies.contains_key(&stream);
        if stream > 0 && !is_there {
            return Then::GoOn;
        }
        if word.then == Then::GoAway && !word.is_answer {
            // Only what came before it is processed.
            self.go_away(stream.saturating_sub(2));
            return Then::GoOn;
        }
        self.out.append(&mut word.head);
        if let Some(mut body) = word.body.take() {
            loop {
                let n = body.len().min(MAX_FRAME).min(self.credit);
                if n == 0 && !body.is_empty() {
                    word.body = Some(body);
                    self.held.push_back(word);
                    return Then::GoOn;
                }
                self.credit -= n;
                let rest = body.split_off(n);
                let is_last = rest.is_empty() && word.ends;
                let flags = if is_last { http2::END_STREAM } else { 0 };
                let data = http2::frame(http2::DATA, flags, stream, &body);
                self.out.extend(data);
                body = rest;
                if body.is_empty() {
                    break;
                }
            }
            self.role.note(&format!("responds on stream {stream}"));
        }
        self.out.append(&mut word.tail);
        if word.is_answer {
            let query = self.open.remove(&stream);
            if let Some(query) = query.filter(|_| word.is_refusal) {
                self.role.unprocessed(&query);
            }
            self.answered += 1;
            let most = self.role.character().answers;
            if most.is_some_and(|most| self.answered >= most) || word.then == Then::GoAway {
                self.go_away(self.newest);
            }
        }
        word.then
    }
}

impl Word {
    fn response(stream: u32, status: u16, field: (&str, &str), body: Vec<u8>) -> Self {
        Self {
            stream,
            head: http2::headers(stream, status, &[field]),
            body: Some(body),
            ends: true,
            is_answer: true,
            ..Self::default()
        }
    }

    fn reset(stream: u32, code: u32) -> Self {
        Self {
            stream,
            tail: http2::reset(stream, code),
            is_answer: true,
            is_refusal: code == http2::REFUSED_STREAM,
            ..Self::default()
        }
    }
}
