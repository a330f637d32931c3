//! DNS over HTTPS, where each query has a stream of its own, against a server that is played frame by frame.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use dotward::transport::{ConnectError, Connection, ConnectionError, Event, Transport};
use futures::future::{Either, join, select};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::task::noop_waker;

use crate::support::codes::A;
use crate::support::http2::{self, Frame};
use crate::support::messages::{query, response_to};
use crate::upstream::{Octets, Peer, Server};
use crate::world::{World, pattern};

/// The largest message of DNS.
const LARGEST: usize = 65_535;
/// Queries at once, more than servers allow.
const MANY: u16 = 1_000;
/// Of these the server lets so many wait.
const UNANSWERED: usize = 50;

/// The streams of a server's end of HTTP/2.
#[derive(Default)]
pub struct Streams {
    greeted: bool,
    /// What has come of each request.
    bodies: HashMap<u32, Vec<u8>>,
    /// Those that are whole, the oldest first.
    pub unanswered: VecDeque<u32>,
}

impl Streams {
    /// The next frame; `None` when the other end has said goodbye. The first thing that is read and said is the preface.
    async fn frame(&mut self, octets: &mut Box<dyn Octets>) -> Option<Frame> {
        if !self.greeted {
            self.greeted = true;
            let mut preface = [0; 24];
            octets.read_exact(&mut preface).await.ok()?;
            assert_eq!(preface, http2::PREFACE);
            put(octets, &http2::settings(&[])).await?;
        }
        let mut head = [0; 9];
        octets.read_exact(&mut head).await.ok()?;
        let (len, mut frame) = http2::head(head);
        frame.payload.resize(len, 0);
        octets.read_exact(&mut frame.payload).await.ok()?;
        if frame.kind == http2::SETTINGS && frame.flags & http2::ACK == 0 {
            put(octets, &http2::frame(http2::SETTINGS, http2::ACK, 0, &[])).await?;
        }
        Some(frame)
    }

    /// The next whole request.
    pub async fn hear(&mut self, octets: &mut Box<dyn Octets>) -> Option<Vec<u8>> {
        loop {
            let frame = self.frame(octets).await?;
            match frame.kind {
                http2::GOAWAY => return None,
                http2::DATA => {
                    let body = self.bodies.entry(frame.stream).or_default();
                    body.extend_from_slice(&frame.payload);
                    if frame.flags & http2::END_STREAM != 0 {
                        self.unanswered.push_back(frame.stream);
                        return self.bodies.remove(&frame.stream);
                    }
                    // It was read.
                    let read = u32::try_from(frame.payload.len()).unwrap();
                    let windows = [0, frame.stream].map(|of| http2::window_update(of, read));
                    put(octets, &windows.concat()).await?;
                }
                _ => {}
            }
        }
    }

    /// A good response to the oldest request.
    pub fn answer(&mut self, message: &[u8]) -> Vec<u8> {
        let stream = self.unanswered.pop_front().expect("a request");
        http2::response(stream, message)
    }
}

/// Sends octets, if the other end is still there.
async fn put(octets: &mut Box<dyn Octets>, message: &[u8]) -> Option<()> {
    octets.write_all(message).await.ok()?;
    octets.flush().await.ok()
}

impl Peer {
    fn streams(&mut self) -> &mut Streams {
        self.1.as_mut().expect("HTTP/2")
    }

    /// The next frame.
    async fn frame(&mut self) -> Option<Frame> {
        let Self(octets, streams) = self;
        streams.as_mut().expect("HTTP/2").frame(octets).await
    }

    /// Says what it allows, before anything is asked. The other end of the link has to read that.
    async fn allow(&mut self, settings: &[(u16, u32)]) {
        self.put(&http2::settings(settings)).await;
        self.streams().greeted = true;
        let mut preface = [0; 24];
        self.0.read_exact(&mut preface).await.expect("the preface");
    }

