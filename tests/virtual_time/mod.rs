//! Stories in virtual time: the real core and the real shell over a network in memory.

mod bootstrap;
mod cache;
#[cfg(feature = "captive")]
mod captive;
mod choosing;
mod crowds;
mod designation;
mod far;
mod isolation;
mod links;
#[cfg(feature = "listen-https")]
mod listen_https;
#[cfg(feature = "listen-tls")]
mod listen_tls;
mod listeners;
mod local_names;
mod manners;
mod networks;
mod outages;
mod plain_udp;
mod protocols;
mod reload;
mod routes;
mod scene;
mod split;
mod tcp_clients;
mod verdicts;

use dotward::runtime::Runtime;
use scene::{Act, FIRST, SECOND, addr, direct, ede, ms, tell, why};
use std::collections::HashSet;
use std::time::Duration;

const SERVFAIL: u16 = 2;

#[test]
fn everybody_who_waits_shares_one_dial() {
    let stats = tell(&[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.latency = ms(20));
        let ids: HashSet<u16> = (0..50).map(|i| scene.ask(&format!("n{i}.test"))).collect();
        let start = scene.world.now().mono;
        let mut answered = HashSet::new();
        for _ in 0..50 {
            let got = scene.next().await;
            assert_eq!(got.rcode, 0);
            assert!(answered.insert(got.id));
        }
        assert_eq!(answered, ids);
        // One round trip to connect, one for the questions.
        assert_eq!(scene.world.now().mono.since(start), ms(80));
        assert_eq!(scene.first.borrow().connections, 1);
    });
    assert_eq!((stats.answered, stats.sent, stats.dials), (50, 50, 1));
}

#[test]
fn identical_questions_in_flight_are_one_question() {
    // req 61: each still gets its own id and its own letter case. fault 62: a repeated datagram gets one answer.
    let stats = tell(&[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.latency = ms(20));
        let names = ["a.test", "A.test", "a.TEST"];
        let mut expected = HashSet::new();
        for i in 0..200 {
            expected.insert((scene.ask(names[i % 3]), names[i % 3]));
        }
        let repeated = scene::query("a.test", 1);
        scene.client.send(addr(scene::PROXY), &repeated);
        let mut got = HashSet::new();
        for _ in 0..200 {
            let answer = scene.next().await;
            let name = names.iter().find(|name| {
                let asked = scene::query(name, 0);
                answer.message[12..20] == asked[12..20]
            });
            got.insert((answer.id, *name.expect("one of the spellings")));
        }
        assert_eq!(got, expected);
        scene.assert_quiet(ms(10_000)).await;
        assert_eq!(scene.first.borrow().asked.len(), 1);
    });
    assert_eq!((stats.sent, stats.joined), (1, 199));
}

#[test]
fn an_idle_link_is_closed_before_the_server_does_it() {
    tell(&[FIRST], async |scene| {
        scene.first.borrow_mut().idle = Some(ms(10_000));
        for _ in 0..3 {
            assert_eq!(scene.get("a.test").await.rcode, 0);
            scene.world.sleep(ms(30_000)).await;
        }
        // They are made anew at once, as long as somebody asked within the last minute.
        let server = scene.first.borrow();
        // One, when after many it is tried whether it keeps them for longer.
        assert!(server.closed_idle <= 1);
        assert!(server.connections >= 3 && server.connections <= 15);
    });
}

#[test]
fn a_link_that_the_server_closed_while_idle_costs_nobody_an_answer() {
    // fault 1, 3
    let stats = tell(&[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.latency = ms(20));
        scene.first.borrow_mut().idle = Some(ms(4_000));
        for pause in [1_000, 3_990, 4_000, 4_010, 4_500, 8_000, 20_000] {
            let got = scene.get("a.test").await;
            assert_eq!(got.rcode, 0);
            assert!(got.after <= ms(120), "{:?} before {pause}", got.after);
            scene.world.sleep(ms(pause)).await;
        }
    });
    assert_eq!(stats.failed, 0);
}

