//! The key log (RFC 9850), which is written only if an option says so.

use crate::support::authority::TempDir;
use crate::support::checks::canary;
use crate::support::command::{command, run};
use crate::support::proxy::Proxy;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;
use std::collections::BTreeSet;
use std::path::Path;

/// Has a question answered, by TLS 1.3, with these arguments more and this value of `SSLKEYLOGFILE`. Gives the log of the program.
fn asked(more: &[&str], path: &Path) -> String {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let mut command = command(&trust.args(&[&upstream.spec()], more));
    command.env("SSLKEYLOGFILE", path);
    let mut proxy = Proxy::spawn(command);
    canary(proxy.address(), "a.test");
    assert!(proxy.terminate().success());
    proxy.logs().join("\n")
}

#[test]
fn without_the_option_the_variable_is_ignored() {
    let files = TempDir::new();
    let path = files.path().join("keys");
    for more in [&[][..], &["--key-log=false"]] {
        let log = asked(more, &path);
        assert!(!path.exists(), "{more:?}");
        assert!(
            !log.contains("key-log") && !log.contains("decrypt"),
            "{log}"
        );
    }
}

#[test]
fn with_the_option_the_secrets_are_written_and_warned_of() {
    let files = TempDir::new();
    let path = files.path().join("keys");
    let log = asked(&["--key-log"], &path);
    let warning = format!(
        r#"--key-log "true": whoever can read {path:?}, which SSLKEYLOGFILE names, can decrypt all connections to upstreams"#
    );
    assert!(log.contains(&warning), "{log}");
    let text = std::fs::read_to_string(&path).expect("the key log");
    let mut labels = BTreeSet::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [label, random, secret] = fields[..] else {
            panic!("three fields in {line:?}");
        };
        labels.insert(label);
        let hex = |text: &str| text.bytes().all(|octet| octet.is_ascii_hexdigit());
        assert!(random.len() == 64 && hex(random), "{line}");
        assert!(matches!(secret.len(), 64 | 96) && hex(secret), "{line}");
    }
    for label in ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"] {
        assert!(labels.contains(label), "{labels:?}");
    }
}

#[test]
fn the_option_without_the_variable_has_no_effect() {
    let outcome = run(command(&["check", "--key-log"]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let expected = "warning: --key-log \"true\": has no effect: the variable SSLKEYLOGFILE, which names the file, is not set";
    assert!(outcome.stderr.contains(expected), "{outcome:?}");
    let plain = ["check", "--key-log", "--upstream", "tcp://192.0.2.1"];
    let outcome = run(command(&[&plain[..], &["--allow-plaintext"]].concat()));
    let expected = "warning: --key-log has no effect: no upstream uses TLS\n";
    assert_eq!(outcome.stderr.trim_start_matches("dotward: "), expected);
}

// fault 86
#[test]
fn a_key_log_that_cannot_be_written_ends_the_start() {
    let files = TempDir::new();
    let path = files.path().join("no-such-folder").join("keys");
    for verb in ["check", "serve"] {
        let mut command = command(&[verb, "--listen", "127.0.0.1:0", "--key-log"]);
        command.env("SSLKEYLOGFILE", &path);
        let outcome = run(command);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        let named = format!(
            r#"--key-log "true": the key log {path:?}, which SSLKEYLOGFILE names, cannot be written: "#
        );
        assert!(outcome.stderr.contains(&named), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    }
}

#[test]
fn a_check_makes_no_key_log() {
    let files = TempDir::new();
    let path = files.path().join("keys");
    let mut command = command(&["check", "--key-log"]);
    command.env("SSLKEYLOGFILE", &path);
    let outcome = run(command);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(!path.exists());
}

#[test]
fn a_key_log_that_was_renamed_is_made_anew_at_a_reload() {
    let (trust, files) = (Trust::new(), TempDir::new());
    let path = files.path().join("keys");
    let upstreams = [(); 2].map(|()| DotServer::with(trust.authority.good()).start());
    let spec = |number: usize| format!("upstream = {:?}", upstreams[number].spec());
    let config = files.path().join("dotward.toml");
    std::fs::write(&config, spec(0)).expect("a file");
    let config_name = config.display().to_string();
    let more = ["--key-log", "--config", &config_name, "--cache-size", "0"];
    let mut command = command(&trust.args(&[], &more));
    command.env("SSLKEYLOGFILE", &path);
    let proxy = Proxy::spawn(command);
    canary(proxy.address(), "a.test");
    let old = files.path().join("keys.1");
    std::fs::rename(&path, &old).expect("it was there");
    let before = std::fs::read_to_string(&old).expect("the old file");
    assert!(!before.is_empty());
    std::fs::write(&config, spec(1)).expect("a file");
    proxy.signal("HUP");
    proxy.wait_log("the configuration is in force");
    canary(proxy.address(), "b.test");
    let now = std::fs::read_to_string(&path).expect("a new file");
    assert!(now.contains("CLIENT_TRAFFIC_SECRET_0"), "{now}");
    assert_eq!(std::fs::read_to_string(&old).expect("the old file"), before);
}
