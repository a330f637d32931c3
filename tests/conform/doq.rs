//! DNS over QUIC, where each query has a stream of its own, against a server on quinn-proto over the same runtime.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use dotward::config::{Config, Roots};
use dotward::engine::{Now, Time};
use dotward::runtime::{Datagram, Datagrams, Ring, Runtime, Sent};
use dotward::transport::{ConnectError, Connection, ConnectionError, Event, Transport};
use dotward::transports::{AnyConnection, Protocols};
use futures::task::noop_waker;
use quinn_proto::ConnectionError as Lost;

use crate::support::authority::Authority;
use crate::support::codes::A;
use crate::support::messages::{query, response_to};
use crate::support::quic::{Asked, QuicServer};
use crate::upstream::{tls, upstream, upstream_with};
use crate::world::{World, loopback, nobody, pattern};

/// The largest message of DNS.
const LARGEST: usize = 65_535;
/// Queries at once, more than the server allows.
const MANY: u16 = 1_000;
/// Of these the server lets so many wait.
const UNANSWERED: usize = 50;
/// What the server allows at once.
const STREAMS: u32 = 100;
/// The option edns-tcp-keepalive (RFC 7828).
const OPTION_KEEPALIVE: u16 = 11;

/// What a link reported.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Answer(Vec<u8>),
    Failed(u16, ConnectionError),
    Limits(usize),
    Closed(ConnectionError),
}

/// Both ends of a link.
struct Stage<R: Runtime> {
    link: AnyConnection<R>,
    server: QuicServer<R>,
    transport: Protocols<R>,
    config: Config,
    got: VecDeque<Got>,
}

/// A server and how its clients are configured.
fn server<R: Runtime>(runtime: &R, streams: u32, alpn: &[&str]) -> (QuicServer<R>, Config) {
    server_with(runtime, streams, alpn, "")
}

/// The same, with these parameters for its clients. It takes early data from whoever sends any.
fn server_with<R: Runtime>(
    runtime: &R,
    streams: u32,
    alpn: &[&str],
    parameters: &str,
) -> (QuicServer<R>, Config) {
    let authority = Authority::new();
    let mut settings = rustls::ServerConfig::clone(&tls::settings(&authority, "quic"));
    settings.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    settings.max_early_data_size = u32::MAX;
    let server = QuicServer::new(runtime, loopback(), Arc::new(settings), streams);
    let config = Config::builder()
        .listen([loopback().into()])
        .upstreams([upstream_with("quic", server.at(), parameters)])
        .roots(Roots::Pem(authority.pem().into_bytes()));
    (server, config.build().expect("a sound configuration"))
}

/// Connects, while the server does its part.
async fn connect<R: Runtime, T: Transport>(
    transport: &T,
    config: &Config,
    server: &mut QuicServer<R>,
) -> Result<T::Connection, ConnectError> {
    let mut dial = pin!(transport.connect(&config.upstreams()[0], server.at()));
    poll_fn(|cx| {
        server.poll(cx);
        dial.as_mut().poll(cx)
    })
    .await
}

impl<R: Runtime> Stage<R> {
    async fn new(runtime: &R) -> Self {
        Self::allowing(runtime, STREAMS).await
    }

    async fn allowing(runtime: &R, streams: u32) -> Self {
        Self::with(runtime, server(runtime, streams, &["doq"])).await
    }

    /// With a session that can be resumed, and queries that may leave early.
    async fn early(runtime: &R) -> Self {
        let both = server_with(runtime, STREAMS, &["doq"], "?early-data=true");
        let mut stage = Self::with(runtime, both).await;
        assert!(!stage.link.is_early(), "there was no session");
        // The tickets come with the response at the latest.
        stage.goes_on().await;
        stage
    }

    /// Another connection, with whatever it is before its handshake is over.
    async fn connect_again(&mut self) {
        self.link = connect(&self.transport, &self.config, &mut self.server)
            .await
            .expect("a second link");
        self.got.clear();
    }

    /// The handshake of a connection that is early.
    async fn handshake(&mut self) -> Result<(), ConnectError> {
        let Stage { link, server, .. } = self;
        poll_fn(|cx| {
            let _sent_or_not = link.poll_flush(cx);
            server.poll(cx);
            link.poll_handshake(cx)
        })
        .await
    }

