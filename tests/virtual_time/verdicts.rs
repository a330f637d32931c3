//! Stories of answers that are judged: which of them is final, when another upstream is asked, and when EDNS is left out.

use super::scene::{
    Act, Actor, Asked, FIRST, PROXY, SECOND, Scene, addr, asks_for_keepalive, direct, ede,
    has_edns, ms, query, tell, tell_with_cache,
};
use dotward::wire;
use std::time::Duration;

const SERVFAIL: u8 = 2;
const NOTIMP: u8 = 4;
const REFUSED: u8 = 5;
const BOGUS: u16 = 6;

fn asked(server: &Actor) -> usize {
    server.borrow().asked.len()
}

fn hour() -> Duration {
    Duration::from_secs(3600)
}

#[test]
fn a_failed_validation_is_final() {
    // fault 115: what does not validate at the first upstream is not asked of one that does not look.
    for code in [5, 6, 7, 8, 9, 10, 11, 12, 25, 27] {
        tell(&[FIRST, SECOND], async |scene| {
            direct(&scene.first, move |_| Act::Why(SERVFAIL, code));
            scene.get("up.test").await;
            let got = scene.get("a.test").await;
            assert_eq!((got.rcode, ede(&got.message)), (2, Some(code)));
            assert_eq!(asked(&scene.second), 0, "EDE {code}");
        });
    }
    // Any other reason is the server's own.
    for code in [0, 13, 22, 23] {
        tell(&[FIRST, SECOND], async |scene| {
            direct(&scene.first, move |_| Act::Why(SERVFAIL, code));
            assert_eq!(scene.get("a.test").await.rcode, 0, "EDE {code}");
        });
    }
}

#[test]
fn a_filters_verdict_is_final() {
    // fault 115
    for (rcode, code) in [(SERVFAIL, 15), (REFUSED, 16), (REFUSED, 17), (REFUSED, 18)] {
        tell(&[FIRST, SECOND], async |scene| {
            direct(&scene.first, move |_| Act::Why(rcode, code));
            let got = scene.get("a.test").await;
            assert_eq!((got.rcode, ede(&got.message)), (rcode.into(), Some(code)));
            assert_eq!(asked(&scene.second), 0, "EDE {code}");
        });
    }
}

#[test]
fn an_upstream_that_refuses_us_altogether_is_passed_over() {
    // fault 31: EDE 18 is also what a server says that does not know this client (RFC 8914 section 4.19).
    tell(&[FIRST, SECOND], async |scene| {
        direct(&scene.first, |_| Act::Why(REFUSED, 18));
        let mut refused = 0;
        for i in 0..100 {
            let got = scene.get(&format!("n{i}.test")).await;
            refused += usize::from(got.rcode != 0);
            scene.world.sleep(ms(100)).await;
        }
        assert!(refused <= 25, "{refused}");
    });
}

#[test]
fn a_validator_that_meets_many_bogus_names_is_well() {
    tell(&[FIRST, SECOND], async |scene| {
        direct(&scene.first, |_| Act::Why(SERVFAIL, BOGUS));
        for i in 0..100 {
            let got = scene.get(&format!("n{i}.test")).await;
            assert_eq!(ede(&got.message), Some(BOGUS));
            scene.world.sleep(ms(100)).await;
        }
        assert_eq!(asked(&scene.second), 0);
    });
}

#[test]
fn a_failed_validation_is_final_for_clients_without_edns() {
    // fault 115: the reason comes only with EDNS, so the same upstream is asked for it before another one is asked at all.
    tell(&[FIRST, SECOND], async |scene| {
        direct(&scene.first, |_| Act::Why(SERVFAIL, BOGUS));
        let got = scene.get_plain("a.test").await;
        assert_eq!((got.rcode, ede(&got.message)), (2, None));
        assert_eq!((asked(&scene.first), asked(&scene.second)), (2, 0));
        // Without such a reason the second one may know.
        direct(&scene.first, |_| Act::Why(SERVFAIL, 22));
        assert_eq!(scene.get_plain("b.test").await.rcode, 0);
        // An only answer that fails is no reason to ask twice.
    });
    tell(&[FIRST], async |scene| {
        direct(&scene.first, |_| Act::Why(SERVFAIL, BOGUS));
        assert_eq!(scene.get_plain("a.test").await.rcode, 2);
        assert_eq!(asked(&scene.first), 1);
    });
}

#[test]
fn a_failed_validation_is_not_covered_up_by_a_stale_answer() {
    // fault 115
    tell_with_cache(1 << 20, &[FIRST], async |scene: &mut Scene| {
        assert_eq!(scene.get("a.test").await.rcode, 0);
        assert_eq!(scene.get("b.test").await.rcode, 0);
        scene.world.sleep(hour()).await;
        direct(&scene.first, |_| Act::Why(SERVFAIL, BOGUS));
        for _ in 0..2 {
            let got = scene.get("a.test").await;
            assert_eq!((got.rcode, ede(&got.message)), (2, Some(BOGUS)));
            assert_eq!(scene.get_plain("b.test").await.rcode, 2);
        }
        // What was remembered until then is gone.
        scene.world.sleep(ms(10_000)).await;
        direct(&scene.first, |_| Act::Rcode(SERVFAIL));
        assert_eq!(scene.get("a.test").await.rcode, 2);
    });
}

