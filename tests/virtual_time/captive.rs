//! Stories of networks where one has to log in first: nothing is reached but the network's own resolver.

use super::scene::{Act, FIRST, SECOND, Scene, addr, direct, ms, tell_with, why};
use crate::support::messages::{address_or_error, name_octets, query_octets, response_to, word};
use dotward::config::{Captive, ConfigBuilder, NetworkResolver};
use dotward::engine::{Network, Stats};
use dotward::runtime::{NetworkPath, Runtime};
use dotward::wire;
use futures::future::{Either, select};
use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

const RESOLVER: &str = "10.0.0.1:53";
const CHECK: &str = "connectivitycheck.gstatic.com";
const SERVFAIL: u16 = 2;
const A: u16 = 1;
const AAAA: u16 = 28;
/// For how long plain text is allowed.
const TIME: Duration = Duration::from_secs(60);

/// What the network's own resolver got: from which port, and the octets.
type Log = Rc<RefCell<Vec<(u16, Vec<u8>)>>>;

/// With the captive mode.
fn allowed(config: ConfigBuilder) -> ConfigBuilder {
    let resolver = NetworkResolver::Address(addr(RESOLVER));
    config.captive(Some(Captive::new(TIME).with_resolvers([resolver])))
}

/// What a portal answers: its own address, for a day.
fn portal(query: &[u8]) -> Vec<Vec<u8>> {
    let v4 = word(query, query.len() - 4) == A;
    let response = response_to(query);
    let response = if v4 {
        response.a(86_400, [10, 0, 0, 1])
    } else {
        response
    };
    vec![response.build()]
}

/// Tells a story on a network where the upstreams refuse connections, and its own resolver answers each datagram with these.
fn tell(
    tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    answer: impl Fn(&[u8]) -> Vec<Vec<u8>>,
    story: impl AsyncFnOnce(&mut Scene, &Log),
) -> Stats {
    tell_with(tweak, &[FIRST, SECOND], async |scene| {
        refuse(scene, true);
        let log = Log::default();
        let mut socket = scene.world.bind(addr(RESOLVER), false).unwrap();
        let serve = async {
            loop {
                let (from, query) = socket.recv().await;
                log.borrow_mut().push((from.port(), query.clone()));
                for message in answer(&query) {
                    socket.send(from, &message);
                }
            }
        };
        match select(pin!(story(scene, &log)), pin!(serve)).await {
            Either::Left(((), _)) => {}
            Either::Right(((), _)) => unreachable!("a resolver never ends"),
        }
    })
}

fn refuse(scene: &Scene, refuses: bool) {
    for at in [FIRST, SECOND] {
        scene.world.conditions(addr(at), |w| w.refuses = refuses);
    }
}

/// The addresses in a response, with their TTLs.
fn addresses(message: &[u8]) -> Vec<(Ipv4Addr, u32)> {
    let response = wire::parse_response(message).unwrap();
    let records = wire::records(message, &response);
    let of_v4 = records.filter(|record| record.rtype == A);
    of_v4
        .map(|record| {
            let octets: [u8; 4] = message[record.rdata.clone()].try_into().unwrap();
            (octets.into(), record.ttl)
        })
        .collect()
}

/// What has to leave for a name of the list: nothing else.
fn expected(name: &str, qtype: u16, id: &[u8]) -> Vec<u8> {
    let mut query = query_octets(&name_octets(name), qtype, 1).build();
    query[..2].copy_from_slice(id);
    query
}

// req 135, 137, fault 160
#[test]
fn a_portal_check_is_answered_by_the_networks_own_resolver() {
    let stats = tell(allowed, portal, async |scene, log| {
        let got = scene.get(CHECK).await;
        assert_eq!(got.rcode, 0);
        assert!(got.after <= ms(10), "{:?}", got.after);
        assert_eq!(addresses(&got.message), [([10, 0, 0, 1].into(), 5)]);
        let (code, text) = why(&got.message).unwrap();
        assert_eq!(code, 0);
        assert!(
            text.starts_with("captive mode: no upstream can be reached"),
            "{text}"
        );
        let sent = log.borrow();
        let [(_, query)] = &sent[..] else {
            panic!("{sent:?}");
        };
        assert_eq!(*query, expected(CHECK, A, &query[..2]));
    });
    assert_eq!((stats.captive_asked, stats.captive_answered), (1, 1));
    assert_eq!((stats.answered, stats.failed), (0, 0));
}

