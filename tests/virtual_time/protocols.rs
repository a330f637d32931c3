//! Stories of one upstream that is reached by several protocols. Which octets each of them has is no question of time: here all are streams
//! without TLS, to a server each, and a handshake takes a round trip.

use super::networks::over;
use super::scene::{Act, FIRST, SECOND, Scene, THIRD, addr, direct, ms, tell_on, upstream, why};
use crate::support::memory::Memory;
use dotward::config::{Config, ConfigError, Scheme, Upstream};
use dotward::engine::Stats;
use dotward::transport::{ConnectError, Connection, ConnectionError, Event, Limits, Transport};
use dotward::transports::Protocols;
use dotward::transports::choosing::Choosing;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Whatever this build has.
const SCHEMES: &[Scheme] = &[
    encrypted("quic", 853),
    encrypted("tls", 853),
    encrypted("https", 443),
];
const SERVFAIL: u16 = 2;
const QUIC: &str = FIRST;
const TLS: &str = SECOND;
const HTTPS: &str = THIRD;

const fn encrypted(name: &'static str, port: u16) -> Scheme {
    Scheme {
        name,
        port,
        encrypted: true,
    }
}

/// What a story sees of the protocols, and says of them.
#[derive(Clone, Default)]
struct Seen {
    /// The protocols that were tried, the first one first.
    tried: Rc<RefCell<Vec<&'static str>>>,
    /// Those whose certificate is not valid.
    wrong: Rc<RefCell<Vec<&'static str>>>,
    /// Those whose servers respond with an error of the protocol to every query, as HTTP does on a path that is not there.
    rejecting: Rc<RefCell<Vec<&'static str>>>,
}

