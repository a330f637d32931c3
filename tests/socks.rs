//! Upstreams behind a SOCKS5 proxy (RFC 1928, RFC 1929), and connections that are kept apart there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::authority::{Authority, Leaf, NAME};
use crate::support::checks::assert_answered;
use crate::support::client::{TcpClient, UdpClient};
use crate::support::codes::{A, SERVFAIL};
use crate::support::command::{command, run};
use crate::support::messages::query;
use crate::support::proxy::Proxy;
use crate::support::reading::{extra_text, read};
use crate::support::script::{Step, answers};
use crate::support::setup::Trust;
use crate::support::socks::{Asked, Does, Socks};
use crate::support::upstream::{Builder, DotServer};

/// The program, a proxy that it has to use, and an upstream behind that.
struct Behind {
    program: Proxy,
    socks: Socks,
    upstream: DotServer,
    _trust: Trust,
}

/// The parameter that has connections kept apart.
const ISOLATE: &str = "&isolate=true";

impl Behind {
    fn new(does: Does, more: &str) -> Self {
        Self::build(Authority::good, |it| it, move |_| does, more)
    }

    fn build(
        leaf: fn(&Authority) -> Leaf,
        upstream: impl FnOnce(Builder) -> Builder,
        does: impl Fn(&Asked) -> Does + Send + Sync + 'static,
        more: &str,
    ) -> Self {
        Self::within("2s", leaf, upstream, does, more)
    }

    /// Queries may take so long.
    fn within(
        timeout: &str,
        leaf: fn(&Authority) -> Leaf,
        upstream: impl FnOnce(Builder) -> Builder,
        does: impl Fn(&Asked) -> Does + Send + Sync + 'static,
        more: &str,
    ) -> Self {
        let trust = Trust::new();
        let upstream = upstream(DotServer::with(leaf(&trust.authority))).start();
        let socks = Socks::deciding(upstream.address(), does);
        let spec = format!("{}?socks5={}{more}", upstream.spec(), socks.address);
        let args = ["--timeout", timeout, "--cache-size", "0", "--log", "debug"];
        let program = trust.proxy(&[&spec], &args);
        Self {
            program,
            socks,
            upstream,
            _trust: trust,
        }
    }

    /// Asks for an address, which must come.
    fn ask(&self, name: &str) {
        let client = UdpClient::new(self.program.address());
        let asked = query(name, A).build();
        assert_answered(&asked, &client.ask(&asked));
    }

    /// Asks for all of these at once, which must be answered.
    fn ask_all(&self, names: &[&str]) {
        let asked = (1_u16..)
            .zip(names)
            .map(|(id, name)| (id, query(name, A).id(id).build()));
        let asked: Vec<(u16, Vec<u8>)> = asked.collect();
        let messages: Vec<Vec<u8>> = asked.iter().map(|(_, message)| message.clone()).collect();
        let answers = TcpClient::new(self.program.address()).pipeline(&messages);
        for (id, message) in &asked {
            assert_answered(message, &answers[id]);
        }
    }

    /// Asks in vain, and gives the text of the extended error.
    fn ask_in_vain(&self, name: &str) -> String {
        let asked = query(name, A).edns(1232, 0, &[]).build();
        let got = read(&UdpClient::new(self.program.address()).ask(&asked));
        assert_eq!(got.rcode(), SERVFAIL);
        let options = got.options();
        let text = options.iter().find(|(code, _)| *code == 15);
        let text = text.and_then(|(_, data)| data.get(2..)).unwrap_or_default();
        String::from_utf8(text.to_vec()).expect("text")
    }

    /// The usernames that the proxy saw, in order.
    fn usernames(&self) -> Vec<String> {
        let asked = self.socks.asked().into_iter();
        asked
            .map(|asked| asked.username.expect("a username"))
            .collect()
    }
}

#[test]
fn queries_go_through_the_proxy_on_one_connection() {
    let behind = Behind::new(Does::Connect, "");
    for name in ["one.test", "other.example", "third.example.org"] {
        behind.ask(name);
    }
    let asked = Asked {
        username: None,
        destination: behind.upstream.address().to_string(),
    };
    assert_eq!(behind.socks.asked(), [asked]);
    assert_eq!(behind.upstream.seen().accepted, 1);
}

#[test]
fn an_upstream_without_encryption_is_reached_through_the_proxy() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good())
        .conduct(|_| crate::support::script::Conduct::Plaintext)
        .start();
    // An address that leads nowhere but through the proxy.
    let socks = Socks::start(upstream.address(), Does::Connect);
    let spec = format!("tcp://192.0.2.1?socks5={}", socks.address);
    let program = trust.proxy(&[&spec], &["--allow-plaintext"]);
    let asked = query("a.test", A).build();
    assert_answered(&asked, &UdpClient::new(program.address()).ask(&asked));
    assert_eq!(socks.asked()[0].destination, "192.0.2.1:53");
    assert_eq!(upstream.seen().accepted, 1);
}

