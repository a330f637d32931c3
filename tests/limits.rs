//! Every bound, seen from outside.

use std::net::UdpSocket;

use crate::support::checks::{assert_answered, canary};
use crate::support::client::{TcpClient, uninterrupted};
use crate::support::codes::{A, REFUSED, SERVFAIL};
use crate::support::command::{allow_files, command_with_files, run};
use crate::support::messages::{query, word};
use crate::support::proxy::Proxy;
use crate::support::reading::read;
use crate::support::script::{Gate, Step, answers, gated};
use crate::support::setup::{Setup, Trust};
use crate::support::upstream::DotServer;

// req 27, fault 69: who is not on the list is refused, and the upstream hears nothing.
#[test]
fn a_client_outside_the_access_list_is_refused() {
    let setup = Setup::build(|upstream| upstream, &["--allow-net", "10.0.0.0/8"]);
    let asked = query("a.test", A).id(9).build();
    let got = read(&setup.udp().ask(&asked));
    assert_eq!((got.id, got.rcode()), (9, REFUSED));
    let client = setup.tcp();
    client.send(&asked);
    // Over TCP a refusal or a close: either way no data.
    if let Some(got) = client.receive() {
        assert_eq!(read(&got).rcode(), REFUSED);
    }
    assert!(setup.upstream.seen().queries.is_empty());
}

// fault 69: who is refused, and how often, can be seen by whoever runs the program.
#[test]
fn denied_and_malformed_queries_are_told_and_counted() {
    let mut setup = Setup::build(|upstream| upstream, &["--allow-net", "10.0.0.0/8"]);
    let client = setup.udp();
    for id in 1..4 {
        client.ask(&query("a.test", A).id(id).build());
    }
    setup
        .proxy
        .wait_log("client 127.0.0.1: its query is refused");
    assert_eq!(setup.proxy.terminate().code(), Some(0));
    let lines = setup.proxy.logs();
    let denials = lines.iter().filter(|line| line.contains("is refused"));
    assert_eq!(denials.count(), 1, "{lines:#?}");
    let stopped = setup.proxy.wait_log("stopped: 3 queries");
    assert!(
        stopped.contains(" 3 denied, 0 malformed, 0 unsupported,"),
        "{stopped}"
    );
}

// req 27: who is on the list is served; the list is what was given and no more.
#[test]
fn a_client_on_the_access_list_is_served() {
    let setup = Setup::build(
        |upstream| upstream,
        &["--allow-net", "127.0.0.1/32", "--allow-net", "10.0.0.0/8"],
    );
    canary(setup.address(), "a.test");
    let elsewhere = UdpSocket::bind("127.0.0.7:0").expect("another loopback address");
    elsewhere
        .set_read_timeout(Some(crate::support::journal::DEADLINE))
        .expect("a time limit");
    elsewhere
        .send_to(&query("b.test", A).build(), setup.address())
        .expect("a query");
    let mut buffer = [0; 512];
    let size = uninterrupted(|| elsewhere.recv(&mut buffer)).expect("a refusal");
    assert_eq!(read(&buffer[..size]).rcode(), REFUSED);
}

// req 67, fault 72: with all places taken a newcomer is served in the place of the one that is idle longest.
#[test]
fn connections_in_all_are_limited() {
    let setup = Setup::build(|upstream| upstream, &["--max-tcp-connections", "2"]);
    let asked = query("a.test", A).build();
    let mut alive = Vec::new();
    for _ in 0..5 {
        let client = setup.tcp();
        assert_answered(&asked, &client.ask(&asked));
        alive.push(client);
    }
    for client in &alive[..3] {
        assert_eq!(client.receive(), None);
    }
    for client in &alive[3..] {
        assert_answered(&asked, &client.ask(&asked));
    }
    canary(setup.address(), "b.test");
}

// fault 76: beyond its questions in flight a connection is not read, and nothing is lost.
#[test]
fn questions_in_flight_per_connection_are_limited() {
    let gate = Gate::new();
    let setup = Setup::build(
        |upstream| upstream.script(gated(&gate, "slow")),
        &["--max-tcp-in-flight", "4"],
    );
    let client = setup.tcp();
    let queries: Vec<_> = (0..20)
        .map(|id| query(&format!("slow{id}.test"), A).id(id).build())
        .collect();
    for asked in &queries {
        client.send(asked);
    }
    setup
        .upstream
        .wait("as many as the limit", |seen| seen.queries.len() == 4);
    for number in 0..20 {
        canary(setup.address(), &format!("other{number}.test"));
    }
    let slow = setup
        .upstream
        .seen()
        .queries
        .iter()
        .filter(|asked| asked.bytes[13..].starts_with(b"slow"))
        .count();
    assert_eq!(slow, 4);
    gate.open();
    for _ in &queries {
        let got = client.receive().expect("an answer");
        assert_answered(&queries[usize::from(word(&got, 0))], &got);
    }
}