impl Seen {
    /// Those that were tried since this was last asked.
    fn tried(&self) -> Vec<&'static str> {
        self.tried.take()
    }

    fn rejects(&self, schemes: &[&'static str]) {
        *self.rejecting.borrow_mut() = schemes.to_vec();
    }

    fn certificate_is_wrong(&self, schemes: &[&'static str]) {
        *self.wrong.borrow_mut() = schemes.to_vec();
    }
}

/// Connects by one protocol.
struct Single {
    world: Memory,
    protocols: Protocols<Memory>,
    seen: Seen,
}

type AnyConnection = <Protocols<Memory> as Transport>::Connection;

/// A connection whose server may reject every query.
struct OneOf {
    connection: AnyConnection,
    scheme: &'static str,
    seen: Seen,
    rejected: Vec<u16>,
}

impl Connection for OneOf {
    fn queue(&mut self, message: &[u8]) {
        if self.seen.rejecting.borrow().contains(&self.scheme) {
            let id = message.first_chunk().copied().expect("an id");
            self.rejected.push(u16::from_be_bytes(id));
        } else {
            self.connection.queue(message);
        }
    }

    fn backlog(&self) -> usize {
        self.connection.backlog()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        if !self.rejected.is_empty() {
            cx.waker().wake_by_ref();
        }
        self.connection.poll_flush(cx)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
        if let Some(id) = self.rejected.pop() {
            let why = ConnectionError::Rejected("HTTP status 404".into());
            return Poll::Ready(Event::Failed { id, why });
        }
        self.connection.poll_next(cx)
    }

    fn limits(&self) -> Limits {
        self.connection.limits()
    }

    /// As in QUIC.
    fn change_path(&mut self) -> bool {
        self.scheme == "quic"
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.poll_close(cx)
    }

    fn describe(&self) -> String {
        self.connection.describe()
    }
}

impl Transport for Single {
    type Connection = OneOf;
    type Connect = Pin<Box<dyn Future<Output = Result<OneOf, ConnectError>>>>;

    fn connect(&self, to: &Upstream, _: SocketAddr) -> Self::Connect {
        assert!(to.protocols().is_empty(), "one at a time");
        let scheme = to.scheme();
        let at = match scheme {
            "quic" => QUIC,
            "tls" => TLS,
            _ => HTTPS,
        };
        self.seen.tried.borrow_mut().push(scheme);
        let connect = self.protocols.connect(&upstream(at), addr(at));
        let (world, seen) = (self.world.clone(), self.seen.clone());
        let mut latency = Duration::ZERO;
        world.conditions(addr(at), |conditions| latency = conditions.latency);
        Box::pin(async move {
            let connection = connect.await?;
            world.sleep(2 * latency).await;
            if seen.wrong.borrow().contains(&scheme) {
                return Err(ConnectError::Unauthenticated {
                    why: "the certificate has expired".into(),
                    remedy: String::new(),
                });
            }
            Ok(OneOf {
                connection,
                scheme,
                seen,
                rejected: Vec::new(),
            })
        })
    }

    fn reconfigure(&mut self, before: &Config, config: &Config) -> Result<(), ConfigError> {
        self.protocols.reconfigure(before, config)
    }
}

/// Tells a story with an upstream of these protocols, which are 40 ms away.
fn tell(schemes: &str, story: impl AsyncFnOnce(&mut Scene, &Seen)) -> Stats {
    let spec = format!("{schemes}://192.0.2.9#dns.test");
    let several = Upstream::parse(&spec, SCHEMES).unwrap();
    let seen = Seen::default();
    tell_on(
        |network, _| network,
        |protocols, network: &Memory| {
            Choosing::new(
                network.clone(),
                Single {
                    world: network.clone(),
                    protocols,
                    seen: seen.clone(),
                },
            )
        },
        |config| config.upstreams([several]),
        &[FIRST],
        async |scene| {
            for at in [QUIC, TLS, HTTPS] {
                scene.world.conditions(addr(at), |w| w.latency = ms(20));
            }
            story(scene, &seen).await;
        },
    )
}

fn drops(scene: &Scene, at: &[&str], drops: bool) {
    for at in at {
        scene.world.conditions(addr(at), |w| w.swallows = drops);
    }
}

fn refuses(scene: &Scene, at: &[&str], refuses: bool) {
    for at in at {
        scene.world.conditions(addr(at), |w| w.refuses = refuses);
    }
}

/// Asks, and says how long that took.
async fn asks(scene: &mut Scene, name: &str) -> Duration {
    let got = scene.get_own(name).await;
    assert_eq!(got.rcode, 0, "{name}");
    got.after
}

// fault 135, req 112
#[test]
fn where_port_853_is_dropped_https_answers_and_is_remembered() {
    for (schemes, within, tried) in [
        ("tls+https", 400, &["tls", "https"][..]),
        ("quic+tls+https", 600, &["quic", "tls", "https"]),
    ] {
        let stats = tell(schemes, async |scene, seen| {
            drops(scene, &[QUIC, TLS], true);
            let took = asks(scene, "a.test").await;
            assert!(
                (ms(370)..=ms(within)).contains(&took),
                "{schemes}: {took:?}"
            );
            assert_eq!(seen.tried(), tried);
            // What was given up leaves nothing behind, and the next connection begins with what works.
            for name in ["b.test", "c.test"] {
                scene.world.reset(addr(HTTPS));
                scene.world.sleep(ms(5_000)).await;
                let took = asks(scene, name).await;
                assert!(took <= ms(130), "{schemes}: {took:?}");
            }
            assert!(seen.tried().iter().all(|scheme| *scheme == "https"));
        });
        assert_eq!((stats.failed, stats.failed_connects), (0, 0));
    }
}

// fault 137, 152, req 129
#[test]
fn what_works_is_remembered_for_each_network() {
    tell("tls+https", async |scene, seen| {
        scene.control.watches_network();
        let at = "192.0.2.9".parse().unwrap();
        let change_to = |scene: &Scene, network| {
            scene.world.set_paths(at, vec![over(network)]);
            scene.control.network_changed();
        };
        // At home all pass. At work port 853 is dropped.
        change_to(scene, 1);
        asks(scene, "a.test").await;
        assert_eq!(seen.tried(), ["tls"]);
        drops(scene, &[TLS], true);
        change_to(scene, 2);
        let took = asks(scene, "b.test").await;
        assert!((ms(250)..=ms(400)).contains(&took), "{took:?}");
        assert_eq!(seen.tried(), ["tls", "https"]);
        // At home again it is as it was there; at work it is known what works, and costs no delay.
        drops(scene, &[TLS], false);
        change_to(scene, 1);
        asks(scene, "c.test").await;
        assert_eq!(seen.tried(), ["tls"]);
        drops(scene, &[TLS], true);
        change_to(scene, 2);
        let took = asks(scene, "d.test").await;
        assert!(took <= ms(130), "{took:?}");
        assert_eq!(seen.tried(), ["https"]);
    });
}

// req 112
#[test]
fn a_protocol_that_is_refused_costs_no_delay() {
    tell("quic+tls+https", async |scene, seen| {
        refuses(scene, &[QUIC, TLS], true);
        let took = asks(scene, "a.test").await;
        assert!(took <= ms(200), "{took:?}");
        assert_eq!(seen.tried(), ["quic", "tls", "https"]);
        refuses(scene, &[HTTPS], true);
        scene.world.reset(addr(HTTPS));
        let got = scene.get_own("b.test").await;
        assert_eq!(got.rcode, SERVFAIL);
        let (_, text) = why(&got.message).expect("a reason");
        for scheme in ["quic", "tls", "https"] {
            assert!(text.contains(&format!("by {scheme}")), "{text}");
        }
    });
}

// req 111, 112
#[test]
fn where_all_work_the_first_one_is_used_alone() {
    for (schemes, first) in [("quic+tls+https", "quic"), ("https+tls", "https")] {
        let stats = tell(schemes, async |scene, seen| {
            for number in 0..20 {
                asks(scene, &format!("n{number}.test")).await;
            }
            assert_eq!(seen.tried(), [first]);
        });
        assert_eq!(stats.dials, 1);
    }
}

// req 112: the delay is for what is silent, and the winner is the one that is there first.
#[test]
fn a_slow_first_protocol_wins_if_the_next_one_is_slower() {
    tell("tls+https", async |scene, seen| {
        scene.world.conditions(addr(TLS), |w| w.latency = ms(80));
        scene.world.conditions(addr(HTTPS), |w| w.latency = ms(80));
        let took = asks(scene, "a.test").await;
        assert!(took <= ms(500), "{took:?}");
        assert_eq!(seen.tried(), ["tls", "https"]);
        scene.world.sleep(ms(1_000)).await;
        assert_eq!(scene.second.borrow().asked.len(), 1);
        assert_eq!(scene.third.borrow().asked.len(), 0);
    });
}

// fault 136
#[test]
fn when_the_remembered_protocol_fails_the_others_are_tried_again() {
    for silent in [false, true] {
        tell("tls+https", async |scene, seen| {
            drops(scene, &[TLS], true);
            asks(scene, "a.test").await;
            drops(scene, &[TLS], false);
            seen.tried();
            if silent {
                drops(scene, &[HTTPS], true);
            } else {
                refuses(scene, &[HTTPS], true);
            }
            scene.world.reset(addr(HTTPS));
            let took = asks(scene, "b.test").await;
            assert!(took <= ms(500), "{took:?}");
            assert_eq!(seen.tried()[..2], ["https", "tls"]);
            // It is the first of its own accord from now on.
            scene.world.reset(addr(TLS));
            scene.world.sleep(ms(5_000)).await;
            asks(scene, "c.test").await;
            let tried = seen.tried();
            assert!(tried.iter().all(|scheme| *scheme == "tls"), "{tried:?}");
        });
    }
}

// fault 138, req 113
#[test]
fn a_certificate_that_is_wrong_is_not_avoided_by_another_protocol() {
    let stats = tell("quic+tls+https", async |scene, seen| {
        seen.certificate_is_wrong(&["quic"]);
        let got = scene.get_own("a.test").await;
        assert_eq!(got.rcode, SERVFAIL);
        let (_, text) = why(&got.message).expect("a reason");
        assert!(text.contains("the certificate has expired"), "{text}");
        let tried = seen.tried();
        assert!(tried.iter().all(|scheme| *scheme == "quic"), "{tried:?}");
        for actor in [&scene.first, &scene.second, &scene.third] {
            assert_eq!(actor.borrow().asked.len(), 0);
        }
    });
    assert!(stats.failed_connects > 0);
}

// fault 138, req 113
#[test]
fn a_wrong_certificate_beside_a_right_one_costs_nothing() {
    tell("tls+https", async |scene, seen| {
        // The first one needs longer than the delay, and what answers in the place of the second is somebody else.
        scene.world.conditions(addr(TLS), |w| w.latency = ms(150));
        seen.certificate_is_wrong(&["https"]);
        let took = asks(scene, "a.test").await;
        assert!(took <= ms(950), "{took:?}");
        assert_eq!(scene.third.borrow().asked.len(), 0);
    });
}

// fault 137, 138
#[test]
fn what_is_remembered_does_not_outlive_a_wrong_certificate() {
    tell("tls+https", async |scene, seen| {
        drops(scene, &[TLS], true);
        asks(scene, "a.test").await;
        drops(scene, &[TLS], false);
        seen.tried();
        seen.certificate_is_wrong(&["https"]);
        scene.world.reset(addr(HTTPS));
        scene.world.sleep(ms(10_000)).await;
        asks(scene, "b.test").await;
        let tried = seen.tried();
        assert_eq!(tried.last(), Some(&"tls"), "{tried:?}");
    });
}

// fault 137
#[test]
fn another_network_is_not_judged_by_the_last_one() {
    tell("quic+tls+https", async |scene, seen| {
        drops(scene, &[QUIC, TLS], true);
        asks(scene, "a.test").await;
        assert_eq!(seen.tried().last(), Some(&"https"));
        drops(scene, &[QUIC, TLS], false);
        scene.world.suspend(Duration::from_secs(60));
        asks(scene, "b.test").await;
        assert_eq!(seen.tried(), ["quic"]);
        assert_eq!(scene.first.borrow().asked.len(), 1);
    });
}

// fault 137: without a sign of another network, too.
#[test]
fn what_is_remembered_holds_for_an_hour() {
    tell("tls+https", async |scene, seen| {
        drops(scene, &[TLS], true);
        asks(scene, "a.test").await;
        drops(scene, &[TLS], false);
        seen.tried();
        scene.world.sleep(Duration::from_secs(3_500)).await;
        asks(scene, "b.test").await;
        let tried = seen.tried();
        assert!(!tried.is_empty() && tried.iter().all(|one| *one == "https"));
        scene.world.sleep(Duration::from_secs(200)).await;
        seen.tried();
        asks(scene, "c.test").await;
        assert_eq!(seen.tried(), ["tls"]);
    });
}

// fault 143
#[test]
fn a_protocol_by_which_every_query_is_rejected_is_left_for_another_one() {
    let stats = tell("https+tls", async |scene, seen| {
        seen.rejects(&["https"]);
        let took = asks(scene, "a.test").await;
        assert!(took <= ms(400), "{took:?}");
        assert_eq!(seen.tried(), ["https", "tls"]);
        // The others do not wait for it, and the next connection begins with what works.
        asks(scene, "b.test").await;
        scene.world.reset(addr(TLS));
        scene.world.sleep(ms(5_000)).await;
        asks(scene, "c.test").await;
        let tried = seen.tried();
        assert!(tried.iter().all(|one| *one == "tls"), "{tried:?}");
        // When that fails, what was rejected before is tried again.
        seen.rejects(&[]);
        refuses(scene, &[TLS], true);
        scene.world.reset(addr(TLS));
        asks(scene, "d.test").await;
        assert_eq!(seen.tried().last(), Some(&"https"));
    });
    assert_eq!(stats.failed, 0);
}

// fault 143
#[test]
fn a_protocol_whose_connections_end_without_a_response_is_left_for_another_one() {
    let stats = tell("tls+https", async |scene, seen| {
        direct(&scene.second, |_| Act::Close);
        let took = asks(scene, "a.test").await;
        assert!(took <= ms(400), "{took:?}");
        assert_eq!(seen.tried(), ["tls", "https"]);
        scene.world.reset(addr(HTTPS));
        scene.world.sleep(ms(5_000)).await;
        asks(scene, "b.test").await;
        let tried = seen.tried();
        assert!(tried.iter().all(|one| *one == "https"), "{tried:?}");
    });
    assert_eq!(stats.failed, 0);
}

// fault 143: with more than one way that does not work.
#[test]
fn two_protocols_that_reject_every_query_do_not_hide_the_third_one() {
    tell("quic+https+tls", async |scene, seen| {
        seen.rejects(&["quic", "https"]);
        let mut answered = 0;
        for name in ["a.test", "b.test", "c.test"] {
            answered += usize::from(scene.get_own(name).await.rcode == 0);
            scene.world.sleep(ms(2_000)).await;
        }
        assert!(answered >= 2, "{answered}");
        let tried = seen.tried();
        assert_eq!(tried[..3], ["quic", "https", "tls"]);
        assert!(tried[3..].iter().all(|one| *one == "tls"), "{tried:?}");
    });
}

// fault 143: each query does not cost a handshake.
#[test]
fn where_every_protocol_rejects_queries_no_connection_is_made_for_each() {
    let stats = tell("https+tls", async |scene, seen| {
        seen.rejects(&["https", "tls"]);
        for number in 0..20 {
            let got = scene.get_own(&format!("n{number}.test")).await;
            assert_eq!(got.rcode, SERVFAIL);
            scene.world.sleep(ms(2_000)).await;
        }
        seen.rejects(&[]);
        asks(scene, "z.test").await;
    });
    assert!(stats.dials <= 4, "{}", stats.dials);
}

// A response is one, whatever it says: names that fail are no reason to try another protocol.
#[test]
fn a_server_failure_is_a_response() {
    tell("tls+https", async |scene, seen| {
        direct(&scene.second, |_| Act::Rcode(2));
        assert_eq!(scene.get_own("a.test").await.rcode, SERVFAIL);
        assert_eq!(seen.tried(), ["tls"]);
    });
}

#[test]
fn a_connection_that_can_follow_another_path_stays_when_the_network_changes() {
    // fault 150, req 128
    for (schemes, tried) in [("quic+tls", &[][..]), ("tls", &["tls"][..])] {
        let stats = tell(schemes, async |scene, seen| {
            scene.control.watches_network();
            let at = addr(if schemes == "tls" { TLS } else { QUIC });
            let whole = "192.0.2.9:853";
            for at in [at.ip(), addr(whole).ip()] {
                scene.world.set_paths(at, vec![over(1)]);
            }
            scene.control.network_changed();
            assert_eq!(scene.get("a.test").await.rcode, 0);
            assert_eq!(seen.tried().len(), 1);
            scene.ask("in-flight.test");
            scene.world.sleep(ms(10)).await;
            for at in [at.ip(), addr(whole).ip()] {
                scene.world.set_paths(at, vec![over(2)]);
            }
            scene.control.network_changed();
            assert_eq!(scene.next().await.rcode, 0);
            assert_eq!(scene.get("b.test").await.rcode, 0);
            assert_eq!(seen.tried(), tried);
        });
        let rerouted = tried.len() as u64;
        assert_eq!((stats.failed, stats.rerouted), (0, rerouted), "{schemes}");
    }
}
