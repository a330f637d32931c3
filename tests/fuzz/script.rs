//! The whole core by a script: octets choose the configuration, then one event after the other, in any order and with any messages.
//!
//! Whatever happens, each query that is accepted gets exactly one reply in time, everything stays in its bounds, and in the end nothing is
//! left.

use super::looping::{Doing, doing};
use super::watch::{self, TICK, Watch};
use crate::support::codes::{A, TXT};
use crate::support::messages::{Message, TO_QUESTION, frame, query, response_to, word};
use dotward::config::{Config, Host, Hosts, Policy, Upstream};
use dotward::engine::{
    Action, Cache, Client, ConnectionKey, Forwarder, Now, Output, Time, Times, Via,
};
use dotward::transport::{ConnectError, ConnectionError, Limits};
use dotward::transports::SCHEMES;
use dotward::wire::{Section, set_id};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Calls at one moment, after which the core must have nothing more to do.
const SPINS: usize = 50;
/// Events that one script may have.
const EVENTS: usize = 1_000;
/// Seconds without a query, after which nothing is held.
const REST: usize = 200;

/// Plays a script to its end.
pub fn play(input: &[u8]) -> Doing {
    let mut player = Player::new(Script(input));
    for _ in 0..EVENTS {
        if player.script.0.is_empty() {
            break;
        }
        player.step();
    }
    player.end()
}

/// The octets that are left. Behind the end there are zeros.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn octet(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.octet()) % n.max(1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let at = self.below(from.len());
        from.get(at).copied()
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// So many octets as the next one says.
    fn octets(&mut self) -> &'a [u8] {
        let len = self.octet();
        self.take(len.into())
    }

    /// A span up to a minute; short ones come most.
    fn span(&mut self) -> Duration {
        let (unit, number) = (self.below(4), self.octet());
        Duration::from_millis([1, 10, 100, 250][unit] * u64::from(number))
    }
}

/// A connection, as its other end sees it.
#[derive(Default)]
struct Connection {
    is_up: bool,
    /// It takes questions before that.
    is_early: bool,
    /// What was asked and not answered, by id.
    asked: BTreeMap<u16, Vec<u8>>,
}

/// Who waits for replies: a client's address, its stream or socket, and the id.
type Waiting = (SocketAddr, u64, u16);

struct Player<'a> {
    script: Script<'a>,
    core: Forwarder,
    out: Output,
    now: Now,
    timeout: Duration,
    watch: Watch,
    /// Since when replies are due.
    due: BTreeMap<Waiting, VecDeque<Time>>,
    connections: BTreeMap<ConnectionKey, Connection>,
    gone: Vec<ConnectionKey>,
    lookups: BTreeSet<usize>,
    connects: u64,
    /// Questions that were reported as not processed by their upstreams.
    unprocessed: u64,
    upstreams: usize,
}

impl<'a> Player<'a> {
    fn new(mut script: Script<'a>) -> Self {
        let config = config(&mut script);
        let start = Time::ZERO + Duration::from_secs(100);
        let cache = Cache::new(config.cache_bytes(), [7; 16], Times::default());
        Self {
            core: Forwarder::new(&config, Arc::new(cache), [script.octet(); 32]),
            out: Output::new(),
            now: Now {
                mono: start,
                boot: start,
            },
            timeout: config.timeout(),
            watch: Watch::new(&config),
            due: BTreeMap::new(),
            connections: BTreeMap::new(),
            gone: Vec::new(),
            lookups: BTreeSet::new(),
            connects: 0,
            unprocessed: 0,
            upstreams: config.upstreams().len(),
            script,
        }
    }

