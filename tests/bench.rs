//! `dotward bench`: figures of servers whose behaviour is known.

use serde_json::Value;
use std::time::Duration;

use crate::probe::{contains, is_described, json};
use crate::support::codes::AD;
use crate::support::command::{Outcome, command, run};
use crate::support::messages::response_to;
use crate::support::script::{Gate, Received, Step, answers};
use crate::support::setup::{Setup, Trust};
use crate::support::upstream::DotServer;

/// What describes the JSON.
const PAGE: &str = include_str!("../docs/bench.md");
/// Only the connection for queries carries so many.
const FOURTH: usize = 3;

fn bench(trust: &Trust, more: &[&str]) -> Outcome {
    let mut args = vec![
        "bench",
        "--ca-file",
        &trust.root,
        "--time",
        "3s",
        "--count",
        "10",
    ];
    args.extend(more);
    run(command(&args))
}

fn is_slow(query: &Received) -> bool {
    query.bytes[13..].starts_with(b"probe-")
}

/// A server that pads, and loses the fourth query of a connection.
fn lossy(query: &Received) -> Vec<Step> {
    if is_slow(query) || query.index == FOURTH {
        return vec![Step::HoldUntil(Gate::new())];
    }
    let response = response_to(&query.bytes).on(AD).a(300, [192, 0, 2, 1]);
    vec![Step::Answer(
        response.edns(1232, 0, &[(12, &[0; 40])]).build(),
    )]
}

#[test]
fn resolvers_are_compared() {
    let trust = Trust::new();
    let lossy = DotServer::with(trust.authority.good())
        .script(lossy)
        .start();
    let plain = DotServer::with(trust.authority.good())
        .script(answers)
        .start();
    let specs = [lossy.spec(), plain.spec()];
    let outcome = bench(&trust, &[&specs[0], &specs[1], "--json"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let document = json(&outcome);
    is_described(PAGE, &document);
    assert_eq!(
        (&document["format"], &document["name"]),
        (&1.into(), &"example.com".into())
    );
    let [first, second] = &document["resolvers"].as_array().expect("an array")[..] else {
        panic!("two resolvers: {document}")
    };
    for (one, spec, lost) in [(first, &specs[0], 1), (second, &specs[1], 0)] {
        assert_eq!(one["resolver"], spec.as_str());
        assert_eq!(
            (&one["scheme"], &one["answered"]),
            (&"tls".into(), &true.into())
        );
        // A machine that is busy comes to less of it in its time.
        let number = |value: &Value| value.as_u64().expect("a number");
        for times in ["connect_ms", "resumed_ms"] {
            let count = number(&one[times]["count"]);
            assert!((1..=5).contains(&count), "{times}: {one}");
        }
        let (sent, missing) = (number(&one["sent"]), number(&one["lost"]));
        assert!((1..=10).contains(&sent) && missing >= lost, "{one}");
        assert_eq!(number(&one["answer_ms"]["count"]), sent - missing);
        assert_eq!(one["failed"], 0);
        for time in ["min", "p50", "p90", "p99", "max"] {
            assert!(one["answer_ms"][time].is_f64(), "{one}");
        }
        let parts = one["over_time"].as_array().expect("an array");
        let sum = |of: &str| {
            parts
                .iter()
                .filter_map(|part| part[of].as_u64())
                .sum::<u64>()
        };
        assert_eq!((sum("sent"), sum("lost")), (sent, missing));
        assert_eq!(one["features"]["resumes"], true);
        assert_eq!(one["features"]["padding"], lost == 1);
        assert_eq!(one["features"]["tls"]["version"], "1.3");
    }
    assert_eq!(outcome.stderr, "", "no bar where there is no terminal");
}

#[test]
fn a_table_and_bars_are_for_people() {
    let setup = Setup::answering();
    let trust = Trust::new();
    let stopped = DotServer::with(trust.authority.good()).stopped();
    let plain = format!("udp://{}", setup.address());
    let outcome = bench(&trust, &[&plain, &stopped.spec(), "--name", "a.test"]);
    assert_eq!(outcome.code, Some(1), "one does not answer: {outcome:?}");
    let mut lines = outcome.stdout.lines();
    let head = lines.next().unwrap_or_default();
    let words: Vec<&str> = head.split_whitespace().collect();
    assert_eq!(
        words,
        [
            "resolver", "by", "connect", "resumed", "p50", "p99", "lost", "over", "time"
        ]
    );
    let row = lines.next().unwrap_or_default();
    assert!(row.starts_with(&plain) && row.contains(" 0 of "), "{row}");
    let dead = lines.next().unwrap_or_default();
    assert!(dead.starts_with(&stopped.spec()), "{dead}");
    contains(
        &outcome.stdout,
        &[
            "\nanswers: half of them within #, 99 of 100 within -\n",
            &format!("\n{plain} by udp  "),
            &format!(
                "\n{} by tls\n  problem: cannot connect: connection refused; ",
                stopped.spec()
            ),
        ],
    );
    let seen = setup.upstream.seen().queries;
    let question = b"\x01a\x04test\x00\x00\x01";
    assert!(
        seen.iter()
            .any(|query| query.bytes[12..].starts_with(question))
    );
}

// fault 154
#[test]
fn a_silent_resolver_does_not_hold_up_the_end() {
    let trust = Trust::new();
    let silent = DotServer::with(trust.authority.good())
        .script(|_| vec![Step::HoldUntil(Gate::new())])
        .start();
    let outcome = bench(&trust, &[&silent.spec(), "--json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let one = &json(&outcome)["resolvers"][0];
    assert_eq!(one["problem"]["kind"], "no_answer");
    assert_eq!(
        (&one["answered"], &one["features"]),
        (&false.into(), &Value::Null)
    );
}

#[test]
fn a_query_that_the_end_would_cut_off_is_not_counted_as_lost() {
    let trust = Trust::new();
    // So slow that by far not all of them have the time.
    let slow = DotServer::with(trust.authority.good())
        .script(|query| {
            let mut steps = vec![Step::Wait(Duration::from_millis(100))];
            steps.extend(answers(query));
            steps
        })
        .start();
    let spec = slow.spec();
    let args = ["bench", "--ca-file", &trust.root, "--time", "5s"];
    let args = [&args[..], &["--count", "1000", "--json", &spec]].concat();
    let document = json(&run(command(&args)));
    let one = &document["resolvers"][0];
    assert!(one["sent"].as_u64() < Some(100), "{one}");
    assert_eq!((&one["lost"], &one["failed"]), (&0.into(), &0.into()));
}
