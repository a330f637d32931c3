//! Decisions of the core, event by event: the forwarder driven by hand, without a shell.

mod answers;
mod asking;
mod dialing;
mod explained;
mod fairness;
mod late;
mod limits;
mod lost;
mod routes;
mod silence;

use crate::support::messages::{address_or_error, edns_query as query};
use dotward::config::{Config, ConfigBuilder, Upstream};
use dotward::engine::{
    Action, Cache, Client, ConnectionKey, Forwarder, Now, Output, Time, Times, Via,
};
use dotward::transport::{ConnectError, ConnectionError, Limits};
use dotward::transports::SCHEMES;
use std::sync::Arc;
use std::time::Duration;

const A: &str = "tcp://192.0.2.1:53";
const B: &str = "tcp://192.0.2.2:53";
const C: &str = "tcp://192.0.2.3:53";

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A forwarder, and all that it wanted so far.
struct Rig {
    f: Forwarder,
    out: Output,
    now: Time,
    next: u16,
    dials: Vec<(ConnectionKey, usize)>,
    sends: Vec<(ConnectionKey, u16, Vec<u8>)>,
    replies: Vec<Vec<u8>>,
    resolves: usize,
    closes: Vec<ConnectionKey>,
}

impl Rig {
    fn new(upstreams: &[&str]) -> Self {
        Self::with(upstreams, |config| config)
    }

    fn with(upstreams: &[&str], tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let parse = |text: &&str| Upstream::parse(text, SCHEMES).unwrap();
        let upstreams: Vec<Upstream> = upstreams.iter().map(parse).collect();
        let config = Config::builder().upstreams(upstreams).cache_bytes(0);
        let config = tweak(config).driver_resolves_names().build().unwrap();
        let cache = Arc::new(Cache::new(config.cache_bytes(), [1; 16], Times::default()));
        Self {
            f: Forwarder::new(&config, cache, [9; 32]),
            out: Output::new(),
            now: Time::ZERO + Duration::from_secs(100),
            next: 0,
            dials: vec![],
            sends: vec![],
            replies: vec![],
            resolves: 0,
            closes: vec![],
        }
    }

    /// Both clocks.
    fn n(&self) -> Now {
        Now {
            mono: self.now,
            boot: self.now,
        }
    }

    /// Takes note of what the core wants.
    fn drain(&mut self) {
        for action in self.out.actions() {
            match action {
                Action::Reply { message, .. } => {
                    self.replies.push(self.out.message(message).to_vec());
                }
                Action::Send {
                    connection,
                    id,
                    message,
                } => {
                    self.sends
                        .push((*connection, *id, self.out.message(message).to_vec()));
                }
                Action::Connect {
                    connection,
                    upstream,
                    ..
                } => self.dials.push((*connection, *upstream)),
                Action::Resolve { .. } => self.resolves += 1,
                Action::Close { connection } => self.closes.push(*connection),
            }
        }
        self.out.clear();
    }

    /// A client of its own asks.
    fn ask(&mut self, name: &str) {
        self.next += 1;
        self.ask_as(self.next, name);
    }

    /// The client of this number asks, with that number as id. Says whether a reply will come.
    fn ask_as(&mut self, number: u16, name: &str) -> bool {
        let client = client(1000 + number);
        let n = self.n();
        let accepted = self.f.query(&query(name, number), client, n, &mut self.out);
        self.drain();
        accepted
    }

    fn up(&mut self, connection: ConnectionKey) {
        let n = self.n();
        self.f.connected(connection, "", n, &mut self.out);
        self.drain();
    }

    fn down(&mut self, connection: ConnectionKey) {
        let n = self.n();
        self.f
            .connection_lost(connection, &ConnectionError::Closed, n, &mut self.out);
        self.drain();
    }

    /// What was sent as number `i` is lost, and its connection goes on.
    fn lose(&mut self, i: usize) {
        self.lose_to(i, &ConnectionError::Io("the proxy is full".into()));
    }

    /// The same for this reason.
    fn lose_to(&mut self, i: usize, why: &ConnectionError) {
        let (n, (connection, id, _)) = (self.n(), &self.sends[i]);
        self.f.query_lost(*connection, *id, why, n, &mut self.out);
        self.drain();
    }

    /// A connection takes so many queries at once.
    fn limit(&mut self, connection: ConnectionKey, in_flight: usize) {
        let n = self.n();
        self.f
            .limited(connection, Limits { in_flight }, n, &mut self.out);
        self.drain();
    }

    fn refuse(&mut self, connection: ConnectionKey) {
        let n = self.n();
        let why = ConnectError::Unreachable("x".into());
        self.f.connect_failed(connection, &why, n, &mut self.out);
        self.drain();
    }

    /// The answer to what was sent as number `i`.
    fn answer(&mut self, i: usize, rcode: u8, opt: bool) {
        let (connection, _, query) = &self.sends[i];
        let (connection, answer) = (*connection, answer(query, rcode.into(), opt));
        self.hear(connection, &answer);
    }

    /// A message from an upstream.
    fn hear(&mut self, connection: ConnectionKey, message: &[u8]) {
        let n = self.n();
        self.f.answer(connection, message, n, &mut self.out);
        self.drain();
    }

    /// Time passes, alarms are served. Panics at a busy loop.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        let mut spins = 0;
        while let Some(at) = self.f.next_alarm().filter(|at| *at <= end) {
            if at > self.now {
                self.now = at;
                spins = 0;
            } else {
                spins += 1;
            }
            assert!(spins < 50, "busy loop at {:?}: alarm {:?}", self.now, at);
            let n = self.n();
            self.f.time(n, &mut self.out);
            self.drain();
        }
        self.now = end;
    }

    fn rcodes(&self) -> Vec<u8> {
        self.replies.iter().map(|reply| reply[3] & 15).collect()
    }

    /// The upstream of the last dial.
    fn last_dial_to(&self) -> usize {
        self.dials.last().unwrap().1
    }

    /// The connection of the last dial.
    fn last_dial(&self) -> ConnectionKey {
        self.dials.last().unwrap().0
    }
}

/// Who asks from this port, by UDP.
fn client(port: u16) -> Client {
    Client {
        addr: ([127, 0, 0, 1], port).into(),
        via: Via::Datagram {
            socket: 0,
            local: None,
        },
    }
}

fn answer(query: &[u8], rcode: u16, opt: bool) -> Vec<u8> {
    let answer = address_or_error(query, rcode);
    if opt {
        answer.edns(1232, 0, &[]).build()
    } else {
        answer.build()
    }
}
