//! `dotward check --probe`: what it says of good servers, and of every kind of bad ones.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Ipv6Addr;

use rustls::SupportedProtocolVersion;
use serde_json::Value;

use crate::support::authority::{Authority, Leaf, NAME, TempDir};
use crate::support::codes::{AAAA, FORMERR, NOERROR, NXDOMAIN, REFUSED, SERVFAIL};
use crate::support::command::{Outcome, command, run};
use crate::support::messages::{Message, response_to};
use crate::support::odd::Odd;
use crate::support::script::{Conduct, Gate, Received, Step, right_answer};
use crate::support::setup::Trust;
use crate::support::upstream::{Builder, DotServer};

/// What describes the JSON.
const PAGE: &str = include_str!("../docs/probe.md");
/// The lines of a block at most.
const MAX_LINES: usize = 9;
const OLD: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const NEW: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
/// AD (RFC 4035).
const AD: u16 = 0x20;
const RA: u16 = 0x80;

/// A server that reads what comes first, if it is to, says this, and closes.
fn says(reads: bool, octets: &'static [u8]) -> Odd {
    Odd::start(move |socket| {
        if reads {
            // The client may be gone already.
            let _ = socket.read(&mut [0; 4096]);
        }
        socket.write_all(octets)
    })
}

/// Probes these upstreams.
fn probe(trust: &Trust, upstreams: &[&str], more: &[&str]) -> Outcome {
    let mut args = vec!["check", "--probe", "--ca-file", &trust.root];
    args.extend(upstreams.iter().flat_map(|spec| ["--upstream", spec]));
    args.extend(more);
    run(command(&args))
}

/// The block of an upstream in the text of a probe.
fn block(outcome: &Outcome, label: &str) -> String {
    let mut lines = outcome.stdout.lines();
    let first = lines.find(|line| line.starts_with(&format!("{label}: ")));
    let first = first.unwrap_or_else(|| panic!("no block of {label}: {outcome:?}"));
    let rest = lines.take_while(|line| line.starts_with("  "));
    let lines: Vec<&str> = std::iter::once(first).chain(rest).collect();
    let block = lines.join("\n");
    assert!(lines.len() <= MAX_LINES, "{block}");
    block
}

/// The document that a command has printed.
pub fn json(outcome: &Outcome) -> Value {
    let parsed = serde_json::from_str(&outcome.stdout);
    parsed.unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// The object of an upstream in the JSON of a probe.
fn member<'d>(document: &'d Value, label: &str) -> &'d Value {
    let upstreams = document["upstreams"].as_array().expect("an array");
    let found = upstreams.iter().find(|one| one["upstream"] == label);
    found.unwrap_or_else(|| panic!("no {label}: {document}"))
}

