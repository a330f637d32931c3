//! Connections frame by frame, over a stream in memory.

#[path = "../../tests/support/http2.rs"]
#[expect(dead_code, reason = "these tests use some of the frames")]
mod http2;
#[path = "../../tests/support/http2_client.rs"]
mod http2_client;

use super::HttpsStream;
use crate::runtime::ByteStream;
use crate::wire::testing;
use futures::io::{AsyncRead, AsyncWrite};
use http2::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, MAX_CONCURRENT_STREAMS, PING,
    PREFACE, SETTINGS, frame, reset, settings, window_update,
};
use http2_client::{bare, block, get, post, post_head, status};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

const CONTINUATION: u8 = 9;
const PRIORITY: u8 = 2;
const MAX_HEADER_LIST_SIZE: u16 = 6;
const INITIAL_WINDOW_SIZE: u16 = http2::INITIAL_WINDOW_SIZE;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The stream below, as the client sees it.
#[derive(Default)]
struct Pipe {
    /// What the client has sent, and the server has not read.
    sent: VecDeque<u8>,
    /// What the client has received.
    received: Vec<u8>,
    /// How many octets more it takes.
    room: usize,
    ended: bool,
    closed: bool,
}

struct End(Arc<Mutex<Pipe>>);

impl End {
    fn pipe(&self) -> MutexGuard<'_, Pipe> {
        self.0.lock().unwrap()
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.pipe();
        let octets = into.len().min(pipe.sent.len());
        if octets == 0 && !pipe.ended {
            return Poll::Pending;
        }
        for (into, octet) in into.iter_mut().zip(pipe.sent.drain(..octets)) {
            *into = octet;
        }
        Poll::Ready(Ok(octets))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.pipe();
        let octets = from.len().min(pipe.room);
        if octets == 0 {
            return Poll::Pending;
        }
        pipe.room -= octets;
        pipe.received.extend_from_slice(&from[..octets]);
        Poll::Ready(Ok(octets))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe().closed = true;
        Poll::Ready(Ok(()))
    }
}

impl ByteStream for End {}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client and the server's end of its connection.
struct Talk {
    pipe: Arc<Mutex<Pipe>>,
    server: HttpsStream<End>,
    wakes: Arc<Wakes>,
    /// What the shell has read and not taken as messages.
    read: Vec<u8>,
    /// How much of what was received has been looked at.
    seen: usize,
}

impl Talk {
    /// A connection with so many requests at once, whose client has sent its preface and these settings.
    fn with(requests: usize, all: &[(u16, u32)]) -> Self {
        let pipe = Arc::new(Mutex::new(Pipe {
            room: usize::MAX,
            ..Pipe::default()
        }));
        let server = HttpsStream::new(End(pipe.clone()), requests);
        let mut talk = Self {
            pipe,
            server,
            wakes: Arc::default(),
            read: Vec::new(),
            seen: 0,
        };
        talk.send(PREFACE);
        assert!(!talk.server.is_ready());
        talk.send(&settings(all));
        assert!(talk.messages().is_empty());
        assert!(talk.server.is_ready());
        talk.send(&frame(SETTINGS, ACK, 0, &[]));
        talk
    }

    fn new() -> Self {
        let mut talk = Self::with(100, &[]);
        talk.frames();
        talk
    }

