//! The query log: what a line has, who is in it, and that a slow sink costs nobody an answer.

use crate::support::authority::TempDir;
use crate::support::checks::{canary, load, rcode_of};
use crate::support::client::{TcpClient, UdpClient};
use crate::support::codes::{A, NXDOMAIN, SERVFAIL};
use crate::support::command::{command, run};
use crate::support::journal::DEADLINE;
use crate::support::messages::query;
use crate::support::proxy::Proxy;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The program with an upstream and these arguments more.
struct Logging {
    proxy: Proxy,
    upstream: DotServer,
    files: TempDir,
    _trust: Trust,
}

impl Logging {
    /// It logs to `queries` in its folder.
    fn new(more: &[&str]) -> Self {
        let files = TempDir::new();
        let path = files.path().join("queries").display().to_string();
        Self::with(files, &[&["--query-log", &path], more].concat())
    }

    fn with(files: TempDir, more: &[&str]) -> Self {
        let trust = Trust::new();
        let upstream = DotServer::with(trust.authority.good()).start();
        let proxy = trust.proxy(&[&upstream.spec()], more);
        Self {
            proxy,
            upstream,
            files,
            _trust: trust,
        }
    }

    fn path(&self) -> PathBuf {
        self.files.path().join("queries")
    }

    /// The lines, once there are so many.
    fn lines(&self, count: usize) -> Vec<Value> {
        wait_for_lines(&self.path(), count)
    }
}

fn read_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The last one may not be whole yet.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    whole.lines().map(parse).collect()
}

fn wait_for_lines(path: &Path, count: usize) -> Vec<Value> {
    let since = Instant::now();
    loop {
        let lines = read_lines(path);
        if lines.len() >= count {
            return lines;
        }
        assert!(since.elapsed() < DEADLINE, "{count} lines: {lines:?}");
        std::thread::yield_now();
    }
}

