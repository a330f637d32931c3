//! What somebody on the path to the resolver can read, and what the log has: the statements of docs/privacy.md that no other test shows.

use crate::support::checks::rcode_of;
use crate::support::client::UdpClient;
use crate::support::codes::{A, NXDOMAIN, SERVFAIL};
use crate::support::messages::{query, response_to};
use crate::support::proxy::Proxy;
use crate::support::script::{Conduct, Received, Step, right_answer};
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A label that stands nowhere else.
const SECRET: &str = "whatnobodyshallread";
/// The content type of encrypted records (RFC 8446 section 5.1).
const APPLICATION_DATA: u8 = 23;
/// What encryption adds to a record of TLS 1.3: the inner content type and the tag of an AEAD (RFC 8446 section 5.2).
const SEALED: usize = 1 + 16;

/// Somebody on the path, who passes on all octets and writes them down.
#[derive(Clone, Default)]
struct Observer {
    to_server: Arc<Mutex<Vec<u8>>>,
    to_client: Arc<Mutex<Vec<u8>>>,
}

impl Observer {
    /// Listens, and stands between those who connect and this server.
    fn before(server: SocketAddr) -> (Self, SocketAddr) {
        let observer = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let between = observer.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(server)) else {
                    return;
                };
                let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let [to_server, to_client] =
                    [&between.to_server, &between.to_client].map(Clone::clone);
                thread::spawn(move || pass(client, server, &to_server));
                thread::spawn(move || pass(ends.1, ends.0, &to_client));
            }
        });
        (observer, address)
    }

    /// Whether a text can be read in what was passed on, in whatever letter case.
    fn reads(&self, text: &str) -> bool {
        [&self.to_server, &self.to_client].iter().any(|octets| {
            let octets = octets.lock().unwrap().to_ascii_lowercase();
            octets
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        })
    }

    /// The lengths of the encrypted records that the server got.
    fn lengths(&self) -> Vec<usize> {
        let octets = self.to_server.lock().unwrap();
        let (mut rest, mut lengths) = (&octets[..], Vec::new());
        while let [kind, _, _, high, low, behind @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if *kind == APPLICATION_DATA {
                lengths.push(length);
            }
            rest = &behind[length..];
        }
        lengths
    }
}

/// Passes on what one end says until it ends.
fn pass(mut from: TcpStream, mut to: TcpStream, recording: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
            Ok(length) => {
                recording.lock().unwrap().extend(&buffer[..length]);
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// The name of a query that has the secret in it.
fn secret(number: usize) -> String {
    format!("{SECRET}.n{number}.test")
}

/// Asks for secret names by way of a forwarder, and expects an answer to each.
fn ask(proxy: &Proxy, count: usize) {
    let client = UdpClient::new(proxy.address());
    for number in 0..count {
        let got = client.ask(&query(&secret(number), A).build());
        assert_eq!(rcode_of(&got), 0);
    }
}

#[test]
fn on_the_path_the_servers_name_can_be_read_and_no_question() {
    let trust = Trust::new();
    let server = DotServer::with(trust.authority.good()).start();
    let (observer, address) = Observer::before(server.address());
    let proxy = trust.proxy(&[&format!("tls://{address}#dot.test")], &[]);
    ask(&proxy, 20);
    assert!(observer.reads("dot.test"), "the name is sent in the clear");
    assert!(!observer.reads(SECRET));
    // In the wire format: two octets alone are in random ones often enough.
    let others = "\u{2}n7\u{4}test";
    assert!(!observer.reads(others), "no other label of the questions");
    assert_eq!(server.seen().queries.len(), 20);
}

#[test]
fn without_tls_the_questions_can_be_read() {
    let trust = Trust::new();
    let server = DotServer::with(trust.authority.good())
        .conduct(|_| Conduct::Plaintext)
        .start();
    let (observer, address) = Observer::before(server.address());
    let plain = [format!("tcp://{address}")];
    let proxy = trust.proxy(&[&plain[0]], &["--allow-plaintext"]);
    ask(&proxy, 1);
    assert!(observer.reads(SECRET));
}

/// The lengths of the records of queries for names of all lengths up to 60 octets, one after the other on one connection.
fn lengths_with(more: &[&str]) -> Vec<usize> {
    let trust = Trust::new();
    let server = DotServer::with(trust.authority.good()).start();
    let (observer, address) = Observer::before(server.address());
    let proxy = trust.proxy(&[&format!("tls://{address}#dot.test")], more);
    let client = UdpClient::new(proxy.address());
    for length in 1..=60 {
        client.ask(&query(&format!("{}.test", "x".repeat(length)), A).build());
    }
    let mut lengths = observer.lengths();
    // Before them, the end of the handshake.
    lengths.split_off(lengths.len() - 60)
}

#[test]
fn on_the_path_queries_for_short_and_long_names_look_alike() {
    let padded = 2 + 128 + SEALED;
    assert_eq!(lengths_with(&[]), [padded; 60]);
    let plain = lengths_with(&["--padding", "off"]);
    // The first has an option more.
    assert!(
        plain[1..].is_sorted_by(|one, other| one < other),
        "{plain:?}"
    );
}

#[test]
fn the_log_has_neither_the_names_that_are_asked_for_nor_the_clients() {
    let trust = Trust::new();
    let counter = AtomicUsize::new(0);
    let answer = move |asked: &Received| {
        vec![match counter.fetch_add(1, Ordering::Relaxed) % 6 {
            0 => Step::Answer(right_answer(asked)),
            1 => Step::Answer(response_to(&asked.bytes).rcode(NXDOMAIN).build()),
            2 => Step::Answer(response_to(&asked.bytes).rcode(SERVFAIL).build()),
            3 => Step::Answer(right_answer(asked)[..14].to_vec()),
            4 => Step::Fin,
            _ => return Vec::new(),
        }]
    };
    let server = DotServer::with(trust.authority.good())
        .script(answer)
        .start();
    let few = ["--timeout", "300ms", "--cache-size", "0"];
    let proxy = trust.proxy(&[&server.spec()], &few);
    let client = UdpClient::new(proxy.address());
    for number in 0..12 {
        client.ask(&query(&secret(number), A).build());
    }
    let log = proxy.logs().join("\n");
    assert!(log.contains(&server.spec()), "it has the upstream:\n{log}");
    assert!(!log.to_ascii_lowercase().contains(SECRET), "{log}");
    assert!(!log.contains(&client.port().to_string()), "{log}");
}
