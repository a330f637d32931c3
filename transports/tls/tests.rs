//! Handshakes in memory, of the client that every connection has, with servers of several kinds.

#[path = "../../tests/support/hybrid.rs"]
mod hybrid;

use self::hybrid::X25519MlKem768Server;
use super::Stream;
use super::clients::Clients;
use super::fair::Fair;
use crate::config::{Config, Roots, SCHEMES, Upstream};
use crate::runtime::ByteStream;
use futures::io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use rcgen::CertifiedKey;
use rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, CryptoProvider, SupportedKxGroup, ring,
};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::server::Acceptor;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ALL_VERSIONS, CipherSuite, ClientConfig, ClientConnection, Error, HandshakeKind, NamedGroup,
    PeerMisbehaved, ServerConfig, ServerConnection, SupportedCipherSuite, SupportedProtocolVersion,
};
use std::cell::RefCell;
use std::io::{self, Read as _};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

const NAME: &str = "dot.test";

/// A client, and the certificate of a server that it trusts.
struct Stand {
    client: Arc<ClientConfig>,
    own: CertifiedKey<rcgen::KeyPair>,
}

impl Stand {
    fn new() -> Self {
        let own = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let roots = Roots::from_pem("own.pem", own.cert.pem().into_bytes()).unwrap();
        let config = Config::builder().roots(roots).build().unwrap();
        let upstream = Upstream::parse(&format!("192.0.2.1#{NAME}"), SCHEMES).unwrap();
        let clients = Clients::new(super::DOT, &config, None).unwrap();
        let client = Arc::new(clients.config_of(&upstream).unwrap());
        Self { client, own }
    }

    fn server(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let key = PrivatePkcs8KeyDer::from(self.own.signing_key.serialize_der());
        ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.own.cert.der().clone()], key.into())
            .unwrap()
    }

    /// A server that has these groups alone.
    fn with_groups(&self, groups: Vec<&'static dyn SupportedKxGroup>) -> ServerConfig {
        let provider = CryptoProvider {
            kx_groups: groups,
            ..ring::default_provider()
        };
        self.server(provider, ALL_VERSIONS)
    }

    fn begin(&self) -> ClientConnection {
        ClientConnection::new(self.client.clone(), ServerName::try_from(NAME).unwrap()).unwrap()
    }

    /// Shakes hands: how, and by which group. The error is the client's, if it has one.
    fn shake(
        &self,
        server: ServerConfig,
    ) -> Result<(Option<HandshakeKind>, Option<NamedGroup>), Error> {
        let (mut client, mut server) = (
            self.begin(),
            ServerConnection::new(Arc::new(server)).unwrap(),
        );
        let mut told = Ok(());
        while client.wants_write() || server.wants_write() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            hear(&wire, |wire| server.read_tls(wire));
            let heard = server.process_new_packets();
            told = told.and(heard.map(drop));
            wire.clear();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            hear(&wire, |wire| client.read_tls(wire));
            client.process_new_packets()?;
        }
        told?;
        let group = |group: Option<&dyn SupportedKxGroup>| group.map(SupportedKxGroup::name);
        let agreed = group(client.negotiated_key_exchange_group());
        assert_eq!(group(server.negotiated_key_exchange_group()), agreed);
        assert_eq!(server.handshake_kind(), client.handshake_kind());
        Ok((client.handshake_kind(), agreed))
    }
}

fn hear(mut wire: &[u8], mut read: impl FnMut(&mut &[u8]) -> io::Result<usize>) {
    while !wire.is_empty() {
        read(&mut wire).unwrap();
    }
}

const FULL: Option<HandshakeKind> = Some(HandshakeKind::Full);
const RESUMED: Option<HandshakeKind> = Some(HandshakeKind::Resumed);

// With an independent implementation of ML-KEM. fault 38
#[test]
fn a_server_with_the_hybrid_group_gets_it_in_one_round_trip() {
    let stand = Stand::new();
    let server = || stand.server(hybrid::provider(), ALL_VERSIONS);
    let hybrid = Some(NamedGroup::X25519MLKEM768);
    assert_eq!(stand.shake(server()), Ok((FULL, hybrid)));
    let alone = stand.with_groups(vec![&X25519MlKem768Server]);
    assert_eq!(stand.shake(alone), Ok((FULL, hybrid)));
}

