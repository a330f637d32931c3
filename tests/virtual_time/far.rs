//! Stories of upstreams that are far away: a satellite, a network of the second generation.

use super::scene::{Act, FIRST, SECOND, addr, direct, ms, tell, tell_with};

#[test]
fn an_upstream_is_reached_however_long_a_round_trip_takes() {
    // fault 106: SERVFAIL for every question before, since no connect was given more than 1.5 s.
    let stats = tell(&[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.latency = ms(900));
        let got = scene.get("a.test").await;
        assert_eq!((got.rcode, got.after), (0, ms(3_600)), "two round trips");
        for name in ["b.test", "c.test"] {
            let got = scene.get(name).await;
            assert_eq!((got.rcode, got.after), (0, ms(1_800)), "one");
        }
        // It is closed as idle, and made anew: that it takes long is known now.
        scene.assert_quiet(ms(60_000)).await;
        assert_eq!(scene.get("d.test").await.rcode, 0);
    });
    assert_eq!((stats.answered, stats.sent), (4, 4));
    assert!(stats.dials <= 8, "{} connects", stats.dials);
}

#[test]
fn a_connect_survives_the_question_that_it_was_begun_for() {
    // fault 106
    let short = |config: dotward::config::ConfigBuilder| config.timeout(ms(2_000));
    let stats = tell_with(short, &[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.latency = ms(850));
        let got = scene.get("a.test").await;
        assert_eq!((got.rcode, got.after <= ms(2_000)), (2, true), "too long");
        for name in ["b.test", "c.test"] {
            let got = scene.get(name).await;
            assert_eq!((got.rcode, got.after), (0, ms(1_700)));
        }
    });
    assert_eq!((stats.answered, stats.failed), (2, 1));
}

#[test]
fn a_dead_address_costs_a_far_one_little_time() {
    // fault 6, 106
    tell(&[FIRST, SECOND], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.swallows = true);
        scene
            .world
            .conditions(addr(SECOND), |w| w.latency = ms(800));
        let got = scene.get("a.test").await;
        assert_eq!(got.rcode, 0);
        assert!(got.after <= ms(250 + 3_200), "{:?}", got.after);
        direct(&scene.second, |_| Act::Answer);
        assert_eq!(scene.get("b.test").await.rcode, 0);
    });
}

#[test]
fn connects_into_a_black_hole_are_few_and_end() {
    // fault 6, 48, 106: a minute of questions that nobody can be asked, then the path is back.
    let stats = tell(&[FIRST], async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.swallows = true);
        for number in 0..15 {
            let got = scene.get(&format!("n{number}.test")).await;
            assert_eq!((got.rcode, got.after <= ms(4_000)), (2, true));
        }
        scene.world.conditions(addr(FIRST), |w| w.swallows = false);
        let got = scene.get("back.test").await;
        assert_eq!(got.rcode, 0);
        assert!(got.after <= ms(1_000), "{:?}", got.after);
    });
    assert!(stats.dials <= 40, "{} connects in a minute", stats.dials);
}
