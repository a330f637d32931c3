//! What tests say again and again about questions and answers.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::client::UdpClient;
use super::codes::{A, IN, QR};
use super::messages::{address_for, query, question_octets, word};
use super::reading::read;

/// A message without its id: what "the same bytes" means for a hop that changes ids.
pub fn body(message: &[u8]) -> &[u8] {
    message.get(2..).unwrap_or_default()
}

/// Asserts that `answer` is the scripted upstream's answer to this very query: id, question with its letter case, data.
pub fn assert_answered(query: &[u8], answer: &[u8]) {
    let (message, question) = (read(answer), question_octets(query));
    assert_eq!(message.id, word(query, 0), "the client's own id");
    assert_eq!(
        question_octets(answer),
        question,
        "the client's own question"
    );
    let data: Vec<_> = message
        .answer
        .iter()
        .map(|record| (record.rtype, record.class, record.rdata.clone()))
        .collect();
    assert_eq!(
        data,
        [(A, IN, address_for(question).octets().to_vec())],
        "RCODE {}",
        message.rcode()
    );
}

/// Asks an ordinary question from a fresh socket, which must be answered well.
pub fn canary(server: SocketAddr, name: &str) {
    let asked = query(name, A).build();
    assert_answered(&asked, &UdpClient::new(server).ask(&asked));
}

/// Asks `count` different questions from one UDP socket with at most `window` in flight. Every one must be answered well.
pub fn load(server: SocketAddr, label: &str, count: usize, window: usize) {
    let client = UdpClient::new(server);
    let mut flying: HashMap<u16, Vec<u8>> = HashMap::new();
    let mut sent = 0;
    for _ in 0..count {
        while sent < count && flying.len() < window {
            let asked = query(&format!("q{sent}.{label}.test"), A)
                .id(sent as u16)
                .build();
            client.send(&asked);
            flying.insert(sent as u16, asked);
            sent += 1;
        }
        let answer = client.receive();
        let asked = flying
            .remove(&word(&answer, 0))
            .expect("an answer to a question in flight");
        assert_answered(&asked, &answer);
    }
}

/// The RCODE of an answer that may be a bare header.
pub fn rcode_of(message: &[u8]) -> u16 {
    assert!(
        message.len() >= 12 && word(message, 2) & QR != 0,
        "an answer: {message:02x?}"
    );
    word(message, 2) & 0xF
}