    /// The next event.
    fn step(&mut self) {
        match self.script.below(20) {
            0..=3 => {
                let message = self.query();
                self.ask(&message);
            }
            4 => {
                let octets = self.script.octets();
                self.ask(octets);
            }
            5..=7 => self.respond(false),
            8 => self.respond(true),
            9 => self.hear_octets(),
            10 | 11 => self.connected(),
            12 => self.failed_to_connect(),
            13 => self.lost(),
            14 => self.failed_question(),
            15 | 16 => self.looked_up(),
            17 => {
                let span = self.script.span();
                self.pass(span);
            }
            18 => {
                // The process stands still, or the machine sleeps, and the next event comes before the alarm is served.
                let (mono, boot) = (self.script.span(), self.script.span());
                self.now.mono = self.now.mono + mono;
                self.now.boot = self.now.boot + mono + 10 * boot;
                return;
            }
            _ => self.hear_of_the_gone(),
        }
        self.settle();
        self.serve_alarms();
    }

    /// A query for one of a few names, or for one of its own.
    fn query(&mut self) -> Vec<u8> {
        let name = [
            "a.test",
            "b.test",
            "A.tEsT",
            "www.example.com",
            "localhost",
            "1.0.0.127.in-addr.arpa",
            "x.onion",
            ".",
        ];
        let name = name[self.script.below(name.len())];
        let rtype = [A, 28, TXT, 255, 65, 65_280][self.script.below(6)];
        let flags = [0x0100, 0x0110, 0x0120, 0x0000][self.script.below(4)];
        let message = query(name, rtype)
            .flags(flags)
            .id(self.script.below(8) as u16);
        match self.script.below(6) {
            0 => message,
            1 => message.edns(512, 0, &[]),
            2 => message.edns(1232, 0x8000, &[(10, &[1; 8]), (3, &[])]),
            3 => message.edns(4096, 0, &[(11, &[]), (12, &[0; 20])]),
            4 => message.tsig(),
            _ => {
                let data = self.script.octets();
                message.edns(1232, 0, &[(self.script.octet().into(), data)])
            }
        }
        .build()
    }

    /// A client by a number: one of few, so that questions are repeated and quotas are reached.
    fn client(&mut self) -> Client {
        let number = self.script.below(16) as u8;
        let addr = (
            [[127, 0, 0, 1], [192, 168, 0, 1], [203, 0, 113, 1]][usize::from(number % 3)],
            40_000 + u16::from(number),
        );
        let via = match number {
            0..6 => Via::Stream(number.into()),
            6 | 7 => Via::Encrypted(number.into()),
            _ => Via::Datagram {
                socket: 0,
                local: None,
            },
        };
        Client {
            addr: addr.into(),
            via,
        }
    }

    fn ask(&mut self, message: &[u8]) {
        let client = self.client();
        if self.core.query(message, client, self.now, &mut self.out) {
            let waiting = waiting(client, message);
            self.due
                .entry(waiting)
                .or_default()
                .push_back(self.now.mono);
        }
    }

    /// A connection that is up, or one that is not, and one of the questions on it.
    fn connection(&mut self, is_up: bool) -> Option<ConnectionKey> {
        let so = self
            .connections
            .iter()
            .filter(|(_, there)| there.is_up == is_up);
        let so: Vec<_> = so.map(|(link, _)| *link).collect();
        self.script.pick(&so)
    }

    fn question(&mut self) -> Option<(ConnectionKey, u16, Vec<u8>)> {
        let asked = self
            .connections
            .iter()
            .filter(|(_, there)| there.is_up)
            .flat_map(|(link, there)| there.asked.keys().map(|id| (*link, *id)));
        let asked: Vec<_> = asked.collect();
        let (link, id) = self.script.pick(&asked)?;
        let message = self.connections.get(&link)?.asked.get(&id)?.clone();
        Some((link, id, message))
    }

    fn hear(&mut self, link: ConnectionKey, message: &[u8]) {
        if let Some(there) = self.connections.get_mut(&link) {
            there.asked.remove(&word(message, 0));
        }
        self.core.answer(link, message, self.now, &mut self.out);
    }

