//! `dotward prove`: are queries encrypted? Here a server is named for the resolver of the system, which `tests/interop/prove` has instead.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::probe::{contains, is_described, json};
use crate::support::authority::TempDir;
use crate::support::codes::{NXDOMAIN, SERVFAIL};
use crate::support::command::{Outcome, command, run};
use crate::support::messages::response_to;
use crate::support::proxy::Proxy;
use crate::support::script::Conduct;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;

/// What describes the JSON.
const PAGE: &str = include_str!("../docs/prove.md");
/// Where no control socket is.
const NOWHERE: &str = "/no/such/control.sock";

/// Asks this server for a proof, with these further arguments.
fn prove(resolver: SocketAddr, more: &[&str]) -> Outcome {
    let resolver = resolver.to_string();
    let mut args = vec!["prove", "www.example.test", "--resolver", &resolver];
    if !more.contains(&"--control-socket") {
        args.extend(["--control-socket", NOWHERE]);
    }
    args.extend(more);
    run(command(&args))
}

/// The document that it prints, whose members the page describes.
fn document(resolver: SocketAddr, more: &[&str]) -> Value {
    let outcome = prove(resolver, &[more, &["--json"]].concat());
    let document = json(&outcome);
    is_described(PAGE, &document);
    assert_eq!(document["format"], 1);
    assert_eq!(document["code"], outcome.code.unwrap_or(-1));
    document
}

/// A resolver over UDP that is no dotward.
struct Other {
    socket: Arc<UdpSocket>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Other {
    /// It makes its responses of queries; `None`: it says nothing.
    fn new(respond: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket"));
        let ends = Arc::new(AtomicBool::new(false));
        let (at, until) = (Arc::clone(&socket), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((len, from)) = at.recv_from(&mut buffer)
                && !until.load(Ordering::Acquire)
            {
                if let Some(response) = respond(&buffer[..len]) {
                    at.send_to(&response, from).expect("a response is sent");
                }
            }
        });
        Self {
            socket,
            ends,
            thread: Some(thread),
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a socket has an address")
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // Whatever it receives wakes it.
        self.socket.send_to(&[0], self.address()).expect("sent");
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends");
        }
    }
}

// req 131, 132, 133
#[test]
fn encrypted_and_verified() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let spec = upstream.spec();
    let proxy = trust.proxy(&[&spec], &[]);
    let more = ["--upstream", &spec, "--ca-file", &trust.root];
    let outcome = prove(proxy.address(), &more);
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (Some(0), ""),
        "{outcome:?}"
    );
    contains(
        &outcome.stdout,
        &[
            ".dotward.arpa.: dotward, which says: all is forwarded encrypted and verified, ",
            &format!("\nlistener   {}, on this host\n", proxy.address()),
            "\nreal query prove-",
            ".www.example.test. A: NOERROR, ",
            &format!("{spec}, on a connection of this command's own:\n"),
            &format!("{} by tls, authenticated as dot.test\n", upstream.address()),
            "  certificate dot.test, issued by ",
            "  TLS 1.3, X25519",
            "  query 128 octets padded to a multiple of 128, response ",
            "\nwho sees   this host: the name and the answer, in the clear",
            &format!(
                "the network: that dotward talks to {}, when,",
                upstream.address()
            ),
            "\nencrypted and verified: ",
        ],
    );
    assert_eq!(outcome.stdout.matches("dotward, which says").count(), 3);
    let document = document(proxy.address(), &more);
    assert_eq!(document["verdict"], "encrypted");
    assert_eq!(document["lookups"][2]["forwards"], "authenticated");
    assert_eq!(document["query"]["answered"], true);
    assert_eq!(
        document["upstream"]["address"],
        upstream.address().to_string()
    );
    assert_eq!(document["upstream"]["octets"]["query_padded_to"], 128);
    assert_eq!(document["daemon"], Value::Null);
    assert!(document["daemon_problem"].is_string(), "{document}");
    // Nothing is known here of the upstream: what the default would be is asked nothing.
    let document = self::document(proxy.address(), &[]);
    assert_eq!(
        (&document["verdict"], &document["upstream"]),
        (&"encrypted".into(), &Value::Null)
    );
    // Of the names that only dotward answers none has left.
    let seen = upstream.seen();
    let is_proof = |query: &&crate::support::script::Received| {
        query
            .bytes
            .windows(8)
            .any(|octets| octets == b"\x07dotward")
    };
    assert_eq!(seen.queries.iter().filter(is_proof).count(), 0);
}

