//! `dotward import`: what is made of other programs' files. Each example in `tests/import/` has beside it what dotward then does, as
//! `WRITE_PAGES=1 cargo test --features full --test suite import::` writes it for people to read.

use crate::support::authority::{NAME, TempDir};
use crate::support::checks::canary;
use crate::support::client::UdpClient;
use crate::support::codes::{A, SERVFAIL};
use crate::support::command::{Outcome, command, run};
use crate::support::messages::query;
use crate::support::proxy::Proxy;
use crate::support::reading::read;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;
use dotward::cli::{Command, Sources};
use dotward::config::{Config, Target, Upstream};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Beside an example: what comes of it.
const EXPECTED: &str = "expected";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

/// As on a host with a name server, so that upstreams may be given by name.
fn parsed(arguments: &[&str]) -> Result<Command, String> {
    let root = TempDir::new();
    fs::create_dir(root.path().join("etc")).expect("a folder");
    fs::write(
        root.path().join("etc/resolv.conf"),
        "nameserver 192.0.2.53\n",
    )
    .expect("written");
    let sources = Sources::new(arguments.iter().map(OsString::from), []).with_root(root.path());
    sources.read().map_err(|error| error.to_string())
}

/// What is written of a file, and what is said of it.
fn imported(file: &Path) -> Result<(String, Vec<String>), String> {
    let command = parsed(&["import", file.to_str().expect("a text")])?;
    let remarks = command.warnings().to_vec();
    Ok((command.text().expect("a file"), remarks))
}

/// The configuration of a file that `dotward check` accepts.
fn checked(file: &Path) -> Config {
    let file = file.to_str().expect("a text");
    match parsed(&["check", "--config", file]) {
        Ok(Command::Check(settings)) => settings.config,
        other => panic!("{file}: {other:?}"),
    }
}

/// How a server is reached, and what it is authenticated by.
fn reached(upstream: &Upstream) -> String {
    let mut text = upstream.schemes_text();
    for address in upstream.addresses() {
        write!(text, " {address}").expect("a text");
    }
    if let Some(host) = upstream.host() {
        write!(text, " {}:{}", host.name(), host.port()).expect("a text");
    }
    if let Some(path) = upstream.path() {
        write!(text, " path {path}").expect("a text");
    }
    if let Some(socks5) = upstream.socks5() {
        write!(text, " by way of {}", socks5.proxy).expect("a text");
    }
    match upstream.server_name() {
        Some(name) if upstream.needs_name() => write!(text, ", certificate for {name}"),
        Some(_) if !upstream.pins().is_empty() => write!(text, ", any certificate"),
        _ => write!(text, ", not authenticated"),
    }
    .expect("a text");
    for pin in upstream.pins() {
        write!(text, ", key {pin}").expect("a text");
    }
    text
}

/// What dotward does with a file: its settings, whom it asks, and what it said of the other program's file.
fn told(toml: &Path, remarks: &[String]) -> String {
    let config = checked(toml);
    let Ok(Command::Config(effective)) =
        parsed(&["config", "--config", toml.to_str().expect("a text")])
    else {
        panic!("{}: no configuration", toml.display())
    };
    let mut text = String::new();
    let file = format!("  # {}:", toml.display());
    for line in effective.lines() {
        // Upstreams and routes are told as they are understood.
        let setting = line.split_once(&file).map(|(setting, _)| setting);
        let setting = setting.filter(|it| !it.starts_with("upstream"));
        if let Some(setting) = setting.filter(|it| it.contains(" = ") && !it.starts_with(' ')) {
            writeln!(text, "{setting}").expect("a text");
        }
    }
    for upstream in config.upstreams() {
        writeln!(text, "asks {}", reached(upstream)).expect("a text");
    }
    for route in config.routes() {
        let domains: Vec<String> = route.domains().iter().map(ToString::to_string).collect();
        let domains = domains.join(" ");
        match route.target() {
            Target::Upstreams { upstreams, .. } => {
                for upstream in upstreams {
                    writeln!(text, "asks for {domains} {}", reached(upstream)).expect("a text");
                }
            }
            other => writeln!(text, "answers for {domains} by itself: {other:?}").expect("a text"),
        }
    }
    let folder = format!("{}/", folder().display());
    for remark in remarks {
        writeln!(text, "says {}", remark.replace(&folder, "")).expect("a text");
    }
    text
}

fn examples() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("the examples");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_example = |path: &PathBuf| path.extension().is_none_or(|it| it != EXPECTED);
    let mut paths: Vec<PathBuf> = paths.filter(is_example).collect();
    paths.sort();
    paths
}

