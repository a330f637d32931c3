//! What is noted: events of connections, attempts that came to nothing, and queries that failed.

use super::id::FailureId;
use super::ring::Octets;
use crate::engine::client::{Client, Via};
use crate::engine::failure::Failure;
use crate::engine::keys::{ConnectionKey, TransactionKey};
use crate::engine::time::Time;
use crate::engine::transactions::WaitingClient;
use crate::transport::{ConnectError, ConnectionError};
use crate::wire::{Query, Rcode, masked_query, parse_query};

/// Something that happened to an upstream or to all of them.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: Time,
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// A connect begins; whether it is for queries that lost their connections repeatedly.
    Connect(Line, bool),
    /// A connection takes queries before its handshake is over.
    Early(Line),
    /// A connection is up; whether each query has a stream of its own.
    Connected(Line, bool),
    /// A connection could not be made.
    ConnectFailed(Line, ConnectError),
    /// A connection ended by itself, or was given up as silent: after so many responses, with so many queries in flight.
    Lost(Line, ConnectionError, u64, usize),
    /// A connection was closed here, or given up while it was made.
    Closed(Line),
    /// A connection takes so many queries at once.
    Limited(Line, usize),
    /// A message came that answers no query, and the last one before it did.
    Unmatched(Line),
    /// An upstream is looked up.
    Lookup(usize),
    /// It has so many addresses, or was not found.
    LookedUp(usize, Result<usize, ConnectError>),
    /// The network has changed.
    NetworkChanged,
    /// The program was away: the machine was suspended, or the process stopped.
    Resumed,
    /// Another configuration holds.
    Reconfigured,
}

/// A connection, and its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub upstream: usize,
    pub connection: ConnectionKey,
}

impl What {
    /// The connection that it is about.
    pub fn line(&self) -> Option<Line> {
        match self {
            Self::Connect(line, _)
            | Self::Early(line)
            | Self::Connected(line, _)
            | Self::ConnectFailed(line, _)
            | Self::Lost(line, ..)
            | Self::Closed(line)
            | Self::Limited(line, _)
            | Self::Unmatched(line) => Some(*line),
            _ => None,
        }
    }
}

impl What {
    /// The upstream that it is about.
    pub fn upstream(&self) -> Option<usize> {
        match self {
            Self::Lookup(upstream) | Self::LookedUp(upstream, _) => Some(*upstream),
            other => other.line().map(|line| line.upstream),
        }
    }
}

impl Octets for Event {
    fn heap(&self) -> usize {
        match &self.what {
            What::ConnectFailed(_, why) | What::LookedUp(_, Err(why)) => match why {
                ConnectError::Unresolved(why)
                | ConnectError::Unreachable(why)
                | ConnectError::Handshake(why) => why.len(),
                ConnectError::Unauthenticated { why, remedy } => why.len() + remedy.len(),
                ConnectError::TimedOut => 0,
            },
            What::Lost(_, why, ..) => of_loss(why),
            _ => 0,
        }
    }
}

fn of_loss(why: &ConnectionError) -> usize {
    match why {
        ConnectionError::Io(why) | ConnectionError::Rejected(why) => why.len(),
        _ => 0,
    }
}

/// One sending of a query, and what came of it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub line: Line,
    pub at: Time,
    /// When the attempt ended, and how. `None`: nothing came until the query failed.
    pub end: Option<(Time, Came)>,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub enum Came {
    /// A message, which was not good enough or could not be read; see [`masked_response`](crate::wire::masked_response).
    Message(Box<[u8]>),
    /// Its connection ended.
    ConnectionEnded,
    /// Its connection could not be made, and it was not sent after all.
    NotSent,
    /// The query failed, and its connection goes on.
    Failed,
    /// The query was lost, and its connection goes on.
    Lost(ConnectionError),
}

impl Sent {
    fn heap(&self) -> usize {
        match &self.end {
            Some((_, Came::Message(message))) => message.len(),
            Some((_, Came::Lost(why))) => of_loss(why),
            _ => 0,
        }
    }
}

/// What concerns queries.
pub enum Entry {
    /// An attempt that has ended, of a query that has not.
    Attempt(TransactionKey, Sent),
    /// A query that has failed.
    Failed(Box<Failed>),
}

