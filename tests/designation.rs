//! Upstreams that another resolver designates (RFC 9462): found without encryption, and used only if the certificate is valid for the address of
//! that resolver.

use crate::support::authority::{Authority, Leaf};
use crate::support::checks::{assert_answered, canary};
use crate::support::client::UdpClient;
use crate::support::codes::{A, AAAA, NXDOMAIN, SERVFAIL};
use crate::support::command::{command, run};
use crate::support::messages::{
    Message, name_octets, query, question_octets, response_to, svcb, word,
};
use crate::support::proxy::Proxy;
use crate::support::reading::read;
use crate::support::script::{Conduct, Step};
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;
use dotward::wire::Section;

const SVCB: u16 = 64;
/// The parameters of RFC 9460 that these records have.
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const DOT: (u16, &[u8]) = (ALPN, b"\x03dot");
const HERE: &[u8] = &[127, 0, 0, 1];

/// What a server shows.
type Show = fn(&Authority) -> Leaf;

fn qtype(query: &[u8]) -> u16 {
    let question = question_octets(query);
    word(question, question.len() - 4)
}

/// A resolver without encryption, over TCP, that answers what `reply` makes of a query.
fn resolver(
    trust: &Trust,
    reply: impl Fn(&[u8], Message) -> Message + Send + Sync + 'static,
) -> DotServer {
    DotServer::with(trust.authority.good())
        .conduct(|_| Conduct::Plaintext)
        .script(move |asked| {
            let reply = reply(&asked.bytes, response_to(&asked.bytes));
            vec![Step::Answer(reply.build())]
        })
        .start()
}

/// One that designates the server at this port of this host.
fn designating(trust: &Trust, server: &DotServer) -> DotServer {
    let port = server.address().port().to_be_bytes();
    resolver(trust, move |_, plain| {
        let params = [DOT, (PORT, &port[..]), (IPV4HINT, HERE)];
        plain.answer(SVCB, 300, &svcb(1, "dns.test", &params))
    })
}

fn spec(resolver: &DotServer) -> String {
    format!("ddr://{}", resolver.address())
}

