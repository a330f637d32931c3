//! A resolver that does what it is told: DNS over TLS whose answers follow from the questions, with faults on demand.
//!
//! Commands come as lines on standard input, each with one line for an answer. At the end of the input the program ends. What a
//! process can suffer as a whole (SIGKILL, SIGSTOP) comes from outside.

mod answers;
mod question;
#[path = "../../tests/support"]
#[expect(dead_code, reason = "the helpers are those of all tests")]
mod support {
    pub mod codes;
    pub mod messages;
}

use std::io::{self, BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use dotward::wire::HEADER_LEN;
use question::question_end;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

/// How often a connection looks for commands.
const LOOK: Duration = Duration::from_millis(20);
/// For so long answers may find no reader.
const UNREAD: Duration = Duration::from_secs(2);
/// Seconds that an answer may be kept: a popular name is asked for again and again in a run of minutes.
const TTL: [u8; 4] = [0, 0, 0, 30];
/// The data of the record that makes an answer large: more than UDP takes, less than a TLS record.
const LARGE_DATA: [u8; 3000] = [0x5a; 3000];
/// Octets per read.
const CHUNK: usize = 1 << 14;

/// What happens to a connection, or to all new ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its questions are answered.
    Serve,
    /// It is closed as TLS and TCP want it, after the answers to all that came.
    Close,
    /// It is cut off by a RST.
    Reset,
    /// It stays open, and nobody reads it any more.
    Abandon,
    /// It gets octets that are no TLS.
    Garbage,
}

/// What standard input said: commands, what they do to connections that are there, and to those that come later.
const COMMANDS: [(&str, Fate, Fate); 6] = [
    ("serve", Fate::Serve, Fate::Serve),
    ("close", Fate::Close, Fate::Serve),
    ("reset", Fate::Reset, Fate::Serve),
    ("abandon", Fate::Abandon, Fate::Serve),
    ("down", Fate::Reset, Fate::Reset),
    ("garbage", Fate::Reset, Fate::Garbage),
];

#[derive(Default)]
struct Shared {
    /// The last command, as an index.
    command: AtomicUsize,
    /// Counts commands, so that a connection knows which of them it has seen.
    given: AtomicU64,
    connections: AtomicU64,
    questions: AtomicU64,
    /// Each answer leaves in a write of its own, as those of most servers do.
    apart: bool,
}

impl Shared {
    fn command(&self) -> (&'static str, Fate, Fate) {
        COMMANDS
            .get(self.command.load(Relaxed))
            .copied()
            .unwrap_or(COMMANDS[0])
    }

    /// Obeys a line; gives the answer to it.
    fn obey(&self, line: &str) -> String {
        if line == "counts" {
            let counts = [&self.connections, &self.questions];
            return counts.map(|n| n.load(Relaxed).to_string()).join(" ");
        }
        let Some(index) = COMMANDS.iter().position(|(name, ..)| *name == line) else {
            return format!("no command {line:?}");
        };
        self.command.store(index, Relaxed);
        self.given.fetch_add(1, Relaxed);
        "done".into()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: scripted ADDRESS:PORT CERTIFICATE KEY [IDLE-MILLISECONDS [apart]]";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, certificate, key, rest @ ..] = arguments.as_slice() else {
        return Err(usage.into());
    };
    let idle = rest.first().map(|text| text.parse()).transpose()?;
    let idle = idle.map(Duration::from_millis);
    let apart = rest.get(1).is_some_and(|word| word == "apart");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?,
            PrivateKeyDer::from_pem_file(key)?,
        )?;
    let shared = Shared {
        apart,
        ..Shared::default()
    };
    let (config, shared) = (Arc::new(config), Arc::new(shared));
    let listener = TcpListener::bind(address)?;
    let accepting = shared.clone();
    thread::spawn(move || accept(&listener, &config, &accepting, idle));
    for line in io::stdin().lock().lines() {
        println!("{}", shared.obey(&line?));
    }
    Ok(())
}

fn accept(
    listener: &TcpListener,
    config: &Arc<ServerConfig>,
    shared: &Arc<Shared>,
    idle: Option<Duration>,
) {
    for stream in listener.incoming() {
        // Whoever gave up before it was accepted, or one too many: the next one may do better.
        let Ok(stream) = stream else { continue };
        shared.connections.fetch_add(1, Relaxed);
        let (config, shared) = (config.clone(), shared.clone());
        thread::spawn(move || {
            // An end of any kind is an end; the other side tells of those that matter.
            drop(begin(stream, config, &shared, idle));
        });
    }
}

