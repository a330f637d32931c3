//! Stories of routes (split horizon): each domain has upstreams of its own, and neither way depends on the other.

use super::scene::{
    Act, Actor, FIRST, FOURTH, SECOND, Scene, THIRD, addr, direct, ms, query, tell_with, upstream,
    why,
};
use crate::support::messages;
use dotward::config::{ConfigBuilder, Domain, Hosts, Policy, Route, Target};
use dotward::wire;
use std::time::Duration;

const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;
const SERVFAIL: u16 = 2;
const SOA: u16 = 6;
const DS: u16 = 43;

pub fn domains(text: &str) -> Vec<Domain> {
    text.split(' ').map(|name| name.parse().unwrap()).collect()
}

/// A route of these domains to these upstreams, in this order.
pub fn to(text: &str, upstreams: &[&str]) -> Route {
    let target = Target::Upstreams {
        upstreams: upstreams.iter().map(|at| upstream(at)).collect(),
        policy: Policy::Failover,
    };
    Route::new(domains(text), target)
}

/// `corp.test` has the second and the third upstream.
fn corp(config: ConfigBuilder) -> ConfigBuilder {
    config.routes([to("corp.test", &[SECOND, THIRD])])
}

/// The names that an upstream was asked for.
pub fn names(server: &Actor) -> Vec<String> {
    let name = |query: &[u8]| {
        let question = wire::parse_query(query).expect("a good query").question;
        let shown = wire::display(question.name(query)).to_string();
        shown.trim_end_matches('.').to_owned()
    };
    let server = server.borrow();
    server
        .asked
        .iter()
        .map(|asked| name(&asked.query))
        .collect()
}

pub fn refuse(scene: &Scene, at: &str, refuses: bool) {
    scene.world.conditions(addr(at), |w| w.refuses = refuses);
    if refuses {
        scene.world.reset(addr(at));
    }
}

#[test]
fn a_domain_is_asked_of_its_upstreams_and_no_other_name_is() {
    tell_with(corp, &[FIRST], async |scene| {
        for name in [
            "a.test",
            "a.corp.test",
            "corp.test",
            "xcorp.test",
            "b.Corp.TEST",
        ] {
            assert_eq!(scene.get(name).await.rcode, 0, "{name}");
        }
        assert_eq!(names(&scene.first), ["a.test", "xcorp.test"]);
        assert_eq!(
            names(&scene.second),
            ["a.corp.test", "corp.test", "b.Corp.TEST"]
        );
        assert!(names(&scene.third).is_empty());
    });
}

#[test]
fn a_route_works_with_its_failover_while_the_default_is_down() {
    let stats = tell_with(corp, &[FIRST], async |scene| {
        refuse(scene, FIRST, true);
        // The domain's first upstream is down, too: its second one is asked, again and again.
        refuse(scene, SECOND, true);
        for i in 0..40 {
            scene.ask(&format!("n{i}.test"));
            let got = scene.get_own(&format!("n{i}.corp.test")).await;
            assert_eq!(got.rcode, 0);
            assert!(got.after <= ms(300), "{:?} for {i}", got.after);
            scene.world.sleep(ms(100)).await;
        }
        assert_eq!(names(&scene.third).len(), 40);
        assert!(names(&scene.first).is_empty());
        refuse(scene, SECOND, false);
        scene.world.sleep(ms(12_000)).await;
        scene.get_own("a.corp.test").await;
        scene.world.sleep(ms(1_000)).await;
        let before = names(&scene.second).len();
        scene.get_own("b.corp.test").await;
        assert_eq!(
            names(&scene.second).len(),
            before + 1,
            "it is preferred again"
        );
    });
    assert_eq!(stats.failed, 40);
}

#[test]
fn the_default_works_with_its_failover_while_a_route_is_down() {
    let stats = tell_with(corp, &[FIRST, FOURTH], async |scene| {
        for at in [SECOND, THIRD] {
            // Nothing comes back, so that connects take long, and many are under way.
            scene.world.conditions(addr(at), |w| w.swallows = true);
        }
        refuse(scene, FIRST, true);
        for i in 0..40 {
            scene.ask(&format!("n{i}.corp.test"));
            let got = scene.get_own(&format!("n{i}.test")).await;
            assert_eq!(got.rcode, 0);
            assert!(got.after <= ms(300), "{:?} for {i}", got.after);
            scene.world.sleep(ms(100)).await;
        }
        assert_eq!(names(&scene.fourth).len(), 40);
        scene.world.sleep(ms(5_000)).await;
    });
    assert_eq!((stats.failed, stats.answered), (40, 40));
}

