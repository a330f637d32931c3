//! What each command does.

use std::fs;

use super::{STATUS, Stand, started};
use crate::support::authority::TempDir;
use crate::support::checks::{canary, rcode_of};
use crate::support::client::UdpClient;
use crate::support::codes::A;
use crate::support::command::{command, run};
use crate::support::messages::query;
use crate::support::proxy::Proxy;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;

// req 124
#[test]
fn the_status_is_told_to_people_and_to_programs() {
    for more in [&[][..], &["--workers", "2"]] {
        let stand = Stand::new(|upstream| upstream, more);
        canary(stand.address(), "a.test");
        let status = stand.json("status");
        assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(status["ready"], true, "{status}");
        assert_eq!(status["clients"]["queries"], 1, "{status}");
        let upstream = &status["upstreams"][0];
        assert_eq!(upstream["state"], "connected", "{status}");
        assert_eq!(upstream["sent"], 1);
        assert!(
            upstream["handshakes_verified"].as_u64() >= Some(1),
            "{status}"
        );
        assert_eq!(status["bounds"]["shed"], 0);
        assert_eq!(
            (&status["log_level"], &status["trace_seconds_left"]),
            (&"info".into(), &serde_json::Value::Null)
        );
        let text = stand.text("status");
        for part in [
            "\nstate      ready",
            "\nupstreams  ",
            "\nclients    1 query, ",
            "\ncache      1 response, ",
            "\nbounds     none was hit\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(text.lines().count() < 24, "{text}");
    }
}

// req 124, fault 146
#[test]
fn what_is_flushed_is_asked_for_again_and_nothing_else() {
    let stand = Stand::answering();
    let asked = || stand.upstream.seen().queries.len();
    let names = ["a.test", "b.a.test", "c.test"];
    let ask_all = || {
        for name in names {
            canary(stand.address(), name);
        }
    };
    ask_all();
    ask_all();
    assert_eq!(asked(), 3, "they are cached");
    assert_eq!(
        stand.text("flush c.test"),
        "1 cached response was forgotten\n"
    );
    ask_all();
    assert_eq!(asked(), 4);
    assert_eq!(stand.json("flush --suffix A.test.")["flushed"], 2);
    ask_all();
    assert_eq!(asked(), 6);
    assert_eq!(stand.json("flush --suffix test")["flushed"], 3);
    assert_eq!(stand.text("flush"), "0 cached responses were forgotten\n");
    ask_all();
    assert_eq!(stand.json("flush")["flushed"], 3);
    let line = stand.proxy.wait_log("has a name forgotten");
    assert!(!line.contains("c.test"), "names are not logged: {line}");
}

/// A configuration file, and the program that reads it.
struct WithFile {
    proxy: Proxy,
    file: String,
    socket: String,
    upstream: DotServer,
    trust: Trust,
    _files: TempDir,
}

impl WithFile {
    fn new(more: &str) -> Self {
        let (trust, files) = (Trust::new(), TempDir::new());
        let upstream = DotServer::with(trust.authority.good()).start();
        let path = |name: &str| files.path().join(name).display().to_string();
        let (file, socket) = (path("dotward.toml"), path("control.sock"));
        let text = text(&trust, &upstream, &socket, more);
        fs::write(&file, text).expect("a file");
        let proxy = Proxy::start(&["serve", "--config", &file, "--listen", "127.0.0.1:0"]);
        Self {
            proxy,
            file,
            socket,
            upstream,
            trust,
            _files: files,
        }
    }

    fn write(&self, more: &str) {
        let text = text(&self.trust, &self.upstream, &self.socket, more);
        fs::write(&self.file, text).expect("a file");
    }

    /// A command that finds the socket by the file.
    fn run(&self, line: &str) -> crate::support::command::Outcome {
        let mut command = command(&line.split(' ').collect::<Vec<_>>());
        command.env("DOTWARD_CONFIG", &self.file);
        run(command)
    }
}

fn text(trust: &Trust, upstream: &DotServer, socket: &str, more: &str) -> String {
    let (root, spec) = (&trust.root, upstream.spec());
    format!("ca-file = {root:?}\nupstream = {spec:?}\ncontrol-socket = {socket:?}\n{more}\n")
}

// req 124
#[test]
fn a_reload_says_what_came_of_it() {
    let stand = WithFile::new("");
    canary(stand.proxy.address(), "a.test");
    stand.write("[[route]]\ndomain = \"refused.test\"\nto = \"refuse\"");
    let outcome = stand.run("reload");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        outcome
            .stdout
            .starts_with("the configuration was read again; serving on 127.0.0.1:"),
        "{outcome:?}"
    );
    stand.proxy.wait_log("the configuration is in force");
    let asked = query("a.refused.test", A).build();
    assert_eq!(
        rcode_of(&UdpClient::new(stand.proxy.address()).ask(&asked)),
        5
    );
    stand.write("timeout = \"soon\"");
    let outcome = stand.run("reload");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("is not a duration"), "{outcome:?}");
    assert!(
        outcome.stderr.contains("the one before is in force"),
        "{outcome:?}"
    );
    let line = stand.proxy.wait_log("the configuration stays as it was");
    assert!(line.contains("the control socket: "), "{line}");
    canary(stand.proxy.address(), "b.test");
    // The socket is as the start has it, and works on.
    let other = stand.socket.replace("control.sock", "other.sock");
    let text = text(&stand.trust, &stand.upstream, &other, "");
    fs::write(&stand.file, text).expect("a file");
    stand.proxy.signal("HUP");
    let line = stand.proxy.wait_log("only a restart changes ");
    assert!(line.contains("control-socket"), "{line}");
    let typed = format!("status --control-socket {}", stand.socket);
    assert_eq!(stand.run(&typed).code, Some(0));
    let outcome = stand.run("status");
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("there is no control socket"),
        "{outcome:?}"
    );
}

