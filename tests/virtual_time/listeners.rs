//! Stories of the host: addresses that come late, sockets that fail.

use super::scene::{FIRST, LATE, PROXY, addr, ms, query, tell, tell_with};
use dotward::config::{Config, Listen};
use dotward::runtime::Runtime;
use std::io::ErrorKind;

fn also_late(config: &mut Config) {
    config.listen.push(Listen {
        addr: addr(LATE),
        required: true,
    });
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
    let only_late = |config: &mut Config| {
        config.listen.clear();
        also_late(config);
    };
    tell_with(only_late, &[FIRST], async |scene| {
        scene.world.sleep(ms(100_000)).await;
        scene.world.set_absent(addr(LATE).ip(), false);
        scene.world.sleep(ms(2_500)).await;
        scene.client.send(addr(LATE), &query("b.test", 9));
        assert_eq!(scene.client.recv().await.0, addr(LATE));
    });
}
