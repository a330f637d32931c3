//! Clients that leave, stall, shout or talk nonsense: the next client is served all the same.

use std::net::Shutdown;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use crate::support::checks::{assert_answered, canary};
use crate::support::client::TcpClient;
use crate::support::codes::{A, NOERROR, TXT};
use crate::support::messages::{frame, query, response_to, word};
use crate::support::reading::read;
use crate::support::script::{Gate, Step, gated, right_answer};
use crate::support::setup::Setup;

// fault 75: a client that leaves with its answers due harms nobody.
#[test]
fn a_client_that_leaves_early_harms_nobody() {
    let gate = Gate::new();
    let mut setup = Setup::scripted(gated(&gate, "slow"));
    let client = setup.tcp();
    let queries: Vec<u8> = (0..50)
        .flat_map(|id| frame(&query(&format!("slow{id}.test"), A).id(id).build()))
        .collect();
    client.send_raw(&queries);
    setup
        .upstream
        .wait("the queries", |seen| seen.queries.len() == 50);
    drop(client);
    canary(setup.address(), "canary.test");
    gate.open();
    for number in 0..50 {
        canary(setup.address(), &format!("after{number}.test"));
    }
    assert!(setup.proxy.terminate().success());
}

// fault 77: a client that never reads costs a bounded buffer and holds up nobody.
#[test]
fn a_client_that_never_reads_holds_up_nobody() {
    let setup = Setup::scripted(|asked| match word(&asked.bytes, asked.bytes.len() - 4) {
        TXT => vec![Step::Answer(response_to(&asked.bytes).fill(60_000).build())],
        _ => vec![Step::Answer(right_answer(asked))],
    });
    let client = setup.tcp();
    client
        .stream()
        .set_write_timeout(Some(Duration::from_millis(200)))
        .expect("a time limit");
    let queries: Vec<u8> = (0..100)
        .flat_map(|id| frame(&query(&format!("a{id}.test"), TXT).id(id).build()))
        .collect();
    client.send_raw(&queries);
    setup
        .upstream
        .wait("a first query", |seen| !seen.queries.is_empty());
    for number in 0..50 {
        canary(setup.address(), &format!("b{number}.test"));
    }
    client
        .stream()
        .shutdown(Shutdown::Both)
        .expect("the client leaves");
    canary(setup.address(), "c.test");
}

// fault 78: connections that are reset before a word was said.
#[test]
fn connections_that_are_reset_at_once_harm_nobody() {
    let setup = Setup::answering();
    for _ in 0..300 {
        let client = setup.tcp();
        set_socket_linger(client.stream(), Some(Duration::ZERO)).expect("SO_LINGER");
    }
    let asked = query("a.test", A).build();
    assert_answered(&asked, &setup.tcp().ask(&asked));
    canary(setup.address(), "canary.test");
}

// fault 79: what is no DNS at all is read as a length that never completes, or a format error.
#[test]
fn a_hello_of_another_protocol_harms_nobody() {
    let setup = Setup::build(|upstream| upstream, &["--tcp-idle", "1s"]);
    for words in [
        &b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03",
    ] {
        let client = setup.tcp();
        client.send_raw(words);
        assert_eq!(client.receive(), None);
    }
    assert!(setup.upstream.seen().queries.is_empty());
    canary(setup.address(), "canary.test");
}

// req 5, faults 13, 14: a length that no message can have ends the connection or is skipped, and nothing is forwarded.
#[test]
fn an_impossible_length_is_never_forwarded() {
    let setup = Setup::answering();
    for length in [0_usize, 1, 11] {
        let client: TcpClient = setup.tcp();
        client.send_raw(&frame(&vec![0; length]));
        client.send(&query("a.test", A).id(5).build());
        if let Some(got) = client.receive() {
            assert_eq!(read(&got).id, 5);
        }
    }
    assert!(
        setup
            .upstream
            .seen()
            .queries
            .iter()
            .all(|asked| asked.bytes.len() > 12)
    );
    canary(setup.address(), "canary.test");
}

// fault 65: a client that is gone when its answer comes does not stop the loop.
#[test]
fn a_client_that_is_gone_does_not_stop_the_loop() {
    let gate = Gate::new();
    let held = gate.clone();
    let setup = Setup::scripted(move |asked| {
        let right = Step::Answer(right_answer(asked));
        if asked.bytes[13..].starts_with(b"gone") {
            vec![Step::HoldUntil(held.clone()), right]
        } else {
            vec![right]
        }
    });
    for number in 0..50 {
        let client = setup.udp();
        client.send(&query(&format!("gone{number}.test"), A).build());
    }
    setup
        .upstream
        .wait("all of them", |seen| seen.queries.len() == 50);
    gate.open();
    for number in 0..50 {
        canary(setup.address(), &format!("here{number}.test"));
    }
}

// faults 55, 57, 58: a corpus of mutated queries; each is answered or dropped, and the next client is served.
#[test]
fn garbage_harms_nobody() {
    let setup = Setup::scripted(|asked| vec![Step::Answer(response_to(&asked.bytes).build())]);
    let seed = query("www.example.test", A)
        .opt(1232, 0, &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8])
        .build();
    let client = setup.udp();
    let mut state = 0x2545_F491_u32; // A fixed seed: a failure comes again.
    for _ in 0..2000 {
        let mut mutated = seed.clone();
        for _ in 0..3 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let at = state as usize % mutated.len();
            mutated[at] = (state >> 8) as u8;
        }
        mutated.truncate(1 + state as usize % seed.len());
        client.send(&mutated);
    }
    client.send(&vec![0xAA; 60_000]);
    let asked = query("canary.test", A).build();
    assert_eq!(read(&setup.udp().ask(&asked)).rcode(), NOERROR);
    assert_eq!(read(&setup.tcp().ask(&asked)).rcode(), NOERROR);
}
