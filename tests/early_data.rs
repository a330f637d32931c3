//! Early data (RFC 8446 section 2.3): which queries leave with the first flight of a resumed connection, and what becomes of them.

use std::fs;

use rustls::SupportedProtocolVersion;

use crate::support::authority::{Authority, Leaf, NAME, TempDir};
use crate::support::checks::{assert_answered, canary, rcode_of};
use crate::support::client::UdpClient;
use crate::support::codes::{A, RD, SERVFAIL};
use crate::support::journal::Seen;
use crate::support::messages::{Message, frame, query};
use crate::support::proxy::Proxy;
use crate::support::reading::extra_text;
use crate::support::script::{Received, Step, right_answer};
use crate::support::setup::Trust;
use crate::support::upstream::{Builder, DotServer};

const EARLY: &[&str] = &["--log", "debug", "--timeout", "2"];
const SIZE: u32 = 16_384;
static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// Answers, and ends the connection, so that the next query needs another handshake.
fn hang_up(asked: &Received) -> Vec<Step> {
    vec![
        Step::Answer(right_answer(asked)),
        Step::CloseNotify,
        Step::Fin,
    ]
}

/// A server that takes early data, and ends each connection after a response.
fn server(leaf: Leaf) -> Builder {
    DotServer::with(leaf).early_data(SIZE).script(hang_up)
}

/// The program in front of a server, with a session that can be resumed and no connection.
fn ready(trust: &Trust, server: &DotServer, parameter: &str) -> Proxy {
    let spec = format!("{}{parameter}", server.spec());
    let proxy = trust.proxy(&[&spec], EARLY);
    canary(proxy.address(), "first.test");
    server.wait("the end of the first connection", |seen| seen.ended == 1);
    proxy
}

/// Has a query answered.
fn ask(proxy: &Proxy, asked: &Message) {
    let asked = asked.build();
    let got = UdpClient::new(proxy.address()).ask(&asked);
    assert_answered(&asked, &got);
}

/// What came early on each connection, and how many queries came on it.
fn early_and_all(seen: &Seen) -> Vec<(usize, usize)> {
    let queries = |number| {
        let on_it = |query: &&Received| query.connection == number;
        seen.queries.iter().filter(on_it).count()
    };
    let handshakes = seen.handshakes.iter().enumerate();
    let early = handshakes.map(|(number, one)| (one.early_data.len(), queries(number)));
    early.collect()
}

#[test]
fn a_query_is_early_on_the_second_connection() {
    let trust = Trust::new();
    let server = server(trust.authority.good()).start();
    let proxy = ready(&trust, &server, "?early-data=true");
    ask(&proxy, &query("second.test", A));
    let seen = server.seen();
    assert!(seen.handshakes[1].resumed);
    assert!(seen.handshakes[0].early_data.is_empty());
    let [_, second] = &seen.queries[..] else {
        panic!("two queries: {seen:?}");
    };
    assert_eq!(seen.handshakes[1].early_data, frame(&second.bytes));
    proxy.wait_log("verified as dot.test, TLS 1.3 resumed, early data accepted");
}

// req 81, fault 41. The session is resumed, and the server takes no early data any more; or it has forgotten the session.
#[test]
fn early_data_that_is_rejected_is_sent_again_once() {
    let trust = Trust::new();
    for resumed in [true, false] {
        let server = server(trust.authority.good()).start();
        let proxy = ready(&trust, &server, "?early-data=true");
        if resumed {
            server.take_early_data(0);
        } else {
            server.show(&trust.authority.good());
        }
        ask(&proxy, &query("second.test", A));
        let seen = server.wait("the end of the connection", |seen| seen.ended == 2);
        assert_eq!(early_and_all(&seen), [(0, 1), (0, 1)], "{resumed}");
        assert_eq!(seen.handshakes[1].resumed, resumed);
        proxy.wait_log(", early data rejected");
    }
}

// req 81, fault 41
#[test]
fn what_may_not_be_repeated_waits_for_the_handshake() {
    let trust = Trust::new();
    for held in [
        query("second.test", A).off(RD),
        query("second.test", A).edns(1232, 0, &[]).tsig(),
    ] {
        let server = server(trust.authority.good()).start();
        let proxy = ready(&trust, &server, "?early-data=true");
        ask(&proxy, &held);
        assert_eq!(early_and_all(&server.seen()), [(0, 1), (0, 1)]);
        assert!(server.seen().handshakes[1].resumed);
        // Its connection was early, and nothing was sent on it before the end of the handshake.
        proxy.wait_log(", early data accepted");
    }
}

