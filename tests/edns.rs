//! EDNS from hop to hop (RFC 6891, 8906, 8914).

use crate::support::checks::canary;
use crate::support::codes::{A, BADVERS, COOKIE, DO, FORMERR, NOERROR, NOTIMP, QR, SERVFAIL, TXT};
use crate::support::messages::{option, query, response_to, word};
use crate::support::reading::{Message, extra_text, read};
use crate::support::script::{Received, Step, right_answer};
use crate::support::setup::Setup;

/// An upstream that answers with every option that is meant for one hop alone.
fn chatty(asked: &Received) -> Vec<Step> {
    let options = [
        option(3, b"upstream-7"),
        option(8, &[0, 1, 24, 24, 192, 0, 2]),
        option(COOKIE, &[1; 16]),
        option(11, &[0, 100]),
        option(12, &[0; 40]),
    ];
    let plain = response_to(&asked.bytes).a(300, [192, 0, 2, 1]);
    let bytes = if word(&asked.bytes, 10) > 0 {
        plain.opt(4096, DO | 0x40, &options.concat()).build()
    } else {
        plain.build()
    };
    vec![Step::Answer(bytes)]
}

// req 31: one OPT at most.
#[test]
fn two_opts_are_a_format_error() {
    let setup = Setup::answering();
    let got = read(
        &setup.udp().ask(
            &query("a.test", A)
                .edns(1232, 0, &[])
                .edns(1232, 0, &[])
                .build(),
        ),
    );
    assert_eq!(got.rcode(), FORMERR);
    assert!(setup.upstream.seen().queries.is_empty());
}

// req 32, 39: an OPT in the answer if and only if one was in the query.
#[test]
fn an_answer_has_an_opt_if_the_query_had_one() {
    let setup = Setup::scripted(chatty);
    for (asked, expected) in [
        (query("a.test", A), false),
        (query("a.test", A).edns(1232, 0, &[]), true),
        (query("a.test", A), false),
    ] {
        for got in [
            setup.udp().ask(&asked.build()),
            setup.tcp().ask(&asked.build()),
        ] {
            assert_eq!(read(&got).opt().is_some(), expected);
        }
    }
}

// req 32: an upstream that answers with an OPT unasked does not make the client see one; nor does one that forgets it.
#[test]
fn an_opt_is_the_hops_own_whatever_the_upstream_does() {
    let setup = Setup::scripted(|asked| {
        let plain = response_to(&asked.bytes).a(300, [192, 0, 2, 1]);
        vec![Step::Answer(if word(&asked.bytes, 10) > 0 {
            plain.build()
        } else {
            plain.opt(1232, 0, &[]).build()
        })]
    });
    assert!(
        read(&setup.udp().ask(&query("a.test", A).build()))
            .opt()
            .is_none()
    );
    let got = read(
        &setup
            .udp()
            .ask(&query("a.test", A).edns(1232, 0, &[]).build()),
    );
    assert!(got.opt().is_some());
    assert_eq!((got.rcode(), got.answer.len()), (NOERROR, 1));
}

// req 33: a version that nobody speaks yet, with and without options, flags and DO.
#[test]
fn a_later_version_is_bad_version() {
    let setup = Setup::answering();
    let unknown = option(100, b"x");
    for (flags, options) in [(0, &[][..]), (0, &unknown[..]), (0x40, &[]), (DO, &[])] {
        let got = read(
            &setup.udp().ask(
                &query("a.test", A)
                    .opt(1232, 0x0001_0000 | flags, options)
                    .build(),
            ),
        );
        assert_eq!(got.rcode(), BADVERS);
        let opt = got.opt().expect("an OPT with our version");
        assert_eq!(opt.ttl & 0x00FF_0000, 0);
        assert!(got.answer.is_empty() && got.options().is_empty());
    }
    assert!(setup.upstream.seen().queries.is_empty());
}

// req 34, 35, 37: options and flags of one hop are not the next one's.
#[test]
fn unknown_options_and_flags_are_ignored_and_not_echoed() {
    let setup = Setup::scripted(chatty);
    let list = [
        option(3, b""),
        option(COOKIE, &[2; 8]),
        option(9, b""),
        option(8, &[0, 1, 0, 0]),
    ]
    .concat();
    for options in [option(100, b""), option(COOKIE, &[0xAA]), list] {
        let got = read(
            &setup
                .udp()
                .ask(&query("a.test", A).opt(1232, DO | 0x40, &options).build()),
        );
        assert_eq!(got.rcode(), NOERROR);
        let codes: Vec<u16> = got.options().iter().map(|(code, _)| *code).collect();
        assert!(
            codes
                .iter()
                .all(|code| ![100, COOKIE, 11, 12].contains(code)),
            "{codes:?}"
        );
        assert_eq!(
            got.opt().map(|opt| opt.ttl & 0x7FFF),
            Some(0),
            "unknown flags are zero in answers"
        );
    }
}

