//! Stories of trouble that stays its own: a slow name, names that end connections, upstreams that cannot be used.

use super::scene::{Act, Asked, FIRST, Played, SECOND, Scene, addr, direct, ms, tell, tell_with};
use dotward::config::{ConfigBuilder, Policy};
use dotward::engine::Time;
use dotward::runtime::Runtime;
use std::collections::HashSet;
use std::time::Duration;

const NOERROR: u16 = 0;

/// So many questions a second for so many seconds; those of `odd` are spread among them.
fn paced(good: u64, odd: u64, seconds: u64) -> Vec<(Duration, String)> {
    let each = |rate: u64, name: &str| {
        let question = |i: u64| (ms(i * 1_000 / rate), format!("{name}{i}.test"));
        (0..rate * seconds).map(question).collect::<Vec<_>>()
    };
    let mut all = each(good, "good");
    if odd > 0 {
        all.extend(each(odd, "odd"));
    }
    all.sort();
    all
}

fn is_odd(asked: &Asked) -> bool {
    asked.query[13..].starts_with(b"odd")
}

/// The first upstream does this with odd names, and answers the others after 10 ms.
fn odd_ones(scene: &Scene, act: Act) {
    scene.world.conditions(addr(FIRST), |w| w.latency = ms(20));
    direct(&scene.first, move |asked| {
        if is_odd(asked) {
            act
        } else {
            Act::AnswerAfter(ms(10))
        }
    });
}

fn good(played: &[Played]) -> Vec<&Played> {
    let good = |one: &&Played| one.name.starts_with("good");
    played.iter().filter(good).collect()
}

fn failed(played: &[Played]) -> Vec<&Played> {
    let mut good = good(played);
    good.retain(|one| one.rcode != NOERROR);
    good
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn a_slow_name_of_an_upstream_that_answers_in_order_does_not_hold_up_others() {
    // fault 94
    let mut connections = 0;
    tell(&[FIRST], async |scene| {
        scene.first.borrow_mut().in_order = true;
        odd_ones(scene, Act::AnswerAfter(ms(6_000)));
        scene.get("good.test").await;
        let mut questions = paced(20, 0, 12);
        questions.push((ms(1_010), "odd1.test".into()));
        questions.sort();
        let played = scene.play(questions).await;
        assert!(failed(&played).is_empty(), "{:?}", failed(&played));
        let slowest = good(&played).iter().map(|one| one.took).max();
        assert!(slowest <= Some(ms(1_300)), "{slowest:?}");
        connections = scene.first.borrow().connections;
    });
    // One for the others, one for the slow question, and as the upstream is known then, a second one for all once the first is closed.
    assert!(connections <= 4, "{connections}");
}

#[test]
fn an_upstream_that_answers_in_order_is_remembered_as_such() {
    // fault 94: the second slow name holds up others for a quarter of a second instead of one.
    tell(&[FIRST], async |scene| {
        scene.first.borrow_mut().in_order = true;
        odd_ones(scene, Act::AnswerAfter(ms(6_000)));
        scene.get("good.test").await;
        let mut questions = paced(50, 0, 20);
        for at in [1_000, 10_000, 14_000] {
            questions.push((ms(at), format!("odd{at}.test")));
        }
        questions.sort();
        let played = scene.play(questions).await;
        assert!(failed(&played).is_empty(), "{:?}", failed(&played));
        let late = |from: u64| {
            let late = |one: &&&Played| one.asked >= ms(from) && one.took > ms(500);
            good(&played).iter().filter(late).count()
        };
        assert!(late(0) > 0, "the first time it is not known");
        assert_eq!(late(9_000), 0);
    });
}

#[test]
fn names_that_end_connections_teach_no_bound() {
    // fault 96: ten a second for four seconds, then the upstream behaves.
    for seed in 0..4 {
        tell(&[FIRST], async |scene| {
            odd_ones(scene, Act::Close);
            scene.world.sleep(ms(seed * 7)).await;
            let mut questions = paced(50, 0, 20);
            questions.extend(
                paced(1, 10, 4)
                    .into_iter()
                    .filter(|(_, name)| name.starts_with("odd")),
            );
            questions.sort();
            let played = scene.play(questions).await;
            assert!(failed(&played).is_empty(), "{:?}", failed(&played));
            let after = good(&played);
            let after = after.iter().filter(|one| one.asked >= ms(6_000));
            let after: Vec<_> = after.collect();
            assert!(after.iter().all(|one| one.rcode == NOERROR));
            let usual = median(after.iter().map(|one| one.took));
            assert!(usual <= ms(60), "{usual:?}");
        });
    }
}

#[test]
fn names_that_are_answered_and_end_connections_harm_nobody() {
    // fault 97: ten a second, beside 200 others.
    tell(&[FIRST], async |scene| {
        odd_ones(scene, Act::AnswerThenClose);
        let played = scene.play(paced(200, 10, 10)).await;
        let failed = failed(&played);
        assert!(failed.is_empty(), "{} failed: {failed:?}", failed.len());
    });
}

#[test]
fn names_that_end_connections_of_a_near_upstream_harm_nobody() {
    // fault 93: ten a second, beside 100 others. Each of their connections ends within a few milliseconds of its connect.
    tell(&[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.latency = ms(1));
        direct(&scene.first, |asked| {
            if is_odd(asked) {
                Act::Close
            } else {
                Act::AnswerAfter(ms(50))
            }
        });
        let played = scene.play(paced(100, 10, 10)).await;
        let failed = failed(&played);
        assert!(failed.is_empty(), "{} failed: {failed:?}", failed.len());
    });
}

