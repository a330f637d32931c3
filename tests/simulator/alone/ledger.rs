//! What is owed while the core is driven by hand: replies to clients, ids on connections, reports to the core.

use super::super::messages::{self, NOERROR, NXDOMAIN};
use super::super::split::is_on_route;
use super::super::tally::Tally;
use super::super::watch::{Fruitless, TICK};
use dotward::config::Config;
use dotward::engine::{Action, Client, ConnectionKey, Forwarder, Output, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// A query that the core has accepted.
pub struct Open {
    pub client: Client,
    pub query: Vec<u8>,
    pub since: Time,
    /// It is none, and earns an error at once.
    nonsense: bool,
}

/// The other end of a connection.
#[derive(Default)]
pub struct Line {
    pub upstream: usize,
    pub is_up: bool,
    /// It takes questions before that.
    pub is_early: bool,
    /// It has carried an answer.
    pub is_useful: bool,
    /// Messages that were no answer to anything.
    pub unmatched: u32,
    /// What it was asked and has not answered, by id.
    pub asked: BTreeMap<u16, Vec<u8>>,
    /// Ids of those to which a malformed response came: they may be used again.
    pub free: BTreeSet<u16>,
}

/// Both sides of a forwarder, as far as they wait for something.
#[derive(Default)]
pub struct Ledger {
    pub open: BTreeMap<(SocketAddr, u16), Open>,
    pub lines: BTreeMap<ConnectionKey, Line>,
    /// Links that are no more.
    pub gone: Vec<ConnectionKey>,
    /// Upstreams that are looked up.
    pub lookups: BTreeSet<usize>,
    pub connects: u64,
    /// When another configuration last came.
    pub reloaded_at: Time,
    pub tally: Tally,
    /// By upstream.
    pub fruitless: BTreeMap<usize, Fruitless>,
    /// One that answers all it is asked, soon: no question fails.
    pub healthy: Option<usize>,
    /// Which upstreams may be asked for a name now: for those that are on no route, and for those that are on one.
    pub allowed: [BTreeSet<usize>; 2],
    /// Connects whose end has to come, and questions that the healthy one will answer.
    pub to_do: Vec<(ConnectionKey, Option<u16>)>,
}

impl Ledger {
    /// The core has accepted a query, and owes one reply.
    pub fn owes(&mut self, client: Client, query: &[u8], since: Time, nonsense: bool) {
        let open = Open {
            client,
            query: query.to_vec(),
            since,
            nonsense,
        };
        let key = (client.addr, messages::id(query));
        assert!(self.open.insert(key, open).is_none(), "a driver's mistake");
    }

    /// Does what the core wants, and holds it against what is owed.
    pub fn settle(&mut self, out: &Output) -> Result<(), String> {
        for action in out.actions() {
            match action {
                Action::Reply { client, message } => self.reply(*client, out.message(message))?,
                Action::Send {
                    connection,
                    id,
                    message,
                } => {
                    self.send(*connection, *id, out.message(message))?;
                }
                Action::Connect {
                    connection,
                    upstream,
                    ..
                } => {
                    self.connects += 1;
                    let upstream = *upstream;
                    if !self.allowed.iter().any(|these| these.contains(&upstream)) {
                        return Err(format!(
                            "connects to upstream {upstream}, which is configured no more"
                        ));
                    }
                    let line = Line {
                        free: BTreeSet::new(),
                        upstream,
                        ..Line::default()
                    };
                    self.lines.insert(*connection, line);
                    if self.healthy.is_some() {
                        self.to_do.push((*connection, None));
                    }
                }
                Action::Resolve { upstream } => {
                    if !self.lookups.insert(*upstream) {
                        return Err(format!("upstream {upstream} is looked up twice at once"));
                    }
                }
                Action::Close { connection } => {
                    self.hang_up(*connection)
                        .ok_or("closes what is no connection")?;
                }
            }
        }
        Ok(())
    }

    /// Is it the healthy upstream's?
    pub fn is_healthy(&self, connection: ConnectionKey) -> bool {
        let upstream = self.lines.get(&connection).map(|line| line.upstream);
        upstream.is_some() && upstream == self.healthy
    }

    /// A connection to this upstream failed, or could not be made because nothing came back.
    pub fn failed(&mut self, line: &Line, now: Time) -> Result<(), String> {
        if line.is_useful {
            return Ok(());
        }
        let counted = self.fruitless.entry(line.upstream).or_default();
        let counted = counted.ended(now, !line.is_up);
        counted.map_err(|what| format!("upstream {}: {what}", line.upstream))
    }

    /// A connection is no more.
    pub fn hang_up(&mut self, connection: ConnectionKey) -> Option<Line> {
        self.gone.push(connection);
        self.lines.remove(&connection)
    }

    fn reply(&mut self, client: Client, message: &[u8]) -> Result<(), String> {
        let who = (client.addr, messages::id(message));
        let open = self.open.remove(&who).filter(|open| open.client == client);
        let open = open.ok_or_else(|| format!("a reply too many for {who:?}"))?;
        if open.nonsense {
            return Ok(());
        }
        let checked = messages::check(&open.query, message, client.is_datagram());
        let rcode = checked.map_err(|what| format!("the reply to {who:?}: {what}"))?;
        if self.healthy.is_some() && ![NOERROR, NXDOMAIN].contains(&rcode) {
            return Err(format!("the question of {who:?} fails: RCODE {rcode}"));
        }
        Ok(())
    }

    fn send(&mut self, to: ConnectionKey, id: u16, message: &[u8]) -> Result<(), String> {
        let line = self.lines.get_mut(&to).filter(|it| it.is_up || it.is_early);
        let line = line.ok_or("asks on what is no connection")?;
        if messages::id(message) != id || dotward::wire::parse_query(message).is_err() {
            return Err(format!("id {id}: not a query with that id: {message:?}"));
        }
        let name = messages::name(message);
        let allowed = &self.allowed[usize::from(is_on_route(&name))];
        if !allowed.contains(&line.upstream) {
            return Err(format!("upstream {} is asked for {name}", line.upstream));
        }
        self.tally.sent(name, 1);
        if Some(line.upstream) == self.healthy {
            self.to_do.push((to, Some(id)));
        }
        let is_free = line.free.remove(&id);
        match line.asked.insert(id, message.to_vec()) {
            Some(_) if !is_free => Err(format!("id {id} twice in flight on one connection")),
            _ => Ok(()),
        }
    }

    /// Does the core count as much as is here?
    pub fn compare(&self, core: &Forwarder) -> Result<(), String> {
        let held = core.gauges();
        let pairs = [
            ("queries", held.queries, self.open.len()),
            (
                "connections",
                held.connecting + held.connected,
                self.lines.len(),
            ),
            ("look-ups", held.resolving, self.lookups.len()),
        ];
        for (what, there, here) in pairs {
            if there != here {
                return Err(format!("{there} {what} in the core, {here} around it"));
            }
        }
        Ok(())
    }

    /// The alarms of this moment were served: nobody waits whose time is over.
    pub fn overdue(&self, now: Time) -> Result<(), String> {
        let late = |open: &&Open| open.since + Config::TIMEOUT + TICK < now;
        match self.open.values().find(late) {
            Some(open) => {
                let waited = now.since(open.since);
                Err(format!("{:?} waits since {waited:?}", open.client.addr))
            }
            None => Ok(()),
        }
    }
}
