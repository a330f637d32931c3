//! Stories of clients over TLS: what a handshake may take, of time and of places.

use super::scene::{Act, FIRST, PROXY, Scene, addr, direct, ms, query, tell_on};
use crate::support::authority::{Authority, NAME};
use crate::support::memory::{Memory, Stream};
use dotward::config::{ConfigBuilder, Listen, ServerCertificate};
use dotward::engine::Stats;
use dotward::runtime::Runtime;
use dotward::serve::Command;
use dotward::transports::listen_tls::ListenTls;
use dotward::wire::append_frame;
use futures::future::{Either, select};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use std::pin::pin;
use std::time::Duration;

/// Where clients speak TLS.
const TLS: &str = "127.0.0.1:853";
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Tells a story of a listener over TLS beside the plain one, with the authority of its certificate.
fn tell(
    tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    story: impl AsyncFnOnce(&mut Scene, &Authority),
) -> Stats {
    let authority = Authority::new();
    let leaf = authority.good();
    let certificate = ServerCertificate::new(leaf.pem().into(), Some(leaf.key_pem().into_bytes()));
    let over_tls = Listen::from(addr(TLS)).over_tls();
    tell_on(
        |world, config| ListenTls::new(config).unwrap().over(world),
        |protocols, _| protocols,
        |config| {
            let listen = [addr(PROXY).into(), over_tls];
            tweak(config.listen(listen).certificate(certificate))
        },
        &[FIRST],
        async |scene| story(scene, &authority).await,
    )
}

/// A connection whose handshake has not begun, from this address.
async fn silent(scene: &Scene, from: &str) -> Stream {
    let from = from.parse().unwrap();
    let stream = scene.world.connect_from(from, addr(TLS)).await;
    stream.unwrap()
}

/// A connection with its handshake done, or why there is none.
async fn shaken(
    scene: &Scene,
    authority: &Authority,
    from: &str,
) -> std::io::Result<TlsStream<Stream>> {
    let connector = TlsConnector::from(authority.client());
    let stream = silent(scene, from).await;
    connector.connect(NAME.try_into().unwrap(), stream).await
}

async fn send(stream: &mut TlsStream<Stream>, name: &str, id: u16) {
    let mut octets = Vec::new();
    append_frame(&query(name, id), &mut octets);
    stream.write_all(&octets).await.unwrap();
    stream.flush().await.unwrap();
}

/// The id of the next response.
async fn receive(stream: &mut TlsStream<Stream>) -> u16 {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.unwrap();
    let rest = u16::from_be_bytes([head[0], head[1]]) - 2;
    stream.read_exact(&mut vec![0; rest.into()]).await.unwrap();
    u16::from_be_bytes([head[2], head[3]])
}

/// After how long the other end closes.
async fn closed_after(world: &Memory, stream: &mut Stream) -> Duration {
    let start = world.now().mono;
    let mut octets = [0; 512];
    let reading = async { while stream.read(&mut octets).await.is_ok_and(|n| n > 0) {} };
    match select(pin!(reading), pin!(world.sleep(ms(1_000_000)))).await {
        Either::Left(_) => world.now().mono.since(start),
        Either::Right(_) => panic!("it is still open"),
    }
}

#[test]
fn queries_are_pipelined_and_answered_in_any_order() {
    let stats = tell(
        |config| config,
        async |scene, authority| {
            direct(&scene.first, |asked| match asked.in_all {
                1 => Act::AnswerAfter(ms(500)),
                _ => Act::Answer,
            });
            let mut client = shaken(scene, authority, "192.168.1.7").await.unwrap();
            for id in 1..=20 {
                send(&mut client, &format!("n{id}.test"), id).await;
            }
            let mut got = Vec::new();
            for _ in 0..20 {
                got.push(receive(&mut client).await);
            }
            assert_eq!(got.last(), Some(&1), "{got:?}");
            got.sort_unstable();
            assert_eq!(got, (1..=20).collect::<Vec<_>>());
        },
    );
    assert_eq!((stats.answered, stats.failed), (20, 0));
}

