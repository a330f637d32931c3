//! Clients over HTTPS (RFC 8484), over real sockets.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion, version};

use crate::support::authority::{Authority, NAME, TempDir};
use crate::support::checks::{assert_answered, canary, load};
use crate::support::client::UdpClient;
use crate::support::codes::{A, TXT};
use crate::support::http2::{self, DATA, END_STREAM, HEADERS, PREFACE, frame, reset, settings};
use crate::support::http2_client::{bare, get, post, post_head, status};
use crate::support::journal::DEADLINE;
use crate::support::messages::{query, response_to};
use crate::support::proxy::Proxy;
use crate::support::reading::read;
use crate::support::script::{Received, Step, right_answer};
use crate::support::upstream::DotServer;

const PADDING: u16 = 12;
/// To a multiple of how many octets responses are padded (RFC 8467 section 4.1).
const BLOCK: usize = 468;

/// A program with a listener over HTTPS, its upstream, and the authority of both.
struct Stand {
    proxy: Proxy,
    authority: Authority,
    _files: TempDir,
    _upstream: DotServer,
}

impl Stand {
    fn new(script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let (authority, files) = (Authority::new(), TempDir::new());
        let root = authority.write_pem(files.path()).display().to_string();
        let upstream = DotServer::with(authority.good()).script(script).start();
        let leaf = authority.good();
        let own = files.path().join("own.pem");
        std::fs::write(&own, leaf.pem() + &leaf.key_pem()).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&own, mode).expect("a file of its owner");
        let (own, spec) = (own.display().to_string(), upstream.spec());
        let mut args = vec!["serve", "--ca-file", &root, "--upstream", &spec];
        args.extend(["--listen", "127.0.0.1:0", "--listen-https", "127.0.0.1:0"]);
        args.extend(["--certificate", &own]);
        Self {
            proxy: Proxy::start(&args),
            authority,
            _files: files,
            _upstream: upstream,
        }
    }

    fn answering() -> Self {
        Self::new(|asked| vec![Step::Answer(right_answer(asked))])
    }

    /// Where clients speak HTTPS.
    fn address(&self) -> SocketAddr {
        self.proxy.addresses()[1]
    }

    /// The settings of a client that speaks this version alone, and offers these names in ALPN.
    fn with(&self, version: &'static SupportedProtocolVersion, alpn: &[&str]) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .expect("versions")
            .with_root_certificates(self.authority.roots())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    fn client(&self) -> Client {
        let config = self.with(&version::TLS13, &["h2"]);
        Client::new(self.address(), config).expect("a handshake")
    }
}

/// A client over HTTP/2.
#[derive(Debug)]
struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    next: u32,
}

impl Client {
    /// Connects and shakes hands. An error is that of the handshake.
    fn new(to: SocketAddr, config: ClientConfig) -> io::Result<Self> {
        let name = ServerName::try_from(NAME).expect("a name");
        let tcp = TcpStream::connect(to).expect("a connection");
        tcp.set_read_timeout(Some(DEADLINE)).expect("a time limit");
        let tls = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut stream = StreamOwned::new(tls, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        // A refusal of the last flight of the handshake comes behind it.
        stream.write_all(&[PREFACE, &settings(&[])].concat())?;
        stream.flush()?;
        stream.read_exact(&mut [0; 9])?;
        let mut client = Self { stream, next: 1 };
        client.skip_settings()?;
        Ok(client)
    }

    /// What is left of the first frame, whose head has been read: its length is known from the next frame on.
    fn skip_settings(&mut self) -> io::Result<()> {
        // Settings of six octets each, up to the acknowledgement of ours, which is empty.
        let mut window = [0; 9];
        self.stream.read_exact(&mut window)?;
        while window != *frame(http2::SETTINGS, http2::ACK, 0, &[]) {
            window.rotate_left(1);
            self.stream.read_exact(&mut window[8..])?;
        }
        Ok(())
    }

    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)?;
        self.stream.flush()
    }

    /// The status and the body of the response to a request, which was made for this stream.
    fn ask(&mut self, request: impl FnOnce(u32) -> Vec<u8>) -> (u16, Vec<u8>) {
        let stream = self.next;
        self.next += 2;
        self.send(&request(stream)).expect("a request is sent");
        let (mut code, mut body) = (0, Vec::new());
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).expect("a frame");
            let (len, mut frame) = http2::head(head);
            frame.payload = vec![0; len];
            self.stream
                .read_exact(&mut frame.payload)
                .expect("all of it");
            if frame.stream == stream && frame.kind == HEADERS {
                code = status(&frame.payload);
            }
            if frame.stream == stream && frame.kind == DATA {
                body.extend(frame.payload);
            }
            let is_last = frame.flags & END_STREAM != 0;
            if frame.stream == stream && is_last && [DATA, HEADERS].contains(&frame.kind) {
                return (code, body);
            }
        }
    }

    fn get(&mut self, message: &[u8]) -> Vec<u8> {
        let (code, body) = self.ask(|stream| get(stream, message));
        assert_eq!(code, 200);
        body
    }
}

