//! Stories of an upstream that is known by name, and of networks where only one of UDP and TCP works.

use super::scene::{FIRST, Scene, addr, ms, tell_with, upstream};
use crate::support::codes::A;
use crate::support::memory::Datagrams;
use crate::support::memory::conditions::Way;
use crate::support::messages::response_to;
use dotward::config::{ConfigBuilder, Host};
use dotward::runtime::Runtime;
use dotward::wire;
use futures::future::{Either, select};
use std::pin::pin;

/// Who knows where the upstream is.
pub const RESOLVER: &str = "192.0.2.53:53";

fn by_name(config: ConfigBuilder) -> ConfigBuilder {
    let host = Host::new("dns.test", addr(FIRST).port()).unwrap();
    let upstream = upstream(FIRST).with_host(host);
    config.bootstrap([addr(RESOLVER)]).upstreams([upstream])
}

/// An answer to a bootstrap question, with the address of the first upstream if one was asked for.
fn answered(query: &[u8], flags: u16) -> Vec<u8> {
    let question = wire::parse_query(query).expect("a good query").question;
    let plain = response_to(query).on(flags);
    let answer = match question.qtype {
        A => plain.a(300, [192, 0, 2, 1]),
        _ => plain,
    };
    answer.build()
}

/// The story, with a resolver that speaks UDP alone and answers what `reply` makes of a query.
pub async fn with_udp_resolver(
    scene: &mut Scene,
    story: impl AsyncFnOnce(&mut Scene),
    mut reply: impl FnMut(&Datagrams, std::net::SocketAddr, &[u8]),
) {
    let mut resolver = scene.world.bind(addr(RESOLVER), false).unwrap();
    let resolving = pin!(async {
        loop {
            let (from, query) = resolver.recv().await;
            reply(&resolver, from, &query);
        }
    });
    let told = pin!(story(scene));
    match select(told, resolving).await {
        Either::Left(((), _)) => {}
        Either::Right(_) => unreachable!("it resolves for ever"),
    }
}

#[test]
fn a_resolver_without_tcp_is_asked_over_udp() {
    // fault 85: a home router's proxy refuses TCP, or drops it.
    for drops in [false, true] {
        tell_with(by_name, &[FIRST], async |scene| {
            scene.world.conditions(addr(RESOLVER), |w| w.refuses = true);
            if drops {
                scene.world.conditions(addr(RESOLVER), |w| {
                    (w.refuses, w.one_way) = (false, Some(Way::Down));
                });
            }
            let ask = async |scene: &mut Scene| {
                let got = scene.get("a.test").await;
                assert_eq!(got.rcode, 0);
                assert!(got.after <= ms(500), "{:?}", got.after);
            };
            with_udp_resolver(scene, ask, |socket, from, query| {
                socket.send(from, &answered(query, 0));
            })
            .await;
        });
    }
}

#[test]
fn only_the_resolvers_own_answer_to_the_question_counts() {
    // RFC 5452 section 9.1: another source, another id, another question.
    let mut asked = Vec::new();
    tell_with(by_name, &[FIRST], async |scene| {
        let forger = scene.world.bind(addr("198.51.100.1:53"), false).unwrap();
        let ask = async |scene: &mut Scene| {
            assert_eq!(scene.get("a.test").await.rcode, 2);
        };
        with_udp_resolver(scene, ask, |socket, from, query| {
            asked.push(query.to_vec());
            forger.send(from, &answered(query, 0));
            let (mut other_id, mut other_name) = (answered(query, 0), answered(query, 0));
            other_id[1] ^= 1;
            other_name[13] ^= 1;
            socket.send(from, &other_id);
            socket.send(from, &other_name);
        })
        .await;
    });
    assert!(asked.len() >= 4, "both questions are repeated");
    assert_ne!(asked[0][..2], asked[1][..2], "an id each");
}
