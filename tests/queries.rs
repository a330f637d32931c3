//! Queries that are malformed, unsupported or no queries at all (RFC 1035, 9267, 9619), and answers that are malformed.

use crate::support::checks::{assert_answered, body, canary, rcode_of};
use crate::support::codes::{A, FORMERR, IN, NOERROR, NOTIMP, QR, RD, REFUSED, SERVFAIL};
use crate::support::messages::{labels, name_octets, query, query_octets, response_to, word};
use crate::support::script::{Step, right_answer};
use crate::support::setup::Setup;

// req 3, fault 58: compression in a question leads nowhere, and quickly.
#[test]
fn a_question_of_pointers_is_a_format_error() {
    let setup = Setup::answering();
    for name in [
        &[0xC0, 12][..],
        &[0xC0, 14, 0xC0, 12],
        &[0xC0, 0xFF],
        &[1, b'a', 0xC0, 12],
        &[0xC0, 16],
    ] {
        let answer = rcode_of(&setup.udp().ask(&query_octets(name, A, IN).build()));
        assert_eq!(answer, FORMERR, "{name:02x?}");
    }
    assert!(setup.upstream.seen().queries.is_empty());
    canary(setup.address(), "canary.test");
}

// req 4: labels of 63 and names of 255 octets pass; longer ones and the reserved label types do not.
#[test]
fn names_are_as_long_as_the_standard_says() {
    let setup = Setup::answering();
    let label = [b'x'; 63];
    let longest = labels(&[&label, &label, &label, &label[..61]]);
    assert_eq!(longest.len(), 255);
    let asked = query_octets(&longest, A, IN).build();
    assert_answered(&asked, &setup.udp().ask(&asked));

    let too_long = labels(&[&label, &label, &label, &label[..62]]);
    let reserved = [&[0x40][..], &[b'x'; 64], &[0]].concat();
    let other = [&[0x80][..], &[b'x'; 64], &[0]].concat();
    for name in [too_long, reserved, other] {
        assert_eq!(
            rcode_of(&setup.udp().ask(&query_octets(&name, A, IN).build())),
            FORMERR,
            "{name:02x?}"
        );
    }
    assert_eq!(setup.upstream.seen().queries.len(), 1);
}

// req 15, 16, 17, faults 55, 57: what is no single question is a format error and goes nowhere.
#[test]
fn counts_that_cannot_be_are_format_errors() {
    let setup = Setup::answering();
    let two = [
        query("a.test", A).counts([2, 0, 0, 0]).build(),
        b"\x01b\x04test\0\0\x01\0\x01".to_vec(),
    ]
    .concat();
    let odd = [
        two,
        query("a.test", A).counts([2, 0, 0, 0]).build(),
        query("a.test", A)
            .counts([65535, 65535, 65535, 65535])
            .build(),
        query("a.test", A).counts([1, 65535, 0, 0]).build(),
        query("a.test", A).counts([1, 0, 0, 65535]).build(),
        query("a.test", A).counts([1, 0, 0, 1]).build(),
        query_octets(&[], 0, 0).counts([1, 0, 0, 0]).build(),
        query("a.test", A).build()[..15].to_vec(),
    ];
    for asked in odd {
        assert_eq!(rcode_of(&setup.udp().ask(&asked)), FORMERR, "{asked:02x?}");
    }
    let none = rcode_of(
        &setup
            .udp()
            .ask(&query("a.test", A).counts([0; 4]).build()[..12]),
    );
    assert!([FORMERR, NOTIMP].contains(&none));
    assert!(setup.upstream.seen().queries.is_empty());
    canary(setup.address(), "canary.test");
}

// req 16, fault 55: what is no message, or an answer, gets no answer (fault 56).
#[test]
fn what_is_no_query_gets_no_answer() {
    let setup = Setup::answering();
    let client = setup.udp();
    for length in 0..12 {
        client.send(&vec![0; length]);
        client.send(&vec![0xFF; length]);
    }
    client.send(&query("a.test", A).flags(QR | RD).build());
    client.send(&response_to(&query("a.test", A).build()).build());
    let asked = query("canary.test", A).id(99).build();
    assert_answered(&asked, &client.ask(&asked));
    assert_eq!(setup.upstream.seen().queries.len(), 1);
}

