//! Clients over TLS (RFC 7858), over real sockets.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, StreamOwned,
    SupportedProtocolVersion, version,
};

use crate::support::authority::{Authority, Leaf, NAME, TempDir};
use crate::support::checks::{assert_answered, canary, load};
use crate::support::client::{TcpClient, UdpClient};
use crate::support::codes::{A, TXT};
use crate::support::command::{command, run};
use crate::support::journal::DEADLINE;
use crate::support::messages::{frame, query, response_to, word};
use crate::support::proxy::Proxy;
use crate::support::reading::read;
use crate::support::script::{Received, Step, right_answer};
use crate::support::upstream::DotServer;

const PADDING: u16 = 12;
/// To a multiple of how many octets responses are padded (RFC 8467 section 4.1).
const BLOCK: usize = 468;

/// A program with a listener over TLS, its upstream, and the authority of both.
struct Stand {
    proxy: Proxy,
    files: TempDir,
    authority: Authority,
    _upstream: DotServer,
}

impl Stand {
    fn new(more: &[&str]) -> Self {
        Self::scripted(|asked| vec![Step::Answer(right_answer(asked))], more)
    }

    fn scripted(
        script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static,
        more: &[&str],
    ) -> Self {
        let (authority, files) = (Authority::new(), TempDir::new());
        let root = authority.write_pem(files.path()).display().to_string();
        let upstream = DotServer::with(authority.good()).script(script).start();
        let [chain, key] = write(files.path(), &authority.good());
        let spec = upstream.spec();
        let mut args = vec!["serve", "--ca-file", &root, "--upstream", &spec];
        args.extend(["--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0"]);
        args.extend(["--certificate", &chain, "--certificate-key", &key]);
        args.extend(more);
        Self {
            proxy: Proxy::start(&args),
            files,
            authority,
            _upstream: upstream,
        }
    }

    /// Where clients speak TLS.
    fn address(&self) -> SocketAddr {
        self.proxy.addresses()[1]
    }

    fn client(&self) -> Client {
        Client::new(self.address(), &self.authority.client()).expect("a handshake")
    }
}

/// Writes a certificate and its key, and gives the names of the files.
fn write(folder: &Path, leaf: &Leaf) -> [String; 2] {
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| folder.join(name));
    fs::write(&chain, leaf.pem()).expect("a certificate");
    fs::write(&key, leaf.key_pem()).expect("a key");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&key, mode).expect("a key of its owner");
    [chain, key].map(|path| path.display().to_string())
}

/// A client over TLS.
#[derive(Debug)]
struct Client(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    /// Connects and shakes hands. An error is that of the handshake.
    fn new(to: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from(NAME).expect("a name");
        let tcp = TcpStream::connect(to).expect("a connection");
        tcp.set_read_timeout(Some(DEADLINE)).expect("a time limit");
        let tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
        let mut client = Self(StreamOwned::new(tls, tcp));
        while client.0.conn.is_handshaking() {
            client.0.conn.complete_io(&mut client.0.sock)?;
        }
        Ok(client)
    }

    fn send(&mut self, message: &[u8]) {
        self.0.write_all(&frame(message)).expect("a query is sent");
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut length = [0; 2];
        self.0.read_exact(&mut length).expect("a length");
        let mut message = vec![0; usize::from(word(&length, 0))];
        self.0.read_exact(&mut message).expect("a message");
        message
    }

    fn ask(&mut self, message: &[u8]) -> Vec<u8> {
        self.send(message);
        self.receive()
    }

    /// The end of the certificate that was shown, as the whole of it.
    fn shown(&self) -> Vec<u8> {
        let chain = self.0.conn.peer_certificates().expect("a certificate");
        chain[0].to_vec()
    }
}

