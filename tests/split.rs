//! `policy = "split"` over real sockets: each registrable domain goes to one upstream.

use crate::support::authority::TempDir;
use crate::support::checks::canary;
use crate::support::command::{command, run};
use crate::support::journal::DEADLINE;
use crate::support::proxy::Proxy;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;
use dotward::wire;
use std::collections::BTreeMap;
use std::time::Instant;

const DOMAINS: usize = 40;

struct Stand {
    trust: Trust,
    files: TempDir,
    servers: [DotServer; 3],
}

impl Stand {
    fn new() -> Self {
        let trust = Trust::new();
        Self {
            servers: [(); 3].map(|()| DotServer::with(trust.authority.good()).start()),
            files: TempDir::new(),
            trust,
        }
    }

    fn key(&self) -> String {
        self.files.path().join("key").display().to_string()
    }

    /// The program in front of these servers, in this order.
    fn proxy(&self, order: [usize; 3], more: &[&str]) -> Proxy {
        let specs = order.map(|number| self.servers[number].spec());
        let split = ["--policy", "split", "--cache-size", "0"];
        let more = [&split, more].concat();
        self.trust
            .proxy(&specs.each_ref().map(String::as_str), &more)
    }

    fn seen(&self) -> [usize; 3] {
        self.servers
            .each_ref()
            .map(|server| server.seen().queries.len())
    }

    /// Asks for two names of each domain, and gives the servers that were asked for it.
    fn ask(&self, proxy: &Proxy) -> Vec<Vec<usize>> {
        let before = self.seen();
        for number in 0..DOMAINS {
            for host in ["www", "Mail"] {
                canary(proxy.address(), &format!("{host}.d{number}.co.uk"));
            }
        }
        let mut of_domain: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, server) in self.servers.iter().enumerate() {
            for query in &server.seen().queries[before[number]..] {
                let question = wire::parse_query(&query.bytes).expect("a query").question;
                let name = wire::display(question.name(&query.bytes)).to_string();
                let (_, domain) = name.split_once('.').expect("labels");
                of_domain.entry(domain.to_owned()).or_default().push(number);
            }
        }
        let mut of = |number| of_domain.remove(&format!("d{number}.co.uk."));
        (0..DOMAINS).filter_map(&mut of).collect()
    }

    /// The same, and gives the one server that was asked for both.
    fn ask_all(&self, proxy: &Proxy) -> Vec<usize> {
        let only = |(number, asked): (usize, Vec<usize>)| match asked[..] {
            [one, other] if one == other => one,
            _ => panic!("d{number}.co.uk was asked of {asked:?}"),
        };
        let asked = self.ask(proxy);
        assert_eq!(asked.len(), DOMAINS);
        asked.into_iter().enumerate().map(only).collect()
    }
}

#[test]
fn no_operator_sees_the_domains_of_another_until_one_fails() {
    let mut stand = Stand::new();
    let proxy = stand.proxy([0, 1, 2], &["--workers", "2"]);
    let before = stand.ask_all(&proxy);
    for number in 0..3 {
        assert!(before.contains(&number), "{before:?}");
    }
    let same = proxy.wait_log("policy split: ");
    assert!(same.contains("are both operated by"), "{same}");
    stand.servers[0].stop();
    let meanwhile = stand.ask_all(&proxy);
    for (before, meanwhile) in before.iter().zip(&meanwhile) {
        assert_eq!(before == meanwhile, *before != 0);
    }
    stand.servers[0].start();
    let start = Instant::now();
    // Each worker has to find that out.
    let all_back: Vec<Vec<usize>> = before.iter().map(|server| vec![*server; 2]).collect();
    while stand.ask(&proxy) != all_back {
        assert!(start.elapsed() < 3 * DEADLINE, "it is not asked again");
    }
}

#[test]
fn a_key_file_is_made_once_and_keeps_the_split() {
    let stand = Stand::new();
    let key = stand.key();
    let args = stand.trust.args(
        &["quad9", "google"],
        &["--policy", "split", "--split-key-file", &key],
    );
    let check: Vec<&str> = std::iter::once("check").chain(args).collect();
    assert_eq!(run(command(&check)).code, Some(0));
    assert!(
        !stand.files.path().join("key").exists(),
        "a check makes no file"
    );
    let first = stand.ask_all(&stand.proxy([0, 1, 2], &["--split-key-file", &key]));
    let octets = std::fs::read(&key).expect("a key");
    assert_eq!(octets.len(), 32);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&key)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = stand.ask_all(&stand.proxy([2, 0, 1], &["--split-key-file", &key]));
    assert_eq!(again, first, "another order and another process");
    assert_eq!(std::fs::read(&key).expect("a key"), octets);
    let other = stand.ask_all(&stand.proxy([0, 1, 2], &[]));
    assert_ne!(other, first, "another key");
}

#[test]
fn a_key_file_that_holds_no_key_ends_the_start() {
    let files = TempDir::new();
    let path = files.path().join("key");
    std::fs::write(&path, "short").expect("a file");
    let folder = files.path().join("nosuch/key");
    let link = files.path().join("link");
    std::os::unix::fs::symlink("nosuch/key", &link).expect("a link");
    for (file, why) in [
        (
            &link,
            "is a symbolic link to \"nosuch/key\", which is not there",
        ),
        (
            &path,
            "has 5 octets, and a key takes at least 16 random ones",
        ),
        (&folder, "is not there and cannot be made: "),
    ] {
        let file = file.display().to_string();
        let more = ["--policy", "split", "--split-key-file", &file];
        for verb in ["check", "serve"] {
            let start = [verb, "--listen", "127.0.0.1:0", "--upstream"];
            let outcome = run(command(&[&start[..], &["quad9,google"], &more].concat()));
            assert_eq!(outcome.code, Some(2), "{outcome:?}");
            let expected = format!("dotward: --split-key-file {file:?}: {why}");
            assert!(outcome.stderr.starts_with(&expected), "{}", outcome.stderr);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_others_may_know_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let files = TempDir::new();
    let path = files.path().join("key");
    let file = path.display().to_string();
    let told = |key: &[u8], mode| {
        std::fs::write(&path, key).expect("a file");
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).expect("permissions");
        let upstreams = "cloudflare,google";
        let start = ["check", "--upstream", upstreams, "--policy", "split"];
        let outcome = run(command(
            &[&start[..], &["--split-key-file", &file]].concat(),
        ));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stderr
    };
    assert_eq!(told(b"sixteen octets !", 0o600), "");
    for (mode, may) in [(0o640, "read"), (0o602, "write"), (0o666, "read and write")] {
        let warned = format!("--split-key-file {file:?}: others than its owner may {may} the key");
        let told = told(b"sixteen octets !", mode);
        assert!(told.contains(&warned), "{told}");
    }
    let told = told(&[7; 16], 0o600);
    let warned = format!("--split-key-file {file:?}: all octets of the key are the same");
    assert!(told.contains(&warned), "{told}");
}