// req 17: nothing is reserved for what a header merely claims.
#[test]
fn claimed_counts_reserve_no_memory() {
    let setup = Setup::answering();
    canary(setup.address(), "a.test");
    let client = setup.udp();
    let Some(before) = setup.proxy.memory() else {
        eprintln!("this host does not tell a process's memory: nothing to test");
        return;
    };
    for id in 0..10_000 {
        client.ask(&query("a.test", A).id(id).counts([1, 0, 0, 65535]).build());
    }
    let grown = setup.proxy.memory().unwrap_or(0).saturating_sub(before);
    assert!(grown < 5 << 20, "grown by {grown} octets");
}

// req 20: octets behind the last record never become a record.
#[test]
fn trailing_octets_never_become_records() {
    let setup = Setup::answering();
    let smuggled = [&[0, 0, 41, 0xFF, 0xFF, 0, 0, 0x80, 0, 0, 29][..], &[0; 29]].concat();
    for (name, asked) in [
        ("a.test", query("a.test", A)),
        ("b.test", query("b.test", A).edns(1232, 0, &[])),
    ] {
        let (plain, padded) = (asked.build(), [asked.build(), smuggled.clone()].concat());
        setup.udp().send(&padded);
        canary(setup.address(), "canary.test");
        let seen = setup.upstream.seen().queries;
        for query in seen
            .iter()
            .filter(|query| query.bytes[12..].starts_with(&name_octets(name)))
        {
            // The counts lead over the client's own records alone.
            assert!(
                [body(&plain), body(&padded)].contains(&body(&query.bytes)),
                "{:02x?}",
                query.bytes
            );
        }
    }
}

// req 29, 72: operations other than a query are refused here, and their opcode is echoed.
#[test]
fn other_operations_are_refused() {
    let setup = Setup::answering();
    for opcode in [1, 2, 3, 4, 5, 6, 7, 15] {
        let asked = query("a.test", A).flags(opcode << 11).id(opcode).build();
        for got in [setup.udp().ask(&asked), setup.tcp().ask(&asked)] {
            assert!(
                [NOTIMP, REFUSED].contains(&rcode_of(&got)),
                "opcode {opcode}: {got:02x?}"
            );
            assert_eq!(
                (word(&got, 0), word(&got, 2) & 0xF800),
                (opcode, QR | opcode << 11)
            );
        }
    }
    assert!(setup.upstream.seen().queries.is_empty());
}

// req 30: zone transfers are refused, and the upstream's stream stays usable.
#[test]
fn zone_transfers_are_refused() {
    let setup = Setup::answering();
    for rtype in [251, 252] {
        for got in [
            setup.tcp().ask(&query("test", rtype).build()),
            setup.udp().ask(&query("test", rtype).build()),
        ] {
            assert!([NOTIMP, REFUSED].contains(&rcode_of(&got)), "{got:02x?}");
        }
    }
    assert!(setup.upstream.seen().queries.is_empty());
    for number in 0..100 {
        canary(setup.address(), &format!("a{number}.test"));
    }
}

// req 3, 18: an answer that leads in circles or past its end harms nobody.
#[test]
fn a_malformed_answer_is_relayed_or_refused_and_nothing_more() {
    let circles = [0xC0, 0x1E, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 1, 2, 3, 4];
    let past_the_end = [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0xFF, 0xFF, 1, 2, 3, 4];
    let five = [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 5, 1, 2, 3, 4, 5];
    let setup = Setup::scripted(move |asked| {
        let tail: &[u8] = match word(&asked.bytes, 13) >> 8 {
            0x63 => &circles,
            0x70 => &past_the_end,
            0x66 => &five,
            _ => return vec![Step::Answer(right_answer(asked))],
        };
        let mut message = response_to(&asked.bytes).build();
        message[7] = 1;
        vec![Step::Answer([&message, tail].concat())]
    });
    for name in ["c.test", "p.test", "f.test"] {
        let got = setup.udp().ask(&query(name, A).build());
        assert!([NOERROR, SERVFAIL].contains(&rcode_of(&got)), "{got:02x?}");
    }
    canary(setup.address(), "well.test");
}