#[test]
fn a_route_that_is_down_is_tried_as_often_as_if_there_were_no_other() {
    // fault 48: while nothing on it is connected, each second, although the default is.
    let stats = tell_with(corp, &[FIRST], async |scene| {
        for at in [SECOND, THIRD] {
            refuse(scene, at, true);
        }
        for i in 0..120 {
            scene.get_own(&format!("n{i}.test")).await;
            scene.ask(&format!("n{i}.corp.test"));
            scene.world.sleep(ms(250)).await;
        }
        for at in [SECOND, THIRD] {
            refuse(scene, at, false);
        }
        let got = scene.get_own("a.corp.test").await;
        assert_eq!(got.rcode, 0);
        assert!(got.after <= ms(1_000), "{:?}", got.after);
    });
    assert!(stats.failed >= 110, "{}", stats.failed);
}

#[test]
fn a_lost_connection_a_failure_and_silence_stay_on_the_route() {
    tell_with(corp, &[FIRST], async |scene| {
        // Its connection ends, then it fails, then it is silent: each time the other one of the domain is asked.
        let mut acts = [Act::Close, Act::Rcode(2), Act::Silence].into_iter();
        direct(&scene.second, move |_| acts.next().unwrap_or(Act::Answer));
        direct(&scene.third, |_| Act::Answer);
        for name in ["a.corp.test", "b.corp.test", "c.corp.test"] {
            assert_eq!(scene.get_own(name).await.rcode, 0, "{name}");
        }
        // Both fail: the client gets that, and the default is not asked.
        for server in [&scene.second, &scene.third] {
            direct(server, |_| Act::Rcode(5));
        }
        assert_eq!(scene.get_own("d.corp.test").await.rcode, REFUSED);
        assert!(names(&scene.first).is_empty());
    });
}

#[test]
fn the_reason_of_a_failure_names_the_upstreams_of_the_route() {
    tell_with(corp, &[FIRST], async |scene| {
        for at in [FIRST, SECOND, THIRD] {
            refuse(scene, at, true);
        }
        let text = async |scene: &mut Scene, name: &str| {
            let got = scene.get_own(name).await;
            assert_eq!(got.rcode, SERVFAIL);
            why(&got.message).expect("a reason").1
        };
        let of_default = text(scene, "a.test").await;
        assert!(of_default.contains("192.0.2.1") && !of_default.contains("192.0.2.2"));
        let of_route = text(scene, "a.corp.test").await;
        assert!(!of_route.contains("192.0.2.1"), "{of_route}");
        assert!(of_route.contains("192.0.2.2") && of_route.contains("192.0.2.3"));
    });
}

#[test]
fn hedging_stays_on_the_route_and_knows_its_times() {
    let hedged = |config: ConfigBuilder| corp(config).hedge(true);
    let stats = tell_with(hedged, &[FIRST], async |scene| {
        // The domain is always slow; that makes nothing of the default late, nor the other way round.
        for server in [&scene.second, &scene.third] {
            direct(server, |_| Act::AnswerAfter(ms(400)));
        }
        direct(&scene.first, |_| Act::AnswerAfter(ms(10)));
        for i in 0..300 {
            scene.get_own(&format!("n{i}.corp.test")).await;
            scene.get_own(&format!("n{i}.test")).await;
        }
        assert_eq!(names(&scene.first).len(), 300);
    });
    assert_eq!(stats.hedges, 0);
    let stats = tell_with(hedged, &[FIRST], async |scene| {
        let mut count = 0;
        direct(&scene.second, move |_| {
            count += 1;
            Act::AnswerAfter(ms(if count % 30 == 0 { 900 } else { 10 }))
        });
        for i in 0..600 {
            scene.get_own(&format!("n{i}.corp.test")).await;
        }
        assert!(names(&scene.first).is_empty());
        assert!(!names(&scene.third).is_empty());
    });
    assert!(stats.hedges > 5, "{}", stats.hedges);
}

