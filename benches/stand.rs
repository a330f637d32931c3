//! What the benches of this folder share: fixed messages, and a core with one connection up.

use crate::support::codes::A;
use crate::support::messages;
use dotward::config::{Config, ConfigBuilder, Hosts, Policy, Route, Target, Upstream};
use dotward::engine::{
    Action, Cache, Client, ConnectionKey, Forwarder, Now, Output, Time, Times, Via,
};
use dotward::transports::SCHEMES;
use dotward::wire::{Query, Recipient, Rewrite};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Questions that the shell hands over between two looks at the clock: one batch from the socket.
pub const BATCH: u32 = 32;
/// More names than are ever asked: each question is new.
pub const NEW: u32 = 100_000_000;
/// Between two batches: a hundred thousand questions a second.
const PASS: Duration = Duration::from_micros(320);
/// Where the number stands in [`query`]'s name, behind the header and the label's length.
const DIGITS: std::ops::Range<usize> = 13..21;

/// A query for `00000000.bench.test`, type A, without EDNS, as a stub resolver sends it.
pub fn query() -> Vec<u8> {
    messages::query("00000000.bench.test", A).build()
}

/// The response of an upstream to [`query`]: one address and an OPT.
pub fn response() -> Vec<u8> {
    let plain = messages::response_to(&query()).a(300, [192, 0, 2, 1]);
    plain.edns(1232, 0, &[]).build()
}

/// Who gets the response to a query: a client without EDNS, over UDP.
pub fn recipient<'a>(query: &'a [u8], asked: &Query) -> Recipient<'a> {
    Recipient {
        id: 1,
        question: asked.question.octets(query),
        rd: true,
        edns: None,
        limit: 512,
    }
}

/// How [`query`] is sent to an upstream by default: with an OPT record, padded.
pub fn rewrite() -> Rewrite {
    Rewrite {
        own_opt: Some(1232),
        padding: Config::PADDING,
        ..Rewrite::default()
    }
}

/// A stub resolver on this machine.
pub fn client() -> Client {
    Client {
        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000)),
        via: Via::Datagram {
            socket: 0,
            local: None,
        },
    }
}

/// Hosts with the names of so many questions, the first left out.
pub fn hosts(count: u32) -> Hosts {
    let mut hosts = Hosts::default();
    for number in 1..=count {
        let name = format!("{number:08}.bench.test").parse().expect("a name");
        let address = IpAddr::from(Ipv4Addr::from_bits(number));
        hosts.insert(&name, address).expect("room for it");
    }
    hosts
}

fn upstream() -> Upstream {
    Upstream::parse("tls://192.0.2.53", SCHEMES).expect("an upstream")
}

/// A core whose only upstream is reached, and its driver, which answers at once.
pub struct Stand {
    core: Forwarder,
    connection: ConnectionKey,
    now: Now,
    out: Output,
    asked: Vec<u8>,
    answered: Vec<u8>,
    next: u32,
}

impl Stand {
    /// One question has been answered, so that a connection is up.
    pub fn new() -> Self {
        Self::with(|config| config)
    }

    /// From now on failures are recorded, and remembered by name.
    pub fn recorded(mut self) -> Self {
        self.core.record_failures(256 << 10, (1, 1));
        self
    }

    /// The same for a core with hosts, among which the name of the first question is not.
    pub fn with_hosts(hosts: &Hosts) -> Self {
        Self::with(|config| config.hosts(hosts.clone()))
    }

    /// The same with so many routes, one of them that of all names of [`query`].
    pub fn with_routes(routes: u32) -> Self {
        let route = |number| {
            let domain = match number {
                0 => "bench.test".to_owned(),
                _ => format!("n{number}.lab.corp.test"),
            };
            let target = Target::Upstreams {
                upstreams: vec![upstream()],
                policy: Policy::Failover,
            };
            Route::new(vec![domain.parse().expect("a domain")], target)
        };
        let routes: Vec<Route> = (0..routes).map(route).collect();
        Self::with(|config| config.routes(routes))
    }

    /// The same with whatever `tweak` makes of the configuration.
    fn with(tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let config = tweak(Config::builder().upstreams([upstream()]));
        let config = config.build().expect("a config");
        let start = Time::ZERO + Duration::from_secs(60);
        let cache = Cache::new(config.cache_bytes(), [7; 16], Times::default());
        let mut stand = Self {
            core: Forwarder::new(&config, Arc::new(cache), [7; 32]),
            connection: ConnectionKey::default(),
            now: Now {
                mono: start,
                boot: start,
            },
            out: Output::new(),
            asked: query(),
            answered: response(),
            next: 0,
        };
        stand.begin();
        stand
    }

    fn begin(&mut self) {
        self.core
            .query(&self.asked, client(), self.now, &mut self.out);
        let dial = self.out.actions().iter().find_map(|action| match action {
            Action::Connect { connection, .. } => Some(*connection),
            _ => None,
        });
        self.connection = dial.expect("the first question dials");
        self.out.clear();
        self.core
            .connected(self.connection, "bench", self.now, &mut self.out);
        self.answer();
    }

    /// A batch of questions, asked and replied to, for the next of so many names in turn. Gives the octets of the replies.
    pub fn ask(&mut self, names: u32) -> usize {
        for _ in 0..BATCH {
            self.next = (self.next + 1) % names;
            number(&mut self.asked, self.next);
            self.core
                .query(&self.asked, client(), self.now, &mut self.out);
        }
        let (replies, octets) = self.answer();
        assert_eq!(replies, BATCH, "each question is replied to");
        self.pass();
        octets
    }

    /// Leaves out the names of so many questions.
    pub fn skip(&mut self, names: u32) {
        self.next += names;
    }

    /// Asks one question that stays in flight.
    pub fn leave_one(&mut self) {
        self.next += 1;
        number(&mut self.asked, self.next);
        self.core
            .query(&self.asked, client(), self.now, &mut self.out);
        self.out.clear();
    }

    /// When the core wants to be called: what the loop asks before it waits.
    pub fn next_alarm(&self) -> Option<Time> {
        self.core.next_alarm()
    }

    /// Answers all that was sent. Gives the replies to clients since the last time, and their octets.
    fn answer(&mut self) -> (u32, usize) {
        let (mut replies, mut octets) = (0, 0);
        let mut sent = std::mem::take(&mut self.out);
        for action in sent.actions() {
            if let Action::Send { id, message, .. } = action {
                self.answered[..2].copy_from_slice(&id.to_be_bytes());
                self.answered[DIGITS].copy_from_slice(&sent.message(message)[DIGITS]);
                self.core
                    .answer(self.connection, &self.answered, self.now, &mut self.out);
            }
        }
        for out in [&sent, &self.out] {
            for action in out.actions() {
                if let Action::Reply { message, .. } = action {
                    replies += 1;
                    octets += out.message(message).len();
                }
            }
        }
        sent.clear();
        self.out = sent;
        (replies, octets)
    }

    /// Time goes on, and the core does what is due.
    fn pass(&mut self) {
        self.now.mono = self.now.mono + PASS;
        self.now.boot = self.now.boot + PASS;
        if self.core.next_alarm().is_some_and(|at| at <= self.now.mono) {
            self.core.time(self.now, &mut self.out);
        }
    }
}

/// Writes a number into the name of a question.
fn number(message: &mut [u8], mut number: u32) {
    for digit in message[DIGITS].iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}
