//! UDP sockets, as the shell uses them: batches in, batches out, between sockets of the runtime's own.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};

use dotward::runtime::{Datagram, Datagrams, Listener, Ring, Sent};
use futures::future::{Either, join, select};
use futures::task::noop_waker;

use crate::world::{World, loopback, pattern};

/// Datagrams in a burst: they fit the smallest receive buffer that systems have.
const BURST: u8 = 100;
/// An address of this machine that no other test binds.
const APART: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

fn bind<R: World>(runtime: &R) -> (R::Datagrams, SocketAddr) {
    let socket = runtime.bind(loopback(), false).expect("a socket");
    let at = socket.local_addr().expect("its address");
    (socket, at)
}

/// The next batch: octets, sender, the address that was asked.
async fn receive(socket: &mut impl Datagrams) -> Vec<(Vec<u8>, SocketAddr, Option<IpAddr>)> {
    let mut ring = Ring::new();
    let received = poll_fn(|cx| socket.poll_recv(cx, &mut ring)).await;
    received.expect("datagrams");
    assert!(!ring.is_empty() && ring.len() <= Ring::SLOTS);
    let datagrams = ring.iter();
    datagrams
        .map(|(octets, from, local)| (octets.to_vec(), from, local))
        .collect()
}

/// Sends a whole batch.
async fn send(socket: &mut impl Datagrams, mut batch: &[Datagram<'_>]) -> Sent {
    let mut total = Sent::default();
    while !batch.is_empty() {
        let sent = poll_fn(|cx| socket.poll_send(cx, batch)).await;
        let sent = sent.expect("datagrams are sent");
        assert!((1..=batch.len()).contains(&sent.done), "{sent:?}");
        total.done += sent.done;
        total.refused += sent.refused;
        batch = &batch[sent.done..];
    }
    total
}

fn to(to: SocketAddr, message: &[u8]) -> Datagram<'_> {
    let from = None;
    Datagram { to, from, message }
}

pub async fn a_datagram_comes_with_its_sender<R: World>(runtime: R) {
    let ((mut server, at), (mut client, client_at)) = (bind(&runtime), bind(&runtime));
    assert!(at.port() != 0 && at != client_at);
    send(&mut client, &[to(at, b"question")]).await;
    // One address, so there is nothing to tell about it.
    assert_eq!(
        receive(&mut server).await,
        [(b"question".to_vec(), client_at, None)]
    );
    send(&mut server, &[to(client_at, b"answer")]).await;
    assert_eq!(receive(&mut client).await, [(b"answer".to_vec(), at, None)]);
}

pub async fn batches_arrive_whole<R: World>(runtime: R) {
    let ((mut server, at), (mut client, client_at)) = (bind(&runtime), bind(&runtime));
    // Each has its own length and content.
    let messages: Vec<Vec<u8>> = (1..=BURST).map(|n| vec![n; n.into()]).collect();
    let batch: Vec<Datagram<'_>> = messages.iter().map(|message| to(at, message)).collect();
    let sent = send(&mut client, &batch).await;
    assert_eq!((sent.done, sent.refused), (batch.len(), 0));
    let mut heard = Vec::new();
    while heard.len() < messages.len() {
        for (octets, from, _) in receive(&mut server).await {
            assert_eq!(from, client_at);
            heard.push(octets);
        }
    }
    heard.sort();
    assert_eq!(heard, messages);
}

// What a system may take as one must not arrive as one.
pub async fn answers_of_one_length_arrive_one_by_one<R: World>(runtime: R) {
    let ((mut server, at), (mut client, client_at)) = (bind(&runtime), bind(&runtime));
    let (mut other, other_at) = bind(&runtime);
    let lengths = [200, 200, 200, 90, 50, 50, 1232, 1232, 700, 40, 40, 40, 40];
    let messages: Vec<Vec<u8>> = (0u8..).zip(lengths).map(|(n, len)| vec![n; len]).collect();
    let batch: Vec<Datagram<'_>> = messages
        .iter()
        .map(|message| to(client_at, message))
        .collect();
    send(
        &mut server,
        &[&batch[..], &[to(other_at, &messages[0])]].concat(),
    )
    .await;
    let mut heard = Vec::new();
    while heard.len() < messages.len() {
        for (octets, from, _) in receive(&mut client).await {
            assert_eq!(from, at);
            heard.push(octets);
        }
    }
    assert_eq!(heard, messages);
    assert_eq!(receive(&mut other).await, [(messages[0].clone(), at, None)]);
}

// req 16
pub async fn an_empty_datagram_is_one<R: World>(runtime: R) {
    let ((mut server, at), (mut client, client_at)) = (bind(&runtime), bind(&runtime));
    send(&mut client, &[to(at, b"")]).await;
    assert_eq!(receive(&mut server).await, [(Vec::new(), client_at, None)]);
}

