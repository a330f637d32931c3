//! What it may take: octets, and locks.

use super::*;
use crate::wire::HEADER_LEN;
use proptest::collection::vec;
use proptest::prelude::*;

/// A question that is one of many, and an answer to it of about so many octets.
fn numbered(number: u32, size: usize) -> (Asked, Message) {
    let name = format!("n{number}.test.");
    let mut answer = testing::response(&name, 16);
    while answer.len() < size {
        let rdata = vec![7; (size - answer.len()).min(400)];
        answer = answer.record(Section::Answer, TO_QUESTION, 16, (1, 60), &rdata);
    }
    (asked(&testing::query(&name, 16)), answer)
}

// fault 81
#[test]
fn names_at_random_and_answers_of_60_kb_stay_within_the_bound() {
    for bytes in [1, 10_000, 100_000, 1 << 20, 3 << 20] {
        let stage = Stage::with(bytes, Times::default());
        for number in 0..4000 {
            let size = if number % 16 == 0 { 60_000 } else { 100 };
            let (client, answer) = numbered(number, size);
            stage.learn(&client, &answer);
            assert!(stage.cache.bytes() <= bytes);
        }
        let counts = stage.cache.counts();
        let gone = counts.insertions - counts.evictions;
        assert_eq!(stage.cache.len() as u64, gone);
        if bytes >= 10_000 {
            assert!(stage.cache.bytes() > bytes / 2, "the bound is made use of");
            assert!(counts.evictions > 0);
        }
    }
}

// fault 81
#[test]
fn one_answer_takes_an_eighth_of_a_shard_at_most() {
    let stage = Stage::with(200_000, Times::default());
    let (client, answer) = numbered(1, 24_000);
    stage.learn(&client, &answer);
    assert!(stage.knows(&client));
    // The new one is too large; the old one is not true any more.
    stage.learn(&client, &numbered(1, 26_000).1);
    assert!(!stage.knows(&client));
}

// fault 63
#[test]
fn a_flood_of_random_names_does_not_push_out_the_popular() {
    let stage = Stage::with(100_000, Times::default());
    stage.learn(&plain(), &a(60));
    for number in 0..5000 {
        assert!(stage.knows(&plain()));
        let (client, answer) = numbered(number, 100);
        stage.learn(&client, &answer);
    }
}

#[test]
fn the_question_alone_tells_two_entries_apart() {
    let stage = Stage::new();
    for number in 0..2000 {
        let (client, answer) = numbered(number, 60);
        stage.learn(&client, &answer);
    }
    assert_eq!(stage.cache.len(), 2000);
    for number in 0..2000 {
        let (client, _) = numbered(number, 60);
        let got = stage.hit(&client);
        assert_eq!(
            got.message[HEADER_LEN..][..client.reply().question.len()],
            *client.reply().question
        );
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "several workers are what this is about"
)]
fn workers_share_it() {
    let stage = Stage::with(50_000, Times::default());
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let stage = &stage;
            scope.spawn(move || {
                for number in 0..500 {
                    let (client, answer) = numbered(number * 7 % 400 + worker, 200);
                    stage.learn(&client, &answer);
                    // It may be gone already; if not, it is the right one.
                    if let Some(got) = stage.find(&client).1 {
                        let question = got.answer.question.unwrap();
                        assert_eq!(question.octets(&got.message), client.reply().question);
                    }
                }
            });
        }
    });
    assert!(stage.cache.bytes() <= 50_000 && !stage.cache.is_empty());
}

#[test]
fn a_cache_of_no_octets_is_off() {
    let stage = Stage::with(0, Times::default());
    stage.learn(&plain(), &a(60));
    stage.fail(&plain());
    assert_eq!(stage.find(&plain()).0, Found::Miss);
    assert!(stage.stale(&plain()).is_none() && stage.cache.is_empty());
    assert_eq!(stage.cache.bytes(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // fault 81, req 52
    #[test]
    fn what_is_served_is_what_was_learnt_grown_older_and_never_more_than_fits(
        bytes in 5_000..200_000_usize,
        steps in vec((0..30_u32, 0..5_u8, 0..20_000_usize, 0.0..40.0), 1..150),
    ) {
        let mut stage = Stage::with(bytes, Times::default());
        for (number, what, size, seconds) in steps {
            let (client, answer) = numbered(number, if what == 0 { size } else { size % 300 });
            match what {
                0 | 1 => stage.learn(&client, &answer),
                2 => stage.fail(&client),
                _ => {
                    let (found, got) = stage.find(&client);
                    if let Some(got) = got {
                        prop_assert!(got.message.len() <= client.limit);
                        prop_assert!(got.ttls().iter().all(|ttl| (1..=60).contains(ttl)));
                        let question = got.answer.question.unwrap().octets(&got.message);
                        prop_assert_eq!(question, client.reply().question);
                    }
                    if found == Found::Stale {
                        let got = stage.stale(&client).unwrap();
                        prop_assert!(got.ttls().iter().all(|ttl| *ttl == 30));
                    }
                }
            }
            prop_assert!(stage.cache.bytes() <= bytes);
            stage.wait(seconds);
        }
    }
}

#[test]
fn another_size_keeps_what_fits() {
    // Two parts of 1 MiB each.
    let mut stage = Stage::with(2 << 20, Times::default());
    for number in 0..4_000 {
        let (client, answer) = numbered(number, 400);
        stage.learn(&client, &answer);
    }
    let known = |stage: &Stage| {
        let all = (0..4_000).map(|number| numbered(number, 400).0);
        all.filter(|client| stage.knows(client)).count()
    };
    let (before, octets) = (known(&stage), stage.cache.bytes());
    assert!(before > 2_500, "{before}");
    let times = Times {
        stale_for: 0,
        ..Times::default()
    };
    for (bytes, least) in [(4 << 20, before), (2 << 20, before), (0, 0), (3 << 20, 0)] {
        let changed = stage.cache.changed(bytes, times);
        stage.cache = changed;
        assert!(stage.cache.bytes() <= bytes.min(octets));
        assert_eq!(known(&stage), least, "at {bytes}");
    }
    let (client, answer) = numbered(1, 400);
    stage.learn(&client, &answer);
    assert!(stage.knows(&client));
    stage.wait(61.0);
    assert!(stage.stale(&client).is_none(), "by the times that hold now");
}

#[test]
fn a_smaller_cache_is_within_its_bound_at_once() {
    let mut stage = Stage::with(8 << 20, Times::default());
    for number in 0..20_000 {
        let (client, answer) = numbered(number, 400);
        stage.learn(&client, &answer);
    }
    for bytes in [15 << 19, 6 << 20, 1 << 20, 1] {
        stage.cache = stage.cache.changed(bytes, Times::default());
        assert!(stage.cache.bytes() <= bytes);
        let counts = stage.cache.counts();
        let gone = counts.insertions - counts.evictions;
        assert_eq!(stage.cache.len() as u64, gone);
    }
}