    fn pipe(&self) -> MutexGuard<'_, Pipe> {
        self.pipe.lock().unwrap()
    }

    fn send(&self, octets: &[u8]) {
        self.pipe().sent.extend(octets);
    }

    /// One read of the shell.
    fn read(&mut self) -> Poll<io::Result<usize>> {
        let mut octets = [0; 4096];
        let waker = Waker::from(self.wakes.clone());
        let read =
            Pin::new(&mut self.server).poll_read(&mut Context::from_waker(&waker), &mut octets);
        if let Poll::Ready(Ok(n)) = read {
            self.read.extend_from_slice(&octets[..n]);
        }
        read
    }

    /// The queries that the shell gets, until it has to wait and nothing more has come.
    fn messages(&mut self) -> Vec<Vec<u8>> {
        for _ in 0..10_000 {
            match self.read() {
                Poll::Pending if self.pipe().sent.is_empty() => break,
                Poll::Pending | Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => break,
            }
        }
        let mut messages = Vec::new();
        while let Some(len) = self.read.first_chunk().map(|len| u16::from_be_bytes(*len)) {
            let end = 2 + usize::from(len);
            messages.push(self.read[2..end].to_vec());
            self.read.drain(..end);
        }
        messages
    }

    /// The shell writes a response. How many octets are taken.
    fn write(&mut self, octets: &[u8]) -> Poll<io::Result<usize>> {
        let waker = Waker::from(self.wakes.clone());
        Pin::new(&mut self.server).poll_write(&mut Context::from_waker(&waker), octets)
    }

    fn respond(&mut self, message: &[u8]) {
        let mut framed = Vec::new();
        crate::wire::append_frame(message, &mut framed);
        let mut rest = &framed[..];
        while !rest.is_empty() {
            let Poll::Ready(Ok(n)) = self.write(rest) else {
                panic!("it is not taken");
            };
            rest = &rest[n..];
        }
    }

    fn close(&mut self) -> Poll<io::Result<()>> {
        Pin::new(&mut self.server).poll_close(&mut Context::from_waker(Waker::noop()))
    }

    /// The frames that the client has received since the last call.
    fn frames(&mut self) -> Vec<Frame> {
        let received = self.pipe().received[self.seen..].to_vec();
        let (mut rest, mut frames) = (&received[..], Vec::new());
        while let Some((head, behind)) = rest.split_first_chunk::<9>() {
            let (len, mut frame) = http2::head(*head);
            let Some(payload) = behind.get(..len) else {
                break;
            };
            frame.payload = payload.to_vec();
            frames.push(frame);
            rest = &behind[len..];
            self.seen += 9 + len;
        }
        frames
    }

    /// The status and the body on a stream.
    fn response(&mut self, stream: u32) -> (u16, Vec<u8>) {
        let frames = self.frames();
        let of = |kind| {
            let all = frames.iter();
            all.filter(move |frame| (frame.kind, frame.stream) == (kind, stream))
        };
        let status = status(&of(HEADERS).next().expect("a head").payload);
        let body: Vec<&[u8]> = of(DATA).map(|frame| &frame.payload[..]).collect();
        (status, body.concat())
    }

    /// The error code with which the server ends the connection, if it does.
    fn goaway(&mut self) -> Option<(u32, u32)> {
        let frames = self.frames();
        let found = frames.iter().rev().find(|frame| frame.kind == GOAWAY)?;
        let word = |at: usize| u32::from_be_bytes(found.payload[at..at + 4].try_into().unwrap());
        Some((word(0), word(4)))
    }
}

fn query(name: &str, id: u16) -> Vec<u8> {
    testing::query(name, 1).id(id).build()
}

/// The response to a query of the shell.
fn answer(asked: &[u8], octets: usize) -> Vec<u8> {
    let mut message = asked.to_vec();
    message[2] |= 0x80;
    message.resize(message.len().max(octets), 0);
    message
}

fn words(frame: &Frame) -> Vec<(u16, u32)> {
    let all = frame.payload.chunks(6);
    all.map(|one| {
        let id = u16::from_be_bytes([one[0], one[1]]);
        (id, u32::from_be_bytes([one[2], one[3], one[4], one[5]]))
    })
    .collect()
}

// req 110
#[test]
fn the_client_is_told_the_bounds() {
    let mut talk = Talk::with(17, &[]);
    let frames = talk.frames();
    assert_eq!(frames[0].kind, SETTINGS);
    let told = words(&frames[0]);
    for setting in [
        (MAX_CONCURRENT_STREAMS, 17),
        (INITIAL_WINDOW_SIZE, 65_536),
        (MAX_HEADER_LIST_SIZE, 8_192),
    ] {
        assert!(told.contains(&setting), "{told:?}");
    }
}

// req 108
#[test]
fn a_response_goes_back_on_the_stream_of_its_query_with_its_id() {
    let mut talk = Talk::new();
    let asked: Vec<Vec<u8>> = (0..20).map(|n| query(&format!("n{n}.test."), n)).collect();
    for (n, message) in asked.iter().enumerate() {
        let stream = 1 + 2 * n as u32;
        let octets = if n % 2 == 0 {
            get(stream, message)
        } else {
            post(stream, message)
        };
        talk.send(&octets);
    }
    let queries = talk.messages();
    assert_eq!(queries.len(), 20);
    let ids: std::collections::BTreeSet<&[u8]> = queries.iter().map(|one| &one[..2]).collect();
    assert_eq!(ids.len(), 20, "each has an id of its own");
    // In another order, and cut anywhere.
    let mut octets = Vec::new();
    for message in queries.iter().rev() {
        crate::wire::append_frame(&answer(message, 0), &mut octets);
    }
    for part in octets.chunks(7) {
        assert!(matches!(talk.write(part), Poll::Ready(Ok(n)) if n == part.len()));
    }
    let frames = talk.frames();
    let bodies: Vec<&Frame> = frames.iter().filter(|frame| frame.kind == DATA).collect();
    assert_eq!(bodies.len(), 20);
    for body in bodies {
        let n = (body.stream as usize - 1) / 2;
        assert_eq!(
            body.payload,
            answer(&asked[n], 0),
            "its own id and question"
        );
        assert_eq!(body.flags, END_STREAM);
    }
    let heads = frames.iter().filter(|frame| frame.kind == HEADERS);
    assert_eq!(
        heads.filter(|head| status(&head.payload) == 200).count(),
        20
    );
    assert_eq!(talk.server.unsent(), 0);
}

