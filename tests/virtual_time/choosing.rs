//! Stories of choosing among upstreams: the policies, health by live traffic, hedging.

use super::scene::{Act, FIRST, SECOND, Scene, addr, direct, ms, tell, tell_with};
use dotward::config::{ConfigBuilder, Policy};
use dotward::runtime::Runtime;
use std::time::Duration;

fn by(policy: Policy) -> impl FnOnce(ConfigBuilder) -> ConfigBuilder {
    move |config| config.policy(policy)
}

/// Asks one question after another; gives the times that the answers took.
async fn times(scene: &mut Scene, questions: usize, pause: Duration) -> Vec<Duration> {
    let mut times = Vec::new();
    for i in 0..questions {
        let got = scene.get(&format!("n{i}.test")).await;
        assert_eq!(got.rcode, 0);
        times.push(got.after);
        scene.world.sleep(pause).await;
    }
    times
}

/// The time within which so many in a hundred were answered.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

fn asked(scene: &Scene) -> (usize, usize) {
    (
        scene.first.borrow().asked.len(),
        scene.second.borrow().asked.len(),
    )
}

#[test]
fn each_has_its_turn() {
    tell_with(by(Policy::RoundRobin), &[FIRST, SECOND], async |scene| {
        times(scene, 200, ms(10)).await;
        let (first, second) = asked(scene);
        assert!(first.abs_diff(second) <= 4, "{first} and {second}");
        // One that is gone is passed over, and has its turn again when it is back.
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        scene.world.reset(addr(FIRST));
        let took = times(scene, 100, ms(10)).await;
        assert!(took.iter().all(|took| *took <= ms(100)));
        scene.world.conditions(addr(FIRST), |w| w.refuses = false);
        times(scene, 1_300, ms(10)).await;
        let before = asked(scene).0;
        times(scene, 100, ms(10)).await;
        assert!((45..=55).contains(&(asked(scene).0 - before)));
    });
}

#[test]
fn the_faster_one_is_asked_and_the_slower_one_still_tried() {
    // fault 50
    tell_with(by(Policy::Fastest), &[FIRST, SECOND], async |scene| {
        direct(&scene.first, |_| Act::AnswerAfter(ms(500)));
        scene.world.conditions(addr(SECOND), |w| w.latency = ms(10));
        times(scene, 20, ms(5)).await;
        let before = asked(scene);
        let took = times(scene, 1_000, ms(5)).await;
        assert!(
            percentile(&took, 95) <= ms(24),
            "{:?}",
            percentile(&took, 95)
        );
        let slow = asked(scene).0 - before.0;
        assert!((2..=40).contains(&slow), "{slow}");
        // The tables turn, and that is found out.
        direct(&scene.first, |_| Act::Answer);
        direct(&scene.second, |_| Act::AnswerAfter(ms(300)));
        times(scene, 600, ms(5)).await;
        let before = asked(scene);
        times(scene, 200, ms(5)).await;
        assert!(asked(scene).0 - before.0 >= 180);
    });
}

#[test]
fn one_that_accepts_and_never_answers_is_passed_over_until_it_does() {
    // fault 5, 7: the handshake says nothing about what is behind it.
    let stats = tell(&[FIRST, SECOND], async |scene| {
        direct(&scene.first, |_| Act::Silence);
        let took = times(scene, 400, ms(100)).await;
        let slow = took.iter().filter(|took| **took > ms(100)).count();
        assert!(slow <= 3, "{slow} waited for it");
        assert!(took.iter().all(|took| *took <= ms(1_700)));
        assert!(asked(scene).0 <= 30, "{} copies", asked(scene).0);
        direct(&scene.first, |_| Act::Answer);
        let back = scene.world.now().mono;
        let before = asked(scene).0;
        while asked(scene).0 < before + 10 {
            times(scene, 1, ms(100)).await;
        }
        let took = scene.world.now().mono.since(back);
        assert!(took <= ms(12_000), "{took:?}");
    });
    assert!(stats.probes <= 20, "{}", stats.probes);
    assert!(stats.dials <= 25, "{}", stats.dials);
    assert_eq!(stats.failed, 0);
}