#[test]
fn identical_queries_on_a_route_are_one_query() {
    let stats = tell_with(corp, &[FIRST], async |scene| {
        direct(&scene.second, |_| Act::AnswerAfter(ms(50)));
        for _ in 0..10 {
            scene.ask("a.corp.test");
        }
        for _ in 0..10 {
            assert_eq!(scene.next().await.rcode, 0);
        }
        assert_eq!(names(&scene.second), ["a.corp.test"]);
    });
    assert_eq!((stats.sent, stats.joined), (1, 9));
}

#[test]
fn an_upstream_of_two_routes_has_one_set_of_connections_and_one_health() {
    let shared = |config: ConfigBuilder| {
        config.routes([to("corp.test", &[SECOND, FIRST]), to("lab.test", &[SECOND])])
    };
    tell_with(shared, &[FIRST, SECOND], async |scene| {
        for name in ["a.test", "a.corp.test", "a.lab.test", "b.corp.test"] {
            assert_eq!(scene.get_own(name).await.rcode, 0);
        }
        let connections = |server: &Actor| server.borrow().connections;
        assert_eq!(
            (connections(&scene.first), connections(&scene.second)),
            (1, 1)
        );
        // It falls silent on one route, and is passed over on the other one.
        direct(&scene.second, |_| Act::Silence);
        scene.get_own("c.corp.test").await;
        scene.world.sleep(ms(5_000)).await;
        assert!(scene.get_own("d.corp.test").await.after <= ms(100));
    });
}

#[test]
fn each_route_has_its_policy() {
    let in_turn = |config: ConfigBuilder| {
        let upstreams = [SECOND, THIRD, FIRST].map(upstream).to_vec();
        let policy = Policy::RoundRobin;
        let target = Target::Upstreams { upstreams, policy };
        config.routes([Route::new(domains("corp.test"), target)])
    };
    tell_with(in_turn, &[FIRST, FOURTH], async |scene| {
        for i in 0..30 {
            scene.get_own(&format!("n{i}.corp.test")).await;
            scene.get_own(&format!("n{i}.test")).await;
        }
        let asked = |server: &Actor| names(server).len();
        assert!((9..=11).contains(&asked(&scene.second)));
        assert!((9..=11).contains(&asked(&scene.third)));
        assert!(
            (39..=41).contains(&asked(&scene.first)),
            "the default's, and a third"
        );
        assert_eq!(asked(&scene.fourth), 0);
    });
}

#[test]
fn a_domain_may_be_refused_or_without_names_or_answered_here() {
    let here = |config: ConfigBuilder| {
        let by = |text, target| Route::new(domains(text), target);
        config.routes([
            by("refused.test", Target::Refuse),
            by("none.test", Target::NxDomain),
            by("here.test", Target::Local),
            to("works.none.test", &[SECOND]),
        ])
    };
    let stats = tell_with(here, &[FIRST], async |scene| {
        let got = scene.get_own("a.refused.test").await;
        assert_eq!(
            (got.rcode, why(&got.message).map(|why| why.0)),
            (REFUSED, Some(18))
        );
        for (name, rcode, owner) in [
            ("none.test", NXDOMAIN, 12),
            ("a.b.none.test", NXDOMAIN, 16),
            ("a.here.test", NXDOMAIN, 14),
            ("HERE.test", 0, 12),
        ] {
            let got = scene.get_own(name).await;
            let answer = wire::parse_response(&got.message).unwrap();
            let counts = (answer.header.answers, answer.header.authorities);
            assert_eq!((got.rcode, counts), (rcode, (0, 1)), "{name}");
            let mut records = wire::records(&got.message, &answer);
            let soa = records.next().expect("an SOA");
            // The owner is a pointer to the domain within the question.
            let at = 12 + answer.question.expect("a question").name_len + 4;
            assert_eq!((soa.rtype, got.message[at + 1]), (SOA, owner), "{name}");
        }
        assert_eq!(scene.get_own("works.none.test").await.rcode, 0);
        assert!(names(&scene.first).is_empty());
        assert_eq!(names(&scene.second), ["works.none.test"]);
    });
    assert_eq!(stats.local, 5);
}