#[test]
fn the_proxy_gets_the_name_of_an_upstream_and_no_resolver_does() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let socks = Socks::start(upstream.address(), Does::Connect);
    let port = upstream.address().port();
    let spec = format!("tls://{NAME}:{port}?socks5={}", socks.address);
    let program = trust.proxy(&[&spec], &[]);
    let asked = query("a.test", A).build();
    assert_answered(&asked, &UdpClient::new(program.address()).ask(&asked));
    assert_eq!(socks.asked()[0].destination, format!("{NAME}:{port}"));
    let logs = program.logs().join("\n");
    assert!(!logs.contains("bootstrap"), "{logs}");
}

// fault 36
#[test]
fn clients_and_the_log_learn_what_the_proxy_says() {
    for (does, why) in [
        (Does::Refuse(1), "reports: general failure"),
        (Does::Refuse(5), "connection refused by the destination"),
        (Does::Refuse(0xf0), "onion service not found"),
        (
            Does::Say(b"HTTP/1.1 400 Bad Request\r\n"),
            "does not speak SOCKS5",
        ),
        (Does::AcceptNothing, "wants a username and a password"),
        (Does::Say(b""), "closed the connection before its reply"),
    ] {
        let behind = Behind::new(does, "");
        let told = behind.ask_in_vain("a.test");
        let proxy = format!("the SOCKS5 proxy {}", behind.socks.address);
        assert!(told.contains(&proxy) && told.contains(why), "{told}");
        let line = behind.program.wait_log(why);
        assert!(line.contains(&proxy), "{line}");
        assert_eq!(behind.upstream.seen().accepted, 0);
    }
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let trust = Trust::new();
    let nobody = DotServer::with(trust.authority.good()).stopped();
    let spec = format!("192.0.2.1#{NAME}?socks5={}", nobody.address());
    let program = trust.proxy(&[&spec], &["--timeout", "1s"]);
    let got = read(&UdpClient::new(program.address()).ask(&query("a.test", A).build()));
    assert_eq!(got.rcode(), SERVFAIL);
    let line = program.wait_log("cannot be reached: connection refused");
    assert!(
        line.contains(&format!("the SOCKS5 proxy {}", nobody.address())),
        "{line}"
    );
}

#[test]
fn a_silent_proxy_costs_a_query_its_time_and_no_more() {
    for more in ["", ISOLATE] {
        let behind = Behind::new(Does::Nothing, more);
        let start = Instant::now();
        let told = behind.ask_in_vain("a.test");
        assert!(start.elapsed() < Duration::from_secs(4));
        let proxy = format!("the SOCKS5 proxy {}", behind.socks.address);
        let words = format!("not connected in time through {proxy}");
        assert!(told.contains(&words), "{told}");
        assert!(!behind.socks.asked().is_empty());
        let line = behind.program.wait_log(": cannot connect: ");
        assert!(
            line.contains(&format!("{proxy} does not connect in time")),
            "{line}"
        );
    }
}

