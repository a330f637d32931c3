//! TLS from upstreams that are odd, old or hostile: what works, works; what does not, ends at once and is told.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, NamedGroup, ServerConfig, ServerConnection};

use crate::support::authority::{Leaf, NAME};
use crate::support::checks::canary;
use crate::support::client::UdpClient;
use crate::support::codes::{A, NOERROR, SERVFAIL};
use crate::support::hybrid;
use crate::support::journal::DEADLINE;
use crate::support::messages::{address_for, frame, query, question_octets, response_to};
use crate::support::odd::Odd;
use crate::support::proxy::Proxy;
use crate::support::reading::read;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;

fn tls(leaf: &Leaf, provider: CryptoProvider) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("the default versions")
        .with_no_client_auth()
        .with_single_cert(leaf.chain(), leaf.key())
        .expect("a certificate with its key")
}

/// The next question.
fn hear(session: &mut ServerConnection, socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut stream = rustls::Stream::new(session, socket);
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut asked = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut asked)?;
    Ok(asked)
}

/// The good answer to a question.
fn say(asked: &[u8], session: &mut ServerConnection, socket: &mut TcpStream) -> io::Result<()> {
    let told = response_to(asked).a(300, address_for(question_octets(asked)));
    let mut stream = rustls::Stream::new(session, socket);
    stream.write_all(&frame(&told.build()))?;
    stream.flush()
}

/// Answers well, `most` questions at most, and lets `meddle` at the session before each answer.
fn converse(
    config: &Arc<ServerConfig>,
    socket: &mut TcpStream,
    most: usize,
    meddle: impl Fn(&mut ServerConnection),
) -> io::Result<()> {
    let mut session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    for _ in 0..most {
        let asked = hear(&mut session, socket)?;
        meddle(&mut session);
        say(&asked, &mut session, socket)?;
    }
    session.send_close_notify();
    rustls::Stream::new(&mut session, socket).flush()
}

/// Processor time that a process has used, where the host tells: in its ticks, which are hundredths of a second on Linux.
fn ticks(proxy: &Proxy) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", proxy.id())).ok()?;
    // The name, which stands in brackets, may contain blanks.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(field(11)? + field(12)?)
}

/// Asks once: SERVFAIL, and so many hundredths of a second of the processor at most.
fn assert_refused_at_ease(proxy: &Proxy, most: u64) {
    let before = ticks(proxy);
    let got = read(&UdpClient::new(proxy.address()).ask(&query("secret.test", A).build()));
    assert_eq!(got.rcode(), SERVFAIL);
    let Some((before, after)) = before.zip(ticks(proxy)) else {
        eprintln!("this host does not tell a process's time: that is not tested");
        return;
    };
    assert!(after - before <= most, "{} ticks", after - before);
}

fn sent<T>(channel: (Sender<T>, Receiver<T>)) -> (Mutex<Sender<T>>, Receiver<T>) {
    (Mutex::new(channel.0), channel.1)
}

fn tell<T>(sender: &Mutex<Sender<T>>, what: T) {
    let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
    sender.send(what).expect("the test listens");
}

// fault 38: a server that insists on another group than the one that was guessed.
#[test]
fn a_hello_retry_request_is_followed() {
    let trust = Trust::new();
    let provider = CryptoProvider {
        kx_groups: vec![ring::kx_group::SECP384R1],
        ..ring::default_provider()
    };
    let config = Arc::new(tls(&trust.authority.good(), provider));
    let (sender, kinds) = sent(channel());
    let server = Odd::start(move |socket| {
        converse(&config, socket, 1, |session| {
            tell(&sender, session.handshake_kind());
        })
    });
    let proxy = trust.proxy(&[&server.spec()], &[]);
    canary(proxy.address(), "a.test");
    assert_eq!(
        kinds.recv_timeout(DEADLINE),
        Ok(Some(HandshakeKind::FullWithHelloRetryRequest))
    );
}

// fault 38: both the group with ML-KEM and the one without it take one round trip.
#[test]
fn the_hybrid_group_is_preferred_and_needs_no_retry() {
    let trust = Trust::new();
    let found = |provider| {
        let config = Arc::new(tls(&trust.authority.good(), provider));
        let (sender, kinds) = sent(channel());
        let server = Odd::start(move |socket| {
            converse(&config, socket, 1, |session| {
                let group = session.negotiated_key_exchange_group();
                let group = group.map(SupportedKxGroup::name);
                tell(&sender, (session.handshake_kind(), group));
            })
        });
        let proxy = trust.proxy(&[&server.spec()], &[]);
        canary(proxy.address(), "a.test");
        kinds.recv_timeout(DEADLINE).expect("a handshake")
    };
    let full = Some(HandshakeKind::Full);
    let hybrid = Some(NamedGroup::X25519MLKEM768);
    assert_eq!(found(hybrid::provider()), (full, hybrid));
    let plain = Some(NamedGroup::X25519);
    assert_eq!(found(ring::default_provider()), (full, plain));
}

