//! SIGHUP: the program reads its configuration again, over real sockets.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::support::authority::{Authority, TempDir};
use crate::support::checks::{assert_answered, canary, rcode_of};
use crate::support::client::{TcpClient, UdpClient};
use crate::support::codes::A;
use crate::support::journal::DEADLINE;
use crate::support::messages::{query, word};
use crate::support::proxy::Proxy;
use crate::support::script::answers;
use crate::support::upstream::DotServer;

const SERVFAIL: u16 = 2;
const IN_FORCE: &str = "the configuration is in force";
const UNCHANGED: &str = "the configuration stays as it was";

/// Two upstreams of one authority, a configuration file, and the program that reads it.
struct Stand {
    proxy: Proxy,
    upstreams: [DotServer; 2],
    authority: Authority,
    files: TempDir,
}

impl Stand {
    /// The first upstream is configured.
    fn new(more: &[&str]) -> Self {
        let (authority, files) = (Authority::new(), TempDir::new());
        authority.write_pem(files.path());
        let upstreams = [(); 2].map(|()| DotServer::with(authority.good()).start());
        let path = files.path().join("dotward.toml").display().to_string();
        let spec = upstreams[0].spec();
        fs::write(&path, text(&files, &format!("upstream = {spec:?}"))).expect("a file");
        let listen = ["serve", "--config", &path, "--listen", "127.0.0.1:0"];
        Self {
            proxy: Proxy::start(&[&listen[..], more].concat()),
            upstreams,
            authority,
            files,
        }
    }

    /// Writes the file, has it read, and waits until the log says what came of that.
    fn reload(&self, settings: &str, outcome: &str) -> String {
        let path = self.files.path().join("dotward.toml");
        fs::write(path, text(&self.files, settings)).expect("a file");
        self.hang_up(outcome)
    }

    fn hang_up(&self, outcome: &str) -> String {
        let is_outcome = |line: &&String| line.contains(outcome);
        let count = || self.proxy.logs().iter().filter(is_outcome).count();
        let before = count();
        self.proxy.signal("HUP");
        loop {
            // It panics when it waits for too long.
            self.proxy.wait_log(outcome);
            if count() > before {
                let logs = self.proxy.logs();
                return logs.iter().rfind(is_outcome).expect("one").clone();
            }
            std::thread::yield_now();
        }
    }

    fn upstream(&self, number: usize) -> String {
        format!("upstream = {:?}", self.upstreams[number].spec())
    }

    fn asked(&self, number: usize) -> usize {
        self.upstreams[number].seen().queries.len()
    }
}

/// Has clients end.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Settings, with the authority's root.
fn text(files: &TempDir, settings: &str) -> String {
    let root = files.path().join("root.pem");
    format!("ca-file = {:?}\n{settings}\n", root.display().to_string())
}

#[test]
fn the_log_names_the_file_at_the_start() {
    let stand = Stand::new(&[]);
    let path = stand.files.path().join("dotward.toml");
    let line = stand.proxy.wait_log("the configuration is read from");
    assert!(line.contains(&path.display().to_string()), "{line}");
}

