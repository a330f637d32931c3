//! Each counter is seen to count: here by the program and real sockets, or in another test where it takes more than these.

use std::collections::BTreeSet;
use std::path::Path;

use super::Stand;
use crate::support::authority::Leaf;
use crate::support::checks::{canary, load, rcode_of};
use crate::support::client::{TcpClient, UdpClient};
use crate::support::codes::{A, NOERROR, NXDOMAIN, SERVFAIL, TC, TXT};
use crate::support::messages::{query, response_to};
use crate::support::script::{Conduct, Gate, Received, Step, gated, right_answer};
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;

/// What this file does not provoke, the counter of the core behind it, and a test that does.
const ELSEWHERE: [(&str, &str, &str); 12] = [
    (
        "dotward_captive_questions_total",
        "captive_asked",
        "tests/virtual_time/captive.rs",
    ),
    (
        "dotward_answers_total{source=\"captive\"}",
        "captive_answered",
        "tests/virtual_time/captive.rs",
    ),
    (
        "dotward_query_log_lost_total",
        "unlogged",
        "tests/query_log.rs",
    ),
    (
        "dotward_limit_hits_total{bound=\"in_flight_per_client\"}",
        "shed_per_client",
        "tests/virtual_time/crowds.rs",
    ),
    (
        "dotward_limit_hits_total{bound=\"udp_send\"}",
        "unsent",
        "tests/simulator/watch.rs",
    ),
    (
        "dotward_extra_queries_total{purpose=\"prefetch\"}",
        "prefetches",
        "tests/virtual_time/cache.rs",
    ),
    (
        "dotward_extra_queries_total{purpose=\"hedge\"}",
        "hedges",
        "tests/virtual_time/choosing.rs",
    ),
    (
        "dotward_extra_queries_total{purpose=\"probe\"}",
        "probes",
        "tests/virtual_time/choosing.rs",
    ),
    (
        "dotward_failures_total{reason=\"ending\"}",
        "failed_ending",
        "tests/decisions/asking.rs",
    ),
    (
        "dotward_renewed_connects_total",
        "renewed",
        "src/engine/upstreams/tests.rs",
    ),
    (
        "dotward_retired_connections_total",
        "retired",
        "tests/virtual_time/outages.rs",
    ),
    (
        "dotward_rerouted_connections_total",
        "rerouted",
        "tests/virtual_time/networks.rs",
    ),
];

/// Asks over UDP, and gives the response code.
fn ask(stand: &Stand, asked: &[u8]) -> u16 {
    rcode_of(&UdpClient::new(stand.address()).ask(asked))
}

/// The program in front of an upstream that follows this script.
fn scripted(
    script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static,
    more: &[&str],
) -> Stand {
    Stand::new(|upstream| upstream.script(script), more)
}

