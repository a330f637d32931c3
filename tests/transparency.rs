//! What the program may and may not change on the way (RFC 1035, 3597, 5625, 8945, 9619).

use dotward::wire::Section;

use crate::support::checks::{assert_answered, body, rcode_of};
use crate::support::codes::{A, AA, AD, CD, IN, NOERROR, NXDOMAIN, QR, RA, RD, TSIG, TXT, Z};
use crate::support::messages::{
    TO_QUESTION, labels, name_octets, query, query_octets, response_to, tsig_rdata, word,
};
use crate::support::reading::read;
use crate::support::script::Step;
use crate::support::setup::Setup;

/// Without padding the upstream gets the client's octets.
const UNPADDED: &[&str] = &["--padding", "off"];

// req 1: the client's id, opcode and RD.
#[test]
fn a_reply_carries_the_clients_id_and_rd() {
    let setup = Setup::answering();
    let client = setup.udp();
    for id in [0, 1, 0xFFFF] {
        for flags in [0, RD] {
            let asked = query(&format!("a{id}-{flags}.test"), A)
                .id(id)
                .flags(flags)
                .build();
            let answer = client.ask(&asked);
            assert_answered(&asked, &answer);
            assert_eq!(word(&answer, 2) & (QR | 0x7800 | RD), QR | flags);
        }
    }
}

// req 2: each client's own letter case, whatever another client asked before.
#[test]
fn letter_case_is_the_clients_own() {
    let setup = Setup::answering();
    for name in ["wWw.ExAmPlE.tEsT", "WwW.eXaMpLe.TeSt", "www.example.test"] {
        let asked = query(name, A).build();
        assert_answered(&asked, &setup.udp().ask(&asked));
        assert_answered(&asked, &setup.tcp().ask(&asked));
    }
}

// req 11: names are octets.
#[test]
fn any_octet_may_stand_in_a_name() {
    let setup = Setup::answering();
    for label in [
        &b"_a\0b\xFF"[..],
        b"a.b",
        b"with space",
        b"_dns",
        b"\\",
        b"\n",
    ] {
        let asked = query_octets(&labels(&[label, b"test"]), A, IN).build();
        assert_answered(&asked, &setup.udp().ask(&asked));
    }
}

// req 12, 13, 14: unknown types, classes and data go through bit by bit, in both directions.
#[test]
fn unknown_types_classes_and_data_are_opaque() {
    let setup = Setup::build(
        |upstream| upstream.script(|asked| vec![Step::Answer(opaque_answer(&asked.bytes))]),
        UNPADDED,
    );
    for (rtype, class) in [
        (65280, IN),
        (1000, IN),
        (33, IN),
        (46, IN),
        (64, IN),
        (39, IN),
        (A, 5),
        (TXT, 3),
        (A, 254),
    ] {
        let asked = query_octets(&name_octets("a.test"), rtype, class).build();
        assert_eq!(
            setup.udp().ask(&asked),
            opaque_answer(&asked),
            "type {rtype} class {class}"
        );
        let seen = setup.upstream.last_query();
        assert_eq!(
            body(&seen.bytes),
            body(&asked),
            "type {rtype} class {class}"
        );
    }
}

/// A record of the type that was asked for, with data that looks like names, which nobody may compress or decompress.
fn opaque_answer(asked: &[u8]) -> Vec<u8> {
    let octets: Vec<u8> = (0..200).map(|octet: u8| octet.wrapping_mul(151)).collect();
    let rdata = [&name_octets("a.test")[..], &[0xC0, 12], &octets].concat();
    response_to(asked)
        .answer(word(asked, asked.len() - 4), 60, &rdata)
        .build()
}

// req 12, 13, 22: an answer is relayed as it came: flags, records, odd data.
#[test]
fn an_answer_is_relayed_bit_by_bit() {
    let setup = Setup::scripted(|asked| vec![Step::Answer(odd_answer(&asked.bytes))]);
    for (name, rtype) in [
        ("a.test", 65280),
        ("b.test", 33),
        ("c.test", 64),
        ("d.test", A),
    ] {
        let asked = query(name, rtype).id(0x4321).build();
        assert_eq!(setup.udp().ask(&asked), odd_answer(&asked));
        assert_eq!(setup.tcp().ask(&asked), odd_answer(&asked));
    }
}

fn odd_answer(asked: &[u8]) -> Vec<u8> {
    let rdata = [&name_octets("a.test")[..], &[0xC0, 12, 0, 255, 254]].concat();
    response_to(asked)
        .on(AA | AD | Z)
        .off(RA)
        .rcode(NXDOMAIN)
        .answer(65280, 0x8000_0001, &rdata)
        .soa(0)
        .build()
}