    /// The next stream that is opened.
    async fn opening(&mut self) -> u32 {
        loop {
            let frame = self.frame().await.expect("the link goes on");
            if frame.kind == http2::HEADERS {
                return frame.stream;
            }
        }
    }

    /// The streams that are opened until the other end has dealt with all that was sent to it.
    async fn opened(&mut self) -> Vec<u32> {
        self.put(&http2::frame(http2::PING, 0, 0, &[7; 8])).await;
        let mut opened = Vec::new();
        loop {
            let frame = self.frame().await.expect("the link goes on");
            match (frame.kind, frame.flags) {
                (http2::PING, http2::ACK) => return opened,
                (http2::HEADERS, _) => opened.push(frame.stream),
                _ => {}
            }
        }
    }
}

/// What a link reported.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Answer(Vec<u8>),
    Failed(u16, ConnectionError),
    Limits(usize),
    Closed(ConnectionError),
}

async fn event(link: &mut impl Connection) -> Got {
    poll_fn(|cx| {
        link.poll_next(cx).map(|event| match event {
            Event::Message(message) => Got::Answer(message.to_vec()),
            Event::Failed { id, why } => Got::Failed(id, why),
            Event::Limits(limits) => Got::Limits(limits.in_flight),
            Event::Closed(why) => Got::Closed(why),
            other => panic!("{other:?}"),
        })
    })
    .await
}

/// The next event that is not about limits.
async fn next(link: &mut impl Connection) -> Got {
    loop {
        match event(link).await {
            Got::Limits(_) => {}
            got => return got,
        }
    }
}

async fn flush(link: &mut impl Connection) {
    let flushed = poll_fn(|cx| link.poll_flush(cx)).await;
    flushed.expect("it leaves");
}

/// Sends what can be sent.
async fn start(link: &mut impl Connection) {
    poll_fn(|cx| Poll::Ready(link.poll_flush(cx).map(drop)))
        .await
        .is_ready();
}

/// A link on which these were asked, and were heard.
async fn asked<R: World>(runtime: &R, ids: &[u16]) -> (impl Connection + use<R>, Peer, Server<R>) {
    let mut server = Server::new(runtime, "https");
    let (mut link, mut peer) = server.link().await;
    for id in ids {
        link.queue(&numbered(*id));
    }
    flush(&mut link).await;
    for id in ids {
        assert_eq!(peer.hear().await, Some(on_the_way(*id)));
    }
    (link, peer, server)
}

/// The link works as before.
async fn goes_on(link: &mut impl Connection, peer: &mut Peer) {
    link.queue(&numbered(0xBEEF));
    flush(link).await;
    assert_eq!(peer.hear().await, Some(on_the_way(0xBEEF)));
    // Those before it get no other response.
    let stream = peer.streams().unanswered.pop_back().unwrap();
    peer.put(&http2::response(stream, &on_the_way(0xBEEF)))
        .await;
    assert_eq!(next(link).await, Got::Answer(numbered(0xBEEF)));
}

/// A message that differs from others in its id and in the rest.
fn numbered(id: u16) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[1], &id.to_be_bytes(), &pattern(40)].concat()
}

/// The same as it leaves.
fn on_the_way(id: u16) -> Vec<u8> {
    let mut message = numbered(id);
    message[..2].copy_from_slice(&[0, 0]);
    message
}

fn rejected(why: &str) -> ConnectionError {
    ConnectionError::Rejected(why.to_owned())
}

// req 90
pub async fn a_query_is_answered_and_its_id_stays_here<R: World>(runtime: R) {
    let (mut link, mut peer) = Server::new(&runtime, "https").link().await;
    assert!(link.describe().ends_with(", HTTP/2"), "{}", link.describe());
    for id in [0, 1, 0x1234, 0xFFFF] {
        link.queue(&numbered(id));
        flush(&mut link).await;
        assert_eq!(peer.hear().await, Some(on_the_way(id)));
        // Whatever id the server answers under, its stream says what is meant.
        let mut answer = on_the_way(id);
        answer[1] = 9;
        peer.say(&answer).await;
        assert_eq!(next(&mut link).await, Got::Answer(numbered(id)));
        link.ack_soon();
    }
}