#[test]
fn an_upstream_that_ends_every_connection_gets_few_of_them() {
    // fault 102: 300 questions a second for ten seconds, alone and with a healthy second upstream.
    for (upstreams, fails) in [(&[FIRST][..], true), (&[FIRST, SECOND], false)] {
        tell(upstreams, async |scene| {
            scene.world.conditions(addr(FIRST), |w| w.latency = ms(5));
            direct(&scene.first, |_| Act::Close);
            let played = scene.play(paced(300, 0, 10)).await;
            let connections = scene.first.borrow().connections;
            // Two a second, and two before the back-off begins.
            assert!(connections <= 22, "{connections}");
            assert_eq!(!failed(&played).is_empty(), fails);
        });
    }
}

#[test]
fn a_healthy_upstream_behind_dead_ones_is_always_reached() {
    // fault 95: three that refuse or are mute, and one question every second to every twelve.
    for &(_, policy) in Policy::ALL {
        for mute in [false, true] {
            let dead = ["192.0.2.71:53", "192.0.2.72:53", "192.0.2.73:53"];
            let upstreams: Vec<&str> = dead.into_iter().chain([FIRST]).collect();
            let tweak = |config: ConfigBuilder| config.policy(policy);
            tell_with(tweak, &upstreams, async |scene| {
                for at in dead {
                    scene.world.conditions(addr(at), |w| {
                        w.refuses = !mute;
                        w.swallows = mute;
                    });
                }
                for pause in [1, 2, 5, 12, 12, 1, 1, 12, 60, 1] {
                    let got = scene.get("a.test").await;
                    assert_eq!(got.rcode, NOERROR, "{policy:?}, mute: {mute}");
                    assert!(got.after <= ms(1_000), "{:?}", got.after);
                    scene.world.sleep(Duration::from_secs(pause)).await;
                }
            });
        }
    }
}

#[test]
fn a_client_that_asks_every_few_seconds_waits_for_no_handshake() {
    // fault 112: the upstream closes what is idle for four seconds.
    let stats = tell(&[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.latency = ms(20));
        scene.first.borrow_mut().idle = Some(ms(4_000));
        scene.get("a.test").await;
        for i in 0..20 {
            scene.world.sleep(ms(6_000)).await;
            let got = scene.get("a.test").await;
            assert_eq!((got.rcode, got.after), (NOERROR, ms(40)), "question {i}");
        }
        scene.world.sleep(Duration::from_secs(130)).await;
        let at_rest = scene.first.borrow().connections;
        scene.world.sleep(Duration::from_secs(600)).await;
        assert_eq!(scene.first.borrow().connections, at_rest);
    });
    assert_eq!(stats.failed, 0);
}

/// Until then the first upstream answers nothing, and then it closes what was opened before.
fn stalls_until(scene: &Scene, end: Time) {
    let world = scene.world.clone();
    direct(&scene.first, move |_| match end.since(world.now().mono) {
        Duration::ZERO => Act::Answer,
        left => Act::CloseAfter(left),
    });
}

fn together(count: usize) -> Vec<(Duration, String)> {
    (0..count)
        .map(|i| (ms(0), format!("good{i}.test")))
        .collect()
}

#[test]
fn an_upstream_that_stalls_and_is_back_in_time_costs_no_answer() {
    // fault 3, 95: alone, and before a second one that cannot be reached.
    for stall in (500..3_500).step_by(100) {
        for upstreams in [&[FIRST][..], &[FIRST, SECOND]] {
            no_answer_is_lost(upstreams, ms(stall));
        }
    }
}

fn no_answer_is_lost(upstreams: &[&str], stall: Duration) {
    tell(upstreams, async |scene| {
        scene.world.conditions(addr(SECOND), |w| w.swallows = true);
        scene.get("up.test").await;
        stalls_until(scene, scene.world.now().mono + stall);
        let played = scene.play(together(5)).await;
        let failed = failed(&played);
        assert!(failed.is_empty(), "{upstreams:?} {stall:?}: {failed:?}");
    });
}

#[test]
fn a_malformed_answer_is_asked_for_again_although_a_second_upstream_cannot_be_reached() {
    // fault 17
    for swallows in [false, true] {
        tell(&[FIRST, SECOND], async |scene| {
            scene.world.conditions(addr(SECOND), |w| {
                (w.swallows, w.refuses) = (swallows, !swallows);
            });
            let mut seen = HashSet::new();
            direct(&scene.first, move |asked| {
                let is_new = seen.insert(asked.query[12..20].to_vec());
                if is_new { Act::Malformed } else { Act::Answer }
            });
            let played = scene.play(together(3)).await;
            assert!(failed(&played).is_empty(), "{:?}", failed(&played));
            let slowest = played.iter().map(|one| one.took).max();
            assert!(slowest <= Some(ms(1_600)), "{slowest:?}");
        });
    }
}

#[test]
fn an_upstream_that_answers_nothing_that_was_asked_is_passed_over() {
    // fault 10: every answer has another id.
    tell(&[FIRST, SECOND], async |scene| {
        direct(&scene.first, |_| Act::WrongId);
        let played = scene.play(paced(5, 0, 20)).await;
        assert!(failed(&played).is_empty(), "{:?}", failed(&played));
        let slow = played.iter().filter(|one| one.took > ms(100)).count();
        assert!(slow <= 10, "{slow} of {} were slow", played.len());
    });
}

#[test]
fn a_failure_is_not_kept_back_for_an_upstream_that_cannot_be_reached() {
    // fault 30
    tell(&[FIRST, SECOND], async |scene| {
        scene.world.conditions(addr(SECOND), |w| w.swallows = true);
        direct(&scene.first, |_| Act::Rcode(2));
        let played = scene.play(together(3)).await;
        let in_time = |one: &Played| one.rcode == 2 && one.took <= ms(1_600);
        assert!(played.iter().all(in_time), "{played:?}");
    });
}
