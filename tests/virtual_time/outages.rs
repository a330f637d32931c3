//! Stories of upstreams that go away and come back, under load.

use super::scene::{Act, FIRST, SECOND, Scene, addr, direct, ms, tell};
use dotward::engine::Time;
use dotward::runtime::Runtime;
use futures::future::{Either, select};
use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

/// What became of one question of a stream of them.
struct Fared {
    asked: Time,
    took: Duration,
    rcode: u16,
}

/// Asks a question every `gap` for `span`, whatever the answers do, and waits for all answers.
async fn stream(scene: &mut Scene, gap: Duration, span: Duration) -> Vec<Fared> {
    let world = scene.world.clone();
    let start = world.now().mono;
    let mut asked: HashMap<u16, Time> = HashMap::new();
    let mut fared = Vec::new();
    let mut next = start;
    while next < start + span || !asked.is_empty() {
        let now = world.now().mono;
        if now >= next && next < start + span {
            let id = scene.ask(&format!("n{}.test", next.as_nanos()));
            assert!(asked.insert(id, now).is_none(), "fewer in flight than ids");
            next = next + gap;
            continue;
        }
        let until = if next < start + span {
            next
        } else {
            now + ms(10_000)
        };
        let pause = world.sleep_until(until);
        let answered = pin!(scene.next());
        match select(answered, pause).await {
            Either::Left((got, _)) => {
                let at = asked.remove(&got.id).expect("one answer to each question");
                fared.push(Fared {
                    asked: at,
                    took: world.now().mono.since(at),
                    rcode: got.rcode,
                });
            }
            Either::Right(_) => assert!(next < start + span, "{} never answered", asked.len()),
        }
    }
    fared
}

/// The share of these that was answered well within 500 ms, in percent.
fn within_half_a_second<'a>(fared: impl Iterator<Item = &'a Fared>) -> f64 {
    let (mut all, mut well) = (0, 0);
    for one in fared {
        all += 1;
        well += u32::from(one.rcode == 0 && one.took <= ms(500));
    }
    f64::from(well) * 100.0 / f64::from(all)
}

/// A thousand questions a second while the first upstream vanishes, then fewer until it is back.
fn black_hole(second_is_up: bool) {
    // fault 7, 49
    let stats = tell(&[FIRST, SECOND], async |scene| {
        for at in [FIRST, SECOND] {
            scene.world.conditions(addr(at), |w| w.latency = ms(10));
        }
        if second_is_up {
            direct(&scene.first, |_| Act::Rcode(2));
            scene.get("up.test").await;
            direct(&scene.first, |_| Act::Answer);
        }
        let before = stream(scene, ms(1), ms(1_000)).await;
        assert!(within_half_a_second(before.iter()) >= 100.0);

        let hole = scene.world.now().mono;
        scene.world.conditions(addr(FIRST), |w| w.swallows = true);
        let fared = stream(scene, ms(1), ms(5_000)).await;
        assert_eq!(fared.len(), 5_000);
        for one in &fared {
            assert_eq!(one.rcode, 0, "asked {:?} in", one.asked.since(hole));
            assert!(one.took <= ms(4_000), "{:?}", one.took);
        }
        let settled = fared.iter().filter(|one| one.asked >= hole + ms(2_000));
        let share = within_half_a_second(settled);
        assert!(share >= 99.0, "{share} %");

        // Long enough for the longest back-off.
        let fared = stream(scene, ms(50), ms(60_000)).await;
        assert!(within_half_a_second(fared.iter()) >= 99.0);
        scene.world.conditions(addr(FIRST), |w| w.swallows = false);
        let back = scene.world.now().mono;
        let asked = scene.first.borrow().asked.len();
        while scene.first.borrow().asked.len() < asked + 20 {
            assert_eq!(scene.get("back.test").await.rcode, 0);
            scene.world.sleep(ms(50)).await;
        }
        let took = scene.world.now().mono.since(back);
        assert!(took <= ms(12_000) + ms(20 * 70), "{took:?}");
    });
    assert_eq!(stats.failed, 0);
    assert!(stats.dials <= 20, "{}", stats.dials);
}

#[test]
fn a_black_hole_in_mid_traffic_is_left_and_found_again() {
    black_hole(false);
}

#[test]
fn a_black_hole_beside_a_link_that_is_up_is_left_and_found_again() {
    black_hole(true);
}

