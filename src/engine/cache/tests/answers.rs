//! What is remembered, under what, and what is made of it for a client.

use super::*;
use crate::wire::testing::header_only;

// req 1, req 2, req 32
#[test]
fn a_hit_bears_the_clients_id_case_and_opt() {
    let stage = Stage::new();
    assert_eq!(stage.find(&plain()).0, Found::Miss);
    stage.learn(&plain(), &a(60).edns(1232, 0, &[]));
    for (name, id) in [("a.test.", 0), ("A.TEST.", 65535), ("a.TesT.", 7)] {
        let built = testing::query(name, 1).id(id);
        let client = asked(&built);
        let got = stage.hit(&client);
        assert_eq!(got.answer.header.id, id);
        let wanted = built.flags(0x8180).a(60, [192, 0, 2, 1]).build();
        assert_eq!(got.message, wanted);
    }
    assert!(stage.hit(&with_edns()).answer.opt.is_some());
    assert_eq!((stage.cache.counts().insertions, stage.cache.len()), (1, 1));
}

// req 37
#[test]
fn nothing_of_the_upstreams_hop_is_remembered() {
    let hop: [(u16, &[u8]); 5] = [
        (3, b"ns1"),
        (8, &[0; 4]),
        (10, &[7; 16]),
        (11, &[0, 9]),
        (12, &[0; 50]),
    ];
    let stage = Stage::new();
    stage.learn(&with_edns(), &a(60).edns(4096, 0, &hop));
    let client = asked(&testing::query("a.test.", 1).edns(1232, 0, &[(3, b""), (10, &[1; 8])]));
    let got = stage.hit(&client);
    let opt = got.answer.opt.unwrap();
    assert_eq!(wire::options(&got.message, &opt).count(), 0);
    assert_eq!(opt.udp_size, PAYLOAD);
}

// req 47
#[test]
fn dnssec_records_are_for_those_who_ask_for_them() {
    let stage = Stage::new();
    let signed = asked(&testing::query("a.test.", 1).edns(1232, 0x8000, &[]));
    let rrsig = a(60).record(Section::Answer, TO_QUESTION, 46, (1, 60), &[1; 40]);
    stage.learn(&signed, &rrsig.edns(1232, 0x8000, &[]));
    assert!(!stage.knows(&plain()));
    stage.learn(&plain(), &a(60));
    for _ in 0..2 {
        assert_eq!(stage.hit(&plain()).ttls().len(), 1);
        let got = stage.hit(&signed);
        assert_eq!(got.ttls().len(), 2);
        assert!(got.answer.opt.unwrap().dnssec_ok);
    }
    // From a server without EDNS: somebody else may have the records.
    stage.learn(&signed, &a(60));
    assert!(!stage.knows(&signed));
}

// req 48
#[test]
fn unchecked_data_are_for_those_who_disable_checking() {
    let stage = Stage::new();
    let unchecked = asked(&testing::query("a.test.", 1).flags(0x0110));
    stage.learn(&unchecked, &a(60).flags(0x8190));
    stage.learn(&plain(), &servfail());
    assert_eq!(stage.hit(&plain()).answer.rcode(), Rcode::SERVFAIL);
    assert!(stage.hit(&unchecked).answer.header.flags.cd());
}

// req 49
#[test]
fn ad_is_for_those_who_set_ad_or_do() {
    let stage = Stage::new();
    for (flags, dnssec_ok, told) in [
        (0x0100, 0, false),
        (0x0120, 0, true),
        (0x0100, 0x8000, true),
    ] {
        let built = testing::query("a.test.", 1).flags(flags);
        let client = asked(&built.edns(1232, dnssec_ok, &[]));
        stage.learn(&client, &a(60).flags(0x81A0).edns(1232, dnssec_ok, &[]));
        assert_eq!(stage.hit(&client).answer.header.flags.ad(), told);
    }
}

// req 18, req 50, fault 26
#[test]
fn what_is_not_to_be_trusted_is_not_kept() {
    let stage = Stage::new();
    let short = a(60).record(Section::Answer, TO_QUESTION, 5, (1, 60), &[]);
    for built in [
        a(60).flags(0x8380),
        a(60).tsig(),
        testing::response("other.test.", 1).a(60, [0; 4]),
        testing::response("a.test.", 28).a(60, [0; 4]),
        testing::response("a.test.", 1).flags(0x8186),
        short,
        a(60).record(Section::Answer, TO_QUESTION, 1, (1, 60), &[0; 5]),
    ] {
        stage.learn(&plain(), &built);
        assert_eq!(stage.cache.len(), 0, "{built:?}");
    }
    for qtype in [249, 255] {
        let any = asked(&testing::query("a.test.", qtype));
        stage.learn(&any, &testing::response("a.test.", qtype).a(60, [0; 4]));
        stage.fail(&any);
        assert_eq!(stage.cache.len(), 0);
    }
}