#[test]
fn what_one_upstream_does_not_implement_the_next_may() {
    // fault 114
    tell(&[FIRST, SECOND], async |scene| {
        for act in [Act::Rcode(NOTIMP), Act::Rcode(1)] {
            direct(&scene.first, move |_| act);
            assert_eq!(scene.get("a.test").await.rcode, 0);
            assert_eq!(scene.get_plain("b.test").await.rcode, 0);
        }
    });
    // Where there is no other, the client is told.
    tell(&[FIRST], async |scene| {
        direct(&scene.first, |_| Act::Rcode(NOTIMP));
        assert_eq!(scene.get("a.test").await.rcode, 4);
    });
}

/// FORMERR without OPT for one name, and SERVFAIL if it comes without EDNS; an answer to everything else.
fn stumbles_over(name: &'static str) -> impl FnMut(&Asked) -> Act {
    move |asked| {
        if asked
            .query
            .windows(name.len())
            .all(|part| part != name.as_bytes())
        {
            Act::Answer
        } else if has_edns(&asked.query) {
            Act::RefuseEdns
        } else {
            Act::Rcode(SERVFAIL)
        }
    }
}

#[test]
fn one_name_does_not_cost_everybody_edns_for_a_week() {
    // fault 98
    let stats = tell(&[FIRST, SECOND], async |scene| {
        direct(&scene.first, stumbles_over("odd"));
        direct(&scene.second, stumbles_over("odd"));
        for minute in 0..7 * 24 * 60 {
            if minute % 60 == 0 {
                scene.get("odd.test").await;
            }
            scene.get("even.test").await;
            scene.world.sleep(ms(60_000)).await;
        }
        for server in [&scene.first, &scene.second] {
            let server = server.borrow();
            let plain = server.asked.iter().filter(|asked| !has_edns(&asked.query));
            let others = plain.filter(|asked| asked.query.windows(4).any(|part| part == b"even"));
            assert_eq!(others.count(), 0);
        }
    });
    assert!(stats.sent >= 10_080);
}

#[test]
fn a_useful_answer_without_edns_is_what_teaches_to_leave_it_out() {
    // fault 28, 98: learned by the first question, tried again after a minute at first, and never carried to another upstream.
    tell(&[FIRST, SECOND], async |scene| {
        let old = |asked: &Asked| {
            if has_edns(&asked.query) {
                Act::RefuseEdns
            } else {
                Act::Answer
            }
        };
        direct(&scene.first, old);
        assert_eq!(scene.get("a.test").await.rcode, 0);
        assert_eq!(asked(&scene.first), 2);
        for i in 0..10 {
            assert_eq!(scene.get(&format!("b{i}.test")).await.rcode, 0);
        }
        assert_eq!(asked(&scene.first), 12, "each is asked once");
        // A day of a question every ten seconds: it is tried again, but seldom.
        for i in 0..8_640 {
            assert_eq!(scene.get(&format!("c{i}.test")).await.rcode, 0);
            scene.world.sleep(ms(10_000)).await;
        }
        let tried = asked(&scene.first) - 12 - 8_640;
        assert!((50..=150).contains(&tried), "{tried}");
        // It learns EDNS: within a quarter of an hour it gets it again, although plain questions never stopped.
        direct(&scene.first, |_| Act::Answer);
        for i in 0..100 {
            scene.get(&format!("d{i}.test")).await;
            scene.world.sleep(ms(10_000)).await;
        }
        assert!(has_edns(&scene.first.borrow().asked.last().unwrap().query));
        assert_eq!(asked(&scene.second), 0);
    });
}

#[test]
fn an_option_that_is_never_answered_is_left_out() {
    // req 71: this upstream drops what has the keepalive option in it.
    let stats = tell(&[FIRST, SECOND], async |scene| {
        direct(&scene.first, |asked| {
            if asks_for_keepalive(&asked.query) {
                Act::Silence
            } else {
                Act::Answer
            }
        });
        for i in 0..20 {
            assert_eq!(scene.get(&format!("n{i}.test")).await.rcode, 0);
            // Each time on a fresh connection.
            scene.world.sleep(ms(60_000)).await;
        }
        let first = scene.first.borrow();
        let with = first
            .asked
            .iter()
            .filter(|asked| asks_for_keepalive(&asked.query));
        assert_eq!(with.count(), 2);
    });
    assert_eq!(stats.failed, 0);
}

#[test]
fn an_edns_flag_of_one_client_does_not_decide_what_others_get() {
    // fault 101: CO (RFC 9824), which this upstream refuses.
    let stats = tell_with_cache(1 << 20, &[FIRST], async |scene: &mut Scene| {
        direct(&scene.first, |asked| {
            let opt = wire::parse_query(&asked.query).unwrap().opt.unwrap();
            Act::Rcode(if opt.flags & 0x4000 != 0 { 3 } else { 0 })
        });
        scene.world.conditions(addr(FIRST), |w| w.latency = ms(20));
        let with = |id| {
            let mut query = query("a.test", id);
            let at = query.len() - 4;
            query[at] |= 0x40;
            query
        };
        // In flight together, and again from the cache: the one without records is not kept.
        scene.client.send(addr(PROXY), &with(0x1001));
        scene.client.send(addr(PROXY), &query("a.test", 0x1002));
        for _ in 0..2 {
            let got = scene.next().await;
            assert_eq!(got.rcode, if got.id == 0x1001 { 3 } else { 0 });
        }
        assert_eq!(asked(&scene.first), 2);
        scene.client.send(addr(PROXY), &with(0x1003));
        assert_eq!(scene.next().await.rcode, 3);
        assert_eq!(scene.get("a.test").await.rcode, 0);
    });
    assert_eq!(stats.hits, 1);
}
