//! `dotward query`: what it shows of answers, of what they took, and of servers that give none.

use serde_json::Value;

use crate::probe::{contains, is_described, json};
use crate::support::codes::{AD, NXDOMAIN, REFUSED, SERVFAIL, TXT};
use crate::support::command::{Outcome, command, run};
use crate::support::messages::{Message, response_to};
use crate::support::script::{Conduct, Gate, Received, Step};
use crate::support::setup::{Setup, Trust};
use crate::support::upstream::DotServer;

/// What describes the JSON.
const PAGE: &str = include_str!("../docs/query.md");
const NAME: &str = "www.example.test";

/// Asks for a name with these further arguments.
fn query(trust: &Trust, more: &[&str]) -> Outcome {
    let mut args = vec!["query", NAME, "--ca-file", &trust.root];
    args.extend(more);
    run(command(&args))
}

fn answer(message: &Message) -> Vec<Step> {
    vec![Step::Answer(message.build())]
}

/// A server whose answers have these last octets of addresses.
fn with_hosts(trust: &Trust, hosts: &'static [u8]) -> DotServer {
    let script = move |query: &Received| {
        let response = response_to(&query.bytes);
        answer(
            &hosts
                .iter()
                .fold(response, |it, host| it.a(300, [192, 0, 2, *host])),
        )
    };
    DotServer::with(trust.authority.good())
        .script(script)
        .start()
}

/// A server that responds with this code.
fn with_code(trust: &Trust, rcode: u16) -> DotServer {
    let script = move |query: &Received| answer(&response_to(&query.bytes).rcode(rcode));
    DotServer::with(trust.authority.good())
        .script(script)
        .start()
}