    async fn with(runtime: &R, (mut server, config): (QuicServer<R>, Config)) -> Self {
        let transport = Protocols::new(runtime, &config).expect("a usable configuration");
        let link = connect(&transport, &config, &mut server).await;
        Self {
            link: link.expect("a link"),
            server,
            transport,
            config,
            got: VecDeque::new(),
        }
    }

    /// Both ends do what can be done.
    fn poll(&mut self, cx: &mut Context<'_>) {
        let _sent_or_not = self.link.poll_flush(cx);
        self.server.poll(cx);
        while let Poll::Ready(event) = self.link.poll_next(cx) {
            let got = match event {
                Event::Message(message) => Got::Answer(message.to_vec()),
                Event::Failed { id, why } => Got::Failed(id, why),
                Event::Limits(limits) => Got::Limits(limits.in_flight),
                Event::Closed(why) => Got::Closed(why),
                other => panic!("{other:?}"),
            };
            let is_end = matches!(got, Got::Closed(_));
            if !self.got.contains(&got) || !is_end {
                self.got.push_back(got);
            }
            if is_end {
                return;
            }
        }
    }

    /// What the link reports next.
    async fn event(&mut self) -> Got {
        self.until(|stage| stage.got.pop_front()).await
    }

    /// The next event that is not about limits.
    async fn next(&mut self) -> Got {
        loop {
            match self.event().await {
                Got::Limits(_) => {}
                got => return got,
            }
        }
    }

    /// The next query that the server hears, with the length before it.
    async fn heard(&mut self) -> (Asked, Vec<u8>) {
        self.until(|stage| stage.server.heard.pop_front()).await
    }

    async fn until<T>(&mut self, mut what: impl FnMut(&mut Self) -> Option<T>) -> T {
        poll_fn(|cx| {
            self.poll(cx);
            match what(self) {
                Some(found) => Poll::Ready(found),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Asks, and gives the streams.
    async fn ask(&mut self, ids: &[u16]) -> Vec<Asked> {
        for id in ids {
            self.link.queue(&numbered(*id));
        }
        let mut streams = Vec::new();
        for id in ids {
            let (asked, heard) = self.heard().await;
            assert_eq!(heard, on_the_way(*id));
            streams.push(asked);
        }
        streams
    }

    /// The link works as before.
    async fn goes_on(&mut self) {
        let asked = self.ask(&[0xBEEF]).await;
        self.server.say(asked[0], &unnumbered(0xBEEF));
        assert_eq!(self.next().await, Got::Answer(numbered(0xBEEF)));
    }
}

/// A message that differs from others in its id and in the rest.
fn numbered(id: u16) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[1], &id.to_be_bytes(), &pattern(40)].concat()
}

/// The same with the id 0.
fn unnumbered(id: u16) -> Vec<u8> {
    let mut message = numbered(id);
    message[..2].copy_from_slice(&[0, 0]);
    message
}

/// The same as it leaves.
fn on_the_way(id: u16) -> Vec<u8> {
    framed(&unnumbered(id))
}

/// A query that may be repeated: with recursion desired, and without a signature.
fn recursive(id: u16) -> Vec<u8> {
    query("early.test", A).id(id).build()
}

/// A message as it leaves.
fn without_id(message: &[u8]) -> Vec<u8> {
    framed(&[&[0, 0], &message[2..]].concat())
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&length, message].concat()
}

// req 97, 98
pub async fn a_query_is_answered_and_its_id_stays_here<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    let described = stage.link.describe();
    assert!(described.ends_with(", TLS 1.3, QUIC"), "{described}");
    for id in [0, 1, 0x1234, 0xFFFF] {
        let asked = stage.ask(&[id]).await;
        stage.server.say(asked[0], &unnumbered(id));
        assert_eq!(stage.next().await, Got::Answer(numbered(id)));
        stage.link.ack_soon();
    }
}

pub async fn the_largest_message_passes<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    let mut largest = pattern(LARGEST);
    largest[..2].copy_from_slice(&[0, 0]);
    // More of them than any window of flow control lets pass at once.
    for _ in 0..3 {
        stage.link.queue(&largest);
        let (asked, heard) = stage.heard().await;
        assert!(heard == framed(&largest));
        stage.server.say(asked, &largest);
        assert!(stage.next().await == Got::Answer(largest.clone()));
    }
}

