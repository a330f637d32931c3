//! Stories of upstreams whose addresses are looked up: by name, or because a resolver designates them (RFC 9462). What is found holds for its
//! TTL, within bounds, and no longer than it is of use.

use super::bootstrap::{RESOLVER, with_udp_resolver};
use super::scene::{FIRST, SECOND, Scene, addr, ms, tell_over, why};
use crate::support::codes::{A, AAAA};
use crate::support::memory::Memory;
use crate::support::messages::{Message, question_octets, response_to, svcb, word};
use dotward::config::{Config, ConfigBuilder, ConfigError, Upstream};
use dotward::transport::Transport;
use dotward::transports::{Protocols, SCHEMES};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const SVCB: u16 = 64;
const SERVFAIL: u16 = 2;
/// The parameters of RFC 9460 that these records have.
const ALPN: u16 = 1;
const IPV4HINT: u16 = 4;
const IPV6HINT: u16 = 6;
/// Addresses where a SYN is never answered.
const DEAD_V4: &str = "192.0.2.9:53";
const DEAD_V6: &str = "[2001:db8::9]:53";

/// Reaches upstreams without TLS, on the port where those of a scene are: which certificate must be shown is no question of time.
struct WithoutTls(Protocols<Memory>);

impl Transport for WithoutTls {
    type Connection = <Protocols<Memory> as Transport>::Connection;
    type Connect = <Protocols<Memory> as Transport>::Connect;

    fn connect(&self, _: &Upstream, addr: SocketAddr) -> Self::Connect {
        let there = SocketAddr::new(addr.ip(), 53);
        let plain = Upstream::parse(&format!("tcp://{there}"), SCHEMES).unwrap();
        self.0.connect(&plain, there)
    }

    fn reconfigure(&mut self, before: &Config, config: &Config) -> Result<(), ConfigError> {
        self.0.reconfigure(before, config)
    }
}

/// How an upstream's address is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Named,
    Designated,
}

/// What a resolver knows of the upstream.
#[derive(Clone)]
struct Known {
    ips: Vec<IpAddr>,
    ttl: u32,
}

impl Known {
    fn at(ips: &[&str], ttl: u32) -> Self {
        let ips = ips.iter().map(|at| addr(at).ip()).collect();
        Self { ips, ttl }
    }

    /// What it says to a query.
    fn answer(&self, query: &[u8]) -> Message {
        let question = question_octets(query);
        let plain = response_to(query);
        match word(question, question.len() - 4) {
            SVCB if self.ips.is_empty() => plain,
            SVCB => {
                assert!(question.starts_with(b"\x04_dns\x08resolver\x04arpa\x00"));
                let (mut v4, mut v6) = (Vec::new(), Vec::new());
                for ip in &self.ips {
                    match ip {
                        IpAddr::V4(ip) => v4.extend(ip.octets()),
                        IpAddr::V6(ip) => v6.extend(ip.octets()),
                    }
                }
                let hints = [(IPV4HINT, &v4[..]), (IPV6HINT, &v6)];
                let hints = hints.into_iter().filter(|(_, ips)| !ips.is_empty());
                let params: Vec<_> = [(ALPN, &b"\x03dot"[..])].into_iter().chain(hints).collect();
                plain.answer(SVCB, self.ttl, &svcb(1, "dns.test", &params))
            }
            qtype => self.ips.iter().fold(plain, |plain, ip| match (qtype, ip) {
                (A, IpAddr::V4(ip)) => plain.a(self.ttl, *ip),
                (AAAA, IpAddr::V6(ip)) => plain.answer(AAAA, self.ttl, &ip.octets()),
                _ => plain,
            }),
        }
    }
}

/// The resolver of a story: what it knows, and how often it was asked for what is asked first.
struct Resolver {
    known: RefCell<Known>,
    asked: Cell<usize>,
}

/// Tells a story with an upstream of this kind, of which a resolver knows this.
fn tell(kind: Kind, known: Known, story: impl AsyncFnOnce(&mut Scene, &Resolver)) {
    let upstream = |config: ConfigBuilder| match kind {
        Kind::Named => {
            let named = Upstream::parse("tls://dns.test", SCHEMES).unwrap();
            config.bootstrap([addr(RESOLVER)]).upstreams([named])
        }
        Kind::Designated => {
            let spec = format!("ddr://{RESOLVER}");
            config.upstreams([Upstream::parse(&spec, SCHEMES).unwrap()])
        }
    };
    let resolver = Resolver {
        known: RefCell::new(known),
        asked: Cell::new(0),
    };
    tell_over(WithoutTls, upstream, &[FIRST], async |scene| {
        scene.world.conditions(addr(RESOLVER), |w| w.refuses = true);
        let told = async |scene: &mut Scene| story(scene, &resolver).await;
        with_udp_resolver(scene, told, |socket, from, query| {
            let question = question_octets(query);
            if [SVCB, A].contains(&word(question, question.len() - 4)) {
                resolver.asked.set(resolver.asked.get() + 1);
            }
            socket.send(from, &resolver.known.borrow().answer(query).build());
        })
        .await;
    });
}