// req 36: a size below 512 counts as 512.
#[test]
fn a_small_size_counts_as_512() {
    let setup =
        Setup::scripted(|asked| vec![Step::Answer(response_to(&asked.bytes).fill(470).build())]);
    for size in [0, 100, 511, 512] {
        let got = read(
            &setup
                .udp()
                .ask(&query("a.test", TXT).edns(size, 0, &[]).build()),
        );
        assert!(!got.has(0x0200) && !got.answer.is_empty(), "size {size}");
    }
}

// req 40, fault 28: an upstream that does not know EDNS is asked again without it.
#[test]
fn an_upstream_without_edns_is_asked_again_without_it() {
    for rcode in [FORMERR, NOTIMP] {
        let setup = Setup::scripted(move |asked| {
            let edns = word(&asked.bytes, 10) > 0;
            vec![Step::Answer(if edns {
                response_to(&asked.bytes).rcode(rcode).build()
            } else {
                right_answer(asked)
            })]
        });
        let got = read(
            &setup
                .udp()
                .ask(&query("a.test", A).edns(1232, 0, &[]).build()),
        );
        assert_eq!(
            (got.rcode(), got.answer.len()),
            (NOERROR, 1),
            "after RCODE {rcode}"
        );
        assert!(got.opt().is_some());
        assert_eq!(setup.upstream.seen().queries.len(), 2);
        // It is remembered: the next question goes out without EDNS at once.
        setup
            .udp()
            .ask(&query("b.test", A).edns(1232, 0, &[]).build());
        assert_eq!(setup.upstream.seen().queries.len(), 3);
    }
}

// fault 29: an upstream's quarrel over versions and cookies is not the client's.
#[test]
fn bad_version_and_bad_cookie_are_not_relayed() {
    for upper in [1_u32 << 24, (1 << 24) | 7] {
        let setup = Setup::scripted(move |asked| {
            vec![Step::Answer(
                response_to(&asked.bytes)
                    .rcode((upper & 0xF) as u16)
                    .opt(1232, upper & 0xFF00_0000, &[])
                    .build(),
            )]
        });
        let got = read(
            &setup
                .udp()
                .ask(&query("a.test", A).edns(1232, 0, &[]).build()),
        );
        assert_eq!(got.rcode(), SERVFAIL);
    }
}

// req 56: an extended error only where there is an OPT, and the upstream's own is passed on.
#[test]
fn extended_errors_need_an_opt() {
    let setup = Setup::scripted(|asked| {
        let plain = response_to(&asked.bytes).rcode(SERVFAIL);
        let error = option(15, &[0, 6, b'b', b'o', b'g', b'u', b's']);
        vec![Step::Answer(if word(&asked.bytes, 10) > 0 {
            plain.opt(1232, 0, &error).build()
        } else {
            plain.build()
        })]
    });
    let got = read(
        &setup
            .udp()
            .ask(&query("a.test", A).edns(1232, 0, &[]).build()),
    );
    assert_eq!((got.rcode(), got.extended_errors()), (SERVFAIL, vec![6]));
    assert!(
        read(&setup.udp().ask(&query("a.test", A).build()))
            .opt()
            .is_none()
    );
}

// fault 59: a list of empty options as long as a message can hold costs linear time and harms nobody.
#[test]
fn thousands_of_empty_options_are_read_in_one_pass() {
    let setup = Setup::answering();
    let options = vec![0; 4 * 16_000];
    let asked = query("a.test", A).opt(1232, 0, &options).build();
    let got = read(&setup.tcp().ask(&asked));
    assert!(
        [NOERROR, FORMERR].contains(&got.rcode()),
        "RCODE {}",
        got.rcode()
    );
    canary(setup.address(), "canary.test");
}

// req 56, 74: nobody to ask: one answer in the deadline, with the reason where the client can read it.
#[test]
fn an_unreachable_upstream_is_named_as_the_reason() {
    let mut setup = Setup::build(|upstream| upstream, &["--timeout", "1s"]);
    setup.upstream.stop();
    let asked = query("a.test", A).edns(1232, 0, &[]).build();
    let got = setup.udp().ask(&asked);
    let with: Message = read(&got);
    assert_eq!(with.rcode(), SERVFAIL);
    let codes = with.extended_errors();
    assert!(
        codes.iter().any(|code| [22, 23].contains(code)),
        "{codes:?}"
    );
    let told = extra_text(&got);
    assert!(told.contains(&setup.upstream.spec()), "{told}");
    assert!(told.contains("connection refused"), "{told}");
    let without = read(&setup.udp().ask(&query("a.test", A).build()));
    assert_eq!(
        (without.rcode(), without.has(QR), without.opt().is_none()),
        (SERVFAIL, true, true)
    );
}