pub async fn the_largest_message_passes<R: World>(runtime: R) {
    let (mut link, mut peer) = Server::new(&runtime, "https").link().await;
    let mut largest = pattern(LARGEST);
    largest[..2].copy_from_slice(&[0, 0]);
    // More of them than any window of flow control lets pass at once.
    for _ in 0..3 {
        link.queue(&largest);
        start(&mut link).await;
        let answer = async {
            let heard = peer.hear().await.expect("a query");
            assert!(heard == largest);
            peer.say(&heard).await;
        };
        let (got, ()) = join(next(&mut link), answer).await;
        assert!(got == Got::Answer(largest.clone()));
    }
}

pub async fn responses_may_come_octet_by_octet<R: World>(runtime: R) {
    let (mut link, mut peer, _server) = asked(&runtime, &[60, 61]).await;
    let drip = async {
        let octets = [60, 61].map(|id| peer.streams().answer(&on_the_way(id)));
        for octet in octets.concat() {
            peer.put(&[octet]).await;
        }
    };
    let listen = async { [next(&mut link).await, next(&mut link).await] };
    let (got, ()) = join(listen, drip).await;
    assert_eq!(got, [60, 61].map(|id| Got::Answer(numbered(id))));
}

pub async fn many_queries_share_the_connection<R: World>(runtime: R) {
    let (mut link, mut peer) = Server::new(&runtime, "https").link().await;
    for id in 0..MANY {
        link.queue(&numbered(id));
    }
    start(&mut link).await;
    let listen = async {
        let mut got = Vec::new();
        for _ in 0..MANY {
            match next(&mut link).await {
                Got::Answer(answer) => got.push(answer),
                other => panic!("{other:?}"),
            }
        }
        got.sort();
        got
    };
    let answer = async {
        let mut heard = Vec::new();
        for n in 1..=MANY {
            let query = peer.hear().await.expect("a query");
            let stream = peer.streams().unanswered.pop_back().unwrap();
            heard.push((stream, query));
            if heard.len() == UNANSWERED || n == MANY {
                // The newest first.
                while let Some((stream, query)) = heard.pop() {
                    peer.put(&http2::response(stream, &query)).await;
                }
            }
        }
    };
    let (got, ()) = join(listen, answer).await;
    assert!(got == (0..MANY).map(numbered).collect::<Vec<_>>());
    assert_eq!(link.backlog(), 0);
}

// req 94
pub async fn the_limit_of_the_server_is_told_and_kept<R: World>(runtime: R) {
    let (mut link, mut peer) = Server::new(&runtime, "https").link().await;
    assert_eq!(link.limits().in_flight, 100, "until the server says it");
    start(&mut link).await;
    peer.allow(&[(http2::MAX_CONCURRENT_STREAMS, 2)]).await;
    assert_eq!(event(&mut link).await, Got::Limits(2));
    assert_eq!(link.limits().in_flight, 2);
    for id in 1..=5 {
        link.queue(&numbered(id));
    }
    start(&mut link).await;
    let held_back = link.backlog();
    assert!(held_back >= 3 * numbered(1).len(), "{held_back}");
    let mut open = Vec::new();
    let serve = async {
        open.extend(peer.opened().await);
        assert_eq!(open, [1, 3]);
        assert_eq!(peer.opened().await, [0; 0]);
        for id in 1..=5 {
            peer.put(&http2::response(open[id - 1], &on_the_way(id as u16)))
                .await;
            if id <= 3 {
                open.push(peer.opening().await);
            }
            assert_eq!(peer.opened().await, [0; 0], "only as many as are free");
        }
        // More from now on.
        peer.put(&http2::settings(&[(http2::MAX_CONCURRENT_STREAMS, 7)]))
            .await;
    };
    let listen = async {
        for id in 1..=5 {
            assert_eq!(event(&mut link).await, Got::Answer(numbered(id)));
        }
        assert_eq!(event(&mut link).await, Got::Limits(7));
    };
    join(listen, serve).await;
    assert_eq!(link.backlog(), 0);
}