// fault 63: beyond the questions in flight new ones are shed, with an answer or without, and room comes back.
#[test]
fn questions_in_flight_are_limited() {
    let gate = Gate::new();
    let setup = Setup::build(
        |upstream| upstream.script(gated(&gate, "")),
        &["--max-in-flight", "10"],
    );
    let client = setup.udp();
    for id in 0..30 {
        client.send(&query(&format!("a{id}.test"), A).id(id).build());
    }
    setup
        .upstream
        .wait("the limit", |seen| seen.queries.len() == 10);
    // What is shed is answered at once, before any answer is let through.
    let shed = read(&client.receive());
    assert!([SERVFAIL, REFUSED].contains(&shed.rcode()));
    assert_eq!(setup.upstream.seen().queries.len(), 10);
    gate.open();
    // Room comes back with the answers: all thirty questions get one.
    for _ in 1..30 {
        client.receive();
    }
    canary(setup.address(), "after.test");
}

/// One client asks twenty questions, which the upstream holds until `look` has looked; then all are answered.
fn twenty_held(options: &[&str], look: impl FnOnce(&Setup)) {
    let gate = Gate::new();
    let setup = Setup::build(|upstream| upstream.script(gated(&gate, "")), options);
    let client = setup.udp();
    let queries: Vec<_> = (0..20)
        .map(|id| query(&format!("a{id}.test"), A).id(id).build())
        .collect();
    for asked in &queries {
        client.send(asked);
    }
    look(&setup);
    gate.open();
    for _ in &queries {
        let got = client.receive();
        assert_answered(&queries[usize::from(word(&got, 0))], &got);
    }
}

// fault 64: the bound for each UDP client is not for those on loopback, who all have one address.
#[test]
fn clients_on_loopback_share_no_limit() {
    twenty_held(&["--max-in-flight-per-client", "1"], |setup| {
        setup
            .upstream
            .wait("all queries", |seen| seen.queries.len() == 20);
    });
}

// A link's own limit leads to more links, or to waiting, and never to a lost question.
#[test]
fn questions_in_flight_per_link_are_limited() {
    twenty_held(&["--max-link-in-flight", "5"], |setup| {
        let seen = setup
            .upstream
            .wait("the limit", |seen| seen.queries.len() >= 5);
        for connection in 0..seen.accepted {
            assert!(
                seen.queries
                    .iter()
                    .filter(|asked| asked.connection == connection)
                    .count()
                    <= 5
            );
        }
    });
}

// fault 80: out of files, new connections wait, and all else goes on.
#[test]
fn out_of_files_the_rest_goes_on() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let spec = upstream.spec();
    let args = trust.args(&[&spec], &[]);
    let proxy = Proxy::spawn(command_with_files(64, &args));
    canary(proxy.address(), "a.test");
    let clients: Vec<_> = (0..99).map(|_| TcpClient::new(proxy.address())).collect();
    for number in 0..20 {
        canary(proxy.address(), &format!("b{number}.test"));
    }
    drop(clients);
    let asked = query("c.test", A).build();
    assert_answered(&asked, &TcpClient::new(proxy.address()).ask(&asked));
}

// fault 117: however few files may be open, it says so and ends, or it serves; on every runtime that this build has.
#[test]
fn too_few_files_are_named_or_suffice() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let spec = upstream.spec();
    for runtime in dotward::transports::RUNTIMES {
        let args = trust.args(&[&spec], &["--runtime", runtime]);
        // With three the loader does not even find the libraries.
        let refused = |files: usize| {
            let outcome = run(command_with_files(files, &args));
            let said = outcome.stderr.contains("ulimit -n");
            assert_eq!((outcome.code, said), (Some(1), true), "{outcome:?}");
            assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
        };
        (4..=14).for_each(refused);
        for files in [32, 36, 64] {
            let proxy = Proxy::spawn(command_with_files(files, &args));
            let (mut asked, held) = (Vec::new(), TcpClient::new(proxy.address()));
            for name in ["a.test", "b.test", "c.test"] {
                canary(proxy.address(), name);
                asked = query(name, A).build();
            }
            assert_answered(&asked, &held.ask(&asked));
        }
    }
}

// fault 105: when a connection to the upstream is lost and there are no files left, a client that waits does not take the one that
// came free.
#[cfg(target_os = "linux")]
#[test]
fn out_of_files_the_upstream_is_connected_to_before_clients() {
    let gate = Gate::new();
    let held = gate.clone();
    let setup = Setup::scripted(move |asked| {
        let mut steps = answers(asked);
        if asked.bytes[13..].starts_with(b"last") {
            steps.extend([Step::HoldUntil(held.clone()), Step::CloseNotify, Step::Fin]);
        }
        steps
    });
    canary(setup.address(), "known.test");
    canary(setup.address(), "last.test");
    let files = std::fs::read_dir(format!("/proc/{}/fd", setup.proxy.id()))
        .expect("its files")
        .count();
    allow_files(setup.proxy.id(), files);
    let waiting: Vec<TcpClient> = (0..5).map(|_| setup.tcp()).collect();
    setup.proxy.wait_log("accepting TCP connections fails");
    gate.open();
    // The first of them gets the place of the connection that is gone; what is known needs no upstream.
    let known = query("known.test", A).build();
    assert_answered(&known, &waiting[0].ask(&known));
    canary(setup.address(), "next.test");
    canary(setup.address(), "another.test");
}