// req 139, 140, fault 164
#[test]
fn each_example_reaches_the_same_servers_with_the_same_authentication() {
    let directory = TempDir::new();
    let toml = directory.path().join("dotward.toml");
    let (mut wrong, examples) = (Vec::new(), examples());
    assert!(examples.len() > 18, "{} examples", examples.len());
    for path in examples {
        let name = path.file_name().expect("a name").to_string_lossy();
        let (text, remarks) = match imported(&path) {
            Ok(imported) => imported,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        fs::write(&toml, &text).expect("written");
        let told = told(&toml, &remarks);
        let beside = path.with_file_name(format!("{name}.{EXPECTED}"));
        if std::env::var_os("WRITE_PAGES").is_some() {
            fs::write(&beside, &told).expect("written");
            continue;
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if told != expected {
            wrong.push(format!("{name}:\n{told}-- expected --\n{expected}"));
        }
        // All that is said stands in the file as well.
        for remark in remarks {
            let is_there = text
                .lines()
                .any(|line| line.trim_start().strip_prefix("# ") == Some(&remark));
            assert!(is_there, "{name}: {remark}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn import(arguments: &[&str]) -> Outcome {
    run(command(&[&["import"], arguments].concat()))
}

/// A file of stubby that names this server, which is authenticated by this name.
fn stubby(directory: &TempDir, server: &DotServer, trust: &Trust, name: &str) -> String {
    let path = directory.path().join("stubby.yml");
    let text = format!(
        "dns_transport_list: [GETDNS_TRANSPORT_TLS]\ntls_authentication: GETDNS_AUTHENTICATION_REQUIRED\n\
         tls_ca_file: \"{}\"\nlisten_addresses: [127.0.0.1@0]\nupstream_recursive_servers:\n\
         \x20 - address_data: {}\n    tls_port: {}\n    tls_auth_name: {name}\n",
        trust.root,
        server.address().ip(),
        server.address().port()
    );
    fs::write(&path, text).expect("written");
    path.display().to_string()
}

// req 139, fault 164
#[test]
fn what_was_imported_serves_and_authenticates() {
    let (trust, directory) = (Trust::new(), TempDir::new());
    let server = DotServer::with(trust.authority.good()).start();
    let toml = directory.path().join("dotward.toml").display().to_string();
    let theirs = stubby(&directory, &server, &trust, NAME);
    let outcome = import(&[&theirs, "--output", &toml]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(0), ""),
        "{outcome:?}"
    );
    assert_eq!(outcome.stderr, "");
    let proxy = Proxy::start(&["serve", "--config", &toml]);
    canary(proxy.address(), "imported.test");
    let seen = server.seen();
    assert_eq!(seen.hellos[0].server_name.as_deref(), Some(NAME));
    assert_eq!(seen.queries.len(), 1);
    drop(proxy);

    // The same server under another name gets nothing.
    let theirs = stubby(&directory, &server, &trust, "other.test");
    let outcome = import(&[&theirs, "--output", &toml, "--force"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let proxy = Proxy::start(&["serve", "--config", &toml, "--timeout", "1s"]);
    let asked = query("secret.test", A).build();
    let got = read(&UdpClient::new(proxy.address()).ask(&asked));
    assert_eq!((got.rcode(), server.seen().queries.len()), (SERVFAIL, 1));
}

// fault 166
#[test]
fn a_file_that_is_there_is_not_replaced_without_force() {
    let directory = TempDir::new();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (theirs, toml) = (path("resolved.conf"), path("dotward.toml"));
    fs::write(
        &theirs,
        "[Resolve]\nDNS=192.0.2.1#dns.example\nDNSOverTLS=opportunistic\n",
    )
    .expect("written");
    fs::write(&toml, "mine\n").expect("written");
    let outcome = import(&[&theirs, "--output", &toml]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome
            .stderr
            .contains("is there already: name another file, or replace it with --force"),
        "{outcome:?}"
    );
    assert_eq!(fs::read_to_string(&toml).expect("the file"), "mine\n");
    let outcome = import(&[&theirs, "--output", &toml, "--force"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let warning = format!("dotward: warning: {theirs}:2: DNSOverTLS=opportunistic did not verify");
    assert!(outcome.stderr.starts_with(&warning), "{outcome:?}");
    let text = fs::read_to_string(&toml).expect("the file");
    assert!(
        text.contains("\n    \"192.0.2.1#dns.example\",\n"),
        "{text}"
    );
    // Nothing else was left in the folder.
    assert_eq!(
        fs::read_dir(directory.path()).expect("the folder").count(),
        2
    );
    let outcome = import(&[&theirs]);
    assert_eq!((outcome.code, outcome.stdout), (Some(0), text));
    let outcome = import(&[&theirs, "--output", &path("no/such/folder")]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
}

// req 141, fault 165
#[test]
fn what_cannot_be_read_is_an_error_that_names_the_file_and_the_line() {
    let directory = TempDir::new();
    let path = directory.path().join("theirs");
    let file = path.display().to_string();
    let deep = format!("upstreams:\n  groups: {}", "[".repeat(200_000));
    let nested = format!("upstreams:\n  groups: {}", "{a: ".repeat(200_000));
    let huge = "# much\n".repeat(200_000);
    let cases: [(&[u8], &str, &str); 13] = [
        (b"", "", ": the file is empty"),
        (b"\x7fELF\x02\x01\xff\xfe", "", ":1: this is not text"),
        (
            b"[Resolve]\nDNS=\0",
            "",
            ":2: this is not text: it has an octet of 0",
        ),
        (huge.as_bytes(), "", ": "),
        (
            b"hello\n",
            "",
            ": this is not known as a file of another program; --from names its format",
        ),
        (deep.as_bytes(), "", ":2: "),
        (nested.as_bytes(), "", ":2: "),
        (
            b"upstreams:\n  groups: {}\nupstreams:\n",
            "",
            ":3: upstreams: is given twice, first in line 1",
        ),
        (
            b"server_names = ['a']\nserver_names = ['b']\n",
            "",
            ":2: this is not TOML: duplicate key",
        ),
        (
            b"newServer({address='192.0.2.1',\naddress='192.0.2.2'})",
            "",
            ":2: address: is given twice, first in line 1",
        ),
        (
            b". {\n forward . tls://192.0.2.1\n",
            "",
            ":1: a { is not closed",
        ),
        (
            b"forward-zone:\n name: \".\n forward-addr: 192.0.2.1\n",
            "",
            ":2: a quotation mark is opened",
        ),
        (
            b"upstreams:\n",
            "unbound",
            ": as a file of unbound it names no server",
        ),
    ];
    for (octets, from, expected) in cases {
        fs::write(&path, octets).expect("written");
        let mut arguments = vec![file.as_str()];
        if !from.is_empty() {
            arguments.extend(["--from", from]);
        }
        let outcome = import(&arguments);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{outcome:?}"
        );
        let start = format!("dotward: {file}{expected}");
        assert!(
            outcome.stderr.starts_with(&start),
            "{start}\n{}",
            outcome.stderr
        );
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    }
    for (arguments, expected) in [
        (&["/nowhere/at/all"][..], "dotward: /nowhere/at/all: "),
        (
            &[&file, "--from", "bind"],
            "dotward: --from \"bind\": is none of stubby, ",
        ),
        (
            &[&file, "--force"],
            "dotward: --force replaces the file of --output",
        ),
        (&[], "dotward: "),
    ] {
        let outcome = import(arguments);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.starts_with(expected), "{outcome:?}");
    }
}

// req 140, fault 167
#[test]
fn nothing_goes_to_a_server_that_the_file_did_not_name() {
    let directory = TempDir::new();
    let (path, toml) = (
        directory.path().join("theirs"),
        directory.path().join("dotward.toml"),
    );
    let file = path.display().to_string();
    // The only server cannot be used: there is no default in its place.
    for text in [
        "[Resolve]\nDNS=192.0.2.1:53#dns.example\nDNSOverTLS=yes\n",
        "[Resolve]\nDNS=fe80::1%nosuchinterface#dns.example\nDNSOverTLS=yes\n",
        "server_names = ['somebody']\n",
    ] {
        fs::write(&path, text).expect("written");
        let outcome = import(&[&file]);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{outcome:?}"
        );
    }
    // Names with servers of their own are not forwarded to the others.
    let text = "forward-zone:\n name: corp.example\n forward-tls-upstream: yes\n forward-addr: 192.0.2.1@53#a.example\n\
                forward-zone:\n name: .\n forward-tls-upstream: yes\n forward-addr: 192.0.2.2#b.example\n";
    fs::write(&path, text).expect("written");
    let outcome = import(&[&file]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    fs::write(&toml, outcome.stdout).expect("written");
    let config = checked(&toml);
    let route = &config.routes()[0];
    assert_eq!(
        (route.domains()[0].name(), route.target()),
        ("corp.example", &Target::Refuse)
    );
}