// req 135
#[test]
fn by_default_nothing_leaves_in_the_clear() {
    let stats = tell(
        |config| config,
        portal,
        async |scene, log| {
            for _ in 0..5 {
                assert_eq!(scene.get(CHECK).await.rcode, SERVFAIL);
            }
            assert_eq!(log.borrow().len(), 0);
        },
    );
    assert_eq!((stats.captive_asked, stats.failed), (0, 5));
}

// req 135, fault 160
#[test]
fn nothing_of_a_query_but_one_of_the_names_leaves_in_the_clear() {
    const SUBNET: &[u8] = &[0, 1, 24, 0, 198, 51, 100];
    const COOKIE: &[u8] = b"\xc0\xff\xee\xc0\xff\xee\x01\x02";
    let options: [&[(u16, &[u8])]; 5] = [
        &[],
        &[(8, SUBNET)],
        &[(10, COOKIE)],
        &[(12, &[0x5a; 40]), (3, b""), (65_001, b"who-i-am")],
        &[(8, SUBNET), (10, COOKIE), (15, b"\0\x03secret")],
    ];
    tell(allowed, portal, async |scene, log| {
        let mut id = 0;
        let mut ask = |name: &[u8], qtype, qclass, flags, options: Option<&[(u16, &[u8])]>| {
            id += 1;
            let query = query_octets(name, qtype, qclass).id(id).on(flags);
            let query = match options {
                Some(options) => query.edns(4096, 0x8000, options),
                None => query,
            };
            scene.client.send(addr(super::scene::PROXY), &query.build());
        };
        // Whatever comes with a question for one of the names.
        let mut wanted = 0;
        for name in [
            "captive.apple.com",
            "CaPtIvE.aPpLe.CoM",
            "DETECTPORTAL.firefox.com",
        ] {
            for qtype in [A, AAAA] {
                for options in options {
                    ask(&name_octets(name), qtype, 1, 0, Some(options));
                    wanted += 1;
                }
                // CD, AD, Z, and no EDNS.
                ask(&name_octets(name), qtype, 1, 0x0030, None);
                wanted += 1;
            }
        }
        // Everything else.
        let mut others = 0;
        for name in [
            "secret.captive.apple.com",
            "www.captive.apple.com",
            "apple.com",
            "com",
            ".",
            "captive.apple.com.lan",
            "captive.apple.comx",
            "www.google.com",
            "example.com",
            "xcaptive.apple.com",
            "captive-apple.com",
            "bank.example",
        ] {
            for qtype in [A, AAAA] {
                ask(&name_octets(name), qtype, 1, 0, Some(options[4]));
                others += 1;
            }
        }
        for qtype in [2, 5, 6, 12, 15, 16, 33, 43, 64, 65, 99, 255, 65_280] {
            ask(
                &name_octets("captive.apple.com"),
                qtype,
                1,
                0,
                Some(options[0]),
            );
            others += 1;
        }
        // Another class, and a dot that is no separator.
        ask(&name_octets("captive.apple.com"), A, 254, 0, None);
        ask(b"\x0dcaptive.apple\x03com\0", A, 1, 0, None);
        others += 2;
        let (mut good, mut bad) = (0, 0);
        for _ in 0..wanted + others {
            match scene.next().await.rcode {
                0 => good += 1,
                _ => bad += 1,
            }
        }
        assert_eq!((good, bad), (wanted, others));
        let sent = log.borrow();
        for (_, query) in sent.iter() {
            let is_allowed = ["captive.apple.com", "detectportal.firefox.com"]
                .iter()
                .flat_map(|name| [A, AAAA].map(|qtype| expected(name, qtype, &query[..2])))
                .any(|allowed| allowed == *query);
            assert!(is_allowed, "{query:02x?}");
        }
        // Identical questions are one, and each has a port and an id of its own.
        assert_eq!(sent.len(), 4);
        for (index, (port, query)) in sent.iter().enumerate() {
            for (other_port, other) in &sent[..index] {
                assert!(port != other_port && query[..2] != other[..2]);
            }
            assert_ne!(query[..2], [0, 0]);
        }
    });
}

// req 137
#[test]
fn what_it_says_is_kept_by_nobody() {
    let cached = |config: ConfigBuilder| allowed(config).cache_bytes(1 << 20);
    tell(cached, portal, async |scene, log| {
        for asked in 1..=3 {
            assert_eq!(scene.get(CHECK).await.rcode, 0);
            assert_eq!(log.borrow().len(), asked);
        }
        refuse(scene, false);
        scene.world.sleep(Duration::from_secs(11)).await;
        let got = scene.get(CHECK).await;
        assert_ne!(addresses(&got.message)[0].0, Ipv4Addr::new(10, 0, 0, 1));
    });
}