#[test]
fn queries_count_by_protocol_and_answers_by_source() {
    let stand = Stand::new(|upstream| upstream, &[]);
    canary(stand.address(), "a.test");
    canary(stand.address(), "a.test");
    let asked = query("b.test", A).build();
    assert_eq!(
        rcode_of(&TcpClient::new(stand.address()).ask(&asked)),
        NOERROR
    );
    assert_eq!(ask(&stand, &query("localhost", A).build()), NOERROR);
    assert_eq!(ask(&stand, &query("x.invalid", A).build()), NXDOMAIN);
    // A type that simple-dns does not know.
    ask(&stand, &query("c.test", 65_280).build());
    let client = UdpClient::new(stand.address());
    client.send(b"no query");
    stand.wait("dotward_dropped_messages_total", 1.0);
    for (series, value) in [
        ("dotward_queries_total{protocol=\"udp\"}", 5.0),
        ("dotward_queries_total{protocol=\"tcp\"}", 1.0),
        ("dotward_answers_total{source=\"cache\"}", 1.0),
        ("dotward_answers_total{source=\"local\"}", 2.0),
        ("dotward_answers_total{source=\"upstream\"}", 3.0),
        ("dotward_opaque_queries_total", 1.0),
        (
            "dotward_responses_total{protocol=\"udp\",rcode=\"NOERROR\"}",
            4.0,
        ),
        (
            "dotward_responses_total{protocol=\"udp\",rcode=\"NXDOMAIN\"}",
            1.0,
        ),
        (
            "dotward_responses_total{protocol=\"tcp\",rcode=\"NOERROR\"}",
            1.0,
        ),
        ("dotward_cache_insertions_total", 2.0),
        ("dotward_cache_entries", 2.0),
        ("dotward_answer_seconds_count", 3.0),
        ("dotward_answer_seconds_bucket{le=\"+Inf\"}", 3.0),
        ("dotward_upstream_queries_total{UPSTREAM}", 3.0),
        ("dotward_upstream_answers_total{UPSTREAM}", 3.0),
        (
            "dotward_upstream_handshakes_total{UPSTREAM,authentication=\"opportunistic\"}",
            0.0,
        ),
        ("dotward_upstream_healthy{UPSTREAM}", 1.0),
    ] {
        assert_eq!(stand.value(series), Some(value), "{series}");
    }
    // On a slow machine there may be a second connect.
    for series in [
        "dotward_upstream_connects_total{UPSTREAM}",
        "dotward_upstream_established_total{UPSTREAM}",
        "dotward_upstream_handshakes_total{UPSTREAM,authentication=\"verified\"}",
        "dotward_upstream_connections{UPSTREAM,state=\"up\"}",
    ] {
        stand.wait(series, 1.0);
    }
    let round_trip = stand.value("dotward_upstream_round_trip_seconds{UPSTREAM}");
    assert!(
        round_trip.is_some_and(|time| time > 0.0 && time < 10.0),
        "{round_trip:?}"
    );
    let sum = stand.value("dotward_answer_seconds_sum").expect("a sum");
    assert!(sum > 0.0 && sum < 30.0, "{sum}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("a time").as_secs_f64();
    let end = stand.value("dotward_upstream_certificate_expiry_timestamp_seconds{UPSTREAM}");
    assert!(end.is_some_and(|end| end > now), "{end:?}");
    let started = stand.value("process_start_time_seconds").expect("a time");
    assert!((now - 60.0..=now).contains(&started), "{started}");
}

#[test]
fn refusals_count_by_reason() {
    let stand = Stand::new(|upstream| upstream, &[]);
    ask(&stand, &query("a.test", A).counts([2, 0, 0, 0]).build());
    // A zone transfer, and a version of EDNS that there is not: BADVERS, 16, which the header shows as 0.
    ask(&stand, &query("b.test", 252).build());
    ask(&stand, &query("c.test", A).edns(1232, 1 << 16, &[]).build());
    for (series, value) in [
        ("dotward_refusals_total{reason=\"malformed\"}", 1.0),
        ("dotward_refusals_total{reason=\"unsupported\"}", 2.0),
        (
            "dotward_responses_total{protocol=\"udp\",rcode=\"FORMERR\"}",
            1.0,
        ),
        (
            "dotward_responses_total{protocol=\"udp\",rcode=\"EXTENDED\"}",
            1.0,
        ),
        (
            "dotward_responses_total{protocol=\"udp\",rcode=\"NOERROR\"}",
            0.0,
        ),
    ] {
        assert_eq!(stand.value(series), Some(value), "{series}");
    }
    let stand = Stand::new(|upstream| upstream, &["--allow-net", "10.0.0.0/8"]);
    ask(&stand, &query("a.test", A).build());
    stand.wait("dotward_refusals_total{reason=\"denied\"}", 1.0);
    stand.wait(
        "dotward_responses_total{protocol=\"udp\",rcode=\"REFUSED\"}",
        1.0,
    );
}

#[test]
fn what_is_in_flight_is_joined_and_measured() {
    let gate = Gate::new();
    let stand = scripted(gated(&gate, "slow"), &[]);
    let (first, second) = (
        UdpClient::new(stand.address()),
        UdpClient::new(stand.address()),
    );
    let asked = query("slow.test", A).build();
    first.send(&asked);
    first.send(&asked);
    second.send(&asked);
    stand.wait("dotward_repeated_queries_total", 1.0);
    stand.wait("dotward_joined_queries_total", 1.0);
    stand.upstreams[0].wait("it", |seen| !seen.queries.is_empty());
    for (series, value) in [
        ("dotward_queries_in_flight", 2.0),
        ("dotward_upstream_in_flight{UPSTREAM}", 1.0),
        ("dotward_transactions_waiting", 0.0),
    ] {
        assert_eq!(stand.value(series), Some(value), "{series}");
    }
    assert!(stand.value("dotward_query_memory_bytes") > Some(0.0));
    gate.open();
    first.receive();
    second.receive();
    stand.wait("dotward_answers_total{source=\"upstream\"}", 2.0);
    // One transaction, for both.
    stand.wait("dotward_answer_seconds_count", 1.0);
    assert_eq!(stand.value("dotward_queries_in_flight"), Some(0.0));
}

/// The program before an upstream, and a query to it that comes to nothing.
fn failing(upstream: DotServer, trust: Trust) -> Stand {
    let stand = Stand::with(trust, vec![upstream], "", &["--timeout", "500ms"]);
    assert_eq!(ask(&stand, &query("a.test", A).build()), SERVFAIL);
    stand.wait(
        "dotward_responses_total{protocol=\"udp\",rcode=\"SERVFAIL\"}",
        1.0,
    );
    stand
}

#[test]
fn connects_that_fail_count_by_reason() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).stopped();
    let stand = failing(upstream, trust);
    stand.wait("dotward_failures_total{reason=\"not_connected\"}", 1.0);
    stand.wait(
        "dotward_upstream_connect_failures_total{UPSTREAM,reason=\"unreachable\"}",
        1.0,
    );
    stand.wait("dotward_answer_seconds_count", 1.0);
    assert_eq!(stand.value("dotward_upstream_healthy{UPSTREAM}"), Some(0.0));

    let upstream = DotServer::with(Leaf::unknown_authority()).start();
    let stand = failing(upstream, Trust::new());
    stand.wait(
        "dotward_upstream_connect_failures_total{UPSTREAM,reason=\"not_authenticated\"}",
        1.0,
    );
    assert_eq!(
        stand.value("dotward_upstream_established_total{UPSTREAM}"),
        Some(0.0)
    );

    let trust = Trust::new();
    let conduct = |conduct| DotServer::with(trust.authority.good()).conduct(move |_| conduct);
    let (silent, rude) = (
        conduct(Conduct::NeverHandshake),
        conduct(Conduct::ResetAfterHello),
    );
    let stand = failing(silent.start(), Trust::new());
    stand.wait(
        "dotward_upstream_connect_failures_total{UPSTREAM,reason=\"timed_out\"}",
        1.0,
    );
    let stand = failing(rude.start(), Trust::new());
    stand.wait(
        "dotward_upstream_connect_failures_total{UPSTREAM,reason=\"handshake\"}",
        1.0,
    );
}

