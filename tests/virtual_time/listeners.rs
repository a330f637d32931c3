//! Stories of the host: addresses that come late, sockets that fail.

use super::scene::{FIRST, LATE, PROXY, addr, ms, query, tell, tell_with};
use dotward::config::{ConfigBuilder, Listen};
use dotward::runtime::Runtime;
use std::io::ErrorKind;

fn also_late(config: ConfigBuilder) -> ConfigBuilder {
    config.listen([PROXY, LATE].map(|at| Listen::from(addr(at))))
}

#[test]
fn a_socket_that_fails_to_receive_rests_and_is_bound_anew() {
    // fault 105
    for error in [ErrorKind::Other, ErrorKind::OutOfMemory] {
        tell(&[FIRST], async |scene| {
            for round in 0..3 {
                scene.get("a.test").await;
                let before = scene.world.receive_failures();
                scene.world.fail_to_receive(addr(PROXY), error);
                scene.world.sleep(ms(3_000)).await;
                let tries = scene.world.receive_failures() - before;
                assert!(tries <= 20, "{tries} tries in 3 s, round {round}");
                assert_eq!(scene.get("b.test").await.rcode, 0);
            }
        });
    }
}

#[test]
fn a_socket_whose_place_cannot_be_bound_at_once_comes_back_later() {
    // fault 105: the address went with its interface.
    tell(&[FIRST], async |scene| {
        scene.get("a.test").await;
        scene.world.set_absent(addr(PROXY).ip(), true);
        scene.world.fail_to_receive(addr(PROXY), ErrorKind::Other);
        scene.world.sleep(ms(60_000)).await;
        assert!(scene.world.receive_failures() <= 20);
        scene.world.set_absent(addr(PROXY).ip(), false);
        scene.world.sleep(ms(2_500)).await;
        assert_eq!(scene.get("b.test").await.rcode, 0);
    });
}

#[test]
fn an_address_that_comes_late_is_served_soon() {
    // fault 87: the start does not wait for it.
    tell_with(also_late, &[FIRST], async |scene| {
        assert_eq!(scene.get("a.test").await.rcode, 0);
        scene.client.send(addr(LATE), &query("b.test", 9));
        scene.assert_quiet(ms(30_000)).await;
        scene.world.set_absent(addr(LATE).ip(), false);
        scene.world.sleep(ms(2_500)).await;
        scene.client.send(addr(LATE), &query("b.test", 9));
        let (from, _) = scene.client.recv().await;
        assert_eq!(from, addr(LATE));
        scene.world.connect(addr(LATE)).await.expect("TCP, too");
    });
}

#[test]
fn nothing_to_serve_at_is_waited_for() {
    // fault 87
    let only_late = |config: ConfigBuilder| config.listen([addr(LATE).into()]);
    tell_with(only_late, &[FIRST], async |scene| {
        scene.world.sleep(ms(100_000)).await;
        scene.world.set_absent(addr(LATE).ip(), false);
        scene.world.sleep(ms(2_500)).await;
        scene.client.send(addr(LATE), &query("b.test", 9));
        assert_eq!(scene.client.recv().await.0, addr(LATE));
    });
}

#[test]
fn neighbours_in_a_network_of_the_host_may_ask_also_when_it_changes() {
    // req 27: a provider gives the LAN another prefix.
    let stats = tell(&[FIRST], async |scene| {
        let prefix = |text: &str| vec![text.parse().unwrap()];
        let rcode = async |scene: &mut super::scene::Scene, from: &str| {
            scene.client = scene.world.bind(addr(from), false).unwrap();
            scene.get("a.test").await.rcode
        };
        for (network, client) in [
            ("2001:db8:1::/64", "2001:db8:1::9"),
            ("2001:db8:2::/64", "2001:db8:2::9"),
        ] {
            scene.world.set_networks(prefix(network));
            scene.world.sleep(ms(10_000)).await;
            let at = |port| format!("[{client}]:{port}");
            assert_eq!(rcode(scene, &at(40_000)).await, 5, "then it is looked for");
            assert_eq!(rcode(scene, &at(40_001)).await, 0);
        }
        assert_eq!(rcode(scene, "[2001:db8:1::9]:40003").await, 5);
    });
    assert_eq!(stats.denied, 3);
}

#[test]
fn who_names_networks_serves_these_alone() {
    // req 27
    let named = |config: ConfigBuilder| {
        config.allow(["127.0.0.0/8".parse().unwrap()].into_iter().collect())
    };
    let stats = tell_with(named, &[FIRST], async |scene| {
        let network = "2001:db8:1::/64".parse().unwrap();
        scene.world.set_networks(vec![network]);
        scene.client = scene
            .world
            .bind(addr("[2001:db8:1::9]:40000"), false)
            .unwrap();
        assert_eq!(scene.get("a.test").await.rcode, 5);
    });
    assert_eq!(stats.denied, 1);
}