/// The page has each member of a document.
pub fn is_described(page: &str, document: &Value) {
    if let Value::Object(members) = document {
        for name in members.keys() {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
        members.values().for_each(|it| is_described(page, it));
    }
    let list = document.as_array().into_iter().flatten();
    list.for_each(|it| is_described(page, it));
}

/// The text has each of these parts.
pub fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

/// Whether somebody asks for a name that nobody has asked for before.
fn is_slow(query: &Received) -> bool {
    query.bytes[13..].starts_with(b"probe-")
}

fn answer(message: &Message) -> Vec<Step> {
    vec![Step::Answer(message.build())]
}

/// A server that can do everything.
fn able(query: &Received) -> Vec<Step> {
    if is_slow(query) {
        return vec![Step::HoldUntil(Gate::new())];
    }
    let keepalive = 120_u16.to_be_bytes();
    let options: [(u16, &[u8]); 2] = [(11, &keepalive), (12, &[0; 40])];
    let response = response_to(&query.bytes).on(AD).a(300, [192, 0, 2, 1]);
    answer(&response.edns(1232, 0, &options))
}

#[test]
fn a_good_server_is_described() {
    let trust = Trust::new();
    let server = DotServer::with(trust.authority.wildcard("*.wild.test"))
        .script(able)
        .start();
    let spec = format!("{}#a.wild.test", server.address());
    let outcome = probe(&trust, &[&spec], &[]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let text = block(&outcome, &spec);
    let address = format!(
        "\n  address      {}, authenticated as a.wild.test by *.wild.test\n",
        server.address()
    );
    contains(
        &text,
        &[
            ": usable\n",
            &address,
            "\n  TLS          1.3, X25519",
            ", TLS_",
            ", ALPN dot\n",
            "\n  certificate  valid until ",
            " days left; for *.wild.test\n",
            "\n  pin          sha256/",
            "\n  time         TCP ",
            ", full handshake ",
            ", resumed ",
            ", answer ",
            "\n  answers      out of order, padded, keepalive 12 s, validates DNSSEC (AD for example.com)",
        ],
    );
    assert!(!text.contains("problem"), "{text}");
    contains(&outcome.stdout, &["valid (not tested: listening)\n"]);

    let outcome = probe(&trust, &[&spec], &["--json", "--probe-name", "signed.test"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let document = json(&outcome);
    is_described(PAGE, &document);
    assert_eq!(document["format"], 1);
    assert_eq!(document["usable"], true);
    let upstream = member(&document, &spec);
    assert_eq!(upstream["scheme"], "tls");
    assert_eq!(upstream["server_name"], "a.wild.test");
    assert_eq!(upstream["host"], Value::Null);
    assert_eq!(upstream["probe_name"], "signed.test");
    assert_eq!(upstream["problem"], Value::Null);
    let one = &upstream["addresses"][0];
    assert_eq!(one["address"], server.address().to_string());
    assert_eq!(one["authenticated"], true);
    assert_eq!(one["matched_name"], "*.wild.test");
    assert_eq!(one["tls"]["version"], "1.3");
    assert_eq!(one["tls"]["alpn"], true);
    assert_eq!(one["certificate"]["names"][0], "*.wild.test");
    assert_eq!(
        one["certificate"]["spki_sha256"].as_str().map(str::len),
        Some(44)
    );
    assert!(one["certificate"]["days_left"].as_i64() > Some(300));
    for time in ["tcp", "full_handshake", "resumed_handshake", "answer"] {
        assert!(one["times_ms"][time].is_f64(), "{time}: {one}");
    }
    assert_eq!(one["resumes"], true);
    let said = &one["answer"];
    assert_eq!(
        (&said["rcode"], &said["reason"]),
        (&"NOERROR".into(), &Value::Null)
    );
    assert_eq!(said["keepalive_ms"], 12_000);
    for able in ["edns", "padding", "authentic_data", "out_of_order"] {
        assert_eq!(said[able], true, "{able}");
    }
}

#[test]
fn what_a_server_does_not_do_is_told() {
    let trust = Trust::new();
    // Everything in order, without EDNS; no tickets; one response a connection.
    let plain = DotServer::with(trust.authority.good())
        .tickets(0)
        .versions(NEW)
        .protocols(&[])
        .script(|query| {
            let has_edns = query.bytes[11] == 1;
            let mut steps = answer(&if has_edns {
                response_to(&query.bytes).rcode(FORMERR)
            } else {
                response_to(&query.bytes).rcode(NXDOMAIN)
            });
            steps.extend((!has_edns).then_some(Step::Fin));
            steps
        })
        .start();
    let old = DotServer::with(trust.authority.good())
        .versions(OLD)
        .start();
    let bare = DotServer::with(trust.authority.good())
        .conduct(|_| Conduct::Plaintext)
        .start();
    let (plain, old) = (plain.spec(), old.spec());
    let tcp = format!("tcp://{}", bare.address());
    let outcome = probe(&trust, &[&plain, &old, &tcp], &["--allow-plaintext"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    contains(
        &block(&outcome, &plain),
        &[
            "sessions are not resumed",
            "out of order not seen, not padded, no keepalive, DNSSEC validation not seen (no AD for example.com), no EDNS",
        ],
    );
    contains(&block(&outcome, &old), &["TLS          1.2, "]);
    let text = block(&outcome, &tcp);
    contains(&text, &["not encrypted, authenticated by nothing"]);
    for absent in ["TLS  ", "certificate", "pin", "handshake"] {
        assert!(!text.contains(absent), "{text}");
    }
}

/// What is wrong with a server.
struct Case {
    /// The word in JSON.
    kind: &'static str,
    /// What the text says, and what to do.
    told: &'static [&'static str],
    spec: String,
}

impl Case {
    fn new(kind: &'static str, told: &'static [&'static str], spec: String) -> Self {
        Self { kind, told, spec }
    }
}

const NOT_TRUSTED: &str = "problem      not authenticated: certificate not trusted: ";

type Bad = (
    &'static str,
    &'static [&'static str],
    fn(&Authority) -> Leaf,
);

const CERTIFICATES: &[Bad] = &[
    (
        "expired",
        &[
            NOT_TRUSTED,
            "certificate  expired at 2001-01-01T00:00:00Z, ",
            "expired at 2001-01-01T00:00:00Z; renew it on the server, or check this machine's clock",
        ],
        Authority::expired,
    ),
    (
        "not_yet_valid",
        &[
            NOT_TRUSTED,
            "certificate  not valid before 2999-01-01T00:00:00Z; ",
            "check this machine's clock, which says ",
        ],
        Authority::not_yet_valid,
    ),
    (
        "wrong_name",
        &[
            NOT_TRUSTED,
            "it is for elsewhere.test, 192.0.2.1, not for dot.test; check the name behind #",
        ],
        Authority::wrong_name,
    ),
    (
        "wrong_name",
        &[
            "certificate  valid until ",
            "for no host names",
            "the common name does not count",
        ],
        Authority::common_name_only,
    ),
    (
        "unknown_issuer",
        &[
            NOT_TRUSTED,
            "unknown issuer; if this is the right server, trust the certificate of its authority (ca-file)",
            "(of a certificate that is not trusted: compare it",
        ],
        |_| Leaf::unknown_authority(),
    ),
    (
        "self_signed",
        &[
            NOT_TRUSTED,
            "self-signed; if this is the right server, trust its certificate",
        ],
        |_| Leaf::self_signed(),
    ),
    (
        "certificate",
        &[
            NOT_TRUSTED,
            "name constraint violation; make a new certificate for the server",
        ],
        |authority| authority.confined_to("elsewhere.test"),
    ),
];

type Scripted = (
    &'static str,
    &'static [&'static str],
    fn(&Received) -> Vec<Step>,
);

const SCRIPTS: &[Scripted] = &[
    (
        "malformed",
        &[
            "what it sends is no DNS response: shorter than a header; check that this is a DNS server",
        ],
        |_| vec![Step::Answer(b"garbage".to_vec())],
    ),
    (
        "malformed",
        &["what it sends is no DNS response: the connection ended within a message"],
        |_| vec![Step::Raw(b"GARBAGE".to_vec()), Step::Fin],
    ),
    (
        "wrong_id",
        &["another message ID than that of the query; do not use this server"],
        |query| {
            let mut message = right_answer(query);
            message[0] ^= 1;
            vec![Step::Answer(message)]
        },
    ),
    (
        "wrong_question",
        &["another question than that of the query; do not use this server"],
        |query| {
            let mut message = right_answer(query);
            message[13] ^= 1;
            vec![Step::Answer(message)]
        },
    ),
    (
        "no_answer",
        &["there is no response to a query in time; "],
        |_| Vec::new(),
    ),
    (
        "closed_without_answer",
        &["no response to a query: closed by the upstream; its access list"],
        |_| vec![Step::CloseNotify, Step::Fin],
    ),
    (
        "closed_without_answer",
        &["no response to a query: connection reset by peer; its access list"],
        |_| vec![Step::Reset],
    ),
    (
        "servfail",
        &[
            "responds to a query for example.com with SERVFAIL (EDE 22: no way\\n); it may not reach",
        ],
        |query| {
            let reason: &[u8] = b"\x00\x16no way\n";
            let response = response_to(&query.bytes).rcode(SERVFAIL);
            answer(&response.edns(1232, 0, &[(15, reason)]))
        },
    ),
    (
        "refused_query",
        &["with REFUSED; its access list does not allow this machine"],
        |query| answer(&response_to(&query.bytes).rcode(REFUSED).without_question()),
    ),
    ("rcode", &["with FORMERR; try another name"], |query| {
        answer(&response_to(&query.bytes).rcode(FORMERR))
    }),
    (
        "no_recursion",
        &["recursion is not available (RA); use a recursive resolver"],
        |query| answer(&response_to(&query.bytes).rcode(NOERROR).off(RA)),
    ),
];

/// All servers that something is wrong with, and what.
struct Broken {
    servers: Vec<DotServer>,
    odd: Vec<Odd>,
    cases: Vec<Case>,
}

impl Broken {
    fn start(trust: &Trust) -> Self {
        let mut all = Self {
            servers: Vec::new(),
            odd: Vec::new(),
            cases: Vec::new(),
        };
        let good = || DotServer::with(trust.authority.good());
        for (kind, told, leaf) in CERTIFICATES {
            all.server(kind, told, DotServer::with(leaf(&trust.authority)).start());
        }
        for (kind, told, script) in SCRIPTS {
            all.server(kind, told, good().script(script).start());
        }
        let conduct = |builder: Builder, conduct| builder.conduct(move |_| conduct).start();
        all.server(
            "refused",
            &[
                "cannot connect: connection refused; nothing listens there, ",
                "DNS over TLS is on this port",
            ],
            good().stopped(),
        );
        all.server(
            "handshake_timeout",
            &["connected, but the server does not respond to TLS; see that DNS over TLS is on"],
            conduct(good(), Conduct::NeverHandshake),
        );
        all.server(
            "closed",
            &[
                "handshake failed: ",
                "; if DNS over TLS is on this port, its access list may not",
            ],
            conduct(good(), Conduct::ResetAfterHello),
        );
        all.odd(
            "closed",
            &["handshake failed: the server closed the connection; if DNS over TLS"],
            says(true, b""),
        );
        all.odd(
            "not_tls",
            &["what the server says is not TLS; check the port: "],
            says(true, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        );
        all.odd(
            "no_common_tls",
            &["the server ended it: protocol version; enable TLS 1.3 or 1.2"],
            // An alert in a record of TLS 1.0: fatal, protocol_version.
            says(true, &[21, 3, 1, 0, 2, 2, 70]),
        );
        all
    }

    fn server(&mut self, kind: &'static str, told: &'static [&'static str], server: DotServer) {
        self.cases.push(Case::new(kind, told, server.spec()));
        self.servers.push(server);
    }

    fn odd(&mut self, kind: &'static str, told: &'static [&'static str], server: Odd) {
        self.cases.push(Case::new(kind, told, server.spec()));
        self.odd.push(server);
    }
}

// fault 36.
#[test]
fn each_way_to_be_broken_is_explained() {
    let trust = Trust::new();
    let good = DotServer::with(trust.authority.good()).start();
    let broken = Broken::start(&trust);
    let good = good.spec();
    let mut specs: Vec<&str> = broken.cases.iter().map(|case| &*case.spec).collect();
    specs.push(&good);

    // Some of these servers keep a probe waiting until its time is over.
    let (outcome, in_json) = std::thread::scope(|scope| {
        let text = scope.spawn(|| probe(&trust, &specs, &[]));
        let in_json = probe(&trust, &specs, &["--json"]);
        (text.join().expect("an outcome"), in_json)
    });
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    contains(&block(&outcome, &good), &[": usable\n"]);
    for case in &broken.cases {
        let text = block(&outcome, &case.spec);
        contains(&text, &[": NOT USABLE\n"]);
        contains(&text, case.told);
        assert!(!text.contains("  answers "), "{text}");
    }

    assert_eq!(in_json.code, Some(1), "{in_json:?}");
    let document = json(&in_json);
    is_described(PAGE, &document);
    assert_eq!(document["usable"], false);
    assert_eq!(member(&document, &good)["usable"], true);
    for case in &broken.cases {
        let upstream = member(&document, &case.spec);
        assert_eq!(upstream["usable"], false, "{upstream}");
        assert_eq!(upstream["problem"]["kind"], case.kind, "{upstream}");
        assert!(PAGE.contains(&format!("`{}`", case.kind)), "{}", case.kind);
        assert_eq!(upstream["addresses"][0]["problem"], upstream["problem"]);
        for part in ["message", "advice"] {
            let text = upstream["problem"][part].as_str();
            assert!(text.is_some_and(|text| !text.is_empty()), "{upstream}");
        }
    }
    for (server, (kind, ..)) in broken.servers.iter().zip(CERTIFICATES) {
        assert_eq!(server.seen().queries.len(), 0, "{kind}");
    }
}

// RFC 8310 section 5, RFC 7858 section 4.2.
#[test]
fn nobody_is_called_authenticated_by_a_name_that_is_not_verified() {
    let trust = Trust::new();
    let start = |leaf| DotServer::with(leaf).start();
    let (own, good) = (Leaf::self_signed(), trust.authority.good());
    let (own_pin, good_pin) = (own.pin(), good.pin());
    let (strange, pinned, both) = (start(trust.authority.wrong_name()), start(own), start(good));
    let cases = [
        (
            strange.address().to_string(),
            "profile=opportunistic".to_owned(),
            "not authenticated (profile=opportunistic)",
            (false, Value::Null),
        ),
        (
            pinned.address().to_string(),
            format!("pin-sha256={own_pin}"),
            "verified by its public key",
            (true, Value::Null),
        ),
        (
            both.spec(),
            format!("pin-sha256={good_pin}"),
            "authenticated as dot.test and by a public key",
            (true, NAME.into()),
        ),
    ];
    for (label, parameter, told, (authenticated, matched)) in cases {
        let spec = format!("{label}?{parameter}");
        let outcome = probe(&trust, &[&spec], &[]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let text = block(&outcome, &label);
        contains(&text, &[": usable\n", &format!(", {told}\n")]);
        let compare = "(of a certificate that is not trusted: compare it";
        assert_eq!(text.contains(compare), !authenticated, "{text}");
        let outcome = probe(&trust, &[&spec], &["--json"]);
        let document = json(&outcome);
        let one = &member(&document, &label)["addresses"][0];
        assert_eq!(one["authenticated"], authenticated, "{one}");
        assert_eq!(one["matched_name"], matched, "{one}");
    }
}

#[test]
fn an_upstream_of_a_route_is_asked_for_its_domain() {
    let trust = Trust::new();
    let (first, second) = (
        DotServer::with(trust.authority.good()).start(),
        DotServer::with(trust.authority.good()).start(),
    );
    let folder = TempDir::new();
    let file = folder.path().join("dotward.toml");
    let text = format!(
        "upstream = \"{}\"\nca-file = \"{}\"\n[[route]]\ndomain = \"corp.test\"\nupstreams = \"{}\"\n",
        first.spec(),
        trust.root,
        second.spec()
    );
    fs::write(&file, text).expect("written");
    let file = file.display().to_string();
    let outcome = run(command(&["check", "--probe", "--json", "--config", &file]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let document = json(&outcome);
    assert_eq!(
        member(&document, &first.spec())["probe_name"],
        "example.com"
    );
    assert_eq!(member(&document, &second.spec())["probe_name"], "corp.test");
    let asked = &second.seen().queries;
    assert!(asked.iter().all(|query| {
        query.bytes[12..]
            .windows(10)
            .any(|part| part == b"\x04corp\x04test")
    }));
}

#[test]
fn an_upstream_given_by_name_is_looked_up_as_at_the_start() {
    let trust = Trust::new();
    let server = DotServer::with(trust.authority.good()).start();
    let bootstrap = DotServer::with(trust.authority.good())
        .conduct(|_| Conduct::Plaintext)
        .script(|query| {
            // The port is in the upstream. The server listens on the first of these addresses only.
            if query.bytes[query.bytes.len() - 3] == 1 {
                answer(&response_to(&query.bytes).a(300, [127, 0, 0, 1]))
            } else {
                answer(&response_to(&query.bytes).answer(AAAA, 300, &Ipv6Addr::LOCALHOST.octets()))
            }
        })
        .start();
    let spec = format!("tls://{NAME}:{}", server.address().port());
    let resolver = bootstrap.address().to_string();
    let outcome = probe(&trust, &[&spec], &["--bootstrap", &resolver]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let address = format!(
        "address      {} (1 of 2 addresses are usable), authenticated as {NAME}\n",
        server.address()
    );
    let other = format!(
        "problem      [::1]:{}: cannot connect: ",
        server.address().port()
    );
    contains(&block(&outcome, &spec), &[": usable\n", &address, &other]);

    let refusing = DotServer::with(trust.authority.good())
        .conduct(|_| Conduct::Plaintext)
        .script(|query| answer(&response_to(&query.bytes).rcode(NXDOMAIN)))
        .start();
    let resolver = refusing.address().to_string();
    let outcome = probe(&trust, &[&spec], &["--bootstrap", &resolver]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    contains(
        &block(&outcome, &spec),
        &[
            "problem      address not found: NXDOMAIN for dot.test; check the name, and the resolvers that find it",
        ],
    );
    let outcome = probe(&trust, &[&spec], &["--bootstrap", &resolver, "--json"]);
    let document = json(&outcome);
    let upstream = member(&document, &spec);
    assert_eq!(upstream["host"], NAME);
    assert_eq!(upstream["problem"]["kind"], "unresolved");
    assert_eq!(upstream["addresses"], Value::Array(Vec::new()));
}

#[test]
fn a_configuration_that_is_wrong_is_not_probed() {
    for args in [
        &["check", "--probe", "--upstream", "nobody"][..],
        &["check", "--json"],
        &["check", "--probe", "--probe-name", "a..b"],
    ] {
        let outcome = run(command(args));
        assert_eq!(
            (outcome.code, &*outcome.stdout),
            (Some(2), ""),
            "{outcome:?}"
        );
    }
}