pub async fn nothing_leaves_before_the_flush<R: World>(runtime: R) {
    let (mut link, mut peer) = Server::new(&runtime, "https").link().await;
    let before = link.backlog();
    link.queue(&numbered(7));
    assert_eq!(link.backlog(), before + numbered(7).len());
    let mut octet = [0];
    let read = peer.0.read(&mut octet);
    let early = runtime.within(Duration::from_millis(20), read).await;
    assert!(early.is_none(), "it left before the flush");
    flush(&mut link).await;
    assert_eq!(link.backlog(), 0);
    assert_eq!(peer.hear().await, Some(on_the_way(7)));
}

// req 94
pub async fn what_flow_control_holds_back_is_backlog<R: World>(runtime: R) {
    let (mut link, mut peer) = Server::new(&runtime, "https").link().await;
    start(&mut link).await;
    peer.allow(&[(http2::INITIAL_WINDOW_SIZE, 10)]).await;
    assert_eq!(event(&mut link).await, Got::Limits(usize::MAX));
    link.queue(&numbered(3));
    start(&mut link).await;
    assert_eq!(
        link.backlog(),
        numbered(3).len(),
        "it has not left as a whole"
    );
    let serve = async {
        let mut body = Vec::new();
        while body.len() < 10 {
            let frame = peer.frame().await.expect("a frame");
            if frame.kind == http2::DATA {
                assert_eq!(frame.flags, 0, "it is not the last one");
                body.extend(frame.payload);
            }
        }
        assert_eq!(body, on_the_way(3)[..10]);
        peer.streams().bodies.insert(1, body);
        peer.put(&http2::window_update(1, 1_000)).await;
        assert_eq!(peer.hear().await, Some(on_the_way(3)));
        peer.say(&on_the_way(3)).await;
    };
    let (got, ()) = join(next(&mut link), serve).await;
    assert_eq!(got, Got::Answer(numbered(3)));
    assert_eq!(link.backlog(), 0);
}

// req 91
pub async fn a_query_may_fail_alone<R: World>(runtime: R) {
    let (mut link, mut peer, _server) = asked(&runtime, &[1, 2, 3, 4]).await;
    let ours = ("content-type", "application/dns-message");
    let html = ("content-type", "text/html");
    for octets in [
        [http2::headers(1, 500, &[ours]), http2::data(1, b"oops")].concat(),
        [http2::headers(3, 200, &[html]), http2::data(3, b"<p>")].concat(),
        http2::reset(5, http2::INTERNAL_ERROR),
        http2::response(7, &[0]),
    ] {
        peer.put(&octets).await;
    }
    for (id, why) in [
        (1, "HTTP status 500"),
        (2, "media type \"text/html\""),
        (3, "stream reset: unexpected internal error encountered"),
        (4, "1 octets"),
    ] {
        assert_eq!(next(&mut link).await, Got::Failed(id, rejected(why)));
    }
    goes_on(&mut link, &mut peer).await;
}

// req 91
pub async fn what_is_too_long_fails_alone<R: World>(runtime: R) {
    let (mut link, mut peer, _server) = asked(&runtime, &[1, 2]).await;
    let long = vec![0; LARGEST + 1];
    let length = (LARGEST + 1).to_string();
    let said = [
        ("content-type", "application/dns-message"),
        ("content-length", length.as_str()),
    ];
    peer.put(&http2::headers(1, 200, &said)).await;
    let why = rejected("more than 65535 octets");
    assert_eq!(next(&mut link).await, Got::Failed(1, why.clone()));
    let (got, ()) = join(next(&mut link), peer.put(&http2::response(3, &long))).await;
    assert_eq!(got, Got::Failed(2, why));
    goes_on(&mut link, &mut peer).await;
}