#[test]
fn every_answer_followed_by_a_close_loses_nothing() {
    // fault 1
    let stats = tell(&[FIRST], async |scene| {
        direct(&scene.first, |_| Act::AnswerThenClose);
        for i in 0..100 {
            assert_eq!(scene.get(&format!("n{i}.test")).await.rcode, 0);
        }
        scene.get_many(100).await;
    });
    assert_eq!((stats.answered, stats.failed), (200, 0));
}

#[test]
fn a_close_after_every_few_answers_loses_nothing() {
    // fault 1, 34
    for few in 2..=20 {
        let stats = tell(&[FIRST], async |scene| {
            direct(&scene.first, move |asked| {
                if asked.in_all == few {
                    Act::AnswerThenClose
                } else {
                    Act::Answer
                }
            });
            scene.get_many(60).await;
        });
        assert_eq!((stats.answered, stats.failed), (60, 0), "{few}");
    }
}

#[test]
fn an_upstream_that_takes_one_question_at_a_time_is_learned() {
    // fault 34
    let stats = tell(&[FIRST], async |scene| {
        direct(&scene.first, |asked| {
            if asked.in_flight > 1 {
                Act::Close
            } else {
                Act::AnswerAfter(ms(5))
            }
        });
        scene.get_many(40).await;
    });
    assert_eq!((stats.answered, stats.failed), (40, 0));
}

#[test]
fn a_link_that_a_nat_forgot_is_replaced_within_a_moment() {
    // fault 8
    let stats = tell(&[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.latency = ms(10));
        assert_eq!(scene.get("a.test").await.rcode, 0);
        scene.world.sleep(ms(5_000)).await;
        scene.world.forget(addr(FIRST));
        let got = scene.get("b.test").await;
        assert_eq!(got.rcode, 0);
        // 250 ms of doubt, then a connection and the question once more.
        assert!(got.after <= ms(300), "{:?}", got.after);
    });
    assert_eq!((stats.failed, stats.resent), (0, 1));
}

#[test]
fn a_slow_name_on_a_living_link_is_asked_once() {
    let stats = tell(&[FIRST], async |scene| {
        scene.get("a.test").await;
        direct(&scene.first, |_| Act::AnswerAfter(ms(900)));
        assert_eq!(scene.get("slow.test").await.rcode, 0);
    });
    assert_eq!((stats.sent, stats.dials), (2, 1));
}

#[test]
fn the_second_upstream_answers_at_once_when_the_first_refuses() {
    // fault 4
    tell(&[FIRST, SECOND], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        let got = scene.get("a.test").await;
        assert_eq!(got.rcode, 0);
        assert!(got.after < ms(100));
        assert_eq!(scene.second.borrow().asked.len(), 1);
    });
}

#[test]
fn the_second_upstream_is_tried_when_connecting_to_the_first_takes_long() {
    // fault 6
    tell(&[FIRST, SECOND], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.swallows = true);
        let got = scene.get("a.test").await;
        assert_eq!(got.rcode, 0);
        assert!(got.after <= ms(500), "{:?}", got.after);
    });
}

#[test]
fn the_first_dies_with_questions_in_flight_then_comes_back() {
    let stats = tell(&[FIRST, SECOND], async |scene| {
        assert_eq!(scene.get("a.test").await.rcode, 0);
        direct(&scene.first, |_| Act::Silence);
        for i in 0..20 {
            scene.ask(&format!("n{i}.test"));
        }
        scene.world.sleep(ms(10)).await;
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        scene.world.reset(addr(FIRST));
        for _ in 0..20 {
            let got = scene.next().await;
            assert_eq!(got.rcode, 0);
            assert!(got.after < ms(100));
        }
        scene.world.conditions(addr(FIRST), |w| w.refuses = false);
        direct(&scene.first, |_| Act::Answer);
        let before = scene.first.borrow().asked.len();
        for _ in 0..30 {
            assert_eq!(scene.get("b.test").await.rcode, 0);
            scene.world.sleep(ms(1_000)).await;
        }
        let back = scene.first.borrow().asked.len() - before;
        assert!(back >= 15, "the preferred one is used again: {back}");
    });
    assert_eq!(stats.failed, 0);
}