/// So many questions that all there is room for are in flight after a tenth of a second of silence.
fn black_hole_under_pressure(second_is_up: bool) {
    // fault 7, 63
    let gap = Duration::from_micros(50);
    let stats = tell(&[FIRST, SECOND], async |scene| {
        for at in [FIRST, SECOND] {
            scene.world.conditions(addr(at), |w| w.latency = ms(1));
        }
        if second_is_up {
            direct(&scene.first, |_| Act::Rcode(2));
            scene.get("up.test").await;
            direct(&scene.first, |_| Act::Answer);
        }
        let before = stream(scene, gap, ms(100)).await;
        assert!(before.iter().all(|one| one.rcode == 0));
        scene.world.conditions(addr(FIRST), |w| w.swallows = true);
        let fared = stream(scene, gap, ms(2_000)).await;
        let failed = fared.iter().filter(|one| one.rcode != 0).count();
        let slowest = fared.iter().map(|one| one.took).max();
        assert!(failed <= 400, "{failed} of {}", fared.len());
        assert!(slowest <= Some(ms(300)), "{slowest:?}");
    });
    assert!(stats.dials <= 6, "{}", stats.dials);
}

#[test]
fn when_there_is_no_more_room_silence_is_doubted_at_once() {
    black_hole_under_pressure(false);
}

#[test]
fn when_there_is_no_more_room_a_link_that_is_up_takes_over_at_once() {
    black_hole_under_pressure(true);
}

#[test]
fn who_failed_in_an_outage_is_tried_at_once_when_the_first_one_back_falls_silent() {
    // fault 7, 48
    tell(&[FIRST, SECOND], async |scene| {
        for at in [FIRST, SECOND] {
            scene.world.conditions(addr(at), |w| {
                w.latency = ms(1);
                w.refuses = true;
            });
        }
        // Back-offs are long by now.
        stream(scene, ms(10), ms(20_000)).await;
        for at in [FIRST, SECOND] {
            scene.world.conditions(addr(at), |w| w.refuses = false);
        }
        let fared = stream(scene, ms(1), ms(1_500)).await;
        assert_eq!(fared.last().map(|one| one.rcode), Some(0), "one is back");
        let (silent, other) = if scene.first.borrow().asked.is_empty() {
            (SECOND, FIRST)
        } else {
            (FIRST, SECOND)
        };
        scene.world.conditions(addr(silent), |w| w.swallows = true);
        let fared = stream(scene, ms(1), ms(3_000)).await;
        let slowest = fared.iter().map(|one| one.took).max();
        assert!(fared.iter().all(|one| one.rcode == 0), "{other} is well");
        assert!(slowest <= Some(ms(1_100)), "{slowest:?}");
    });
}

#[test]
fn ten_minutes_without_upstreams_cost_few_connects_and_end_at_once() {
    // fault 48: how an upstream is gone makes no difference. Fewer questions than a busy site asks, but always some.
    for swallows in [false, true] {
        let stats = tell(&[FIRST, SECOND], async |scene| {
            for at in [FIRST, SECOND] {
                scene.world.conditions(addr(at), |w| {
                    w.swallows = swallows;
                    w.refuses = !swallows;
                });
            }
            for (gap, span) in [(ms(2), ms(10_000)), (ms(150), ms(590_000))] {
                for one in stream(scene, gap, span).await {
                    assert_eq!(one.rcode, 2);
                    assert!(one.took <= ms(4_000), "{:?}", one.took);
                }
            }
            let connects = scene.world.connects();
            assert!(connects <= 2 * 2 * 605, "{connects} in ten minutes");
            for at in [FIRST, SECOND] {
                scene.world.conditions(addr(at), |w| {
                    w.swallows = false;
                    w.refuses = false;
                });
            }
            let back = scene.world.now().mono;
            let fared = stream(scene, ms(10), ms(3_000)).await;
            let first = fared.iter().filter(|one| one.rcode == 0);
            let first = first.map(|one| one.asked + one.took).min();
            let took = first.expect("it is back").since(back);
            assert!(took <= ms(2_000), "{took:?}");
            assert!(
                fared
                    .iter()
                    .filter(|one| one.asked > back + ms(2_000))
                    .all(|one| one.rcode == 0)
            );
        });
        assert!(stats.retired == 0);
    }
}

#[test]
fn an_upstream_that_comes_and_goes_harms_few() {
    // fault 49
    tell(&[FIRST, SECOND], async |scene| {
        for at in [FIRST, SECOND] {
            scene.world.conditions(addr(at), |w| w.latency = ms(5));
        }
        let mut fared = Vec::new();
        for _ in 0..15 {
            fared.extend(stream(scene, ms(20), ms(1_000)).await);
            scene.world.conditions(addr(FIRST), |w| w.refuses = true);
            scene.world.reset(addr(FIRST));
            fared.extend(stream(scene, ms(20), ms(1_000)).await);
            scene.world.conditions(addr(FIRST), |w| w.refuses = false);
        }
        assert!(fared.iter().all(|one| one.rcode == 0));
        assert!(within_half_a_second(fared.iter()) >= 99.0);
        assert!(scene.world.connects() <= 90, "{}", scene.world.connects());
    });
}
