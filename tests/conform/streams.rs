//! TCP connections, as the shell uses them: both ends are the runtime's own.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Either, join, join_all};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use futures::stream::{FuturesUnordered, StreamExt};
use futures::task::noop_waker;

use crate::world::{World, accept, listen, nobody, pair, pattern};

/// More than the buffers of both ends hold.
const PLENTY: usize = 16 << 20;
/// Connections at once.
const MANY: u16 = 100;

/// Polls a read once, by somebody who will not come back.
fn poll_once(stream: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<usize>> {
    let waker = noop_waker();
    Pin::new(stream).poll_read(&mut Context::from_waker(&waker), &mut [0; 16])
}

pub async fn two_ends_speak<R: World>(runtime: R) {
    let (mut listener, at) = listen(&runtime);
    let (client, (mut server, peer)) = join(runtime.connect(at), accept::<R>(&mut listener)).await;
    let mut client = client.expect("a connection");
    assert!(peer.ip().is_loopback() && peer.port() != 0, "{peer}");
    assert_ne!(peer, at);
    let mut heard = [0; 8];
    client.write_all(b"question").await.unwrap();
    server.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"question");
    server.write_all(b"answered").await.unwrap();
    client.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"answered");
}

pub async fn nobody_there_is_an_error<R: World>(runtime: R) {
    let refused = runtime.connect(nobody()).await;
    assert_eq!(
        refused.err().map(|error| error.kind()),
        Some(ErrorKind::ConnectionRefused)
    );
}

// req 68, fault 74
pub async fn half_a_connection_may_end<R: World>(runtime: R) {
    let (mut client, mut server) = pair(&runtime).await;
    client.write_all(b"the last question").await.unwrap();
    client.close().await.unwrap();
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"the last question");
    server.write_all(b"its answer").await.unwrap();
    server.close().await.unwrap();
    heard.clear();
    client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"its answer");
}

// req 5
pub async fn octets_may_come_one_by_one<R: World>(runtime: R) {
    let (mut client, mut server) = pair(&runtime).await;
    let sent = pattern(300);
    let write = async {
        for octet in &sent {
            client.write_all(&[*octet]).await.unwrap();
            client.flush().await.unwrap();
        }
    };
    let mut heard = vec![0; sent.len()];
    let (read, ()) = join(server.read_exact(&mut heard), write).await;
    read.unwrap();
    assert_eq!(heard, sent);
}

// fault 77
pub async fn a_writer_waits_for_its_reader<R: World>(runtime: R) {
    let (mut client, mut server) = pair(&runtime).await;
    let sent = pattern(PLENTY);
    let mut writing = pin!(client.write_all(&sent));
    let first = poll_fn(|cx| Poll::Ready(writing.as_mut().poll(cx).is_ready())).await;
    assert!(!first, "somebody buffers without a bound");
    let mut heard = vec![0; PLENTY];
    let (read, wrote) = join(server.read_exact(&mut heard), writing).await;
    read.and(wrote).unwrap();
    assert!(heard == sent, "octets were lost or mixed up");
}

pub async fn both_directions_flow_at_once<R: World>(runtime: R) {
    let (client, server) = pair(&runtime).await;
    let sent = pattern(PLENTY / 4);
    // Each part has a waker of its own: neither may take the place of the other.
    let mut parts = FuturesUnordered::new();
    for end in [client, server] {
        let (mut reading, mut writing) = end.split();
        let sent = &sent;
        let write = async move { writing.write_all(sent).await.map(|()| 0) };
        parts.push(Either::Left(write));
        let read = async move {
            let mut heard = vec![0; sent.len()];
            reading.read_exact(&mut heard).await?;
            Ok(usize::from(heard == *sent))
        };
        parts.push(Either::Right(read));
    }
    let mut whole = 0;
    while let Some(done) = parts.next().await {
        whole += done.unwrap();
    }
    assert_eq!(whole, 2);
}

pub async fn an_end_that_is_dropped_ends<R: World>(runtime: R) {
    let (mut client, server) = pair(&runtime).await;
    let (read, ()) = join(client.read(&mut [0; 16]), async { drop(server) }).await;
    assert_eq!(read.unwrap(), 0);
}

pub async fn writing_to_nobody_fails<R: World>(runtime: R) {
    let (mut client, server) = pair(&runtime).await;
    drop(server);
    for _ in 0..100 {
        if client.write_all(b"anybody there?").await.is_err() {
            return;
        }
        // The other end's refusal needs a moment to arrive.
        let soon = runtime.now().mono + Duration::from_millis(10);
        runtime.sleep_until(soon).await;
    }
    panic!("nobody reads, and every write succeeds");
}

pub async fn the_last_waker_is_woken<R: World>(runtime: R) {
    let (mut client, mut server) = pair(&runtime).await;
    assert!(poll_once(&mut client).is_pending());
    let mut heard = [0; 16];
    let (read, wrote) = join(client.read(&mut heard), server.write_all(b"now")).await;
    wrote.unwrap();
    assert_eq!(&heard[..read.unwrap()], b"now");
}

pub async fn a_read_given_up_loses_nothing<R: World>(runtime: R) {
    let (mut client, mut server) = pair(&runtime).await;
    let mut heard = [0; 16];
    for word in [b"one", b"two", b"six"] {
        // A read that finds nothing, and one that is dropped while it waits.
        assert!(poll_once(&mut client).is_pending());
        let given_up = runtime
            .within(Duration::ZERO, client.read(&mut heard))
            .await;
        assert!(given_up.is_none());
        server.write_all(word).await.unwrap();
        client.read_exact(&mut heard[..3]).await.unwrap();
        assert_eq!(&heard[..3], word);
    }
}

pub async fn a_connect_given_up_leaves_nothing<R: World>(runtime: R) {
    let (mut listener, at) = listen(&runtime);
    {
        let mut given_up = Box::pin(runtime.connect(at));
        // It may be there at once; whatever it is, it is dropped.
        poll_fn(|cx| Poll::Ready(given_up.as_mut().poll(cx).is_ready())).await;
    }
    let talk = async {
        let mut client = runtime.connect(at).await.expect("a connection");
        client.write_all(b"alive").await.unwrap();
        client
    };
    let find = async {
        loop {
            // The one that was given up may have arrived; it has nothing to say.
            let (mut server, _) = accept::<R>(&mut listener).await;
            let mut heard = Vec::new();
            let read = (&mut server).take(5).read_to_end(&mut heard).await;
            if read.is_ok() && heard == b"alive" {
                return server;
            }
        }
    };
    let (mut client, server) = join(talk, find).await;
    drop(server);
    assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0);
}

// fault 72
pub async fn many_connections_do_not_mix<R: World>(runtime: R) {
    let (mut listener, at) = listen(&runtime);
    let client = async |number: u16| {
        let mut stream = runtime.connect(at).await.expect("a connection");
        stream.write_all(&number.to_be_bytes()).await.unwrap();
        let mut heard = [0; 2];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(u16::from_be_bytes(heard), !number);
    };
    let serve = async {
        // All are open before the first is answered.
        let mut open = Vec::new();
        for _ in 0..MANY {
            open.push(accept::<R>(&mut listener).await.0);
        }
        for mut stream in open {
            let mut heard = [0; 2];
            stream.read_exact(&mut heard).await.unwrap();
            let answer = !u16::from_be_bytes(heard);
            stream.write_all(&answer.to_be_bytes()).await.unwrap();
        }
    };
    join(join_all((0..MANY).map(client)), serve).await;
}