impl Octets for Entry {
    fn heap(&self) -> usize {
        match self {
            Self::Attempt(_, sent) => sent.heap(),
            Self::Failed(failed) => failed.octets(),
        }
    }
}

/// How a query came that failed.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The message as [`masked_query`](crate::wire::masked_query) has it; nothing of one that could not be read.
    pub message: Box<[u8]>,
    /// Its length.
    pub len: usize,
    pub signed: bool,
    /// Over what: `udp`, `tcp`, `encrypted` or `inside`; nothing if no client waits.
    pub transport: Option<&'static str>,
    /// Clients that waited for it.
    pub clients: usize,
    /// Of them, those behind the first at the address of an upstream that it was sent to.
    pub from_upstreams: usize,
}

impl Asked {
    /// A query, and the clients that wait for it.
    pub fn of(message: &[u8], query: &Query, clients: &[&WaitingClient]) -> Self {
        Self {
            message: masked_query(message, query).into(),
            len: message.len(),
            signed: query.signed,
            transport: clients.first().map(|one| transport(one.client)),
            clients: clients.len(),
            from_upstreams: 0,
        }
    }
}

impl Asked {
    /// A message whose client may not ask.
    pub fn refused(message: &[u8], client: Client) -> Self {
        let query = parse_query(message).ok();
        Self {
            message: query.map_or_else(Box::default, |it| masked_query(message, &it).into()),
            len: message.len(),
            signed: query.is_some_and(|it| it.signed),
            transport: Some(transport(client)),
            clients: 1,
            from_upstreams: 0,
        }
    }
}

/// Over what a client asks.
pub fn transport(client: Client) -> &'static str {
    match client.via {
        Via::Datagram { .. } => "udp",
        Via::Stream(_) => "tcp",
        Via::Encrypted(_) => "encrypted",
        Via::Inside(_) => "inside",
    }
}

/// How many queries were in flight when one was refused or had to give way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crowd {
    /// All, as they count.
    pub in_flight: usize,
    /// Those of its client, if it was known who has how many.
    pub of_client: usize,
    /// Clients that have any.
    pub clients: usize,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub kind: Kind,
    pub rcode: Rcode,
    /// The extended error that clients were told, without the id; of an upstream's error the code alone.
    pub why: Option<(u16, Box<str>)>,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It failed here.
    Failed(Failure),
    /// It made room for another.
    GaveWay(Failure),
    /// An upstream's error was relayed.
    Relayed,
}

impl Kind {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed(why) => why.reason(),
            Self::GaveWay(_) => "gave_way",
            Self::Relayed => "upstream_error",
        }
    }
}

/// A connection that there was when a query failed.
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a member of the file"
)]
pub struct Seen {
    pub line: Line,
    /// When it came up, or its connect began.
    pub since: Time,
    pub is_up: bool,
    pub is_suspect: bool,
    pub is_isolated: bool,
    /// Whether each query has a stream of its own.
    pub streams: bool,
    pub answered: u64,
}

/// An upstream as it was when a query failed.
#[derive(Clone, Copy, Debug)]
pub struct State {
    pub number: usize,
    pub is_healthy: bool,
    /// When it last answered.
    pub answered_at: Option<Time>,
    /// Connects in a row that failed.
    pub failures: u32,
    /// When it may be connected to again.
    pub retry_at: Time,
    /// Its addresses.
    pub addresses: usize,
}

/// A query that failed.
#[derive(Clone)]
pub struct Failed {
    pub id: FailureId,
    /// How many failed in the same way within a second, and have this id, too.
    pub count: u64,
    pub arrived: Time,
    pub at: Time,
    pub asked: Asked,
    /// The number of its route, and the upstreams of that in their order, as they were. Nothing where it was not looked for.
    pub upstreams: Box<[State]>,
    pub route: u16,
    pub sent: Box<[Sent]>,
    pub connects: u8,
    pub connections: Box<[Seen]>,
    pub crowd: Option<Crowd>,
    pub end: End,
}

impl Failed {
    fn octets(&self) -> usize {
        let text = self.end.why.as_ref().map_or(0, |(_, text)| text.len());
        let sent: usize = self
            .sent
            .iter()
            .map(|it| size_of::<Sent>() + it.heap())
            .sum();
        size_of::<Self>()
            + self.asked.message.len()
            + size_of_val(&*self.upstreams)
            + size_of_val(&*self.connections)
            + sent
            + text
    }
}