// req 9, 10, 52: no TTL is touched, and nothing is kept: the same question goes out again.
#[test]
fn times_to_live_are_relayed_as_they_came() {
    let with_times = |asked: &[u8]| {
        let plain =
            response_to(asked)
                .answer(A, 5, &[192, 0, 2, 1])
                .answer(A, 300, &[192, 0, 2, 2]);
        plain.answer(A, 0x8000_0001, &[192, 0, 2, 3]).build()
    };
    let setup = Setup::scripted(move |asked| vec![Step::Answer(with_times(&asked.bytes))]);
    let asked = query("a.test", A).build();
    for times in 1..=2 {
        assert_eq!(setup.udp().ask(&asked), with_times(&asked));
        assert_eq!(setup.upstream.seen().queries.len(), times);
    }
}

// req 19: a pointer in the additional section is an ordinary one.
#[test]
fn a_query_with_a_compressed_owner_is_forwarded() {
    let setup = Setup::build(|upstream| upstream, UNPADDED);
    let asked = query("a.test", A)
        .record(Section::Additional, TO_QUESTION, 65281, (IN, 0), b"x")
        .build();
    assert_eq!(read(&setup.udp().ask(&asked)).rcode(), NOERROR);
    assert_eq!(body(&setup.upstream.seen().queries[0].bytes), body(&asked));
}

// req 21, 22, 28: every flag of the query reaches the upstream.
#[test]
fn flags_of_a_query_reach_the_upstream() {
    let setup = Setup::build(|upstream| upstream, UNPADDED);
    for flags in [
        0,
        RD,
        RD | Z,
        RD | AD,
        RD | CD,
        RD | AD | CD | Z,
        RD | AA,
        RD | RA,
        RD | 0x0200,
    ] {
        let asked = query("a.test", A).flags(flags).build();
        assert_eq!(
            rcode_of(&setup.udp().ask(&asked)),
            NOERROR,
            "flags {flags:04x}"
        );
        let seen = setup.upstream.last_query();
        assert_eq!(body(&seen.bytes), body(&asked), "flags {flags:04x}");
    }
}

// req 23: every type is forwarded.
#[test]
fn types_from_end_to_end_of_the_range_are_forwarded() {
    let setup = Setup::scripted(|asked| vec![Step::Answer(response_to(&asked.bytes).build())]);
    let client = setup.udp();
    for rtype in (1..=u16::MAX).step_by(97) {
        let asked = query("a.test", rtype).id(rtype).build();
        assert_eq!(
            client.ask(&asked),
            response_to(&asked).build(),
            "type {rtype}"
        );
    }
    assert_eq!(
        setup.upstream.seen().queries.len(),
        (1..=u16::MAX).step_by(97).count()
    );
}

// req 26: a signed query and its answer are not touched but for the id.
#[test]
fn a_signed_exchange_is_not_touched() {
    let setup = Setup::scripted(|asked| vec![Step::Answer(signed_answer(&asked.bytes))]);
    for edns in [false, true] {
        let unsigned = if edns {
            query("A.tEst", A).edns(4096, 0, &[])
        } else {
            query("A.tEst", A)
        };
        let asked = unsigned
            .id(77)
            .record(
                Section::Additional,
                &name_octets("k"),
                TSIG,
                (255, 0),
                &tsig_rdata(77, &[7; 32]),
            )
            .build();
        assert_eq!(setup.udp().ask(&asked), signed_answer(&asked));
        assert_eq!(setup.tcp().ask(&asked), signed_answer(&asked));
        for seen in &setup.upstream.seen().queries[if edns { 2 } else { 0 }..] {
            assert_eq!(body(&seen.bytes), body(&asked));
        }
    }
}

fn signed_answer(asked: &[u8]) -> Vec<u8> {
    let signature = tsig_rdata(77, &[9; 32]);
    response_to(asked)
        .a(300, [192, 0, 2, 1])
        .opt(1232, 0, &[])
        .record(
            Section::Additional,
            &name_octets("k"),
            TSIG,
            (255, 0),
            &signature,
        )
        .build()
}

// req 28: the upstream receives the client's bytes, with and without EDNS.
#[test]
fn the_upstream_receives_the_clients_bytes() {
    let setup = Setup::build(|upstream| upstream, UNPADDED);
    for asked in [
        query("a.test", A),
        query("b.test", A).edns(1232, 0, &[]),
        query("c.test", A).opt(4096, 0x8000, &[]),
    ] {
        let asked = asked.build();
        setup.udp().ask(&asked);
        let seen = setup.upstream.last_query();
        assert_eq!(body(&seen.bytes), body(&asked));
    }
}
