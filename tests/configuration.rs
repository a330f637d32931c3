//! Faults 86 and 87: a configuration that cannot be obeyed ends the start at once, and one line says why.

use crate::support::authority::TempDir;
use crate::support::checks::canary;
use crate::support::command::{Outcome, command, run};
use crate::support::messages::{address_for, question_octets, response_to};
use crate::support::proxy::Proxy;
use crate::support::setup::{Setup, Trust};
use crate::support::upstream::DotServer;
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::thread;

fn assert_usage_error(outcome: &Outcome, parts: &[&str]) {
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.time.as_millis() < 1000, "{outcome:?}");
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    for part in parts {
        assert!(outcome.stderr.contains(part), "{part:?} in {outcome:?}");
    }
}

// fault 86, req 73: each names the option and the value, in one line.
#[test]
fn a_wrong_value_is_named_with_its_option() {
    for (option, value) in [
        ("--listen", "127.0.0.1:99999"),
        ("--listen", "localhost:53"),
        ("--upstream", "cloudflar"),
        ("--upstream", "1.1.1.1:99999#one.test"),
        ("--upstream", "1.1.1.1:0#one.test"),
        ("--upstream", "1.1.1.1#"),
        ("--upstream", "tls://1.1.1.1:53"),
        ("--upstream", "tcp://192.0.2.1"),
        ("--bootstrap", "dns.test"),
        ("--ca-file", "/nonexistent/root.pem"),
        ("--timeout", "soon"),
        ("--timeout", "0"),
        ("--workers", "0"),
        ("--allow-net", "10.0.0.1/8"),
        ("--allow-net", "10.0.0.0/33"),
        ("--cache-size", "1kB"),
        ("--max-in-flight", "many"),
        ("--udp-payload", "100"),
        ("--tcp-idle", "-1"),
        ("--runtime", "abacus"),
        ("--log", "loud"),
    ] {
        let outcome = run(command(&["check", option, value]));
        assert_usage_error(&outcome, &["dotward: ", option, value]);
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{outcome:?}");
    }
}

// fault 86: a file that is empty, or holds no certificate, is no set of roots.
#[test]
fn a_root_file_without_a_certificate_is_named() {
    let files = TempDir::new();
    for (name, text) in [("empty.pem", ""), ("text.pem", "no certificate\n")] {
        let path = files.path().join(name);
        std::fs::write(&path, text).expect("a file");
        let path = path.display().to_string();
        assert_usage_error(
            &run(command(&["check", "--ca-file", &path])),
            &["--ca-file", &path],
        );
    }
}

// fault 116: what passes the check starts, and what does not passes neither.
#[test]
fn a_root_file_with_one_bad_certificate_ends_check_and_start_alike() {
    let trust = Trust::new();
    let files = TempDir::new();
    let path = files.path().join("roots.pem");
    let bad = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let text = [&trust.authority.pem(), bad].concat();
    std::fs::write(&path, text).expect("a file");
    let path = path.display().to_string();
    for what in ["serve", "check"] {
        let args = [what, "--listen", "127.0.0.1:0", "--ca-file", &path];
        assert_usage_error(
            &run(command(&args)),
            &[
                "--ca-file",
                &path,
                "certificate 2 of the file cannot be read",
            ],
        );
    }
}

