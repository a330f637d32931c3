//! From the first line of the log to the exit code.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::checks::{assert_well, canary, load};
use crate::support::client::{TcpClient, UdpClient};
use crate::support::codes::A;
use crate::support::command::{command, run};
use crate::support::messages::{query, word};
use crate::support::proxy::Proxy;
use crate::support::script::{Gate, Step, well};
use crate::support::stand::{Stand, Trust};
use crate::support::upstream::DotServer;

fn held(gate: &Gate) -> Stand {
    let gate = gate.clone();
    Stand::scripted(move |asked| vec![Step::HoldUntil(gate.clone()), Step::Answer(well(asked))])
}

#[test]
fn the_first_line_says_what_is_served_and_how_to_try_it() {
    let stand = Stand::well();
    let line = stand.proxy.wait_log(" serving ");
    let port = stand.address().port();
    for part in [
        "serving udp+tcp on 127.0.0.1:",
        "(tls)",
        &format!("try: dig @127.0.0.1 -p {port} "),
    ] {
        assert!(line.contains(part), "{part:?} in {line:?}");
    }
    assert!(
        line.contains(&stand.upstream.address().to_string()),
        "{line:?}"
    );
}

// The mode is what clients speak.
#[test]
fn each_mode_serves_its_own_transports() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    for mode in ["udp", "tcp"] {
        let proxy = Proxy::start(&[
            mode,
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            &upstream.spec(),
            "--ca-file",
            &trust.root,
        ]);
        assert!(
            proxy
                .wait_log(" serving ")
                .contains(&format!("serving {mode} on "))
        );
        let asked = query("a.test", A).bytes();
        if mode == "udp" {
            assert_well(&asked, &UdpClient::new(proxy.address()).ask(&asked));
            TcpListener::bind(proxy.address()).expect("nobody listens on TCP");
        } else {
            assert_well(&asked, &TcpClient::new(proxy.address()).ask(&asked));
            UdpSocket::bind(proxy.address()).expect("nobody listens on UDP");
        }
    }
}

// fault 84: what was accepted is answered, then the exit code says that all is well.
#[test]
fn what_is_in_flight_at_the_end_is_answered() {
    let gate = Gate::new();
    let mut stand = held(&gate);
    let (udp, tcp) = (stand.udp(), stand.tcp());
    let queries: Vec<_> = (0..20)
        .map(|id| query(&format!("a{id}.test"), A).id(id).bytes())
        .collect();
    queries[..10].iter().for_each(|asked| udp.send(asked));
    queries[10..].iter().for_each(|asked| tcp.send(asked));
    stand
        .upstream
        .wait("all queries", |seen| seen.queries.len() == 20);
    stand.proxy.signal("TERM");
    stand.proxy.wait_log("draining");
    gate.open();
    for _ in 0..10 {
        for got in [udp.receive(), tcp.receive().expect("an answer")] {
            assert_well(&queries[usize::from(word(&got, 0))], &got);
        }
    }
    assert_eq!(tcp.receive(), None);
    assert_eq!(stand.proxy.wait().code(), Some(0));
    stand
        .upstream
        .wait("an orderly close", |seen| seen.close_notifies > 0);
}

// fault 84: under load nothing is lost that was sent before the log says "draining".
#[test]
fn an_end_under_load_loses_nothing() {
    const WINDOW: usize = 50;
    let mut stand = Stand::well();
    let client = stand.udp();
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (stand, answered) = (&stand, &answered);
        let generator = scope.spawn(move || {
            let (mut sent, mut flying) = (0_u16, 0);
            loop {
                let ending = stand
                    .proxy
                    .logs()
                    .iter()
                    .any(|line| line.contains("draining"));
                if ending && flying == 0 {
                    return;
                }
                while !ending && flying < WINDOW {
                    client.send(&query(&format!("a{sent}.test"), A).id(sent).bytes());
                    sent = sent.wrapping_add(1);
                    flying += 1;
                }
                let got = client.receive();
                let asked = query(&format!("a{}.test", word(&got, 0)), A)
                    .id(word(&got, 0))
                    .bytes();
                assert_well(&asked, &got);
                flying -= 1;
                answered.fetch_add(1, Ordering::SeqCst);
            }
        });
        stand
            .upstream
            .wait("a load", |seen| seen.queries.len() > 500);
        stand.proxy.signal("TERM");
        generator.join().expect("every question was answered");
    });
    assert!(answered.load(Ordering::SeqCst) > 500);
    assert_eq!(stand.proxy.wait().code(), Some(0));
}

