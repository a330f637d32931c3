//! The control socket of a running program, and the commands that speak over it.

mod commands;
mod explaining;
mod lines;
mod peers;
mod socket_files;
mod why;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::authority::TempDir;
use crate::support::command::{Outcome, command, run};
use crate::support::journal::DEADLINE;
use crate::support::proxy::Proxy;
use crate::support::setup::Trust;
use crate::support::upstream::{Builder, DotServer};

/// The program with its control socket, in front of upstreams. The program ends first.
struct Stand {
    proxy: Proxy,
    upstream: DotServer,
    socket: PathBuf,
    trust: Trust,
    files: TempDir,
}

impl Stand {
    /// One upstream of your own making, and more arguments.
    fn new(upstream: impl FnOnce(Builder) -> Builder, more: &[&str]) -> Self {
        let (trust, files) = (Trust::new(), TempDir::new());
        let upstream = upstream(DotServer::with(trust.authority.good())).start();
        let socket = files.path().join("control.sock");
        let proxy = started(&trust, &upstream, &socket, more);
        Self {
            proxy,
            upstream,
            socket,
            trust,
            files,
        }
    }

    /// With an upstream that answers well.
    fn answering() -> Self {
        Self::new(|upstream| upstream, &[])
    }

    fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// What comes of a command of the program, with the path of the socket.
    fn run(&self, line: &str) -> Outcome {
        let socket = self.socket.to_str().expect("a text");
        let words = line.split(' ').chain(["--control-socket", socket]);
        run(command(&words.collect::<Vec<_>>()))
    }

    /// What a command prints that succeeds.
    fn text(&self, line: &str) -> String {
        let outcome = self.run(line);
        assert_eq!(outcome.code, Some(0), "{line}: {outcome:?}");
        outcome.stdout
    }

    /// The same as JSON.
    fn json(&self, line: &str) -> Value {
        let text = self.text(&format!("{line} --json"));
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    fn connect(&self) -> Line {
        Line::new(&self.socket)
    }
}

/// The program with this control socket.
fn started(trust: &Trust, upstream: &DotServer, socket: &Path, more: &[&str]) -> Proxy {
    let socket = socket.to_str().expect("a text");
    let args = [&["--control-socket", socket], more].concat();
    let proxy = trust.proxy(&[&upstream.spec()], &args);
    proxy.wait_log("the control socket is ");
    proxy
}

/// A connection to the socket, as any program may make one.
struct Line(BufReader<UnixStream>);

impl Line {
    fn new(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("a connection");
        let limit = Some(2 * DEADLINE);
        stream.set_read_timeout(limit).expect("a time limit");
        stream.set_write_timeout(limit).expect("a time limit");
        Self(BufReader::new(stream))
    }

    /// Writes these octets. The other end may be gone before it has read all of them.
    fn send(&mut self, octets: &[u8]) {
        let _written_or_gone = self.0.get_mut().write_all(octets);
    }

    /// The next reply; `None` at the end.
    fn receive(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            // What was not read at the other end makes a reset of the close.
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).expect("JSON")),
        }
    }

    /// The reply to a line.
    fn ask(&mut self, line: &str) -> Value {
        self.send(format!("{line}\n").as_bytes());
        self.receive().expect("a reply")
    }

    /// The code of the error that is the reply to a line.
    fn refused(&mut self, line: &str) -> String {
        code(&self.ask(line))
    }

    /// Whether it ends, without another word.
    fn ends(mut self) -> bool {
        let mut rest = Vec::new();
        let read = self.0.read_to_end(&mut rest);
        rest.is_empty()
            && read.map_or_else(
                |error| error.kind() == std::io::ErrorKind::ConnectionReset,
                |_| true,
            )
    }
}

/// The code of an error.
fn code(reply: &Value) -> String {
    assert_eq!(reply["version"], 1, "{reply}");
    assert_eq!(reply["ok"], false, "{reply}");
    let message = reply["error"]["message"].as_str().expect("a message");
    assert!(!message.is_empty(), "{reply}");
    reply["error"]["code"].as_str().expect("a code").to_owned()
}

const STATUS: &str = r#"{"version":1,"command":"status"}"#;
