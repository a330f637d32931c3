//! Upstreams that fail in every way that they know, and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::checks::{assert_answered, canary};
use crate::support::client::UdpClient;
use crate::support::codes::{A, REFUSED, SERVFAIL};
use crate::support::journal::DEADLINE;
use crate::support::messages::{query, response_to, word};
use crate::support::reading::read;
use crate::support::script::{Conduct, Gate, Received, Step, right_answer};
use crate::support::setup::{Setup, Trust};
use crate::support::upstream::DotServer;

// faults 4, 35: resets before the handshake is done: at most three connections for a question, then an error in time.
#[test]
fn resets_during_the_handshake_are_bounded() {
    for conduct in [Conduct::ResetAtOnce, Conduct::ResetAfterHello] {
        let setup = Setup::build(
            |upstream| upstream.conduct(move |_| conduct),
            &["--timeout", "1s"],
        );
        let got = read(
            &setup
                .udp()
                .ask(&query("a.test", A).edns(1232, 0, &[]).build()),
        );
        assert_eq!(got.rcode(), SERVFAIL);
        assert!(
            got.extended_errors()
                .iter()
                .any(|code| [22, 23].contains(code))
        );
        assert!(
            setup.upstream.seen().accepted <= 3,
            "{} connections",
            setup.upstream.seen().accepted
        );
    }
}

// fault 4: the second upstream steps in at once.
#[test]
fn resets_during_the_handshake_lead_to_the_next_upstream() {
    let trust = Trust::new();
    for conduct in [Conduct::ResetAtOnce, Conduct::ResetAfterHello] {
        let bad = DotServer::with(trust.authority.good())
            .conduct(move |_| conduct)
            .start();
        let good = DotServer::with(trust.authority.good()).start();
        let proxy = trust.proxy(&[&bad.spec(), &good.spec()], &[]);
        let start = Instant::now();
        canary(proxy.address(), "a.test");
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{:?}",
            start.elapsed()
        );
    }
}

// fault 5: an upstream that accepts and says nothing holds up a question for a while, not for ever.
#[test]
fn a_silent_handshake_leads_to_the_next_upstream() {
    let trust = Trust::new();
    let silent = DotServer::with(trust.authority.good())
        .conduct(|_| Conduct::NeverHandshake)
        .start();
    let good = DotServer::with(trust.authority.good()).start();
    let proxy = trust.proxy(&[&silent.spec(), &good.spec()], &[]);
    canary(proxy.address(), "a.test");
    let start = Instant::now();
    for number in 0..20 {
        canary(proxy.address(), &format!("b{number}.test"));
    }
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "later questions do not wait for it: {:?}",
        start.elapsed()
    );
}

// fault 7: an upstream that stops answering is given up, though its connection stands.
#[test]
fn a_silent_connection_is_given_up() {
    let setup = Setup::build(
        |upstream| {
            upstream.script(|asked| match (asked.connection, asked.index) {
                (0, 1..) => vec![],
                _ => vec![Step::Answer(right_answer(asked))],
            })
        },
        &["--timeout", "500ms"],
    );
    canary(setup.address(), "a.test");
    let client = setup.udp();
    let start = Instant::now();
    for number in 0_u16.. {
        assert!(
            start.elapsed() < DEADLINE,
            "no fresh connection after {number} lost questions"
        );
        if read(&client.ask(&query(&format!("b{number}.test"), A).id(number).build())).rcode()
            != SERVFAIL
        {
            break;
        }
        assert!(
            number < 4,
            "a connection that lost {number} questions in a row is still used"
        );
    }
}

// faults 7, 8: a connection that went silent costs time and no answer: the question goes out again on a fresh one.
#[test]
fn a_silent_connection_costs_no_answer() {
    let setup = Setup::scripted(|asked| match (asked.connection, asked.index) {
        (0, 1..) => vec![],
        _ => vec![Step::Answer(right_answer(asked))],
    });
    for number in 0..10 {
        canary(setup.address(), &format!("a{number}.test"));
    }
    assert_eq!(setup.upstream.seen().accepted, 2);
}

// faults 7, 50: a cold name may take a resolver more than a second, and its answer is not given up before the
// deadline, not even where it is the connection's first.
#[test]
fn a_slow_first_answer_is_waited_for() {
    let slow = |asked: &Received| {
        vec![
            Step::Wait(Duration::from_millis(2500)),
            Step::Answer(right_answer(asked)),
        ]
    };
    canary(Setup::scripted(slow).address(), "cold.test");
}

// fault 31: an upstream that refuses everything: the next one is asked, or the refusal is relayed.
#[test]
fn a_refusal_is_relayed_when_everybody_refuses() {
    let setup = Setup::scripted(|asked| {
        vec![Step::Answer(
            response_to(&asked.bytes).rcode(REFUSED).build(),
        )]
    });
    let got = read(&setup.udp().ask(&query("a.test", A).build()));
    assert!([REFUSED, SERVFAIL].contains(&got.rcode()));
    assert!(setup.upstream.seen().queries.len() <= 3);
}

