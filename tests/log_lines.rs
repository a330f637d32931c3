//! The lines of the log: for people, for the journal, and as JSON for programs.

use std::fs::{self, File};
use std::net::UdpSocket;
use std::path::Path;
use std::time::SystemTime;

use crate::support::authority::TempDir;
use crate::support::checks::canary;
use crate::support::command::command;
use crate::support::proxy::Proxy;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;

/// The log of a start that fails, with these arguments more, in a file of which this is said to be that of the journal.
fn failing(more: &[&str], is_journal: bool) -> String {
    // Somebody else has the address.
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("its address").to_string();
    let files = TempDir::new();
    let path = files.path().join("log");
    let log = File::create(&path).expect("a file");
    let mut command = command(&[&["serve", "--listen", listen.as_str()][..], more].concat());
    command
        .env("JOURNAL_STREAM", journal_stream(&path, is_journal))
        .stderr(log);
    let status = command.status().expect("the program starts");
    assert_eq!(status.code(), Some(1));
    fs::read_to_string(path).expect("the log")
}

/// The variable that systemd sets for a program whose standard error is this file, or another one.
#[cfg(unix)]
fn journal_stream(path: &Path, is_it: bool) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let file = fs::metadata(path).expect("the file's number");
    format!("{}:{}", file.dev(), file.ino() + u64::from(!is_it))
}

#[cfg(not(unix))]
fn journal_stream(_path: &Path, _is_it: bool) -> String {
    String::new()
}

// req 130
#[cfg(unix)]
#[test]
fn a_line_for_the_journal_begins_with_its_priority() {
    let lines = failing(&[], true);
    let last = lines.lines().last().expect("a line");
    assert!(
        last.starts_with("<3>") && last.contains("127.0.0.1:"),
        "{lines}"
    );
    let json = failing(&["--log-format", "json"], true);
    let last = json.lines().last().expect("a line");
    let object = last.strip_prefix("<3>").expect("the priority");
    let object: serde_json::Value = serde_json::from_str(object).expect("an object behind it");
    assert_eq!(object["level"], "error");
}

// req 130
#[test]
fn a_variable_that_a_terminal_of_systemd_passes_on_makes_no_journal() {
    let lines = failing(&[], false);
    let last = lines.lines().last().expect("a line");
    let (time, rest) = last.split_once(' ').expect("a time first");
    assert!(humantime::parse_rfc3339(time).is_ok(), "{last}");
    assert!(rest.starts_with("ERROR "), "{last}");
}

// req 130
#[test]
fn each_line_is_an_object_with_its_time_level_module_and_message() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let spec = upstream.spec();
    let start = SystemTime::now();
    let more = ["--log-format", "json", "--log", "debug"];
    let mut proxy = Proxy::spawn(command(&trust.args(&[&spec], &more)));
    canary(proxy.address(), "a.test");
    assert!(proxy.terminate().success());
    let lines = proxy.logs();
    let mut levels = Vec::new();
    for line in &lines {
        let object: serde_json::Value = serde_json::from_str(line).expect(line);
        let text = |name: &str| {
            object[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: {line}"))
        };
        assert_eq!(
            object.as_object().map(serde_json::Map::len),
            Some(4),
            "{line}"
        );
        let time = humantime::parse_rfc3339(text("time")).expect(line);
        // It is written to the millisecond.
        assert!(
            time >= start - std::time::Duration::from_millis(1) && time <= SystemTime::now(),
            "{line}"
        );
        assert!(!text("target").is_empty(), "{line}");
        assert!(!text("message").is_empty(), "{line}");
        levels.push(text("level").to_owned());
    }
    assert!(
        levels.contains(&"info".to_owned()) && levels.contains(&"debug".to_owned()),
        "{levels:?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains("connected, verified as")),
        "{lines:#?}"
    );
}