// req 12, req 13
#[test]
fn unknown_types_are_kept_bit_for_bit() {
    let stage = Stage::new();
    let named = |flags| header_only(flags).question(b"\x01a\x00", 65280, 5);
    let client = asked(&named(0x0100));
    let answer = named(0x8180).record(Section::Answer, TO_QUESTION, 65280, (5, 60), &[0xC0; 200]);
    stage.learn(&client, &answer);
    assert_eq!(stage.hit(&client).message, answer.build());
}

#[test]
fn addresses_come_in_another_order_each_time_if_that_is_wanted() {
    let firsts = |rotates| {
        let mut stage = Stage::new();
        stage.cache = stage.cache.with_rotation(rotates);
        let three = a(60).a(60, [192, 0, 2, 2]).a(60, [192, 0, 2, 3]);
        stage.learn(&plain(), &three);
        let mut first = || {
            stage.wait(1.0);
            let got = stage.hit(&plain());
            let record = wire::records(&got.message, &got.answer).next().unwrap();
            got.message[record.rdata.end - 1]
        };
        let fresh = [first(), first(), first(), first()];
        stage.wait(100.0);
        assert_eq!(stage.find(&plain()).0, Found::Stale);
        let old = stage.stale(&plain()).unwrap();
        assert_eq!(old.ttls(), [30; 3]);
        let record = wire::records(&old.message, &old.answer).next().unwrap();
        (fresh, old.message[record.rdata.end - 1])
    };
    assert_eq!(firsts(true), ([2, 3, 1, 2], 3));
    assert_eq!(firsts(false), ([1; 4], 1));
}

// req 51, req 54, req 55, fault 91
#[test]
fn an_answer_answers_its_own_question_alone() {
    let stage = Stage::new();
    let victim = testing::name_octets("victim.test.");
    stage.learn(
        &plain(),
        &a(60).record(Section::Additional, &victim, 1, (1, 60), &[6; 4]),
    );
    assert!(!stage.knows(&asked(&testing::query("victim.test.", 1))));
    stage.learn(&plain(), &nxdomain(60, 60));
    assert!(!stage.knows(&asked(&testing::query("b.a.test.", 1))));
}

// req 56
#[test]
fn errors_explained_by_the_upstream_are_told_to_those_who_speak_edns() {
    let stage = Stage::new();
    let blocked: [(u16, &[u8]); 1] = [(15, b"\x00\x0Fblocked")];
    stage.learn(&with_edns(), &nxdomain(60, 60).edns(1232, 0, &blocked));
    assert_eq!(stage.hit(&with_edns()).errors(), [15]);
    assert_eq!(stage.hit(&plain()).answer.opt, None);
}

// fault 27
#[test]
fn what_was_truncated_for_udp_is_there_for_tcp() {
    let stage = Stage::new();
    let big = a(60).record(Section::Answer, TO_QUESTION, 16, (1, 60), &[7; 3000]);
    stage.learn(&plain(), &big);
    let got = stage.hit(&plain());
    assert!(got.answer.header.flags.tc() && got.ttls() == [60]);
    let over_tcp = Asked {
        limit: 65535,
        ..plain()
    };
    assert_eq!(stage.hit(&over_tcp).message, big.build());
}

#[test]
fn what_one_route_learned_is_not_known_on_another() {
    let mut stage = Stage::new();
    let on = |route| Asked { route, ..plain() };
    stage.learn(&on(1), &a(60));
    stage.learn(&on(2), &nxdomain(60, 60));
    assert_eq!(stage.hit(&on(1)).answer.rcode(), Rcode::NOERROR);
    assert_eq!(stage.hit(&on(2)).answer.rcode(), Rcode::NXDOMAIN);
    assert_eq!(stage.find(&on(3)).0, Found::Miss);
    stage.wait(120.0);
    assert!(stage.stale(&on(1)).is_some() && stage.stale(&on(3)).is_none());
}
