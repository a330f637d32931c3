//! For how long an answer holds, and what is told of that.

use super::*;

#[test]
fn a_lowest_ttl_holds_for_all_that_may_be_remembered() {
    let times = Times {
        min: 60,
        max: 100,
        ..Times::default()
    };
    let stage = Stage::with(AMPLE, times);
    for (ttl, told) in [(5, 60), (80, 80), (500, 100)] {
        stage.learn(&plain(), &a(ttl));
        assert_eq!(stage.hit(&plain()).ttls(), [told]);
    }
    stage.learn(&plain(), &a(0));
    assert!(!stage.knows(&plain()));
}

// req 9, req 52
#[test]
fn an_answer_ends_with_its_shortest_record() {
    let mut stage = Stage::new();
    stage.learn(&plain(), &a(300).a(5, [192, 0, 2, 2]));
    stage.wait(4.9);
    assert_eq!(stage.hit(&plain()).ttls(), [296, 1]);
    stage.wait(0.1);
    assert!(!stage.knows(&plain()));
}

// req 10
#[test]
fn a_ttl_with_the_top_bit_is_not_kept() {
    let stage = Stage::new();
    stage.learn(&plain(), &a(0x8000_0001));
    assert_eq!(
        (stage.find(&plain()).0, stage.cache.len()),
        (Found::Miss, 0)
    );
}

// req 42, req 44
#[test]
fn a_negative_answer_is_kept_with_its_soa_for_as_long_as_that_says() {
    let mut stage = Stage::new();
    let nodata = soa(testing::response("a.test.", 1), 100, 3);
    for built in [nxdomain(100, 3), nodata] {
        let rcode = wire::parse_response(&built.build()).unwrap().rcode();
        stage.learn(&plain(), &built);
        stage.wait(2.0);
        let got = stage.hit(&plain());
        assert_eq!((got.answer.rcode(), got.ttls()), (rcode, vec![1]));
        stage.wait(1.0);
        assert!(!stage.knows(&plain()));
    }
}

// req 43
#[test]
fn a_negative_answer_without_soa_is_not_kept() {
    let stage = Stage::new();
    stage.learn(&plain(), &testing::response("a.test.", 1).flags(0x8183));
    assert_eq!(
        (stage.find(&plain()).0, stage.cache.len()),
        (Found::Miss, 0)
    );
}

// req 52
#[test]
fn ttls_fall_with_age_whoever_asks_in_whatever_order() {
    let mut stage = Stage::new();
    stage.learn(&plain(), &a(100).edns(1232, 0, &[]));
    stage.wait(10.9);
    assert_eq!(stage.hit(&with_edns()).ttls(), [90]);
    assert_eq!(stage.hit(&plain()).ttls(), [90]);
    // A worker whose clock was read a little earlier.
    stage.now = stage.now - Duration::from_secs(1);
    assert_eq!(stage.hit(&plain()).ttls(), [90]);
    stage.wait(51.0);
    let got = stage.hit(&with_edns());
    assert_eq!(got.ttls(), [40]);
    assert_eq!(got.answer.opt.unwrap().version, 0);
}

// req 57
#[test]
fn lifetimes_are_capped() {
    let mut stage = Stage::new();
    stage.learn(&plain(), &a(604_800));
    assert_eq!(stage.hit(&plain()).ttls(), [86_400]);
    stage.wait(86_400.0);
    assert_eq!(stage.find(&plain()).0, Found::Stale);

    stage.learn(&plain(), &nxdomain(7200, 7200));
    assert_eq!(stage.hit(&plain()).ttls(), [900]);
    stage.wait(900.0);
    assert_eq!(stage.find(&plain()).0, Found::Stale);
}

#[test]
fn one_caller_is_told_to_ask_ahead_for_what_is_asked_often() {
    let mut stage = Stage::new();
    let prefetch = |stage: &Stage| match stage.find(&plain()).0 {
        Found::Hit { prefetch } => prefetch,
        other => panic!("{other:?}"),
    };
    stage.learn(&plain(), &a(100));
    stage.wait(89.0);
    assert!(!prefetch(&stage), "too early");
    stage.wait(1.0);
    assert!(prefetch(&stage));
    assert!(!prefetch(&stage), "once is enough");
    stage.learn(&plain(), &a(100));
    stage.wait(95.0);
    assert!(!prefetch(&stage), "one hit is no habit");
    assert!(prefetch(&stage));
}

// fault 82, fault 83
#[test]
fn age_counts_through_a_sleep_and_only_the_given_time_counts() {
    let mut stage = Stage::new();
    stage.learn(&plain(), &a(3600));
    stage.wait(600.0);
    assert_eq!(stage.hit(&plain()).ttls(), [3000]);
    stage.wait(3000.0);
    assert_eq!(stage.find(&plain()).0, Found::Stale);
    // Time that stands before the origin of an entry makes it no older and no younger.
    stage.learn(&plain(), &a(3600));
    stage.now = Time::ZERO;
    assert_eq!(stage.hit(&plain()).ttls(), [3600]);
}
