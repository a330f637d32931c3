//! Stories of a host whose network changes: other routes, other addresses, links that go down and come back.

use super::scene::{Act, FIRST, SECOND, Scene, addr, direct, ms, tell};
use dotward::engine::Network;
use dotward::runtime::{NetworkPath, Runtime};
use std::time::Duration;

/// The path over a router of this network, from an address there.
pub fn over(network: u8) -> NetworkPath {
    let host = |last| Some([10, network, 0, last].into());
    NetworkPath::Over {
        network: Network {
            interface: network.into(),
            gateway: host(1),
        },
        source: host(2),
    }
}

/// Sets the ways to an upstream, and says that something has changed.
fn paths(scene: &Scene, at: &str, paths: &[NetworkPath]) {
    scene.world.set_paths(addr(at).ip(), paths.to_vec());
    scene.control.network_changed();
}

/// The upstreams are 20 ms away, and changes of the network are told of.
fn begin(scene: &Scene) {
    scene.control.watches_network();
    for at in [FIRST, SECOND] {
        scene.world.conditions(addr(at), |w| w.latency = ms(20));
        paths(scene, at, &[over(1)]);
    }
}

#[test]
fn queries_in_flight_are_sent_again_when_the_route_moves() {
    // fault 150, req 128
    let stats = tell(&[FIRST], async |scene| {
        begin(scene);
        assert_eq!(scene.get("a.test").await.rcode, 0);
        direct(&scene.first, |_| Act::Silence);
        for number in 0..50 {
            scene.ask(&format!("n{number}.test"));
        }
        scene.world.sleep(ms(30)).await;
        assert_eq!(scene.first.borrow().asked.len(), 51, "they are in flight");
        // What is on its way does not come back, and the old connection does not tell.
        scene.world.forget(addr(FIRST));
        direct(&scene.first, |_| Act::Answer);
        let moved = scene.world.now().mono;
        paths(scene, FIRST, &[over(2)]);
        for _ in 0..50 {
            assert_eq!(scene.next().await.rcode, 0);
        }
        let took = scene.world.now().mono.since(moved);
        assert_eq!(took, ms(80), "a connect and a query, nothing in between");
    });
    assert_eq!((stats.failed, stats.rerouted, stats.retired), (0, 1, 0));
    assert_eq!((stats.resent, stats.dials), (50, 2));
}

#[test]
fn a_connect_under_way_is_begun_anew_on_the_other_path() {
    // fault 150
    let stats = tell(&[FIRST], async |scene| {
        begin(scene);
        scene.world.conditions(addr(FIRST), |w| w.swallows = true);
        let asked = scene.ask("a.test");
        scene.world.sleep(ms(50)).await;
        scene.world.conditions(addr(FIRST), |w| w.swallows = false);
        paths(scene, FIRST, &[over(2)]);
        let got = scene.next().await;
        assert_eq!((got.id, got.rcode, got.after), (asked, 0, ms(80)));
    });
    assert_eq!(
        (stats.failed, stats.rerouted, stats.failed_connects),
        (0, 1, 0)
    );
}

#[test]
fn changes_that_do_not_concern_an_upstream_leave_its_connection() {
    // fault 151, req 128
    let stats = tell(&[FIRST, SECOND], async |scene| {
        begin(scene);
        for round in 0..100 {
            assert_eq!(scene.get(&format!("n{round}.test")).await.rcode, 0);
            paths(scene, FIRST, &[over(1)]);
            paths(scene, SECOND, &[over(round)]);
            scene.world.sleep(ms(50)).await;
        }
        assert_eq!(scene.first.borrow().connections, 1);
    });
    assert_eq!((stats.dials, stats.rerouted, stats.failed), (1, 0, 0));
}

#[test]
fn a_connection_whose_own_path_is_still_there_answers_what_it_has() {
    // fault 151: as when an IPv6 address is replaced by a newer temporary one (RFC 8981).
    let stats = tell(&[FIRST], async |scene| {
        begin(scene);
        direct(&scene.first, |_| Act::AnswerAfter(ms(500)));
        let old = scene.ask("old.test");
        scene.world.sleep(ms(100)).await;
        paths(scene, FIRST, &[over(2), over(1)]);
        scene.world.sleep(ms(10)).await;
        assert_eq!(scene.world.held(addr(FIRST)), 1, "it stays");
        direct(&scene.first, |_| Act::Answer);
        let new = scene.get_own("new.test").await;
        assert_eq!((new.rcode, new.after), (0, ms(80)), "on one that is new");
        assert_eq!(scene.next().await.id, old);
        scene.world.sleep(ms(100)).await;
        assert_eq!(scene.world.held(addr(FIRST)), 1, "the old one is closed");
    });
    assert_eq!(
        (stats.rerouted, stats.connections_lost, stats.failed),
        (1, 0, 0)
    );
}

