//! Strict authentication of the upstream (RFC 7858, 8310): without it no question leaves.

use std::net::SocketAddr;

use rustls::SupportedProtocolVersion;

use crate::support::authority::{Authority, Leaf};
use crate::support::checks::{assert_answered, canary};
use crate::support::client::UdpClient;
use crate::support::codes::{A, AAAA, SERVFAIL};
use crate::support::messages::{query, response_to, word};
use crate::support::proxy::Proxy;
use crate::support::reading::{extra_text, read};
use crate::support::script::{Conduct, Received, Step, right_answer};
use crate::support::setup::{Setup, Trust};
use crate::support::upstream::{Builder, DotServer};

/// Asks twice, with and without EDNS: SERVFAIL, the reason only where there is an OPT.
fn assert_refused(proxy: &Proxy) {
    let client = UdpClient::new(proxy.address());
    let got = read(&client.ask(&query("secret.test", A).edns(1232, 0, &[]).build()));
    assert_eq!(got.rcode(), SERVFAIL);
    assert!(
        got.extended_errors()
            .iter()
            .any(|code| [22, 23].contains(code)),
        "{:?}",
        got.options()
    );
    let got = read(&client.ask(&query("secret.test", A).build()));
    assert_eq!((got.rcode(), got.opt().is_none()), (SERVFAIL, true));
}

/// Asks, and gives the text of the extended error.
fn told(proxy: &Proxy) -> String {
    let asked = query("why.test", A).edns(1232, 0, &[]).build();
    extra_text(&UdpClient::new(proxy.address()).ask(&asked))
}

/// A server with such a certificate gets nothing. Clients learn which upstream that is and why, in these words; the log says what to do.
fn refuses(leaf: fn(&Authority) -> Leaf, why: &str, remedy: &str) {
    let trust = Trust::new();
    let upstream = DotServer::with(leaf(&trust.authority)).start();
    let proxy = trust.proxy(&[&upstream.spec()], &["--timeout", "1s"]);
    assert_refused(&proxy);
    let seen = upstream.seen();
    assert!(!seen.hellos.is_empty(), "it was tried");
    assert_eq!(
        (seen.application_data, seen.queries.len()),
        (0, 0),
        "not a single octet of a question"
    );
    let told = told(&proxy);
    let expected = format!("{}: certificate not trusted: {why}", upstream.spec());
    assert!(told.starts_with(&expected), "{told}");
    let logs = proxy.logs().join("\n");
    for part in ["not authenticated", why, remedy] {
        assert!(logs.contains(part), "the log says {part:?}:\n{logs}");
    }
}

// req 74, 75, fault 36.
#[test]
fn a_certificate_for_another_name_is_refused() {
    refuses(
        Authority::wrong_name,
        "it is for elsewhere.test, 192.0.2.1, not for dot.test",
        "check the name behind #",
    );
}

// req 74, fault 36.
#[test]
fn an_unknown_authority_is_refused() {
    refuses(|_| Leaf::unknown_authority(), "unknown issuer", "(ca-file)");
}

// req 74, fault 36.
#[test]
fn an_expired_certificate_is_refused() {
    refuses(
        Authority::expired,
        "expired at 2001-01-01T00:00:00Z",
        "renew it",
    );
}

// req 74, fault 36.
#[test]
fn a_certificate_from_the_future_is_refused() {
    refuses(
        Authority::not_yet_valid,
        "not valid before 2999-01-01T00:00:00Z",
        "clock",
    );
}

// req 74, fault 36.
#[test]
fn a_self_signed_certificate_is_refused() {
    refuses(|_| Leaf::self_signed(), "self-signed", "(ca-file)");
}

// req 74, 75, fault 36: the common name counts for nothing.
#[test]
fn a_common_name_alone_is_refused() {
    refuses(
        Authority::common_name_only,
        "it is for no host at all",
        "check the name behind #",
    );
}

// req 74, fault 36: an authority that may sign for one zone alone signs for no other.
#[test]
fn a_name_outside_its_authoritys_zone_is_refused() {
    refuses(
        |authority| authority.confined_to("elsewhere.test"),
        "name constraint violation",
        "",
    );
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.confined_to("dot.test")).start();
    canary(
        trust.proxy(&[&upstream.spec()], &[]).address(),
        "within.test",
    );
}

