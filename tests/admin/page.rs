//! The page for people, and the events that it lives by.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{DEADLINE, Stand, get, request};
use crate::support::authority::Leaf;
use crate::support::checks::{canary, rcode_of};
use crate::support::client::UdpClient;
use crate::support::codes::{A, SERVFAIL};
use crate::support::messages::query;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;

/// Streams at once, as `docs/metrics.md` says.
const MAX_STREAMS: usize = 8;

/// A connection on which events come.
struct Events {
    reader: BufReader<TcpStream>,
    status: String,
}

impl Events {
    fn open(admin: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(admin).expect("a connection");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a time limit");
        write!(stream, "GET /api/events HTTP/1.1\r\nHost: {admin}\r\n\r\n").expect("a request");
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status).expect("a status line");
        Self { reader, status }
    }

    /// The next line that begins with this, without it.
    fn line(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            let count = self.reader.read_line(&mut line).expect("a line");
            assert!(count > 0, "the stream has ended before {start}");
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim_end().to_owned();
            }
        }
    }

    /// The next status.
    fn next(&mut self) -> serde_json::Value {
        assert_eq!(self.line("event: "), "status");
        serde_json::from_str(&self.line("data: ")).expect("JSON")
    }
}

// req 125
#[test]
fn the_page_comes_in_parts_under_a_strict_policy() {
    let stand = Stand::new(|upstream| upstream, &[]);
    for (path, kind, has) in [
        ("/", "text/html; charset=utf-8", "<title>dotward</title>"),
        (
            "/page.js",
            "text/javascript; charset=utf-8",
            "new EventSource(\"/api/events\")",
        ),
        (
            "/page.css",
            "text/css; charset=utf-8",
            "prefers-color-scheme: dark",
        ),
        ("/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let reply = stand.get(path);
        assert_eq!(reply.status, 200, "{path}");
        let header = format!("\r\ncontent-type: {kind}\r\n");
        assert!(reply.head.contains(&header), "{}", reply.head);
        assert!(reply.body.contains(has), "{path}: {}", reply.body);
        for header in [
            "\r\ncontent-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
            "frame-ancestors 'none'",
            "\r\nx-content-type-options: nosniff",
            "\r\ncross-origin-resource-policy: same-origin",
            "\r\nreferrer-policy: no-referrer",
        ] {
            assert!(reply.head.contains(header), "{header}: {}", reply.head);
        }
        for header in ["unsafe", "set-cookie", "access-control"] {
            assert!(!reply.head.contains(header), "{header}: {}", reply.head);
        }
    }
}

// req 126
#[test]
fn events_tell_the_status_once_a_second() {
    let stand = Stand::new(|upstream| upstream, &[]);
    let mut events = Events::open(stand.admin);
    assert!(
        events.status.starts_with("HTTP/1.1 200 "),
        "{}",
        events.status
    );
    assert_eq!(events.line("content-type: "), "text/event-stream");
    let first = events.next();
    assert_eq!(first["clients"]["queries"], 0);
    canary(stand.address(), "a.test");
    canary(stand.address(), "a.test");
    let mut last = first.clone();
    while last["clients"]["queries"] != 2 {
        let next = events.next();
        let since = |one: &serde_json::Value| one["uptime_seconds"].as_f64().expect("a time");
        let apart = since(&next) - since(&last);
        assert!(apart > 0.2, "{apart} s from one to the next");
        last = next;
    }
    // They are what the page of the status has.
    let members = |one: &serde_json::Value| -> Vec<String> {
        one.as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect()
    };
    let status: serde_json::Value = serde_json::from_str(&stand.page("/api/status")).expect("JSON");
    assert_eq!(members(&status), members(&last));
    assert_eq!(last["clients"]["answered_from_cache"], 1);
    assert_eq!(last["answer_times"]["count"], 1);
    let head = "HEAD /api/events HTTP/1.1\r\nHost: ADDRESS\r\n\r\n";
    let head = request(stand.admin, head);
    assert_eq!((head.status, &*head.body), (200, ""));
}

// fault 147
#[test]
fn more_streams_than_there_may_be_are_refused_and_nothing_else_is() {
    let stand = Stand::new(|upstream| upstream, &[]);
    let mut all: Vec<Events> = (0..MAX_STREAMS)
        .map(|_| Events::open(stand.admin))
        .collect();
    for one in &mut all {
        one.next();
    }
    let refused = get(stand.admin, "/api/events");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("close one of them"), "{refused:?}");
    for path in ["/", "/metrics", "/livez"] {
        assert_eq!(stand.get(path).status, 200, "{path}");
    }
    canary(stand.address(), "a.test");
    for one in &mut all {
        one.next();
    }
    // A page that is closed makes room for another one.
    all.pop();
    let since = std::time::Instant::now();
    let mut more = Events::open(stand.admin);
    while !more.status.starts_with("HTTP/1.1 200 ") {
        assert!(since.elapsed() < DEADLINE, "{}", more.status);
        more = Events::open(stand.admin);
    }
    more.next();
}

