//! Stories of another configuration while queries are in flight: what stays goes on, what goes is waited for, and no query is lost.

use super::routes::{domains, names, refuse, to};
use super::scene::{
    Act, Actor, FIRST, FOURTH, LATE, PROXY, SECOND, Scene, THIRD, addr, direct, ms, query, tell,
    tell_with, why,
};
use crate::support::authority::Authority;
use dotward::config::{AccessList, ConfigBuilder, Hosts, Listen, Policy, Roots, Route, Target};
use dotward::runtime::Runtime;
use dotward::wire::{self, append_frame};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use std::net::IpAddr;
use std::time::Duration;

const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;
const SECONDS: Duration = Duration::from_secs(1);

fn same(config: ConfigBuilder) -> ConfigBuilder {
    config
}

fn cached(config: ConfigBuilder) -> ConfigBuilder {
    config.cache_bytes(4 << 20)
}

fn connections(server: &Actor) -> usize {
    server.borrow().connections
}

/// Connections to this upstream that are open.
fn held(scene: &Scene, at: &str) -> usize {
    scene.world.held(addr(at))
}

#[test]
fn what_did_not_change_keeps_its_connections_and_what_is_known_of_it() {
    let stats = tell(&[FIRST, SECOND], async |scene| {
        assert_eq!(scene.get("a.test").await.rcode, 0);
        scene.reload(same, &[FIRST, SECOND]).await;
        assert_eq!(scene.get("b.test").await.rcode, 0);
        // Another order, one more, another timeout: the same server all the same.
        let other = |config: ConfigBuilder| config.timeout(ms(3_000)).hedge(true);
        scene.reload(other, &[THIRD, FIRST, SECOND]).await;
        assert_eq!(scene.get("c.test").await.rcode, 0);
        scene.reload(same, &[FIRST]).await;
        assert_eq!(scene.get("d.test").await.rcode, 0);
        assert_eq!(names(&scene.first).last().unwrap(), "d.test");
        assert_eq!(connections(&scene.first), 1);
    });
    assert_eq!((stats.answered, stats.resent), (4, 0));
}

#[test]
fn an_upstream_that_goes_answers_what_it_was_asked_and_is_asked_nothing_more() {
    let stats = tell(&[FIRST], async |scene| {
        direct(&scene.first, |_| Act::AnswerAfter(ms(500)));
        let slow = scene.ask("slow.test");
        scene.world.sleep(ms(10)).await;
        scene.reload(same, &[SECOND]).await;
        assert_eq!(scene.get("a.test").await.rcode, 0);
        assert_eq!(held(scene, FIRST), 1, "while it is waited for");
        let got = scene.next().await;
        assert_eq!((got.id, got.rcode), (slow, 0));
        scene.world.sleep(ms(10)).await;
        assert_eq!(held(scene, FIRST), 0);
        assert_eq!(scene.get("b.test").await.rcode, 0);
        assert_eq!(names(&scene.first), ["slow.test"]);
        assert_eq!(names(&scene.second), ["a.test", "b.test"]);
    });
    assert_eq!((stats.answered, stats.resent), (3, 0));
}

#[test]
fn an_idle_connection_to_an_upstream_that_goes_is_closed_at_once() {
    tell(&[FIRST], async |scene| {
        assert_eq!(scene.get("a.test").await.rcode, 0);
        assert_eq!(held(scene, FIRST), 1);
        scene.reload(same, &[SECOND]).await;
        scene.world.sleep(ms(1)).await;
        assert_eq!(held(scene, FIRST), 0);
        // It returns, and is connected to anew.
        scene.reload(same, &[FIRST]).await;
        assert_eq!(scene.get("b.test").await.rcode, 0);
        assert_eq!(connections(&scene.first), 2);
    });
}