#[test]
fn a_link_that_comes_back_is_used_at_once() {
    // fault 150: whatever the backoff is by then.
    let stats = tell(&[FIRST], async |scene| {
        begin(scene);
        assert_eq!(scene.get("a.test").await.rcode, 0);
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        scene.world.forget(addr(FIRST));
        paths(scene, FIRST, &[]);
        // Somebody asks now and then, in vain.
        for round in 0..20 {
            scene.ask(&format!("n{round}.test"));
            scene.world.sleep(ms(700)).await;
        }
        scene.world.conditions(addr(FIRST), |w| w.refuses = false);
        scene.world.sleep(ms(1)).await;
        let asked = scene.ask("z.test");
        paths(scene, FIRST, &[over(1)]);
        let back = scene.world.now().mono;
        while scene.next().await.id != asked {}
        let took = scene.world.now().mono.since(back);
        assert!(took <= ms(80), "{took:?}");
    });
    assert_eq!(stats.rerouted, 1);
}

#[test]
fn another_router_does_not_end_a_connection_over_ipv6() {
    // fault 151
    let router = |last: u16| NetworkPath::Over {
        network: Network {
            interface: 3,
            gateway: Some([0xfe80, 0, 0, 0, 0, 0, 0, last].into()),
        },
        source: Some([0x2001, 0xdb8, 0, 1, 0, 0, 0, 2].into()),
    };
    assert!(router(1).continues_over(&router(2)));
    assert!(!over(1).continues_over(&over(2)));
    assert!(!NetworkPath::Unreachable.continues_over(&router(1)));
    assert!(NetworkPath::Unknown.continues_over(&router(1)));
}

#[test]
fn an_upstream_that_was_to_be_waited_for_is_tried_at_once_on_another_network() {
    // fault 150
    let stats = tell(&[FIRST, SECOND], async |scene| {
        begin(scene);
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        for round in 0..40 {
            assert_eq!(scene.get(&format!("n{round}.test")).await.rcode, 0);
            scene.world.sleep(ms(250)).await;
        }
        let before = scene.first.borrow().connections;
        assert_eq!(before, 0);
        scene.world.conditions(addr(FIRST), |w| w.refuses = false);
        paths(scene, FIRST, &[over(2)]);
        scene.world.sleep(Duration::from_nanos(1)).await;
        scene.get("a.test").await;
        scene.world.sleep(ms(100)).await;
        scene.get("b.test").await;
        assert_eq!(scene.first.borrow().connections, 1);
    });
    assert_eq!((stats.failed, stats.rerouted), (0, 0));
}

#[test]
fn nobody_is_asked_for_paths_while_nobody_tells_of_changes() {
    let stats = tell(&[FIRST], async |scene| {
        scene.world.set_paths(addr(FIRST).ip(), vec![over(1)]);
        assert_eq!(scene.get("a.test").await.rcode, 0);
        // It is not known over which network the connection was made: whether that has changed cannot be said.
        paths(scene, FIRST, &[over(2)]);
        scene.world.sleep(ms(10)).await;
        assert_eq!(scene.get("b.test").await.rcode, 0);
        assert_eq!(scene.first.borrow().connections, 1);
    });
    assert_eq!((stats.dials, stats.rerouted), (1, 0));
}

#[test]
fn what_was_learned_on_one_network_holds_there_alone() {
    // fault 152, req 129
    let stats = tell(&[FIRST], async |scene| {
        begin(scene);
        // On the first network idle connections are forgotten after four seconds.
        scene.first.borrow_mut().idle = Some(ms(4_000));
        for round in 0..4 {
            scene.get(&format!("n{round}.test")).await;
            scene.world.sleep(ms(5_000)).await;
        }
        let learned = scene.first.borrow().closed_idle;
        assert!(learned >= 1);
        // On the second they live, and are kept.
        scene.first.borrow_mut().idle = None;
        paths(scene, FIRST, &[over(2)]);
        scene.get("b.test").await;
        let before = scene.first.borrow().connections;
        scene.world.sleep(ms(7_000)).await;
        assert_eq!(scene.first.borrow().connections, before, "it is kept");
        assert_eq!(scene.world.held(addr(FIRST)), 1);
        // Back on the first one nothing has to be learned again.
        scene.first.borrow_mut().idle = Some(ms(4_000));
        paths(scene, FIRST, &[over(1)]);
        for round in 0..4 {
            scene.get(&format!("m{round}.test")).await;
            scene.world.sleep(ms(5_000)).await;
        }
        assert_eq!(scene.first.borrow().closed_idle, learned);
    });
    assert_eq!(stats.failed, 0);
}
