//! Plain UDP to an upstream, over every runtime, against a server that is played over the same runtime.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;

use dotward::config::Config;
use dotward::runtime::{Datagram, Datagrams, Ring};
use dotward::transport::{Connection, ConnectionError, Event, Transport};
use dotward::transports::{AnyConnection, Protocols};
use futures::future::{Either, join, select};
use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::messages::{address_or_error, frame, query, response, word};
use crate::upstream::upstream;
use crate::world::{World, accept, loopback, nobody};

/// What may not stand in a query over UDP (RFC 7828 section 3.2.1).
const OPTION_KEEPALIVE: u16 = 11;
/// TC, with the flags of a usual response.
const TRUNCATED: u16 = 0x8380;

/// More than are overlooked.
const GUESSES: u16 = 128;
/// Queries in one case.
const MANY: u16 = 600;

/// A server, and a connection to it.
struct Stage<R: World> {
    runtime: R,
    /// At the same port over TCP, for who wants it.
    listener: Option<R::Listener>,
    socket: R::Datagrams,
    connection: AnyConnection<R>,
}

impl<R: World> Stage<R> {
    async fn new(runtime: R) -> Self {
        // Somebody else may have the port over TCP.
        loop {
            let (socket, at) = bind(&runtime);
            if let Ok(listener) = runtime.listen(at, false) {
                let stage = Self::at(runtime, socket, at).await;
                let listener = Some(listener);
                return Self { listener, ..stage };
            }
        }
    }

    /// A connection to this address.
    async fn at(runtime: R, socket: R::Datagrams, at: SocketAddr) -> Self {
        let upstream = upstream("udp", at);
        let config = Config::builder()
            .listen([loopback().into()])
            .upstreams([upstream.clone()])
            .build()
            .expect("a sound configuration");
        let transport = Protocols::new(&runtime, &config).expect("a usable configuration");
        let connection = transport.connect(&upstream, at).await;
        Self {
            runtime,
            listener: None,
            socket,
            connection: connection.expect("a socket"),
        }
    }

    /// Sends a query, and gives it as the server receives it, with its sender.
    async fn ask(&mut self, message: &[u8]) -> (Vec<u8>, SocketAddr) {
        self.connection.queue(message);
        assert!(self.connection.backlog() > 0);
        let flushed = poll_fn(|cx| self.connection.poll_flush(cx)).await;
        flushed.expect("it leaves");
        assert_eq!(self.connection.backlog(), 0);
        received(&mut self.socket).await
    }

    async fn reply(&mut self, to: SocketAddr, message: &[u8]) {
        send(&mut self.socket, to, message).await;
    }

    /// Who listens on its port over TCP.
    fn listen(&mut self) -> R::Listener {
        self.listener.take().expect("the same port over TCP")
    }

    /// The next response.
    async fn response(&mut self) -> Vec<u8> {
        next(&mut self.connection).await
    }
}

fn bind<R: World>(runtime: &R) -> (R::Datagrams, SocketAddr) {
    let socket = runtime.bind(loopback(), false).expect("a socket");
    let at = socket.local_addr().expect("its address");
    (socket, at)
}

/// Takes a connection and this query on it, and answers.
async fn serve_over_tcp<R: World>(
    listener: &mut R::Listener,
    asked: &[u8],
    response: Vec<u8>,
) -> R::Stream {
    let (mut stream, _) = accept::<R>(listener).await;
    let mut octets = vec![0; frame(asked).len()];
    stream.read_exact(&mut octets).await.expect("a query");
    assert_eq!(octets, frame(asked));
    let response = frame(&response);
    stream.write_all(&response).await.expect("a response");
    stream.flush().await.expect("it leaves");
    stream
}

async fn received(socket: &mut impl Datagrams) -> (Vec<u8>, SocketAddr) {
    let mut ring = Ring::new();
    let done = poll_fn(|cx| socket.poll_recv(cx, &mut ring)).await;
    done.expect("a datagram");
    assert_eq!(ring.len(), 1);
    let (octets, from, _) = ring.iter().next().expect("it is one");
    (octets.to_vec(), from)
}

async fn send(socket: &mut impl Datagrams, to: SocketAddr, message: &[u8]) {
    let from = None;
    let batch = [Datagram { to, from, message }];
    let sent = poll_fn(|cx| socket.poll_send(cx, &batch)).await;
    assert_eq!(sent.expect("it leaves").done, 1);
}

async fn next(connection: &mut impl Connection) -> Vec<u8> {
    poll_fn(|cx| {
        connection.poll_next(cx).map(|event| match event {
            Event::Message(message) => message.to_vec(),
            other => panic!("{other:?}"),
        })
    })
    .await
}

/// The response to this query, with an address that follows from its name.
fn answer(query: &[u8]) -> Vec<u8> {
    address_or_error(query, 0).build()
}

fn numbered(number: u16) -> Vec<u8> {
    query(&format!("n{number}.test."), 1).id(number).build()
}

