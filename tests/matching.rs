//! Which answer belongs to which question (RFC 5452): by connection, id, name, type and class.

use std::collections::HashSet;

use crate::support::checks::{assert_answered, canary};
use crate::support::codes::{A, AAAA, IN, REFUSED, SERVFAIL};
use crate::support::messages::{name_octets, query, question_octets, response_to, word};
use crate::support::reading::read;
use crate::support::script::{Gate, Received, Step, right_answer};
use crate::support::setup::Setup;

/// Sends `wrong` before each right answer; the client must see the right one alone.
fn survives(wrong: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) {
    let setup = Setup::scripted(move |asked| {
        vec![
            Step::Answer(wrong(asked)),
            Step::Answer(right_answer(asked)),
        ]
    });
    for number in 0..3 {
        canary(setup.address(), &format!("a{number}.test"));
    }
}

/// Sends nothing but `wrong`: the client gets SERVFAIL in its deadline and no octet of the wrong answer.
fn refuses(wrong: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) {
    let setup = Setup::build(
        |upstream| upstream.script(move |asked| vec![Step::Answer(wrong(asked))]),
        &["--timeout", "300ms"],
    );
    let asked = query("a.test", A).id(5).build();
    let got = read(&setup.udp().ask(&asked));
    assert_eq!((got.id, got.rcode(), got.answer.len()), (5, SERVFAIL, 0));
}

fn of_another_id(asked: &Received) -> Vec<u8> {
    response_to(&asked.bytes)
        .id(word(&asked.bytes, 0) ^ 0x5555)
        .a(300, [6, 6, 6, 6])
        .build()
}

fn of_another_question(
    name: &str,
    rtype: u16,
    class: u16,
) -> impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static {
    let name = name_octets(name);
    move |asked| {
        response_to(&asked.bytes)
            .without_question()
            .question(&name, rtype, class)
            .a(300, [6, 6, 6, 6])
            .build()
    }
}

// req 58, fault 19.
#[test]
fn an_answer_with_another_id_is_ignored() {
    survives(of_another_id);
    refuses(of_another_id);
}

// req 58, fault 20: name, type and class must be the question's.
#[test]
fn an_answer_to_another_question_is_never_relayed() {
    refuses(of_another_question("b.test", A, IN));
    refuses(of_another_question("a.test", AAAA, IN));
    refuses(of_another_question("a.test", A, 3));
    refuses(of_another_question("a.test.test", A, IN));
}

// fault 21: many servers answer in lower case; the client gets its own.
#[test]
fn an_answer_in_another_letter_case_is_accepted() {
    let setup = Setup::scripted(|asked| {
        let lower = question_octets(&asked.bytes).to_ascii_lowercase();
        vec![Step::Answer(
            response_to(&right_answer(asked))
                .without_question()
                .question(&lower[..lower.len() - 4], A, IN)
                .a(300, [192, 0, 2, 1])
                .build(),
        )]
    });
    let asked = query("wWw.TeSt", A).build();
    let got = setup.udp().ask(&asked);
    assert_eq!(question_octets(&got), question_octets(&asked));
    assert_eq!(read(&got).answer.len(), 1);
}

// fault 22: a bare header with an error is relayed with the client's question.
#[test]
fn a_bare_header_is_relayed_with_the_clients_question() {
    for rcode in [SERVFAIL, REFUSED] {
        let setup = Setup::scripted(move |asked| {
            vec![Step::Answer(
                response_to(&asked.bytes)
                    .rcode(rcode)
                    .without_question()
                    .build(),
            )]
        });
        let asked = query("A.test", A).build();
        let got = setup.udp().ask(&asked);
        assert_eq!(
            (read(&got).rcode(), question_octets(&got)),
            (rcode, question_octets(&asked))
        );
    }
}

// fault 22: a bare header never says that all is well.
#[test]
fn a_bare_header_without_an_error_is_no_answer() {
    refuses(|asked| response_to(&asked.bytes).without_question().build());
}

// fault 23.
#[test]
fn an_echo_is_no_answer() {
    survives(|asked| asked.bytes.clone());
    refuses(|asked| asked.bytes.clone());
}

// fault 24: the second of two equal answers goes nowhere.
#[test]
fn a_duplicate_answer_is_ignored() {
    let setup = Setup::scripted(|asked| {
        vec![
            Step::Answer(right_answer(asked)),
            Step::Answer(right_answer(asked)),
        ]
    });
    let client = setup.udp();
    for number in 0..100 {
        let asked = query(&format!("a{number}.test"), A).id(number).build();
        assert_answered(&asked, &client.ask(&asked));
    }
}

// fault 24: an answer that comes after its question's end is not another's.
#[test]
fn a_late_answer_is_nobodys() {
    let gate = Gate::new();
    let held = gate.clone();
    let setup = Setup::build(
        |upstream| {
            upstream.script(move |asked| {
                let late = asked.bytes[13..].starts_with(b"late");
                let right = Step::Answer(right_answer(asked));
                if late {
                    vec![Step::HoldUntil(held.clone()), right]
                } else {
                    vec![right]
                }
            })
        },
        &["--timeout", "300ms"],
    );
    let client = setup.udp();
    assert_eq!(
        read(&client.ask(&query("late.test", A).id(1).build())).rcode(),
        SERVFAIL
    );
    gate.open();
    for number in 0..50 {
        let asked = query(&format!("a{number}.test"), A).id(1).build();
        assert_answered(&asked, &client.ask(&asked));
    }
}

// fault 25: answers that nobody asked for are bounded and harm nobody.
#[test]
fn ten_thousand_unsolicited_answers_harm_nobody() {
    let setup = Setup::scripted(|asked| {
        if asked.connection > 0 {
            return vec![Step::Answer(right_answer(asked))];
        }
        let flood = (0..10_000).map(|_| Step::Answer(of_another_id(asked)));
        flood.chain([Step::Answer(right_answer(asked))]).collect()
    });
    for number in 0..10 {
        canary(setup.address(), &format!("a{number}.test"));
    }
}

// req 59: no id is in flight twice on a connection.
#[test]
fn ids_in_flight_differ() {
    let gate = Gate::new();
    let held = gate.clone();
    let setup = Setup::scripted(move |asked| {
        vec![
            Step::HoldUntil(held.clone()),
            Step::Answer(right_answer(asked)),
        ]
    });
    let client = setup.udp();
    for number in 0..500 {
        client.send(&query(&format!("a{number}.test"), A).id(0).build());
    }
    let seen = setup
        .upstream
        .wait("500 queries", |seen| seen.queries.len() == 500);
    let ids: HashSet<_> = seen
        .queries
        .iter()
        .map(|asked| (asked.connection, word(&asked.bytes, 0)))
        .collect();
    assert_eq!(ids.len(), 500);
    gate.open();
    for _ in 0..500 {
        assert_eq!(read(&client.receive()).answer.len(), 1);
    }
}