/// What it was asked, as names in wire format with their type.
fn asked(resolver: &DotServer) -> Vec<(Vec<u8>, u16)> {
    let queries = resolver.seen().queries;
    let mut all: Vec<_> = queries
        .iter()
        .map(|seen| {
            let question = question_octets(&seen.bytes);
            (question[..question.len() - 4].to_vec(), qtype(&seen.bytes))
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

/// The client gets SERVFAIL with a reason; this gives its text.
fn refused(proxy: &Proxy) -> String {
    let asked = query("secret.test", A).edns(1232, 0, &[]).build();
    let got = read(&UdpClient::new(proxy.address()).ask(&asked));
    assert_eq!(got.rcode(), SERVFAIL);
    let options = got.options();
    let text = options.iter().find(|(code, _)| *code == 15);
    let text = text.and_then(|(_, data)| data.get(2..)).unwrap_or_default();
    String::from_utf8(text.to_vec()).expect("text")
}

// req 89: RFC 9462 section 4.2; section 6.3 wants no server name.
#[test]
fn a_designated_resolver_is_found_and_verified_by_the_address_of_the_one_that_was_asked() {
    let trust = Trust::new();
    let server = DotServer::with(trust.authority.good()).start();
    let resolver = designating(&trust, &server);
    // Neither a bootstrap resolver nor permission for plain text is needed.
    let proxy = trust.proxy(&[&spec(&resolver)], &[]);
    let question = query("secret.test", A).build();
    assert_answered(&question, &UdpClient::new(proxy.address()).ask(&question));
    assert_eq!(
        asked(&resolver),
        [(name_octets("_dns.resolver.arpa"), SVCB)]
    );
    let seen = server.seen();
    assert_eq!(seen.hellos[0].server_name, None);
    assert_eq!(seen.hellos[0].protocols, [b"dot"]);
    let logs = proxy.wait_log("connected, verified as 127.0.0.1");
    assert!(logs.contains(&spec(&resolver)), "{logs}");
}

// req 89: whoever forges the records leads to a server that cannot prove who it is.
#[test]
fn a_server_whose_certificate_is_for_another_address_gets_nothing() {
    let bad: [(Show, &str); 4] = [
        (
            Authority::wrong_name,
            "it is for elsewhere.test, 192.0.2.1, not for 127.0.0.1",
        ),
        // The name of the target is no help.
        (
            |authority| authority.wildcard("dns.test"),
            "it is for dns.test, not for 127.0.0.1",
        ),
        (|_| Leaf::unknown_authority(), "unknown issuer"),
        (Authority::expired, "expired"),
    ];
    for (leaf, why) in bad {
        let trust = Trust::new();
        let server = DotServer::with(leaf(&trust.authority)).start();
        let resolver = designating(&trust, &server);
        let spec = spec(&resolver);
        let proxy = trust.proxy(&[&spec], &["--timeout", "1s"]);
        let told = refused(&proxy);
        let expected = format!("{spec}: certificate not trusted: {why}");
        assert!(told.starts_with(&expected), "{told}");
        let seen = server.seen();
        assert!(!seen.hellos.is_empty(), "it was tried");
        assert_eq!(
            (seen.application_data, seen.queries.len()),
            (0, 0),
            "not a single octet of a query"
        );
        assert_eq!(
            asked(&resolver),
            [(name_octets("_dns.resolver.arpa"), SVCB)]
        );
    }
}

// req 89: a second record is used where the first does not lead to the right server.
#[test]
fn the_next_designated_resolver_is_tried() {
    let trust = Trust::new();
    let forged = DotServer::with(trust.authority.wrong_name()).start();
    let server = DotServer::with(trust.authority.good()).start();
    let ports = [&forged, &server].map(|server| server.address().port().to_be_bytes());
    let resolver = resolver(&trust, move |_, plain| {
        let record = |priority: u16, port: &[u8]| {
            svcb(priority, "dns.test", &[DOT, (PORT, port), (IPV4HINT, HERE)])
        };
        // Priority counts, and not the order.
        plain
            .answer(SVCB, 300, &record(2, &ports[1]))
            .answer(SVCB, 300, &record(1, &ports[0]))
    });
    canary(trust.proxy(&[&spec(&resolver)], &[]).address(), "a.test");
    assert_eq!(forged.seen().application_data, 0);
    assert!(!forged.seen().hellos.is_empty() && !server.seen().queries.is_empty());
}

#[test]
fn the_addresses_come_from_the_additional_section_or_are_asked_for() {
    let trust = Trust::new();
    for additional in [true, false] {
        let server = DotServer::with(trust.authority.good()).start();
        let port = server.address().port().to_be_bytes();
        let resolver = resolver(&trust, move |asked, plain| match qtype(asked) {
            SVCB => {
                let params = [(MANDATORY, &[0, 3][..]), DOT, (PORT, &port)];
                let plain = plain.answer(SVCB, 300, &svcb(1, "dns.test", &params));
                if additional {
                    let owner = name_octets("dns.test");
                    plain.record(Section::Additional, &owner, A, (1, 300), HERE)
                } else {
                    plain
                }
            }
            A => plain.a(300, [127, 0, 0, 1]),
            _ => plain.soa(60),
        });
        canary(trust.proxy(&[&spec(&resolver)], &[]).address(), "a.test");
        let target = name_octets("dns.test");
        let mut expected = vec![(name_octets("_dns.resolver.arpa"), SVCB)];
        if !additional {
            expected.splice(0..0, [(target.clone(), A), (target, AAAA)]);
        }
        assert_eq!(asked(&resolver), expected);
    }
}

// req 89: nothing is asked of a resolver that designates none.
#[test]
fn without_a_designated_resolver_there_is_a_reason_and_no_query() {
    let trust = Trust::new();
    let server = DotServer::with(trust.authority.good()).start();
    let port = server.address().port().to_be_bytes();
    let none = resolver(&trust, |_, plain| plain.rcode(NXDOMAIN));
    let empty = resolver(&trust, |_, plain| plain.soa(60));
    let https = resolver(&trust, move |_, plain| {
        let params = [(ALPN, &b"\x02h2"[..]), (PORT, &port), (IPV4HINT, HERE)];
        plain.answer(SVCB, 300, &svcb(1, "dns.test", &params))
    });
    let malformed = resolver(&trust, move |_, plain| {
        let params = [(PORT, &port[..]), DOT];
        plain.answer(SVCB, 300, &svcb(1, "dns.test", &params))
    });
    for (resolver, why) in [
        (none, "NXDOMAIN for _dns.resolver.arpa"),
        (empty, "designates no resolver for DNS over TLS"),
        (https, "designates no resolver for DNS over TLS"),
        (
            malformed,
            "the parameters of an SVCB record are not in order",
        ),
    ] {
        let spec = spec(&resolver);
        let proxy = trust.proxy(&[&spec], &["--timeout", "1s"]);
        let told = refused(&proxy);
        let start = format!("{spec}: address not found: ");
        // A build with more protocols names them behind DNS over TLS.
        let told_why = told.strip_prefix(&start).expect("the address is not found");
        assert!(told_why.contains(why), "{told}");
        let log = proxy.wait_log("address not found");
        assert!(log.contains(why), "{log}");
        assert_eq!(
            asked(&resolver),
            [(name_octets("_dns.resolver.arpa"), SVCB)]
        );
    }
    assert!(server.seen().hellos.is_empty());
}

#[test]
fn a_resolver_that_cannot_be_asked_is_told_from_one_that_designates_nobody() {
    let trust = Trust::new();
    let closed = DotServer::with(trust.authority.good()).stopped();
    let spec = spec(&closed);
    let proxy = trust.proxy(&[&spec], &["--timeout", "3s"]);
    let told = refused(&proxy);
    let expected = format!("{spec}: address not found: connection refused");
    assert_eq!(told, expected);
    proxy.wait_log("address not found: connection refused");
    let outcome = run(command(&["check", "--probe", "--upstream", &spec]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let told = format!(
        "address not found: connection refused; see that a resolver runs at {}",
        closed.address()
    );
    assert!(outcome.stdout.contains(&told), "{outcome:?}");
}

#[test]
fn the_probe_finds_a_designated_resolver_too() {
    let trust = Trust::new();
    let server = DotServer::with(trust.authority.good()).start();
    let resolver = designating(&trust, &server);
    let probe = |spec: &str| {
        let args = [
            "check",
            "--probe",
            "--json",
            "--ca-file",
            &trust.root,
            "--upstream",
            spec,
        ];
        let outcome = run(command(&args));
        let document = serde_json::from_str(&outcome.stdout);
        let document: serde_json::Value = document.unwrap_or_else(|_| panic!("{outcome:?}"));
        (outcome.code, document["upstreams"][0].clone())
    };
    let (code, found) = probe(&spec(&resolver));
    assert_eq!(code, Some(0), "{found}");
    assert_eq!(found["designated_by"], resolver.address().to_string());
    assert_eq!(
        found["addresses"][0]["address"],
        server.address().to_string()
    );
    assert_eq!(found["server_name"], "127.0.0.1");

    let none = self::resolver(&trust, |_, plain| plain);
    let (code, found) = probe(&spec(&none));
    assert_eq!(code, Some(1), "{found}");
    assert_eq!(found["problem"]["kind"], "unresolved");
    let advice = found["problem"]["advice"].as_str().expect("text");
    assert!(advice.contains("_dns.resolver.arpa"), "{advice}");
}

// fault 52
#[test]
fn dotward_does_not_ask_itself_what_it_designates() {
    for (listen, upstream) in [
        ("127.0.0.1:5399", "ddr://127.0.0.1:5399"),
        ("0.0.0.0:5399", "ddr://127.0.0.7:5399"),
        ("[::]:5399", "ddr://[::1]:5399"),
    ] {
        let outcome = run(command(&[
            "check",
            "--listen",
            listen,
            "--upstream",
            upstream,
        ]));
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        let why = "is where dotward itself listens, so queries would loop";
        assert!(outcome.stderr.contains(why), "{outcome:?}");
    }
}
