//! Machines of a household find the encrypted listener by themselves, and trust it: over real sockets, with dotward as the client as well.

use crate::support::authority::{Authority, Leaf, NAME, TempDir};
use crate::support::checks::canary;
use crate::support::client::UdpClient;
use crate::support::codes::{A, AAAA};
use crate::support::command::{command, run};
use crate::support::messages::{query, svcb};
use crate::support::proxy::Proxy;
use crate::support::reading::read;
use crate::support::upstream::DotServer;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

const SVCB: u16 = 64;
const ALPN: u16 = 1;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const DESIGNATED: &str = "_dns.resolver.arpa";

/// A resolver with a listener over TLS, its upstream, and the authority of both.
struct Resolver {
    proxy: Proxy,
    _files: TempDir,
    root: String,
    _upstream: DotServer,
}

impl Resolver {
    fn new(leaf: impl Fn(&Authority) -> Leaf, more: &[&str]) -> Self {
        let (authority, files) = (Authority::new(), TempDir::new());
        let both = write(files.path(), &leaf(&authority));
        let args = [&["--certificate", &*both], more].concat();
        Self::showing(&authority, files, &args)
    }

    /// With these options for its certificate.
    fn showing(authority: &Authority, files: TempDir, more: &[&str]) -> Self {
        let root = authority.write_pem(files.path()).display().to_string();
        let upstream = DotServer::with(authority.good()).start();
        let spec = upstream.spec();
        let mut args = vec!["serve", "--ca-file", &root, "--upstream", &spec];
        args.extend(["--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0"]);
        args.extend(more);
        Self {
            proxy: Proxy::start(&args),
            _files: files,
            root,
            _upstream: upstream,
        }
    }

    fn plain(&self) -> SocketAddr {
        self.proxy.addresses()[0]
    }

    /// The RDATA of what it answers with.
    fn ask(&self, name: &str, qtype: u16) -> Vec<Vec<u8>> {
        let answer = UdpClient::new(self.plain()).ask(&query(name, qtype).build());
        let answer = read(&answer);
        assert_eq!(answer.rcode(), 0, "{name}");
        let records = answer.answer.into_iter();
        records.map(|record| record.rdata).collect()
    }

    /// The record by which it designates itself under this name.
    fn expected(&self, name: &str) -> Vec<u8> {
        let port = self.proxy.addresses()[1].port().to_be_bytes();
        let params: [(u16, &[u8]); 3] = [
            (ALPN, b"\x03dot"),
            (PORT, &port),
            (IPV4HINT, &[127, 0, 0, 1]),
        ];
        svcb(1, name, &params)
    }
}

/// Writes a certificate and its key into one file, and gives its name.
fn write(folder: &Path, leaf: &Leaf) -> String {
    let path = folder.join("own.pem");
    fs::write(&path, leaf.pem() + &leaf.key_pem()).expect("a certificate");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&path, mode).expect("a file of its owner");
    path.display().to_string()
}

// req 115
#[test]
fn a_resolver_designates_its_listener_under_the_name_in_its_certificate() {
    let resolver = Resolver::new(Authority::good, &[]);
    let expected = [resolver.expected(NAME)];
    assert_eq!(resolver.ask(DESIGNATED, SVCB), expected);
    assert_eq!(resolver.ask(&format!("_dns.{NAME}"), SVCB), expected);
    assert_eq!(resolver.ask(NAME, A), [[127, 0, 0, 1]]);
    assert_eq!(resolver.ask(NAME, AAAA), [[0; 0]; 0]);
}

// req 115, 89
#[test]
fn dotward_finds_dotward_and_verifies_it_by_the_address_that_it_asked() {
    let resolver = Resolver::new(Authority::good, &[]);
    find(&resolver, &resolver.root);
}

/// Another dotward finds the resolver, verifies it by its address and this authority, and asks it.
fn find(resolver: &Resolver, root: &str) {
    let spec = format!("ddr://{}", resolver.plain());
    let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--upstream", &spec];
    args.extend(["--ca-file", root]);
    let client = Proxy::start(&args);
    canary(client.addresses()[0], "found.test");
    client.wait_log("connected, verified as 127.0.0.1");
}

// req 115
#[test]
fn a_name_can_be_given_and_none_designates_nothing() {
    let named = Resolver::new(Authority::good, &["--listener-name", "dns.home.example"]);
    let expected = named.expected("dns.home.example");
    assert_eq!(named.ask(DESIGNATED, SVCB), [expected]);
    let silent = Resolver::new(Authority::good, &["--listener-name", "none"]);
    assert_eq!(silent.ask(DESIGNATED, SVCB), [[0; 0]; 0]);
}

// fault 139
#[test]
fn a_certificate_without_what_clients_verify_is_warned_of() {
    let (authority, files) = (Authority::new(), TempDir::new());
    let both = write(files.path(), &authority.good());
    let check = |listen: &str, more: &[&str]| {
        let mut args = vec!["check", "--listen", listen, "--listen-tls", listen];
        args.extend(["--certificate", &both]);
        args.extend(more);
        let outcome = run(command(&args));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains(":853 over TLS"), "{outcome:?}");
        outcome
    };
    let told = check("127.0.0.1", &[]);
    assert_eq!(told.stderr, "");
    assert!(told.stdout.contains(&format!("over TLS, as {NAME}\n")));
    let told = check("192.0.2.1,192.0.2.2", &[]).stderr;
    let expected = "dotward: warning: the certificate is not for 192.0.2.1 and 192.0.2.2: clients";
    assert!(told.starts_with(expected), "{told}");
    let told = check("192.0.2.1", &["--listener-name", "none"]).stderr;
    assert_eq!(told, "");
    let told = check("127.0.0.1", &["--listener-name", "elsewhere.example"]).stderr;
    let expected = "dotward: warning: listener-name elsewhere.example: the certificate is not for";
    assert!(told.starts_with(expected), "{told}");
}