// fault 85
#[test]
fn a_changed_file_is_obeyed_without_losing_a_query() {
    const WINDOW: u16 = 40;
    for more in [&[][..], &["--workers", "2"]] {
        let stand = Stand::new(more);
        let address = stand.proxy.address();
        let (ended, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let (ended, answered) = (&ended, &answered);
            // However this ends, the clients end.
            let _end = End(ended);
            let udp = scope.spawn(move || {
                let (client, mut sent, mut flying) = (UdpClient::new(address), 0_u16, 0);
                while !ended.load(Ordering::SeqCst) || flying > 0 {
                    while flying < WINDOW && !ended.load(Ordering::SeqCst) {
                        let id = sent;
                        client.send(&query(&format!("u{id}.test"), A).id(id).build());
                        (sent, flying) = (sent.wrapping_add(1), flying + 1);
                    }
                    let got = client.receive();
                    let id = word(&got, 0);
                    let asked = query(&format!("u{id}.test"), A).id(id).build();
                    assert_answered(&asked, &got);
                    flying -= 1;
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
            let tcp = scope.spawn(move || {
                // One connection, which nobody closes.
                let (client, mut number) = (TcpClient::new(address), 0_u16);
                while !ended.load(Ordering::SeqCst) {
                    let asked = query(&format!("t{number}.test"), A).id(number).build();
                    assert_answered(&asked, &client.ask(&asked));
                    number = number.wrapping_add(1);
                }
            });
            for round in 1..=12 {
                let goal = answered.load(Ordering::SeqCst) + 50;
                while answered.load(Ordering::SeqCst) < goal {
                    assert!(!udp.is_finished() && !tcp.is_finished(), "clients go on");
                    std::thread::yield_now();
                }
                let line = if round % 3 == 0 {
                    stand.reload("upstream = \"quad99\"", UNCHANGED)
                } else {
                    stand.reload(&stand.upstream(round % 2), IN_FORCE)
                };
                assert!(line.contains("quad99") == (round % 3 == 0), "{line}");
            }
        });
        assert!(stand.asked(0) > 50 && stand.asked(1) > 50);
    }
}

#[test]
fn what_did_not_change_stays_connected_and_cached() {
    let stand = Stand::new(&[]);
    let address = stand.proxy.address();
    canary(address, "a.test");
    let line = stand.hang_up(IN_FORCE);
    assert!(line.contains("the same upstreams"), "{line}");
    canary(address, "a.test");
    canary(address, "b.test");
    let seen = stand.upstreams[0].seen();
    assert_eq!((seen.handshakes.len(), seen.queries.len()), (1, 2));
    let line = stand.reload(&stand.upstream(1), IN_FORCE);
    assert!(line.contains("new upstreams: "), "{line}");
    canary(address, "a.test");
    assert_eq!((stand.asked(0), stand.asked(1)), (2, 1));
}

// fault 85, 86
#[test]
fn a_mistake_changes_nothing_and_is_named() {
    let stand = Stand::new(&[]);
    let address = stand.proxy.address();
    let second = stand.upstream(1);
    for (mistake, named) in [
        (format!("{second}\nno-such = 1"), "no-such"),
        (format!("{second}\ntimeout = \"soon\""), "timeout"),
        (format!("{second}\nhosts = \"/no/such/file\""), "hosts"),
        ("upstream = [".to_owned(), "dotward.toml"),
    ] {
        let line = stand.reload(&mistake, UNCHANGED);
        assert!(line.contains(named), "{line}");
    }
    canary(address, "a.test");
    assert_eq!((stand.asked(0), stand.asked(1)), (1, 0));
    stand.reload(&second, IN_FORCE);
    canary(address, "b.test");
    assert_eq!((stand.asked(0), stand.asked(1)), (1, 1));
}

#[test]
fn an_address_that_another_program_has_changes_nothing() {
    let (authority, files) = (Authority::new(), TempDir::new());
    authority.write_pem(files.path());
    let upstream = DotServer::with(authority.good()).start();
    let path = files.path().join("dotward.toml").display().to_string();
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().map(|addr| (addr, taken)).expect("one");
    let write = |listen: &str| {
        let settings = format!("listen = {listen}\nupstream = {:?}", upstream.spec());
        fs::write(&path, text(&files, &settings)).expect("a file");
    };
    write("[\"127.0.0.1:0\"]");
    let proxy = Proxy::start(&["serve", "--config", &path]);
    write(&format!("[\"127.0.0.1:0\", \"{}\"]", taken.0));
    proxy.signal("HUP");
    let line = proxy.wait_log(UNCHANGED);
    assert!(line.contains(&taken.0.to_string()), "{line}");
    canary(proxy.address(), "a.test");
    drop(taken.1);
    proxy.signal("HUP");
    let line = proxy.wait_log(IN_FORCE);
    assert!(line.contains("new addresses: "), "{line}");
    canary(taken.0, "b.test");
    canary(proxy.address(), "c.test");
}

/// Waits until so many reloads have come to an end, and gives what came of the last one.
fn wait_reloads(proxy: &Proxy, count: usize) -> String {
    let since = Instant::now();
    loop {
        let logs = proxy.logs();
        let is_end = |line: &&String| line.contains(IN_FORCE) || line.contains(UNCHANGED);
        if let Some(line) = logs.iter().filter(is_end).nth(count - 1) {
            return line.clone();
        }
        assert!(since.elapsed() < DEADLINE, "{logs:?}");
        std::thread::yield_now();
    }
}

/// An address that nobody has just now.
fn free() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("an address")
}

// fault 182
#[test]
fn an_address_that_was_just_dropped_can_be_taken_back() {
    let (authority, files) = (Authority::new(), TempDir::new());
    authority.write_pem(files.path());
    // It answers nothing to the first name, so that its client waits.
    let upstream = DotServer::with(authority.good()).script(|asked| {
        // The slow one's first label has four octets.
        match asked.bytes.get(12) {
            Some(4) => Vec::new(),
            _ => answers(asked),
        }
    });
    let upstream = upstream.start();
    let path = files.path().join("dotward.toml").display().to_string();
    let (first, second) = (free(), free());
    let write = |listen: SocketAddr| {
        let settings = format!(
            "listen = \"{listen}\"\ntimeout = \"10s\"\nupstream = {:?}",
            upstream.spec()
        );
        fs::write(&path, text(&files, &settings)).expect("a file");
    };
    write(first);
    let proxy = Proxy::start(&["serve", "--config", &path]);
    canary(first, "a.test");
    let client = UdpClient::new(first);
    client.send(&query("slow.test", A).build());
    upstream.wait("the query", |seen| seen.queries.len() == 2);
    write(second);
    proxy.signal("HUP");
    wait_reloads(&proxy, 1);
    canary(second, "b.test");
    write(first);
    proxy.signal("HUP");
    let line = wait_reloads(&proxy, 2);
    assert!(line.contains("new addresses: "), "{line}");
    canary(first, "c.test");
    let logs = proxy.logs();
    let complains = |line: &&String| line.contains("another program") || line.contains(UNCHANGED);
    assert_eq!(logs.iter().find(complains), None);
}

#[test]
fn what_only_a_restart_changes_is_named() {
    let stand = Stand::new(&[]);
    let settings = format!("{}\nworkers = 3\nkeep-scheduling = true", stand.upstream(1));
    let line = stand.reload(&settings, "only a restart changes");
    assert!(line.ends_with("changes workers, keep-scheduling"), "{line}");
    stand.proxy.wait_log(IN_FORCE);
    canary(stand.proxy.address(), "a.test");
    assert_eq!((stand.asked(0), stand.asked(1)), (0, 1));
}

#[test]
fn files_that_are_named_are_read_again() {
    let stand = Stand::new(&["--cache-size", "0"]);
    let address = stand.proxy.address();
    canary(address, "a.test");
    // The server is none that the new root vouches for.
    let root = stand.files.path().join("root.pem");
    let other = Authority::new();
    fs::write(&root, other.pem()).expect("a file");
    let line = stand.hang_up(IN_FORCE);
    assert!(line.contains("all connections are made anew"), "{line}");
    let got = UdpClient::new(address).ask(&query("b.test", A).build());
    assert_eq!(rcode_of(&got), SERVFAIL);
    fs::write(&root, other.pem() + &stand.authority.pem()).expect("a file");
    stand.hang_up(IN_FORCE);
    canary(address, "c.test");
    fs::write(&root, "no certificate").expect("a file");
    stand.hang_up(UNCHANGED);
    canary(address, "d.test");
}

#[test]
fn arguments_alone_are_read_again_too() {
    let stand = crate::support::setup::Setup::answering();
    stand.proxy.signal("HUP");
    let line = stand.proxy.wait_log("SIGHUP");
    assert!(line.ends_with("arguments and variables"), "{line}");
    stand.proxy.wait_log(IN_FORCE);
    canary(stand.address(), "a.test");
}