// req 136, fault 162
#[test]
fn its_time_is_over_after_so_long_whatever_happens() {
    let stats = tell(allowed, portal, async |scene, log| {
        let start = scene.world.now().mono;
        for second in 0..200 {
            let rcode = scene.get_own(CHECK).await.rcode;
            assert_eq!(rcode == 0, second < 60, "after {second} s");
            let next = start + Duration::from_secs(second + 1);
            scene.world.sleep_until(next).await;
        }
        assert_eq!(log.borrow().len(), 60);
    });
    assert_eq!(stats.captive_asked, 60);
}

// req 136
#[test]
fn it_ends_when_an_upstream_is_reached() {
    let stats = tell(allowed, portal, async |scene, log| {
        assert_eq!(scene.get(CHECK).await.rcode, 0);
        // Whoever has logged in at the portal gets through.
        refuse(scene, false);
        scene.world.sleep(ms(2_000)).await;
        assert_eq!(scene.get("a.test").await.rcode, 0);
        let got = scene.get(CHECK).await;
        assert_ne!(addresses(&got.message)[0].0, Ipv4Addr::new(10, 0, 0, 1));
        // Then everything fails.
        refuse(scene, true);
        for at in [FIRST, SECOND] {
            scene.world.reset(addr(at));
        }
        for _ in 0..10 {
            assert_eq!(scene.get(CHECK).await.rcode, SERVFAIL);
            scene.world.sleep(ms(500)).await;
        }
        assert_eq!(log.borrow().len(), 1);
    });
    assert_eq!(stats.captive_answered, 1);
}

#[test]
fn while_an_upstream_can_be_reached_nothing_is_asked_in_the_clear() {
    let stats = tell(allowed, portal, async |scene, log| {
        scene.world.conditions(addr(SECOND), |w| w.refuses = false);
        for name in [CHECK, "captive.apple.com"] {
            assert_eq!(scene.get(name).await.rcode, 0);
        }
        // Its responses are failures, and it is reached all the same.
        direct(&scene.second, |_| Act::Rcode(2));
        assert_eq!(scene.get("www.msftconnecttest.com").await.rcode, SERVFAIL);
        assert_eq!(log.borrow().len(), 0);
    });
    assert_eq!(stats.captive_asked, 0);
}

// fault 160
#[test]
fn where_connects_meet_silence_it_begins_within_the_time_of_a_query() {
    let stats = tell(allowed, portal, async |scene, _| {
        for at in [FIRST, SECOND] {
            scene.world.conditions(addr(at), |w| {
                w.refuses = false;
                w.swallows = true;
            });
        }
        let other = scene.ask("a.test");
        let got = scene.get_own(CHECK).await;
        assert_eq!(got.rcode, 0);
        assert!(
            got.after >= ms(3_000) && got.after <= ms(3_300),
            "{:?}",
            got.after
        );
        let failed = scene.next().await;
        assert_eq!((failed.id, failed.rcode), (other, SERVFAIL));
        let again = scene.get_own(CHECK).await;
        assert!(again.after <= ms(50), "{:?}", again.after);
    });
    assert_eq!((stats.captive_answered, stats.failed), (2, 1));
}

// fault 163
#[test]
fn a_resolver_that_does_not_help_changes_nothing_for_clients() {
    let refused = |query: &[u8]| vec![address_or_error(query, 5).build()];
    for answer in [&refused as &dyn Fn(&[u8]) -> Vec<Vec<u8>>, &|_| Vec::new()] {
        let stats = tell(allowed, answer, async |scene, log| {
            let got = scene.get(CHECK).await;
            assert_eq!(got.rcode, SERVFAIL);
            assert!(got.after <= ms(4_000), "{:?}", got.after);
            let (code, _) = why(&got.message).unwrap();
            assert_eq!(code, 22, "as without the mode");
            assert!((1..=6).contains(&log.borrow().len()));
        });
        assert_eq!((stats.captive_answered, stats.failed), (0, 1));
    }
}

