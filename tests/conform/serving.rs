//! The whole loop over a runtime and a protocol: clients in front of it, an upstream behind it.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::Poll;

use dotward::engine::Stats;
use dotward::runtime::{Datagram, Datagrams, Ring};
use dotward::serve::{BoundSockets, Command, Control, Options, Sockets, serve};
use futures::future::{Either, join, select};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::stream::{FuturesUnordered, StreamExt};

use crate::support::codes::A;
use crate::support::messages::{address_for, frame, query, question_octets, response_to};
use crate::upstream::{Peer, Server};
use crate::world::{World, loopback};

/// Questions at once: they fit the smallest receive buffer that systems have.
const MANY: u16 = 100;
/// An address of this machine that no other test binds.
const APART: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 78)), 0);

/// Takes what can move to another thread; the compiler refuses all else.
pub fn is_send(_: &impl Send) {}

/// An upstream that answers every question well, on every connection. It never ends.
pub async fn answer_all<R: World>(mut server: Server<R>) {
    #[cfg(feature = "doq")]
    if let Some(quic) = server.quic.take() {
        return crate::doq::answer_all(quic, answer).await;
    }
    let mut talks = FuturesUnordered::new();
    loop {
        let next = {
            let accept = pin!(server.accept());
            if talks.is_empty() {
                Some(accept.await)
            } else {
                match select(accept, talks.next()).await {
                    Either::Left((peer, _)) => Some(peer),
                    Either::Right(_) => None,
                }
            }
        };
        if let Some(Ok(peer)) = next {
            talks.push(talk(peer));
        }
    }
}

async fn talk(mut peer: Peer) {
    while let Some(asked) = peer.hear().await {
        peer.say(&answer(&asked)).await;
    }
}

fn answer(asked: &[u8]) -> Vec<u8> {
    let told = response_to(asked).a(300, address_for(question_octets(asked)));
    told.build()
}

/// A loop that is ready to go, and what steers it.
pub fn prepare<R: World>(
    runtime: &R,
    server: &Server<R>,
) -> (impl Future<Output = Stats> + use<R>, SocketAddr, Control) {
    let config = server.config.clone();
    let sockets = Sockets::bind(runtime, &config).expect("it binds");
    let at = sockets.addresses()[0];
    let control = Control::new();
    let options = Options::with_seed(config, [7; 32]).expect("one worker");
    let options = options.control(&control);
    let serving = serve(runtime.clone(), server.transport(), sockets, options);
    (serving, at, control)
}

/// Runs a loop and its upstream until the loop ends; `story` is its clients.
async fn tell<R: World>(
    runtime: &R,
    scheme: &'static str,
    story: impl AsyncFnOnce(SocketAddr, &Control),
) -> Stats {
    let server = Server::new(runtime, scheme);
    let (serving, at, control) = prepare(runtime, &server);
    let played = join(serving, story(at, &control));
    match select(pin!(played), pin!(answer_all(server))).await {
        Either::Left(((stats, ()), _)) => stats,
        Either::Right(_) => unreachable!("an upstream never ends"),
    }
}

/// The address in an answer must be the one that belongs to the question.
pub fn assert_answers(got: &[u8], asked: &[u8]) {
    let expected = response_to(asked).a(300, address_for(question_octets(asked)));
    assert_eq!(got, expected.build());
}

/// Asks by UDP.
pub async fn ask_udp<R: World>(runtime: &R, at: SocketAddr, asked: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut socket = runtime.bind(loopback(), false).expect("a socket");
    for message in asked {
        let batch = [Datagram {
            to: at,
            from: None,
            message,
        }];
        let sent = poll_fn(|cx| socket.poll_send(cx, &batch)).await;
        assert_eq!(sent.expect("it leaves").refused, 0);
    }
    let (mut ring, mut answers) = (Ring::new(), Vec::new());
    while answers.len() < asked.len() {
        let received = poll_fn(|cx| socket.poll_recv(cx, &mut ring)).await;
        received.expect("an answer");
        answers.extend(ring.iter().map(|(octets, ..)| octets.to_vec()));
    }
    answers
}

async fn ask_tcp<R: World>(runtime: &R, at: SocketAddr, asked: &[u8]) -> Vec<u8> {
    let mut stream = runtime.connect(at).await.expect("a connection");
    stream.write_all(&frame(asked)).await.unwrap();
    stream.close().await.unwrap();
    // The last word was said; the answer comes all the same, and then the end (req 68).
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    let (len, message) = heard.split_at(2);
    assert_eq!(len, u16::try_from(message.len()).unwrap().to_be_bytes());
    message.to_vec()
}