#[test]
fn what_waits_for_an_upstream_that_goes_is_sent_to_one_that_came() {
    let stats = tell(&[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.swallows = true);
        for number in 0..20 {
            scene.ask(&format!("n{number}.test"));
        }
        scene.world.sleep(ms(700)).await;
        scene.reload(same, &[SECOND]).await;
        for _ in 0..20 {
            let got = scene.next().await;
            assert_eq!(got.rcode, 0);
            assert!(got.after <= ms(100), "{:?}", got.after);
        }
        assert_eq!(names(&scene.second).len(), 20);
    });
    assert_eq!((stats.answered, stats.failed), (20, 0));
}

#[test]
fn what_was_sent_to_an_upstream_that_is_dead_is_asked_of_one_that_came() {
    let stats = tell(&[FIRST], async |scene| {
        direct(&scene.first, |_| Act::Silence);
        scene.ask("a.test");
        scene.world.sleep(ms(1_000)).await;
        scene.reload(same, &[SECOND, THIRD]).await;
        assert_eq!(scene.next().await.rcode, 0);
        assert_eq!(names(&scene.second), ["a.test"]);
        scene.world.sleep(5 * SECONDS).await;
        assert_eq!(held(scene, FIRST), 0);
        assert_eq!(connections(&scene.first), 1, "it is not connected to again");
    });
    assert_eq!(stats.failed, 0);
}

#[test]
fn the_cache_stays_but_for_what_came_from_other_upstreams() {
    let corp = |config: ConfigBuilder| cached(config).routes([to("corp.test", &[THIRD])]);
    tell_with(corp, &[FIRST], async |scene| {
        for name in ["a.test", "a.corp.test"] {
            assert_eq!(scene.get(name).await.rcode, 0);
        }
        let counts = |scene: &Scene| {
            let servers = [&scene.first, &scene.second, &scene.third];
            servers.map(|server| names(server).len())
        };
        let ask = async |scene: &mut Scene| {
            for name in ["a.test", "a.corp.test"] {
                assert_eq!(scene.get(name).await.rcode, 0);
            }
            counts(scene)
        };
        // The same upstreams: everything is known.
        let rotated = |config: ConfigBuilder| corp(config).rotate(true).timeout(ms(3_000));
        scene.reload(rotated, &[FIRST]).await;
        assert_eq!(ask(scene).await, [1, 0, 1]);
        // The domain has another upstream: only its name is asked for again.
        let moved = |config: ConfigBuilder| cached(config).routes([to("corp.test", &[SECOND])]);
        scene.reload(moved, &[FIRST]).await;
        assert_eq!(ask(scene).await, [1, 1, 1]);
        // The domain has no route of its own: what the default knows of it is nothing yet.
        scene.reload(cached, &[FIRST]).await;
        assert_eq!(ask(scene).await, [2, 1, 1]);
        // Another size and other times do not matter.
        let resized = |config: ConfigBuilder| config.cache_bytes(8 << 20).max_ttl(600 * SECONDS);
        scene.reload(resized, &[FIRST]).await;
        assert_eq!(ask(scene).await, [2, 1, 1]);
    });
}

#[test]
fn what_is_asked_after_the_change_does_not_join_what_was_asked_before() {
    let stats = tell_with(cached, &[FIRST], async |scene| {
        direct(&scene.first, |_| Act::AnswerAfter(ms(500)));
        let before = scene.ask("a.test");
        scene.world.sleep(ms(10)).await;
        scene.reload(cached, &[SECOND]).await;
        let got = scene.get("a.test").await;
        assert_eq!(names(&scene.second), ["a.test"]);
        assert!(got.after <= ms(50));
        assert_eq!(scene.next().await.id, before);
        // What came from the upstream of before is not what is known now.
        direct(&scene.second, |_| Act::Rcode(3));
        scene.reload(cached, &[FIRST]).await;
        direct(&scene.first, |_| Act::Rcode(3));
        assert_eq!(scene.get("a.test").await.rcode, NXDOMAIN);
    });
    assert_eq!((stats.hits, stats.joined, stats.answered), (0, 0, 3));
}