// There is no HelloRetryRequest, which would cost a round trip. fault 38
#[test]
fn a_server_without_the_hybrid_group_gets_x25519_in_one_round_trip() {
    let stand = Stand::new();
    let x25519 = Some(NamedGroup::X25519);
    let server = stand.with_groups(vec![ring::kx_group::X25519]);
    assert_eq!(stand.shake(server), Ok((FULL, x25519)));
    let old = stand.server(hybrid::provider(), &[&TLS12]);
    let expected = Ok((FULL, x25519));
    assert_eq!(stand.shake(old), expected, "TLS 1.2 has no hybrid groups");
}

// fault 38
#[test]
fn a_server_with_another_group_alone_asks_for_it() {
    let stand = Stand::new();
    let server = stand.with_groups(vec![ring::kx_group::SECP256R1]);
    let kind = Some(HandshakeKind::FullWithHelloRetryRequest);
    assert_eq!(stand.shake(server), Ok((kind, Some(NamedGroup::secp256r1))));
}

// It may have the hybrid group one day, or another machine at its address may have it. fault 38
#[test]
fn a_server_that_chose_x25519_is_offered_the_hybrid_group_again() {
    let stand = Stand::new();
    let x25519 = || stand.with_groups(vec![ring::kx_group::X25519]);
    assert_eq!(stand.shake(x25519()), Ok((FULL, Some(NamedGroup::X25519))));
    let hybrid = stand.server(hybrid::provider(), ALL_VERSIONS);
    let expected = Ok((FULL, Some(NamedGroup::X25519MLKEM768)));
    assert_eq!(stand.shake(hybrid), expected);
    assert_eq!(stand.shake(x25519()), Ok((FULL, Some(NamedGroup::X25519))));
}

// fault 38
#[test]
fn another_group_costs_a_round_trip_once() {
    let stand = Stand::new();
    let p256 = || stand.with_groups(vec![ring::kx_group::SECP256R1]);
    let group = Some(NamedGroup::secp256r1);
    let retried = Some(HandshakeKind::FullWithHelloRetryRequest);
    assert_eq!(stand.shake(p256()), Ok((retried, group)));
    assert_eq!(stand.shake(p256()), Ok((FULL, group)));
}

/// A server whose share is not what it should be.
#[derive(Debug)]
struct Meddling(fn(&mut Vec<u8>));

impl SupportedKxGroup for Meddling {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        X25519MlKem768Server.start()
    }

    fn start_and_complete(&self, client: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let mut completed = X25519MlKem768Server.start_and_complete(client)?;
        self.0(&mut completed.pub_key);
        Ok(completed)
    }

    fn name(&self) -> NamedGroup {
        X25519MlKem768Server.name()
    }
}

// fault 38
#[test]
fn a_share_that_is_wrong_is_an_error() {
    let stand = Stand::new();
    let told = |group: &'static Meddling| stand.shake(stand.with_groups(vec![group])).unwrap_err();
    let invalid = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
    assert_eq!(told(&Meddling(|share| share.truncate(1))), invalid);
    assert_eq!(told(&Meddling(|share| share.truncate(1_088))), invalid);
    assert_eq!(told(&Meddling(|share| share.truncate(1_119))), invalid);
    assert_eq!(told(&Meddling(|share| share.push(0))), invalid);
    // A point of small order, which leads to the same secret with any key.
    assert_eq!(told(&Meddling(|share| share[1_088..].fill(0))), invalid);
    // What follows was encrypted with another secret.
    let other = Error::DecryptError;
    assert_eq!(told(&Meddling(|share| share[0] ^= 1)), other);
    assert_eq!(told(&Meddling(|share| share[1_088] ^= 1)), other);
    assert_eq!(told(&Meddling(|share| share[..1_088].fill(0xFF))), other);
}