/// A client that speaks this version alone, and offers these names in ALPN.
fn with(
    stand: &Stand,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(stand.authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

// req 104
#[test]
fn queries_are_answered_over_both_versions_with_and_without_alpn() {
    let stand = Stand::new(&[]);
    let both = [
        (&version::TLS13, ProtocolVersion::TLSv1_3),
        (&version::TLS12, ProtocolVersion::TLSv1_2),
    ];
    for (number, (one, agreed)) in both.into_iter().enumerate() {
        for alpn in [&[][..], &["dot"], &["h2", "dot"]] {
            let config = with(&stand, &[one], alpn);
            let mut client = Client::new(stand.address(), &config).expect("a handshake");
            let connection = &client.0.conn;
            assert_eq!(connection.protocol_version(), Some(agreed));
            let chosen = (!alpn.is_empty()).then_some(&b"dot"[..]);
            assert_eq!(connection.alpn_protocol(), chosen);
            for id in 0..3 {
                let name = format!("n{number}{}{id}.test", alpn.len());
                let asked = query(&name, A).id(id).build();
                assert_answered(&asked, &client.ask(&asked));
            }
        }
    }
    canary(stand.proxy.address(), "canary.test");
}

// req 103, 104
#[test]
fn a_client_that_speaks_another_protocol_is_refused() {
    let stand = Stand::new(&[]);
    let config = with(&stand, &[&version::TLS13], &["h2", "http/1.1"]);
    let error = Client::new(stand.address(), &config).expect_err("a refusal");
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
    // Plain DNS at that port is no TLS: an alert, and the end.
    let plain = TcpClient::new(stand.address());
    plain.send(&query("a.test", A).build());
    let mut octets = Vec::new();
    let _reset_or_closed = plain.stream().read_to_end(&mut octets);
    assert_eq!(octets.first(), Some(&21), "an alert: {octets:?}");
    canary(stand.proxy.address(), "canary.test");
}

#[test]
fn sessions_are_resumed_by_any_worker() {
    for (more, one) in [
        (&[][..], &version::TLS13),
        (&["--workers", "2"], &version::TLS13),
        (&["--workers", "2"], &version::TLS12),
    ] {
        let stand = Stand::new(more);
        let config = with(&stand, &[one], &["dot"]);
        for number in 0..8_u16 {
            let mut client = Client::new(stand.address(), &config).expect("a handshake");
            let asked = query("a.test", A).id(number).build();
            assert_answered(&asked, &client.ask(&asked));
            let expected = match number {
                0 => HandshakeKind::Full,
                _ => HandshakeKind::Resumed,
            };
            assert_eq!(client.0.conn.handshake_kind(), Some(expected), "{more:?}");
        }
    }
}

/// Responses of many lengths, and an error.
fn varied(asked: &Received) -> Vec<Step> {
    let response = response_to(&asked.bytes);
    let message = match asked.bytes[12] {
        1 => response.rcode(2),
        len => response.fill(40 + 50 * usize::from(len)),
    };
    vec![Step::Answer(message.build())]
}

// req 105
#[test]
fn responses_are_padded_where_the_query_was_and_the_way_is_encrypted() {
    let stand = Stand::scripted(varied, &[]);
    let (plain, udp) = (
        TcpClient::new(stand.proxy.address()),
        UdpClient::new(stand.proxy.address()),
    );
    let mut client = stand.client();
    let names = (1..40).map(|len| format!("{}.test", "x".repeat(len)));
    // One that is answered here, and one that is refused.
    for name in names.chain(["localhost".to_owned(), "a.invalid".to_owned()]) {
        let ask = |options: &[(u16, &[u8])]| query(&name, TXT).edns(1232, 0, options).build();
        let (padded, bare) = (ask(&[(PADDING, &[0; 9])]), ask(&[]));
        let lengths: Vec<usize> = (0..2).map(|_| client.ask(&padded).len()).collect();
        // The second comes from the cache.
        for len in &lengths {
            assert_eq!(len % BLOCK, 0, "{name}: {lengths:?}");
        }
        let got = client.ask(&padded);
        let options = read(&got).options();
        let (code, zeros) = options.last().expect("an option");
        assert_eq!(*code, PADDING);
        assert!(zeros.iter().all(|octet| *octet == 0));
        let without = client.ask(&bare);
        assert_eq!(
            without.len().next_multiple_of(BLOCK).max(got.len()),
            got.len()
        );
        for got in [without, plain.ask(&padded), udp.ask(&padded)] {
            let codes: Vec<u16> = read(&got).options().iter().map(|(code, _)| *code).collect();
            assert!(!codes.contains(&PADDING), "{name}: {codes:?}");
        }
        let no_edns = client.ask(&query(&name, TXT).build());
        assert!(read(&no_edns).opt().is_none());
    }
}

// fault 77: what is encrypted and does not fit waits as a whole, and goes on where it stopped.
#[test]
fn a_client_that_reads_late_gets_all_of_its_responses() {
    const OCTETS: usize = 60_000;
    let large =
        |asked: &Received| vec![Step::Answer(response_to(&asked.bytes).fill(OCTETS).build())];
    let stand = Stand::scripted(large, &["--cache-size", "0"]);
    let (mut client, mut expected) = (stand.client(), HashMap::new());
    for id in 0..100 {
        let asked = query(&format!("n{id}.test"), TXT).id(id).build();
        client.send(&asked);
        expected.insert(id, response_to(&asked).fill(OCTETS).build());
    }
    // More than the system takes for a connection: dotward holds what it has no room for.
    canary_udp(&stand);
    for _ in 0..100 {
        let got = client.receive();
        let wanted = expected.remove(&word(&got, 0)).expect("a response to each");
        assert!(got == wanted, "{} octets", got.len());
    }
}

/// Somebody else is served meanwhile.
fn canary_udp(stand: &Stand) {
    let asked = query("canary.test", TXT).build();
    let got = UdpClient::new(stand.proxy.address()).ask(&asked);
    assert_eq!(word(&got, 0), word(&asked, 0));
}

/// Waits until a new handshake shows this certificate.
fn wait_until_shown(stand: &Stand, leaf: &Leaf) {
    let start = std::time::Instant::now();
    let config = stand.authority.client();
    while start.elapsed() < DEADLINE {
        if Client::new(stand.address(), &config)
            .is_ok_and(|one| one.shown() == leaf.chain()[0].to_vec())
        {
            return;
        }
        std::thread::yield_now();
    }
    panic!(
        "the new certificate is not shown: {:#?}",
        stand.proxy.logs()
    );
}

// fault 124
#[test]
fn a_certificate_that_is_renewed_is_shown_without_a_restart() {
    let stand = Stand::new(&[]);
    let mut old = stand.client();
    let before = old.shown();
    // The certificate alone does not belong to the key of before.
    let renewed = stand.authority.good();
    fs::write(stand.files.path().join("chain.pem"), renewed.pem()).expect("a certificate");
    let start = std::time::Instant::now();
    while !stand
        .proxy
        .logs()
        .iter()
        .any(|line| line.contains("cannot be used"))
    {
        assert!(start.elapsed() < DEADLINE, "{:#?}", stand.proxy.logs());
        assert_eq!(stand.client().shown(), before);
    }
    let line = stand.proxy.wait_log("cannot be used");
    for part in [
        "chain.pem\" has changed",
        "the private key does not belong",
        "the certificate of before, which ends at ",
    ] {
        assert!(line.contains(part), "{line}");
    }
    write(stand.files.path(), &renewed);
    wait_until_shown(&stand, &renewed);
    stand
        .proxy
        .wait_log("clients over TLS and HTTPS get this new certificate");
    // The connection of before goes on.
    let asked = query("a.test", A).build();
    assert_answered(&asked, &old.ask(&asked));
}

// fault 124
#[test]
fn sighup_reads_the_certificate_and_a_broken_one_changes_nothing() {
    let stand = Stand::new(&["--workers", "2"]);
    let (mut old, before) = (stand.client(), stand.client().shown());
    fs::write(stand.files.path().join("key.pem"), "no key").expect("a file");
    stand.proxy.signal("HUP");
    let line = stand.proxy.wait_log("the configuration stays as it was");
    assert!(
        line.contains("there is no private key in the file"),
        "{line}"
    );
    assert_eq!(stand.client().shown(), before);
    let renewed = stand.authority.good();
    write(stand.files.path(), &renewed);
    stand.proxy.signal("HUP");
    stand.proxy.wait_log("the configuration is in force");
    wait_until_shown(&stand, &renewed);
    let asked = query("a.test", A).build();
    assert_answered(&asked, &old.ask(&asked));
}

// fault 71, 72, 123: as with plain TCP.
#[test]
fn half_open_handshakes_disturb_nobody_and_end() {
    let stand = Stand::new(&["--tcp-idle", "1s", "--max-tcp-connections", "100"]);
    let mut held = Vec::new();
    for number in 0..300 {
        let one = TcpClient::new(stand.address());
        if number % 2 == 0 {
            // The head of a record of a handshake, and no more.
            one.send_raw(&[22, 3, 1, 2, 0, 1, 0, 1]);
        }
        held.push(one);
        if number % 50 == 0 {
            load(stand.proxy.address(), &format!("f{number}"), 100, 10);
        }
    }
    let mut client = stand.client();
    let asked = query("a.test", A).build();
    assert_answered(&asked, &client.ask(&asked));
    for one in held {
        let mut octets = Vec::new();
        let _reset_or_closed = one.stream().read_to_end(&mut octets);
    }
    canary(stand.proxy.address(), "canary.test");
}

#[test]
fn the_end_of_the_program_is_announced() {
    let mut stand = Stand::new(&[]);
    let mut client = stand.client();
    let asked = query("a.test", A).build();
    assert_answered(&asked, &client.ask(&asked));
    assert!(stand.proxy.terminate().success());
    // Without `close_notify` this is an error.
    assert_eq!(client.0.read(&mut [0; 1]).expect("close_notify"), 0);
}

// fault 125
#[test]
fn what_is_wrong_with_the_files_ends_the_start_with_their_name_and_what_to_do() {
    let (authority, files) = (Authority::new(), TempDir::new());
    let [chain, key] = write(files.path(), &authority.good());
    let other = files.path().join("other.pem").display().to_string();
    fs::write(&other, authority.good().key_pem()).expect("a key");
    let absent = files.path().join("absent.pem").display().to_string();
    let tls = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--listen-tls",
        "127.0.0.1:0",
    ];
    for (more, parts) in [
        (
            vec![],
            vec![
                "--listen-tls \"127.0.0.1:0\": ",
                "must be shown a certificate",
                "(--certificate)",
            ],
        ),
        (
            vec!["--certificate", &chain],
            vec![
                &*chain,
                "there is no private key in the file",
                "(--certificate-key)",
            ],
        ),
        (
            vec!["--certificate", &absent],
            vec![&*absent, "No such file"],
        ),
        (
            vec!["--certificate-key", &key],
            vec![&*key, "is of no certificate", "(--certificate)"],
        ),
        (
            vec!["--certificate", &chain, "--certificate-key", &other],
            vec![
                &*other,
                "the private key does not belong to the first certificate of",
                &*chain,
            ],
        ),
        (
            vec!["--certificate", &key, "--certificate-key", &key],
            vec![&*key, "there is no PEM certificate"],
        ),
    ] {
        let outcome = run(command(&[&tls[..], &more].concat()));
        assert_eq!(outcome.code, Some(2), "{more:?}: {outcome:?}");
        for part in parts {
            assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
        }
    }
}

// fault 125
#[test]
fn a_key_that_all_may_read_and_a_certificate_that_has_ended_are_warned_of() {
    let (authority, files) = (Authority::new(), TempDir::new());
    let [chain, key] = write(files.path(), &authority.expired());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&key, mode).expect("a key for all");
    let files = ["--certificate", &chain, "--certificate-key", &key];
    let args = ["check", "--listen-tls", "127.0.0.1"];
    let outcome = run(command(&[&args[..], &files].concat()));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for part in [
        format!(
            "--certificate {chain:?}: the certificate has ended at 2001-01-01T00:00:00Z: renew it"
        ),
        format!("--certificate-key {key:?}: others than its owner and group may read the key"),
        "chmod g-w,o= makes it so".to_owned(),
    ] {
        assert!(outcome.stderr.contains(&part), "{part}: {outcome:?}");
    }
    assert!(
        outcome.stdout.contains("127.0.0.1:853 over TLS"),
        "{outcome:?}"
    );
    // Without an address they are of no use.
    let outcome = run(command(&[&["check"], &files[..]].concat()));
    let idle = "--certificate has no effect: no client is served over TLS or HTTPS: name an address for them, too (listen-tls, listen-https)";
    assert!(outcome.stderr.contains(idle), "{outcome:?}");
}