// req 107, 108
#[test]
fn queries_are_answered_by_get_and_post_over_both_versions() {
    let stand = Stand::answering();
    stand.proxy.wait_log("and https on 127.0.0.1:");
    for (number, one) in [&version::TLS13, &version::TLS12].into_iter().enumerate() {
        let config = stand.with(one, &["http/1.1", "h2"]);
        let mut client = Client::new(stand.address(), config).expect("a handshake");
        for id in 0..3 {
            let asked = query(&format!("n{number}{id}.test"), A).id(id).build();
            assert_answered(&asked, &client.get(&asked));
            let (code, body) = client.ask(|stream| post(stream, &asked));
            assert_eq!(code, 200);
            assert_answered(&asked, &body);
        }
        assert_eq!(client.ask(|stream| bare("GET", "/", stream)).0, 404);
    }
    canary(stand.proxy.address(), "canary.test");
}

// req 107
#[test]
fn a_client_that_does_not_offer_http2_is_refused_in_the_handshake() {
    let stand = Stand::answering();
    for one in [&version::TLS13, &version::TLS12] {
        for (alpn, alert) in [
            (&["http/1.1"][..], "NoApplicationProtocol"),
            (&["dot"], "NoApplicationProtocol"),
            (&[], "AccessDenied"),
        ] {
            let error = Client::new(stand.address(), stand.with(one, alpn)).expect_err("a refusal");
            assert!(error.to_string().contains(alert), "{alpn:?}: {error}");
        }
    }
    canary(stand.proxy.address(), "canary.test");
}

// req 105
#[test]
fn responses_are_padded_where_the_query_was() {
    let stand = Stand::new(|asked| {
        let len = usize::from(asked.bytes[12]);
        vec![Step::Answer(
            response_to(&asked.bytes).fill(40 + 50 * len).build(),
        )]
    });
    let mut client = stand.client();
    for name in (1..30).map(|len| format!("{}.test", "x".repeat(len))) {
        let ask = |options: &[(u16, &[u8])]| query(&name, TXT).edns(1232, 0, options).build();
        let (padded, bare) = (ask(&[(PADDING, &[0; 9])]), ask(&[]));
        assert_eq!(client.get(&padded).len() % BLOCK, 0, "{name}");
        let without = client.get(&bare);
        let codes: Vec<u16> = read(&without)
            .options()
            .iter()
            .map(|(code, _)| *code)
            .collect();
        assert!(!codes.contains(&PADDING), "{name}: {codes:?}");
    }
}

// fault 130, 131, 132: others are served as before.
#[test]
fn floods_disturb_nobody() {
    let stand = Stand::answering();
    let rapid = |stream| [get(stream, &query("a.test", A).build()), reset(stream, 8)].concat();
    let floods: [Vec<u8>; 5] = [
        (0..20_000).flat_map(|n| rapid(1 + 2 * n)).collect(),
        frame(http2::PING, 0, 0, &[0; 8]).repeat(100_000),
        settings(&[]).repeat(100_000),
        [
            frame(HEADERS, 0, 1, &[]),
            frame(9, 0, 1, &[]).repeat(100_000),
        ]
        .concat(),
        (0..5_000).flat_map(|n| post_head(1 + 2 * n)).collect(),
    ];
    for (number, flood) in floods.into_iter().enumerate() {
        let mut client = stand.client();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // Nothing is read, and it ends when it is closed.
                client
                    .stream
                    .sock
                    .set_write_timeout(Some(DEADLINE))
                    .expect("a limit");
                let _closed_or_not = client.send(&flood);
            });
            load(stand.proxy.address(), &format!("f{number}"), 300, 10);
        });
        let asked = query(&format!("after{number}.test"), A).build();
        assert_answered(&asked, &stand.client().get(&asked));
        assert_answered(&asked, &UdpClient::new(stand.proxy.address()).ask(&asked));
    }
}

// req 110
#[test]
fn the_end_of_the_program_is_announced() {
    let mut stand = Stand::answering();
    let mut client = stand.client();
    let asked = query("a.test", A).build();
    assert_answered(&asked, &client.get(&asked));
    assert!(stand.proxy.terminate().success());
    let mut rest = Vec::new();
    // Without `close_notify` this is an error.
    client.stream.read_to_end(&mut rest).expect("close_notify");
    let goaways = rest
        .windows(9)
        .filter(|head| head[3] == http2::GOAWAY && head[..3] == [0, 0, 8]);
    assert_eq!(goaways.count(), 2, "{rest:?}");
}
