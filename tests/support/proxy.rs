//! The program under test as a process of its own: its log, its addresses, its end.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::command::{command, signal};
use super::journal::DEADLINE;

/// A running program. Dropping it kills the process, by its own id, and waits for it.
pub struct Proxy {
    child: Child,
    log: Arc<Log>,
    addresses: Vec<SocketAddr>,
    /// Held open and not read any more, for a program whose log is stuck.
    unread: Option<ChildStderr>,
}

#[derive(Default)]
struct Log {
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Proxy {
    /// Starts the program and waits until it says that it serves.
    pub fn start(args: &[&str]) -> Self {
        Self::spawn(command(args))
    }

    /// Starts a command, waits until it says that it serves, and reads nothing of its log from then on.
    pub fn spawn_unread(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = child.stderr.take().expect("its standard error");
        let (mut line, mut octet) = (Vec::new(), [0]);
        // Octet by octet, so that nothing is read that comes after the line.
        while !(octet == *b"\n" && String::from_utf8_lossy(&line).contains(" serving ")) {
            if octet == *b"\n" {
                line.clear();
            }
            stderr
                .read_exact(&mut octet)
                .expect("a line that says that it serves");
            line.push(octet[0]);
        }
        let (log, addresses) = (Arc::default(), addresses(&String::from_utf8_lossy(&line)));
        Self {
            child,
            log,
            addresses,
            unread: Some(stderr),
        }
    }

    /// Starts a command and waits until it says that it serves.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("its standard error");
        let log = Arc::new(Log::default());
        let writer = Arc::clone(&log);
        // Not joined: it ends when the process does, because the pipe ends.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                writer.push(line);
            }
            writer.end();
        });
        let mut proxy = Self {
            child,
            log,
            addresses: Vec::new(),
            unread: None,
        };
        let line = proxy.wait_log(" serving ");
        proxy.addresses = addresses(&line);
        assert!(!proxy.addresses.is_empty(), "no address in {line:?}");
        proxy
    }

    /// The first address that it serves.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses that it serves.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in octets, where the host tells.
    pub fn memory(&self) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim()
            .strip_suffix("kB")?
            .trim()
            .parse()
            .ok()
            .map(|kib: usize| kib << 10)
    }

    /// The log so far.
    pub fn logs(&self) -> Vec<String> {
        self.log
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    /// Waits for a line that contains `text` and returns it.
    pub fn wait_log(&self, text: &str) -> String {
        self.log
            .wait(text)
            .unwrap_or_else(|lines| panic!("no log line with {text:?} in {lines:#?}"))
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for the end of the process, whose cause was given before.
    pub fn wait(&mut self) -> ExitStatus {
        if self.unread.is_some() || self.log.wait_end() {
            return self.child.wait().expect("the program's exit status");
        }
        panic!("the program did not end; its log: {:#?}", self.logs());
    }

    /// Asks the program to end and waits for it.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both fail only when it has ended and been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the program's log:\n{}", self.logs().join("\n"));
        }
    }
}

impl Log {
    fn push(&self, line: String) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .push(line);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.changed.notify_all();
    }

    /// The first line with `text`; all lines when there is none in time, or none can come any more.
    fn wait(&self, text: &str) -> Result<String, Vec<String>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |(lines, ended): &mut (Vec<String>, bool)| {
            !*ended && !lines.iter().any(|line| line.contains(text))
        };
        let (state, _) = self
            .changed
            .wait_timeout_while(state, DEADLINE, missing)
            .unwrap_or_else(PoisonError::into_inner);
        state
            .0
            .iter()
            .find(|line| line.contains(text))
            .cloned()
            .ok_or_else(|| state.0.clone())
    }

    fn wait_end(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, DEADLINE, |(_, ended)| !*ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.1
    }
}

/// Reads the addresses of `serving udp+tcp on 127.0.0.1:40001, [::1]:40001 and tls on 127.0.0.1:40002; upstreams: ...`, those that are encrypted last.
fn addresses(line: &str) -> Vec<SocketAddr> {
    let list = line.split_once(" on ").map_or("", |(_, rest)| rest);
    let list = list.split(';').next().unwrap_or_default();
    let list = list.replace(" and tls on ", ", ");
    let list = list.replace(" and https on ", ", ");
    list.split(", ")
        .filter_map(|text| text.trim().parse().ok())
        .collect()
}
