//! From the first line of the log to the exit code.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::checks::{assert_answered, canary, load};
use crate::support::codes::A;
use crate::support::command::command;
use crate::support::messages::{query, word};
use crate::support::proxy::Proxy;
use crate::support::script::{Gate, Step, right_answer};
use crate::support::setup::{Setup, Trust};
use crate::support::upstream::DotServer;

fn held(gate: &Gate) -> Setup {
    let gate = gate.clone();
    Setup::scripted(move |asked| {
        vec![
            Step::HoldUntil(gate.clone()),
            Step::Answer(right_answer(asked)),
        ]
    })
}

#[test]
fn the_first_line_says_what_is_served_and_how_to_try_it() {
    let setup = Setup::answering();
    let line = setup.proxy.wait_log(" serving ");
    let port = setup.address().port();
    for part in [
        "serving udp+tcp on 127.0.0.1:",
        "(tls)",
        &format!("try: dig @127.0.0.1 -p {port} "),
    ] {
        assert!(line.contains(part), "{part:?} in {line:?}");
    }
    assert!(
        line.contains(&setup.upstream.address().to_string()),
        "{line:?}"
    );
}

// A client that has sent a part of a query and no more does not hold up the end for as long as a question would.
#[test]
fn half_a_query_does_not_hold_up_the_end() {
    let mut setup = Setup::answering();
    canary(setup.address(), "a.test");
    let client = setup.tcp();
    client.send_raw(&[0]);
    assert_answered(
        &query("b.test", A).build(),
        &setup.tcp().ask(&query("b.test", A).build()),
    );
    let start = Instant::now();
    setup.proxy.signal("TERM");
    assert_eq!(setup.proxy.wait().code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
}

// fault 84: what was accepted is answered, then the exit code says that all is well.
#[test]
fn what_is_in_flight_at_the_end_is_answered() {
    let gate = Gate::new();
    let mut setup = held(&gate);
    let (udp, tcp) = (setup.udp(), setup.tcp());
    let queries: Vec<_> = (0..20)
        .map(|id| query(&format!("a{id}.test"), A).id(id).build())
        .collect();
    queries[..10].iter().for_each(|asked| udp.send(asked));
    queries[10..].iter().for_each(|asked| tcp.send(asked));
    setup
        .upstream
        .wait("all queries", |seen| seen.queries.len() == 20);
    setup.proxy.signal("TERM");
    setup.proxy.wait_log("draining");
    gate.open();
    for _ in 0..10 {
        for got in [udp.receive(), tcp.receive().expect("an answer")] {
            assert_answered(&queries[usize::from(word(&got, 0))], &got);
        }
    }
    assert_eq!(tcp.receive(), None);
    assert_eq!(setup.proxy.wait().code(), Some(0));
    setup
        .upstream
        .wait("an orderly close", |seen| seen.close_notifies > 0);
}

// fault 84: under load nothing is lost that was sent before the log says "draining".
#[test]
fn an_end_under_load_loses_nothing() {
    const WINDOW: usize = 50;
    let mut setup = Setup::answering();
    let client = setup.udp();
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (setup, answered) = (&setup, &answered);
        let generator = scope.spawn(move || {
            let (mut sent, mut flying) = (0_u16, 0);
            loop {
                let ending = setup
                    .proxy
                    .logs()
                    .iter()
                    .any(|line| line.contains("draining"));
                if ending && flying == 0 {
                    return;
                }
                while !ending && flying < WINDOW {
                    client.send(&query(&format!("a{sent}.test"), A).id(sent).build());
                    sent = sent.wrapping_add(1);
                    flying += 1;
                }
                let got = client.receive();
                let asked = query(&format!("a{}.test", word(&got, 0)), A)
                    .id(word(&got, 0))
                    .build();
                assert_answered(&asked, &got);
                flying -= 1;
                answered.fetch_add(1, Ordering::SeqCst);
            }
        });
        setup
            .upstream
            .wait("a load", |seen| seen.queries.len() > 500);
        setup.proxy.signal("TERM");
        generator.join().expect("every question was answered");
    });
    assert!(answered.load(Ordering::SeqCst) > 500);
    assert_eq!(setup.proxy.wait().code(), Some(0));
}