// req 81, fault 41
#[test]
fn without_the_parameter_nothing_is_early() {
    let trust = Trust::new();
    for parameter in ["", "?early-data=false"] {
        let server = server(trust.authority.good()).start();
        let mut proxy = ready(&trust, &server, parameter);
        ask(&proxy, &query("second.test", A));
        assert_eq!(early_and_all(&server.seen()), [(0, 1), (0, 1)]);
        assert!(server.seen().handshakes[1].resumed);
        assert!(proxy.terminate().success());
        let logs = proxy.logs().join("\n");
        assert!(!logs.contains("early data"), "{logs}");
    }
}

#[test]
fn tls_1_2_has_no_early_data() {
    let trust = Trust::new();
    let server = server(trust.authority.good()).versions(TLS12);
    let server = server.start();
    let proxy = ready(&trust, &server, "?early-data=true");
    ask(&proxy, &query("second.test", A));
    assert_eq!(early_and_all(&server.seen()), [(0, 1), (0, 1)]);
    assert!(server.seen().handshakes[1].resumed);
}

/// What a client is told, and what the log says of the upstream, when the second handshake fails because of another certificate.
fn told(parameter: &str) -> (String, String) {
    let trust = Trust::new();
    let server = server(trust.authority.good()).start();
    let proxy = ready(&trust, &server, parameter);
    server.show(&trust.authority.wrong_name());
    let asked = query("second.test", A).edns(1232, 0, &[]).build();
    let got = UdpClient::new(proxy.address()).ask(&asked);
    assert_eq!(rcode_of(&got), SERVFAIL);
    assert_eq!(server.seen().queries.len(), 1);
    proxy.signal("USR1");
    let counters = proxy.wait_log(" answered 1, useless 0, ");
    let text = extra_text(&got).replace(&server.address().to_string(), "ADDRESS");
    let text = text.replace("?early-data=true", "");
    (text, counters)
}

// fault 41. It fails after the query was sent; that is a connect that failed all the same, and no connection that the upstream closed.
#[test]
fn a_handshake_that_fails_after_early_data_is_a_connect_that_failed() {
    let (early, counters) = told("?early-data=true");
    let (usual, _) = told("");
    assert_eq!(early, usual);
    assert!(
        early.contains(&format!(
            "it is for elsewhere.test, 192.0.2.1, not for {NAME}"
        )),
        "{early}"
    );
    assert!(
        counters.contains("lost_connections 0, passed_over 0"),
        "{counters}"
    );
}

// A session that was made without the parameter is not one for early data.
#[test]
fn sessions_of_other_settings_are_not_for_early_data() {
    let (authority, files) = (Authority::new(), TempDir::new());
    let server = server(authority.good()).start();
    let path = files.path().join("dotward.toml");
    let root = authority.write_pem(files.path()).display().to_string();
    let write = |early: bool| {
        let address = server.spec();
        let upstream = format!("{{ address = {address:?}, early-data = {early} }}");
        let text = format!("upstream = {upstream}\nca-file = {root:?}\ntimeout = 2\n");
        fs::write(&path, text).expect("a file");
    };
    write(false);
    let file = path.display().to_string();
    let proxy = Proxy::start(&["serve", "--config", &file, "--listen", "127.0.0.1:0"]);
    canary(proxy.address(), "first.test");
    server.wait("the end of the first connection", |seen| seen.ended == 1);
    write(true);
    proxy.signal("HUP");
    proxy.wait_log("the configuration is in force");
    for (ended, name) in [(2, "second.test"), (3, "third.test")] {
        canary(proxy.address(), name);
        server.wait("its end", |seen| seen.ended == ended);
    }
    let seen = server.seen();
    let resumed: Vec<bool> = seen.handshakes.iter().map(|one| one.resumed).collect();
    assert_eq!(resumed, [false, false, true]);
    let early = early_and_all(&seen);
    assert_eq!(early[..2], [(0, 1), (0, 1)]);
    assert!(early[2].0 > 0 && early[2].1 == 1, "{early:?}");
}