#[test]
fn one_that_refuses_everything_is_not_asked_everything() {
    // fault 30, 31
    let stats = tell(&[FIRST, SECOND], async |scene| {
        direct(&scene.first, |_| Act::Rcode(5));
        times(scene, 500, ms(10)).await;
        assert!(asked(scene).0 <= 40, "{} in vain", asked(scene).0);
        direct(&scene.first, |_| Act::Answer);
        times(scene, 1_100, ms(10)).await;
        let before = asked(scene).0;
        times(scene, 100, ms(10)).await;
        assert_eq!(asked(scene).0 - before, 100, "it is well again");
    });
    assert_eq!(stats.failed, 0);
}

#[test]
fn a_name_that_always_fails_casts_no_doubt_where_others_do_no_better() {
    // fault 30
    tell(&[FIRST, SECOND], async |scene| {
        for server in [scene.first.clone(), scene.second.clone()] {
            direct(&server, |_| Act::Rcode(2));
        }
        for i in 0..50 {
            assert_eq!(scene.get(&format!("n{i}.test")).await.rcode, 2);
        }
        direct(&scene.first, |_| Act::Answer);
        direct(&scene.second, |_| Act::Answer);
        let before = asked(scene).0;
        times(scene, 20, ms(10)).await;
        assert_eq!(asked(scene).0 - before, 20, "the preferred one is asked");
    });
}

/// Traffic in which one question in 30 meets a slow server.
fn slow_now_and_then(hedge: bool, upstreams: &[&str]) -> (Duration, dotward::engine::Stats) {
    let mut late = Duration::ZERO;
    let stats = tell_with(
        |config| config.hedge(hedge),
        upstreams,
        async |scene| {
            let mut count = 0;
            direct(&scene.first, move |_| {
                count += 1;
                Act::AnswerAfter(ms(if count % 30 == 0 { 900 } else { 10 }))
            });
            let took = times(scene, 1_500, ms(20)).await;
            late = percentile(&took[500..], 99);
        },
    );
    (late, stats)
}

#[test]
fn another_upstream_is_asked_for_a_late_answer_only_if_the_user_wants_it() {
    let mut asked_of_second = 0;
    tell(&[FIRST, SECOND], async |scene| {
        direct(&scene.first, |asked| {
            Act::AnswerAfter(ms(if asked.in_all % 30 == 0 { 900 } else { 10 }))
        });
        times(scene, 500, ms(20)).await;
        asked_of_second = asked(scene).1;
    });
    assert_eq!(asked_of_second, 0);
    // By another upstream, or by another connection to the same one.
    for upstreams in [&[FIRST, SECOND][..], &[FIRST]] {
        let (late, stats) = slow_now_and_then(true, upstreams);
        assert!(late <= ms(100), "{late:?}");
        assert!((30..=75).contains(&stats.hedges), "{}", stats.hedges);
        assert_eq!(stats.failed, 0);
    }
}

#[test]
fn hedging_does_not_pile_up_on_slow_upstreams() {
    // When everything becomes slow at once, copies stay within 5 %.
    let stats = tell_with(
        |config| config.hedge(true),
        &[FIRST, SECOND],
        async |scene| {
            times(scene, 300, ms(5)).await;
            for server in [scene.first.clone(), scene.second.clone()] {
                direct(&server, |_| Act::AnswerAfter(ms(700)));
            }
            for i in 0..1_000 {
                scene.ask(&format!("m{i}.test"));
                scene.world.sleep(ms(2)).await;
            }
            for _ in 0..1_000 {
                assert_eq!(scene.next().await.rcode, 0);
            }
        },
    );
    assert!(stats.hedges * 20 <= 1_300, "{}", stats.hedges);
}