// req 67, fault 73, 123: whoever does not shake hands has a place all the same, and no more places than with plain TCP.
#[test]
fn a_handshake_that_has_not_ended_counts_as_a_connection_of_its_client() {
    let stats = tell(
        |config| config.max_tcp_per_client(3),
        async |scene, authority| {
            let mut held = Vec::new();
            for _ in 0..3 {
                held.push(silent(scene, "192.168.1.7").await);
            }
            assert!(shaken(scene, authority, "192.168.1.7").await.is_err());
            let mut other = shaken(scene, authority, "192.168.1.8").await.unwrap();
            send(&mut other, "a.test", 9).await;
            assert_eq!(receive(&mut other).await, 9);
            assert_eq!(scene.get("b.test").await.rcode, 0);
            drop(held);
            scene.world.sleep(ms(100)).await;
            assert!(shaken(scene, authority, "192.168.1.7").await.is_ok());
        },
    );
    assert_eq!(stats.rejected_clients, 1);
}

// fault 71, 123: also octet by octet, and however long an idle connection may stay.
#[test]
fn a_handshake_has_a_time_limit() {
    tell(
        |config| config.tcp_idle(Duration::from_secs(600)),
        async |scene, _| {
            let mut stream = silent(scene, "192.168.1.7").await;
            let after = closed_after(&scene.world, &mut stream).await;
            assert!(
                (HANDSHAKE..HANDSHAKE + ms(100)).contains(&after),
                "{after:?}"
            );
            let mut stream = silent(scene, "192.168.1.7").await;
            // The head of a record of a handshake, and its octets one a second.
            let start = scene.world.now().mono;
            stream.write_all(&[22, 3, 1, 1, 0]).await.unwrap();
            while stream.write_all(&[0]).await.is_ok() {
                scene.world.sleep(ms(1_000)).await;
                let lasted = scene.world.now().mono.since(start);
                assert!(lasted <= HANDSHAKE + ms(2_000), "{lasted:?}");
            }
        },
    );
}

// fault 71: the time for silence begins when the handshake is over.
#[test]
fn a_connection_that_is_idle_is_closed_with_notice() {
    tell(
        |config| config.tcp_idle(Duration::from_secs(20)),
        async |scene, authority| {
            let mut client = shaken(scene, authority, "192.168.1.7").await.unwrap();
            let start = scene.world.now().mono;
            assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "close_notify");
            let after = scene.world.now().mono.since(start);
            assert!((ms(20_000)..ms(20_100)).contains(&after), "{after:?}");
        },
    );
}

// fault 72, 123: half-open handshakes give way to whoever comes.
#[test]
fn a_flood_of_half_open_handshakes_takes_no_place_from_others() {
    let stats = tell(
        |config| config.max_tcp_connections(50).max_tcp_per_client(10),
        async |scene, authority| {
            let mut held = Vec::new();
            for host in 1..=20 {
                for _ in 0..10 {
                    held.push(silent(scene, &format!("192.168.1.{host}")).await);
                }
                assert_eq!(scene.get(&format!("u{host}.test")).await.rcode, 0);
            }
            let mut client = shaken(scene, authority, "192.168.1.99").await.unwrap();
            send(&mut client, "a.test", 3).await;
            assert_eq!(receive(&mut client).await, 3);
        },
    );
    assert_eq!((stats.answered, stats.failed), (21, 0));
}

#[test]
fn the_end_is_announced_after_the_last_response() {
    tell(
        |config| config,
        async |scene, authority| {
            direct(&scene.first, |_| Act::AnswerAfter(ms(300)));
            let mut client = shaken(scene, authority, "192.168.1.7").await.unwrap();
            send(&mut client, "a.test", 5).await;
            scene.world.sleep(ms(100)).await;
            scene.control.send(Command::Drain);
            assert_eq!(receive(&mut client).await, 5);
            assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "close_notify");
        },
    );
}

// req 103
#[test]
fn what_is_no_tls_ends_the_connection_and_nothing_else() {
    let stats = tell(
        |config| config,
        async |scene, _| {
            let mut stream = silent(scene, "192.168.1.7").await;
            let mut octets = Vec::new();
            append_frame(&query("a.test", 1), &mut octets);
            stream.write_all(&octets).await.unwrap();
            let after = closed_after(&scene.world, &mut stream).await;
            assert!(after <= ms(100), "{after:?}");
            assert_eq!(scene.get("b.test").await.rcode, 0);
        },
    );
    assert_eq!(stats.queries, 1);
}
