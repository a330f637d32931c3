//! Links to an upstream: every protocol over every runtime, against a server that is played over the same runtime.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use dotward::transport::{ConnectError, Connection, ConnectionError, Event, Transport};
use futures::future::{join, join_all};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::task::noop_waker;

use crate::support::messages::frame;
use crate::upstream::{Peer, Server, upstream};
use crate::world::{World, nobody, pattern};

/// Links at once.
const MANY: u16 = 50;
/// The most that a length prefix can announce (RFC 1035 section 4.2.2).
const LARGEST: usize = 65_535;

/// What a link reported.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Answer(Vec<u8>),
    Closed(ConnectionError),
}

async fn next(link: &mut impl Connection) -> Got {
    poll_fn(|cx| {
        link.poll_next(cx).map(|event| match event {
            Event::Message(message) => Got::Answer(message.to_vec()),
            Event::Closed(why) => Got::Closed(why),
            other => panic!("a link over one stream reports {other:?}"),
        })
    })
    .await
}

async fn flush(link: &mut impl Connection) {
    let flushed = poll_fn(|cx| link.poll_flush(cx)).await;
    flushed.expect("it leaves");
}

/// A message that is not empty and differs from the others.
fn numbered(number: u16) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.extend(pattern(usize::from(number % 97)));
    message
}

pub async fn a_question_is_answered<R: World>(runtime: R, scheme: &'static str) {
    let (mut link, mut peer) = Server::new(&runtime, scheme).link().await;
    assert!(!link.describe().is_empty());
    for id in [0, 1, 0xFFFF] {
        link.queue(&numbered(id));
        flush(&mut link).await;
        assert_eq!(peer.hear().await, Some(numbered(id)));
        peer.say(&numbered(!id)).await;
        assert_eq!(next(&mut link).await, Got::Answer(numbered(!id)));
        link.ack_soon();
    }
}

pub async fn nobody_there_is_unreachable<R: World>(runtime: R, scheme: &'static str) {
    let server = Server::new(&runtime, scheme);
    let dial = server
        .transport()
        .connect(&upstream(scheme, nobody()), nobody());
    let refused = dial.await.err();
    assert!(
        matches!(refused, Some(ConnectError::Unreachable(_))),
        "{refused:?}"
    );
}

pub async fn the_largest_message_passes<R: World>(runtime: R, scheme: &'static str) {
    let (mut link, mut peer) = Server::new(&runtime, scheme).link().await;
    let largest = pattern(LARGEST);
    link.queue(&largest);
    let (heard, ()) = join(peer.hear(), flush(&mut link)).await;
    assert!(heard.is_some_and(|heard| heard == largest));
    let (got, ()) = join(next(&mut link), peer.say(&largest)).await;
    assert!(got == Got::Answer(largest));
}

// req 5
pub async fn answers_may_come_octet_by_octet<R: World>(runtime: R, scheme: &'static str) {
    let (mut link, mut peer) = Server::new(&runtime, scheme).link().await;
    let drip = async {
        for octet in [frame(&numbered(60)), frame(&numbered(61))].concat() {
            peer.put(&[octet]).await;
        }
    };
    let listen = async { [next(&mut link).await, next(&mut link).await] };
    let (got, ()) = join(listen, drip).await;
    assert_eq!(got, [60, 61].map(|n| Got::Answer(numbered(n))));
}

// req 5
pub async fn answers_may_come_together<R: World>(runtime: R, scheme: &'static str) {
    let (mut link, mut peer) = Server::new(&runtime, scheme).link().await;
    let mut octets: Vec<u8> = (1..=200).flat_map(|n| frame(&numbered(n))).collect();
    // The last one ends in another write.
    let rest = octets.split_off(octets.len() - 5);
    let write = async {
        peer.put(&octets).await;
        peer.put(&rest).await;
    };
    let listen = async {
        for n in 1..=200 {
            assert_eq!(next(&mut link).await, Got::Answer(numbered(n)));
        }
    };
    join(write, listen).await;
}