fn members(line: &Value) -> Vec<&str> {
    let object = line.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

#[test]
fn a_line_says_what_was_asked_and_where_the_answer_came_from() {
    let mut logging = Logging::new(&["--timeout", "500ms"]);
    let address = logging.proxy.address();
    canary(address, "A.test");
    canary(address, "a.test");
    TcpClient::new(address).ask(&query("a.test", A).build());
    let asked = query("x.invalid", A).edns(1232, 0, &[]).build();
    assert_eq!(rcode_of(&UdpClient::new(address).ask(&asked)), NXDOMAIN);
    // A zone transfer, and a type that has no name here.
    UdpClient::new(address).ask(&query("b.test", 252).build());
    UdpClient::new(address).ask(&query("c.test", 65_280).build());
    logging.upstream.stop();
    let asked = query("d.test", A).build();
    assert_eq!(rcode_of(&UdpClient::new(address).ask(&asked)), SERVFAIL);
    let lines = logging.lines(7);
    let text = |line: usize, member: &str| lines[line][member].as_str().map(str::to_owned);
    let some = |text: &str| Some(text.to_owned());
    let told: Vec<_> = (0..7)
        .map(|line| {
            let word = |member| text(line, member).expect("a word");
            [
                word("name"),
                word("type"),
                word("protocol"),
                word("rcode"),
                word("source"),
            ]
            .join(" ")
        })
        .collect();
    assert_eq!(
        told,
        [
            "A.test. A udp NOERROR upstream",
            "a.test. A udp NOERROR cache",
            "a.test. A tcp NOERROR cache",
            "x.invalid. A udp NXDOMAIN local",
            "b.test. AXFR udp NOTIMP refused",
            "c.test. TYPE65280 udp NOERROR upstream",
            "d.test. A udp SERVFAIL failure",
        ]
    );
    assert_eq!(text(0, "upstream"), Some(logging.upstream.spec()));
    assert!(lines[0]["ms"].as_f64().is_some_and(|ms| ms > 0.0));
    assert_eq!(lines[1]["ms"], 0.0);
    assert_eq!(text(4, "reason"), some("unsupported"));
    // The client had no OPT record, and was told nothing of this.
    assert!(
        lines[6]["reason"].is_string() && lines[6]["ede"].is_number(),
        "{}",
        lines[6]
    );
    let why = text(6, "text").expect("a text");
    assert!(why.starts_with(&logging.upstream.spec()), "{why}");
    for line in &lines {
        let time = line["time"].as_str().expect("a time");
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
        // By default nobody is in it.
        assert!(!members(line).contains(&"client"), "{line}");
    }
    assert_eq!(
        members(&lines[1]),
        ["ms", "name", "protocol", "rcode", "source", "time", "type"]
    );
}

// req 127
#[test]
fn clients_are_in_it_only_as_far_as_is_asked_for() {
    for (more, client) in [
        (&["--query-log-clients", "none"][..], Value::Null),
        (&["--query-log-clients", "prefix"], "127.0.0.0/24".into()),
        (&["--query-log-clients", "full"], "127.0.0.1".into()),
    ] {
        let logging = Logging::new(more);
        canary(logging.proxy.address(), "a.test");
        assert_eq!(logging.lines(1)[0]["client"], client);
    }
    let told = run(command(&["check", "--query-log-clients", "all"]));
    let said = "--query-log-clients \"all\": is none of: none, prefix, full";
    assert!(told.stderr.contains(said), "{}", told.stderr);
    let told = run(command(&["check", "--query-log-clients", "full"]));
    let said = "--query-log-clients has no effect: queries are not logged (query-log)";
    assert!(told.stderr.contains(said), "{}", told.stderr);
}

// req 127
#[test]
fn without_the_option_nothing_is_written_and_with_it_that_is_said() {
    let files = TempDir::new();
    let logging = Logging::with(files, &[]);
    canary(logging.proxy.address(), "a.test");
    assert!(!logging.path().exists());
    let said = |logging: &Logging| {
        let logs = logging.proxy.logs();
        logs.iter().any(|line| line.contains("query-log"))
    };
    assert!(!said(&logging));
    let logging = Logging::new(&[]);
    canary(logging.proxy.address(), "a.test");
    let line = logging
        .proxy
        .wait_log("names that clients ask for are logged to");
    assert!(
        line.contains(&logging.path().display().to_string()),
        "{line}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let about = std::fs::metadata(logging.path()).expect("the file");
        assert_eq!(
            about.permissions().mode() & 0o777,
            0o600,
            "for its owner alone"
        );
    }
}

#[cfg(all(unix, feature = "control"))]
#[test]
fn what_the_control_socket_asks_is_not_in_it() {
    let files = TempDir::new();
    let socket = files.path().join("control.sock").display().to_string();
    let logging = Logging::new(&["--control-socket", &socket]);
    logging.proxy.wait_log("the control socket is ");
    let outcome = run(command(&["explain", "a.test", "--control-socket", &socket]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(logging.upstream.seen().queries.len(), 1);
    canary(logging.proxy.address(), "b.test");
    assert_eq!(logging.lines(1)[0]["name"], "b.test.");
}

#[test]
fn a_file_that_cannot_be_opened_ends_the_start() {
    let files = TempDir::new();
    let path = files.path().join("no/folder/queries").display().to_string();
    let outcome = run(command(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--query-log",
        &path,
    ]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let said = format!("the query log {path} cannot be opened (query-log): ");
    assert!(outcome.stderr.contains(&said), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("its folder must exist"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn all_that_was_answered_is_written_before_the_end() {
    let mut logging = Logging::new(&["--workers", "2"]);
    load(logging.proxy.address(), "many", 500, 16);
    assert!(logging.proxy.terminate().success());
    assert_eq!(read_lines(&logging.path()).len(), 500);
}

#[cfg(unix)]
#[test]
fn a_signal_has_the_file_opened_anew() {
    let logging = Logging::new(&[]);
    canary(logging.proxy.address(), "a.test");
    logging.lines(1);
    let rotated = logging.files.path().join("queries.1");
    std::fs::rename(logging.path(), &rotated).expect("a rename");
    logging.proxy.signal("HUP");
    logging.proxy.wait_log("is opened anew");
    canary(logging.proxy.address(), "b.test");
    assert_eq!(logging.lines(1)[0]["name"], "b.test.");
    assert_eq!(wait_for_lines(&rotated, 1).len(), 1);
}

#[cfg(unix)]
#[test]
fn a_reload_turns_it_on_elsewhere_and_off() {
    let files = TempDir::new();
    let path = |name: &str| files.path().join(name);
    let config = path("dotward.toml");
    let write =
        |to: &str| std::fs::write(&config, format!("query-log = {to:?}\n")).expect("a file");
    let [first, second] = ["first", "second"].map(path);
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    write("off");
    let config_path = config.display().to_string();
    let proxy = trust.proxy(&[&upstream.spec()], &["--config", &config_path]);
    canary(proxy.address(), "a.test");
    for (to, name) in [(&first, "b.test."), (&second, "c.test.")] {
        write(&to.display().to_string());
        proxy.signal("HUP");
        proxy.wait_log(&format!("are logged to {}", to.display()));
        proxy.wait_log("the configuration is in force");
        // It is told before the configuration, but each loop takes it in its own time.
        let since = Instant::now();
        while read_lines(to).is_empty() {
            assert!(since.elapsed() < DEADLINE, "{name}");
            canary(proxy.address(), name.trim_end_matches('.'));
        }
        assert_eq!(read_lines(to)[0]["name"], name);
    }
    write(&path("no/folder").display().to_string());
    proxy.signal("HUP");
    proxy.wait_log("queries are logged as before");
    write("off");
    proxy.signal("HUP");
    proxy.wait_log("queries are not logged any more");
}

// fault 179
#[cfg(target_os = "linux")]
#[test]
fn what_a_full_disk_does_not_take_is_told_once_and_counted() {
    const COUNT: usize = 40;
    let mut logging = Logging::with(TempDir::new(), &["--query-log", "/dev/full"]);
    let address = logging.proxy.address();
    // Each is a write of its own, since nothing is behind it.
    for number in 0..COUNT {
        canary(address, &format!("n{number}.test"));
    }
    let since = Instant::now();
    let expected = format!("unlogged {COUNT}");
    let reports = || {
        let logs = logging.proxy.logs();
        let all = logs
            .iter()
            .filter(|line| line.contains("worker 1: queries "));
        all.cloned().collect::<Vec<String>>()
    };
    while !reports().iter().any(|line| line.contains(&expected)) {
        let before = reports().len();
        logging.proxy.signal("USR1");
        while reports().len() == before {
            assert!(since.elapsed() < DEADLINE, "{:?}", reports());
            std::thread::yield_now();
        }
    }
    assert!(logging.proxy.terminate().success());
    let logs = logging.proxy.logs();
    let count = |part: &str| logs.iter().filter(|line| line.contains(part)).count();
    let said = (count("cannot be written"), count("is written again"));
    assert_eq!(said, (1, 0), "{logs:?}");
}

// fault 149
#[cfg(unix)]
#[test]
fn a_sink_that_takes_nothing_costs_lines_and_no_answers() {
    let files = TempDir::new();
    let pipe = files.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    let pipe = pipe.display().to_string();
    let mut logging = Logging::with(files, &["--query-log", &pipe]);
    let line = logging.proxy.wait_log("is not open yet");
    assert!(line.contains("up to 4096 responses wait"), "{line}");
    // More than the queue holds. Each is answered, and in time.
    load(logging.proxy.address(), "many", 5_000, 16);
    logging.proxy.signal("USR1");
    let line = logging.proxy.wait_log("unlogged");
    let (_, count) = line.split_once("unlogged ").expect("a counter");
    let count: String = count.chars().take_while(char::is_ascii_digit).collect();
    let count: usize = count.parse().expect("a number");
    assert!((500..5_000).contains(&count), "{line}");
    assert!(logging.proxy.terminate().success());
    let logs = logging.proxy.logs();
    assert!(
        logs.iter()
            .any(|line| line.contains("the last ones are lost")),
        "{logs:?}"
    );
}