const KINDS: [Kind; 2] = [Kind::Named, Kind::Designated];

// req 85, 89
#[test]
fn addresses_are_looked_up_again_when_their_ttl_ends_within_bounds() {
    for kind in KINDS {
        for (ttl, holds) in [(1, 60), (300, 300), (604_800, 86_400)] {
            tell(kind, Known::at(&[FIRST], ttl), async |scene, resolver| {
                // So that each query takes a connection, and with it an address.
                scene.first.borrow_mut().idle = Some(ms(1_000));
                assert_eq!(scene.get("a.test").await.rcode, 0);
                assert_eq!(resolver.asked.get(), 1, "{kind:?}");
                let nearly = Duration::from_secs(holds - 5);
                scene.world.sleep(nearly).await;
                assert_eq!(scene.get("b.test").await.rcode, 0);
                assert_eq!(resolver.asked.get(), 1, "{kind:?} with {ttl}");
                scene.world.sleep(ms(10_000)).await;
                let got = scene.get("c.test").await;
                // Looked up beside a connect to the address that is known.
                assert!(got.after <= ms(10), "{:?}", got.after);
                scene.world.sleep(ms(1_000)).await;
                assert_eq!(resolver.asked.get(), 2, "{kind:?} with {ttl}");
            });
        }
    }
}

// fault 53, req 85, 89
#[test]
fn an_upstream_that_has_moved_is_looked_up_after_a_failure() {
    for kind in KINDS {
        tell(
            kind,
            Known::at(&[FIRST], 86_400),
            async |scene, resolver| {
                scene.first.borrow_mut().idle = Some(ms(1_000));
                assert_eq!(scene.get("a.test").await.rcode, 0);
                scene.world.sleep(ms(5_000)).await;
                scene.world.conditions(addr(FIRST), |w| w.refuses = true);
                *resolver.known.borrow_mut() = Known::at(&[SECOND], 86_400);
                let got = scene.get("b.test").await;
                assert_eq!(got.rcode, 0, "{kind:?}");
                assert!(got.after <= ms(1_500), "{kind:?}: {:?}", got.after);
                assert_eq!(scene.second.borrow().asked.len(), 1);
            },
        );
    }
}

// fault 54: RFC 8305 section 8.
#[test]
fn each_dead_address_among_those_that_are_found_costs_a_connection_attempt_delay() {
    for kind in KINDS {
        let known = Known::at(&[DEAD_V4, FIRST, DEAD_V6], 300);
        tell(kind, known, async |scene, _| {
            for at in [DEAD_V4, DEAD_V6] {
                scene.world.conditions(addr(at), |w| w.swallows = true);
            }
            // The families take turns, so that both dead addresses come first.
            let got = scene.get("a.test").await;
            assert_eq!(got.rcode, 0);
            assert!(
                got.after >= ms(500) && got.after <= ms(510),
                "{kind:?}: {:?}",
                got.after
            );
            scene.world.sleep(ms(120_000)).await;
            let got = scene.get("b.test").await;
            assert!(got.after <= ms(10), "remembered: {:?}", got.after);
        });
    }
}

// req 89: RFC 9462 section 4; nothing is asked without encryption but where to go.
#[test]
fn without_a_designated_resolver_nothing_is_asked_until_there_is_one() {
    let nobody = Known::at(&[], 300);
    tell(Kind::Designated, nobody, async |scene, resolver| {
        let got = scene.get("a.test").await;
        assert_eq!(got.rcode, SERVFAIL);
        let (code, text) = why(&got.message).expect("a reason");
        assert_eq!(code, 22);
        let expected = format!(
            "ddr://{RESOLVER}: address not found: 192.0.2.53 designates no resolver for DNS over TLS"
        );
        // A build with more protocols names these, too.
        assert!(text.starts_with(&expected), "{text}");
        let before = resolver.asked.get();
        assert!((2..=8).contains(&before), "{before} times in 4 s");
        *resolver.known.borrow_mut() = Known::at(&[FIRST], 300);
        let got = scene.get_own("b.test").await;
        assert_eq!(got.rcode, 0);
        assert!(got.after <= ms(1_500), "{:?}", got.after);
    });
}