// req 74, fault 36: a wildcard covers one label.
#[test]
fn a_wildcard_two_labels_deep_is_refused() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.wildcard("*.dot.test")).start();
    let deep = format!("{}#b.a.dot.test", upstream.address());
    assert_refused(&trust.proxy(&[&deep], &["--timeout", "1s"]));
    assert_eq!(upstream.seen().application_data, 0);
    let covered = format!("{}#a.dot.test", upstream.address());
    canary(trust.proxy(&[&covered], &[]).address(), "a.test");
}

// req 73, 74, 76, fault 39: a server without TLS learns nothing, and is not asked without it.
#[test]
fn a_plaintext_server_never_sees_a_question() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good())
        .conduct(|_| Conduct::Plaintext)
        .start();
    let proxy = trust.proxy(&[&upstream.spec()], &["--timeout", "1s"]);
    assert_refused(&proxy);
    let raw = upstream.wait("a hello", |seen| !seen.raw.is_empty()).raw;
    assert_eq!(raw[..2], [0x16, 3], "the first octets are a TLS record");
    assert!(!raw.windows(6).any(|part| part == b"secret"));
}

// req 74: a good upstream behind a bad one is used; the bad one gets nothing.
#[test]
fn a_bad_upstream_is_passed_over_for_a_good_one() {
    let trust = Trust::new();
    let bad = DotServer::with(trust.authority.wrong_name()).start();
    let good = DotServer::with(trust.authority.good()).start();
    let proxy = trust.proxy(&[&bad.spec(), &good.spec()], &[]);
    canary(proxy.address(), "a.test");
    assert_eq!(bad.seen().application_data, 0);
    assert_eq!(good.seen().queries.len(), 1);
}

fn served(upstream: impl FnOnce(Builder) -> Builder) -> Setup {
    let setup = Setup::build(upstream, &[]);
    canary(setup.address(), "a.test");
    setup
}

static ONLY_12: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
static ONLY_13: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

// req 83, fault 38.
#[test]
fn both_tls_versions_work() {
    let setup = served(|upstream| upstream.versions(&ONLY_12));
    assert_eq!(setup.upstream.seen().handshakes[0].version, "TLSv1_2");
    let setup = served(|upstream| upstream.versions(&ONLY_13));
    assert_eq!(setup.upstream.seen().handshakes[0].version, "TLSv1_3");
    let setup = served(|upstream| upstream);
    assert_eq!(
        setup.upstream.seen().handshakes[0].version,
        "TLSv1_3",
        "1.3 is preferred"
    );
}

// Who is asked, and how it was verified, is one line; connects that follow are nobody's news.
#[test]
fn the_log_says_once_that_an_upstream_was_verified() {
    let hang_up = |asked: &Received| {
        vec![
            Step::Answer(right_answer(asked)),
            Step::CloseNotify,
            Step::Fin,
        ]
    };
    let setup = Setup::scripted(hang_up);
    for name in ["a.test", "b.test", "c.test"] {
        canary(setup.address(), name);
    }
    assert!(setup.upstream.seen().accepted >= 3);
    let logs = setup.proxy.logs();
    let connected = logs.iter().filter(|line| line.contains(": connected"));
    let connected: Vec<_> = connected.collect();
    let [line] = connected[..] else {
        panic!("{logs:?}");
    };
    assert!(line.contains("INFO") || line.starts_with("<6>"), "{line}");
    assert!(line.contains("verified as dot.test, TLS 1.3"), "{line}");
}

// req 84, fault 45: "dot" is offered, and a server that ignores it is as good.
#[test]
fn alpn_is_offered_and_not_demanded() {
    let setup = served(|upstream| upstream);
    assert_eq!(setup.upstream.seen().hellos[0].protocols, [b"dot".to_vec()]);
    assert_eq!(
        setup.upstream.seen().handshakes[0].protocol.as_deref(),
        Some(&b"dot"[..])
    );
    let setup = served(|upstream| upstream.protocols(&[]));
    assert_eq!(setup.upstream.seen().handshakes[0].protocol, None);
}