// req 81, fault 41: a server that would take early data, which can be replayed, is sent none.
#[test]
fn nothing_is_sent_as_early_data() {
    let trust = Trust::new();
    let mut config = tls(&trust.authority.good(), ring::default_provider());
    config.max_early_data_size = 16 << 10;
    let config = Arc::new(config);
    let (sender, seen) = sent(channel());
    let server = Odd::start(move |socket| {
        converse(&config, socket, 1, |session| {
            let kind = session.handshake_kind();
            tell(&sender, (kind, session.early_data().is_some()));
        })
    });
    let proxy = trust.proxy(&[&server.spec()], &[]);
    for number in 0..5 {
        canary(proxy.address(), &format!("a{number}.test"));
    }
    let seen: Vec<_> = seen.try_iter().collect();
    assert!(
        seen.iter()
            .any(|(kind, _)| *kind == Some(HandshakeKind::Resumed)),
        "it could have been sent: {seen:?}"
    );
    assert!(seen.iter().all(|(_, early)| !early), "{seen:?}");
}

// fault 42: new keys between answers.
#[test]
fn keys_may_be_updated_at_any_time() {
    let trust = Trust::new();
    let config = Arc::new(tls(&trust.authority.good(), ring::default_provider()));
    let (sender, connections) = sent(channel());
    let server = Odd::start(move |socket| {
        tell(&sender, ());
        converse(&config, socket, usize::MAX, |session| {
            session.refresh_traffic_keys().expect("new keys");
        })
    });
    let proxy = trust.proxy(&[&server.spec()], &[]);
    for number in 0..20 {
        canary(proxy.address(), &format!("a{number}.test"));
    }
    assert_eq!(connections.try_iter().count(), 1);
}

/// Ends each handshake by the fatal alert `handshake_failure`, and counts.
fn alarmed(connections: &Arc<AtomicUsize>) -> Odd {
    let count = Arc::clone(connections);
    Odd::start(move |socket| {
        count.fetch_add(1, Ordering::SeqCst);
        let mut hello = [0; 4096];
        let _length = socket.read(&mut hello)?;
        socket.write_all(&[0x15, 3, 3, 0, 2, 2, 40])
    })
}

// fault 35: a server that likes nothing of what is offered says so by an alert, which the log tells.
#[test]
fn an_alert_is_told_and_is_no_reason_to_hurry() {
    let (trust, connections) = (Trust::new(), Arc::default());
    let server = alarmed(&connections);
    let proxy = trust.proxy(&[&server.spec()], &["--timeout", "1s"]);
    assert_refused_at_ease(&proxy, 50);
    let connections = connections.load(Ordering::SeqCst);
    assert!((1..=3).contains(&connections), "{connections} connections");
    let logs = proxy.logs().join("\n");
    assert!(
        logs.contains("the server ended it: handshake failure"),
        "{logs}"
    );
}

// fault 35: and the next upstream answers.
#[test]
fn an_alert_leads_to_the_next_upstream() {
    let (trust, connections) = (Trust::new(), Arc::default());
    let server = alarmed(&connections);
    let good = DotServer::with(trust.authority.good()).start();
    let proxy = trust.proxy(&[&server.spec(), &good.spec()], &[]);
    canary(proxy.address(), "a.test");
    assert_eq!(good.seen().queries.len(), 1);
}

/// Has the session find a record that was tampered with, about which it tells its peer by a fatal alert.
fn alarm(session: &mut ServerConnection, socket: &mut TcpStream) -> io::Result<()> {
    let mut forged = [0; 5 + 32];
    forged[..5].copy_from_slice(&[0x17, 3, 3, 0, 32]);
    session.read_tls(&mut &forged[..])?;
    let found = session.process_new_packets();
    assert_eq!(found.err(), Some(rustls::Error::DecryptError));
    session.write_tls(socket).map(drop)
}

// fault 35: an alert after data costs no answer, whether a question is in flight or not.
#[test]
fn an_alert_after_data_costs_no_answer() {
    let trust = Trust::new();
    let config = Arc::new(tls(&trust.authority.good(), ring::default_provider()));
    let (sender, connections) = sent(channel());
    let (idle, is_idle) = channel();
    let number = AtomicUsize::new(0);
    let server = Odd::start(move |socket| {
        tell(&sender, ());
        let mut session = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        let asked = hear(&mut session, socket)?;
        say(&asked, &mut session, socket)?;
        match number.fetch_add(1, Ordering::SeqCst) {
            0 => hear(&mut session, socket).map(drop)?,
            1 => is_idle.recv_timeout(DEADLINE).map_err(io::Error::other)?,
            _ => return Ok(()),
        }
        alarm(&mut session, socket)
    });
    // The second loss is like the first, so that only the details tell of it.
    let proxy = trust.proxy(&[&server.spec()], &["--log", "debug"]);
    canary(proxy.address(), "a.test");
    canary(proxy.address(), "b.test");
    proxy.wait_log("TLS alert: bad record mac, after");
    idle.send(()).expect("the server listens");
    proxy.wait_log("1 response, 0 queries in flight");
    canary(proxy.address(), "c.test");
    assert_eq!(connections.try_iter().count(), 3);
}

