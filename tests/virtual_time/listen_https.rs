//! Stories of clients over HTTPS: the bounds are those of other streams, and the end is announced.

use super::scene::{Act, FIRST, PROXY, Scene, addr, direct, ms, query, tell_on};
use crate::support::authority::{Authority, NAME};
use crate::support::http2::{
    self, DATA, Frame, GOAWAY, HEADERS, PING, PREFACE, frame, reset, settings,
};
use crate::support::http2_client::{bare, get, post_head, status};
use crate::support::memory::Stream;
use dotward::config::{ConfigBuilder, Listen, ServerCertificate};
use dotward::engine::Stats;
use dotward::runtime::Runtime;
use dotward::serve::Command;
use dotward::transports::listen_tls::ListenTls;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use std::sync::Arc;
use std::time::Duration;

/// Where clients speak HTTPS.
const HTTPS: &str = "127.0.0.1:443";

/// Tells a story of a listener over HTTPS beside the plain one, with the authority of its certificate.
fn tell(
    tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    story: impl AsyncFnOnce(&mut Scene, &Authority),
) -> Stats {
    let authority = Authority::new();
    let leaf = authority.good();
    let certificate = ServerCertificate::new(leaf.pem().into(), Some(leaf.key_pem().into_bytes()));
    let over_https = Listen::from(addr(HTTPS)).over_https();
    tell_on(
        |world, config| ListenTls::new(config).unwrap().over(world),
        |protocols, _| protocols,
        |config| {
            let listen = [addr(PROXY).into(), over_https];
            tweak(config.listen(listen).certificate(certificate))
        },
        &[FIRST],
        async |scene| story(scene, &authority).await,
    )
}

struct Client(TlsStream<Stream>);

impl Client {
    /// With the handshake of TLS done, from this address.
    async fn silent(scene: &Scene, authority: &Authority, from: &str) -> std::io::Result<Self> {
        let mut config = (*authority.client()).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let stream = scene.world.connect_from(from.parse().unwrap(), addr(HTTPS));
        let stream = connector.connect(NAME.try_into().unwrap(), stream.await.unwrap());
        Ok(Self(stream.await?))
    }

    async fn new(scene: &Scene, authority: &Authority, from: &str) -> Self {
        let mut client = Self::silent(scene, authority, from).await.unwrap();
        client.send(PREFACE).await.unwrap();
        client.send(&settings(&[])).await.unwrap();
        client
    }

    async fn send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.0.write_all(octets).await?;
        self.0.flush().await
    }

    async fn get(&mut self, stream: u32, name: &str) {
        self.send(&get(stream, &query(name, 0))).await.unwrap();
    }

    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let (len, mut frame) = http2::head(head);
        frame.payload = vec![0; len];
        self.0.read_exact(&mut frame.payload).await.ok()?;
        Some(frame)
    }

    /// The next frame of this kind.
    async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("more frames");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The next response: its stream and its message.
    async fn response(&mut self) -> (u32, Vec<u8>) {
        let body = self.next_of(DATA).await;
        (body.stream, body.payload)
    }

    /// Reads up to the end, and says the error code of GOAWAY, if there is one, and after how long it came to that.
    async fn end(&mut self, scene: &Scene) -> (Option<u8>, Duration) {
        let (start, mut code) = (scene.world.now().mono, None);
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = Some(frame.payload[7]);
            }
        }
        (code, scene.world.now().mono.since(start))
    }
}

// req 108
#[test]
fn requests_are_answered_in_any_order() {
    let stats = tell(
        |config| config,
        async |scene, authority| {
            direct(&scene.first, |asked| match asked.in_all {
                1 => Act::AnswerAfter(ms(500)),
                _ => Act::Answer,
            });
            let mut client = Client::new(scene, authority, "192.168.1.7").await;
            for n in 0..20 {
                client.get(1 + 2 * n, &format!("n{n}.test")).await;
            }
            let mut got = Vec::new();
            for _ in 0..20 {
                let (stream, message) = client.response().await;
                assert_eq!(message[..2], [0, 0], "the id of the query");
                got.push(stream);
            }
            assert_eq!(got.last(), Some(&1), "{got:?}");
            got.sort_unstable();
            assert_eq!(got, (0..20).map(|n| 1 + 2 * n).collect::<Vec<_>>());
        },
    );
    assert_eq!((stats.answered, stats.failed), (20, 0));
}

// req 110: what is beyond the limit is refused by HTTP/2, and what was answered makes room.
#[test]
fn no_more_queries_are_in_flight_than_on_another_connection() {
    let stats = tell(
        |config| config.max_tcp_in_flight(5),
        async |scene, authority| {
            direct(&scene.first, |_| Act::AnswerAfter(ms(200)));
            let mut client = Client::new(scene, authority, "192.168.1.7").await;
            for n in 0..8 {
                client.get(1 + 2 * n, &format!("n{n}.test")).await;
            }
            let refused = client.next_of(http2::RST_STREAM).await;
            assert_eq!(refused.payload[3], 7, "REFUSED_STREAM");
            for _ in 0..5 {
                client.response().await;
            }
            client.get(101, "late.test").await;
            assert_eq!(client.response().await.0, 101);
        },
    );
    assert_eq!(stats.queries, 6);
}