pub async fn nothing_leaves_before_the_flush<R: World>(runtime: R, scheme: &'static str) {
    let (mut link, mut peer) = Server::new(&runtime, scheme).link().await;
    assert_eq!(link.backlog(), 0);
    link.queue(&numbered(7));
    assert_eq!(link.backlog(), frame(&numbered(7)).len());
    let early = runtime.within(Duration::from_millis(20), peer.hear()).await;
    assert_eq!(early, None, "it left before the flush");
    flush(&mut link).await;
    assert_eq!(link.backlog(), 0);
    // The read that was given up had taken nothing.
    assert_eq!(peer.hear().await, Some(numbered(7)));
}

// req 69
pub async fn a_burst_arrives_in_order<R: World>(runtime: R, scheme: &'static str) {
    let (mut link, mut peer) = Server::new(&runtime, scheme).link().await;
    for n in 1..=1_000 {
        link.queue(&numbered(n));
    }
    let listen = async {
        for n in 1..=1_000 {
            assert_eq!(peer.hear().await, Some(numbered(n)));
        }
    };
    join(flush(&mut link), listen).await;
    assert_eq!(link.backlog(), 0);
}

// req 82
pub async fn an_end_between_messages_is_a_close<R: World>(runtime: R, scheme: &'static str) {
    let (mut link, mut peer) = Server::new(&runtime, scheme).link().await;
    peer.say(&numbered(1)).await;
    peer.0.close().await.unwrap();
    assert_eq!(next(&mut link).await, Got::Answer(numbered(1)));
    assert_eq!(next(&mut link).await, Got::Closed(ConnectionError::Closed));
}

// req 82
pub async fn an_abrupt_end_between_messages_is_a_close<R: World>(runtime: R, scheme: &'static str) {
    let (mut link, mut peer) = Server::new(&runtime, scheme).link().await;
    peer.say(&numbered(1)).await;
    // TLS does not get to say goodbye.
    drop(peer);
    assert_eq!(next(&mut link).await, Got::Answer(numbered(1)));
    assert_eq!(next(&mut link).await, Got::Closed(ConnectionError::Closed));
}

// req 82
pub async fn an_end_within_a_message_is_none<R: World>(runtime: R, scheme: &'static str) {
    let mut server = Server::new(&runtime, scheme);
    for cut in [1, 2, 10] {
        let (mut link, mut peer) = server.link().await;
        peer.put(&frame(&numbered(60))[..cut]).await;
        peer.0.close().await.unwrap();
        assert_eq!(
            next(&mut link).await,
            Got::Closed(ConnectionError::Truncated)
        );
    }
}

pub async fn an_empty_message_does_not_end_a_link<R: World>(runtime: R, scheme: &'static str) {
    let (mut link, mut peer) = Server::new(&runtime, scheme).link().await;
    peer.put(&[0, 0]).await;
    peer.put(&frame(&numbered(60))).await;
    assert_eq!(next(&mut link).await, Got::Answer(Vec::new()));
    assert_eq!(next(&mut link).await, Got::Answer(numbered(60)));
}

pub async fn the_last_waker_is_woken<R: World>(runtime: R, scheme: &'static str) {
    let (mut link, mut peer) = Server::new(&runtime, scheme).link().await;
    for n in 1..4 {
        let waker = noop_waker();
        let first = link.poll_next(&mut Context::from_waker(&waker));
        assert!(first.is_pending());
        let say = numbered(n);
        let (got, ()) = join(next(&mut link), peer.say(&say)).await;
        assert_eq!(got, Got::Answer(say));
    }
}