pub async fn responses_may_come_octet_by_octet<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    let asked = stage.ask(&[60, 61]).await;
    let octets = [60, 61].map(on_the_way);
    for place in 0..octets[0].len() {
        for (asked, octets) in asked.iter().zip(&octets) {
            stage.server.put(*asked, &octets[place..=place], false);
        }
        // It leaves in a datagram of its own.
        stage.until(|_| Some(())).await;
        assert_eq!(
            stage
                .got
                .iter()
                .filter(|got| matches!(got, Got::Answer(_)))
                .count(),
            0
        );
    }
    for (asked, id) in asked.into_iter().zip([60, 61]) {
        stage.server.put(asked, &[], true);
        assert_eq!(stage.next().await, Got::Answer(numbered(id)));
    }
}

pub async fn many_queries_share_the_connection<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    for id in 0..MANY {
        stage.link.queue(&numbered(id));
    }
    let mut heard = Vec::new();
    for n in 1..=MANY {
        heard.push(stage.heard().await);
        if heard.len() == UNANSWERED || n == MANY {
            // The newest first.
            while let Some((asked, query)) = heard.pop() {
                stage.server.say(asked, &query[2..]);
            }
        }
    }
    let mut got = Vec::new();
    for _ in 0..MANY {
        match stage.next().await {
            Got::Answer(answer) => got.push(answer),
            other => panic!("{other:?}"),
        }
    }
    got.sort();
    assert!(got == (0..MANY).map(numbered).collect::<Vec<_>>());
    assert_eq!(stage.link.backlog(), 0);
}

// req 101
pub async fn the_limit_of_the_server_is_told_and_kept<R: World>(runtime: R) {
    let mut stage = Stage::allowing(&runtime, 2).await;
    assert_eq!(stage.link.limits().in_flight, 2);
    for id in 1..=5 {
        stage.link.queue(&numbered(id));
    }
    let (first, _) = stage.heard().await;
    let (second, _) = stage.heard().await;
    stage.until(|_| Some(())).await;
    assert!(stage.server.heard.is_empty());
    assert_eq!(stage.link.backlog(), 3 * on_the_way(1).len());
    let mut open = VecDeque::from([first, second]);
    for id in 1..=5 {
        let asked = open.pop_front().expect("a query");
        stage.server.say(asked, &unnumbered(id));
        assert_eq!(stage.next().await, Got::Answer(numbered(id)));
        if id <= 3 {
            open.push_back(stage.heard().await.0);
        }
        assert!(stage.server.heard.is_empty(), "only as many as are free");
    }
    assert_eq!(stage.link.backlog(), 0);
}

// req 101
pub async fn a_server_that_allows_no_more_is_left<R: World>(runtime: R) {
    let mut stage = Stage::allowing(&runtime, 1).await;
    let asked = stage.ask(&[1]).await;
    stage.server.allow(0);
    stage.server.say(asked[0], &unnumbered(1));
    assert_eq!(stage.next().await, Got::Answer(numbered(1)));
    // One query may wait for what the server may yet allow.
    assert_eq!(stage.link.limits().in_flight, 1);
    stage.link.queue(&numbered(2));
    let unprocessed = Got::Failed(2, ConnectionError::Unprocessed);
    assert_eq!(stage.next().await, unprocessed);
    assert_eq!(stage.event().await, Got::Limits(0));
}

pub async fn nothing_leaves_before_the_flush<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    let before = stage.link.backlog();
    stage.link.queue(&numbered(7));
    assert_eq!(stage.link.backlog(), before + on_the_way(7).len());
    let wait = poll_fn(|cx| {
        stage.server.poll(cx);
        Poll::<()>::Pending
    });
    assert!(
        runtime
            .within(Duration::from_millis(20), wait)
            .await
            .is_none()
    );
    assert!(stage.server.heard.is_empty(), "it left before the flush");
    let flushed = poll_fn(|cx| stage.link.poll_flush(cx)).await;
    flushed.expect("it leaves");
    assert_eq!(stage.link.backlog(), 0);
    assert_eq!(stage.heard().await.1, on_the_way(7));
}