// req 59
pub async fn ids_on_the_way_are_not_those_of_the_core<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime).await;
    let mut sent_as = BTreeSet::new();
    for id in 0..16 {
        let asked = numbered(id);
        let (heard, from) = stage.ask(&asked).await;
        assert_eq!(heard[2..], asked[2..]);
        sent_as.insert(word(&heard, 0));
        stage.reply(from, &answer(&heard)).await;
        assert_eq!(stage.response().await, answer(&asked));
    }
    assert!(
        sent_as.len() > 8 && sent_as.last() > Some(&15),
        "{sent_as:?}"
    );
}

// req 58
pub async fn what_answers_nothing_is_dropped<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime).await;
    let (mut stranger, _) = bind(&stage.runtime);
    let asked = numbered(7);
    let (heard, from) = stage.ask(&asked).await;
    let right = answer(&heard);
    // Another sender, another id, another question, an echo of the query, half a header.
    send(&mut stranger, from, &right).await;
    let mut wrong_id = right.clone();
    wrong_id[0] ^= 0x80;
    let mut other_question = answer(&numbered(8));
    other_question[..2].copy_from_slice(&right[..2]);
    for forged in [&wrong_id[..], &other_question, &heard, &right[..6], b""] {
        stage.reply(from, forged).await;
    }
    stage.reply(from, &right).await;
    assert_eq!(stage.response().await, answer(&asked));
    // A second response to one query is none.
    stage.reply(from, &right).await;
    let (heard, from) = stage.ask(&numbered(9)).await;
    stage.reply(from, &answer(&heard)).await;
    assert_eq!(stage.response().await, answer(&numbered(9)));
}

pub async fn an_error_may_lack_its_question<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime).await;
    let (heard, from) = stage.ask(&numbered(7)).await;
    let refused = response("n7.test.", 1)
        .id(word(&heard, 0))
        .without_question();
    stage
        .reply(from, &refused.clone().flags(0x8180).build())
        .await;
    stage
        .reply(from, &refused.clone().flags(0x8185).build())
        .await;
    assert_eq!(stage.response().await, refused.id(7).flags(0x8185).build());
}

pub async fn a_truncated_response_is_asked_for_over_tcp<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime.clone()).await;
    let mut listener = stage.listen();
    // The connection of the first ends, and the second gets another.
    for id in [7, 8] {
        let asked = numbered(id);
        let (heard, from) = stage.ask(&asked).await;
        let truncated = address_or_error(&heard, 0).on(TRUNCATED).build();
        stage.reply(from, &truncated).await;
        let serve = serve_over_tcp::<R>(&mut listener, &asked, answer(&asked));
        let (told, _stream) = join(next(&mut stage.connection), serve).await;
        assert_eq!(told, answer(&asked));
    }
}

pub async fn a_signed_query_goes_over_tcp<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime.clone()).await;
    let mut listener = stage.listen();
    let asked = query("signed.test.", 1).id(7).tsig().build();
    stage.connection.queue(&asked);
    let serve = serve_over_tcp::<R>(&mut listener, &asked, answer(&numbered(7)));
    let (told, _stream) = join(next(&mut stage.connection), serve).await;
    assert_eq!(told, answer(&numbered(7)));
}

pub async fn what_is_asked_for_fits_a_packet<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime).await;
    let (name, id) = ("a.test.", 7);
    let asked =
        query(name, 1)
            .id(id)
            .edns(4096, 0x8000, &[(OPTION_KEEPALIVE, b""), (100, b"kept")]);
    let (heard, _) = stage.ask(&asked.build()).await;
    let expected = query(name, 1)
        .id(word(&heard, 0))
        .edns(1232, 0x8000, &[(100, b"kept")]);
    assert_eq!(heard, expected.build());
    let small = query(name, 1).id(8).edns(600, 0, &[]);
    let (heard, _) = stage.ask(&small.build()).await;
    assert_eq!(heard, small.id(word(&heard, 0)).build());
}

pub async fn a_query_that_is_lost_is_sent_again<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime).await;
    let asked = numbered(7);
    let (lost, _) = stage.ask(&asked).await;
    let serve = async {
        let (heard, from) = received(&mut stage.socket).await;
        assert_eq!(heard, lost);
        send(&mut stage.socket, from, &answer(&heard)).await;
    };
    let (told, ()) = join(next(&mut stage.connection), serve).await;
    assert_eq!(told, answer(&asked));
}

// req 60
pub async fn every_query_leaves_from_a_port_of_its_own<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime).await;
    let mut ports = BTreeSet::new();
    for id in 0..MANY {
        let (heard, from) = stage.ask(&numbered(id)).await;
        ports.insert(from.port());
        stage.reply(from, &answer(&heard)).await;
        assert_eq!(stage.response().await, answer(&numbered(id)));
    }
    // Some are chosen twice by chance.
    assert!(ports.len() > 500, "{}", ports.len());
}