#[test]
fn a_silent_upstream_is_helped_out_by_the_other() {
    // fault 7, 30, 31
    tell(&[FIRST, SECOND], async |scene| {
        direct(&scene.first, |_| Act::Silence);
        let got = scene.get("a.test").await;
        assert_eq!(got.rcode, 0);
        assert!(got.after <= ms(2_000), "{:?}", got.after);
        direct(&scene.first, |_| Act::Rcode(2));
        assert_eq!(scene.get("b.test").await.rcode, 0);
        direct(&scene.first, |_| Act::Rcode(5));
        assert_eq!(scene.get("c.test").await.rcode, 0);
        direct(&scene.second, |_| Act::Rcode(5));
        assert_eq!(scene.get("d.test").await.rcode, 5, "all refuse");
    });
}

#[test]
fn when_all_are_down_the_answer_says_so_in_time() {
    // fault 47, 48; req 74
    let stats = tell(&[FIRST, SECOND], async |scene| {
        for at in [FIRST, SECOND] {
            scene.world.conditions(addr(at), |w| w.refuses = true);
        }
        let got = scene.get("a.test").await;
        assert_eq!((got.rcode, ede(&got.message)), (SERVFAIL, Some(22)));
        assert!(got.after <= ms(1_100), "{:?}", got.after);
        for at in [FIRST, SECOND] {
            scene.world.conditions(addr(at), |w| {
                w.refuses = false;
                w.swallows = true;
            });
        }
        let got = scene.get("b.test").await;
        assert_eq!(got.rcode, SERVFAIL);
        assert!(matches!(ede(&got.message), Some(22 | 23)));
        assert!(got.after <= ms(4_000), "{:?}", got.after);
    });
    assert_eq!(stats.failed, 2);
}

#[test]
fn a_question_that_nobody_answers_ends_at_its_deadline() {
    tell(&[FIRST], async |scene| {
        direct(&scene.first, |_| Act::Silence);
        let got = scene.get("a.test").await;
        assert_eq!((got.rcode, ede(&got.message)), (SERVFAIL, Some(23)));
        assert!(got.after <= ms(4_000), "{:?}", got.after);
        scene.assert_quiet(ms(20_000)).await;
    });
}

#[test]
fn clients_are_told_which_upstream_failed_and_why() {
    // fault 36, 47
    tell(&[FIRST, SECOND], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        scene.world.conditions(addr(SECOND), |w| w.swallows = true);
        let told = why(&scene.get("a.test").await.message);
        let words = "tcp://192.0.2.1:53: cannot connect: connection refused; tcp://192.0.2.2:53: not connected in time";
        assert_eq!(told, Some((22, words.into())));
        scene.world.conditions(addr(SECOND), |w| w.swallows = false);
        direct(&scene.second, |_| Act::Silence);
        let told = why(&scene.get("b.test").await.message);
        let words = "tcp://192.0.2.1:53: cannot connect: connection refused; tcp://192.0.2.2:53: no answer in time";
        assert_eq!(told, Some((23, words.into())));
        // What was wrong is forgotten once there is an answer.
        direct(&scene.second, |_| Act::Answer);
        assert_eq!(scene.get("c.test").await.rcode, 0);
        direct(&scene.second, |_| Act::Silence);
        let told = why(&scene.get("d.test").await.message);
        assert_eq!(told, Some((23, words.into())));
    });
}

#[test]
fn a_long_outage_costs_few_connects_and_ends_at_once() {
    // fault 48: ten minutes at five questions a second; then the upstream is back.
    let stats = tell(&[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        for i in 0..3_000 {
            scene.ask(&format!("n{i}.test"));
            scene.world.sleep(ms(200)).await;
        }
        let connects = scene.world.connects();
        assert!(connects <= 1_200, "{connects} connects in 600 s");
        scene.world.conditions(addr(FIRST), |w| w.refuses = false);
        let back = scene.world.now().mono;
        let mut failed = 0;
        loop {
            let id = scene.ask("back.test");
            let mut got = scene.next().await;
            while got.id != id {
                got = scene.next().await;
            }
            if got.rcode == 0 {
                break;
            }
            failed += 1;
        }
        let took = scene.world.now().mono.since(back);
        assert!(took <= Duration::from_secs(2), "{took:?}, {failed} failed");
    });
    assert!(stats.dials <= 1_200);
}

