//! When asking fails: remembered failures, and data that held once.

use super::*;

// req 45, req 46, req 56, fault 30
#[test]
fn failures_are_remembered_for_seconds_and_say_so() {
    let mut stage = Stage::new();
    stage.learn(&plain(), &servfail().edns(1232, 0, &[(15, &[0, 6])]));
    let got = stage.hit(&with_edns());
    assert_eq!(got.answer.rcode(), Rcode::SERVFAIL);
    assert_eq!(got.errors(), [6, 13]);
    assert_eq!(stage.hit(&plain()).answer.opt, None);
    assert!(stage.stale(&plain()).is_none(), "an error is no data");
    // Of another type, and with checking disabled, nothing is known.
    assert!(!stage.knows(&asked(&testing::query("a.test.", 28))));
    assert!(!stage.knows(&asked(&testing::query("a.test.", 1).flags(0x0110))));
    stage.wait(5.0);
    assert_eq!(
        (stage.find(&plain()).0, stage.cache.len()),
        (Found::Miss, 0)
    );

    stage.fail(&plain());
    assert_eq!(stage.hit(&with_edns()).errors(), [22, 13]);
    stage.learn(&plain(), &a(60));
    assert_eq!(stage.hit(&with_edns()).ttls(), [60]);
}

// req 46
#[test]
fn a_failure_is_remembered_for_a_second_to_five_minutes() {
    for (wanted, obeyed) in [(0, 1.0), (100_000, 300.0)] {
        let times = Times {
            failure: wanted,
            ..Times::default()
        };
        let mut stage = Stage::with(AMPLE, times);
        stage.fail(&plain());
        stage.wait(obeyed - 0.1);
        assert!(stage.knows(&plain()));
        stage.wait(0.1);
        assert!(!stage.knows(&plain()));
    }
}

// req 53
#[test]
fn stale_data_are_for_when_asking_failed() {
    let mut stage = Stage::new();
    stage.learn(&plain(), &a(60));
    assert_eq!(stage.stale(&with_edns()).unwrap().errors(), [0_u16; 0]);
    stage.wait(60.0);
    assert_eq!(stage.find(&plain()).0, Found::Stale);
    let got = stage.stale(&with_edns()).unwrap();
    assert_eq!((got.ttls(), got.errors()), (vec![30], vec![3]));
    assert_eq!(stage.stale(&plain()).unwrap().answer.opt, None);
    assert_eq!(stage.find(&plain()).0, Found::Stale);

    // Errors do not replace them, and are not asked for again at once.
    for flags in [0x8182, 0x8185] {
        stage.learn(&plain(), &servfail().flags(flags));
        let got = stage.hit(&with_edns());
        assert_eq!((got.ttls(), got.errors()), (vec![30], vec![3]));
        stage.wait(5.0);
        assert_eq!(stage.find(&plain()).0, Found::Stale);
    }
    stage.fail(&plain());
    assert!(stage.knows(&plain()));

    // That the name is gone does, and is stale in its turn.
    stage.learn(&plain(), &nxdomain(60, 60));
    assert_eq!(stage.hit(&plain()).answer.rcode(), Rcode::NXDOMAIN);
    stage.wait(60.0);
    assert_eq!(stage.stale(&with_edns()).unwrap().errors(), [19]);
    // Even when it cannot be kept.
    stage.learn(&plain(), &testing::response("a.test.", 1).flags(0x8183));
    assert!(stage.stale(&plain()).is_none());
}

// req 53
#[test]
fn stale_data_are_dropped_after_a_day() {
    let mut stage = Stage::new();
    stage.learn(&plain(), &a(60));
    stage.wait(60.0 + 86399.0);
    assert!(stage.stale(&plain()).is_some());
    stage.wait(1.0);
    assert!(stage.stale(&plain()).is_none());
    assert_eq!(
        (stage.find(&plain()).0, stage.cache.len()),
        (Found::Miss, 0)
    );

    let never = Times {
        stale_for: 0,
        ..Times::default()
    };
    let mut stage = Stage::with(AMPLE, never);
    stage.learn(&plain(), &a(60));
    stage.wait(60.0);
    assert!(stage.stale(&plain()).is_none());
    assert_eq!(stage.find(&plain()).0, Found::Miss);
}

// req 53
#[test]
fn a_failure_to_ask_ahead_leaves_fresh_data_fresh() {
    let mut stage = Stage::new();
    stage.learn(&plain(), &a(60));
    stage.wait(58.0);
    stage.fail(&plain());
    assert_eq!(stage.hit(&with_edns()).errors(), [0_u16; 0]);
    stage.wait(2.0);
    assert_eq!(stage.hit(&with_edns()).errors(), [3]);
    stage.wait(3.0);
    assert_eq!(stage.find(&plain()).0, Found::Stale);
}