#[test]
fn what_came_by_another_configuration_is_not_cached_when_the_first_one_is_back() {
    let stats = tell_with(cached, &[FIRST], async |scene| {
        direct(&scene.first, |_| Act::Silence);
        direct(&scene.second, |_| Act::AnswerAfter(ms(500)));
        scene.ask("a.test");
        scene.world.sleep(ms(10)).await;
        scene.reload(cached, &[SECOND]).await;
        scene.world.sleep(ms(1_700)).await;
        assert_eq!(names(&scene.second), ["a.test"]);
        scene.reload(cached, &[FIRST]).await;
        assert_eq!(scene.next().await.rcode, 0);
        direct(&scene.first, |_| Act::Answer);
        let before = names(&scene.first).len();
        assert_eq!(scene.get("a.test").await.rcode, 0);
        assert_eq!(names(&scene.first).len(), before + 1);
    });
    assert_eq!((stats.hits, stats.joined), (0, 0));
}

#[test]
fn identical_queries_are_joined_across_a_change_that_is_none_for_them() {
    let stats = tell_with(cached, &[FIRST], async |scene| {
        direct(&scene.first, |_| Act::AnswerAfter(ms(100)));
        scene.ask("a.test");
        scene.world.sleep(ms(10)).await;
        let other = |config: ConfigBuilder| cached(config).routes([to("corp.test", &[SECOND])]);
        scene.reload(other, &[FIRST]).await;
        scene.ask("a.test");
        for _ in 0..2 {
            assert_eq!(scene.next().await.rcode, 0);
        }
        assert_eq!(scene.get("a.test").await.rcode, 0);
        assert_eq!(names(&scene.first), ["a.test"]);
    });
    assert_eq!((stats.hits, stats.joined), (1, 1));
}

#[test]
fn a_name_that_is_not_forwarded_any_more_is_answered_at_once() {
    let stats = tell(&[FIRST], async |scene| {
        direct(&scene.first, |_| Act::Silence);
        let ids = ["a.ads.test", "A.ads.test", "b.refused.test"].map(|name| scene.ask(name));
        scene.world.sleep(ms(10)).await;
        let blocked = |config: ConfigBuilder| {
            config.routes([
                Route::new(domains("ads.test"), Target::NxDomain),
                Route::new(domains("refused.test"), Target::Refuse),
            ])
        };
        scene.reload(blocked, &[FIRST]).await;
        let mut got = Vec::new();
        for _ in 0..3 {
            let answer = scene.next().await;
            let question = wire::parse_response(&answer.message).unwrap().question;
            let name = question.expect("a question").name(&answer.message).to_vec();
            got.push((answer.id, answer.rcode, name[1]));
        }
        got.sort_unstable();
        let expected = [
            (ids[0], NXDOMAIN, b'a'),
            (ids[1], NXDOMAIN, b'A'),
            (ids[2], REFUSED, b'b'),
        ];
        assert_eq!(got, expected);
    });
    assert_eq!((stats.local, stats.failed), (3, 0));
}

#[test]
fn a_change_of_the_policy_holds_for_what_is_in_flight() {
    let turns = |config: ConfigBuilder| config.policy(Policy::RoundRobin);
    let all = [FIRST, SECOND, THIRD, FOURTH];
    let stats = tell_with(turns, &all, async |scene| {
        for server in [&scene.first, &scene.second, &scene.third, &scene.fourth] {
            direct(server, |_| Act::AnswerAfter(ms(300)));
        }
        for round in 0..24_usize {
            for number in 0..5 {
                scene.ask(&format!("r{round}n{number}.test"));
            }
            let some = &all[round % 4..];
            let policy = [Policy::Failover, Policy::RoundRobin, Policy::Fastest][round % 3];
            let other = |config: ConfigBuilder| config.policy(policy).hedge(round % 2 == 0);
            scene.reload(other, some).await;
            scene.world.sleep(ms(40)).await;
        }
        for _ in 0..5 * 24 {
            assert_eq!(scene.next().await.rcode, 0);
        }
    });
    assert_eq!((stats.answered, stats.failed), (120, 0));
}