// fault 30: a server failure is relayed, or tried elsewhere, and never multiplies.
#[test]
fn a_server_failure_is_sent_three_times_at_most() {
    let trust = Trust::new();
    let failing = |asked: &Received| {
        vec![Step::Answer(
            response_to(&asked.bytes).rcode(SERVFAIL).build(),
        )]
    };
    let first = DotServer::with(trust.authority.good())
        .script(failing)
        .start();
    let second = DotServer::with(trust.authority.good())
        .script(failing)
        .start();
    let proxy = trust.proxy(&[&first.spec(), &second.spec()], &[]);
    let got = read(&UdpClient::new(proxy.address()).ask(&query("a.test", A).build()));
    assert_eq!(got.rcode(), SERVFAIL);
    assert!(first.seen().queries.len() + second.seen().queries.len() <= 3);
}

// fault 47: nothing runs at the start; questions are answered with an error in time, then well.
#[test]
fn an_upstream_that_comes_up_later_is_used() {
    let trust = Trust::new();
    let mut upstream = DotServer::with(trust.authority.good()).stopped();
    let proxy = trust.proxy(&[&upstream.spec()], &["--timeout", "500ms"]);
    let client = UdpClient::new(proxy.address());
    assert_eq!(
        read(&client.ask(&query("a.test", A).build())).rcode(),
        SERVFAIL
    );
    upstream.start();
    ask_until(&client, "the upstream is used", || {
        !upstream.seen().queries.is_empty()
    });
}

/// Asks until `condition` holds; what the answers say is of no concern.
fn ask_until(client: &UdpClient, what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    let mut number = 0_u16;
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "in vain: {what}");
        client.ask(
            &query(
                &format!("until{number}-{:?}.test", start.elapsed().as_nanos()),
                A,
            )
            .id(number)
            .build(),
        );
        number = number.wrapping_add(1);
    }
}

// req 79: the first of two upstreams is down, comes up, dies with questions in flight and comes back. No client sees an
// error, and the log tells the story.
#[test]
fn the_story_of_an_upstream_that_comes_and_goes() {
    let trust = Trust::new();
    let (gate, holding) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let (held, holds) = (gate.clone(), Arc::clone(&holding));
    let mut first = DotServer::with(trust.authority.good())
        .script(move |asked| {
            let right = Step::Answer(right_answer(asked));
            if holds.load(Ordering::SeqCst) {
                vec![Step::HoldUntil(held.clone()), right]
            } else {
                vec![right]
            }
        })
        .stopped();
    let second = DotServer::with(trust.authority.good()).start();
    let proxy = trust.proxy(&[&first.spec(), &second.spec()], &[]);
    let client = UdpClient::new(proxy.address());
    for number in 0..10 {
        canary(proxy.address(), &format!("a{number}.test"));
    }
    assert_eq!(second.seen().queries.len(), 10);

    first.start();
    ask_until(&client, "the first upstream is used", || {
        !first.seen().queries.is_empty()
    });

    holding.store(true, Ordering::SeqCst);
    let before = first.seen().queries.len();
    let queries: Vec<_> = (0..20)
        .map(|id| query(&format!("flying{id}.test"), A).id(id).build())
        .collect();
    for asked in &queries {
        client.send(asked);
    }
    first.wait("questions in flight", |seen| seen.queries.len() > before);
    first.stop();
    for _ in &queries {
        let got = client.receive();
        assert_answered(&queries[usize::from(word(&got, 0))], &got);
    }

    holding.store(false, Ordering::SeqCst);
    let before = first.seen().queries.len();
    first.start();
    ask_until(&client, "the first upstream is used again", || {
        first.seen().queries.len() > before
    });
    let address = first.address().to_string();
    let story = proxy
        .logs()
        .iter()
        .filter(|line| line.contains(&address))
        .count();
    assert!(
        story >= 3,
        "down, up and lost are told: {:#?}",
        proxy.logs()
    );
}

// fault 4: the system says that nobody is there, and no time is waited for.
#[test]
fn an_upstream_over_udp_that_nobody_serves_is_passed_over_at_once() {
    let trust = Trust::new();
    let good = DotServer::with(trust.authority.good()).start();
    // Nothing chooses this port.
    let nobody = "udp://127.0.0.1:1";
    let proxy = trust.proxy(&[nobody, &good.spec()], &["--allow-plaintext"]);
    canary(proxy.address(), "a.test");
    proxy.wait_log("connection refused");
    let alone = trust.proxy(&[nobody], &["--allow-plaintext"]);
    let asked = query("a.test", A).edns(1232, 0, &[]).build();
    let got = read(&UdpClient::new(alone.address()).ask(&asked));
    assert_eq!(got.rcode(), SERVFAIL);
    assert!(
        got.extended_errors()
            .iter()
            .any(|code| [22, 23].contains(code))
    );
    alone.wait_log("connection refused");
}