// req 100
pub async fn a_query_may_fail_alone<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    let asked = stage.ask(&[0, 1, 2, 3, 4, 5]).await;
    stage.server.put(asked[0], &[], true);
    stage.server.put(asked[1], &[0, 1, 0], true);
    let mut said = vec![
        "its stream ended without a response".to_owned(),
        "1 octets".to_owned(),
    ];
    for (asked, (code, name)) in asked[2..].iter().zip([
        (1, "an internal error (DOQ_INTERNAL_ERROR)"),
        (3, "that it cancels (DOQ_REQUEST_CANCELLED)"),
        (4, "that it has too much load (DOQ_EXCESSIVE_LOAD)"),
        (0x77, "error 0x77, which DNS over QUIC does not have"),
    ]) {
        stage.server.reset(*asked, code);
        said.push(format!("stream reset: the upstream reports {name}"));
    }
    let mut got: Vec<(u16, String)> = Vec::new();
    for _ in &said {
        match stage.next().await {
            Got::Failed(id, ConnectionError::Rejected(why)) => got.push((id, why)),
            other => panic!("{other:?}"),
        }
    }
    got.sort();
    assert_eq!(got, (0..).zip(said).collect::<Vec<_>>());
    stage.goes_on().await;
}

// req 98, 99, 100
pub async fn what_violates_the_protocol_ends_the_connection<R: World>(runtime: R) {
    let asked = query("a.test", A).id(0).build();
    let keepalive = response_to(&asked).edns(1232, 0, &[(OPTION_KEEPALIVE, &[0, 9])]);
    let good = response_to(&asked).edns(1232, 0, &[]).build();
    for (octets, why) in [
        (
            framed(&numbered(9)),
            "the message id of a response is not 0",
        ),
        (
            framed(&keepalive.build()),
            "a response has the option edns-tcp-keepalive",
        ),
        (
            framed(&good)[..20].to_vec(),
            "a stream ends within a response",
        ),
        (
            [framed(&good), framed(&good)].concat(),
            "more than one response on a stream",
        ),
        (
            [framed(&vec![0; LARGEST]), vec![0]].concat(),
            "more than one response on a stream",
        ),
    ] {
        let mut stage = Stage::new(&runtime).await;
        let asked = stage.ask(&[1, 2]).await;
        stage.server.put(asked[1], &octets, true);
        let got = stage.next().await;
        let Got::Closed(ConnectionError::Protocol(told)) = got else {
            panic!("{got:?}");
        };
        assert!(told.starts_with(why), "{told}");
        let lost = stage.until(|stage| stage.server.lost.pop()).await;
        assert!(
            matches!(&lost, Lost::ApplicationClosed(close) if close.error_code.into_inner() == 2),
            "{lost}"
        );
    }
}

// req 100
pub async fn a_close_of_the_server_is_told<R: World>(runtime: R) {
    for (code, told) in [
        (0, "closed by the upstream"),
        (
            1,
            "the upstream reports an internal error (DOQ_INTERNAL_ERROR)",
        ),
        (
            2,
            "the upstream reports that we violate the protocol (DOQ_PROTOCOL_ERROR)",
        ),
        (
            3,
            "the upstream reports that it cancels (DOQ_REQUEST_CANCELLED)",
        ),
        (
            4,
            "the upstream reports that it has too much load (DOQ_EXCESSIVE_LOAD)",
        ),
        (
            5,
            "the upstream reports an error without a reason (DOQ_UNSPECIFIED_ERROR)",
        ),
    ] {
        let mut stage = Stage::allowing(&runtime, 1).await;
        stage.ask(&[1]).await;
        // There is no stream for this one.
        stage.link.queue(&numbered(2));
        stage.server.close(code);
        let unprocessed = Got::Failed(2, ConnectionError::Unprocessed);
        assert_eq!(stage.next().await, unprocessed);
        let got = stage.next().await;
        let Got::Closed(why) = got else {
            panic!("{got:?}");
        };
        assert_eq!(why.to_string(), told);
    }
}

pub async fn a_server_that_restarts_is_noticed<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    stage.goes_on().await;
    stage.server.restart();
    stage.link.queue(&numbered(1));
    let got = stage.next().await;
    let Got::Closed(why) = got else {
        panic!("{got:?}");
    };
    assert!(why.to_string().ends_with("(stateless reset)"), "{why}");
}