// req 131, fault 156
#[test]
fn another_resolver_is_told_from_dotward() {
    let denying = Other::new(|query| Some(response_to(query).rcode(NXDOMAIN).build()));
    let wildcard = Other::new(|query| Some(response_to(query).a(60, [198, 18, 0, 1]).build()));
    let failing = Other::new(|query| Some(response_to(query).rcode(SERVFAIL).build()));
    for (other, part) in [
        (
            &denying,
            "another resolver has answered, which does not know the name",
        ),
        (
            &wildcard,
            "gives names that do not exist an address (198.18.0.1",
        ),
        (
            &failing,
            "another resolver has answered, which does not know the name that only dotward answers (SERVFAIL)",
        ),
    ] {
        let outcome = prove(other.address(), &[]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        contains(&outcome.stdout, &["\nNOT through dotward: ", part]);
        assert!(!outcome.stdout.contains("real query"), "{outcome:?}");
        let document = document(other.address(), &[]);
        assert_eq!(document["verdict"], "not_ours");
        assert_eq!(
            (&document["query"], &document["seen_by"]),
            (&Value::Null, &serde_json::json!([]))
        );
    }
}

// fault 157
#[test]
fn a_resolver_that_says_nothing_is_not_waited_for_without_end() {
    let silent = Other::new(|_| None);
    let outcome = prove(silent.address(), &[]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    contains(
        &outcome.stdout,
        &["NOT through dotward: nobody has answered: no response within "],
    );
    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let outcome = prove(address, &[]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    contains(&outcome.stdout, &["nobody has answered: "]);
}

// req 133, fault 158
#[test]
fn an_upstream_that_fails_is_the_reason() {
    let trust = Trust::new();
    let stopped = DotServer::with(trust.authority.good()).stopped();
    let wrong = DotServer::with(trust.authority.wrong_name()).start();
    for (upstream, part) in [
        (&stopped, "connection refused"),
        (&wrong, "not for dot.test"),
    ] {
        let spec = upstream.spec();
        let proxy = trust.proxy(&[&spec], &[]);
        let outcome = prove(
            proxy.address(),
            &["--upstream", &spec, "--ca-file", &trust.root],
        );
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        contains(
            &outcome.stdout,
            &[
                "\nthrough dotward, but FAILING: a real question, prove-",
                "SERVFAIL, EDE ",
                part,
            ],
        );
        let document = document(proxy.address(), &[]);
        assert_eq!(
            (&document["verdict"], &document["query"]["rcode"]),
            (&"failing".into(), &"SERVFAIL".into())
        );
    }
    assert_eq!(wrong.seen().queries.len(), 0);
}

// req 132, fault 158
#[test]
fn what_is_forwarded_in_another_way_is_told() {
    let trust = Trust::new();
    let plain = DotServer::with(trust.authority.good())
        .conduct(|_| Conduct::Plaintext)
        .start();
    let good = DotServer::with(trust.authority.good()).start();
    let in_the_clear = format!("tcp://{}", plain.address());
    let unverified = format!("{}?profile=opportunistic", good.spec());
    for more in [&[&in_the_clear, "--allow-plaintext"][..], &[&unverified]] {
        let (spec, more) = more.split_first().expect("an upstream");
        let proxy = trust.proxy(&[spec], more);
        let outcome = prove(proxy.address(), &[]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        contains(
            &outcome.stdout,
            &[
                "but FAILING: it is configured to forward without encryption, or to a server that it does not authenticate",
            ],
        );
    }
    // A route hides the names from nobody, and what it does is told.
    let files = TempDir::new();
    let file = files.path().join("dotward.toml");
    let text = format!(
        "upstream = {:?}\nca-file = {:?}\nlisten = \"127.0.0.1:0\"\nforward-special-names = true\nallow-plaintext = true\n\
         [[route]]\ndomain = \"arpa\"\nto = \"refuse\"\n[[route]]\ndomain = \"corp.test\"\nupstreams = {in_the_clear:?}\n",
        good.spec(),
        trust.root
    );
    std::fs::write(&file, text).expect("written");
    let file = file.to_str().expect("a text");
    let proxy = Proxy::start(&["serve", "--config", file]);
    let outcome = prove(proxy.address(), &["--config", file]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    contains(
        &outcome.stdout,
        &[
            &format!(", configured by {file}, on a connection"),
            "but for the domains of some routes\n",
        ],
    );
}

// req 134
#[cfg(all(feature = "control", unix))]
#[test]
fn the_running_program_tells_of_itself() {
    let (trust, files) = (Trust::new(), TempDir::new());
    let upstream = DotServer::with(trust.authority.good()).start();
    let socket = files.path().join("control.sock");
    let socket = socket.to_str().expect("a text");
    let spec = upstream.spec();
    let proxy = trust.proxy(&[&spec], &["--control-socket", socket]);
    let told = ["--control-socket", socket];
    let outcome = prove(proxy.address(), &told);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    contains(
        &outcome.stdout,
        &[
            &format!(", as it tells over {socket}:\n"),
            &format!("  upstream {spec} by tls at {}\n", upstream.address()),
            "  its last connection: verified as dot.test, TLS 1.3",
            "another real query was answered from: upstream, round trip ",
            "upstream   not looked at: ",
        ],
    );
    let document = document(proxy.address(), &told);
    assert_eq!(document["daemon"]["upstream"], spec.as_str());
    assert_eq!(
        document["daemon"]["addresses"],
        serde_json::json!([upstream.address().to_string()])
    );
    // The socket of another dotward says nothing about this one.
    let other = trust.proxy(&[&spec], &[]);
    let document = self::document(other.address(), &told);
    assert_eq!(
        (&document["verdict"], &document["daemon"]),
        (&"encrypted".into(), &Value::Null)
    );
    let problem = document["daemon_problem"].as_str().expect("a reason");
    assert!(
        problem.contains("is not the one that has answered"),
        "{problem}"
    );
}

// fault 159
#[test]
fn wrong_usage_is_told_from_a_verdict() {
    for (args, part) in [
        (&["prove", "a.test", "b.test"][..], "\"b.test\" is too much"),
        (
            &["prove", "--resolver", "nowhere"],
            "--resolver \"nowhere\": ",
        ),
        (
            &["prove", "--upstream", "nobody"],
            "--upstream \"nobody\": ",
        ),
    ] {
        let outcome = run(command(args));
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{outcome:?}"
        );
        contains(&outcome.stderr, &["dotward: ", part]);
    }
}
