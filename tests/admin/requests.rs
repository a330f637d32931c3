//! What is answered, and what is not.

use std::io::Write;
use std::net::TcpStream;

use super::{Stand, admin_of, exchange, get, request};
use crate::support::authority::TempDir;
use crate::support::checks::canary;
use crate::support::command::{command, run};
use crate::support::proxy::Proxy;

fn stand() -> Stand {
    Stand::new(|upstream| upstream, &[])
}

#[test]
fn each_page_has_its_type() {
    let stand = stand();
    canary(stand.address(), "a.test");
    for (path, kind) in [
        (
            "/metrics",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        ("/livez", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/api/status", "application/json"),
    ] {
        let reply = stand.get(path);
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        let header = format!("\r\ncontent-type: {kind}\r\n");
        assert!(reply.head.contains(&header), "{}", reply.head);
        assert!(
            reply.head.contains("\r\ncache-control: no-store"),
            "{}",
            reply.head
        );
        let head = request(
            stand.admin,
            &format!("HEAD {path} HTTP/1.1\r\nHost: ADDRESS\r\n\r\n"),
        );
        assert_eq!((head.status, &*head.body), (200, ""));
    }
    assert!(stand.get("/metrics").body.ends_with("# EOF\n"));
    for path in ["/index.html", "/metrics/", "/api", "/debug"] {
        assert_eq!(stand.get(path).status, 404, "{path}");
    }
}

#[test]
fn names_of_clients_are_in_no_page() {
    let stand = stand();
    canary(stand.address(), "private-name.test");
    for path in ["/", "/metrics", "/readyz", "/api/status"] {
        let body = stand.get(path).body;
        assert!(!body.contains("private-name"), "{path}: {body}");
    }
}

// fault 184
#[test]
fn a_health_check_by_http_1_0_needs_no_host() {
    let stand = stand();
    canary(stand.address(), "a.test");
    let status = |line: &str, more: &str| {
        let text = format!("{line}\r\n{more}\r\n");
        request(stand.admin, &text).status
    };
    for path in ["/livez", "/readyz"] {
        assert_eq!(status(&format!("GET {path} HTTP/1.0"), ""), 200, "{path}");
        assert_eq!(status(&format!("HEAD {path} HTTP/1.0"), ""), 200, "{path}");
    }
    for (line, more, code) in [
        ("GET /livez HTTP/1.1", "", 400),
        ("GET / HTTP/1.0", "", 400),
        ("GET /metrics HTTP/1.0", "", 400),
        ("POST /livez HTTP/1.0", "", 400),
        ("GET /livez HTTP/1.0", "Host: rebind.example\r\n", 421),
        (
            "GET /livez HTTP/1.0",
            "Origin: http://rebind.example\r\n",
            400,
        ),
    ] {
        assert_eq!(status(line, more), code, "{line} {more}");
    }
}

#[test]
fn a_host_that_is_a_name_is_refused() {
    let stand = stand();
    let with = |host: &str| {
        let text = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n");
        request(stand.admin, &text).status
    };
    for host in [
        "ADDRESS",
        "localhost",
        "localhost:1",
        "127.0.0.1",
        "[::1]:9553",
    ] {
        assert_eq!(with(host), 200, "{host}");
    }
    for host in [
        "rebind.example",
        "rebind.example:9553",
        "127.0.0.1.example",
        "",
    ] {
        assert_eq!(with(host), 421, "{host}");
    }
    // A target may name a host, too (RFC 9112 section 3.2.2).
    for (line, status) in [
        (
            "GET http://rebind.example/livez HTTP/1.1\r\nHost: ADDRESS",
            421,
        ),
        (
            "GET http://ADDRESS/livez HTTP/1.1\r\nHost: rebind.example",
            421,
        ),
        ("GET http://ADDRESS/livez HTTP/1.1\r\nHost: ADDRESS", 200),
        (
            "GET /livez HTTP/1.1\r\nHost: ADDRESS\r\nHost: rebind.example",
            400,
        ),
        ("GET /livez HTTP/1.1", 400),
    ] {
        let reply = request(stand.admin, &format!("{line}\r\n\r\n"));
        assert_eq!(reply.status, status, "{line}");
    }
}

#[test]
fn nothing_but_reading_is_allowed() {
    let stand = stand();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"] {
        let text =
            format!("{method} /livez HTTP/1.1\r\nHost: ADDRESS\r\nContent-Length: 0\r\n\r\n");
        let reply = request(stand.admin, &text);
        assert_eq!(reply.status, 405, "{method}");
        assert!(
            reply.head.contains("\r\nallow: get, head"),
            "{}",
            reply.head
        );
    }
    assert_eq!(stand.get("/livez").status, 200);
}

#[test]
fn what_is_too_long_or_no_http_is_refused() {
    let stand = stand();
    let long = "a".repeat(20_000);
    let path = format!("GET /{long} HTTP/1.1\r\nHost: ADDRESS\r\n\r\n");
    let header = format!("GET /livez HTTP/1.1\r\nHost: ADDRESS\r\nX: {long}\r\n\r\n");
    let many = "X: y\r\n".repeat(200);
    let many = format!("GET /livez HTTP/1.1\r\nHost: ADDRESS\r\n{many}\r\n");
    for text in [path, header, many] {
        let status = request(stand.admin, &text).status;
        assert!([414, 431].contains(&status), "{status}");
    }
    let reply = exchange(
        stand.admin,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    );
    assert!(
        reply.is_empty() || reply.starts_with("HTTP/1.1 400 "),
        "{reply}"
    );
    assert_eq!(stand.get("/livez").status, 200);
}

/// Connections that say nothing, or begin a request and go on with it little by little, hold up nobody: neither queries nor other requests.
#[test]
fn slow_clients_hold_up_nobody() {
    let stand = stand();
    let mut slow: Vec<TcpStream> = Vec::new();
    for number in 0..60 {
        let mut stream = TcpStream::connect(stand.admin).expect("a connection");
        if number % 2 == 0 {
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHo")
                .expect("a part");
        }
        slow.push(stream);
        if number % 10 == 0 {
            canary(stand.address(), &format!("a{number}.test"));
        }
        assert_eq!(stand.get("/livez").status, 200, "beside {number}");
        for stream in &mut slow {
            // Those that were closed to make room take nothing more.
            let _sent_or_not = stream.write_all(b"s");
        }
    }
    canary(stand.address(), "end.test");
    assert_eq!(stand.get("/metrics").status, 200);
}

// fault 128
#[test]
fn an_address_that_is_taken_ends_the_start() {
    let stand = stand();
    let taken = stand.admin.to_string();
    let outcome = run(command(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        &taken,
    ]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let said = format!("metrics (admin): cannot listen on {taken}: ");
    assert!(outcome.stderr.contains(&said), "{}", outcome.stderr);
    let remedy = "`ss -lntup` shows which. Stop it, or choose another address or port";
    assert!(outcome.stderr.contains(remedy), "{}", outcome.stderr);
}

// fault 128
#[test]
fn only_loopback_is_served_without_a_warning() {
    let stand = stand();
    let warned = |proxy: &Proxy| {
        let mut lines = proxy.logs().into_iter();
        lines.any(|line| line.contains("can read the metrics (admin)"))
    };
    canary(stand.address(), "a.test");
    assert!(!warned(&stand.proxy));
    let anywhere = Proxy::start(&["serve", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"]);
    let line = anywhere.wait_log("can read the metrics (admin)");
    assert!(line.contains("everybody who reaches 0.0.0.0:"), "{line}");
    // Before the start, too.
    let check = |admin| run(command(&["check", "--admin", admin])).stderr;
    let told = check("0.0.0.0");
    let warning = "warning: everybody who reaches 0.0.0.0:9553 can read the metrics (admin)";
    assert!(told.contains(warning), "{told}");
    assert_eq!(check("127.0.0.1"), "");
}

#[test]
fn without_the_option_nothing_is_served() {
    let proxy = Proxy::start(&["serve", "--listen", "127.0.0.1:0"]);
    canary_of_none(&proxy);
}

fn canary_of_none(proxy: &Proxy) {
    let said = |line: &String| line.contains("metrics");
    assert!(!proxy.logs().iter().any(said), "{:?}", proxy.logs());
}

#[test]
fn every_runtime_serves_all_pages_with_several_workers() {
    for runtime in dotward::transports::RUNTIMES {
        let stand = Stand::new(
            |upstream| upstream,
            &["--runtime", runtime, "--workers", "2"],
        );
        canary(stand.address(), "a.test");
        let metrics = stand.metrics();
        assert_eq!(metrics.get("dotward_workers"), Some(&2.0));
        let queries = "dotward_queries_total{protocol=\"udp\"}";
        assert_eq!(metrics.get(queries), Some(&1.0));
        let version = env!("CARGO_PKG_VERSION");
        let build = format!("dotward_build_info{{version=\"{version}\",runtime=\"{runtime}\"}}");
        assert_eq!(metrics.get(&build), Some(&1.0), "{metrics:?}");
        assert_eq!(get(stand.admin, "/readyz").status, 200);
    }
}

#[test]
fn only_a_restart_changes_the_address() {
    let files = TempDir::new();
    let path = files.path().join("dotward.toml");
    let write =
        |admin: &str| std::fs::write(&path, format!("admin = {admin:?}\n")).expect("a file");
    write("127.0.0.1:0");
    let path = path.display().to_string();
    let proxy = Proxy::start(&["serve", "--config", &path, "--listen", "127.0.0.1:0"]);
    let admin = admin_of(&proxy);
    write("off");
    proxy.signal("HUP");
    let line = proxy.wait_log("only a restart changes");
    assert!(line.ends_with("only a restart changes admin"), "{line}");
    assert_eq!(get(admin, "/livez").status, 200);
}