pub async fn a_server_that_disappears_is_noticed<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    stage.ask(&[1]).await;
    let Stage {
        mut link, server, ..
    } = stage;
    drop(server);
    let why = poll_fn(|cx| {
        loop {
            let _sent_or_not = link.poll_flush(cx);
            match link.poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Event::Closed(why)) => return Poll::Ready(why),
                Poll::Ready(_) => {}
            }
        }
    })
    .await;
    // A network in memory does not say that nobody is there.
    let told = why.to_string();
    let silent = told == "no datagram came for too long";
    assert!(silent || told == "connection refused", "{told}");
}

pub async fn an_idle_connection_ends_as_one<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    stage.goes_on().await;
    let got = stage.next().await;
    assert_eq!(got, Got::Closed(ConnectionError::Closed));
}

pub async fn a_query_that_waits_keeps_the_connection<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    let asked = stage.ask(&[1]).await;
    let long = stage.until(|_| None::<()>);
    assert!(
        runtime
            .within(Duration::from_secs(25), long)
            .await
            .is_none()
    );
    stage.server.say(asked[0], &unnumbered(1));
    assert_eq!(stage.next().await, Got::Answer(numbered(1)));
}

pub async fn nobody_there_is_unreachable<R: World>(runtime: R) {
    let (_server, config) = server(&runtime, STREAMS, &["doq"]);
    let transport = Protocols::new(&runtime, &config).expect("a usable configuration");
    let dial = transport
        .connect(&upstream("quic", nobody()), nobody())
        .await;
    let refused = ConnectError::Unreachable("connection refused".into());
    assert_eq!(dial.err(), Some(refused));
}

// req 97
pub async fn a_server_without_doq_is_refused<R: World>(runtime: R) {
    for names in [&["h3"][..], &["dot", "doq-i00"]] {
        let (mut server, config) = server(&runtime, STREAMS, names);
        let transport = Protocols::new(&runtime, &config).expect("a usable configuration");
        let link = connect(&transport, &config, &mut server).await;
        let Some(ConnectError::Handshake(why)) = link.err() else {
            panic!("a link without DNS over QUIC: {names:?}");
        };
        assert!(
            why.starts_with("the server does not speak DNS over QUIC"),
            "{why}"
        );
    }
}

// req 74
pub async fn a_stranger_is_told_nothing<R: World>(runtime: R) {
    let (_, config) = server(&runtime, STREAMS, &["doq"]);
    let (mut stranger, _) = server(&runtime, STREAMS, &["doq"]);
    let transport = Protocols::new(&runtime, &config).expect("a usable configuration");
    let link = connect(&transport, &config, &mut stranger).await;
    let Some(ConnectError::Unauthenticated { why, remedy }) = link.err() else {
        panic!("a link to a stranger");
    };
    assert!(
        why.starts_with("certificate not trusted: "),
        "{why}{remedy}"
    );
    assert!(stranger.heard.is_empty());
}

pub async fn a_silent_handshake_times_out<R: World>(runtime: R) {
    let (silent, config) = server(&runtime, STREAMS, &["doq"]);
    let transport = Protocols::new(&runtime, &config).expect("a usable configuration");
    let dial = transport.connect(&config.upstreams()[0], silent.at()).await;
    assert_eq!(dial.err(), Some(ConnectError::TimedOut));
}

pub async fn a_session_is_resumed<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    assert!(stage.link.certificate_left().is_some());
    // The tickets come with the response at the latest.
    stage.goes_on().await;
    let link = connect(&stage.transport, &stage.config, &mut stage.server).await;
    let link = link.expect("a second link");
    assert!(!link.is_early(), "nobody asked for that");
    let described = link.describe();
    assert!(
        described.ends_with(", TLS 1.3 resumed, QUIC"),
        "{described}"
    );
    assert_eq!(link.certificate_left(), None);
}

