//! Answers that do not fit a datagram (RFC 1035, 2181, 6891, 9715).

use crate::support::codes::{A, SERVFAIL, TC, TXT};
use crate::support::messages::{query, question_octets, response_to, word};
use crate::support::reading::{Message, read};
use crate::support::script::{Received, Step};
use crate::support::setup::Setup;

/// Answers with as many octets as the first label says, and an OPT at the end where one was asked for.
fn sized(asked: &Received) -> Vec<Step> {
    vec![Step::Answer(sized_answer(&asked.bytes))]
}

fn sized_answer(asked: &[u8]) -> Vec<u8> {
    let label = &question_octets(asked)[1..6];
    let octets: usize = String::from_utf8_lossy(label)
        .parse()
        .expect("a number of octets");
    if word(asked, 10) > 0 {
        response_to(asked)
            .fill(octets - 11)
            .opt(1232, 0, &[])
            .build()
    } else {
        response_to(asked).fill(octets).build()
    }
}

fn question(octets: usize) -> String {
    format!("{octets:05}.test")
}

fn assert_cut(got: &[u8], limit: usize) -> Message {
    assert!(got.len() <= limit, "{} octets where {limit} fit", got.len());
    // Reading it to its last octet shows that whole records were kept.
    let message = read(got);
    assert!(message.has(TC));
    // What fits stays, for clients that cannot ask over TCP (RFC 2181 section 9).
    assert!(got.len() + 300 > limit, "{} octets of {limit}", got.len());
    message
}

// req 6, 38, fault 27: TC and whole records, within 512, the client's size and the cap.
#[test]
fn an_answer_that_does_not_fit_is_cut_and_says_so() {
    let setup = Setup::scripted(sized);
    for octets in [1233, 3000, 65535] {
        assert_cut(
            &setup.udp().ask(&query(&question(octets), TXT).build()),
            512,
        );
        for (size, limit) in [
            (512, 512),
            (600, 600),
            (1232, 1232),
            (4096, 1232),
            (65535, 1232),
        ] {
            let message = assert_cut(
                &setup
                    .udp()
                    .ask(&query(&question(octets), TXT).edns(size, 0, &[]).build()),
                limit,
            );
            assert!(message.opt().is_some(), "the OPT is kept");
        }
    }
}

// req 6: what fits to the octet is not cut.
#[test]
fn an_answer_that_fits_exactly_is_whole() {
    // From the cache, the OPT of an answer that came without one would come on top.
    let setup = Setup::build(|upstream| upstream.script(sized), &["--cache-size", "0"]);
    for (octets, size) in [
        (512, None),
        (512, Some(512)),
        (1232, Some(1232)),
        (1232, Some(4096)),
    ] {
        let plain = query(&question(octets), TXT);
        let asked = size
            .map_or(plain.clone(), |size| plain.edns(size, 0, &[]))
            .build();
        let got = setup.udp().ask(&asked);
        assert!(!read(&got).has(TC), "{octets} octets in {size:?}");
        assert_eq!(
            read(&got).answer.len(),
            read(&sized_answer(&asked)).answer.len()
        );
    }
}

// req 6, 24, faults 12, 15: the same question over TCP gets everything, up to the largest message that there is.
#[test]
fn tcp_carries_the_whole_answer() {
    // The server makes its response as long as one to the client's own query.
    let setup = Setup::build(|upstream| upstream.script(sized), &["--padding", "off"]);
    for octets in [3000, 20_000, 65535] {
        let asked = query(&question(octets), TXT).build();
        assert_cut(&setup.udp().ask(&asked), 512);
        assert_eq!(setup.tcp().ask(&asked), sized_answer(&asked));
    }
}

// req 25, 39: the cap can be raised to 4,096 octets.
#[test]
fn a_raised_cap_lets_4000_octets_through() {
    let setup = Setup::build(
        |upstream| upstream.script(sized),
        &["--udp-payload", "4096"],
    );
    let asked = query(&question(4000), TXT).edns(4096, 0, &[]).build();
    let got = setup.udp().ask(&asked);
    assert!(!read(&got).has(TC));
    assert_eq!(
        read(&got).answer.len(),
        read(&sized_answer(&asked)).answer.len()
    );
    assert_cut(
        &setup
            .udp()
            .ask(&query(&question(4097), TXT).edns(4096, 0, &[]).build()),
        4096,
    );
}

// req 7, fault 26: an upstream's TC over TLS is never cleared; over TCP it is never passed off as a whole answer.
#[test]
fn a_truncated_answer_from_the_upstream_stays_truncated() {
    let setup =
        Setup::scripted(|asked| vec![Step::Answer(response_to(&asked.bytes).on(TC).build())]);
    let over_udp = read(&setup.udp().ask(&query("a.test", A).build()));
    assert!(over_udp.has(TC) || over_udp.rcode() == SERVFAIL);
    let over_tcp = read(&setup.tcp().ask(&query("a.test", A).build()));
    assert!(over_tcp.has(TC) || over_tcp.rcode() == SERVFAIL);
}