    /// A response to a question that was asked, or what is left of one after some octets were changed.
    fn respond(&mut self, is_spoiled: bool) {
        let Some((link, _, asked)) = self.question() else {
            return;
        };
        let plain = response_to(&asked);
        let ttl = [0, 1, 30, 300, u32::MAX][self.script.below(5)];
        let built: Message = match self.script.below(12) {
            0..=3 => plain.a(ttl, [192, 0, 2, 1]),
            4 => plain.rcode(3).soa(ttl),
            5 => plain.soa(ttl),
            6 => plain.rcode(self.script.octet().into()),
            7 => plain.on(0x0200),
            8 => plain.fill(usize::from(self.script.octet()) * 40),
            9 => plain.record(Section::Additional, TO_QUESTION, A, (1, ttl), &[1, 2, 3, 4]),
            10 => plain.without_question().rcode(2),
            _ => plain.answer(5, ttl, self.script.octets()),
        };
        let built = match self.script.below(4) {
            0 => built,
            1 => built.edns(1232, 0, &[]),
            2 => built.edns(1232, 0, &[(11, &[0, 50]), (15, b"\0\x16why")]),
            _ => built.edns(512, u32::from(self.script.octet()) << 24, &[(10, &[1; 16])]),
        };
        let mut message = built.build();
        if is_spoiled {
            for _ in 0..=self.script.below(4) {
                let (at, octet) = (self.script.below(message.len()), self.script.octet());
                message[at] = octet;
            }
            message.truncate(message.len().saturating_sub(self.script.below(3)));
        }
        self.hear(link, &message);
    }

    /// Any octets, with the id of a question that was asked.
    fn hear_octets(&mut self) {
        let Some((link, id, _)) = self.question() else {
            return;
        };
        let mut message = self.script.octets().to_vec();
        set_id(&mut message, id);
        self.hear(link, &message);
    }

    fn connected(&mut self) {
        if let Some(link) = self.connection(false) {
            let there = self.connections.entry(link).or_default();
            if !there.is_early && self.script.below(4) == 3 {
                there.is_early = true;
                return self.core.early(link, self.now, &mut self.out);
            }
            there.is_up = true;
            self.core.connected(link, "", self.now, &mut self.out);
        }
    }

    fn failed_to_connect(&mut self) {
        if let Some(link) = self.connection(false) {
            self.forget(link);
            let why = [
                ConnectError::TimedOut,
                ConnectError::Unresolved("none".into()),
            ];
            let why = &why[self.script.below(2)];
            self.core.connect_failed(link, why, self.now, &mut self.out);
        }
    }

    fn lost(&mut self) {
        if let Some(link) = self.connection(true) {
            self.forget(link);
            let why = [
                ConnectionError::Closed,
                ConnectionError::Truncated,
                ConnectionError::Io("reset".into()),
                ConnectionError::Protocol("nonsense"),
            ];
            let why = &why[self.script.below(4)];
            self.core
                .connection_lost(link, why, self.now, &mut self.out);
        }
    }

    fn failed_question(&mut self) {
        if let Some((link, id, _)) = self.question() {
            if let Some(there) = self.connections.get_mut(&link) {
                there.asked.remove(&id);
            }
            let (now, out) = (self.now, &mut self.out);
            let why = match id % 8 {
                0 | 4 => return self.core.query_failed(link, id, now, out),
                1 | 5 => ConnectionError::Io("the proxy failed".into()),
                2 | 6 => ConnectionError::Unprocessed,
                _ => ConnectionError::Rejected("HTTP status 500".into()),
            };
            self.unprocessed += u64::from(why == ConnectionError::Unprocessed);
            self.core.query_lost(link, id, &why, now, out);
            // Some upstreams say then that they take less, or nothing more.
            if id % 8 > 4 {
                let in_flight = usize::from(id >> 12) * 2;
                self.core.limited(link, Limits { in_flight }, now, out);
            }
        }
    }

    fn looked_up(&mut self) {
        let lookups: Vec<_> = self.lookups.iter().copied().collect();
        if let Some(upstream) = self.script.pick(&lookups) {
            self.report(upstream);
        }
    }

    fn report(&mut self, upstream: usize) {
        self.lookups.remove(&upstream);
        let addresses = (0..self.script.below(4))
            .map(|n| address(20 + 4 * upstream + n))
            .collect();
        let found = match self.script.below(3) {
            0 => Err(ConnectError::Unresolved("nobody knows".into())),
            _ => Ok((addresses, 100 * self.script.span())),
        };
        self.core.resolved(upstream, found, self.now, &mut self.out);
    }