#[test]
fn a_name_that_is_not_found_counts() {
    let trust = Trust::new();
    let nobody = DotServer::with(trust.authority.good()).stopped();
    let bootstrap = nobody.address().to_string();
    let more = ["--admin", "127.0.0.1:0", "--bootstrap", &bootstrap];
    let proxy = trust.proxy(&["tls://dot.test"], &more);
    let stand = Stand {
        admin: super::admin_of(&proxy),
        proxy,
        upstreams: Vec::new(),
        _trust: trust,
    };
    assert_eq!(ask(&stand, &query("a.test", A).build()), SERVFAIL);
    stand.wait(
        "dotward_upstream_connect_failures_total{UPSTREAM,reason=\"name_not_found\"}",
        1.0,
    );
}

#[test]
fn queries_that_fail_count_by_reason() {
    let stand = scripted(|_| Vec::new(), &["--timeout", "500ms"]);
    stand.wait("dotward_upstream_established_total{UPSTREAM}", 1.0);
    assert_eq!(ask(&stand, &query("a.test", A).build()), SERVFAIL);
    stand.wait("dotward_failures_total{reason=\"not_answered\"}", 1.0);

    let stand = scripted(|_| vec![Step::Reset], &["--timeout", "1s"]);
    assert_eq!(ask(&stand, &query("a.test", A).build()), SERVFAIL);
    stand.wait("dotward_failures_total{reason=\"connection_lost\"}", 1.0);
    stand.wait("dotward_upstream_lost_connections_total{UPSTREAM}", 1.0);
    stand.wait("dotward_extra_queries_total{purpose=\"repetition\"}", 1.0);

    let malformed = |asked: &Received| {
        let mut answer = right_answer(asked);
        answer.truncate(answer.len() - 3);
        vec![Step::Answer(answer)]
    };
    let stand = scripted(malformed, &["--timeout", "1s"]);
    assert_eq!(ask(&stand, &query("a.test", A).build()), SERVFAIL);
    stand.wait("dotward_bad_answers_total{reason=\"malformed\"}", 1.0);
    stand.wait("dotward_failures_total{reason=\"malformed\"}", 1.0);

    let truncated = |asked: &Received| vec![Step::Answer(response_to(&asked.bytes).on(TC).build())];
    let stand = scripted(truncated, &[]);
    let asked = query("a.test", A).build();
    assert_eq!(
        rcode_of(&TcpClient::new(stand.address()).ask(&asked)),
        SERVFAIL
    );
    stand.wait("dotward_failures_total{reason=\"truncated\"}", 1.0);
    stand.wait(
        "dotward_responses_total{protocol=\"tcp\",rcode=\"SERVFAIL\"}",
        1.0,
    );
}