// fault 107: a server that knows only other protocols ends the handshake because of "dot" (RFC 7301 section 3.2). It is asked without a
// name, and that is remembered.
#[test]
fn an_upstream_that_refuses_alpn_is_reached_without() {
    let hang_up = |asked: &Received| {
        vec![
            Step::Answer(right_answer(asked)),
            Step::CloseNotify,
            Step::Fin,
        ]
    };
    let setup = Setup::build(|upstream| upstream.protocols(&["h2"]).script(hang_up), &[]);
    for name in ["a.test", "b.test", "c.test"] {
        canary(setup.address(), name);
    }
    let hellos = setup.upstream.seen().hellos;
    let offering = hellos.iter().filter(|hello| !hello.protocols.is_empty());
    assert_eq!(offering.count(), 1, "{hellos:?}");
    assert!(!hellos[0].protocols.is_empty() && hellos.len() >= 4);
}

// req 75: the name is sent for names and never for addresses, which are checked against iPAddress.
#[test]
fn the_server_name_is_sent_for_names_alone() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let address: SocketAddr = upstream.address();
    canary(trust.proxy(&[&upstream.spec()], &[]).address(), "a.test");
    assert_eq!(
        upstream.seen().hellos[0].server_name.as_deref(),
        Some("dot.test")
    );
    canary(
        trust.proxy(&[&format!("tls://{address}")], &[]).address(),
        "b.test",
    );
    assert_eq!(upstream.seen().hellos[1].server_name, None);
    // A good name does not help an address that the certificate does not hold.
    let other = DotServer::with(trust.authority.wildcard("dot.test")).start();
    assert_refused(&trust.proxy(
        &[&format!("tls://{}", other.address())],
        &["--timeout", "1s"],
    ));
}

// req 62, 85: an upstream that is given by name is found through the bootstrap server alone, and authenticated by name.
#[test]
fn an_upstream_by_name_is_found_by_bootstrap() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let bootstrap = DotServer::with(trust.authority.good())
        .conduct(|_| Conduct::Plaintext)
        .script(|asked| {
            let plain = response_to(&asked.bytes);
            let is_aaaa = word(&asked.bytes, 12 + 10) == AAAA;
            vec![Step::Answer(if is_aaaa {
                plain.soa(60).build()
            } else {
                plain.a(300, [127, 0, 0, 1]).build()
            })]
        })
        .start();
    let spec = format!("tls://dot.test:{}", upstream.address().port());
    let proxy = trust.proxy(&[&spec], &["--bootstrap", &bootstrap.address().to_string()]);
    let asked = query("secret.test", A).build();
    assert_answered(&asked, &UdpClient::new(proxy.address()).ask(&asked));
    assert!(
        bootstrap
            .seen()
            .queries
            .iter()
            .all(|seen| seen.bytes[12..].starts_with(b"\x03dot\x04test\0"))
    );
    assert_eq!(
        upstream.seen().hellos[0].server_name.as_deref(),
        Some("dot.test")
    );
}

// faults 37, 40: a new certificate and forgotten sessions are no failure.
#[test]
fn a_rotated_certificate_is_no_failure() {
    let trust = Trust::new();
    let hang_up = |asked: &Received| {
        vec![
            Step::Answer(right_answer(asked)),
            Step::CloseNotify,
            Step::Fin,
        ]
    };
    let upstream = DotServer::with(trust.authority.good())
        .script(hang_up)
        .start();
    let proxy = trust.proxy(&[&upstream.spec()], &[]);
    for number in 0..5 {
        canary(proxy.address(), &format!("a{number}.test"));
        upstream.show(&trust.authority.good());
    }
    let handshakes = upstream.seen().handshakes;
    assert!(handshakes.len() >= 5, "{handshakes:?}");
}

// faults 40, 42: no ticket and a hundred of them.
#[test]
fn any_number_of_tickets_is_fine() {
    for tickets in [0, 100] {
        let setup = served(|upstream| upstream.tickets(tickets));
        canary(setup.address(), "b.test");
        assert_eq!(setup.upstream.seen().accepted, 1);
    }
}

// req 78: a second connection resumes the first one's session.
#[test]
fn sessions_are_resumed() {
    let setup = Setup::scripted(|asked| {
        vec![
            Step::Answer(right_answer(asked)),
            Step::CloseNotify,
            Step::Fin,
        ]
    });
    for number in 0..20 {
        canary(setup.address(), &format!("a{number}.test"));
    }
    let handshakes = setup.upstream.seen().handshakes;
    assert!(handshakes.len() >= 20);
    let resumed = handshakes
        .iter()
        .filter(|handshake| handshake.resumed)
        .count();
    assert!(
        resumed * 100 >= (handshakes.len() - 1) * 95,
        "{resumed} of {} resumed",
        handshakes.len()
    );
}