// What can be obeyed and is hardly meant is said, at the start as by the check.
#[test]
fn what_is_hardly_meant_is_said() {
    let outcome = run(command(&["check", "udp", "--tcp-idle", "5s"]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let line = "--tcp-idle has no effect: clients are served over UDP only";
    assert_eq!(outcome.stderr, format!("dotward: warning: {line}\n"));
    let setup = Setup::build(|upstream| upstream, &["--allow-net", "192.0.2.0/24"]);
    let warning =
        "--allow-net does not allow 127.0.0.1: programs on this host that ask there are refused";
    setup.proxy.wait_log(warning);
}

// A silent log does not hide why the program ended.
#[test]
fn the_last_word_is_said_without_a_log() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let outcome = run(command(&["serve", "--log", "off", "--listen", &address]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome
            .stderr
            .starts_with(&format!("dotward: cannot listen on {address}")),
        "{outcome:?}"
    );
}

// faults 51, 52, 86: upstreams that cannot be meant.
#[test]
fn upstreams_that_cannot_be_meant_are_refused() {
    let twice = [
        "check",
        "--upstream",
        "192.0.2.1#a.test",
        "--upstream",
        "192.0.2.1#a.test",
    ];
    assert_usage_error(&run(command(&twice)), &["--upstream", "192.0.2.1"]);
    for (listen, upstream) in [
        ("127.0.0.1:5300", "127.0.0.1:5300#a.test"),
        ("0.0.0.0:5300", "127.0.0.1:5300#a.test"),
    ] {
        let outcome = run(command(&[
            "check",
            "--listen",
            listen,
            "--upstream",
            upstream,
        ]));
        assert_usage_error(&outcome, &["--upstream", upstream]);
    }
}

// fault 86: what is not known is not passed over.
#[test]
fn unknown_options_commands_and_variables_are_errors() {
    assert_usage_error(
        &run(command(&["serve", "--no-such-option"])),
        &["--no-such-option"],
    );
    assert_usage_error(&run(command(&["forward"])), &["forward"]);
    let mut misspelt = command(&["check"]);
    misspelt.env("DOTWARD_UPSTREAMS", "quad9");
    assert_usage_error(&run(misspelt), &["DOTWARD_UPSTREAMS"]);
}

// fault 86: an error in a variable names the variable.
#[test]
fn a_wrong_variable_is_named() {
    let mut wrong = command(&["check"]);
    wrong.env("DOTWARD_TIMEOUT", "soon");
    assert_usage_error(&run(wrong), &["DOTWARD_TIMEOUT", "soon"]);
}

#[test]
fn a_variable_stands_behind_its_option() {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let mut command = command(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .env("DOTWARD_LISTEN", "203.0.113.1:53")
        .env("DOTWARD_UPSTREAM", upstream.spec())
        .env("DOTWARD_CA_FILE", &trust.root);
    let proxy = Proxy::spawn(command);
    canary(proxy.address(), "a.test");
    assert_eq!(upstream.seen().queries.len(), 1);
}

// req 73: plain TCP to an upstream is possible only where the user asks for it in so many words.
#[test]
fn a_plaintext_upstream_needs_permission() {
    use crate::support::script::Conduct;
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good())
        .conduct(|_| Conduct::Plaintext)
        .start();
    let spec = format!("tcp://{}", upstream.address());
    assert_usage_error(
        &run(command(&["check", "--upstream", &spec])),
        &["--allow-plaintext", &spec],
    );
    let proxy = trust.proxy(&[&spec], &["--allow-plaintext"]);
    canary(proxy.address(), "a.test");
    assert!(proxy.wait_log(" serving ").contains("(tcp)"));
}

// req 60, req 73
#[test]
fn an_upstream_over_udp_needs_permission_and_gets_each_query_from_another_port() {
    let resolver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = resolver.local_addr().unwrap();
    let spec = format!("udp://{at}");
    assert_usage_error(
        &run(command(&["check", "--upstream", &spec])),
        &["--allow-plaintext", &spec],
    );
    let serving = thread::spawn(move || {
        let (mut octets, mut ports) = ([0; 4096], BTreeSet::new());
        loop {
            let (len, from) = resolver.recv_from(&mut octets).unwrap();
            if len == 0 {
                return ports;
            }
            ports.insert(from.port());
            let query = &octets[..len];
            let address = address_for(question_octets(query));
            let response = response_to(query).a(300, address).build();
            resolver.send_to(&response, from).unwrap();
        }
    });
    let proxy = Trust::new().proxy(&[&spec], &["--allow-plaintext"]);
    for name in ["a.test", "b.test", "c.test", "d.test"] {
        canary(proxy.address(), name);
    }
    assert!(proxy.wait_log(" serving ").contains("(udp)"));
    let probed = run(command(&[
        "check",
        "--probe",
        "--upstream",
        &spec,
        "--allow-plaintext",
    ]));
    assert_eq!(probed.code, Some(0), "{probed:?}");
    assert!(probed.stdout.contains("not encrypted"), "{probed:?}");
    let end = UdpSocket::bind("127.0.0.1:0").unwrap();
    end.send_to(&[], at).unwrap();
    assert!(serving.join().unwrap().len() > 2);
}

#[test]
fn a_check_says_so_and_binds_nothing() {
    let outcome = run(command(&[
        "check",
        "--upstream",
        "quad9",
        "--listen",
        "203.0.113.1:53",
    ]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let expected =
        "options, variables and files are valid (not tested: listening, reaching upstreams)
  file       none
  listen     203.0.113.1:53 over UDP and TCP
";
    assert!(outcome.stdout.starts_with(expected), "{outcome:?}");
    assert!(
        outcome.stdout.contains("\n  upstreams  quad9\n"),
        "{outcome:?}"
    );
}

#[test]
fn version_help_and_providers_are_told() {
    let version = run(command(&["--version"]));
    assert_eq!(version.code, Some(0));
    let program = concat!("dotward ", env!("CARGO_PKG_VERSION"), "\nfeatures: cli, ");
    assert!(version.stdout.starts_with(program), "{version:?}");
    assert_eq!(version.stdout.lines().count(), 2, "{version:?}");
    for (args, part) in [
        (&["--help"][..], "serve"),
        (&["-h"], "serve"),
        (&[], "serve"),
        (&["-V"], env!("CARGO_PKG_VERSION")),
        (&["udp", "-h"], "--upstream"),
        (&["serve", "--help"], "--upstream"),
        (&["providers"], "quad9"),
        (&["resolv-conf"], "/etc/resolv.conf"),
    ] {
        let outcome = run(command(args));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains(part), "{outcome:?}");
    }
}