#[test]
fn hosts_come_before_routes() {
    let named = |config: ConfigBuilder| {
        let mut hosts = Hosts::default();
        for name in ["nas.lan", "a.b.lan", "nas.corp.test"] {
            hosts
                .insert(&name.parse().unwrap(), "192.168.1.5".parse().unwrap())
                .unwrap();
        }
        let lan = Route::new(domains("lan"), Target::Local);
        corp(config)
            .hosts(hosts)
            .routes([lan, to("corp.test", &[SECOND])])
    };
    tell_with(named, &[FIRST], async |scene| {
        // What lies above a host exists, too (RFC 8020).
        for (name, rcode, answers) in [
            ("nas.lan", 0, 1),
            ("nas.corp.test", 0, 1),
            ("b.lan", 0, 0),
            ("c.lan", NXDOMAIN, 0),
            ("lan", 0, 0),
        ] {
            let got = scene.get_own(name).await;
            let header = wire::Header::parse(&got.message).unwrap();
            assert_eq!((got.rcode, header.answers), (rcode, answers), "{name}");
        }
        assert!(names(&scene.first).is_empty() && names(&scene.second).is_empty());
    });
}

#[test]
fn a_ds_query_for_the_domain_itself_goes_to_the_upstreams_of_the_domain_above() {
    tell_with(corp, &[FIRST], async |scene| {
        for name in ["corp.test", "a.corp.test"] {
            let ds = messages::query(name, DS).build();
            scene.client.send(addr(super::scene::PROXY), &ds);
            assert_eq!(scene.next().await.rcode, 0);
        }
        assert_eq!(names(&scene.first), ["corp.test"]);
        assert_eq!(names(&scene.second), ["a.corp.test"]);
    });
}

#[test]
fn a_route_takes_precedence_over_special_use_names() {
    let home = |config: ConfigBuilder| {
        config.routes([to("home.arpa", &[SECOND]), to("10.in-addr.arpa", &[THIRD])])
    };
    let stats = tell_with(home, &[FIRST], async |scene| {
        assert_eq!(scene.get_own("nas.home.arpa").await.rcode, 0);
        assert_eq!(scene.get_own("1.0.0.10.in-addr.arpa").await.rcode, 0);
        assert_eq!(
            scene.get_own("1.0.168.192.in-addr.arpa").await.rcode,
            NXDOMAIN
        );
        // What is asked about this server stays a question about this server.
        let version = messages::query_octets(&messages::name_octets("version.bind."), 16, 3);
        scene
            .client
            .send(addr(super::scene::PROXY), &version.build());
        assert_eq!(scene.next().await.rcode, REFUSED);
        assert_eq!(names(&scene.second), ["nas.home.arpa"]);
        assert_eq!(names(&scene.third), ["1.0.0.10.in-addr.arpa"]);
    });
    assert_eq!(stats.local, 2);
}

#[test]
fn the_cache_serves_a_route_what_was_learned_on_it() {
    let cached = |config: ConfigBuilder| corp(config).cache_bytes(1 << 20);
    let stats = tell_with(cached, &[FIRST], async |scene| {
        for _ in 0..3 {
            assert_eq!(scene.get_own("a.corp.test").await.rcode, 0);
        }
        assert_eq!(names(&scene.second).len(), 1);
        // When all upstreams of the domain are gone, what is out of date is served.
        scene.world.sleep(Duration::from_secs(400)).await;
        for at in [SECOND, THIRD] {
            refuse(scene, at, true);
        }
        assert_eq!(scene.get_own("a.corp.test").await.rcode, 0);
        assert_eq!(scene.get_own("b.corp.test").await.rcode, SERVFAIL);
        assert!(names(&scene.first).is_empty());
    });
    assert_eq!((stats.hits, stats.stale), (2, 1));
}

#[test]
fn the_root_as_a_route_takes_all_names() {
    let all = |config: ConfigBuilder| config.routes([to(".", &[SECOND])]);
    tell_with(all, &[FIRST], async |scene| {
        scene
            .client
            .send(addr(super::scene::PROXY), &query("a.test", 77));
        scene.next().await;
        assert!(names(&scene.first).is_empty());
        assert_eq!(names(&scene.second).len(), 1);
    });
}