// req 95
pub async fn a_stream_that_is_refused_is_not_processed<R: World>(runtime: R) {
    let (mut link, mut peer, _server) = asked(&runtime, &[1]).await;
    peer.put(&http2::reset(1, http2::REFUSED_STREAM)).await;
    let unprocessed = Got::Failed(1, ConnectionError::Unprocessed);
    assert_eq!(next(&mut link).await, unprocessed);
    goes_on(&mut link, &mut peer).await;
}

// req 95
pub async fn after_goaway_what_was_processed_is_answered<R: World>(runtime: R) {
    let (mut link, mut peer, _server) = asked(&runtime, &[1, 2, 3]).await;
    peer.put(&http2::goaway(3, http2::NO_ERROR)).await;
    let unprocessed = Got::Failed(3, ConnectionError::Unprocessed);
    assert_eq!(next(&mut link).await, unprocessed);
    assert_eq!(event(&mut link).await, Got::Limits(0));
    // What the core has sent meanwhile never leaves.
    link.queue(&numbered(4));
    let unprocessed = Got::Failed(4, ConnectionError::Unprocessed);
    start(&mut link).await;
    assert_eq!(next(&mut link).await, unprocessed);
    for (stream, id) in [(3, 2), (1, 1)] {
        peer.put(&http2::response(stream, &on_the_way(id))).await;
        assert_eq!(next(&mut link).await, Got::Answer(numbered(id)));
    }
    // Nothing is left to wait for.
    assert_eq!(next(&mut link).await, Got::Closed(ConnectionError::Closed));
    let mut rest = Vec::new();
    peer.0
        .read_to_end(&mut rest)
        .await
        .expect("an end in order");
}

pub async fn a_close_with_queries_in_flight_is_one<R: World>(runtime: R) {
    for abrupt in [false, true] {
        let (mut link, mut peer, _server) = asked(&runtime, &[1, 2]).await;
        peer.say(&on_the_way(1)).await;
        if !abrupt {
            peer.0.close().await.unwrap();
        }
        drop(peer);
        assert_eq!(next(&mut link).await, Got::Answer(numbered(1)));
        assert_eq!(next(&mut link).await, Got::Closed(ConnectionError::Closed));
    }
}

pub async fn an_end_within_a_frame_is_a_truncation<R: World>(runtime: R) {
    for cut in [1, 8, 12] {
        let (mut link, mut peer, _server) = asked(&runtime, &[1]).await;
        peer.put(&http2::response(1, &on_the_way(1))[..cut]).await;
        peer.0.close().await.unwrap();
        assert_eq!(
            next(&mut link).await,
            Got::Closed(ConnectionError::Truncated)
        );
    }
}

pub async fn what_is_no_http2_is_a_protocol_error<R: World>(runtime: R) {
    let garbage: [&[u8]; 3] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        // A response on a stream that was never opened.
        &http2::response(99, b"never asked"),
        // A window that is too large.
        &http2::window_update(0, 0x7FFF_FFFF),
    ];
    for octets in garbage {
        let (mut link, mut peer, _server) = asked(&runtime, &[1]).await;
        peer.put(octets).await;
        let got = next(&mut link).await;
        assert!(
            matches!(got, Got::Closed(ConnectionError::Protocol(_))),
            "{got:?}"
        );
    }
}

// fault 126
pub async fn a_server_that_sends_without_end_is_given_up<R: World>(runtime: R) {
    // Of a type that nobody knows, which are ignored (RFC 9113 section 4.1).
    let junk = http2::frame(0x77, 0, 0, &[]).repeat(1_000);
    let (mut link, mut peer, _server) = asked(&runtime, &[1]).await;
    let flood = async { while put(&mut peer.0, &junk).await.is_some() {} };
    let (flood, listen) = (pin!(flood), pin!(next(&mut link)));
    let Either::Left((got, _)) = select(listen, flood).await else {
        panic!("it is gone, and has not said why");
    };
    let why = "it sends frames without end that are no response";
    assert_eq!(got, Got::Closed(ConnectionError::Protocol(why)));
}