#[test]
fn a_message_that_answers_nothing_counts() {
    let stand = scripted(
        |asked| {
            let right = right_answer(asked);
            let mut other = right.clone();
            other[1] ^= 1;
            vec![Step::Answer(other), Step::Answer(right)]
        },
        &[],
    );
    canary(stand.address(), "a.test");
    stand.wait("dotward_bad_answers_total{reason=\"unmatched\"}", 1.0);
}

#[test]
fn upstreams_that_answer_with_failures_are_passed_over() {
    let failure = |asked: &Received| {
        let answer = response_to(&asked.bytes).rcode(SERVFAIL);
        vec![Step::Answer(answer.build())]
    };
    let stand = scripted(failure, &[]);
    for number in 0..17 {
        ask(&stand, &query(&format!("a{number}.test"), A).build());
    }
    stand.wait("dotward_upstream_useless_answers_total{UPSTREAM}", 16.0);
    stand.wait("dotward_upstream_passed_over_total{UPSTREAM}", 1.0);
    assert_eq!(stand.value("dotward_upstream_healthy{UPSTREAM}"), Some(0.0));
    let status = stand.get("/api/status").body;
    assert!(status.contains("\"state\":\"unhealthy\""), "{status}");
}

#[test]
fn handshakes_count_by_what_they_show() {
    let hang_up = |asked: &Received| {
        let answer = Step::Answer(right_answer(asked));
        vec![answer, Step::CloseNotify, Step::Fin]
    };
    let stand = scripted(hang_up, &[]);
    for name in ["a.test", "b.test", "c.test"] {
        canary(stand.address(), name);
    }
    stand.wait("dotward_upstream_resumed_handshakes_total{UPSTREAM}", 1.0);
    let verified = "dotward_upstream_handshakes_total{UPSTREAM,authentication=\"verified\"}";
    assert_eq!(
        stand.value(verified),
        stand.value("dotward_upstream_established_total{UPSTREAM}")
    );

    let upstream = DotServer::with(Leaf::self_signed()).start();
    let opportunistic = "?profile=opportunistic";
    let stand = Stand::with(Trust::new(), vec![upstream], opportunistic, &[]);
    canary(stand.address(), "a.test");
    stand.wait(
        "dotward_upstream_handshakes_total{UPSTREAM,authentication=\"opportunistic\"}",
        1.0,
    );
    assert_eq!(stand.value(verified), Some(0.0));
    assert_eq!(stand.get("/readyz").status, 200, "as configured");
}

#[test]
fn what_is_beyond_a_bound_counts() {
    let gate = Gate::new();
    let stand = scripted(gated(&gate, "slow"), &["--max-in-flight", "10"]);
    let client = UdpClient::new(stand.address());
    for id in 0..11 {
        client.send(&query(&format!("slow{id}.test"), A).id(id).build());
    }
    stand.wait("dotward_limit_hits_total{bound=\"in_flight\"}", 1.0);
    // The client that has most of them gives way to another one.
    let other = UdpClient::new(stand.address());
    other.send(&query("slow-other.test", A).build());
    stand.wait("dotward_limit_hits_total{bound=\"yielded\"}", 1.0);
    assert_eq!(
        stand.value("dotward_limit{bound=\"in_flight\"}"),
        Some(10.0)
    );
    gate.open();

    let gate = Gate::new();
    let stand = scripted(gated(&gate, "slow"), &["--max-tcp-connections", "1"]);
    let busy = TcpClient::new(stand.address());
    busy.send(&query("slow.test", A).build());
    stand.upstreams[0].wait("it", |seen| !seen.queries.is_empty());
    assert_eq!(stand.value("dotward_tcp_clients"), Some(1.0));
    let refused = TcpClient::new(stand.address());
    assert_eq!(refused.receive(), None);
    stand.wait("dotward_limit_hits_total{bound=\"tcp_connections\"}", 1.0);
    gate.open();
}