// fault 148
#[test]
fn a_page_of_another_server_takes_no_events() {
    let stand = Stand::new(|upstream| upstream, &[]);
    let with = |origin: &str, path: &str| {
        let text = format!("GET {path} HTTP/1.1\r\nHost: ADDRESS\r\nOrigin: {origin}\r\n\r\n");
        request(stand.admin, &text).status
    };
    for origin in [
        "https://evil.example",
        "http://127.0.0.1:1",
        "http://localhost",
        "null",
        "",
    ] {
        assert_eq!(with(origin, "/api/events"), 403, "{origin}");
        assert_eq!(with(origin, "/api/status"), 403, "{origin}");
    }
    assert_eq!(with("http://ADDRESS", "/api/status"), 200);
    // A name that leads here (DNS rebinding) is none of its own.
    let text =
        "GET /api/events HTTP/1.1\r\nHost: rebind.example\r\nOrigin: http://rebind.example\r\n\r\n";
    assert_eq!(request(stand.admin, text).status, 421);
}

/// What went wrong is told with its reason, and without a name that was asked for.
#[test]
fn failures_are_told_with_what_the_client_was_told() {
    let upstream = DotServer::with(Leaf::unknown_authority()).start();
    let stand = Stand::with(Trust::new(), vec![upstream], "", &["--timeout", "500ms"]);
    for name in ["private-one.test", "private-two.test"] {
        let asked = query(name, A).build();
        let reply = UdpClient::new(stand.address()).ask(&asked);
        assert_eq!(rcode_of(&reply), SERVFAIL);
    }
    stand.wait("dotward_failures_total{reason=\"not_connected\"}", 2.0);
    let text = stand.page("/api/status");
    assert!(!text.contains("private"), "{text}");
    let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status["failures"]["not_connected"], 2);
    let latest = &status["latest_failures"][0];
    assert_eq!(latest["reason"], "not_connected", "{latest}");
    let told = latest["text"].as_str().expect("a text");
    assert!(
        told.ends_with(": certificate not trusted: unknown issuer"),
        "{told}"
    );
    assert!(latest["seconds_ago"].as_f64().is_some_and(|ago| ago < 60.0));
    let counted = status["latest_failures"].as_array().expect("a list").iter();
    let counted: u64 = counted.filter_map(|one| one["count"].as_u64()).sum();
    assert_eq!(counted, 2);
    let upstream = &status["upstreams"][0];
    assert_eq!(upstream["protocols"], "tls");
    assert_eq!(upstream["last_connection"], serde_json::Value::Null);
    assert_eq!(
        upstream["last_error"],
        "certificate not trusted: unknown issuer"
    );
    assert_ne!(upstream["connect_failures"]["not_authenticated"], 0);
}

#[test]
fn a_connection_is_told_in_words() {
    let stand = Stand::new(|upstream| upstream, &[]);
    canary(stand.address(), "a.test");
    let status: serde_json::Value = serde_json::from_str(&stand.page("/api/status")).expect("JSON");
    let upstream = &status["upstreams"][0];
    let told = upstream["last_connection"].as_str().expect("a text");
    assert!(
        told.starts_with("verified as ") && told.contains("TLS 1.3"),
        "{told}"
    );
    assert_eq!(upstream["last_error"], serde_json::Value::Null);
    let of = |name: &str| upstream[name].as_u64().expect("a number");
    assert!(
        of("handshakes_verified") > 0 && of("established") == of("handshakes_verified"),
        "{upstream}"
    );
    assert_eq!(of("handshakes_unverified"), 0);
    let times = &status["answer_times"];
    let counts = times["counts"].as_array().expect("counts");
    assert_eq!(
        counts.len(),
        times["bounds_ms"].as_array().expect("bounds").len() + 1
    );
    let all: u64 = counts.iter().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!((all, times["count"].as_u64()), (1, Some(1)));
}

/// Whoever takes events and ends without a word costs nothing for longer than an event.
#[test]
fn a_stream_that_ends_is_noticed() {
    let stand = Stand::new(|upstream| upstream, &[]);
    for _ in 0..3 * MAX_STREAMS {
        let since = std::time::Instant::now();
        let mut events = Events::open(stand.admin);
        while !events.status.starts_with("HTTP/1.1 200 ") {
            assert!(since.elapsed() < DEADLINE, "{}", events.status);
            let mut rest = String::new();
            let _ended_or_reset = events.reader.read_to_string(&mut rest);
            events = Events::open(stand.admin);
        }
        events.next();
    }
}
