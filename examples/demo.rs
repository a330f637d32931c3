//! Questions on their way, with no network and no privilege: a TLS upstream, dotward and a client, all on loopback.
//!
//! The upstream and its certificate authority are made at run time and forgotten at the end.

#[path = "../tests/support"]
#[expect(
    dead_code,
    reason = "the helpers are the tests' own; this example uses some of them"
)]
mod support {
    pub mod authority;
    pub mod client;
    pub mod codes;
    pub mod handshake;
    pub mod journal;
    pub mod link;
    pub mod messages;
    pub mod reading;
    pub mod script;
    pub mod upstream;
}

use std::error::Error;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dotward::config::{Config, Roots, Upstream};
use dotward::serve::{Command, Control};
use dotward::transports::{self, RunError};
use support::authority::Authority;
use support::client::{TcpClient, UdpClient};
use support::codes::{A, AAAA, NXDOMAIN, TC, TXT};
use support::messages::{query, response_to, word};
use support::script::{Received, Step};
use support::upstream::DotServer;

/// How long dotward may take to start on a very busy machine.
const START: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let authority = Authority::new();
    let server = DotServer::with(authority.good()).script(play).start();
    let running = start(&server, &authority)?;
    let dotward = running.address;
    println!(
        "a resolver     {}, over TLS, for the name {}",
        server.address(),
        support::authority::NAME
    );
    println!("dotward        {dotward}, over UDP and TCP\n");
    println!(
        "{:<30} {:<7} {:<10} {:>9} {:>7}  answer",
        "question", "client", "upstream", "time", "octets"
    );

    for (name, rtype, label) in [
        ("www.example", A, "A"),
        ("www.example", AAAA, "AAAA"),
        ("opaque.example", 65280, "TYPE65280"),
        ("long.example", TXT, "TXT"),
        ("missing.example", A, "A"),
    ] {
        let asked = query(name, rtype).edns(1232, 0, &[]).build();
        let show = |transport: &str, ask: &dyn Fn() -> Vec<u8>| {
            let start = Instant::now();
            let got = ask();
            let (time, question) = (start.elapsed(), format!("{name} {label}"));
            let tls = version(&server);
            let time = format!("{:.2} ms", time.as_secs_f64() * 1000.0);
            println!(
                "{question:<30} {transport:<7} {tls:<10} {time:>9} {:>7}  {}",
                got.len(),
                describe(&got)
            );
            got
        };
        let got = show("UDP", &|| UdpClient::new(dotward).ask(&asked));
        if word(&got, 2) & TC != 0 {
            show("TCP", &|| TcpClient::new(dotward).ask(&asked));
        }
    }

    let seen = server.seen();
    println!(
        "\nThe resolver saw {} questions on {} TLS connection(s).",
        seen.queries.len(),
        seen.handshakes.len()
    );
    running.end()
}

/// What the upstream answers.
fn play(asked: &Received) -> Vec<Step> {
    let plain = response_to(&asked.bytes);
    let name = &asked.bytes[13..];
    let rtype = word(
        name,
        name.iter()
            .position(|octet| *octet == 0)
            .unwrap_or_default()
            + 1,
    );
    let answer = match (name, rtype) {
        ([b'm', ..], _) => plain.rcode(NXDOMAIN).soa(60),
        ([b'l', ..], _) => plain.fill(3000),
        (_, A) => plain.a(300, [192, 0, 2, 1]),
        (_, AAAA) => plain.answer(
            AAAA,
            300,
            &[0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
        (_, other) => plain.answer(other, 300, b"octets that nobody but their owner can read"),
    };
    vec![Step::Answer(answer.build())]
}

/// dotward inside this process.
struct Running {
    address: SocketAddr,
    control: Control,
    thread: JoinHandle<Result<(), RunError>>,
}

/// Starts dotward and waits until it serves.
fn start(server: &DotServer, authority: &Authority) -> Result<Running, Box<dyn Error>> {
    let lines = listen_to_the_log()?;
    let config = Config::builder()
        .listen(["127.0.0.1:0".parse()?])
        .upstreams([Upstream::parse(&server.spec(), transports::SCHEMES)?])
        .roots(Roots::Pem(authority.pem().into_bytes()))
        .build()?;

    let control = Control::new();
    let commands = control.clone();
    let thread = thread::spawn(move || transports::run("async-std", config, &commands));
    let deadline = Instant::now() + START;
    while !thread.is_finished() {
        let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))?;
        let rest = line.split_once("serving udp+tcp on ").map(|(_, rest)| rest);
        if let Some(address) = rest.and_then(|rest| rest.split(';').next()) {
            return Ok(Running {
                address: address.parse()?,
                control,
                thread,
            });
        }
    }
    thread.join().map_err(|_| "dotward panicked")??;
    Err("dotward ended before it served".into())
}

impl Running {
    /// Lets dotward answer what it accepted, and waits for its end.
    fn end(self) -> Result<(), Box<dyn Error>> {
        self.control.send(Command::Drain);
        self.thread.join().map_err(|_| "dotward panicked")??;
        Ok(())
    }
}

/// The address stands in the log alone, because the kernel chooses the port.
fn listen_to_the_log() -> Result<Receiver<String>, Box<dyn Error>> {
    let (sender, receiver) = mpsc::channel();
    log::set_boxed_logger(Box::new(Lines(sender)))?;
    log::set_max_level(log::LevelFilter::Info);
    Ok(receiver)
}

struct Lines(Sender<String>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        // Once dotward serves nobody reads on.
        let _ = self.0.send(record.args().to_string());
    }

    fn flush(&self) {}
}

fn version(server: &DotServer) -> String {
    let handshakes = server.seen().handshakes;
    let name = handshakes
        .last()
        .map_or("none", |handshake| &handshake.version);
    name.replace("TLSv1_", "TLS 1.")
}

fn describe(got: &[u8]) -> String {
    let message = support::reading::read(got);
    match (message.rcode(), message.answer.len()) {
        (NXDOMAIN, _) => "NXDOMAIN".to_owned(),
        (0, _) if message.has(TC) => "truncated: ask over TCP".to_owned(),
        (0, count) => format!("{count} record{}", if count == 1 { "" } else { "s" }),
        (rcode, _) => format!("RCODE {rcode}"),
    }
}
