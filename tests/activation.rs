//! Under a service manager: sockets that it passes, and what it is told.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::authority::TempDir;
use crate::support::checks::{assert_answered, canary};
use crate::support::client::{TcpClient, UdpClient};
use crate::support::codes::A;
use crate::support::command::{command, run};
use crate::support::journal::DEADLINE;
use crate::support::messages::query;
use crate::support::proxy::Proxy;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;

/// The program, with this as descriptor 3 and `LISTEN_FDS=1`; `to` is the process that it is meant for.
fn passing(descriptor: OwnedFd, to: &str, args: &[&str]) -> Command {
    let script = format!(
        "exec 3<&0 </dev/null; LISTEN_PID={to} LISTEN_FDS=1 LISTEN_FDNAMES=dotward.socket exec \"$0\" \"$@\""
    );
    let mut shell = Command::new("sh");
    let program = command(args);
    shell
        .arg("-c")
        .arg(script)
        .arg(program.get_program())
        .args(program.get_args())
        .stdin(Stdio::from(descriptor));
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

struct World {
    trust: Trust,
    upstream: DotServer,
}

impl World {
    fn new() -> Self {
        let trust = Trust::new();
        let upstream = DotServer::with(trust.authority.good()).start();
        Self { trust, upstream }
    }

    fn args<'a>(&'a self, spec: &'a str, mode: &'a str, others: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec![mode, "--upstream", spec, "--ca-file", &self.trust.root];
        args.extend(others);
        args
    }
}