#[test]
fn other_trusted_certificates_have_all_connections_made_anew() {
    tell(&[FIRST], async |scene| {
        direct(&scene.first, |_| Act::AnswerAfter(ms(300)));
        scene.ask("slow.test");
        scene.world.sleep(ms(10)).await;
        let pem = Authority::new().pem().into_bytes();
        let roots = Roots::from_pem("roots.pem", pem).unwrap();
        let trusts = |config: ConfigBuilder| config.roots(roots.clone());
        scene.reload(trusts, &[FIRST]).await;
        scene.ask("a.test");
        for _ in 0..2 {
            assert_eq!(scene.next().await.rcode, 0);
        }
        scene.world.sleep(ms(10)).await;
        assert_eq!((connections(&scene.first), held(scene, FIRST)), (2, 1));
        scene.reload(trusts, &[FIRST]).await;
        assert_eq!(scene.get("b.test").await.rcode, 0);
        assert_eq!(connections(&scene.first), 2, "the same certificates");
    });
}

#[test]
fn a_key_log_that_begins_or_ends_has_all_connections_made_anew() {
    tell(&[FIRST], async |scene| {
        for (key_log, expected) in [(true, 2), (true, 2), (false, 3)] {
            assert_eq!(scene.get("a.test").await.rcode, 0);
            let logs = |config: ConfigBuilder| config.key_log(key_log);
            scene.reload(logs, &[FIRST]).await;
            assert_eq!(scene.get("b.test").await.rcode, 0);
            scene.world.sleep(ms(10)).await;
            let made = (connections(&scene.first), held(scene, FIRST));
            assert_eq!(made, (expected, 1), "{key_log}");
        }
    });
}

#[test]
fn an_address_that_goes_still_answers_what_came_to_it_and_one_that_comes_is_served() {
    const OTHER: &str = "127.0.0.1:5353";
    let at =
        |one: &'static str| move |config: ConfigBuilder| config.listen([Listen::from(addr(one))]);
    tell(&[FIRST], async |scene| {
        direct(&scene.first, |_| Act::AnswerAfter(ms(500)));
        scene.ask("a.test");
        scene.world.sleep(ms(10)).await;
        // This one arrives in the same moment as the news.
        scene.ask("b.test");
        scene.reload(at(OTHER), &[FIRST]).await;
        for _ in 0..2 {
            let (from, _) = scene.client.recv().await;
            assert_eq!(from, addr(PROXY));
        }
        scene.client.send(addr(OTHER), &query("c.test", 9));
        assert_eq!(scene.client.recv().await.0, addr(OTHER));
        scene.ask("d.test");
        scene.assert_quiet(10 * SECONDS).await;
        assert_eq!(names(&scene.first), ["a.test", "b.test", "c.test"]);
        assert!(scene.world.connect(addr(PROXY)).await.is_err());
        scene.reload(same, &[FIRST]).await;
        assert_eq!(scene.get("e.test").await.rcode, 0);
        // And back within the time in which the socket of before is still there.
        scene.reload(at(OTHER), &[FIRST]).await;
        scene.reload(same, &[FIRST]).await;
        assert_eq!(scene.get("f.test").await.rcode, 0);
    });
}

#[test]
fn an_address_that_goes_is_free_once_its_last_response_has_left() {
    // fault 182
    const OTHER: &str = "127.0.0.1:5353";
    let other = |config: ConfigBuilder| config.listen([Listen::from(addr(OTHER))]);
    tell(&[FIRST], async |scene| {
        assert_eq!(scene.get("a.test").await.rcode, 0);
        direct(&scene.first, |_| Act::AnswerAfter(ms(500)));
        scene.ask("b.test");
        scene.world.sleep(ms(100)).await;
        scene.reload(other, &[FIRST]).await;
        assert!(scene.world.bind(addr(PROXY), false).is_err(), "it is owed");
        assert_eq!(scene.client.recv().await.0, addr(PROXY));
        scene.world.sleep(ms(1)).await;
        let free = scene.world.bind(addr(PROXY), false);
        drop(free.expect("nobody has it any more"));
        // Back, and away again while nobody waits.
        scene.reload(same, &[FIRST]).await;
        assert_eq!(scene.get("c.test").await.rcode, 0);
        scene.reload(other, &[FIRST]).await;
        assert!(scene.world.bind(addr(PROXY), false).is_ok());
    });
}