#[test]
fn a_proxy_that_says_nothing_at_all_is_named() {
    // It has connections, and nobody accepts them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let proxy = format!("the SOCKS5 proxy {}", silent.local_addr().expect("one"));
    let trust = Trust::new();
    let spec = format!(
        "192.0.2.1#{NAME}?socks5={}",
        silent.local_addr().expect("one")
    );
    let program = trust.proxy(&[&spec], &["--timeout", "3s"]);
    let asked = query("a.test", A).edns(1232, 0, &[]).build();
    let got = UdpClient::new(program.address()).ask(&asked);
    let told = extra_text(&got);
    let words = format!("{proxy} does not answer");
    assert!(told.contains(&words), "{told}");
    program.wait_log(&words);
    let outcome = run(command(&["check", "--probe", "--upstream", &spec]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let told = format!("{words}; see that the proxy runs");
    assert!(outcome.stdout.contains(&told), "{outcome:?}");
}

#[test]
fn a_proxy_with_a_login_is_told_to_be_of_no_use() {
    let behind = Behind::new(Does::AcceptNothing, "");
    let spec = format!("192.0.2.1#{NAME}?socks5={}", behind.socks.address);
    let outcome = run(command(&["check", "--probe", "--upstream", &spec]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let told = "wants a username and a password, which are not supported; a proxy with a login cannot be used";
    assert!(outcome.stdout.contains(told), "{outcome:?}");
}

#[test]
fn each_registrable_domain_has_its_own_connection_username_and_sessions() {
    // The upstream closes after each answer, so that sessions could be resumed.
    let closing = |builder: Builder| {
        builder.script(|received| {
            let mut steps = answers(received);
            steps.push(Step::CloseNotify);
            steps.push(Step::Fin);
            steps
        })
    };
    let behind = Behind::build(Authority::good, closing, |_| Does::Connect, ISOLATE);
    for name in [
        "a.one.example",
        "b.two.example",
        "c.three.co.uk",
        "d.four.co.uk",
    ] {
        behind.ask(name);
    }
    let usernames = behind.usernames();
    assert_eq!(usernames.len(), 5, "one more authenticates: {usernames:?}");
    let different: BTreeSet<&String> = usernames.iter().collect();
    assert_eq!(different.len(), 5, "{usernames:?}");
    let seen = behind.upstream.seen();
    assert!(
        seen.handshakes.iter().all(|one| !one.resumed),
        "{:?}",
        seen.handshakes
    );
    // The same domain again: the same name at the proxy, and a session of its own.
    behind.ask("e.one.example");
    let again = behind.usernames();
    assert_eq!((again.len(), &again[5]), (6, &again[1]));
    let seen = behind
        .upstream
        .wait("six handshakes", |seen| seen.handshakes.len() == 6);
    let resumed: Vec<bool> = seen.handshakes.iter().map(|one| one.resumed).collect();
    assert_eq!(resumed, [false, false, false, false, false, true]);
    for username in again {
        assert!(
            username.bytes().all(|octet| octet.is_ascii_hexdigit()),
            "{username}"
        );
    }
}

#[test]
fn names_of_one_domain_share_a_connection() {
    let behind = Behind::new(Does::Connect, ISOLATE);
    let names = [
        "one.example",
        "A.One.Example",
        "b.a.one.example",
        "x.two.example",
        "two.example",
    ];
    behind.ask_all(&names);
    // One that carries no query, and one for each domain.
    assert_eq!(behind.usernames().len(), 3);
    let seen = behind.upstream.seen();
    for query in &seen.queries {
        let is_one = query
            .bytes
            .windows(4)
            .any(|part| part.eq_ignore_ascii_case(b"\x03one"));
        let others = seen
            .queries
            .iter()
            .filter(|other| other.connection == query.connection);
        let alike = others.filter(|other| {
            other
                .bytes
                .windows(4)
                .any(|part| part.eq_ignore_ascii_case(b"\x03one"))
                == is_one
        });
        let on_it = seen
            .queries
            .iter()
            .filter(|other| other.connection == query.connection);
        assert_eq!(alike.count(), on_it.count(), "no connection has both");
    }
}

// req 74, fault 36.
#[test]
fn a_wrong_certificate_is_refused_as_without_isolation() {
    let told = ["", ISOLATE].map(|more| {
        let behind = Behind::build(Authority::wrong_name, |it| it, |_| Does::Connect, more);
        let told = behind.ask_in_vain("secret.test");
        let seen = behind.upstream.seen();
        assert!(!seen.hellos.is_empty(), "it was tried");
        assert_eq!((seen.application_data, seen.queries.len()), (0, 0));
        behind.program.wait_log("check the name behind #");
        told.replace(&behind.upstream.address().to_string(), "ADDRESS")
    });
    assert_eq!(told[0], told[1]);
    assert!(told[0].contains("certificate not trusted: it is for elsewhere.test"));
}

// Isolated connections authenticate the upstream as it is configured, and no more and no less.
#[test]
fn pins_count_with_isolation_too() {
    let trust = Trust::new();
    let leaf = Leaf::self_signed();
    let pin = leaf.pin();
    let upstream = DotServer::with(leaf).start();
    let nobody = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (pin, accepted) in [(pin.as_str(), true), (nobody, false)] {
        let socks = Socks::start(upstream.address(), Does::Connect);
        let (address, proxy) = (upstream.address(), socks.address);
        let spec = format!("{address}?pin-sha256={pin}&socks5={proxy}{ISOLATE}");
        let program = trust.proxy(&[&spec], &["--timeout", "2s"]);
        let before = upstream.seen().queries.len();
        let asked = query("a.one.example", A).edns(1232, 0, &[]).build();
        let got = UdpClient::new(program.address()).ask(&asked);
        let count = upstream.seen().queries.len() - before;
        if accepted {
            assert_answered(&asked, &got);
            assert_eq!((count, socks.asked().len()), (1, 2));
        } else {
            assert_eq!((read(&got).rcode(), count), (SERVFAIL, 0));
            let told = extra_text(&got);
            assert!(
                told.contains("no public key in its chain is pinned"),
                "{told}"
            );
        }
    }
}

#[test]
fn a_certificate_that_becomes_wrong_is_refused() {
    let behind = Behind::new(Does::Connect, ISOLATE);
    behind.ask("a.one.example");
    let stranger = Leaf::unknown_authority();
    behind.upstream.show(&stranger);
    let asked = behind.upstream.seen().queries.len();
    let told = behind.ask_in_vain("secret.two.example");
    assert!(told.contains("unknown issuer"), "{told}");
    assert_eq!(behind.upstream.seen().queries.len(), asked);
}

#[test]
fn the_failure_of_one_domain_is_its_own() {
    // The proxy refuses the third username and those behind it: one authenticates, and one is the first domain's.
    let names = std::sync::Mutex::new(Vec::new());
    let does = move |asked: &Asked| {
        let Some(username) = asked.username.clone() else {
            return Does::Connect;
        };
        let mut names = names.lock().expect("no panic");
        if !names.contains(&username) {
            names.push(username.clone());
        }
        match names.iter().position(|name| *name == username) {
            Some(0 | 1) => Does::Connect,
            _ => Does::Refuse(4),
        }
    };
    let behind = Behind::build(Authority::good, |it| it, does, ISOLATE);
    behind.ask("a.one.example");
    let told = behind.ask_in_vain("b.two.example");
    assert!(told.contains("host unreachable"), "{told}");
    behind.ask("c.one.example");
    let line = behind.program.wait_log("a query is lost");
    assert!(line.contains("the SOCKS5 proxy"), "{line}");
    assert!(!line.contains("example"), "{line}");
}

#[test]
fn a_silent_connection_of_a_domain_is_replaced() {
    // The second connection is the first with a query.
    let mute = |builder: Builder| {
        builder.script(|received| match received.connection {
            1 => Vec::new(),
            _ => answers(received),
        })
    };
    let behind = Behind::build(Authority::good, mute, |_| Does::Connect, ISOLATE);
    let told = behind.ask_in_vain("a.one.example");
    assert!(told.contains("no answer in time"), "{told}");
    behind.ask("b.one.example");
    let usernames = behind.usernames();
    assert_eq!((usernames.len(), &usernames[1]), (3, &usernames[2]));
}

#[test]
fn more_domains_than_connections_are_all_answered() {
    // A busy machine takes seconds for a hundred handshakes at once.
    let connect = |_: &Asked| Does::Connect;
    let behind = Behind::within("9s", Authority::good, |it| it, connect, ISOLATE);
    let names: Vec<String> = (0..100).map(|n| format!("www.n{n}.example")).collect();
    behind.ask_all(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let usernames: BTreeSet<String> = behind.usernames().into_iter().collect();
    assert_eq!(usernames.len(), 101, "and one that carries no query");
    let seen = behind.upstream.seen();
    assert!(seen.handshakes.iter().all(|one| !one.resumed));
}

#[test]
fn probing_uses_the_proxy_too() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let port = upstream.address().port();
    for (does, code) in [(Does::Connect, 0), (Does::Refuse(2), 1)] {
        let socks = Socks::start(upstream.address(), does);
        let before = upstream.seen().accepted;
        let more = format!("socks5={}{ISOLATE}", socks.address);
        let spec = format!("tls://{NAME}:{port}?{more}");
        let args = [
            "check",
            "--probe",
            "--ca-file",
            &trust.root,
            "--upstream",
            &spec,
        ];
        let outcome = run(command(&args));
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        let asked = socks.asked();
        assert!(!asked.is_empty());
        assert!(
            asked
                .iter()
                .all(|one| one.destination == format!("{NAME}:{port}"))
        );
        let through = if does == Does::Connect {
            asked.len()
        } else {
            0
        };
        assert_eq!(upstream.seen().accepted - before, through);
        assert_eq!(
            outcome.stdout.contains("its rules do not allow"),
            code != 0,
            "{outcome:?}"
        );
    }
}

#[test]
fn what_cannot_go_through_a_proxy_is_refused_at_the_start() {
    for (spec, why) in [
        ("udp://192.0.2.1?socks5=127.0.0.1", "write tcp:// or tls://"),
        (
            "tcp://192.0.2.1?socks5=127.0.0.1&isolate=true",
            "write tls://, or leave isolate out",
        ),
        (
            "ddr://192.0.2.1?socks5=127.0.0.1",
            "write IP#NAME or tls://NAME",
        ),
        (
            "192.0.2.1#a.test?socks5=127.0.0.1:5399",
            "is where dotward itself listens",
        ),
    ] {
        let args = [
            "check",
            "--listen",
            "127.0.0.1:5399",
            "--allow-plaintext",
            "--upstream",
            spec,
        ];
        let outcome = run(command(&args));
        assert_eq!(outcome.code, Some(2));
        assert!(outcome.stderr.contains(why), "{spec}: {}", outcome.stderr);
    }
}
