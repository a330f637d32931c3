//! Padding of queries (RFC 7830, RFC 8467), and what of a client's options an upstream gets to see.

use crate::support::checks::{assert_answered, body};
use crate::support::client::UdpClient;
use crate::support::codes::{A, FORMERR, TXT};
use crate::support::messages::{query, response_to};
use crate::support::reading::read;
use crate::support::script::{Received, Step, right_answer};
use crate::support::setup::Setup;

const CLIENT_SUBNET: u16 = 8;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;

/// Queries of all kinds: names of many lengths, with and without EDNS and options, two in three over TCP.
fn mixed(number: usize) -> Vec<u8> {
    let name = format!("{}{number}.test", "x".repeat(number % 50));
    let plain = query(&name, if number.is_multiple_of(2) { A } else { TXT });
    let subnet: (u16, &[u8]) = (CLIENT_SUBNET, &[0, 1, 24, 0, 192, 0, 2]);
    let options: [&[(u16, &[u8])]; 5] = [
        &[],
        &[(COOKIE, &[7; 8])],
        &[(3, b""), subnet, (KEEPALIVE, b"")],
        &[(PADDING, &[0; 40]), (65_001, b"own")],
        &[subnet],
    ];
    match number % 6 {
        0 => plain.build(),
        kind => plain.edns(1232, 0x8000, options[kind - 1]).build(),
    }
}

/// The codes of the options of a query.
fn codes(query: &[u8]) -> Vec<u16> {
    let options = read(query).options();
    options.into_iter().map(|(code, _)| code).collect()
}

// req 80
#[test]
fn every_query_has_a_padded_length_and_nothing_of_the_clients_hop() {
    let setup = Setup::build(
        |upstream| upstream.script(|asked| vec![Step::Answer(response_to(&asked.bytes).build())]),
        &["--cache-size", "0"],
    );
    let (udp, tcp) = (setup.udp(), setup.tcp());
    for number in 0..1_000 {
        let asked = mixed(number);
        let got = if number.is_multiple_of(3) {
            udp.ask(&asked)
        } else {
            tcp.ask(&asked)
        };
        assert_eq!(read(&got).opt().is_some(), read(&asked).opt().is_some());
        assert!(!codes(&got).contains(&PADDING));
    }
    let seen = setup.upstream.seen().queries;
    assert_eq!(seen.len(), 1_000);
    for (number, one) in seen.iter().enumerate() {
        assert_eq!(one.bytes.len() % 128, 0, "query {number}");
        let codes = codes(&one.bytes);
        assert_eq!(codes.last(), Some(&PADDING), "query {number}");
        assert!(!codes.contains(&COOKIE) && !codes.contains(&CLIENT_SUBNET));
        // dotward itself asks how long the connection may be idle, once.
        assert_eq!(codes.contains(&KEEPALIVE), number == 0, "query {number}");
        assert_eq!(codes.contains(&65_001), number % 6 == 4, "query {number}");
    }
}

#[test]
fn without_padding_the_upstream_gets_the_clients_octets() {
    let keep = ["--padding", "off", "--ecs", "keep", "--cache-size", "0"];
    let setup = Setup::build(|upstream| upstream, &keep);
    let (client, mut compared) = (setup.udp(), 0);
    for number in 0..60 {
        let asked = mixed(number);
        client.ask(&asked);
        let seen = setup.upstream.last_query();
        let is_kept = ![COOKIE, KEEPALIVE, PADDING]
            .iter()
            .any(|code| codes(&asked).contains(code));
        // The first query with EDNS on the connection has the keepalive option.
        if is_kept && !codes(&seen.bytes).contains(&KEEPALIVE) {
            assert_eq!(body(&seen.bytes), body(&asked), "query {number}");
            compared += 1;
        }
    }
    assert!(compared >= 29, "{compared}");
}

/// FORMERR with an OPT record for a query with this option, and the right answer for others.
fn refusing(code: u16) -> impl Fn(&Received) -> Vec<Step> {
    move |asked| {
        let refused = response_to(&asked.bytes).rcode(FORMERR).opt(1232, 0, &[]);
        vec![Step::Answer(if codes(&asked.bytes).contains(&code) {
            refused.build()
        } else {
            right_answer(asked)
        })]
    }
}

fn answered_by(refused: u16) -> Setup {
    let setup = Setup::build(
        |upstream| upstream.script(refusing(refused)),
        &["--cache-size", "0"],
    );
    let client = UdpClient::new(setup.address());
    for name in ["a.test", "b.test", "c.test"] {
        let asked = query(name, A).build();
        assert_answered(&asked, &client.ask(&asked));
    }
    setup
}

// req 71: one option that is refused does not cost the other.
#[test]
fn an_upstream_that_refuses_keepalive_gets_padded_queries() {
    let setup = answered_by(KEEPALIVE);
    let seen = setup.upstream.seen().queries;
    let padded = seen
        .iter()
        .filter(|one| codes(&one.bytes).contains(&PADDING));
    assert_eq!((padded.count(), seen.len()), (4, 4));
}

#[test]
fn an_upstream_that_does_not_understand_padding_is_asked_without() {
    let setup = answered_by(PADDING);
    setup.proxy.wait_log("does not understand padded queries");
    let seen = setup.upstream.seen().queries;
    let padded = seen
        .iter()
        .filter(|one| codes(&one.bytes).contains(&PADDING));
    // With keepalive, and without that.
    assert_eq!((padded.count(), seen.len()), (2, 5));
}

// A client's own mistake, which every server refuses, does not end padding.
#[test]
fn a_query_that_is_refused_with_and_without_padding_proves_nothing() {
    let refuse = |asked: &Received| {
        let refused = response_to(&asked.bytes).rcode(FORMERR).opt(1232, 0, &[]);
        vec![Step::Answer(if asked.bytes[13] == b'b' {
            refused.build()
        } else {
            right_answer(asked)
        })]
    };
    let setup = Setup::build(|upstream| upstream.script(refuse), &["--cache-size", "0"]);
    for name in ["a.test", "b.test", "c.test"] {
        setup.udp().ask(&query(name, A).build());
    }
    let last = setup.upstream.last_query();
    assert_eq!(last.bytes[13], b'c');
    assert!(codes(&last.bytes).contains(&PADDING));
}

#[test]
fn an_upstream_that_does_not_pad_is_reported_once() {
    let bare = |asked: &Received| {
        let answer = response_to(&asked.bytes).a(300, [192, 0, 2, 1]);
        vec![Step::Answer(answer.opt(1232, 0, &[]).build())]
    };
    let setup = Setup::build(|upstream| upstream.script(bare), &["--cache-size", "0"]);
    let client = setup.udp();
    for number in 0..30 {
        client.ask(&query(&format!("n{number}.test"), A).build());
    }
    let words = "does not pad its responses";
    setup.proxy.wait_log(words);
    let logs = setup.proxy.logs();
    assert_eq!(logs.iter().filter(|line| line.contains(words)).count(), 1);
}
