//! Where the program listens, and from which address it answers.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::support::checks::{assert_answered, canary};
use crate::support::client::{TcpClient, UdpClient};
use crate::support::codes::A;
use crate::support::command::{command, run};
use crate::support::messages::query;
use crate::support::proxy::Proxy;
use crate::support::setup::{Setup, Trust};
use crate::support::upstream::DotServer;

// The mode is what clients speak.
#[test]
fn each_mode_serves_its_own_transports() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    for mode in ["udp", "tcp"] {
        let proxy = Proxy::start(&[
            mode,
            "--listen",
            // An address of its own, so that no other test's socket has the port.
            "127.0.31.1:0",
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
        let asked = query("a.test", A).build();
        if mode == "udp" {
            assert_answered(&asked, &UdpClient::new(proxy.address()).ask(&asked));
            TcpListener::bind(proxy.address()).expect("nobody listens on TCP");
        } else {
            assert_answered(&asked, &TcpClient::new(proxy.address()).ask(&asked));
            UdpSocket::bind(proxy.address()).expect("nobody listens on UDP");
        }
    }
}

// req 27: two addresses are two addresses, and no other.
#[test]
fn every_listen_address_is_served() {
    let setup = Setup::build(
        |upstream| upstream,
        &["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"],
    );
    assert_eq!(setup.proxy.addresses().len(), 2);
    for server in setup.proxy.addresses() {
        canary(*server, "a.test");
    }
}

/// A question over UDP and one over TCP are answered well.
fn serves(server: SocketAddr) {
    canary(server, "a.test");
    let asked = query("b.test", A).build();
    assert_answered(&asked, &TcpClient::new(server).ask(&asked));
}

// req 8, fault 67: a wildcard answers from the address that was asked.
#[test]
fn a_wildcard_answers_from_the_address_that_was_asked() {
    let setup = Setup::build(|upstream| upstream, &["--listen", "0.0.0.0:0"]);
    for host in ["127.0.0.9", "127.0.0.1", "127.1.2.3"] {
        // A connected socket takes answers from this address alone.
        let server = format!("{host}:{}", setup.address().port())
            .parse()
            .expect("an address");
        serves(server);
    }
}

// req 8, the same for IPv6, where the host has it.
#[test]
fn a_wildcard_serves_ipv6_where_there_is_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("this host has no IPv6: nothing to test");
        return;
    }
    let setup = Setup::build(|upstream| upstream, &["--listen", "[::]:0"]);
    let server = format!("[::1]:{}", setup.address().port())
        .parse()
        .expect("an address");
    serves(server);
}

// More loops on the same port serve as one does.
#[test]
fn workers_share_the_port() {
    let setup = Setup::build(|upstream| upstream, &["--workers", "2"]);
    for number in 0..50 {
        canary(setup.address(), &format!("a{number}.test"));
        let asked = query(&format!("b{number}.test"), A).build();
        assert_answered(&asked, &setup.tcp().ask(&asked));
    }
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

// fault 87: workers share an address among themselves, not with another program.
#[test]
fn a_second_program_does_not_join_the_workers() {
    let setup = Setup::build(|upstream| upstream, &["--workers", "2"]);
    let address = setup.address().to_string();
    let outcome = run(command(&[
        "serve",
        "--workers",
        "2",
        "--listen",
        &address,
        "--upstream",
        "127.0.0.1:853#dot.test",
    ]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(&address), "{outcome:?}");
}
