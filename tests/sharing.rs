//! Many clients, few ids, equal questions: each gets its own answer.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::support::checks::{assert_answered, load};
use crate::support::codes::A;
use crate::support::messages::{query, question_octets, word};
use crate::support::script::{Gate, Step, right_answer};
use crate::support::setup::Setup;

// fault 61: one socket, one id, two questions in flight.
#[test]
fn the_same_id_with_different_questions_is_told_apart() {
    let setup = Setup::answering();
    let client = setup.udp();
    let asked: Vec<_> = ["a.test", "b.test", "c.test"]
        .map(|name| query(name, A).id(7).build())
        .into();
    for asked in &asked {
        client.send(asked);
    }
    let mut waiting: HashMap<&[u8], &Vec<u8>> = asked
        .iter()
        .map(|asked| (question_octets(asked), asked))
        .collect();
    for _ in &asked {
        let got = client.receive();
        assert_answered(
            waiting
                .remove(question_octets(&got))
                .expect("one answer to each"),
            &got,
        );
    }
}

// req 61: identical questions are joined, and each client gets its own id and letter case.
#[test]
fn identical_questions_in_flight_are_joined() {
    let gate = Gate::new();
    let held = gate.clone();
    let setup = Setup::scripted(move |asked| {
        vec![
            Step::HoldUntil(held.clone()),
            Step::Answer(right_answer(asked)),
        ]
    });
    let clients: Vec<_> = (0..200)
        .map(|id: u16| {
            (
                setup.udp(),
                query(if id < 100 { "same.test" } else { "SAME.test" }, A)
                    .id(id)
                    .build(),
            )
        })
        .collect();
    for (client, asked) in &clients {
        client.send(asked);
    }
    // A different question behind all of them on one more socket: when it has come, they all have been read.
    setup.udp().send(&query("last.test", A).build());
    let seen = setup.upstream.wait("the last query", |seen| {
        seen.queries
            .iter()
            .any(|asked| asked.bytes[13..].starts_with(b"last"))
    });
    assert_eq!(seen.queries.len(), 2, "one for all, and the last");
    gate.open();
    for (client, asked) in &clients {
        assert_answered(asked, &client.receive());
    }
}

// fault 62: a client that asks again while it waits costs one upstream query and sees no error.
#[test]
fn a_retransmission_is_one_question() {
    let gate = Gate::new();
    let held = gate.clone();
    let setup = Setup::scripted(move |asked| {
        vec![
            Step::HoldUntil(held.clone()),
            Step::Answer(right_answer(asked)),
        ]
    });
    let (client, asked) = (setup.udp(), query("a.test", A).build());
    for _ in 0..5 {
        client.send(&asked);
    }
    client.send(&query("last.test", A).id(1).build());
    let seen = setup
        .upstream
        .wait("the last query", |seen| seen.queries.len() == 2);
    assert!(
        seen.queries
            .iter()
            .any(|asked| asked.bytes[13..].starts_with(b"last"))
    );
    gate.open();
    loop {
        let got = client.receive();
        if word(&got, 0) == 1 {
            break;
        }
        assert_answered(&asked, &got);
    }
}

// fault 70, scaled: the same id from many sockets at once.
#[test]
fn five_hundred_clients_with_one_id_each_get_their_own() {
    let setup = Setup::answering();
    let clients: Vec<_> = (0..500)
        .map(|number| {
            (
                setup.udp(),
                query(&format!("a{number}.test"), A).id(0).build(),
            )
        })
        .collect();
    for (client, asked) in &clients {
        client.send(asked);
    }
    for (client, asked) in &clients {
        assert_answered(asked, &client.receive());
    }
}

// req 79, fault 18: the upstream turns every five answers round.
#[test]
fn answers_in_reverse_order_are_matched() {
    let groups: Mutex<HashMap<usize, Vec<Vec<u8>>>> = Mutex::default();
    let setup = Setup::scripted(move |asked| {
        let mut groups = groups.lock().expect("the groups");
        let group = groups.entry(asked.connection).or_default();
        group.push(right_answer(asked));
        if group.len() < 5 {
            vec![]
        } else {
            group.drain(..).rev().map(Step::Answer).collect()
        }
    });
    load(setup.address(), "reverse", 2000, 50);
}

// req 79, fault 33: with 200 in flight, and not one mismatch.
#[test]
fn twenty_thousand_queries_get_their_own_responses() {
    let setup = Setup::answering();
    load(setup.address(), "many", 20_000, 200);
}