// fault 139
#[test]
fn a_name_that_no_resolver_can_have_is_an_error() {
    for (name, why) in [
        ("x.resolver.arpa", "is reserved (RFC 9462 section 4)"),
        ("a..b", "is not a host name"),
        ("192.0.2.1", "is an IP address"),
        (".", "the root is the name of no resolver"),
    ] {
        let outcome = run(command(&["check", "--listener-name", name]));
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        let start = format!("dotward: --listener-name {name:?}: ");
        assert!(outcome.stderr.starts_with(&start), "{outcome:?}");
        assert!(outcome.stderr.contains(why), "{outcome:?}");
    }
    let outcome = run(command(&["check", "--listener-name", "a.test"]));
    let expected = "--listener-name has no effect: no client is served over TLS";
    assert!(outcome.stderr.contains(expected), "{outcome:?}");
}

// req 116, 115
#[cfg(feature = "certificate")]
#[test]
fn what_dotward_certificate_makes_serves_and_is_trusted() {
    let (authority, files) = (Authority::new(), TempDir::new());
    let folder = files.path().join("made").display().to_string();
    let mut args = vec!["certificate", "--name", "dns.home.example"];
    args.extend(["--address=127.0.0.1", "--directory", &folder]);
    let made = run(command(&args));
    assert_eq!((made.code, &*made.stderr), (Some(0), ""), "{made:?}");
    // The lines for the configuration file are one.
    let keys = [
        "listen-tls",
        "certificate",
        "certificate-key",
        "listener-name",
    ];
    let is_key = |line: &&str| {
        keys.iter()
            .any(|key| line.starts_with(&format!("{key} = ")))
    };
    let lines: Vec<&str> = made.stdout.lines().filter(is_key).collect();
    assert_eq!(lines.len(), keys.len(), "{made:?}");
    let config = files.path().join("dotward.toml").display().to_string();
    fs::write(&config, lines.join("\n")).expect("a configuration file");
    let checked = run(command(&["check", "--config", &config]));
    assert_eq!(
        (checked.code, &*checked.stderr),
        (Some(0), ""),
        "{checked:?}"
    );
    let expected = "127.0.0.1:853 over TLS, as dns.home.example\n";
    assert!(checked.stdout.contains(expected), "{checked:?}");
    // It serves, and a client that trusts the authority finds it.
    let [chain, key, ca] =
        ["chain.pem", "key.pem", "ca.pem"].map(|name| format!("{folder}/{name}"));
    let shown = ["--certificate", &chain, "--certificate-key", &key];
    let resolver = Resolver::showing(&authority, files, &shown);
    let expected = resolver.expected("dns.home.example");
    assert_eq!(resolver.ask(DESIGNATED, SVCB), [expected]);
    find(&resolver, &ca);
}

// fault 140
#[cfg(feature = "certificate")]
#[test]
fn a_file_of_somebody_else_ends_dotward_certificate_with_its_name() {
    let files = TempDir::new();
    let key = files.path().join("key.pem").display().to_string();
    fs::write(&key, "precious").expect("a file");
    let folder = files.path().display().to_string();
    let args = [
        "certificate",
        "--name",
        "dns.home.example",
        "--directory",
        &folder,
    ];
    let refused = run(command(&args));
    assert_eq!((refused.code, &*refused.stdout), (Some(1), ""));
    assert!(
        refused
            .stderr
            .contains("key.pem: is there and was not made by"),
        "{refused:?}"
    );
    assert_eq!(fs::read_to_string(&key).expect("the file"), "precious");
    let forced = run(command(&[&args[..], &["--force"]].concat()));
    assert_eq!(forced.code, Some(0), "{forced:?}");
    let wrong = run(command(&[
        "certificate",
        "--days",
        "399",
        "--name",
        "a.test",
    ]));
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}

// req 117
#[test]
fn the_options_of_dhcp_follow_from_the_configuration() {
    let (authority, files) = (Authority::new(), TempDir::new());
    let both = write(files.path(), &authority.good());
    let mut args = vec![
        "dnr",
        "--listen-tls",
        "192.0.2.1,fd00::1,127.0.0.1,192.0.2.2:8853",
    ];
    args.extend(["--certificate", &both]);
    let told = |more: &[&str]| {
        let outcome = run(command(&[&args[..], more].concat()));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let lines = outcome.stdout.lines();
        let lines = lines.filter(|line| line.starts_with("list dnr "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let expected = [
        format!("list dnr '1 {NAME} fd00::1,192.0.2.1 alpn=dot'"),
        format!("list dnr '2 {NAME} 192.0.2.2 alpn=dot port=8853'"),
    ];
    assert_eq!(told(&[]), expected);
    // What is given takes precedence.
    let more = [
        "--name",
        "a.test",
        "--address",
        "192.0.2.9",
        "--priority",
        "5",
    ];
    let expected = [
        "list dnr '5 a.test 192.0.2.9 alpn=dot'",
        "list dnr '6 a.test 192.0.2.9 alpn=dot port=8853'",
    ];
    assert_eq!(told(&more), expected);
    let more = ["--alpn", "h2", "--address", "192.0.2.9"];
    let expected = format!("list dnr '1 {NAME} 192.0.2.9 alpn=h2 dohpath=/dns-query{{?dns}}'");
    assert_eq!(told(&more), [expected]);
    let here = run(command(&[
        "dnr",
        "--listen-tls",
        "127.0.0.1",
        "--certificate",
        &both,
    ]));
    assert_eq!(here.code, Some(2), "{here:?}");
    assert!(here.stderr.contains("--address is missing"), "{here:?}");
}