// req 81. A query may leave early if it may be repeated; others wait, with what is behind them.
pub async fn queries_leave_early_on_a_resumed_connection<R: World>(runtime: R) {
    let mut stage = Stage::early(&runtime).await;
    stage.connect_again().await;
    assert!(stage.link.is_early());
    assert_eq!(stage.link.authentication(), None);
    let early = [recursive(1), recursive(2)];
    let late = [numbered(3), recursive(4)];
    for message in early.iter().chain(&late) {
        stage.link.queue(message);
    }
    // Flushing takes nothing that comes: the server hears them while the handshake goes on here.
    let Stage { link, server, .. } = &mut stage;
    let heard = poll_fn(|cx| {
        let _sent_or_not = link.poll_flush(cx);
        server.poll(cx);
        match server.heard.len() {
            0 | 1 => Poll::Pending,
            _ => Poll::Ready(std::mem::take(&mut server.heard)),
        }
    })
    .await;
    assert!(stage.link.is_early());
    let bodies: Vec<_> = heard.iter().map(|(_, body)| body.clone()).collect();
    assert_eq!(bodies, early.map(|message| without_id(message.as_slice())));
    assert_eq!(stage.handshake().await, Ok(()));
    assert!(!stage.link.is_early());
    let described = stage.link.describe();
    let expected = ", TLS 1.3 resumed, QUIC, early data accepted";
    assert!(described.ends_with(expected), "{described}");
    for message in late {
        assert_eq!(stage.heard().await.1, without_id(&message));
    }
    for ((asked, _), id) in heard.into_iter().zip(1..) {
        stage.server.say(asked, &unnumbered(id));
        assert_eq!(stage.next().await, Got::Answer(numbered(id)));
    }
}

// req 81, fault 41. The server has forgotten the session, or takes no early data any more.
pub async fn early_queries_that_are_rejected_leave_again<R: World>(runtime: R) {
    let mut stage = Stage::early(&runtime).await;
    stage.server.forget_sessions();
    stage.connect_again().await;
    assert!(stage.link.is_early());
    for id in [1, 2] {
        stage.link.queue(&recursive(id));
    }
    assert_eq!(stage.handshake().await, Ok(()));
    let described = stage.link.describe();
    let expected = ", TLS 1.3, QUIC, early data rejected";
    assert!(described.ends_with(expected), "{described}");
    assert!(stage.link.certificate_left().is_some(), "it was verified");
    // Each once, in their order, and none of them twice.
    for id in [1, 2] {
        let (asked, heard) = stage.heard().await;
        assert_eq!(heard, without_id(&recursive(id)));
        stage.server.say(asked, &unnumbered(id));
        assert_eq!(stage.next().await, Got::Answer(numbered(id)));
    }
    stage.goes_on().await;
    assert!(stage.server.heard.is_empty());
}

