//! Stories of the cache: what it answers, what it asks for beforehand, and what it is good for when upstreams fail.

use super::scene::{
    Act, FIRST, Got, PROXY, Scene, addr, direct, ede, ms, query, tell_with, tell_with_cache,
};
use dotward::config::ConfigBuilder;
use dotward::engine::Stats;
use dotward::wire;
use std::time::Duration;

const SERVFAIL: u16 = 2;
const NXDOMAIN: u8 = 3;

fn tell<F: AsyncFnOnce(&mut Scene)>(story: F) -> Stats {
    tell_with_cache(1 << 20, &[FIRST], story)
}

fn hours(n: u64) -> Duration {
    Duration::from_secs(3600 * n)
}

/// The time to live of the first record.
fn ttl(got: &Got) -> u32 {
    let answer = wire::parse_response(&got.message).unwrap();
    wire::records(&got.message, &answer).next().unwrap().ttl
}

#[test]
fn the_second_time_it_is_answered_at_once_and_older() {
    // req 2, 32, 37, 52
    let stats = tell(async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.latency = ms(20));
        assert_eq!(ttl(&scene.get("a.test").await), 300);
        scene.world.sleep(ms(100_000)).await;
        let got = scene.get("A.test").await;
        assert_eq!((ttl(&got), got.after), (200, Duration::ZERO));
        assert_eq!(got.message[12..20], query("A.test", 0)[12..20]);
        scene.world.sleep(ms(201_000)).await;
        assert_eq!(ttl(&scene.get("a.test").await), 300, "asked anew");
    });
    assert_eq!((stats.hits, stats.sent), (1, 2));
}

#[test]
fn addresses_take_turns_in_being_the_first_if_that_is_wanted() {
    for (rotate, wanted) in [(false, [1, 1, 1, 1, 1]), (true, [1, 2, 3, 1, 2])] {
        let tweak = |config: ConfigBuilder| config.cache_bytes(1 << 20).rotate(rotate);
        tell_with(tweak, &[FIRST], async |scene| {
            direct(&scene.first, |_| Act::Addresses(3));
            let mut firsts = vec![];
            for _ in wanted {
                let got = scene.get("a.test").await;
                let answer = wire::parse_response(&got.message).unwrap();
                let record = wire::records(&got.message, &answer).next().unwrap();
                firsts.push(got.message[record.rdata.end - 1]);
            }
            assert_eq!(firsts, wanted);
        });
    }
}

#[test]
fn an_answer_ages_while_the_machine_sleeps() {
    // fault 83
    let stats = tell(async |scene| {
        scene.get("a.test").await;
        scene.world.suspend(Duration::from_secs(600));
        assert_eq!(ttl(&scene.get("a.test").await), 300);
    });
    assert_eq!(stats.sent, 2);
}

#[test]
fn a_popular_answer_is_fetched_before_it_ends() {
    let stats = tell(async |scene| {
        for pause in [1_000, 100_000, 174_000, 1_000, 1_000] {
            scene.get("a.test").await;
            scene.world.sleep(ms(pause)).await;
        }
        // Asked three times and in its last tenth: the third hit fetched it anew, and once only.
        scene.world.sleep(ms(60_000)).await;
        let got = scene.get("a.test").await;
        assert_eq!(got.after, Duration::ZERO);
        assert!((200..=300).contains(&ttl(&got)), "{}", ttl(&got));
    });
    assert_eq!((stats.prefetches, stats.sent, stats.hits), (1, 2, 5));
}

#[test]
fn an_answer_nobody_else_wants_is_not_fetched_beforehand() {
    let stats = tell(async |scene| {
        scene.get("a.test").await;
        scene.world.sleep(ms(280_000)).await;
        scene.get("a.test").await;
        scene.world.sleep(ms(100_000)).await;
    });
    assert_eq!((stats.prefetches, stats.sent), (0, 1));
}

#[test]
fn a_stale_answer_is_better_than_none() {
    // req 53: the upstream refuses; the old answer is served at once, with 30 seconds to live and the reason.
    let stats = tell(async |scene| {
        scene.get("a.test").await;
        scene.world.sleep(hours(2)).await;
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        let got = scene.get("a.test").await;
        assert_eq!((got.rcode, ttl(&got), ede(&got.message)), (0, 30, Some(3)));
        assert!(got.after <= ms(1_100), "{:?}", got.after);
        // A day later it is too old for that.
        scene.world.sleep(hours(25)).await;
        assert_eq!(scene.get("a.test").await.rcode, SERVFAIL);
    });
    assert_eq!((stats.stale, stats.failed), (1, 1));
}

#[test]
fn a_stale_answer_is_served_when_the_fresh_one_is_late() {
    // req 53: after 1.8 seconds; the question goes on, and its answer is learned.
    let stats = tell(async |scene| {
        scene.get("a.test").await;
        scene.world.sleep(hours(2)).await;
        direct(&scene.first, |_| Act::AnswerAfter(ms(3_000)));
        let got = scene.get("a.test").await;
        assert_eq!((got.rcode, ttl(&got)), (0, 30));
        assert!(
            (ms(1_750)..=ms(1_800)).contains(&got.after),
            "{:?}",
            got.after
        );
        scene.assert_quiet(ms(1_500)).await;
        let got = scene.get("a.test").await;
        assert_eq!((ttl(&got), got.after), (300, Duration::ZERO));
    });
    assert_eq!((stats.stale, stats.failed), (1, 0));
}

