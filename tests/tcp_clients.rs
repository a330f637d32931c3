//! Clients over TCP (RFC 1035, 7766, 9210).

use std::io::Read;
use std::time::Duration;

use crate::support::checks::{assert_answered, canary};
use crate::support::client::uninterrupted;
use crate::support::codes::A;
use crate::support::messages::{frame, query, word};
use crate::support::script::{Gate, Received, Step, gated, right_answer};
use crate::support::setup::Setup;

// req 5, fault 11: the length and the message may be split anywhere.
#[test]
fn a_query_may_be_split_anywhere() {
    let setup = Setup::answering();
    let asked = query("a.test", A).build();
    let stream = frame(&asked);
    for cut in 0..stream.len() {
        let client = setup.tcp();
        client.send_raw(&stream[..cut]);
        client.send_raw(&stream[cut..]);
        assert_answered(&asked, &client.receive().expect("an answer"));
    }
    let client = setup.tcp();
    for octet in &stream {
        client.send_raw(&[*octet]);
    }
    assert_answered(&asked, &client.receive().expect("an answer"));
}

// req 64, 65: two queries in one write, and one after the other on one connection.
#[test]
fn a_connection_carries_many_queries() {
    let setup = Setup::answering();
    let client = setup.tcp();
    let queries: Vec<_> = (0..2)
        .map(|id| query(&format!("a{id}.test"), A).id(id).build())
        .collect();
    let answers = client.pipeline(&queries);
    for asked in &queries {
        assert_answered(asked, &answers[&word(asked, 0)]);
        assert_answered(asked, &client.ask(asked));
    }
}

// req 69: the length and the message go out together.
#[test]
fn an_answer_goes_out_in_one_write() {
    let setup = Setup::answering();
    let client = setup.tcp();
    for id in 0..50 {
        let asked = query("a.test", A).id(id).build();
        client.send(&asked);
        let mut buffer = [0; 512];
        let size = uninterrupted(|| client.stream().read(&mut buffer)).expect("an answer");
        assert_eq!(size, 2 + usize::from(word(&buffer, 0)));
        assert_answered(&asked, &buffer[2..size]);
    }
}

// req 65: the slow answer does not hold up the fast one.
#[test]
fn answers_come_out_of_order() {
    let gate = Gate::new();
    let setup = Setup::scripted(gated(&gate, "slow"));
    let client = setup.tcp();
    let (slow, fast) = (
        query("slow.test", A).id(1).build(),
        query("fast.test", A).id(2).build(),
    );
    client.send_raw(&[frame(&slow), frame(&fast)].concat());
    assert_answered(&fast, &client.receive().expect("the fast answer"));
    gate.open();
    assert_answered(&slow, &client.receive().expect("the slow answer"));
}

// req 65, fault 76: a thousand at once are all answered.
#[test]
fn a_thousand_pipelined_queries_are_all_answered() {
    let setup = Setup::answering();
    let queries: Vec<_> = (0..1000)
        .map(|id| query(&format!("a{id}.test"), A).id(id).build())
        .collect();
    let answers = setup.tcp().pipeline(&queries);
    assert_eq!(answers.len(), 1000);
    for asked in &queries {
        assert_answered(asked, &answers[&word(asked, 0)]);
    }
}

// req 66, fault 71: silence is not kept for ever; nor is a query that never ends.
#[test]
fn an_idle_connection_is_closed() {
    let setup = Setup::build(|upstream| upstream, &["--tcp-idle", "1s"]);
    let (silent, unfinished, served) = (setup.tcp(), setup.tcp(), setup.tcp());
    unfinished.send_raw(&[0]);
    served.ask(&query("a.test", A).build());
    for client in [silent, unfinished, served] {
        assert_eq!(client.receive(), None);
    }
    canary(setup.address(), "canary.test");
}

// req 66: a connection is not idle while an answer is due.
#[test]
fn a_connection_that_waits_for_an_answer_is_not_idle() {
    let script = |asked: &Received| {
        let right = Step::Answer(right_answer(asked));
        if asked.bytes[13..].starts_with(b"slow") {
            vec![Step::Wait(Duration::from_millis(1500)), right]
        } else {
            vec![right]
        }
    };
    let setup = Setup::build(|upstream| upstream.script(script), &["--tcp-idle", "1s"]);
    canary(setup.address(), "quick.test");
    let asked = query("slow.test", A).build();
    let client = setup.tcp();
    assert_answered(&asked, &client.ask(&asked));
    assert_eq!(client.receive(), None);
}

// req 68, fault 74: a client that has said its last word still gets its answers.
#[test]
fn a_half_closed_connection_is_answered_then_closed() {
    let gate = Gate::new();
    let setup = Setup::scripted(gated(&gate, "slow"));
    let client = setup.tcp();
    let queries = [
        query("slow.test", A).id(1).build(),
        query("slow2.test", A).id(2).build(),
    ];
    client.send_raw(
        &queries
            .iter()
            .flat_map(|asked| frame(asked))
            .collect::<Vec<_>>(),
    );
    client.half_close();
    setup
        .upstream
        .wait("both queries", |seen| seen.queries.len() == 2);
    gate.open();
    for _ in &queries {
        let got = client.receive().expect("an answer");
        assert_answered(&queries[usize::from(word(&got, 0)) - 1], &got);
    }
    assert_eq!(client.receive(), None);
}

// req 70: an answer goes where the question came from, though the ids are the same.
#[test]
fn equal_ids_on_different_connections_are_kept_apart() {
    let gate = Gate::new();
    let setup = Setup::scripted(gated(&gate, "slow"));
    let clients: Vec<_> = (0..50)
        .map(|number| {
            (
                setup.tcp(),
                query(&format!("slow{number}.test"), A).id(0).build(),
            )
        })
        .collect();
    for (client, asked) in &clients {
        client.send(asked);
    }
    setup
        .upstream
        .wait("all queries", |seen| seen.queries.len() == 50);
    gate.open();
    for (client, asked) in clients {
        assert_answered(&asked, &client.receive().expect("an answer"));
    }
}