pub async fn a_large_datagram_is_cut<R: World>(runtime: R) {
    let ((mut server, at), (mut client, _)) = (bind(&runtime), bind(&runtime));
    let large = pattern(2 * Ring::SLOT_LEN);
    send(&mut client, &[to(at, &large), to(at, b"next")]).await;
    let mut heard = receive(&mut server).await;
    while heard.len() < 2 {
        heard.extend(receive(&mut server).await);
    }
    assert_eq!(heard[0].0, large[..Ring::SLOT_LEN]);
    assert_eq!(heard[1].0, b"next");
}

pub async fn the_last_waker_is_woken<R: World>(runtime: R) {
    let ((mut server, at), (mut client, _)) = (bind(&runtime), bind(&runtime));
    for word in [b"one", b"two", b"six"] {
        let (waker, mut ring) = (noop_waker(), Ring::new());
        let first = server.poll_recv(&mut Context::from_waker(&waker), &mut ring);
        assert!(first.is_pending());
        let batch = [to(at, word)];
        let (heard, _) = join(receive(&mut server), send(&mut client, &batch)).await;
        assert_eq!(heard[0].0, word);
    }
}

// fault 87
pub async fn an_address_has_one_owner<R: World>(runtime: R) {
    let (_socket, at) = bind(&runtime);
    let other = runtime.bind(at, false);
    assert_eq!(
        other.err().map(|error| error.kind()),
        Some(ErrorKind::AddrInUse)
    );
    let listener = runtime.listen(loopback(), false).expect("a listener");
    let other = runtime.listen(listener.local_addr().unwrap(), false);
    assert_eq!(
        other.err().map(|error| error.kind()),
        Some(ErrorKind::AddrInUse)
    );
}

pub async fn an_address_is_free_again<R: World>(runtime: R) {
    let apart = SocketAddr::from((APART, 0));
    let mut socket = runtime.bind(apart, false).expect("a socket");
    let at = socket.local_addr().unwrap();
    // It has been waited for, so a reactor knows it.
    let mut ring = Ring::new();
    let first = poll_fn(|cx| Poll::Ready(socket.poll_recv(cx, &mut ring).is_pending())).await;
    assert!(first);
    drop(socket);
    let again = runtime.bind(at, false).expect("it is free");
    assert_eq!(again.local_addr().unwrap(), at);
}

pub async fn sockets_share_an_address<R: World>(runtime: R) {
    let mut one = runtime.bind(loopback(), true).expect("a socket");
    let at = one.local_addr().unwrap();
    let mut other = runtime.bind(at, true).expect("a second one");
    let listener = runtime.listen(loopback(), true).expect("a listener");
    let second = runtime.listen(listener.local_addr().unwrap(), true);
    second.expect("a second listener");
    // Which of the two hears a client is the system's choice; one of them does, once.
    let mut expected = BTreeSet::new();
    let mut clients = Vec::new();
    for n in 0..BURST {
        let (mut client, _) = bind(&runtime);
        send(&mut client, &[to(at, &[n])]).await;
        clients.push(client);
        expected.insert(n);
    }
    while !expected.is_empty() {
        let (a, b) = (Box::pin(receive(&mut one)), Box::pin(receive(&mut other)));
        let (Either::Left((heard, _)) | Either::Right((heard, _))) = select(a, b).await;
        for (octets, ..) in heard {
            assert!(expected.remove(&octets[0]), "{octets:?} came twice");
        }
    }
}

// req 8, fault 67
pub async fn replies_come_from_the_address_that_was_asked<R: World>(runtime: R) {
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut server = runtime.bind(everywhere, false).expect("a socket");
    let port = server.local_addr().unwrap().port();
    let (mut client, client_at) = bind(&runtime);
    for last in [1, 9, 200] {
        let asked = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port));
        send(&mut client, &[to(asked, b"question")]).await;
        let [(_, from, local)] = &receive(&mut server).await[..] else {
            panic!("one datagram was sent");
        };
        assert_eq!((*from, *local), (client_at, Some(asked.ip())));
        let reply = Datagram {
            to: *from,
            from: *local,
            message: b"answer",
        };
        // A batch of two: however it is sent, each has its own source.
        send(&mut server, &[reply, reply]).await;
        let mut heard = receive(&mut client).await;
        while heard.len() < 2 {
            heard.extend(receive(&mut client).await);
        }
        assert!(heard.iter().all(|(_, from, _)| *from == asked), "{heard:?}");
    }
}

// fault 60, 66: what cannot be sent is one answer lost, and the rest leaves.
pub async fn a_refused_reply_is_counted<R: World>(runtime: R) {
    let ((mut server, _), (mut client, client_at)) = (bind(&runtime), bind(&runtime));
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let batch = [
        to(client_at, b"first"),
        to(nowhere, b"lost"),
        to(nowhere, b"gone"),
        to(client_at, b"last"),
    ];
    let sent = send(&mut server, &batch).await;
    assert_eq!((sent.done, sent.refused), (4, 2));
    let mut heard = receive(&mut client).await;
    while heard.len() < 2 {
        heard.extend(receive(&mut client).await);
    }
    assert_eq!(
        (heard[0].0.as_slice(), heard[1].0.as_slice()),
        (&b"first"[..], &b"last"[..])
    );
}