#[test]
fn an_address_that_the_host_lacks_is_served_when_it_has_it() {
    tell(&[FIRST], async |scene| {
        let both =
            |config: ConfigBuilder| config.listen([PROXY, LATE].map(|at| Listen::from(addr(at))));
        scene.reload(both, &[FIRST]).await;
        assert_eq!(scene.get("a.test").await.rcode, 0);
        scene.world.set_absent(addr(LATE).ip(), false);
        scene.world.sleep(ms(2_500)).await;
        scene.client.send(addr(LATE), &query("b.test", 9));
        assert_eq!(scene.client.recv().await.0, addr(LATE));
    });
}

#[test]
fn a_client_over_tcp_keeps_its_connection() {
    tell(&[FIRST], async |scene| {
        direct(&scene.first, |_| Act::AnswerAfter(ms(200)));
        let stream = scene.world.connect(addr(PROXY)).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        let other = |config: ConfigBuilder| config.listen([Listen::from(addr("127.0.0.1:54"))]);
        for (number, upstream) in [SECOND, FIRST, SECOND].into_iter().enumerate() {
            let mut octets = Vec::new();
            append_frame(&query(&format!("n{number}.test"), 7), &mut octets);
            writing.write_all(&octets).await.unwrap();
            scene.world.sleep(ms(10)).await;
            if number == 1 {
                // Its listener goes, too.
                scene.reload(other, &[upstream]).await;
            } else {
                scene.reload(same, &[upstream]).await;
            }
            let mut length = [0; 2];
            reading.read_exact(&mut length).await.unwrap();
            let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
            reading.read_exact(&mut message).await.unwrap();
            assert_eq!(wire::parse_response(&message).unwrap().rcode().0, 0);
        }
    });
}

#[test]
fn names_and_clients_are_those_of_the_configuration_that_holds() {
    tell(&[FIRST], async |scene| {
        assert_eq!(scene.get("nas.test").await.rcode, 0);
        let named = |config: ConfigBuilder| {
            let mut hosts = Hosts::default();
            let address: IpAddr = "192.168.1.5".parse().unwrap();
            hosts.insert(&"nas.test".parse().unwrap(), address).unwrap();
            config.hosts(hosts)
        };
        scene.reload(named, &[FIRST]).await;
        assert_eq!(scene.get("nas.test").await.rcode, 0);
        assert_eq!(names(&scene.first), ["nas.test"]);
        let none = |config: ConfigBuilder| {
            let list: AccessList = ["192.0.2.0/24".parse().unwrap()].into_iter().collect();
            config.allow(list)
        };
        scene.reload(none, &[FIRST]).await;
        let got = scene.get("nas.test").await;
        assert_eq!(
            (got.rcode, why(&got.message).map(|why| why.0)),
            (REFUSED, Some(18))
        );
        scene.reload(same, &[FIRST]).await;
        assert_eq!(scene.get("nas.test").await.rcode, 0);
        assert_eq!(names(&scene.first).len(), 2);
    });
}

#[test]
fn a_route_that_is_down_is_replaced_by_one_that_works() {
    let corp = |config: ConfigBuilder| config.routes([to("corp.test", &[SECOND])]);
    let stats = tell_with(corp, &[FIRST], async |scene| {
        refuse(scene, SECOND, true);
        scene.ask("a.corp.test");
        scene.world.sleep(ms(20)).await;
        let moved = |config: ConfigBuilder| config.routes([to("corp.test", &[THIRD])]);
        scene.reload(moved, &[FIRST]).await;
        assert_eq!(scene.next().await.rcode, 0);
        assert_eq!(names(&scene.third), ["a.corp.test"]);
        assert!(names(&scene.first).is_empty());
    });
    assert_eq!(stats.failed, 0);
}