// fault 84: SIGINT ends it as well, and a second signal does not wait for the drain.
#[test]
fn a_second_signal_ends_at_once() {
    let gate = Gate::new();
    let mut stand = held(&gate);
    stand.udp().send(&query("a.test", A).bytes());
    stand
        .upstream
        .wait("the query", |seen| seen.queries.len() == 1);
    stand.proxy.signal("INT");
    stand.proxy.wait_log("draining");
    let start = std::time::Instant::now();
    stand.proxy.signal("TERM");
    stand.proxy.wait();
    assert!(
        start.elapsed() < std::time::Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

// fault 85: signals that mean nothing here do not end the program.
#[test]
fn a_hang_up_does_not_end_the_program() {
    let stand = Stand::well();
    stand.proxy.signal("PIPE");
    canary(stand.address(), "a.test");
}

// fault 83: a process that was stopped for a while goes on where it was.
#[test]
fn a_stopped_process_goes_on() {
    let stand = Stand::well();
    canary(stand.address(), "a.test");
    stand.proxy.signal("STOP");
    let (udp, tcp, asked) = (stand.udp(), stand.tcp(), query("b.test", A).bytes());
    udp.send(&asked);
    tcp.send(&asked);
    stand.proxy.signal("CONT");
    assert_well(&asked, &udp.receive());
    assert_well(&asked, &tcp.receive().expect("an answer"));
}

// fault 89: a log that nobody reads holds up neither questions nor the end.
#[test]
fn a_log_that_is_stuck_holds_up_nobody() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let spec = upstream.spec();
    let args = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--log",
        "debug",
        "--ca-file",
        &trust.root,
        "--upstream",
        &spec,
    ];
    let mut proxy = Proxy::spawn_unread(command(&args));
    // Each question is a line of some 50 octets, and a pipe holds 64 KiB.
    load(proxy.address(), "log", 4000, 50);
    assert_eq!(proxy.terminate().code(), Some(0));
}

// fault 87: a busy port is named with its reason, and what was bound before is given back.
#[test]
fn a_busy_port_is_named() {
    let trust = Trust::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let outcome = run(command(&[
        "serve",
        "--listen",
        &address,
        "--upstream",
        "127.0.0.1:853#dot.test",
        "--ca-file",
        &trust.root,
    ]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(&address), "{outcome:?}");
    assert!(
        outcome.stderr.to_lowercase().contains("in use"),
        "{outcome:?}"
    );
    assert!(outcome.time.as_secs() < 1, "{outcome:?}");
    UdpSocket::bind(taken.local_addr().expect("its address")).expect("the UDP port is free again");
}

// req 8: a wildcard answers from the address that was asked.
#[test]
fn a_wildcard_answers_from_the_address_that_was_asked() {
    let stand = Stand::build(|upstream| upstream, &["--listen", "0.0.0.0:0"]);
    for host in ["127.0.0.9", "127.0.0.1", "127.1.2.3"] {
        // A connected socket takes answers from this address alone.
        let server = format!("{host}:{}", stand.address().port())
            .parse()
            .expect("an address");
        canary(server, "a.test");
        let asked = query("b.test", A).bytes();
        assert_well(&asked, &TcpClient::new(server).ask(&asked));
    }
}

// req 8, the same for IPv6, where the host has it.
#[test]
fn a_wildcard_serves_ipv6_where_there_is_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("this host has no IPv6: nothing to test");
        return;
    }
    let stand = Stand::build(|upstream| upstream, &["--listen", "[::]:0"]);
    let server = format!("[::1]:{}", stand.address().port())
        .parse()
        .expect("an address");
    canary(server, "a.test");
    let asked = query("b.test", A).bytes();
    assert_well(&asked, &TcpClient::new(server).ask(&asked));
}

// req 27: two addresses are two addresses, and no other.
#[test]
fn every_listen_address_is_served() {
    let stand = Stand::build(
        |upstream| upstream,
        &["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"],
    );
    assert_eq!(stand.proxy.addresses().len(), 2);
    for server in stand.proxy.addresses() {
        canary(*server, "a.test");
    }
}

// More loops on the same port serve as one does.
#[test]
fn workers_share_the_port() {
    let stand = Stand::build(|upstream| upstream, &["--workers", "2"]);
    for number in 0..50 {
        canary(stand.address(), &format!("a{number}.test"));
        let asked = query(&format!("b{number}.test"), A).bytes();
        assert_well(&asked, &stand.tcp().ask(&asked));
    }
}