// fault 84: SIGINT ends it as well, and a second signal does not wait for the drain.
#[test]
fn a_second_signal_ends_at_once() {
    let gate = Gate::new();
    let mut setup = held(&gate);
    setup.udp().send(&query("a.test", A).build());
    setup
        .upstream
        .wait("the query", |seen| seen.queries.len() == 1);
    setup.proxy.signal("INT");
    setup.proxy.wait_log("draining");
    let start = std::time::Instant::now();
    setup.proxy.signal("TERM");
    setup.proxy.wait();
    assert!(
        start.elapsed() < std::time::Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

// fault 85: what asks for nothing that there is ends nothing.
#[test]
fn signals_that_mean_nothing_end_nothing() {
    let mut setup = Setup::answering();
    for name in ["HUP", "USR1", "USR2", "PIPE"] {
        setup.proxy.signal(name);
        canary(setup.address(), &format!("{name}.test"));
    }
    assert_eq!(setup.proxy.terminate().code(), Some(0));
}

// fault 85: a report has what was counted so far and what is there now, and is given as often as it is asked for.
#[test]
fn a_report_is_given_as_often_as_it_is_asked_for() {
    let gate = Gate::new();
    let setup = held(&gate);
    let (client, asked) = (setup.udp(), query("a.test", A).build());
    client.send(&asked);
    setup
        .upstream
        .wait("the query", |seen| seen.queries.len() == 1);
    setup.proxy.signal("USR1");
    let first = setup.proxy.wait_log("worker 1: queries 1, ");
    for part in [
        " sent 1, ",
        " dials 1;",
        " in_flight 1,",
        " connections_up 1,",
    ] {
        assert!(first.contains(part), "{part:?} in {first:?}");
    }
    for none in ["hits", "answered", "failed"] {
        assert!(!first.contains(none), "{none:?} in {first:?}");
    }
    gate.open();
    assert_answered(&asked, &client.receive());
    assert_answered(&asked, &client.ask(&asked));
    setup.proxy.signal("USR1");
    let second = setup.proxy.wait_log("worker 1: queries 2, ");
    for part in [
        " hits 1,",
        " answered 1,",
        " in_flight 0,",
        " cache_entries 1,",
    ] {
        assert!(second.contains(part), "{part:?} in {second:?}");
    }
}

// fault 85: each worker speaks for itself.
#[test]
fn every_worker_reports() {
    let setup = Setup::build(|upstream| upstream, &["--workers", "2"]);
    canary(setup.address(), "a.test");
    setup.proxy.signal("USR1");
    let lines = [1, 2].map(|worker| setup.proxy.wait_log(&format!("worker {worker}: ")));
    let asked = |line: &&String| line.contains("queries 1,");
    let quiet = |line: &&String| line.contains("nothing so far;");
    let (asked, quiet) = (lines.iter().filter(asked), lines.iter().filter(quiet));
    assert_eq!((asked.count(), quiet.count()), (1, 1), "{lines:#?}");
}

// fault 84, 85: what asks for something else is not the second signal that cuts a drain short.
#[test]
fn other_signals_do_not_cut_a_drain_short() {
    let gate = Gate::new();
    let mut setup = held(&gate);
    let (client, asked) = (setup.udp(), query("a.test", A).build());
    client.send(&asked);
    setup
        .upstream
        .wait("the query", |seen| seen.queries.len() == 1);
    setup.proxy.signal("TERM");
    setup.proxy.wait_log("draining");
    for name in ["HUP", "USR2", "USR1"] {
        setup.proxy.signal(name);
    }
    setup.proxy.wait_log("worker 1: ");
    gate.open();
    assert_answered(&asked, &client.receive());
    assert_eq!(setup.proxy.wait().code(), Some(0));
}

// fault 83: a process that was stopped for a while goes on where it was.
#[test]
fn a_stopped_process_goes_on() {
    let setup = Setup::answering();
    canary(setup.address(), "a.test");
    setup.proxy.signal("STOP");
    let (udp, tcp, asked) = (setup.udp(), setup.tcp(), query("b.test", A).build());
    udp.send(&asked);
    tcp.send(&asked);
    setup.proxy.signal("CONT");
    assert_answered(&asked, &udp.receive());
    assert_answered(&asked, &tcp.receive().expect("an answer"));
}

// fault 89: a log that nobody reads holds up neither questions nor the end.
#[test]
fn a_log_that_is_stuck_holds_up_nobody() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let spec = upstream.spec();
    let args = trust.args(&[&spec], &["--log", "debug"]);
    let mut proxy = Proxy::spawn_unread(command(&args));
    // Each question is a line of some 50 octets, and a pipe holds 64 KiB.
    load(proxy.address(), "log", 4000, 50);
    assert_eq!(proxy.terminate().code(), Some(0));
}