#[test]
fn while_no_upstream_can_be_reached_a_stale_answer_comes_at_once() {
    // req 151, fault 177
    let stats = tell(async |scene| {
        let names = ["a.test", "b.test"];
        for name in names {
            scene.get(name).await;
        }
        scene.world.sleep(hours(2)).await;
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        assert!(scene.get("a.test").await.after <= ms(1_100));
        for _ in 0..20 {
            for name in names {
                let got = scene.get(name).await;
                assert_eq!((got.rcode, ttl(&got), ede(&got.message)), (0, 30, Some(3)));
                assert_eq!(got.after, Duration::ZERO, "{name}");
            }
            scene.world.sleep(ms(700)).await;
        }
        assert_eq!(scene.first.borrow().asked.len(), 2);
        // The upstream is back: the query behind the next stale answer brings the fresh one.
        scene.world.conditions(addr(FIRST), |w| w.refuses = false);
        assert_eq!(scene.get("a.test").await.after, Duration::ZERO);
        scene.assert_quiet(ms(1_100)).await;
        for name in names {
            let got = scene.get(name).await;
            assert_eq!(ttl(&got), 300, "{name}");
            assert!(got.after <= ms(100), "{:?}", got.after);
        }
    });
    assert_eq!((stats.stale, stats.failed, stats.prefetches), (42, 0, 0));
}

#[test]
fn nobody_waits_for_what_is_late_already() {
    // req 151: one client has waited until the client response timer ended; the second need not.
    let stats = tell(async |scene| {
        scene.get("a.test").await;
        scene.world.sleep(hours(2)).await;
        direct(&scene.first, |_| Act::AnswerAfter(ms(3_000)));
        assert!(scene.get("a.test").await.after >= ms(1_750));
        for _ in 0..3 {
            let got = scene.get("a.test").await;
            assert_eq!((ttl(&got), got.after), (30, Duration::ZERO));
        }
        scene.assert_quiet(ms(1_500)).await;
        assert_eq!(ttl(&scene.get("a.test").await), 300);
    });
    assert_eq!((stats.stale, stats.failed), (4, 0));
}

#[test]
fn a_servers_failure_does_not_take_the_place_of_data() {
    // req 53
    tell(async |scene| {
        scene.get("a.test").await;
        scene.world.sleep(hours(1)).await;
        direct(&scene.first, |_| Act::Rcode(2));
        assert_eq!(scene.get("a.test").await.rcode, 0, "stale");
        scene.world.sleep(ms(10_000)).await;
        direct(&scene.first, |_| Act::Rcode(NXDOMAIN));
        assert_eq!(scene.get("a.test").await.rcode, u16::from(NXDOMAIN));
        scene.world.sleep(ms(10_000)).await;
        direct(&scene.first, |_| Act::Rcode(2));
        assert_eq!(
            scene.get("a.test").await.rcode,
            SERVFAIL,
            "the old data are gone"
        );
    });
}

#[test]
fn a_failure_is_remembered_for_a_moment() {
    // req 45, 46, fault 30: seconds, keyed by the question.
    let stats = tell(async |scene| {
        direct(&scene.first, |_| Act::Rcode(2));
        for _ in 0..100 {
            assert_eq!(scene.get("a.test").await.rcode, SERVFAIL);
            scene.world.sleep(ms(10)).await;
        }
        assert_eq!(scene.first.borrow().asked.len(), 1);
        direct(&scene.first, |_| Act::Answer);
        assert_eq!(scene.get("b.test").await.rcode, 0);
        scene.world.sleep(ms(5_000)).await;
        assert_eq!(scene.get("a.test").await.rcode, 0);
    });
    assert_eq!(stats.hits, 99);
}

#[test]
fn an_outage_is_not_remembered() {
    // fault 47: what was never sent says nothing about the name.
    tell(async |scene| {
        scene.world.conditions(addr(FIRST), |w| w.refuses = true);
        assert_eq!(scene.get("a.test").await.rcode, SERVFAIL);
        scene.world.conditions(addr(FIRST), |w| w.refuses = false);
        scene.world.sleep(ms(1_000)).await;
        assert_eq!(scene.get("a.test").await.rcode, 0);
    });
}

#[test]
fn many_clients_of_a_silent_upstream_are_few_questions() {
    // req 46: 100 questions for one name in a second.
    let stats = tell(async |scene| {
        direct(&scene.first, |_| Act::Silence);
        for _ in 0..100 {
            scene.ask("a.test");
            scene.world.sleep(ms(10)).await;
        }
        for _ in 0..100 {
            assert_eq!(scene.next().await.rcode, SERVFAIL);
        }
    });
    assert!(stats.sent <= 3, "{}", stats.sent);
}

#[test]
fn a_signed_question_is_none_of_its_business() {
    // req 26: TSIG as the last record.
    let stats = tell(async |scene| {
        for id in 1..=2 {
            let mut signed = query("a.test", id);
            signed[11] += 1;
            let tsig = [0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0];
            signed.extend_from_slice(&tsig);
            scene.client.send(addr(PROXY), &signed);
            scene.world.sleep(ms(100)).await;
        }
    });
    assert_eq!((stats.hits, stats.sent, stats.queries), (0, 2, 2));
}