// req 108
#[test]
fn what_is_no_query_gets_a_status_and_reaches_nobody() {
    let big = vec![0; 70_000];
    for (octets, expected) in [
        (bare("GET", "/", 1), 404),
        (bare("GET", "/dns-query", 1), 400),
        (bare("GET", "/dns-query?dns=AAAA", 1), 400),
        (bare("HEAD", "/dns-query", 1), 405),
        (bare("POST", "/dns-query", 1), 415),
        (post(1, &[0; 11]), 400),
        (post(1, &[]), 400),
        (post(1, &answer(&query("a.test.", 0), 0)), 400),
        (post(1, &big[..65_536]), 413),
    ] {
        let mut talk = Talk::new();
        talk.send(&octets);
        assert_eq!(talk.messages(), Vec::<Vec<u8>>::new());
        assert_eq!(talk.response(1), (expected, Vec::new()));
        // The connection goes on.
        talk.send(&get(3, &query("a.test.", 7)));
        assert_eq!(talk.messages().len(), 1);
    }
}

// req 108
#[test]
fn the_largest_query_and_the_largest_response_fit() {
    let mut talk = Talk::new();
    let mut large = query("a.test.", 9);
    large.resize(65_535, 0);
    talk.send(&post(1, &large));
    let queries = talk.messages();
    assert_eq!(queries[0][2..], large[2..]);
    talk.send(&window_update(0, 1 << 20));
    talk.send(&window_update(1, 1 << 20));
    talk.respond(&answer(&queries[0], 65_535));
    assert_eq!(talk.response(1), (200, answer(&large, 65_535)));
}

// req 110
#[test]
fn a_request_beyond_the_bound_is_refused_and_may_be_sent_again() {
    let mut talk = Talk::with(4, &[]);
    talk.frames();
    for stream in [1, 3, 5, 7, 9] {
        talk.send(&get(stream, &query("a.test.", 0)));
    }
    let queries = talk.messages();
    assert_eq!(queries.len(), 4);
    assert_eq!(talk.frames().last(), Some(&refused(9)));
    talk.respond(&answer(&queries[0], 0));
    talk.send(&get(11, &query("a.test.", 0)));
    assert_eq!(talk.messages().len(), 1);
}

fn refused(stream: u32) -> Frame {
    let (_, mut expected) = http2::head(
        reset(stream, http2::REFUSED_STREAM)[..9]
            .try_into()
            .unwrap(),
    );
    expected.payload = http2::REFUSED_STREAM.to_be_bytes().to_vec();
    expected
}

// fault 130: CVE-2023-44487.
#[test]
fn requests_that_are_reset_at_once_count_until_they_are_answered() {
    let mut talk = Talk::with(10, &[]);
    let (mut queries, mut sent) = (Vec::new(), 0);
    for stream in (1..20_000).step_by(2) {
        talk.send(&get(stream, &query("a.test.", 0)));
        talk.send(&reset(stream, 8));
        sent += 1;
        // One at a time, so that each is taken before it is reset as far as that goes.
        queries.extend(talk.messages());
        if matches!(talk.read(), Poll::Ready(_)) {
            break;
        }
    }
    assert!(queries.len() <= 10, "{}", queries.len());
    assert!(sent < 100, "{sent}");
    assert_eq!(talk.goaway().map(|(_, code)| code), Some(ENHANCE_YOUR_CALM));
    assert!(talk.pipe().closed);
}

// fault 130
#[test]
fn a_request_that_its_client_has_given_up_is_answered_to_nobody() {
    let mut talk = Talk::new();
    talk.send(&get(1, &query("a.test.", 0)));
    talk.send(&get(3, &query("b.test.", 0)));
    let queries = talk.messages();
    talk.send(&reset(1, 8));
    assert!(talk.messages().is_empty());
    for message in &queries {
        talk.respond(&answer(message, 0));
    }
    let frames = talk.frames();
    assert!(frames.iter().all(|frame| frame.stream == 3), "{frames:?}");
    assert_eq!(talk.server.unsent(), 0);
}

