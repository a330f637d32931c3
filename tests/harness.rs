//! The harness itself, tried with an ordinary TLS client, so that a later failure is the program's and not the harness's.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::support::authority::{Authority, Leaf, NAME};
use crate::support::codes::{A, TC, TXT};
use crate::support::journal::DEADLINE;
use crate::support::messages::{frame, name_octets, query, question_octets, response_to, word};
use crate::support::reading::read;
use crate::support::script::{Conduct, Gate, Step, right_answer};
use crate::support::upstream::DotServer;

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn connect(server: &DotServer, config: &Arc<ClientConfig>, name: &str) -> Tls {
    let name = ServerName::try_from(name.to_owned()).expect("a server name");
    let stream = TcpStream::connect(server.address()).expect("a connection");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a time limit");
    StreamOwned::new(
        ClientConnection::new(Arc::clone(config), name).expect("a client"),
        stream,
    )
}

fn receive(tls: &mut Tls) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    tls.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(word(&length, 0))];
    tls.read_exact(&mut message)?;
    Ok(message)
}

#[test]
fn an_answer_comes_back_and_the_journal_holds_the_query() {
    let authority = Authority::new();
    let server = DotServer::with(authority.good()).start();
    let config = authority.client();
    let asked = query("a.test", A).id(7).build();
    for name in [NAME, "127.0.0.1"] {
        let mut tls = connect(&server, &config, name);
        tls.write_all(&frame(&asked)).expect("a query is sent");
        let answered = read(&receive(&mut tls).expect("an answer"));
        assert_eq!((answered.id, answered.answer.len()), (7, 1));
    }
    let seen = server.wait("two connections", |seen| seen.queries.len() == 2);
    assert_eq!(seen.queries[0].bytes, asked);
    assert_eq!(seen.application_data, 2 * (asked.len() + 2));
    assert_eq!(seen.hellos[0].server_name.as_deref(), Some(NAME));
    assert_eq!(seen.hellos[1].server_name, None);
}

#[test]
fn a_session_is_resumed_and_told_from_a_full_handshake() {
    let authority = Authority::new();
    let server = DotServer::with(authority.good()).start();
    let config = authority.client();
    for _ in 0..2 {
        let mut tls = connect(&server, &config, NAME);
        tls.write_all(&frame(&query("a.test", A).build()))
            .expect("a query is sent");
        receive(&mut tls).expect("an answer");
    }
    let resumed: Vec<bool> = server
        .seen()
        .handshakes
        .iter()
        .map(|handshake| handshake.resumed)
        .collect();
    assert_eq!(resumed, [false, true]);
}

#[test]
fn every_bad_leaf_is_refused_by_a_careful_client() {
    let authority = Authority::new();
    let leaves: [fn(&Authority) -> Leaf; 6] = [
        Authority::wrong_name,
        Authority::expired,
        Authority::not_yet_valid,
        |_| Leaf::self_signed(),
        |_| Leaf::unknown_authority(),
        Authority::common_name_only,
    ];
    for leaf in leaves {
        let server = DotServer::with(leaf(&authority)).start();
        let mut tls = connect(&server, &authority.client(), NAME);
        let error = tls
            .write_all(&frame(&query("a.test", A).build()))
            .expect_err("a bad certificate");
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        let seen = server.wait("a failure", |seen| !seen.failures.is_empty());
        assert_eq!((seen.application_data, seen.queries.len()), (0, 0));
    }
}

#[test]
fn a_gate_holds_one_answer_and_lets_others_pass() {
    let authority = Authority::new();
    let gate = Gate::new();
    let script_gate = gate.clone();
    let server = DotServer::with(authority.good())
        .script(move |query| match query.index {
            0 => vec![
                Step::HoldUntil(script_gate.clone()),
                Step::Answer(right_answer(query)),
            ],
            _ => vec![Step::Answer(right_answer(query))],
        })
        .start();
    let mut tls = connect(&server, &authority.client(), NAME);
    let both = [
        frame(&query("slow.test", A).id(1).build()),
        frame(&query("fast.test", A).id(2).build()),
    ]
    .concat();
    tls.write_all(&both).expect("two queries");
    assert_eq!(word(&receive(&mut tls).expect("the fast answer"), 0), 2);
    gate.open();
    assert_eq!(word(&receive(&mut tls).expect("the slow answer"), 0), 1);
}

#[test]
fn a_reset_is_a_reset_and_a_stopped_server_refuses_until_it_starts_on_the_same_port() {
    let authority = Authority::new();
    let mut server = DotServer::with(authority.good())
        .script(|_| vec![Step::Reset])
        .start();
    let mut tls = connect(&server, &authority.client(), NAME);
    tls.write_all(&frame(&query("a.test", A).build()))
        .expect("a query is sent");
    assert_eq!(
        receive(&mut tls).expect_err("a reset").kind(),
        ErrorKind::ConnectionReset
    );
    server.stop();
    assert_eq!(
        TcpStream::connect(server.address())
            .expect_err("no listener")
            .kind(),
        ErrorKind::ConnectionRefused
    );
    server.start();
    let mut tls = connect(&server, &authority.client(), NAME);
    tls.write_all(b"\0").expect("a handshake");
    assert_eq!(server.seen().accepted, 2);
}

#[test]
fn unwilling_servers_behave_as_told() {
    let authority = Authority::new();
    for conduct in [
        Conduct::ResetAtOnce,
        Conduct::ResetAfterHello,
        Conduct::Plaintext,
    ] {
        let server = DotServer::with(authority.good())
            .conduct(move |_| conduct)
            .start();
        let mut tls = connect(&server, &authority.client(), NAME);
        if conduct == Conduct::Plaintext {
            // A frame of the length that a TLS record's first octets would say never completes: so talk plainly.
            tls.sock
                .write_all(&frame(&query("a.test", A).build()))
                .expect("a plain query");
            assert_eq!(
                server
                    .wait("a plain query", |seen| seen.queries.len() == 1)
                    .application_data,
                0
            );
        } else {
            tls.write_all(b"x")
                .and_then(|()| receive(&mut tls))
                .expect_err("a reset");
            server.wait("the end", |seen| seen.ended == 1);
        }
    }
}

#[test]
fn messages_are_what_an_independent_reader_says() {
    let asked = query("a.test", TXT).edns(1232, 0, &[]).build();
    for octets in [100, 512, 513, 1232, 1233, 3000, 3001, 3002, 65535] {
        let message = response_to(&asked).fill(octets).build();
        assert_eq!(message.len(), octets);
        assert_eq!(read(&message).questions.len(), 1);
    }
    let small = response_to(&asked)
        .fill(300)
        .on(TC)
        .soa(60)
        .opt(1232, 0, &[])
        .build();
    let packet = simple_dns::Packet::parse(&small).expect("simple-dns reads it");
    assert_eq!(packet.questions[0].qname.to_string(), "a.test");
    assert_eq!(
        (packet.answers.len(), packet.name_servers.len()),
        (read(&small).answer.len(), 1)
    );
    assert!(read(&small).has(TC));
    assert_eq!(read(&small).authority.len(), 1);
    assert_eq!(
        read(&small).answer[0].owner,
        name_octets("a.test"),
        "the pointer was followed"
    );
    assert_eq!(question_octets(&asked).len(), 12);
}