pub async fn a_goodbye_is_heard<R: World>(runtime: R, scheme: &'static str) {
    let (mut link, mut peer) = Server::new(&runtime, scheme).link().await;
    link.queue(&numbered(1));
    flush(&mut link).await;
    let goodbye = poll_fn(|cx| link.poll_close(cx));
    let listen = async {
        let first = peer.hear().await;
        // In order: TLS would report an end without `close_notify` as an error.
        let rest = peer.0.read(&mut [0; 16]).await;
        (first, rest)
    };
    // The link still stands: the goodbye is heard without its end.
    let ((), (first, rest)) = join(goodbye, listen).await;
    assert_eq!(first, Some(numbered(1)));
    assert_eq!(rest.expect("an end in order"), 0);
}

// fault 70
pub async fn many_links_do_not_mix<R: World>(runtime: R, scheme: &'static str) {
    let mut server = Server::new(&runtime, scheme);
    let mut links = Vec::new();
    for _ in 0..MANY {
        links.push(server.link().await);
    }
    // Each is asked its own question, all under the same id, and all at once.
    let talks = links
        .iter_mut()
        .zip(1..)
        .map(|((link, peer), n)| async move {
            link.queue(&numbered(n));
            flush(link).await;
            let mut heard = peer.hear().await.expect("a question");
            heard.reverse();
            peer.say(&heard).await;
            heard.reverse();
            let Got::Answer(mut answer) = next(link).await else {
                panic!("the link {n} closed");
            };
            answer.reverse();
            assert_eq!((&heard, &answer), (&numbered(n), &numbered(n)));
        });
    join_all(talks).await;
}

pub async fn a_dial_given_up_leaves_nothing<R: World>(runtime: R, scheme: &'static str) {
    let mut server = Server::new(&runtime, scheme);
    let transport = server.transport();
    for polls in 0..4 {
        let mut dial = Box::pin(transport.connect(server.upstream(), server.at()));
        // It gets a little further each time.
        for _ in 0..polls {
            let done = poll_fn(|cx| Poll::Ready(dial.as_mut().poll(cx).is_ready())).await;
            if done {
                break;
            }
            runtime
                .sleep_until(runtime.now().mono + Duration::from_millis(1))
                .await;
        }
    }
    let dial = transport.connect(server.upstream(), server.at());
    let find = async {
        loop {
            // Of those that were given up some arrive, and end.
            if let Ok(mut peer) = server.accept().await
                && let Some(heard) = peer.hear().await
            {
                return (peer, heard);
            }
        }
    };
    let talk = async {
        let mut link = dial.await.expect("a link");
        link.queue(&numbered(9));
        flush(&mut link).await;
        link
    };
    let (_link, (_peer, heard)) = join(talk, find).await;
    assert_eq!(heard, numbered(9));
}

// req 74
pub async fn a_stranger_is_told_nothing<R: World>(runtime: R, scheme: &'static str) {
    let (believed, mut stranger) = (Server::new(&runtime, scheme), Server::new(&runtime, scheme));
    let dial = believed
        .transport()
        .connect(believed.upstream(), stranger.at());
    let (link, peer) = join(dial, stranger.accept()).await;
    let why = link.err();
    assert!(
        matches!(why, Some(ConnectError::Unauthenticated { .. })),
        "{why:?}"
    );
    if let Ok(Peer(mut octets, ..)) = peer {
        // It may believe in a link that its client has given up; it hears nothing on it.
        let heard = octets.read(&mut [0; 16]).await;
        assert!(matches!(heard, Ok(0) | Err(_)), "{heard:?}");
    }
}

pub async fn a_silent_handshake_times_out<R: World>(runtime: R, scheme: &'static str) {
    let mut server = Server::new(&runtime, scheme);
    server.configure(|config| config.timeout(Duration::from_millis(100)));
    let start = runtime.now().mono;
    let dial = server.transport().connect(server.upstream(), server.at());
    let (link, _silent) = join(dial, server.accept_tcp()).await;
    assert_eq!(link.err(), Some(ConnectError::TimedOut));
    let took = runtime.now().mono.since(start);
    assert!(
        took < Duration::from_secs(5),
        "with so short a time for questions: {took:?}"
    );
}