// fault 131
#[test]
fn headers_without_an_end_close_the_connection() {
    let mut talk = Talk::new();
    talk.send(&frame(HEADERS, 0, 1, &block("GET", "/dns-query", &[])));
    for _ in 0..100 {
        talk.send(&frame(CONTINUATION, 0, 1, &[0]));
    }
    assert!(talk.messages().is_empty());
    assert_eq!(talk.goaway().map(|(_, code)| code), Some(ENHANCE_YOUR_CALM));
}

// fault 131: 431.
#[test]
fn headers_that_are_too_long_are_refused() {
    let mut talk = Talk::new();
    let long = "x".repeat(10_000);
    let block = block("GET", "/dns-query", &[("x", &long)]);
    talk.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
    assert!(talk.messages().is_empty());
    assert_eq!(talk.response(1).0, 431);
    talk.send(&get(3, &query("a.test.", 7)));
    assert_eq!(talk.messages().len(), 1);
}

// fault 131
#[test]
fn one_turn_takes_a_bounded_part_of_what_has_come() {
    for flood in [
        frame(PING, 0, 0, &[0; 8]),
        settings(&[]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 0]),
        window_update(0, 1),
    ] {
        let mut talk = Talk::new();
        talk.send(&flood.repeat(100_000));
        let before = talk.pipe().sent.len();
        for turn in 1..=2 {
            assert!(talk.read().is_pending());
            let taken = before - talk.pipe().sent.len();
            assert!(taken <= turn * 4 * 1024, "{taken}");
            assert_eq!(talk.wakes.0.load(Ordering::Relaxed), turn, "it goes on");
        }
        // Somebody who reads nothing is not read from without end either.
        talk.pipe().room = 0;
        let memory = talk.server.memory();
        for _ in 0..1_000 {
            let _ended_or_not = talk.read();
        }
        let taken = before - talk.pipe().sent.len();
        assert!(taken <= 32 * 1024, "{taken}");
        let more = talk.server.memory().saturating_sub(memory);
        assert!(more <= 32 * 1024, "{more}");
    }
}

// fault 131
#[test]
fn requests_that_are_refused_all_the_time_end_the_connection() {
    let mut talk = Talk::new();
    let mut sent = 0;
    for stream in (1..2_000).step_by(2) {
        talk.send(&bare("GET", "/", stream));
        sent += 1;
        if matches!(talk.read(), Poll::Ready(_)) {
            break;
        }
    }
    assert_eq!(sent, 101);
    assert_eq!(talk.goaway().map(|(_, code)| code), Some(ENHANCE_YOUR_CALM));
}

// fault 131
#[test]
fn frames_that_are_no_query_all_the_time_end_the_connection() {
    for flood in [
        frame(PING, 0, 0, &[0; 8]),
        settings(&[]),
        window_update(0, 1),
    ] {
        let mut talk = Talk::new();
        // With a query between them they are none too many.
        for stream in [1, 3, 5] {
            for _ in 0..90 {
                talk.send(&flood.repeat(10));
                assert!(talk.messages().is_empty());
            }
            talk.send(&get(stream, &query("a.test.", 0)));
            assert_eq!(talk.messages().len(), 1);
        }
        assert_eq!(talk.goaway(), None);
        for _ in 0..110 {
            talk.send(&flood.repeat(10));
            assert!(talk.messages().is_empty());
        }
        assert_eq!(talk.goaway().map(|(_, code)| code), Some(ENHANCE_YOUR_CALM));
    }
}

// fault 132
#[test]
fn bodies_that_never_end_take_bounded_memory_and_keep_nobody_waiting() {
    let mut talk = Talk::new();
    let (part, mut sent) = (vec![0; 16_000], 0);
    let windows = |talk: &mut Talk| -> usize {
        let frames = talk.frames();
        let updates = frames
            .iter()
            .filter(|frame| frame.kind == http2::WINDOW_UPDATE);
        let octets = updates.map(|one| u32::from_be_bytes(one.payload[..].try_into().unwrap()));
        octets.map(|octets| octets as usize).sum()
    };
    // At first 65,535 octets may be sent, and those of the announcement that follows.
    let mut window = 256 * 1024;
    for stream in (1..160).step_by(2) {
        talk.send(&post_head(stream));
        if window >= part.len() {
            talk.send(&frame(DATA, 0, stream, &part));
            window -= part.len();
            sent += part.len();
        }
        assert!(talk.messages().is_empty());
        window += windows(&mut talk);
    }
    assert!(sent <= 256 * 1024, "{sent}");
    assert!(
        talk.server.memory() < 600 * 1024,
        "{}",
        talk.server.memory()
    );
    talk.send(&get(201, &query("a.test.", 0)));
    let queries = talk.messages();
    assert_eq!(queries.len(), 1);
    talk.respond(&answer(&queries[0], 0));
    assert_eq!(talk.response(201).0, 200);
}