fn begin(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    shared: &Shared,
    idle: Option<Duration>,
) -> io::Result<()> {
    let given = shared.given.load(Relaxed);
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(UNREAD))?;
    match shared.command().2 {
        Fate::Reset => reset(&stream),
        Fate::Garbage => (&stream).write_all(b"220 no TLS is spoken here\r\n"),
        _ => Connection {
            tls: ServerConnection::new(config).map_err(io::Error::other)?,
            stream,
            given,
            heard: Instant::now(),
            unread: Vec::new(),
        }
        .serve(shared, idle),
    }
}

/// Has the kernel send a RST when the connection is dropped.
fn reset(stream: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(
        stream,
        Some(Duration::ZERO),
    )?)
}

/// One connection, on its own thread.
struct Connection {
    tls: ServerConnection,
    stream: TcpStream,
    /// How many commands there had been when it last looked.
    given: u64,
    /// When something last came.
    heard: Instant,
    /// The beginning of a message whose end has not come yet.
    unread: Vec<u8>,
}

impl Connection {
    fn serve(mut self, shared: &Shared, idle: Option<Duration>) -> io::Result<()> {
        loop {
            let left = idle.map(|idle| idle.saturating_sub(self.heard.elapsed()));
            if left == Some(Duration::ZERO) {
                return self.close();
            }
            let given = shared.given.load(Relaxed);
            if given != self.given {
                self.given = given;
                match shared.command().1 {
                    Fate::Serve | Fate::Garbage => {}
                    Fate::Close => return self.close(),
                    Fate::Reset => return reset(&self.stream),
                    Fate::Abandon => return self.be_abandoned(shared),
                }
            }
            let wait = left.map_or(LOOK, |left| left.min(LOOK));
            self.stream.set_read_timeout(Some(wait))?;
            match self.tls.read_tls(&mut self.stream) {
                Ok(0) => return self.close(),
                Ok(_) => self.heard = Instant::now(),
                Err(error) if is_nothing(&error) => continue,
                Err(error) => return Err(error),
            }
            self.answer(shared)?;
        }
    }

    /// Answers all whole messages that are there, in one write unless each is to leave apart.
    fn answer(&mut self, shared: &Shared) -> io::Result<()> {
        let state = self.tls.process_new_packets();
        let there = state.map_or(0, |state| state.plaintext_bytes_to_read());
        let before = self.unread.len();
        self.unread.resize(before + there.min(CHUNK), 0);
        if let Some(space) = self.unread.get_mut(before..) {
            self.tls.reader().read_exact(space)?;
        }
        let mut out = Vec::new();
        let mut rest = self.unread.as_slice();
        while let Some((length, after)) = rest.split_at_checked(2) {
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let Some((message, after)) = after.split_at_checked(length) else {
                break;
            };
            rest = after;
            shared.questions.fetch_add(1, Relaxed);
            write_answer(message, &mut out);
            if shared.apart {
                write(&mut self.tls, &mut self.stream, &out)?;
                out.clear();
            }
        }
        self.unread = rest.to_vec();
        write(&mut self.tls, &mut self.stream, &out)
    }

    fn close(mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// Keeps the socket open, unread, until the next command.
    fn be_abandoned(self, shared: &Shared) -> io::Result<()> {
        while shared.given.load(Relaxed) == self.given {
            thread::sleep(LOOK);
        }
        reset(&self.stream)
    }
}

fn write(tls: &mut ServerConnection, stream: &mut TcpStream, octets: &[u8]) -> io::Result<()> {
    tls.writer().write_all(octets)?;
    while tls.wants_write() {
        tls.write_tls(stream)?;
    }
    Ok(())
}

/// Did a read only find nothing in time?
fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// Appends the answer, with its length before it. To what is no question there is none. It is not put together by `support::messages`,
/// which allocates for each part: here this would be measured as well.
fn write_answer(message: &[u8], out: &mut Vec<u8>) {
    let end = question_end(message);
    let Some(question) = end.and_then(|end| message.get(HEADER_LEN..end)) else {
        return;
    };
    let is_large = question.get(1) == Some(&answers::LARGE);
    let mut answer = message.get(..2).unwrap_or_default().to_vec();
    // A response without an error, recursion desired and available; one question, one or two answers.
    answer.extend([0x81, 0x80, 0, 1, 0, 1 + u8::from(is_large), 0, 0, 0, 0]);
    answer.extend(question);
    // The name is the question's; an A record.
    answer.extend([0xc0, 12, 0, 1, 0, 1]);
    answer.extend(TTL);
    answer.extend([0, 4]);
    answer.extend(answers::address_for(question).octets());
    if is_large {
        // A type for private use (RFC 6895).
        answer.extend([0xc0, 12, 0xff, 0, 0, 1]);
        answer.extend(TTL);
        answer.extend((LARGE_DATA.len() as u16).to_be_bytes());
        answer.extend(LARGE_DATA);
    }
    out.extend((answer.len() as u16).to_be_bytes());
    out.extend(answer);
}