    /// What is reported of a connection that is no more is ignored.
    fn hear_of_the_gone(&mut self) {
        let Some(link) = self.script.pick(&self.gone.clone()) else {
            return;
        };
        match self.script.below(5) {
            4 => self.core.early(link, self.now, &mut self.out),
            0 => self.core.connected(link, "", self.now, &mut self.out),
            1 => self
                .core
                .connection_lost(link, &ConnectionError::Closed, self.now, &mut self.out),
            2 => self.core.query_failed(link, 1, self.now, &mut self.out),
            _ => {
                let message = self.script.octets();
                self.core.answer(link, message, self.now, &mut self.out);
            }
        }
    }

    fn forget(&mut self, link: ConnectionKey) {
        assert!(
            self.connections.remove(&link).is_some(),
            "no such connection"
        );
        self.gone.push(link);
    }

    /// Does what the core wants, then looks at it.
    fn settle(&mut self) {
        let out = std::mem::take(&mut self.out);
        for action in out.actions() {
            match action {
                Action::Reply { client, message } => self.replied(*client, out.message(message)),
                Action::Send {
                    connection: link,
                    id,
                    message,
                } => {
                    let there = self
                        .connections
                        .get_mut(link)
                        .filter(|it| it.is_up || it.is_early);
                    let there = there.expect("it asks on what is no connection");
                    let message = out.message(message);
                    assert_eq!(word(message, 0), *id);
                    assert!(
                        dotward::wire::parse_query(message).is_ok(),
                        "not a query: {message:?}"
                    );
                    assert!(frame(message).len() <= 2 + 65_535);
                    let before = there.asked.insert(*id, message.to_vec());
                    assert!(before.is_none(), "an id twice in flight");
                }
                Action::Connect {
                    connection: link, ..
                } => {
                    self.connects += 1;
                    let before = self.connections.insert(*link, Connection::default());
                    assert!(before.is_none(), "a connection twice");
                }
                Action::Resolve { upstream } => {
                    assert!(self.lookups.insert(*upstream), "looked up twice at once");
                }
                Action::Close { connection: link } => self.forget(*link),
            }
        }
        self.watch.look(&self.core, self.connects).unwrap();
        let held = self.core.gauges();
        let due: usize = self.due.values().map(VecDeque::len).sum();
        let around = (due, self.connections.len(), self.lookups.len());
        assert_eq!(
            (
                held.queries,
                held.connecting + held.connected,
                held.resolving
            ),
            around
        );
    }

    fn replied(&mut self, client: Client, message: &[u8]) {
        let waiting = waiting(client, message);
        let due = self.due.get_mut(&waiting).and_then(VecDeque::pop_front);
        assert!(due.is_some(), "a reply that nobody waits for: {waiting:?}");
        let limit = if client.is_datagram() { 1_232 } else { 65_535 };
        assert!(
            (12..=limit).contains(&message.len()),
            "{} octets",
            message.len()
        );
        assert!(message[2] & 0x80 != 0, "a reply is a response");
    }

    /// Calls the core while it has something to do at this moment.
    fn serve_alarms(&mut self) {
        for _ in 0..SPINS {
            if self.core.next_alarm().is_none_or(|at| at > self.now.mono) {
                let late = |since: &Time| *since + self.timeout + TICK < self.now.mono;
                let late = self.due.iter().find(|(_, since)| since.iter().any(late));
                assert!(late.is_none(), "no reply in time: {late:?}");
                return;
            }
            self.core.time(self.now, &mut self.out);
            self.settle();
        }
        panic!("it turns in circles with {:?}", self.core.gauges());
    }

    /// Time passes, and the core is called when it wants to be.
    fn pass(&mut self, span: Duration) {
        let end = self.now.mono + span;
        while let Some(at) = self.core.next_alarm().filter(|at| *at <= end) {
            self.leap_to(at.max(self.now.mono));
            self.serve_alarms();
        }
        self.leap_to(end);
    }

    fn leap_to(&mut self, at: Time) {
        let span = at.since(self.now.mono);
        self.now = Now {
            mono: at,
            boot: self.now.boot + span,
        };
    }

