//! Stories of an upstream that is reached over plain UDP.

use super::scene::{Act, FIRST, SECOND, Scene, addr, direct, ms, tell_with, upstream};
use crate::support::memory::Memory;
use crate::support::messages::address_or_error;
use dotward::config::{ConfigBuilder, Upstream};
use dotward::runtime::Runtime;
use dotward::transports::SCHEMES;
use futures::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

const SERVFAIL: u16 = 2;
/// The header of a response that is truncated.
const TRUNCATED: u16 = 0x8380;

/// The first upstream over UDP.
fn over_udp() -> Upstream {
    Upstream::parse(&format!("udp://{FIRST}"), SCHEMES).unwrap()
}

/// That one alone.
fn alone(config: ConfigBuilder) -> ConfigBuilder {
    config.upstreams([over_udp()])
}

/// Tells a story while the first upstream answers every datagram so.
async fn with_server(
    scene: &mut Scene,
    answer: impl Fn(&Memory, &[u8]) -> Vec<u8>,
    story: impl AsyncFnOnce(&mut Scene),
) {
    let world = scene.world.clone();
    let mut socket = world.bind(addr(FIRST), false).unwrap();
    let serve = async {
        loop {
            let (from, query) = socket.recv().await;
            socket.send(from, &answer(&world, &query));
        }
    };
    match select(pin!(story(scene)), pin!(serve)).await {
        Either::Left(((), _)) => {}
        Either::Right(((), _)) => unreachable!("a server never ends"),
    }
}

#[test]
fn a_tenth_of_the_datagrams_may_be_lost() {
    let well = |_: &Memory, query: &[u8]| address_or_error(query, 0).build();
    tell_with(alone, &[FIRST], async |scene| {
        with_server(scene, well, async |scene| {
            scene.world.conditions(addr(FIRST), |w| {
                w.latency = ms(5);
                w.loss = 10;
            });
            let names = (0..500).map(|n| (ms(20 * n), format!("n{n}.test")));
            let played = scene.play(names).await;
            let failed = played.iter().filter(|one| one.rcode != 0).count();
            assert_eq!((played.len(), failed), (500, 0));
            let slow = played.iter().filter(|one| one.took > ms(1_000)).count();
            assert!(slow <= 10, "{slow} of 500");
        })
        .await;
    });
}

#[test]
fn a_tcp_connection_that_meets_silence_is_waited_for_without_work() {
    let truncated = |world: &Memory, query: &[u8]| {
        world.conditions(addr(FIRST), |w| w.swallows = true);
        address_or_error(query, 0).on(TRUNCATED).build()
    };
    tell_with(alone, &[FIRST], async |scene| {
        with_server(scene, truncated, async |scene| {
            let got = scene.get("a.test").await;
            assert_eq!(got.rcode, SERVFAIL);
            assert!(got.after <= Duration::from_secs(4), "{:?}", got.after);
        })
        .await;
    });
}

#[test]
fn where_no_tcp_is_to_be_had_another_upstream_is_asked_at_once() {
    let truncated = |_: &Memory, query: &[u8]| address_or_error(query, 0).on(TRUNCATED).build();
    let both = |config: ConfigBuilder| config.upstreams([over_udp(), upstream(SECOND)]);
    tell_with(both, &[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        direct(&scene.second, |_| Act::Answer);
        with_server(scene, truncated, async |scene| {
            let got = scene.get("a.test").await;
            assert_eq!(got.rcode, 0);
            assert!(got.after <= ms(10), "{:?}", got.after);
        })
        .await;
    });
}