// fault 161
#[test]
fn what_is_no_response_is_not_taken_for_one() {
    let forged = |query: &[u8]| {
        let mut wrong_id = portal(query).remove(0);
        wrong_id[0] ^= 1;
        let other = query_octets(&name_octets("captive.apple.com"), A, 1);
        let mut other = portal(&other.build()).remove(0);
        other[..2].copy_from_slice(&query[..2]);
        let honest = response_to(query).a(5, [10, 0, 0, 7]).build();
        vec![wrong_id, other, query.to_vec(), vec![0; 5], honest]
    };
    tell(allowed, forged, async |scene, _| {
        let got = scene.get(CHECK).await;
        assert_eq!(addresses(&got.message), [([10, 0, 0, 7].into(), 5)]);
    });
}

// fault 161
#[test]
fn a_resolver_that_sends_nothing_but_guesses_is_given_up() {
    let guesses = |query: &[u8]| {
        let mut wrong = portal(query).remove(0);
        wrong[1] ^= 0xff;
        vec![wrong; 150]
    };
    let stats = tell(allowed, guesses, async |scene, _| {
        let got = scene.get(CHECK).await;
        assert_eq!(got.rcode, SERVFAIL);
        assert!(got.after <= ms(4_000));
    });
    assert_eq!(stats.captive_answered, 0);
}

// req 137
#[test]
fn an_expired_answer_of_an_upstream_is_better_than_plain_text() {
    let cached = |config: ConfigBuilder| allowed(config).cache_bytes(1 << 20);
    tell(cached, portal, async |scene, log| {
        refuse(scene, false);
        let fresh = scene.get(CHECK).await;
        assert_eq!(fresh.rcode, 0);
        scene.world.sleep(Duration::from_secs(3_600)).await;
        refuse(scene, true);
        for at in [FIRST, SECOND] {
            scene.world.reset(addr(at));
        }
        let stale = scene.get(CHECK).await;
        assert_eq!(
            addresses(&stale.message)[0].0,
            addresses(&fresh.message)[0].0
        );
        assert_eq!(log.borrow().len(), 0);
    });
}

// req 136, fault 162
#[test]
fn another_network_has_a_time_of_its_own() {
    let over = |network: u8| NetworkPath::Over {
        network: Network {
            interface: network.into(),
            gateway: Some([10, network, 0, 1].into()),
        },
        source: Some([10, network, 0, 2].into()),
    };
    tell(allowed, portal, async |scene, log| {
        let go_to = |scene: &Scene, network| {
            for at in [FIRST, SECOND] {
                scene.world.set_paths(addr(at).ip(), vec![over(network)]);
            }
            scene.control.network_changed();
        };
        scene.control.watches_network();
        go_to(scene, 1);
        assert_eq!(scene.get(CHECK).await.rcode, 0);
        scene.world.sleep(TIME).await;
        assert_eq!(scene.get(CHECK).await.rcode, SERVFAIL);
        go_to(scene, 2);
        scene.world.sleep(ms(100)).await;
        assert_eq!(scene.get(CHECK).await.rcode, 0);
        go_to(scene, 1);
        scene.world.sleep(ms(100)).await;
        assert_eq!(scene.get(CHECK).await.rcode, SERVFAIL);
        assert_eq!(log.borrow().len(), 2);
    });
}

#[test]
fn the_default_gateway_is_asked_where_the_system_names_no_resolver() {
    let by_system = |config: ConfigBuilder| config.captive(Some(Captive::new(TIME)));
    tell(by_system, portal, async |scene, log| {
        assert_eq!(scene.get(CHECK).await.rcode, SERVFAIL, "there is no route");
        let network = Network {
            interface: 3,
            gateway: Some(addr(RESOLVER).ip()),
        };
        let source = None;
        let path = NetworkPath::Over { network, source };
        scene.world.set_paths(addr("192.0.2.1:53").ip(), vec![path]);
        scene.world.sleep(ms(2_000)).await;
        assert_eq!(scene.get(CHECK).await.rcode, 0);
        assert_eq!(log.borrow().len(), 1);
    });
}

#[test]
fn the_program_ends_while_a_resolver_is_asked() {
    let stats = tell(
        allowed,
        |_| Vec::new(),
        async |scene, log| {
            scene.ask(CHECK);
            scene.world.sleep(ms(100)).await;
            assert_eq!(log.borrow().len(), 1);
        },
    );
    assert_eq!(stats.failed, 1);
}

// req 136
#[test]
fn another_configuration_ends_it() {
    tell(allowed, portal, async |scene, log| {
        assert_eq!(scene.get(CHECK).await.rcode, 0);
        scene.reload(|config| config, &[FIRST]).await;
        assert_eq!(scene.get(CHECK).await.rcode, SERVFAIL);
        assert_eq!(log.borrow().len(), 1);
    });
}