    /// The core is closed, or nobody asks for long while everything that it waits for is reported: then nothing is left.
    fn end(mut self) -> Doing {
        if self.connects.is_multiple_of(3) {
            self.serve_alarms();
            self.core.close(self.now, &mut self.out);
            self.settle();
        }
        for _ in 0..REST {
            while let Some(upstream) = self.lookups.first().copied() {
                self.report(upstream);
                self.settle();
            }
            while let Some(link) = self.connection(false) {
                self.forget(link);
                self.core
                    .connect_failed(link, &ConnectError::TimedOut, self.now, &mut self.out);
                self.settle();
            }
            self.pass(Duration::from_secs(1));
        }
        assert!(
            self.due.is_empty() || self.due.values().all(VecDeque::is_empty),
            "{:?}",
            self.due
        );
        watch::at_rest(&self.core).unwrap();
        let stats = self.core.stats();
        watch::sums(stats, self.unprocessed).unwrap();
        let rough = |count: u64| (u64::BITS - count.leading_zeros()).min(3) as usize;
        let counts = [
            stats.queries,
            stats.answered,
            stats.failed,
            stats.sent,
            stats.joined,
            stats.hits,
            stats.stale,
            stats.shed,
            stats.yielded,
            stats.malformed,
            stats.repeats,
            self.connects,
        ];
        doing(&[&counts.map(rough)[..], &[self.upstreams]].concat())
    }
}

/// Who waits for the reply to this message, or gets it.
fn waiting(client: Client, message: &[u8]) -> Waiting {
    let socket = match client.via {
        Via::Stream(number) | Via::Encrypted(number) | Via::Inside(number) => 1 + number,
        Via::Datagram { .. } => 0,
    };
    (client.addr, socket, word(message, 0))
}

fn address(number: usize) -> SocketAddr {
    ([192, 0, 2, number as u8], 5300).into()
}

/// A configuration with bounds that few queries reach, or with the usual ones.
fn config(script: &mut Script<'_>) -> Config {
    let upstream = |index: usize, kind: usize| {
        let upstream =
            Upstream::parse(&format!("tcp://{}", address(index)), SCHEMES).expect("an address");
        match kind {
            0 => {
                let name = format!("dns{index}.test");
                upstream.with_host(Host::new(&name, 53).expect("a good name"))
            }
            1 => upstream.with_addresses(address(index), &[address(10 + index)]),
            _ => upstream,
        }
    };
    let upstreams: Vec<_> = (0..=script.below(3))
        .map(|index| upstream(index, script.below(4)))
        .collect();
    let policy = Policy::ALL[script.below(Policy::ALL.len())].1;
    let builder = Config::builder()
        .upstreams(upstreams)
        .policy(policy)
        .hedge(script.below(2) == 0)
        .driver_resolves_names()
        .cache_bytes([0, 3_000, 64 << 10][script.below(3)])
        .max_in_flight([2_048, 10, 1][script.below(3)])
        .max_in_flight_per_client([1_000, 3, 1][script.below(3)])
        .max_link_in_flight([1_000, 4, 1][script.below(3)]);
    let names = script.octet();
    let has_hosts = names & 2 != 0;
    let builder = builder
        .forward_special_names(names & 1 == 0)
        .hosts(if has_hosts { hosts() } else { Hosts::default() })
        .rotate(script.below(2) == 0);
    builder.build().expect("a good configuration")
}

/// Hosts whose names are asked for; one has more addresses than a datagram holds.
fn hosts() -> Hosts {
    let many = (0..200).map(|n| format!("192.0.2.{n} www.example.com"));
    let few = [
        "127.0.0.1 b.test localhost",
        "2001:db8::1 b.test",
        "192.0.2.1 y.x.onion",
    ];
    let lines: Vec<_> = few.map(str::to_owned).into_iter().chain(many).collect();
    let mut hosts = Hosts::default();
    let left_out = hosts.read(&lines.join("\n")).expect("a good file");
    assert_eq!(left_out, [""; 0]);
    hosts
}
