//! The captive mode of the whole program, over real sockets: an upstream that cannot be verified, and the network's own resolver.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::authority::Leaf;
use crate::support::checks::rcode_of;
use crate::support::client::{TcpClient, UdpClient};
use crate::support::codes::{A, AAAA, NOERROR, SERVFAIL, TXT};
use crate::support::messages::{query, response_to, word};
use crate::support::reading::read;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;

const CHECK: &str = "captive.apple.com";

/// The network's own resolver, which has the same address for everything, and writes down what it gets.
fn resolver() -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address");
    let log = Arc::new(Mutex::new(Vec::new()));
    let written = log.clone();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let asked = &buffer[..length];
            written.lock().unwrap().push(asked.to_vec());
            let response = response_to(asked);
            let response = match word(asked, length - 4) {
                A => response.a(86_400, [10, 0, 0, 1]),
                _ => response,
            };
            socket
                .send_to(&response.build(), client)
                .expect("it is sent");
        }
    });
    (address, log)
}

// req 135, fault 160
#[test]
fn portal_checks_are_answered_and_nothing_else_is_asked_in_the_clear() {
    let trust = Trust::new();
    let upstream = DotServer::with(Leaf::unknown_authority()).start();
    let (resolver, log) = resolver();
    let resolver = resolver.to_string();
    let proxy = trust.proxy(
        &[&upstream.spec()],
        &[
            "--captive",
            "allow-plaintext-for 1m",
            "--captive-resolver",
            &resolver,
            "--workers",
            "2",
        ],
    );
    let client = UdpClient::new(proxy.address());
    let asked = query("CAPTIVE.apple.com", A).edns(4096, 0x8000, &[(10, b"cookie!!")]);
    let answer = client.ask(&asked.build());
    let answered = read(&answer);
    assert_eq!((rcode_of(&answer), answered.answer.len()), (NOERROR, 1));
    assert_eq!(answered.answer[0].ttl, 5);
    let tcp = TcpClient::new(proxy.address());
    assert_eq!(rcode_of(&tcp.ask(&query(CHECK, AAAA).build())), NOERROR);
    for (name, qtype) in [
        ("www.example.com", A),
        ("secret.captive.apple.com", A),
        (CHECK, TXT),
    ] {
        let asked = query(name, qtype).build();
        assert_eq!(rcode_of(&client.ask(&asked)), SERVFAIL, "{name}");
    }
    let log = log.lock().unwrap();
    let bare = |qtype, asked: &[u8]| query(CHECK, qtype).id(word(asked, 0)).build();
    let expected: Vec<Vec<u8>> = [A, AAAA]
        .into_iter()
        .zip(&*log)
        .map(|(qtype, asked)| bare(qtype, asked))
        .collect();
    assert_eq!(*log, expected);
    let lines = proxy.logs().join("\n");
    let begun = lines.matches("captive mode begins: no upstream can be reached");
    assert_eq!(begun.count(), 1, "{lines}");
    let answers = format!("captive mode: the network's own resolver {resolver} answers");
    assert!(lines.contains(&answers), "{lines}");
    assert!(!lines.to_lowercase().contains("apple"), "{lines}");
}