pub async fn the_last_waker_is_woken<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    let asked = stage.ask(&[1, 2, 3]).await;
    for (asked, id) in asked.into_iter().zip(1..) {
        stage.until(|_| Some(())).await;
        stage.got.clear();
        let waker = noop_waker();
        while stage
            .link
            .poll_next(&mut Context::from_waker(&waker))
            .is_ready()
        {}
        stage.server.say(asked, &unnumbered(id));
        let Stage { link, server, .. } = &mut stage;
        let got = poll_fn(|cx| {
            server.poll(cx);
            loop {
                match link.poll_next(cx) {
                    Poll::Ready(Event::Message(message)) => return Poll::Ready(message.to_vec()),
                    Poll::Ready(Event::Limits(_)) => {}
                    Poll::Ready(other) => panic!("{other:?}"),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        assert_eq!(got.await, numbered(id));
    }
}

pub async fn a_goodbye_is_heard<R: World>(runtime: R) {
    let mut stage = Stage::new(&runtime).await;
    stage.ask(&[1]).await;
    let Stage { link, server, .. } = &mut stage;
    poll_fn(|cx| link.poll_close(cx)).await;
    let lost = poll_fn(|cx| {
        server.poll(cx);
        server.lost.pop().map_or(Poll::Pending, Poll::Ready)
    })
    .await;
    assert!(
        matches!(&lost, Lost::ApplicationClosed(close) if close.error_code.into_inner() == 0),
        "{lost}"
    );
}

// req 102
pub async fn the_connection_goes_on_from_another_port<R: World>(runtime: R) {
    let runtime = Flaky::new(runtime);
    let mut stage = Stage::new(&runtime).await;
    stage.goes_on().await;
    assert_eq!(stage.server.peers.len(), 1);
    // With its responses in flight.
    let asked = stage.ask(&[1]).await;
    runtime.fail();
    stage.goes_on().await;
    assert_eq!(stage.server.peers.len(), 2, "{:?}", stage.server.peers);
    stage.server.say(asked[0], &unnumbered(1));
    assert_eq!(stage.next().await, Got::Answer(numbered(1)));
    assert!(stage.server.lost.is_empty());
}

// req 102, fault 122
pub async fn a_connection_waits_a_while_for_a_path<R: World>(runtime: R) {
    let runtime = Flaky::new(runtime);
    let mut stage = Stage::new(&runtime).await;
    stage.goes_on().await;
    runtime.broken.store(usize::MAX, Ordering::Relaxed);
    stage.link.queue(&numbered(1));
    let waits = stage.until(|stage| stage.server.heard.pop_front());
    let within = runtime.within(Duration::from_secs(2), waits);
    assert!(within.await.is_none(), "there is no way");
    runtime.fail();
    let (asked, heard) = stage.heard().await;
    assert_eq!(heard, on_the_way(1));
    stage.server.say(asked, &unnumbered(1));
    assert_eq!(stage.next().await, Got::Answer(numbered(1)));
    // There is none for long.
    runtime.broken.store(usize::MAX, Ordering::Relaxed);
    stage.link.queue(&numbered(2));
    let unreachable = ConnectionError::Io("network unreachable".into());
    assert_eq!(stage.next().await, Got::Closed(unreachable));
}

/// A runtime whose sockets for one peer fail on demand, as when the network of the host changes.
#[derive(Clone)]
struct Flaky<R> {
    runtime: R,
    /// How many there were.
    sockets: Arc<AtomicUsize>,
    /// Those with a lower number fail.
    broken: Arc<AtomicUsize>,
}

impl<R> Flaky<R> {
    fn new(runtime: R) -> Self {
        Self {
            runtime,
            sockets: Arc::default(),
            broken: Arc::default(),
        }
    }

    /// All that there are fail from now on.
    fn fail(&self) {
        let all = self.sockets.load(Ordering::Relaxed);
        self.broken.store(all, Ordering::Relaxed);
    }
}

struct FlakySocket<D> {
    socket: D,
    number: usize,
    broken: Arc<AtomicUsize>,
}

impl<D: Datagrams> Datagrams for FlakySocket<D> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, ring: &mut Ring) -> Poll<io::Result<()>> {
        self.socket.poll_recv(cx, ring)
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        batch: &[Datagram<'_>],
    ) -> Poll<io::Result<Sent>> {
        if self.number < self.broken.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::NetworkUnreachable.into()));
        }
        self.socket.poll_send(cx, batch)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl<R: World> Runtime for Flaky<R> {
    type Stream = R::Stream;
    type Connect = R::Connect;
    type Listener = R::Listener;
    type Datagrams = FlakySocket<R::Datagrams>;
    type Sleep = R::Sleep;
    type Within<F: Future> = R::Within<F>;

    fn now(&self) -> Now {
        self.runtime.now()
    }

    fn sleep_until(&self, at: Time) -> R::Sleep {
        self.runtime.sleep_until(at)
    }

    fn within<F: Future>(&self, limit: Duration, work: F) -> R::Within<F> {
        self.runtime.within(limit, work)
    }

    fn connect(&self, to: SocketAddr) -> R::Connect {
        self.runtime.connect(to)
    }

    fn listen(&self, at: SocketAddr, share: bool) -> io::Result<R::Listener> {
        self.runtime.listen(at, share)
    }

    /// That of the server never fails.
    fn bind(&self, at: SocketAddr, share: bool) -> io::Result<Self::Datagrams> {
        Ok(FlakySocket {
            socket: self.runtime.bind(at, share)?,
            number: usize::MAX,
            broken: self.broken.clone(),
        })
    }

    fn datagrams_to(&self, peer: SocketAddr) -> io::Result<Self::Datagrams> {
        Ok(FlakySocket {
            socket: self.runtime.datagrams_to(peer)?,
            number: self.sockets.fetch_add(1, Ordering::Relaxed),
            broken: self.broken.clone(),
        })
    }

    fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }
}

/// An upstream that answers every question well. It never ends.
pub async fn answer_all<R: Runtime>(mut server: QuicServer<R>, answer: impl Fn(&[u8]) -> Vec<u8>) {
    poll_fn(|cx| {
        server.poll(cx);
        while let Some((asked, query)) = server.heard.pop_front() {
            server.say(asked, &answer(&query[2..]));
        }
        server.poll(cx);
        Poll::<()>::Pending
    })
    .await;
}