pub async fn responses_may_come_in_any_order<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime).await;
    let mut waiting = Vec::new();
    for id in 0..50 {
        waiting.push(stage.ask(&numbered(id)).await);
    }
    while let Some((heard, from)) = waiting.pop() {
        stage.reply(from, &answer(&heard)).await;
        let id = waiting.len() as u16;
        assert_eq!(stage.response().await, answer(&numbered(id)));
    }
}

/// An id that the core uses again is that of the later query.
pub async fn a_response_to_what_was_given_up_is_dropped<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime).await;
    let (given_up, from) = stage.ask(&numbered(7)).await;
    let again = query("other.test.", 1).id(7).build();
    let (heard, later) = stage.ask(&again).await;
    stage.reply(from, &answer(&given_up)).await;
    stage.reply(later, &answer(&heard)).await;
    assert_eq!(stage.response().await, answer(&again));
}

pub async fn guesses_lead_to_tcp<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime.clone()).await;
    let mut listener = stage.listen();
    let asked = numbered(7);
    let (heard, from) = stage.ask(&asked).await;
    let id = word(&heard, 0);
    for guess in 1..=GUESSES {
        let guessed = answer(&heard).split_off(2);
        let guessed = [&(id ^ guess).to_be_bytes()[..], &guessed].concat();
        stage.reply(from, &guessed).await;
    }
    let serve = serve_over_tcp::<R>(&mut listener, &asked, answer(&asked));
    let (told, _stream) = join(next(&mut stage.connection), serve).await;
    assert_eq!(told, answer(&asked));
}

pub async fn nobody_there_ends_the_connection<R: World>(runtime: R) {
    let (socket, _) = bind(&runtime);
    let mut stage = Stage::at(runtime, socket, nobody()).await;
    stage.connection.queue(&numbered(7));
    let ended = poll_fn(|cx| {
        let sent = stage.connection.poll_flush(cx);
        match stage.connection.poll_next(cx) {
            Poll::Ready(Event::Closed(why)) => Poll::Ready(why),
            Poll::Ready(other) => panic!("{other:?}"),
            Poll::Pending => match sent {
                Poll::Ready(Err(why)) => Poll::Ready(why),
                _ => Poll::Pending,
            },
        }
    });
    let why = ConnectionError::Io("connection refused".into());
    assert_eq!(ended.await, why);
}

pub async fn a_response_that_was_cut_is_asked_for_over_tcp<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime).await;
    let mut listener = stage.listen();
    let asked = numbered(7);
    let (heard, from) = stage.ask(&asked).await;
    // It belongs to no query, and is larger than what is received, too.
    let larger = [&answer(&numbered(8))[..], &[0; Ring::SLOT_LEN]].concat();
    stage.reply(from, &larger).await;
    let larger = [&answer(&heard)[..], &[0; Ring::SLOT_LEN]].concat();
    stage.reply(from, &larger).await;
    let serve = serve_over_tcp::<R>(&mut listener, &asked, answer(&asked));
    let (told, _stream) = join(next(&mut stage.connection), serve).await;
    assert_eq!(told, answer(&asked));
}

pub async fn what_fails_over_tcp_fails_at_once<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime).await;
    let asked = numbered(7);
    let (heard, from) = stage.ask(&asked).await;
    // Nobody listens for TCP there any more.
    drop(stage.listen());
    let truncated = address_or_error(&heard, 0).on(TRUNCATED).build();
    stage.reply(from, &truncated).await;
    let failed = response("n7.test.", 1).id(7).flags(0x8182).build();
    assert_eq!(stage.response().await, failed);
}

pub async fn a_query_whose_tcp_connection_ended_is_sent_on_another<R: World>(runtime: R) {
    let mut stage = Stage::new(runtime).await;
    let mut listener = stage.listen();
    for id in [7, 8] {
        // It is idle for too long when the second one leaves.
        let signed = query("signed.test.", 1).id(id).tsig().build();
        stage.connection.queue(&signed);
        let serve = serve_over_tcp::<R>(&mut listener, &signed, answer(&numbered(id)));
        let (told, _ends) = join(next(&mut stage.connection), serve).await;
        assert_eq!(told, answer(&numbered(id)));
    }
    let signed = query("signed.test.", 1).id(9).tsig().build();
    stage.connection.queue(&signed);
    // The server closes whenever it is asked this.
    let refuse = async {
        for asked in 1.. {
            let (mut stream, _) = accept::<R>(&mut listener).await;
            let mut octets = vec![0; frame(&signed).len()];
            stream.read_exact(&mut octets).await.expect("a query");
            assert!(asked < 10, "without an end");
        }
    };
    let failed = response("signed.test.", 1).id(9).flags(0x8182).build();
    let (response, refuse) = (pin!(next(&mut stage.connection)), pin!(refuse));
    match select(response, refuse).await {
        Either::Left((told, _)) => assert_eq!(told, failed),
        Either::Right(_) => unreachable!("a server never ends"),
    }
}