// req 83
#[test]
fn nothing_older_than_tls_1_2_and_nothing_without_forward_secrecy_is_offered() {
    let stand = Stand::new();
    let suites = &stand.client.crypto_provider().cipher_suites;
    let versions: Vec<_> = suites.iter().map(SupportedCipherSuite::version).collect();
    assert!(versions.contains(&&TLS12) && versions.contains(&&TLS13));
    let mut hello = Vec::new();
    stand.begin().write_tls(&mut hello).unwrap();
    let mut acceptor = Acceptor::default();
    hear(&hello, |wire| acceptor.read_tls(wire));
    let accepted = acceptor.accept().ok().flatten().expect("a whole hello");
    let hello = accepted.client_hello();
    for suite in hello.cipher_suites() {
        let name = format!("{suite:?}");
        let ephemeral = name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_");
        let signal = *suite == CipherSuite::TLS_EMPTY_RENEGOTIATION_INFO_SCSV;
        assert!(ephemeral || signal, "{name}");
    }
    let groups = hello.named_groups().expect("the extension").to_vec();
    let expected = [
        NamedGroup::X25519MLKEM768,
        NamedGroup::X25519,
        NamedGroup::secp256r1,
        NamedGroup::secp384r1,
    ];
    assert_eq!(groups, expected);
}

// req 78: a ticket is used once (RFC 8446 appendix C.4), and eight of an upstream are kept.
#[test]
fn of_many_tickets_eight_are_kept_and_each_is_used_once() {
    let stand = Stand::new();
    let tickets = ring::Ticketer::new().unwrap();
    let server = |number| {
        let mut server = stand.server(hybrid::provider(), &[&TLS13]);
        // These keep no state, so that the server would take one any number of times.
        server.ticketer = tickets.clone();
        server.send_tls13_tickets = number;
        server
    };
    let hybrid = Some(NamedGroup::X25519MLKEM768);
    assert_eq!(stand.shake(server(12)), Ok((FULL, hybrid)));
    for number in 1..=8 {
        assert_eq!(stand.shake(server(0)), Ok((RESUMED, hybrid)), "{number}");
    }
    assert_eq!(stand.shake(server(0)), Ok((FULL, hybrid)));
}

/// Both directions of a stream in memory.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Wire>>);

#[derive(Default)]
struct Wire {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    /// How much of that the client has read.
    read: usize,
}

impl AsyncRead for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        let mut rest = &wire.to_client[wire.read..];
        if rest.is_empty() {
            return Poll::Pending;
        }
        let read = rest.read(into)?;
        wire.read += read;
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().to_server.extend_from_slice(from);
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl ByteStream for Memory {}

impl Memory {
    /// The server takes what has come, and sends what it has.
    fn serve(&self, server: &mut ServerConnection) {
        let mut wire = self.0.borrow_mut();
        let sent = std::mem::take(&mut wire.to_server);
        let mut sent = &sent[..];
        while !sent.is_empty() {
            server.read_tls(&mut sent).unwrap();
            server.process_new_packets().unwrap();
        }
        while server.wants_write() {
            server.write_tls(&mut wire.to_client).unwrap();
        }
    }

    /// Octets that the client has not read.
    fn unread(&self) -> usize {
        let wire = self.0.borrow();
        wire.to_client.len() - wire.read
    }
}

// fault 127
#[test]
fn a_poll_ends_although_session_tickets_do_not() {
    let stand = Stand::new();
    let mut server = stand.server(ring::default_provider(), &[&TLS13]);
    server.send_tls13_tickets = 5_000;
    // Each in a record of its own: 81 octets, and 5 of the record.
    server.max_fragment_size = Some(81 + 5);
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let memory = Memory::default();
    let connector = TlsConnector::from(stand.client.clone());
    let name = ServerName::try_from(NAME).unwrap();
    let mut handshake = connector.connect(name, Fair::new(memory.clone()));
    let cx = &mut Context::from_waker(Waker::noop());
    let tls = loop {
        match pin!(&mut handshake).poll(cx) {
            Poll::Ready(tls) => break tls.unwrap(),
            Poll::Pending => memory.serve(&mut server),
        }
    };
    memory.serve(&mut server);
    let mut stream = Stream::new(tls, false);
    let mut polls = 0;
    while memory.unread() > 0 {
        let before = memory.unread();
        let read = Pin::new(&mut stream).poll_read(cx, &mut [0; 512]);
        assert!(read.is_pending(), "{read:?}");
        let read = before - memory.unread();
        assert!(read <= 256 * 1024, "{read} octets in one poll");
        polls += 1;
    }
    assert!(polls > 2, "{polls} polls");
}
