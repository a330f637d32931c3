//! The soak's clients: questions over UDP and TCP at a steady rate, some for new names and some for known ones, and each answer
//! held against its question.
//!
//! One thread, sockets that never block, no wait but a short sleep. Prints a line for each tenth of a second at the end.

#[path = "../peers/answers.rs"]
mod answers;
mod ledger;
mod sockets;
#[path = "../../tests/support"]
#[expect(dead_code, reason = "the helpers are those of all tests")]
mod support {
    pub mod codes;
    pub mod messages;
}

use ledger::Ledger;
use sockets::Client;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// UDP sockets: with the kernel's usual 200 kB each, they hold what comes while this program waits for a processor.
const DATAGRAMS: usize = 16;
/// TCP connections, and how many of 64 questions go over them.
const STREAMS: usize = 4;
const OF_64_BY_STREAM: u64 = 6;
/// Of 64 new names, how many have answers too large for UDP.
const OF_64_LARGE: u64 = 1;
/// Names that are asked for again and again.
const KNOWN: u64 = 2000;
/// In flight when there is no rate.
const WINDOW: usize = 200;
/// Questions in one pass, before answers are looked for.
const BURST: u64 = 64;
/// A program that had no processor for longer than this does not make up for it.
const MAKE_UP: Duration = Duration::from_millis(10);
const REST: Duration = Duration::from_micros(200);

struct Plan {
    to: SocketAddr,
    /// Questions a second; none is as many as are answered.
    rate: Option<NonZero<u64>>,
    length: Duration,
    known_percent: u64,
    /// The names of this run.
    run: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [to, rate, seconds, known, run] = arguments.as_slice() else {
        return Err("usage: clients ADDRESS:PORT RATE SECONDS KNOWN-PERCENT RUN".into());
    };
    let plan = Plan {
        to: to.parse()?,
        rate: NonZero::new(rate.parse()?),
        length: Duration::from_secs_f64(seconds.parse()?),
        known_percent: known.parse()?,
        run: run.clone(),
    };
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let ledger = ask(&plan)?;
    println!("begun {:.3}", begun.as_secs_f64());
    print!("{ledger}");
    Ok(())
}

/// Asks for as long as planned, and waits for the last answers.
fn ask(plan: &Plan) -> io::Result<Ledger> {
    let mut ledger = Ledger::new(Instant::now());
    let mut datagrams = (0..DATAGRAMS)
        .map(|_| Client::udp(plan.to))
        .collect::<io::Result<VecDeque<_>>>()?;
    let mut streams = (0..STREAMS)
        .map(|_| Client::tcp(plan.to))
        .collect::<io::Result<VecDeque<_>>>()?;
    let mut names = Names::new(plan);
    let (begin, mut sent) = (Instant::now(), 0);
    let mut origin = begin;
    while begin.elapsed() < plan.length {
        let now = Instant::now();
        let due = if let Some(rate) = plan.rate {
            let asked_in = Duration::from_nanos(sent * 1_000_000_000 / rate);
            let late = (now - origin).saturating_sub(asked_in);
            origin += late.saturating_sub(MAKE_UP);
            let by_now = (now - origin).as_micros() * u128::from(rate.get()) / 1_000_000;
            (by_now as u64).saturating_sub(sent)
        } else {
            WINDOW.saturating_sub(ledger.waiting()) as u64
        };
        for _ in 0..due.min(BURST) {
            let by_stream = names.dice(64) < OF_64_BY_STREAM;
            let clients = if by_stream {
                &mut streams
            } else {
                &mut datagrams
            };
            // Each socket in turn.
            clients.rotate_left(1);
            let (name, is_new) = names.next();
            if let Some(client) = clients.front_mut() {
                client.ask(&name, is_new, now, &mut ledger);
            }
            sent += 1;
        }
        let heard = listen(&mut datagrams, &mut streams, &mut ledger);
        if heard == 0 && due < BURST {
            thread::sleep(REST);
        }
    }
    let end = Instant::now();
    while ledger.waiting() > 0 && end.elapsed() < ledger::PATIENCE {
        if listen(&mut datagrams, &mut streams, &mut ledger) == 0 {
            thread::sleep(REST);
        }
    }
    for client in datagrams.iter_mut().chain(&mut streams) {
        client.forget_all(&mut ledger);
    }
    Ok(ledger)
}

/// Takes all answers that are there; gives their number.
fn listen(
    datagrams: &mut VecDeque<Client>,
    streams: &mut VecDeque<Client>,
    ledger: &mut Ledger,
) -> usize {
    let now = Instant::now();
    let clients = datagrams.iter_mut().chain(streams);
    clients.map(|client| client.listen(now, ledger)).sum()
}

/// Names, in an order that is the same in each run with the same parameters.
struct Names<'a> {
    plan: &'a Plan,
    /// The state of a xorshift generator: quick, and good enough to mix.
    state: u64,
    new: u64,
}

impl<'a> Names<'a> {
    fn new(plan: &'a Plan) -> Self {
        // Any number but 0.
        let state = 0x9e37_79b9_7f4a_7c15;
        Self {
            plan,
            state,
            new: 0,
        }
    }

    fn dice(&mut self, sides: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 32) % sides
    }

    /// A name, and whether it was never asked for before.
    fn next(&mut self) -> (String, bool) {
        if self.dice(100) < self.plan.known_percent {
            return (format!("k{}", self.dice(KNOWN)), false);
        }
        self.new += 1;
        let is_large = self.dice(64) < OF_64_LARGE;
        let letter = char::from(if is_large { answers::LARGE } else { b'n' });
        (format!("{letter}{}-{}", self.new, self.plan.run), true)
    }
}