// req 27
#[test]
fn a_socket_that_was_passed_is_the_address_that_is_served() {
    let world = World::new();
    let spec = world.upstream.spec();
    let socket = UdpSocket::bind("127.0.32.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let args = world.args(&spec, "serve", &[]);
    let mut proxy = Proxy::spawn(passing(socket.into(), "$$", &args));
    assert_eq!(proxy.addresses(), [at]);
    canary(at, "a.test");
    // What was not passed is bound.
    let asked = query("b.test", A).build();
    assert_answered(&asked, &TcpClient::new(at).ask(&asked));
    assert_eq!(proxy.terminate().code(), Some(0));
}

// fault 84: what comes between two processes is for the second.
#[test]
fn what_is_sent_between_two_processes_waits_for_the_second() {
    let world = World::new();
    let spec = world.upstream.spec();
    let socket = UdpSocket::bind("127.0.32.2:0").unwrap();
    let at = socket.local_addr().unwrap();
    let listen = at.to_string();
    let args = world.args(&spec, "udp", &["--listen", &listen]);
    let client = UdpClient::new(at);
    for number in 0..3 {
        let asked = query(&format!("a{number}.test"), A).build();
        client.send(&asked);
        let descriptor = socket.try_clone().unwrap().into();
        let mut proxy = Proxy::spawn(passing(descriptor, "$$", &args));
        assert_answered(&asked, &client.receive());
        proxy.signal("TERM");
        proxy.wait_log("handing over");
        assert_eq!(proxy.wait().code(), Some(0));
    }
}

#[test]
fn a_socket_that_is_meant_for_another_process_is_not_taken() {
    let world = World::new();
    let spec = world.upstream.spec();
    let socket = UdpSocket::bind("127.0.32.3:0").unwrap();
    let at = socket.local_addr().unwrap();
    let args = world.args(&spec, "udp", &["--listen", "127.0.32.3:0"]);
    let proxy = Proxy::spawn(passing(socket.into(), "1", &args));
    assert_ne!(proxy.address(), at);
    canary(proxy.address(), "a.test");
}

// fault 86
#[test]
fn a_socket_of_no_configured_address_is_named_with_the_address() {
    let world = World::new();
    let spec = world.upstream.spec();
    let socket = UdpSocket::bind("127.0.32.4:0").unwrap();
    let at = socket.local_addr().unwrap();
    let args = world.args(&spec, "udp", &["--listen", "127.0.32.4:1"]);
    let outcome = run(passing(socket.into(), "$$", &args));
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    let passed = format!("a UDP socket of {at} (dotward.socket)");
    for part in [passed.as_str(), "127.0.32.4:1"] {
        assert!(
            outcome.stderr.contains(part),
            "{part} is not in {outcome:?}"
        );
    }
}

#[test]
fn descriptors_that_nobody_can_serve_are_refused_with_the_reason() {
    let world = World::new();
    let spec = world.upstream.spec();
    let listener = TcpListener::bind("127.0.32.5:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (unix, _other) = UnixStream::pair().unwrap();
    for (descriptor, reason) in [
        (OwnedFd::from(stream), "does not listen"),
        (OwnedFd::from(unix), "another family"),
    ] {
        let args = world.args(&spec, "tcp", &[]);
        let outcome = run(passing(descriptor, "$$", &args));
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains(reason), "{outcome:?}");
    }
}

/// What the program told its manager, in order. Descriptors that come along are closed, which lets go who waits for that.
fn told(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let len = manager.recv(&mut buffer).expect("a message");
    String::from_utf8(buffer[..len].to_vec()).expect("text")
}

/// A manager that hears what it is told.
fn manager(folder: &TempDir) -> (UnixDatagram, PathBuf) {
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    (manager, path)
}

/// The status that ends a reload, after the message that it has begun.
fn reloaded(manager: &UnixDatagram) -> String {
    let begun = told(manager);
    let (reloading, moment) = begun.split_once('\n').unwrap();
    assert_eq!(reloading, "RELOADING=1");
    let moment = moment.strip_prefix("MONOTONIC_USEC=").expect("the moment");
    assert!(
        moment
            .trim_end()
            .parse::<u64>()
            .is_ok_and(|moment| moment > 0)
    );
    let mut ended = told(manager);
    // The store follows first.
    while ended.starts_with("FDSTORE") {
        ended = told(manager);
    }
    let status = ended.strip_prefix("READY=1\nSTATUS=").expect("READY=1");
    status.trim_end().to_owned()
}

#[test]
fn the_manager_is_told_of_a_reload_and_of_one_that_is_refused() {
    let world = World::new();
    let spec = world.upstream.spec();
    let folder = TempDir::new();
    let (manager, path) = manager(&folder);
    let file = folder.path().join("dotward.toml");
    std::fs::write(&file, "log = \"info\"\n").unwrap();
    let config = file.display().to_string();
    let args = ["--listen", "127.0.32.8:0", "--config", &config];
    let mut program = command(&world.args(&spec, "serve", &args));
    program.env("NOTIFY_SOCKET", &path);
    program.env("FDSTORE", "0");
    let mut proxy = Proxy::spawn(program);
    assert!(told(&manager).starts_with("READY=1\n"));
    proxy.signal("HUP");
    let status = reloaded(&manager);
    assert!(
        status.starts_with("the configuration was read again; serving on 127.0.32.8:"),
        "{status}"
    );
    std::fs::write(&file, "no-such-key = 1\n").unwrap();
    proxy.signal("HUP");
    let status = reloaded(&manager);
    assert!(
        status.contains("is refused: ") && status.contains("no-such-key"),
        "{status}"
    );
    canary(proxy.address(), "a.test");
    assert_eq!(proxy.terminate().code(), Some(0));
}

/// An address of this machine that nobody listens on. Another process would get another port, so that one that the system chooses is not
/// kept.
fn free(ip: &str) -> SocketAddr {
    let free = UdpSocket::bind(format!("{ip}:0")).unwrap();
    free.local_addr().unwrap()
}

// fault 84: the store has the sockets of the configuration that is in force.
#[test]
fn the_store_follows_a_reload() {
    let world = World::new();
    let spec = world.upstream.spec();
    let folder = TempDir::new();
    let (manager, path) = manager(&folder);
    let file = folder.path().join("dotward.toml");
    let write = |addr: SocketAddr| std::fs::write(&file, format!("listen = \"{addr}\"\n")).unwrap();
    let (before, after) = (free("127.0.32.9"), free("127.0.32.10"));
    write(before);
    let config = file.display().to_string();
    let mut program = command(&world.args(&spec, "udp", &["--config", &config]));
    program.env("NOTIFY_SOCKET", &path).env("FDSTORE", "8");
    let mut proxy = Proxy::spawn(program);
    let name = |addr: SocketAddr| format!("udp-{addr}").replace(':', "_");
    let kept = |addr| format!("FDSTORE=1\nFDNAME={}\nFDPOLL=0\n", name(addr));
    assert_eq!(told(&manager), kept(before));
    assert!(told(&manager).starts_with("READY=1\n"));
    write(after);
    proxy.signal("HUP");
    assert!(told(&manager).starts_with("RELOADING=1\n"));
    assert_eq!(
        told(&manager),
        format!("FDSTOREREMOVE=1\nFDNAME={}\n", name(before))
    );
    assert_eq!(told(&manager), kept(after));
    assert!(told(&manager).starts_with("READY=1\nSTATUS=the configuration was read again; "));
    // The sockets were bound before the loops took the configuration, so that the first query waits there.
    canary(after, "a.test");
    assert_eq!(proxy.terminate().code(), Some(0));
}

#[test]
fn a_reload_without_an_address_keeps_those_of_the_socket_unit() {
    let world = World::new();
    let spec = world.upstream.spec();
    let socket = UdpSocket::bind("127.0.32.11:0").unwrap();
    let at = socket.local_addr().unwrap();
    let folder = TempDir::new();
    let file = folder.path().join("dotward.toml");
    std::fs::write(&file, "").unwrap();
    let config = file.display().to_string();
    let args = world.args(&spec, "udp", &["--config", &config]);
    let mut proxy = Proxy::spawn(passing(socket.into(), "$$", &args));
    proxy.signal("HUP");
    proxy.wait_log("the configuration is in force");
    canary(at, "a.test");
    std::fs::write(&file, "listen = \"127.0.32.12:1\"\n").unwrap();
    proxy.signal("HUP");
    let refused = proxy.wait_log("the configuration stays as it was");
    assert!(
        refused.contains(&format!("a UDP socket of {at} (dotward.socket)")),
        "{refused}"
    );
    canary(at, "b.test");
    assert_eq!(proxy.terminate().code(), Some(0));
}

// fault 84
#[test]
fn the_manager_is_told_of_each_step_and_keeps_sockets_and_cache() {
    let world = World::new();
    let spec = world.upstream.spec();
    let folder = TempDir::new();
    let (manager, path) = manager(&folder);
    let addr = free("127.0.32.6");
    let (listen, port) = (addr.to_string(), addr.port());
    let mut program = command(&world.args(&spec, "serve", &["--listen", &listen]));
    program.env("NOTIFY_SOCKET", &path).env("FDSTORE", "8");
    let mut proxy = Proxy::spawn(program);
    let kept = |name: &str| format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0\n");
    assert_eq!(told(&manager), kept(&format!("udp-127.0.32.6_{port}")));
    assert_eq!(told(&manager), kept(&format!("tcp-127.0.32.6_{port}")));
    let ready = told(&manager);
    let (first, status) = ready.split_once('\n').unwrap();
    assert_eq!(first, "READY=1");
    assert!(
        status.starts_with(&format!("STATUS=serving udp+tcp on {listen}; upstreams: ")),
        "{status}"
    );
    canary(proxy.address(), "a.test");
    proxy.signal("TERM");
    assert!(told(&manager).starts_with("STOPPING=1\nSTATUS="));
    assert_eq!(told(&manager), kept("cache"));
    assert_eq!(told(&manager), "BARRIER=1\n");
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn the_watchdog_is_told_as_long_as_the_loops_go_round() {
    let world = World::new();
    let spec = world.upstream.spec();
    let folder = TempDir::new();
    let (manager, path) = manager(&folder);
    let args = ["--listen", "127.0.32.7:0", "--workers", "2"];
    let mut program = command(&world.args(&spec, "udp", &args));
    program
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "20000");
    let _proxy = Proxy::spawn(program);
    assert!(told(&manager).starts_with("READY=1\n"));
    for _ in 0..20 {
        assert_eq!(told(&manager), "WATCHDOG=1\n");
    }
}