// req 1, 24, fault 84
pub async fn clients_are_answered_and_drained<R: World>(runtime: R, scheme: &'static str) {
    let stats = tell(&runtime, scheme, async |at, control| {
        let by_udp = query("udp.test", A).id(1).build();
        let got = ask_udp(&runtime, at, std::slice::from_ref(&by_udp)).await;
        assert_answers(&got[0], &by_udp);
        let by_tcp = query("tcp.test", A).id(2).build();
        assert_answers(&ask_tcp(&runtime, at, &by_tcp).await, &by_tcp);
        control.send(Command::Drain);
    })
    .await;
    assert_eq!((stats.queries, stats.answered, stats.failed), (2, 2, 0));
}

// req 58, fault 70
pub async fn many_questions_do_not_mix<R: World>(runtime: R, scheme: &'static str) {
    tell(&runtime, scheme, async |at, control| {
        let name = |n: u16| query(&format!("n{n}.test"), A).id(n).build();
        let asked: Vec<Vec<u8>> = (0..MANY).map(name).collect();
        let mut got = ask_udp(&runtime, at, &asked).await;
        got.sort();
        for (got, asked) in got.iter().zip(&asked) {
            assert_answers(got, asked);
        }
        control.send(Command::Drain);
    })
    .await;
}

pub async fn a_stop_ends_at_once<R: World>(runtime: R, scheme: &'static str) {
    // Nobody accepts its dial.
    let server = Server::new(&runtime, scheme);
    let (serving, at, control) = prepare(&runtime, &server);
    let mut client = runtime.bind(loopback(), false).expect("a socket");
    let asked = query("never.test", A).build();
    let stop = async {
        let batch = [Datagram {
            to: at,
            from: None,
            message: &asked,
        }];
        poll_fn(|cx| client.poll_send(cx, &batch)).await.unwrap();
        control.send(Command::Stop);
    };
    let start = runtime.now().mono;
    join(serving, stop).await;
    let took = runtime.now().mono.since(start);
    assert!(
        took.as_secs() < 3,
        "before a question in flight is given up: {took:?}"
    );
}

pub async fn dropping_the_loop_frees_its_addresses<R: World>(runtime: R, scheme: &'static str) {
    let mut server = Server::new(&runtime, scheme);
    server.configure(|config| config.listen([APART.into()]));
    let (serving, at, _control) = prepare(&runtime, &server);
    {
        let mut serving = pin!(serving);
        let waits = poll_fn(|cx| Poll::Ready(serving.as_mut().poll(cx).is_pending()));
        assert!(waits.await);
    }
    server.configure(|config| config.listen([at.into()]));
    let again = Sockets::bind(&runtime, &server.config).expect("they are free");
    assert_eq!(again.addresses(), [at]);
}

// fault 84: what clients send between two loops waits in sockets that were bound before, and the second loop answers it.
pub async fn sockets_go_on_with_the_next_loop<R: World>(runtime: R, scheme: &'static str) {
    // Somebody else may have the port over TCP.
    let (udp, tcp) = loop {
        let udp = std::net::UdpSocket::bind(loopback()).expect("a socket");
        let at = udp.local_addr().expect("its address");
        if let Ok(tcp) = std::net::TcpListener::bind(at) {
            break (udp, tcp);
        }
    };
    let at = udp.local_addr().expect("its address");
    let mut bound = BoundSockets::new();
    bound.add_datagrams(udp).expect("an address");
    bound.add_listener(tcp).expect("an address");
    let mut server = Server::new(&runtime, scheme);
    server.configure(|config| config.listen([at.into()]));
    let config = server.config.clone();
    let transports = [server.transport(), server.transport()];
    let story = async {
        for transport in transports {
            let mut asked = Vec::new();
            let by_udp = query("udp.test", A).id(1).build();
            let by_tcp = query("tcp.test", A).id(2).build();
            // Nobody serves yet.
            let mut stream = runtime.connect(at).await.expect("a connection");
            stream.write_all(&frame(&by_tcp)).await.expect("room");
            asked.push(by_udp);
            let sockets = Sockets::bind_beside(&runtime, &config, &bound, 0);
            let control = Control::new();
            let options = Options::with_seed(config.clone(), [7; 32]).expect("one worker");
            let options = options.control(&control);
            let sockets = sockets.expect("they are bound");
            let clients = async {
                let got = ask_udp(&runtime, at, &asked).await;
                assert_answers(&got[0], &asked[0]);
                let mut answer = vec![0; 2];
                stream.read_exact(&mut answer).await.expect("a length");
                let len = u16::from_be_bytes([answer[0], answer[1]]);
                answer = vec![0; len.into()];
                stream.read_exact(&mut answer).await.expect("an answer");
                assert_answers(&answer, &by_tcp);
                control.send(Command::HandOver);
            };
            let serving = serve(runtime.clone(), transport, sockets, options);
            let (stats, ()) = join(serving, clients).await;
            assert_eq!((stats.queries, stats.failed), (2, 0));
        }
    };
    match select(pin!(story), pin!(answer_all(server))).await {
        Either::Left(((), _)) => {}
        Either::Right(_) => unreachable!("an upstream never ends"),
    }
}
