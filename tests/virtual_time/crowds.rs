//! Stories of clients on other machines that have more questions in flight than one may have.

use super::scene::{Act, FIRST, Got, PROXY, Scene, addr, direct, ede, ms, query, tell, tell_with};
use crate::support::reading::extra_text;
use dotward::config::ConfigBuilder;
use dotward::runtime::Runtime;
use dotward::wire;

const SERVFAIL: u16 = 2;
/// A client on another machine.
const AFAR: &str = "192.168.1.7:40000";

/// Lets the story's client be on another machine.
fn move_away(scene: &mut Scene) {
    scene.client = scene.world.bind(addr(AFAR), false).unwrap();
}

fn at_most(questions: usize) -> impl FnOnce(ConfigBuilder) -> ConfigBuilder {
    move |config| config.max_in_flight_per_client(questions)
}

/// Was it turned away at once, for a reason that is nobody else's fault?
fn is_turned_away(got: &Got) -> bool {
    // What an upstream answers without a reason has the same code, and other words.
    let is_bound = extra_text(&got.message).starts_with("too many queries in flight");
    got.rcode == SERVFAIL && is_bound && got.after.is_zero()
}

#[test]
fn answers_that_pile_up_for_one_client_are_bounded() {
    // fault 64: somebody forges a client's address and asks for slow names, to have all answers hit it together.
    let stats = tell(&[FIRST], async |scene| {
        direct(&scene.first, |asked| {
            if asked.query[13..].starts_with(b"slow") {
                Act::AnswerAfter(ms(2_000))
            } else {
                Act::Answer
            }
        });
        let mut near = scene.world.bind(addr("127.0.0.1:50000"), false).unwrap();
        let mut far = scene.world.bind(addr("192.168.1.8:40000"), false).unwrap();
        move_away(scene);
        for i in 0..1_500 {
            scene.ask(&format!("slow{i}.test"));
        }
        for _ in 0..500 {
            assert!(is_turned_away(&scene.next().await));
        }
        // Others have room all the while.
        for (id, client) in [&mut near, &mut far].into_iter().enumerate() {
            client.send(addr(PROXY), &query(&format!("n{id}.test"), 1));
            let (_, message) = client.recv().await;
            assert_eq!(wire::parse_response(&message).unwrap().rcode().0, 0);
        }
        for _ in 0..1_000 {
            let got = scene.next().await;
            assert_eq!(got.rcode, 0);
            assert!(got.after <= ms(4_000), "{:?}", got.after);
        }
        scene.assert_quiet(ms(10_000)).await;
    });
    let counted = (stats.shed_per_client, stats.shed, stats.answered);
    assert_eq!(counted, (500, 0, 1_002));
}

#[test]
fn room_comes_back_however_a_question_ends() {
    // fault 64: answered, refused, with its link lost, or at its deadline.
    for end in [Act::Answer, Act::Rcode(2), Act::Close, Act::Silence] {
        let stats = tell_with(at_most(2), &[FIRST], async |scene| {
            move_away(scene);
            for round in 0..3 {
                direct(&scene.first, move |_| end);
                // Two of one name are two, though they are asked as one.
                let names = [&format!("a{round}.test"), &format!("b{round}.test")];
                for name in [names[0], names[round % 2]] {
                    scene.ask(name);
                }
                assert!(is_turned_away(&scene.get("more.test").await), "{end:?}");
                for _ in 0..2 {
                    assert!(!is_turned_away(&scene.next().await), "{end:?}");
                }
                scene.assert_quiet(ms(20_000)).await;
            }
        });
        assert_eq!(stats.shed_per_client, 3, "{end:?}");
    }
}

#[test]
fn room_comes_back_when_no_upstream_can_be_reached() {
    // fault 64
    let stats = tell_with(at_most(2), &[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        move_away(scene);
        for _ in 0..3 {
            for name in ["a.test", "b.test"] {
                scene.ask(name);
            }
            for _ in 0..2 {
                assert_eq!(ede(&scene.next().await.message), Some(22));
            }
        }
    });
    assert_eq!((stats.shed_per_client, stats.failed), (0, 6));
}

#[test]
fn who_got_an_answer_out_of_date_has_room_again() {
    // fault 64: the question itself is in flight still, to learn the fresh answer, but its client does not wait any more.
    let both = |config: ConfigBuilder| at_most(1)(config).cache_bytes(1 << 20);
    let stats = tell_with(both, &[FIRST], async |scene| {
        move_away(scene);
        scene.get("a.test").await;
        scene.world.sleep(ms(301_000)).await;
        direct(&scene.first, |_| Act::Silence);
        let id = scene.ask("a.test");
        assert!(is_turned_away(&scene.get("b.test").await));
        let got = scene.next().await;
        assert_eq!((got.id, got.rcode), (id, 0));
        direct(&scene.first, |_| Act::Answer);
        assert_eq!(scene.get("b.test").await.rcode, 0);
    });
    assert_eq!((stats.stale, stats.shed_per_client), (1, 1));
}

#[test]
fn answers_from_the_cache_are_beyond_the_bound() {
    // fault 64
    let both = |config: ConfigBuilder| at_most(1)(config).cache_bytes(1 << 20);
    let stats = tell_with(both, &[FIRST], async |scene| {
        move_away(scene);
        scene.get("known.test").await;
        direct(&scene.first, |_| Act::Silence);
        scene.ask("slow.test");
        for _ in 0..100 {
            assert_eq!(scene.get("known.test").await.rcode, 0);
        }
        assert!(is_turned_away(&scene.get("other.test").await));
    });
    assert_eq!((stats.hits, stats.shed_per_client), (100, 1));
}

#[test]
fn an_ipv6_network_is_one_client_and_loopback_is_none() {
    // fault 64
    let stats = tell_with(at_most(1), &[FIRST], async |scene| {
        direct(&scene.first, |_| Act::Silence);
        let senders = [
            ("[fd00:0:0:1::1]:40000", false),
            ("[fd00:0:0:1::2]:40000", true),
            ("[fd00:0:0:2::1]:40000", false),
            ("192.168.1.1:40000", false),
            ("[::ffff:192.168.1.1]:50000", true),
            ("[::1]:40000", false),
            ("[::1]:50000", false),
            ("127.0.0.1:50000", false),
            ("[::ffff:127.0.0.1]:60000", false),
        ];
        for (number, (from, over)) in senders.into_iter().enumerate() {
            scene.client = scene.world.bind(addr(from), false).unwrap();
            scene.ask(&format!("n{number}.test"));
            if over {
                assert!(is_turned_away(&scene.next().await), "{from}");
            } else {
                scene.assert_quiet(ms(10)).await;
            }
        }
    });
    assert_eq!((stats.shed_per_client, stats.failed), (2, 7));
}