// fault 126
pub async fn informational_responses_have_an_end<R: World>(runtime: R) {
    let hints = |count: usize| http2::headers(1, 103, &[]).repeat(count);
    let (mut link, mut peer, _server) = asked(&runtime, &[1]).await;
    peer.put(&hints(16)).await;
    peer.say(&on_the_way(1)).await;
    assert_eq!(next(&mut link).await, Got::Answer(numbered(1)));
    let (mut link, mut peer, _server) = asked(&runtime, &[1]).await;
    peer.put(&hints(17)).await;
    let why = "informational responses without end, and no response";
    let ended = Got::Closed(ConnectionError::Protocol(why));
    assert_eq!(next(&mut link).await, ended);
}

// req 93
pub async fn a_server_without_http2_is_refused<R: World>(runtime: R) {
    refused(&runtime, &[]).await;
}

/// It says so by an alert of TLS.
pub async fn a_server_that_wants_another_protocol_is_refused<R: World>(runtime: R) {
    for names in [&["http/1.1"][..], &["dot", "h3"]] {
        refused(&runtime, names).await;
    }
}

async fn refused<R: World>(runtime: &R, names: &[&str]) {
    let mut server = Server::new(runtime, "https");
    server.speak(names);
    let dial = server.transport().connect(server.upstream(), server.at());
    let (link, _peer) = join(dial, server.accept()).await;
    let Some(ConnectError::Handshake(why)) = link.err() else {
        panic!("a link without HTTP/2: {names:?}");
    };
    assert!(why.starts_with("the server does not speak HTTP/2"), "{why}");
}

// req 92
pub async fn the_age_of_a_response_counts<R: World>(runtime: R) {
    let (mut link, mut peer) = Server::new(&runtime, "https").link().await;
    let asked = query("a.test", A).id(0x1234).build();
    let told = |ttl| {
        response_to(&asked)
            .a(ttl, [192, 0, 2, 1])
            .edns(1232, 0, &[])
            .build()
    };
    for (age, ttl) in [("0", 300), ("100", 200), ("300", 0), ("99999999999", 0)] {
        link.queue(&asked);
        flush(&mut link).await;
        peer.hear().await.expect("a query");
        let stream = peer.streams().unanswered.pop_front().unwrap();
        let fields = [("content-type", "application/dns-message"), ("age", age)];
        let head = http2::headers(stream, 200, &fields);
        peer.put(&[head, http2::data(stream, &told(300))].concat())
            .await;
        assert_eq!(next(&mut link).await, Got::Answer(told(ttl)), "{age}");
    }
}

pub async fn the_last_waker_is_woken<R: World>(runtime: R) {
    let (mut link, mut peer, _server) = asked(&runtime, &[1, 2, 3]).await;
    // What is said of limits is over.
    assert_eq!(event(&mut link).await, Got::Limits(usize::MAX));
    for id in 1..=3 {
        let waker = noop_waker();
        let first = link.poll_next(&mut Context::from_waker(&waker));
        assert!(first.is_pending());
        let (got, ()) = join(next(&mut link), peer.say(&on_the_way(id))).await;
        assert_eq!(got, Got::Answer(numbered(id)));
    }
}

pub async fn a_goodbye_is_heard<R: World>(runtime: R) {
    let (mut link, mut peer, _server) = asked(&runtime, &[1]).await;
    let goodbye = poll_fn(|cx| link.poll_close(cx));
    let listen = async {
        let mut kinds = Vec::new();
        while let Some(frame) = peer.frame().await {
            kinds.push(frame.kind);
        }
        // In order: TLS would report an end without `close_notify` as an error.
        (kinds, peer.0.read(&mut [0; 16]).await)
    };
    let ((), (kinds, rest)) = join(goodbye, listen).await;
    assert_eq!(kinds.last(), Some(&http2::GOAWAY), "{kinds:?}");
    assert!(kinds.contains(&http2::RST_STREAM), "{kinds:?}");
    assert_eq!(rest.expect("an end in order"), 0);
}