// fault 130
#[test]
fn requests_that_are_reset_take_no_more_places_than_others() {
    let stats = tell(
        |config| config.max_tcp_in_flight(10),
        async |scene, authority| {
            direct(&scene.first, |_| Act::AnswerAfter(ms(300)));
            let mut client = Client::new(scene, authority, "192.168.1.7").await;
            let mut stream = 1;
            // Until the connection is closed from the other end.
            while stream < 2_000
                && client.send(&get(stream, &query("a.test", 0))).await.is_ok()
                && client.send(&reset(stream, 8)).await.is_ok()
            {
                stream += 2;
                if stream % 50 == 1 {
                    assert_eq!(scene.get(&format!("u{stream}.test")).await.rcode, 0);
                }
            }
            assert!(client.end(scene).await.0.is_none_or(|code| code == 11));
            assert_eq!(scene.get("after.test").await.rcode, 0);
        },
    );
    assert_eq!(stats.failed, 0);
    assert!(stats.queries < 400, "{}", stats.queries);
}

// fault 134: with TLS done, but without the preface of HTTP/2.
#[test]
fn a_handshake_without_its_end_has_a_time_limit() {
    tell(
        |config| config.tcp_idle(Duration::from_secs(600)),
        async |scene, authority| {
            let client = Client::silent(scene, authority, "192.168.1.7").await;
            let mut client = client.unwrap();
            client.send(&PREFACE[..20]).await.unwrap();
            let (_, after) = client.end(scene).await;
            assert!((ms(9_900)..ms(10_200)).contains(&after), "{after:?}");
        },
    );
}

// fault 132, req 110
#[test]
fn nothing_but_a_query_keeps_a_connection_open() {
    for number in 0..4_u32 {
        tell(
            |config| config.tcp_idle(Duration::from_secs(20)),
            async |scene, authority| {
                let mut client = Client::new(scene, authority, "192.168.1.7").await;
                client.send(&post_head(1)).await.unwrap();
                let start = scene.world.now().mono;
                for turn in 0..40 {
                    let octets = match number {
                        0 => frame(PING, 0, 0, &[0; 8]),
                        1 => frame(DATA, 0, 1, &[0]),
                        2 => settings(&[]),
                        _ => bare("GET", "/", 3 + 2 * turn),
                    };
                    if client.send(&octets).await.is_err() {
                        break;
                    }
                    scene.world.sleep(ms(1_000)).await;
                }
                let lasted = scene.world.now().mono.since(start);
                assert!((ms(20_000)..ms(22_500)).contains(&lasted), "{lasted:?}");
                assert_eq!(client.end(scene).await.0, Some(0), "NO_ERROR");
            },
        );
    }
}

// fault 133: whoever opens no window is closed like one who does not read.
#[test]
fn a_client_that_opens_no_window_is_closed_in_time() {
    tell(
        |config| config.tcp_idle(Duration::from_secs(20)),
        async |scene, authority| {
            let mut client = Client::silent(scene, authority, "192.168.1.7")
                .await
                .unwrap();
            client.send(PREFACE).await.unwrap();
            let none = settings(&[(http2::INITIAL_WINDOW_SIZE, 0)]);
            client.send(&none).await.unwrap();
            client.get(1, "a.test").await;
            assert_eq!(status(&client.next_of(HEADERS).await.payload), 200);
            let (code, after) = client.end(scene).await;
            assert_eq!(code, Some(0));
            assert!((ms(19_000)..ms(20_200)).contains(&after), "{after:?}");
            assert_eq!(scene.get("b.test").await.rcode, 0);
        },
    );
}

// req 67
#[test]
fn connections_of_one_client_are_bounded() {
    let stats = tell(
        |config| config.max_tcp_per_client(2),
        async |scene, authority| {
            let _first = Client::new(scene, authority, "192.168.1.7").await;
            let _second = Client::new(scene, authority, "192.168.1.7").await;
            let third = Client::silent(scene, authority, "192.168.1.7").await;
            assert!(third.is_err());
            let mut other = Client::new(scene, authority, "192.168.1.8").await;
            other.get(1, "a.test").await;
            assert_eq!(other.response().await.0, 1);
        },
    );
    assert_eq!(stats.rejected_clients, 1);
}

#[test]
fn who_may_not_ask_is_told_so_by_dns() {
    let stats = tell(
        |config| config,
        async |scene, authority| {
            let mut client = Client::new(scene, authority, "203.0.113.7").await;
            client.get(1, "a.test").await;
            assert_eq!(status(&client.next_of(HEADERS).await.payload), 200);
            let (_, message) = client.response().await;
            assert_eq!(message[3] & 0x0F, 5, "REFUSED");
        },
    );
    assert_eq!(stats.denied, 1);
}

// req 110
#[test]
fn the_end_is_announced_before_the_last_response() {
    tell(
        |config| config,
        async |scene, authority| {
            direct(&scene.first, |_| Act::AnswerAfter(ms(300)));
            let mut client = Client::new(scene, authority, "192.168.1.7").await;
            client.get(1, "a.test").await;
            scene.world.sleep(ms(100)).await;
            scene.control.send(Command::Drain);
            let announced = client.next_of(GOAWAY).await;
            assert_eq!(announced.payload, [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
            assert_eq!(client.response().await.0, 1);
            let last = client.next_of(GOAWAY).await;
            assert_eq!(last.payload, [0, 0, 0, 1, 0, 0, 0, 0]);
            assert_eq!(client.0.read(&mut [0; 1]).await.unwrap(), 0, "close_notify");
        },
    );
}
