//! A story: a house with its upstreams and clients, and what happens to them when. Drawn from a seed, or told by hand.

#![cfg_attr(
    not(all(feature = "doh", feature = "doq")),
    allow(dead_code, reason = "what servers with streams alone do")
)]

use super::split::Split;
use crate::support::memory::Conditions;
use dotward::config::{Config, ConfigBuilder, Limits, Policy, Upstream};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// For so long after the last fault somebody asks, once a second.
pub const AFTERMATH: u64 = 20;

/// The name that is asked for then.
pub fn after(second: u64) -> String {
    format!("after{second}.test")
}

/// Where dotward is asked.
pub const PROXY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

/// Where an upstream is: at a port that is not reserved for another protocol than its own.
pub fn upstream_addr(index: usize) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, 1 + index as u8), 8_053).into()
}

/// What the certificates of upstreams are for.
pub const SERVER_NAME: &str = "dns.test";

/// Where a UDP client is: on a machine of its own, since there is no bound for those on loopback.
pub fn client_addr(index: usize) -> SocketAddr {
    (Ipv4Addr::new(192, 168, 1, 1 + index as u8), 40_000).into()
}

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub struct Story {
    pub seed: u64,
    pub house: House,
    /// How each upstream is in good times.
    pub upstreams: Vec<Character>,
    /// UDP clients.
    pub clients: usize,
    pub steps: Vec<Step>,
    /// When all faults end.
    pub calm_at: Duration,
    pub promise: Promise,
    /// Some names are asked of some upstreams only.
    pub split: Option<Split>,
    /// What it is about, if it is a trial.
    pub trial: &'static str,
}

/// What must hold in a story beside what holds in all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Promise {
    /// Every question is answered, but those for spoiled names: an upstream is healthy from the beginning to the end.
    pub all_answered: bool,
    /// Every question, but those for spoiled names, has an OPT record, and reaches the upstreams with it.
    pub keeps_edns: bool,
    /// A question for a spoiled name fails, and is asked of the first upstream only.
    pub verdict_stands: bool,
}

/// Begins the names that a [`Character`] may treat in a way of its own.
const SPOILED: &str = "spoiled";

/// A spoiled name.
pub fn spoiled(number: usize) -> String {
    format!("{SPOILED}{number}.test")
}

/// Is this the name of a question whose answer is bad, or whose question has bad consequences?
pub fn is_spoiled(name: &str) -> bool {
    name.starts_with(SPOILED)
}

/// The configuration, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct House {
    pub cache_bytes: usize,
    pub in_flight: usize,
    pub in_flight_per_client: usize,
    pub link_in_flight: usize,
    pub tcp_in_flight: usize,
    pub tcp_connections: usize,
    pub tcp_per_client: usize,
    pub policy: Policy,
    pub hedge: bool,
}

impl House {
    /// What the forwarder is told.
    pub fn config(&self, upstreams: Vec<Upstream>) -> ConfigBuilder {
        Config::builder()
            .upstreams(upstreams)
            .cache_bytes(self.cache_bytes)
            .policy(self.policy)
            .hedge(self.hedge)
            .max_in_flight(self.in_flight)
            .max_in_flight_per_client(self.in_flight_per_client)
            .max_link_in_flight(self.link_in_flight)
            .max_tcp_in_flight(self.tcp_in_flight)
            .max_tcp_connections(self.tcp_connections)
            .max_tcp_per_client(self.tcp_per_client)
    }

    /// Sets every bound to its default.
    pub fn make_room(&mut self) {
        let limits = Limits::default();
        self.in_flight = limits.in_flight;
        self.in_flight_per_client = limits.in_flight_per_client;
        self.link_in_flight = limits.link_in_flight;
        self.tcp_in_flight = limits.tcp_in_flight;
        self.tcp_connections = limits.tcp_connections;
        self.tcp_per_client = limits.tcp_per_client;
    }

