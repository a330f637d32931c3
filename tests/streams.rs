//! Streams from upstreams that end early, drip, or are cut wrongly: no client gets half an answer.

use std::time::{Duration, Instant};

use crate::support::checks::{assert_answered, canary, load};
use crate::support::codes::{A, SERVFAIL};
use crate::support::messages::{frame, query};
use crate::support::reading::read;
use crate::support::script::{Received, Step, right_answer};
use crate::support::setup::Setup;

/// Fails on the first connection as `steps` say, and answers well on all later ones: the client notices nothing.
fn is_retried(steps: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) {
    let setup = Setup::scripted(move |asked| match asked.connection {
        0 => steps(asked),
        _ => vec![Step::Answer(right_answer(asked))],
    });
    canary(setup.address(), "a.test");
    canary(setup.address(), "b.test");
    let seen = setup.upstream.seen();
    assert!(
        (2..=3).contains(&seen.accepted),
        "{} connections",
        seen.accepted
    );
    assert_eq!(seen.queries.len(), 3, "one retry and no more");
}

// req 78, fault 1: a server that closes after each answer serves one question after the other.
#[test]
fn a_server_that_closes_after_each_answer_serves() {
    let setup = Setup::scripted(|asked| {
        vec![
            Step::Answer(right_answer(asked)),
            Step::CloseNotify,
            Step::Fin,
        ]
    });
    for number in 0..200 {
        canary(setup.address(), &format!("a{number}.test"));
    }
}

// fault 3: the same without a close_notify, which at a frame's end is just a close (req 82).
#[test]
fn a_server_that_hangs_up_after_each_answer_serves() {
    let setup = Setup::scripted(|asked| vec![Step::Answer(right_answer(asked)), Step::Fin]);
    for number in 0..100 {
        canary(setup.address(), &format!("a{number}.test"));
    }
}

// fault 3: the same with a reset.
#[test]
fn a_server_that_resets_between_questions_serves() {
    let setup = Setup::scripted(|asked| match asked.index {
        0 => vec![Step::Answer(right_answer(asked))],
        _ => vec![Step::Reset],
    });
    for number in 0..20 {
        canary(setup.address(), &format!("a{number}.test"));
    }
}

// req 79, 82, fault 2: half an answer is no answer; the question goes out once more.
#[test]
fn half_an_answer_is_retried() {
    let half = |asked: &Received| {
        let whole = frame(&right_answer(asked));
        Step::Raw(whole[..whole.len() / 2].to_vec())
    };
    is_retried(move |asked| vec![half(asked), Step::CloseNotify, Step::Fin]);
    is_retried(move |asked| vec![half(asked), Step::Fin]);
    is_retried(move |asked| vec![half(asked), Step::Reset]);
    is_retried(|_| vec![Step::Raw(vec![0]), Step::Fin]);
}

// req 79, fault 3: no answer at all.
#[test]
fn a_lost_connection_is_retried() {
    is_retried(|_| vec![Step::CloseNotify, Step::Fin]);
    is_retried(|_| vec![Step::Fin]);
    is_retried(|_| vec![Step::Reset]);
}

// faults 13, 14: a length that no message can have breaks the stream.
#[test]
fn an_impossible_length_is_retried_elsewhere() {
    is_retried(|_| vec![Step::Raw(vec![0, 0])]);
    is_retried(|_| vec![Step::Raw(vec![0, 1, 7])]);
    is_retried(|_| vec![Step::Raw([&[0, 11][..], &[0; 11]].concat())]);
}

/// What an upstream does with each query leads to SERVFAIL, and that in time.
fn ends_in_the_deadline(script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) {
    let setup = Setup::build(|upstream| upstream.script(script), &["--timeout", "400ms"]);
    let start = Instant::now();
    assert_eq!(
        read(&setup.udp().ask(&query("a.test", A).build())).rcode(),
        SERVFAIL
    );
    assert!(start.elapsed() < Duration::from_secs(2));
}

// fault 16: a length and then silence costs the deadline and nothing else.
#[test]
fn a_length_and_then_silence_ends_in_the_deadline() {
    ends_in_the_deadline(|_| vec![Step::Raw(vec![0xFF, 0xFF])]);
}

// fault 10: an answer that drips in is bounded as a whole, not octet by octet.
#[test]
fn an_answer_that_drips_in_ends_in_the_deadline() {
    ends_in_the_deadline(|asked| {
        let octets = frame(&right_answer(asked)).into_iter();
        octets
            .flat_map(|octet| {
                [
                    Step::Raw(vec![octet]),
                    Step::Wait(Duration::from_millis(100)),
                ]
            })
            .collect()
    });
}

// fault 17: a length that is not the message's yields no wrong answer.
#[test]
fn a_wrong_length_yields_no_wrong_answer() {
    for excess in [-3, -1, 1, 3] {
        let misframed = move |asked: &Received| {
            let message = right_answer(asked);
            let length = (message.len() as u16).wrapping_add_signed(excess);
            vec![Step::Raw([&length.to_be_bytes()[..], &message].concat())]
        };
        let setup = Setup::build(
            |upstream| upstream.script(misframed),
            &["--timeout", "400ms"],
        );
        let asked = query("a.test", A).build();
        let got = setup.udp().ask(&asked);
        if read(&got).rcode() != SERVFAIL {
            assert_answered(&asked, &got);
        }
    }
}

// fault 11, 12: an answer that comes octet by octet, and two that come in one record.
#[test]
fn the_stream_may_be_cut_anywhere() {
    let setup = Setup::scripted(|asked| {
        frame(&right_answer(asked))
            .iter()
            .map(|octet| Step::Raw(vec![*octet]))
            .collect()
    });
    for number in 0..20 {
        canary(setup.address(), &format!("a{number}.test"));
    }
}

// fault 34: an upstream that closes when a second question is in flight is asked one at a time.
#[test]
fn an_upstream_that_takes_one_question_at_a_time_serves() {
    let setup = Setup::scripted(|asked| {
        vec![
            Step::Answer(right_answer(asked)),
            Step::CloseNotify,
            Step::Fin,
        ]
    });
    load(setup.address(), "one", 200, 4);
}