// req 124
#[test]
fn the_level_of_the_log_changes_and_a_reload_has_it_as_configured() {
    let stand = WithFile::new("");
    assert_eq!(
        stand.run("log-level debug").stdout,
        "the level of the log is debug\n"
    );
    canary(stand.proxy.address(), "named.test");
    stand.proxy.wait_log("named.test. A IN");
    assert_eq!(stand.run("reload").code, Some(0));
    canary(stand.proxy.address(), "unnamed.test");
    let status: serde_json::Value =
        serde_json::from_str(&stand.run("status --json").stdout).expect("JSON");
    assert_eq!(status["log_level"], "info", "{status}");
    let logs = stand.proxy.logs().join("\n");
    assert!(!logs.contains("unnamed.test"), "{logs}");
}

// req 124
#[test]
fn a_trace_names_queries_until_its_time_is_over() {
    let stand = Stand::answering();
    let answered = stand.text("trace on --for 1h");
    assert_eq!(answered, "the log names what clients ask for, for 1h\n");
    canary(stand.address(), "named.test");
    stand.proxy.wait_log("query: named.test. A IN");
    let left = stand.json("status")["trace_seconds_left"].as_u64();
    assert!(
        left.is_some_and(|left| (3_000..=3_600).contains(&left)),
        "{left:?}"
    );
    assert_eq!(
        stand.text("trace off"),
        "the log does not name what clients ask for\n"
    );
    canary(stand.address(), "unnamed.test");
    assert_eq!(stand.json("trace on --for 1s")["trace_seconds_left"], 1);
    stand.proxy.wait_log("the time of the trace is over");
    canary(stand.address(), "later.test");
    assert!(stand.json("status")["trace_seconds_left"].is_null());
    let logs = stand.proxy.logs().join("\n");
    for name in ["unnamed.test", "later.test"] {
        assert!(!logs.contains(name), "{name} in {logs}");
    }
}

// req 152, fault 178
#[test]
fn the_end_of_a_trace_says_that_the_level_names_queries_still() {
    let stand = Stand::answering();
    stand.text("log-level debug");
    let text = stand.text("trace off");
    for part in ["still names what clients ask for", "log-level info"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let line = stand.proxy.wait_log("ends the trace: ");
    assert!(line.contains("still names"), "{line}");
    canary(stand.address(), "named.test");
    stand.proxy.wait_log("query: named.test");
    assert_eq!(stand.json("status")["log_names_queries"], true);
    let text = stand.text("status");
    assert!(
        text.contains("debug; what clients ask for is named"),
        "{text}"
    );
    stand.text("log-level info");
    let said = "the log does not name what clients ask for\n";
    assert_eq!(stand.text("trace off"), said);
    assert_eq!(stand.json("status")["log_names_queries"], false);
}

// req 124
#[test]
fn without_a_running_program_a_command_says_what_to_do() {
    let files = TempDir::new();
    let socket = files.path().join("none.sock").display().to_string();
    let outcome = run(command(&["status", "--control-socket", &socket]));
    assert_eq!((outcome.code, &*outcome.stdout), (Some(1), ""));
    let expected = format!("dotward: there is no control socket {socket}: is dotward running");
    assert!(outcome.stderr.starts_with(&expected), "{outcome:?}");
}

// req 122
#[test]
fn a_program_that_ends_answers_what_it_can_and_removes_its_socket() {
    let mut stand = Stand::answering();
    let mut line = stand.connect();
    assert_eq!(line.ask(STATUS)["ok"], true);
    assert!(stand.socket.exists());
    assert_eq!(stand.proxy.terminate().code(), Some(0));
    assert!(!stand.socket.exists());
    let next = started(&stand.trust, &stand.upstream, &stand.socket, &[]);
    canary(next.address(), "a.test");
    assert_eq!(stand.json("status")["clients"]["queries"], 1);
}