// fault 133
#[test]
fn responses_for_which_there_is_no_window_are_held_within_a_bound() {
    let mut talk = Talk::with(100, &[(INITIAL_WINDOW_SIZE, 0)]);
    for stream in (1..200).step_by(2) {
        talk.send(&get(stream, &query("a.test.", 0)));
    }
    let queries = talk.messages();
    assert_eq!(queries.len(), 100);
    let mut framed = Vec::new();
    for message in &queries {
        crate::wire::append_frame(&answer(message, 4_000), &mut framed);
    }
    let (mut rest, mut pending) = (&framed[..], false);
    while !pending && !rest.is_empty() {
        match talk.write(rest) {
            Poll::Ready(Ok(n)) => rest = &rest[n..],
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => pending = true,
        }
    }
    assert!(pending);
    let held = talk.server.unsent();
    assert!((64 * 1024..96 * 1024).contains(&held), "{held}");
    assert!(talk.frames().iter().all(|frame| frame.kind != DATA));
    // One stream gets its window: its response leaves, while others wait.
    talk.send(&window_update(1, 10_000));
    let waker = Waker::noop();
    let flushed = Pin::new(&mut talk.server).poll_flush(&mut Context::from_waker(waker));
    assert!(flushed.is_pending());
    assert_eq!(talk.server.unsent(), held - 4_000);
    // What is reset is not waited for.
    talk.send(&reset(3, 8));
    assert!(talk.messages().is_empty());
    assert_eq!(talk.server.unsent(), held - 8_000);
    // All windows open.
    talk.send(&settings(&[(INITIAL_WINDOW_SIZE, 65_535)]));
    talk.send(&window_update(0, 1 << 20));
    while !rest.is_empty() {
        let Poll::Ready(Ok(n)) = talk.write(rest) else {
            panic!("it is not taken");
        };
        rest = &rest[n..];
    }
    assert_eq!(talk.server.unsent(), 0);
}

// req 110
#[test]
fn the_end_is_announced_and_responses_in_flight_come_before_it() {
    let mut talk = Talk::new();
    talk.send(&get(1, &query("a.test.", 0)));
    let queries = talk.messages();
    talk.server.wind_down();
    assert!(talk.messages().is_empty());
    assert_eq!(talk.goaway(), Some((0x7FFF_FFFF, 0)), "no more, please");
    // What was on its way is served.
    talk.send(&get(3, &query("b.test.", 0)));
    let late = talk.messages();
    assert_eq!(late.len(), 1);
    for message in [&queries[0], &late[0]] {
        talk.respond(&answer(message, 0));
    }
    assert_eq!(talk.response(3).0, 200);
    assert!(talk.close().is_ready());
    assert_eq!(talk.goaway(), Some((3, 0)));
    assert!(talk.pipe().closed);
}

// fault 134
#[test]
fn what_is_no_http2_ends_the_connection() {
    for octets in [
        &b"GET /dns-query?dns=AAAA HTTP/1.1\r\nHost: dns.test\r\n\r\n"[..],
        &[0; 64],
    ] {
        let pipe = Arc::new(Mutex::new(Pipe {
            room: usize::MAX,
            ..Pipe::default()
        }));
        pipe.lock().unwrap().sent.extend(octets);
        let mut server = HttpsStream::new(End(pipe), 10);
        let cx = &mut Context::from_waker(Waker::noop());
        let read = Pin::new(&mut server).poll_read(cx, &mut [0; 100]);
        assert!(matches!(read, Poll::Ready(Err(_))), "{read:?}");
    }
}

// fault 134
#[test]
fn the_end_of_the_client_is_the_end() {
    let mut talk = Talk::new();
    talk.pipe().ended = true;
    assert!(matches!(talk.read(), Poll::Ready(Ok(0))));
    let mut talk = Talk::new();
    talk.send(&get(1, &query("a.test.", 0)));
    assert_eq!(talk.messages().len(), 1);
    talk.pipe().ended = true;
    assert!(matches!(talk.read(), Poll::Ready(Err(_))));
    assert!(matches!(talk.write(&[0; 4]), Poll::Ready(Err(_))));
    assert_eq!(talk.server.unsent(), 0);
}