    /// Has it room for fewer TCP clients than a story has?
    pub fn is_small(&self) -> bool {
        self.tcp_connections.min(self.tcp_per_client) < 10
    }
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// DNS over TCP: the messages are those of DNS over TLS.
    #[default]
    Tcp,
    /// DNS over HTTPS (RFC 8484).
    Https,
    /// DNS over QUIC (RFC 9250).
    Quic,
}

impl Protocol {
    /// Those of this build with a stream for each query.
    pub const WITH_STREAMS: &[Self] = &[
        #[cfg(feature = "doh")]
        Self::Https,
        #[cfg(feature = "doq")]
        Self::Quic,
    ];

    /// Its name, as in the address of an upstream.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Https => "https",
            Self::Quic => "quic",
        }
    }
}

/// An upstream's habits that are no faults.
#[derive(Clone, Copy, Debug)]
pub struct Character {
    pub protocol: Protocol,
    pub conditions: Conditions,
    /// How long an answer takes at most.
    pub pace: Duration,
    /// Closes a connection that was idle for so long.
    pub idle: Option<Duration>,
    /// Closes a connection after so many answers.
    pub answers: Option<usize>,
    /// Takes up a question only when the one before is answered, on each connection.
    pub in_order: bool,
    /// What it does with questions for spoiled names.
    pub spoiled: Act,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub struct Step {
    pub at: Duration,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// A client asks by UDP, and once more if it has waited for so long.
    Ask {
        client: usize,
        id: u16,
        name: String,
        edns: bool,
        again: Option<Duration>,
    },
    /// A client connects by TCP and asks these, with a pause before each.
    Connect {
        questions: Vec<(Duration, String)>,
        end: End,
    },
    /// The path to an upstream changes.
    Conditions {
        upstream: usize,
        conditions: Conditions,
    },
    /// The path to the clients changes.
    Clients { conditions: Conditions },
    /// An upstream's behaviour changes.
    Mood { upstream: usize, mood: Mood },
    /// An upstream closes each new connection at once, or does not any more.
    Door { upstream: usize, is_shut: bool },
    /// How an upstream with streams takes connections and queries changes.
    Manner { upstream: usize, manner: Manner },
    /// All connections of an upstream are reset.
    Reset { upstream: usize },
    /// A box on the path forgets all connections of an upstream.
    Forget { upstream: usize },
    /// Another configuration: these upstreams, in this order, and another policy.
    Reload {
        upstreams: Vec<usize>,
        policy: Policy,
    },
    /// The machine sleeps.
    Suspend(Duration),
}

/// How a TCP client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Reads its answers, then closes.
    Close,
    /// Says at once that it will ask no more, then reads its answers (RFC 7766 section 6.2.4).
    HalfClose,
    /// Closes without waiting for answers.
    Leave,
    /// Resets without waiting for answers.
    Abort,
}

/// How an upstream with streams takes connections and queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    #[default]
    Usual,
    /// A client may have so many streams at once on each connection.
    Streams(u32),
    /// The window of each stream is smaller than a query, and grows slowly.
    Narrow,
    /// By ALPN it speaks other protocols.
    OtherProtocol,
    /// It speaks another version of QUIC.
    OtherVersion,
    /// New clients have to show that they are where they seem to be (RFC 9000 section 8.1.2).
    Retry,
}