/// Reads the hello, says these octets, and hears the rest.
fn replying(words: &'static [u8]) -> (Receiver<Vec<u8>>, Odd) {
    let (sender, heard) = sent(channel());
    let server = Odd::start(move |socket| {
        let mut hello = [0; 4096];
        let size = socket.read(&mut hello)?;
        assert_eq!(hello[..size].first(), Some(&0x16), "a TLS handshake");
        socket.write_all(words)?;
        let mut rest = Vec::new();
        let end = socket.read_to_end(&mut rest);
        tell(&sender, rest);
        end.map(drop)
    });
    // In this order: the server ends first, and may tell something until then.
    (heard, server)
}

// fault 39: a server that speaks TLS 1.1 and nothing later is refused.
#[test]
fn an_old_version_is_refused() {
    // A ServerHello: version 3.2, 32 octets of randomness, no session, an AES-CBC suite of that time, no compression.
    const HELLO: [u8; 47] = {
        let mut hello = [7; 47];
        let head = [0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
        let mut at = 0;
        while at < head.len() {
            hello[at] = head[at];
            at += 1;
        }
        [hello[43], hello[44], hello[45], hello[46]] = [0, 0xC0, 0x13, 0];
        hello
    };
    let trust = Trust::new();
    let (heard, server) = replying(&HELLO);
    let proxy = trust.proxy(&[&server.spec()], &["--timeout", "1s"]);
    assert_refused_at_ease(&proxy, 50);
    let heard = heard.recv_timeout(DEADLINE).expect("the connection ends");
    assert!(
        heard.is_empty() || (heard.len() == 7 && heard[0] == 0x15),
        "an alert at most: {heard:02x?}"
    );
}

// fault 44: a goodbye in the middle of the handshake ends it, without a spin.
#[test]
fn a_goodbye_during_the_handshake_ends_it() {
    let trust = Trust::new();
    let (_heard, server) = replying(&[0x15, 3, 3, 0, 2, 1, 0]);
    let proxy = trust.proxy(&[&server.spec()], &["--timeout", "1s"]);
    assert_refused_at_ease(&proxy, 50);
}

/// A leaf whose issuer's name is that of so many authorities, none of which leads anywhere.
fn labyrinth(authorities: usize) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let mut chain = Vec::new();
    let mut last = None;
    for _ in 0..authorities {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let one = CertifiedIssuer::self_signed(params, key).expect("an authority");
        chain.push(one.der().clone());
        last = Some(one);
    }
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![NAME.to_owned()]).expect("a name");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let issuer = last.expect("one authority at least");
    let leaf = params.signed_by(&key, &issuer).expect("a certificate");
    chain.insert(0, leaf.der().clone());
    (chain, PrivateKeyDer::Pkcs8(key.serialize_der().into()))
}

// fault 43: a chain of a hundred authorities of one name, and one that is too long for a handshake, cost little.
#[test]
fn a_pathological_chain_costs_little() {
    for authorities in [100, 250] {
        let trust = Trust::new();
        let (chain, key) = labyrinth(authorities);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the default versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate with its key");
        let config = Arc::new(config);
        let server = Odd::start(move |socket| converse(&config, socket, 1, |_| ()));
        let proxy = trust.proxy(&[&server.spec()], &["--timeout", "1s"]);
        // A second for each of three connects at most, in a build without optimisation.
        assert_refused_at_ease(&proxy, 300);
    }
}

// fault 46: what was refused because of a time is accepted as soon as the times fit, without a new start. Here the
// certificate changes; tests/interop/clock moves the clock.
#[test]
fn a_time_that_fits_at_last_is_enough() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.expired()).start();
    let proxy = trust.proxy(&[&upstream.spec()], &["--timeout", "1s"]);
    let client = UdpClient::new(proxy.address());
    let ask = |number: u16| {
        let asked = query(&format!("a{number}.test"), A).id(number).build();
        read(&client.ask(&asked)).rcode()
    };
    assert_eq!(ask(0), SERVFAIL);
    upstream.show(&trust.authority.good());
    let start = Instant::now();
    let mut number = 1;
    while ask(number) != NOERROR {
        assert!(start.elapsed() < DEADLINE, "still refused");
        number += 1;
    }
}