#[test]
fn a_client_that_reads_nothing_is_closed_and_counts() {
    let gate = Gate::new();
    let held = gate.clone();
    let large = move |asked: &Received| {
        let answer = response_to(&asked.bytes).fill(60_000).build();
        vec![Step::HoldUntil(held.clone()), Step::Answer(answer)]
    };
    // That is memory for 512 queries, and for 2 MiB of responses that clients have not read; the system takes some megabytes more.
    let more = [
        "--queue-size",
        "4M",
        "--max-tcp-in-flight",
        "200",
        "--timeout",
        "20s",
    ];
    let stand = scripted(large, &more);
    let client = TcpClient::new(stand.address());
    for id in 0..200 {
        client.send(&query(&format!("a{id}.test"), TXT).id(id).build());
    }
    stand.upstreams[0].wait("all", |seen| seen.queries.len() >= 200);
    gate.open();
    stand.wait("dotward_limit_hits_total{bound=\"client_memory\"}", 1.0);
}

#[test]
fn a_full_cache_evicts() {
    let stand = Stand::new(|upstream| upstream, &["--cache-size", "64k"]);
    load(stand.address(), "many", 1_000, 16);
    stand.wait("dotward_cache_evictions_total", 1.0);
    let limit = stand.value("dotward_cache_limit_bytes");
    assert_eq!(limit, Some(65_536.0));
    assert!(stand.value("dotward_cache_bytes") <= limit);
}

#[test]
fn an_answer_out_of_date_counts_as_stale() {
    let short = |asked: &Received| {
        let answer = response_to(&asked.bytes).a(1, [192, 0, 2, 1]);
        vec![Step::Answer(answer.build())]
    };
    let mut stand = scripted(short, &[]);
    assert_eq!(ask(&stand, &query("a.test", A).build()), NOERROR);
    stand.upstreams[0].stop();
    // It is out of date after a second.
    while stand.value("dotward_answers_total{source=\"stale\"}") == Some(0.0) {
        assert_eq!(ask(&stand, &query("a.test", A).build()), NOERROR);
    }
}

/// The series of counters that a program has, with `UPSTREAM` for the label of its upstream.
fn counters(stand: &Stand) -> BTreeSet<String> {
    let text = stand.get("/metrics").body;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let counters = types.filter_map(|line| line.strip_suffix(" counter"));
    let counters: BTreeSet<String> = counters.map(|name| format!("{name}_total")).collect();
    let label = format!("upstream=\"{}\"", stand.label());
    let is_counter = |series: &String| counters.contains(series.split('{').next().unwrap_or(""));
    let series = stand.metrics().into_keys().filter(is_counter);
    series.map(|one| one.replace(&label, "UPSTREAM")).collect()
}

#[test]
fn each_counter_is_provoked_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("a file");
    let here = read("tests/admin/counters.rs").replace('\\', "");
    let (_, tests) = here.split_once("\n];\n").expect("the tests");
    let stand = Stand::new(|upstream| upstream, &[]);
    let all = counters(&stand);
    assert!(all.len() > 50, "{all:?}");
    for series in &all {
        // Each code is a value of the same table; those that are provoked are of both protocols.
        let is_code = series.starts_with("dotward_responses_total{");
        let elsewhere = ELSEWHERE.iter().any(|(other, ..)| other == series);
        let provoked = tests.contains(&format!("\"{series}\""));
        assert!(is_code || elsewhere != provoked, "{series}");
    }
    for (series, counter, path) in ELSEWHERE {
        assert!(all.contains(series), "{series} is not there");
        assert!(
            read(path).contains(counter),
            "{path} does not look at {counter}"
        );
    }
}