/// What an upstream does with questions: each of these in so many of a hundred cases, else it answers.
#[derive(Clone, Debug, Default)]
pub struct Mood(pub Vec<(u64, Act)>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Act {
    #[default]
    Answer,
    /// When nobody waits any more.
    AnswerLate,
    AnswerTwice,
    AnswerThenClose,
    Silence,
    Servfail,
    /// SERVFAIL with the extended error that DNSSEC validation failed (RFC 8914 section 4.7).
    Bogus,
    Refused,
    NotImplemented,
    /// FORMERR without OPT, if there was one in the query.
    RefuseEdns,
    /// FORMERR without OPT, if there was one in the query; else SERVFAIL.
    FailWithoutEdns,
    /// With TC set, and empty.
    Cut,
    /// The answer with an id that it has not.
    WrongId,
    /// The answer to another question, with this one's id.
    WrongQuestion,
    /// The answer to another question in flight, with this one's id; then the answer.
    Crossed,
    /// The question comes back.
    Echo,
    /// Octets that are no message.
    Garbage,
    /// A length of zero.
    EmptyFrame,
    /// A message shorter than a header.
    ShortFrame,
    /// The answer, with an octet behind its last record.
    ExtraOctet,
    /// The answer, said to have two questions.
    TwoQuestions,
    /// The answer, with a record whose name points forward.
    PointsForward,
    /// The answer, with a record that runs past the end.
    PastTheEnd,
    /// A long name, and more records of it than a walk without memory gets through (well formed).
    Costly,
    /// Half of an answer, then FIN.
    HalfThenClose,
    /// Half of an answer, then nothing on this connection for ever.
    HalfThenStall,
    Close,
    Reset,
    /// Loses power.
    Vanish,
    /// HTTP: this status, with the answer.
    Status(u16),
    /// HTTP: something for people.
    Html,
    /// More octets than a message has.
    TooLong,
    /// One octet.
    TooShort,
    /// HTTP: responses before the response (RFC 9110 section 15.2).
    Interim,
    /// HTTP: the same behind it, where they must not be.
    LateInterim,
    /// HTTP: the answer, and headers behind it.
    Trailers,
    /// HTTP: pings, and the answer.
    Pings,
    /// HTTP: takes no more queries, and has processed only those before this one. Answers them, and closes (RFC 9113 section 6.8).
    GoAway,
    /// The stream is reset, with this error code.
    ResetStream(u32),
    /// The stream is reset when a half of the answer has come.
    HalfThenReset(u32),
    /// QUIC: the query is not wanted, with this error code.
    StopSending(u32),
    /// The connection is closed with this error code.
    CloseWith(u32),
    /// The answer comes in two parts, one some time after the other.
    InParts,
    /// The answer, and the stream does not end.
    NoEnd,
}

impl Story {
    /// The names that are asked for, in lower case, with those in the end.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let of = |step: &Step| match &step.what {
            What::Ask { name, .. } => vec![name.to_ascii_lowercase()],
            What::Connect { questions, .. } => {
                let names = questions.iter().map(|(_, name)| name.to_ascii_lowercase());
                names.collect()
            }
            _ => Vec::new(),
        };
        let aftermath = (0..AFTERMATH).map(after);
        self.steps.iter().flat_map(of).chain(aftermath)
    }

    /// Do clients ever take few octets at once?
    pub fn clients_are_narrow(&self) -> bool {
        let narrow = |step: &Step| match step.what {
            What::Clients { conditions } => conditions.window > 0,
            _ => false,
        };
        self.steps.iter().any(narrow)
    }

    /// Has an upstream a stream for each query?
    pub fn has_streams(&self) -> bool {
        let mut upstreams = self.upstreams.iter();
        upstreams.any(|upstream| upstream.protocol != Protocol::Tcp)
    }

    /// May this upstream be asked for this name?
    pub fn allows(&self, upstream: usize, name: &str) -> bool {
        self.split.is_none_or(|split| split.allows(upstream, name))
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {} {:?}", self.seed, self.trial, self.house)?;
        if let Some(split) = self.split {
            writeln!(f, "  {split:?}")?;
        }
        for (index, character) in self.upstreams.iter().enumerate() {
            writeln!(f, "  upstream {index}: {character:?}")?;
        }
        for step in &self.steps {
            writeln!(f, "  {:>10.6} {:?}", step.at.as_secs_f64(), step.what)?;
        }
        writeln!(f, "  {:>10.6} all faults end", self.calm_at.as_secs_f64())
    }
}