// req 119
#[test]
fn the_records_and_what_they_took_are_shown() {
    let trust = Trust::new();
    let server = DotServer::with(trust.authority.good())
        .script(|query| {
            let keepalive = 120_u16.to_be_bytes();
            let options: [(u16, &[u8]); 3] =
                [(11, &keepalive), (12, &[0; 40]), (15, b"\x00\x03old")];
            let response = response_to(&query.bytes).on(AD).a(300, [192, 0, 2, 1]);
            answer(&response.edns(1232, 0, &options))
        })
        .start();
    let spec = server.spec();
    let outcome = query(&trust, &["--server", &spec]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    contains(
        &outcome.stdout,
        &[
            ";; www.example.test.\tIN\tA\n",
            ";; NOERROR; qr rd ra ad\n;; answer\nwww.example.test.\t300\tIN\tA\t192.0.2.1\n",
            "\n;; EDE 3 (Stale Answer): old\n",
            "\n;; EDNS: version 0, UDP up to 1232 octets, keepalive 12 s\n",
            &format!(
                "\n;; from {} by tls, {spec}, authenticated as dot.test\n",
                server.address()
            ),
            "\n;; TLS 1.3, X25519",
            "\n;; time: TCP ",
            " ms, handshake ",
            " ms, answer ",
            " ms, resumed handshake ",
            "\n;; size: query 128 octets padded to a multiple of 128, response ",
            ", 40 of them padding\n",
        ],
    );
    // All but the records are comments of a zone file.
    let records: Vec<&str> = (outcome.stdout.lines())
        .filter(|line| !line.starts_with(';'))
        .collect();
    assert_eq!(records, ["www.example.test.\t300\tIN\tA\t192.0.2.1"]);
    assert_eq!(outcome.stderr, "");

    let outcome = query(&trust, &["--server", &spec, "--json"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let document = json(&outcome);
    is_described(PAGE, &document);
    assert_eq!(document["format"], 1);
    assert_eq!(
        (&document["name"], &document["type"]),
        (&"www.example.test.".into(), &"A".into())
    );
    assert_eq!(
        (&document["answered"], &document["same"]),
        (&true.into(), &Value::Null)
    );
    let one = &document["servers"][0];
    assert_eq!(one["server"], spec.as_str());
    assert_eq!(one["address"], server.address().to_string());
    assert_eq!(
        (&one["authenticated"], &one["resumes"]),
        (&true.into(), &true.into())
    );
    for time in ["tcp", "handshake", "resumed_handshake", "answer"] {
        assert!(one["times_ms"][time].is_f64(), "{time}: {one}");
    }
    assert_eq!(one["octets"]["query"], 128);
    assert_eq!(one["octets"]["query_padded_to"], 128);
    let response = &one["response"];
    assert_eq!(response["rcode"], "NOERROR");
    let record = &response["answer"][0];
    assert_eq!(
        (&record["data"], &record["ttl"]),
        (&"192.0.2.1".into(), &300.into())
    );
    assert_eq!(response["edns"]["padding"], 40);
    assert_eq!(response["edns"]["ede"][0]["code"], 3);
    assert_eq!(response["edns"]["ede"][0]["text"], "old");
}

#[test]
fn the_exit_code_says_whether_an_answer_came() {
    let trust = Trust::new();
    let (no_name, failing) = (with_code(&trust, NXDOMAIN), with_code(&trust, SERVFAIL));
    let stopped = DotServer::with(trust.authority.good()).stopped();
    for (spec, code, part) in [
        (no_name.spec(), 0, ";; NXDOMAIN; qr rd ra\n"),
        (failing.spec(), 1, ";; SERVFAIL; qr rd ra\n"),
        (stopped.spec(), 1, ": no response from "),
    ] {
        let outcome = query(&trust, &["--server", &spec]);
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        contains(&outcome.stdout, &[part]);
    }
    let outcome = query(&trust, &["--server", "nobody"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(2), ""),
        "{outcome:?}"
    );
    contains(&outcome.stderr, &["dotward: --server \"nobody\": "]);
}

#[test]
fn the_next_upstream_is_asked_when_one_does_not_respond() {
    let trust = Trust::new();
    let stopped = DotServer::with(trust.authority.good()).stopped();
    let (refusing, good) = (with_code(&trust, REFUSED), with_hosts(&trust, &[1]));
    let specs = [stopped.spec(), good.spec()].join(",");
    let outcome = query(&trust, &["--upstream", &specs]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    contains(
        &outcome.stdout,
        &["no response from", "connection refused", "\tA\t192.0.2.1\n"],
    );
    // A response of whatever kind is what one wants to see.
    let specs = [refusing.spec(), good.spec()].join(",");
    let outcome = query(&trust, &["--upstream", &specs]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_eq!(good.seen().queries.len(), 1);
}

#[test]
fn all_servers_are_compared() {
    let trust = Trust::new();
    let (one, other) = (with_hosts(&trust, &[1, 2]), with_hosts(&trust, &[3, 1]));
    let specs = [one.spec(), other.spec()].join(",");
    let outcome = query(&trust, &["--all", "--server", &specs]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    contains(
        &outcome.stdout,
        &[
            &format!(
                ";; 1 {}: NOERROR; qr rd ra; from {} by tls; TCP ",
                one.spec(),
                one.address()
            ),
            &format!(";; 2 {}: NOERROR; ", other.spec()),
            ";; the answers DIFFER\n;; from all that have responded\nwww.example.test.\t300\tIN\tA\t192.0.2.1\n",
            ";; 1 2\n;; + -  www.example.test.\t300\tIN\tA\t192.0.2.2\n;; - +  www.example.test.\t300\tIN\tA\t192.0.2.3\n",
        ],
    );
    let failing = with_code(&trust, SERVFAIL);
    let specs = [one.spec(), other.spec(), failing.spec()].join(",");
    let outcome = query(&trust, &["--all", "--json", "--server", &specs]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let document = json(&outcome);
    is_described(PAGE, &document);
    assert_eq!(
        (&document["answered"], &document["same"]),
        (&false.into(), &false.into())
    );
    let answered = document["servers"].as_array().expect("an array").iter();
    let answered: Vec<&Value> = answered.map(|one| &one["answered"]).collect();
    assert_eq!(answered, [&true, &true, &false]);
}

// req 120
#[test]
fn a_server_that_is_not_authenticated_is_asked_nothing() {
    let trust = Trust::new();
    let wrong = DotServer::with(trust.authority.wrong_name()).start();
    let outcome = query(&trust, &["--server", &wrong.spec(), "--json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let document = json(&outcome);
    is_described(PAGE, &document);
    assert_eq!(document["servers"][0]["problem"]["kind"], "wrong_name");
    assert_eq!(wrong.seen().queries.len(), 0);
}

#[test]
fn a_dotward_that_runs_here_is_asked_in_the_clear() {
    let setup = Setup::answering();
    let trust = Trust::new();
    let address = setup.address();
    // That of keepalive is four octets long, and of no use over UDP.
    for (scheme, octets) in [("udp", 45), ("tcp", 49)] {
        let spec = format!("{scheme}://{address}");
        let outcome = query(&trust, &["--server", &spec]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        contains(
            &outcome.stdout,
            &[
                "\nwww.example.test.\t",
                &format!(
                    "\n;; from {address} by {scheme}, {spec}, not encrypted, authenticated by nothing\n"
                ),
            ],
        );
        // What is not encrypted is not padded.
        contains(
            &outcome.stdout,
            &[&format!("\n;; size: query {octets} octets, ")],
        );
    }
    assert_eq!(setup.upstream.seen().queries.len(), 1);
}

#[test]
fn what_is_asked_is_what_was_typed() {
    let trust = Trust::new();
    let server = with_hosts(&trust, &[]);
    let asked = |args: &[&str]| {
        let mut all = vec![
            "query",
            "--ca-file",
            &trust.root,
            "--padding",
            "off",
            "--server",
        ];
        let spec = server.spec();
        all.push(&spec);
        all.extend(args);
        let outcome = run(command(&all));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        server.last_query().bytes[12..].to_vec()
    };
    let plain = asked(&["a.test", "TYPE65280"]);
    assert!(
        plain.starts_with(b"\x01a\x04test\x00\xff\x00\x00\x01"),
        "{plain:?}"
    );
    // The flags of the OPT record have DO only if it is asked for.
    let opt = |query: &[u8]| query[19..21].to_vec();
    assert_eq!(opt(&plain), [0, 0]);
    let signed = asked(&["a.test", "--dnssec"]);
    assert_eq!(opt(&signed), [0x80, 0]);
    let reverse = asked(&["-x", "192.0.2.1"]);
    assert!(
        reverse.starts_with(b"\x011\x012\x010\x03192\x07in-addr\x04arpa\x00\x00\x0c"),
        "{reverse:?}"
    );
}

// fault 153
#[test]
fn no_server_controls_the_terminal() {
    let trust = Trust::new();
    let server = DotServer::with(trust.authority.good())
        .script(|query| {
            let response = response_to(&query.bytes).answer(TXT, 300, b"\x06\x1b[2J\xc2\x9b");
            answer(&response.edns(1232, 0, &[(15, b"\x00\x00\x1b]0;x\x07")]))
        })
        .start();
    for more in [
        &["--server", &*server.spec()][..],
        &["--all", "--json", "--server", &server.spec()],
    ] {
        let outcome = query(&trust, more);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        contains(&outcome.stdout, &["027[2J"]);
        let controls = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        assert!(!outcome.stdout.contains(controls), "{outcome:?}");
    }
}

// fault 154
#[test]
fn a_silent_server_is_waited_for_no_longer_than_the_time_limit() {
    let trust = Trust::new();
    let gate = Gate::new();
    let held = gate.clone();
    let silent = DotServer::with(trust.authority.good())
        .script(move |_| vec![Step::HoldUntil(held.clone())])
        .start();
    let mute = DotServer::with(trust.authority.good())
        .conduct(|_| Conduct::NeverHandshake)
        .start();
    let specs = [silent.spec(), mute.spec()].join(",");
    let limit = ["--timeout", "300ms", "--json", "--server", &specs];
    for (more, asked) in [(&[][..], 2), (&["--all"][..], 2)] {
        let outcome = query(&trust, &[&limit[..], more].concat());
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        let document = json(&outcome);
        let servers = document["servers"].as_array().expect("an array");
        assert_eq!(servers.len(), asked);
        assert_eq!(servers[0]["problem"]["kind"], "no_answer");
        assert_eq!(servers[1]["problem"]["kind"], "handshake_timeout");
    }
}

// fault 155
#[test]
fn what_is_no_dns_response_is_told() {
    let trust = Trust::new();
    let server = DotServer::with(trust.authority.good())
        .script(|query| {
            let mut cut = response_to(&query.bytes).a(300, [192, 0, 2, 1]).build();
            cut.truncate(cut.len() - 2);
            vec![Step::Answer(cut)]
        })
        .start();
    let outcome = query(&trust, &["--server", &server.spec()]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    contains(
        &outcome.stdout,
        &["no response from", "what it sends is no DNS response"],
    );
}