#[test]
fn a_question_is_sent_a_few_times_at_most() {
    let stats = tell(&[FIRST, SECOND], async |scene| {
        for server in [scene.first.clone(), scene.second.clone()] {
            direct(&server, |_| Act::Close);
        }
        let got = scene.get("a.test").await;
        assert_eq!(got.rcode, SERVFAIL);
        scene.assert_quiet(ms(10_000)).await;
    });
    assert!(stats.sent <= 5, "{}", stats.sent);
    assert_eq!(stats.failed, 1);
}

#[test]
fn what_simple_dns_cannot_read_is_forwarded_all_the_same() {
    // req 12, 23: simple-dns reads each question; its refusal is counted, and decides nothing.
    let stats = tell(&[FIRST], async |scene| {
        assert_eq!(scene.get("a.test").await.rcode, 0);
        let mut query = scene::query("b.test", 9);
        // QTYPE 65280
        query[20..22].copy_from_slice(&[0xff, 0]);
        scene.client.send(addr(scene::PROXY), &query);
        let got = scene.next().await;
        assert_eq!((got.id, got.rcode), (9, 0));
        assert_eq!(
            scene.first.borrow().asked.last().unwrap().query[2..],
            query[2..]
        );
    });
    assert_eq!((stats.sent, stats.opaque), (2, 1));
}

#[test]
fn an_upstream_without_edns_is_asked_without_it() {
    // req 40, fault 28: asked once more without EDNS, and from then on at once.
    let stats = tell(&[FIRST], async |scene| {
        direct(&scene.first, |asked| {
            let has_opt = asked.query[11] > 0;
            if has_opt {
                Act::RefuseEdns
            } else {
                Act::Answer
            }
        });
        for name in ["a.test", "b.test"] {
            let got = scene.get(name).await;
            assert_eq!(got.rcode, 0);
            let opt = dotward::wire::parse_response(&got.message).unwrap().opt;
            assert!(opt.is_some(), "the client sent one, so it gets one");
        }
    });
    assert_eq!(stats.sent, 3);
}

#[test]
fn one_poisonous_question_does_not_cost_the_others_their_answers() {
    // An upstream that closes at one question has no bound on all questions.
    let stats = tell(&[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.latency = ms(20));
        direct(&scene.first, |asked| {
            if asked.query.windows(6).any(|octets| octets == b"poison") {
                Act::Close
            } else {
                Act::Answer
            }
        });
        scene.get("a.test").await;
        scene.ask("poison.test");
        assert_eq!(scene.next().await.rcode, SERVFAIL);
        for i in 0..1_000 {
            scene.ask(&format!("n{i}.test"));
            scene.world.sleep(ms(10)).await;
        }
        scene.world.sleep(ms(5_000)).await;
    });
    assert_eq!(stats.failed, 1, "{} dials", stats.dials);
}

#[test]
fn a_question_for_the_second_upstream_does_not_hold_up_those_for_the_first() {
    tell(&[FIRST, SECOND], async |scene| {
        scene.world.conditions(addr(SECOND), |w| w.swallows = true);
        scene.get("w.test").await;
        direct(&scene.first, |_| Act::Rcode(2));
        scene.ask("servfail.test");
        scene.world.sleep(ms(10)).await;
        scene.world.reset(addr(FIRST));
        direct(&scene.first, |_| Act::Answer);
        let id = scene.ask("good.test");
        let start = scene.world.now().mono;
        while scene.next().await.id != id {}
        let took = scene.world.now().mono.since(start);
        assert!(took <= ms(300), "{took:?}");
    });
}

#[test]
fn two_questions_at_once_to_a_server_without_edns_are_both_answered() {
    // req 40: both were sent with EDNS before the first refusal came.
    tell(&[FIRST], async |scene| {
        direct(&scene.first, |asked| {
            let has_opt = asked.query[11] > 0;
            if has_opt {
                Act::RefuseEdns
            } else {
                Act::Answer
            }
        });
        scene.ask("a.test");
        scene.ask("b.test");
        let rcodes = (scene.next().await.rcode, scene.next().await.rcode);
        assert_eq!(rcodes, (0, 0));
    });
}
