//! A fresh core lives through a record.

use super::file::{Came, File, Moment};
use super::plan::{Connection, Plan};
use dotward::config::{AccessList, Config, Host, Upstream};
use dotward::engine::{
    Action, Answered, Cache, Client, ConnectionKey, Forwarder, Now, Output, Time, Times, Via,
};
use dotward::transport::{ConnectionError, Limits};
use dotward::transports::SCHEMES;
use dotward::wire;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

/// When a replay begins, before the query comes.
const BEGIN: Moment = -700_000_000_000;
/// That moment on the clock of the core.
const ORIGIN: Time = Time::from_nanos(100_000_000_000_000);
/// For so long after the recorded end another one is waited for.
const PATIENCE: Moment = 10_000_000_000;
/// Connections that were up when the query came are made so long before, where they are older.
const PREAMBLE: Moment = 1_000_000_000;
/// One after the other, so that they are no rivals.
const APART: Moment = 50 * MS;
/// So often others ask while an upstream answered others.
const OTHERS_ASK: Moment = 200 * MS;
const MS: Moment = 1_000_000;
/// Calls at one moment, after which the core turns in circles.
const SPINS: usize = 1_000;

/// What came of it.
pub struct Replayed {
    pub trace: Vec<String>,
    /// How it ended.
    pub end: String,
    /// How it ended in the record.
    pub recorded: String,
}

impl Replayed {
    pub fn is_same(&self) -> bool {
        self.end == self.recorded
    }
}

/// Something that happens at its time.
#[derive(Clone, Debug)]
enum Due {
    /// A connection of the record is begun, unless the core has begun it.
    Begin(Box<Connection>),
    /// An upstream is connected to, if fewer connects to it were begun since the query came.
    Force(u64, usize, bool),
    Early(ConnectionKey),
    Connected(ConnectionKey, bool),
    ConnectFailed(ConnectionKey, dotward::transport::ConnectError),
    /// What carries a number of the record ends.
    LostByNumber(u64, ConnectionError),
    Lost(ConnectionKey, ConnectionError),
    LimitedByNumber(u64, usize),
    UnmatchedByNumber(u64),
    Message(ConnectionKey, Vec<u8>),
    QueryFailed(ConnectionKey, u16),
    QueryLost(ConnectionKey, u16, ConnectionError),
    LookedUp(usize, Result<usize, dotward::transport::ConnectError>),
    Resume,
    /// Somebody else asks, and is answered.
    Warm(u16),
    Crowd,
    Query,
    /// So many upstreams that were sent the query ask the same.
    Loop(usize),
    Trigger,
    Close,
}

struct Player<'f> {
    file: &'f File,
    plan: Plan,
    core: Forwarder,
    out: Output,
    at: Moment,
    asleep: Duration,
    due: BTreeMap<(Moment, u64), Due>,
    next: u64,
    /// Connections of the core, by upstream in the order of the configuration, and the number in the record.
    lines: BTreeMap<ConnectionKey, (usize, u64)>,
    /// The connection that is being begun for this one of the record.
    begins: Option<Connection>,
    /// Connects since the query came, by upstream.
    begun: BTreeMap<u64, usize>,
    query: Vec<u8>,
    trace: Vec<String>,
    /// The query was put before.
    accepted: bool,
    end: Option<String>,
}

/// Plays a record.
pub fn play(file: &File) -> Result<Replayed, String> {
    let mut player = Player::new(file)?;
    player.run()?;
    Ok(Replayed {
        end: player.end.unwrap_or_else(|| "no end".to_owned()),
        recorded: told(
            &file.end.kind,
            file.end.rcode,
            file.end.why.as_ref().map(|(code, text)| (*code, &**text)),
        ),
        trace: player.trace,
    })
}

/// An end, as it is compared and shown.
fn told(kind: &str, rcode: u16, why: Option<(u16, &str)>) -> String {
    let rcode = wire::Rcode(rcode);
    let why = match why {
        // An upstream's own words are not in the record.
        Some((code, _)) if kind == "upstream_error" => format!(", EDE {code}"),
        Some((code, text)) => format!(", EDE {code}: {text}"),
        None => String::new(),
    };
    format!("{rcode}{why} ({kind})")
}

impl<'f> Player<'f> {
    fn new(file: &'f File) -> Result<Self, String> {
        let config = config(file)?;
        let cache = Arc::new(Cache::new(0, [7; 16], Times::default()));
        let mut core = Forwarder::new(&config, cache, [7; 32]);
        core.record_failures(64 * 1024, (1, 1));
        let mut out = Output::new();
        out.note_answered(true);
        Ok(Self {
            plan: Plan::of(file),
            core,
            out,
            at: BEGIN,
            asleep: Duration::ZERO,
            due: BTreeMap::new(),
            next: 0,
            lines: BTreeMap::new(),
            begins: None,
            begun: BTreeMap::new(),
            query: message(file),
            trace: Vec::new(),
            accepted: false,
            end: None,
            file,
        })
    }

    fn add(&mut self, at: Moment, what: Due) {
        self.next += 1;
        self.due.insert((at.max(self.at), self.next), what);
    }

    fn schedule(&mut self) {
        let connections = self.plan.connections.clone();
        let (mut warms, mut made) = (false, 0);
        for connection in connections {
            let since = self.plan.since.get(&connection.upstream).copied();
            let matters = |at: Moment| at <= 0 && since.is_none_or(|since| at > since);
            let begun = connection.begun.filter(|at| *at <= 0);
            if connection.was_up() {
                // What failed after it had come up failed with it there.
                let of_it = self.plan.connections.iter();
                let of_it = of_it.filter(|one| one.upstream == connection.upstream);
                let failures = of_it.filter_map(|one| one.failed.as_ref()?.0.into());
                let up = connection.up.map_or(0, |(at, _)| at);
                let first = failures.filter(|at| *at <= 0 && *at > up).min();
                let latest = first.unwrap_or(0) - PREAMBLE + made * APART;
                made = (made + 1) % 15;
                let at = begun.map_or(latest, |at| at.max(latest));
                warms |= connection.answered > 0;
                self.add(at, Due::Begin(Box::new(connection)));
            } else if let Some(begun) = begun {
                let end = connection.ended();
                let failed = connection
                    .failed
                    .as_ref()
                    .is_some_and(|(at, _)| matters(*at));
                let lost = connection
                    .lost
                    .as_ref()
                    .is_some_and(|(at, ..)| matters(*at));
                if failed || lost || end.is_none_or(|at| at > 0) {
                    self.add(begun, Due::Begin(Box::new(connection)));
                }
            }
        }
        for (upstream, connects) in self.plan.connects.clone() {
            for (index, connection) in connects.iter().enumerate() {
                let at = connection.begun.unwrap_or_default();
                self.add(at, Due::Force(upstream, index + 1, connection.is_isolated));
            }
        }
        for at in self.plan.resumes.clone() {
            if at > 0 {
                self.add(at, Due::Resume);
            }
        }
        if warms {
            self.add(-50 * MS, Due::Warm(0));
        }
        let answered = self.file.upstreams.iter().filter_map(|one| one.answered);
        let last = answered.max().unwrap_or(0).min(self.file.end.at);
        for number in (1..=500).take_while(|number| Moment::from(*number) * OTHERS_ASK <= last) {
            self.add(Moment::from(number) * OTHERS_ASK, Due::Warm(number));
        }
        let (kind, end) = (self.file.end.kind.as_str(), self.file.end.at);
        if kind != "gave_way" {
            self.add(-MS, Due::Crowd);
        }
        self.add(0, Due::Query);
        if self.file.query.from_upstreams > 0 {
            let first = self.file.attempts.first().map_or(0, |attempt| attempt.at);
            self.add(first + MS, Due::Loop(self.file.query.from_upstreams));
        }
        if kind == "gave_way" {
            self.add((end - MS).max(0), Due::Crowd);
            self.add(end, Due::Trigger);
        }
        if kind == "ending" {
            self.add(end, Due::Close);
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.schedule();
        let last = self.file.end.at + PATIENCE;
        let mut spins = 0;
        while self.end.is_none() {
            let alarm = self.core.next_alarm().map(moment);
            let due = self.due.first_key_value().map(|((at, _), _)| *at);
            let Some(at) = alarm.into_iter().chain(due).min() else {
                break;
            };
            if at > last {
                break;
            }
            spins = if at > self.at { 0 } else { spins + 1 };
            if spins > SPINS {
                return Err(format!("the core turns in circles at {}", seconds(at)));
            }
            self.at = self.at.max(at);
            match self.due.first_entry() {
                Some(due) if due.key().0 <= self.at && alarm.is_none_or(|it| it >= due.key().0) => {
                    let due = due.remove();
                    let is_query = matches!(due, Due::Query);
                    self.happen(due);
                    self.settle();
                    self.accepted |= is_query;
                }
                _ => self.core.time(self.now(), &mut self.out),
            }
            self.settle();
        }
        Ok(())
    }

    fn now(&self) -> Now {
        let mono = ORIGIN + Duration::from_nanos(self.at.saturating_sub(BEGIN).unsigned_abs());
        Now {
            mono,
            boot: mono + self.asleep,
        }
    }

    fn note(&mut self, what: &str) {
        self.trace.push(format!("{:>14} {what}", seconds(self.at)));
    }

    fn label(&self, upstream: usize) -> String {
        let label = self.file.upstreams.get(upstream);
        label.map_or_else(|| "nobody".to_owned(), |it| it.label.clone())
    }

    fn index(&self, number: u64) -> usize {
        let all = self.file.upstreams.iter();
        all.clone().position(|it| it.number == number).unwrap_or(0)
    }

    fn key_of(&self, number: u64) -> Option<ConnectionKey> {
        let mut lines = self.lines.iter();
        lines
            .find(|(_, (_, of))| *of == number)
            .map(|(key, _)| *key)
    }

    fn on(&self, key: ConnectionKey) -> String {
        let upstream = self.lines.get(&key).map_or(usize::MAX, |it| it.0);
        self.label(upstream)
    }

    fn happen(&mut self, due: Due) {
        let now = self.now();
        match &due {
            Due::Early(key) | Due::Connected(key, _) | Due::ConnectFailed(key, _)
                if !self.lines.contains_key(key) =>
            {
                return;
            }
            _ => {}
        }
        match due {
            Due::Begin(connection) => {
                let upstream = self.index(connection.upstream);
                let isolated = connection.is_isolated;
                self.begins = Some(*connection);
                self.core.connect(upstream, isolated, now, &mut self.out);
            }
            Due::Force(number, count, isolated) => {
                if self.begun.get(&number).is_none_or(|begun| *begun < count) {
                    let upstream = self.index(number);
                    self.note(&format!(
                        "somebody else has {} connected to",
                        self.label(upstream)
                    ));
                    self.core.connect(upstream, isolated, now, &mut self.out);
                }
            }
            Due::Early(key) => self.core.early(key, now, &mut self.out),
            Due::Connected(key, streams) => {
                self.note(&format!("{} is connected", self.on(key)));
                if streams {
                    self.core.has_streams(key);
                }
                self.core.connected(key, "replayed", now, &mut self.out);
            }
            Due::ConnectFailed(key, why) => {
                self.note(&format!("{}: {why}", self.on(key)));
                self.core.connect_failed(key, &why, now, &mut self.out);
            }
            Due::LostByNumber(number, why) => {
                if let Some(key) = self.key_of(number) {
                    self.happen(Due::Lost(key, why));
                }
            }
            Due::Lost(key, why) => {
                if self.lines.contains_key(&key) {
                    self.note(&format!("{}: the connection is lost: {why}", self.on(key)));
                    self.lines.remove(&key);
                    self.core.connection_lost(key, &why, now, &mut self.out);
                }
            }
            Due::LimitedByNumber(number, in_flight) => {
                if let Some(key) = self.key_of(number) {
                    let limits = Limits { in_flight };
                    self.core.limited(key, limits, now, &mut self.out);
                }
            }
            Due::UnmatchedByNumber(number) => {
                if let Some(key) = self.key_of(number) {
                    self.note(&format!("{}: a message that answers nothing", self.on(key)));
                    self.core
                        .answer(key, &[0; wire::HEADER_LEN], now, &mut self.out);
                }
            }
            Due::Message(key, message) => {
                self.note(&format!(
                    "{}: a message of {} octets",
                    self.on(key),
                    message.len()
                ));
                self.core.answer(key, &message, now, &mut self.out);
            }
            Due::QueryFailed(key, id) => {
                self.note(&format!("{}: the query fails", self.on(key)));
                self.core.query_failed(key, id, now, &mut self.out);
            }
            Due::QueryLost(key, id, why) => {
                self.note(&format!("{}: the query is lost: {why}", self.on(key)));
                self.core.query_lost(key, id, &why, now, &mut self.out);
            }
            Due::LookedUp(upstream, found) => {
                self.note(&format!("{} is looked up: {found:?}", self.label(upstream)));
                let hour = Duration::from_secs(3_600);
                let found = found.map(|count| (addresses(upstream, count), hour));
                self.core.resolved(upstream, found, now, &mut self.out);
            }
            Due::Resume => {
                self.note("the machine was suspended");
                self.asleep += Duration::from_secs(3_600);
                self.core.time(self.now(), &mut self.out);
            }
            other => self.ask_or_end(&other, now),
        }
    }

    /// Somebody asks, or it is over.
    fn ask_or_end(&mut self, due: &Due, now: Now) {
        match due {
            Due::Warm(number) => {
                let query = other_query(WARM + number);
                self.core
                    .query(&query, somebody(200, *number), now, &mut self.out);
            }
            Due::Crowd => self.crowd(),
            Due::Query => {
                self.note(&format!("the query comes, {} octets", self.query.len()));
                let (query, client) = (self.query.clone(), self.client());
                if !self.core.query(&query, client, now, &mut self.out) {
                    self.end = Some("the core does not answer this message".to_owned());
                }
            }
            Due::Loop(count) => {
                let first = self.file.attempts.first();
                let upstream = first.map_or(0, |attempt| self.index(attempt.upstream));
                let from = addresses(upstream, 1)[0].ip();
                self.note(&format!("{} asks the same", self.label(upstream)));
                for port in 1..=*count as u16 {
                    let client = Client {
                        addr: (from, port).into(),
                        ..somebody(1, 0)
                    };
                    let query = self.query.clone();
                    self.core.query(&query, client, now, &mut self.out);
                }
            }
            Due::Trigger => {
                let whose = match self.file.end.why.as_ref() {
                    Some((_, text)) if text.ends_with("this client") => 1,
                    _ => 250,
                };
                self.core.query(
                    &other_query(60_000),
                    somebody(whose, 60_000),
                    now,
                    &mut self.out,
                );
            }
            Due::Close => self.core.close(now, &mut self.out),
            _ => {}
        }
    }

    /// The queries of others that were in flight.
    fn crowd(&mut self) {
        let Some(crowd) = self.file.query.crowd else {
            return;
        };
        let own = match self.file.end.kind.as_str() {
            "gave_way" => crowd.of_client.saturating_sub(1),
            _ => crowd.of_client,
        };
        let others = crowd.in_flight.saturating_sub(crowd.of_client);
        let clients = crowd.clients.clamp(2, 190) - 1;
        if own + others > 0 {
            self.note(&format!("{} queries of others are in flight", own + others));
        }
        for number in 0..own + others {
            let whose = if number < own {
                1
            } else {
                2 + ((number - own) % clients) as u8
            };
            let (query, now) = (other_query(1 + number as u16), self.now());
            let client = somebody(whose, 1 + number as u16);
            self.core.query(&query, client, now, &mut self.out);
        }
    }

    fn client(&self) -> Client {
        let via = match self.file.query.transport.as_str() {
            _ if self.file.end.kind == "truncated" => Via::Stream(1),
            "tcp" => Via::Stream(1),
            "encrypted" => Via::Encrypted(1),
            "inside" => Via::Inside(1),
            _ => Via::Datagram {
                socket: 0,
                local: None,
            },
        };
        Client {
            via,
            ..somebody(1, 0)
        }
    }

    /// Does what the core wants.
    fn settle(&mut self) {
        let actions = self.out.actions().to_vec();
        let answered = self.out.answered().to_vec();
        let mut todo = Vec::new();
        for action in actions {
            match action {
                Action::Reply { client, message } if client == self.client() => {
                    let message = self.out.message(&message).to_vec();
                    let how = answered.iter().find(|one| one.client == client);
                    todo.push((action_reply(&message, how, self.accepted), None));
                }
                Action::Reply { .. } => {}
                Action::Send {
                    connection,
                    id,
                    message,
                } => {
                    let message = self.out.message(&message).to_vec();
                    todo.push((String::new(), Some((connection, id, message))));
                }
                Action::Connect {
                    connection,
                    upstream,
                    ..
                } => self.connect(connection, upstream),
                Action::Resolve { upstream } => {
                    self.note(&format!("{} is to be looked up", self.label(upstream)));
                    let of = self.file.upstreams.get(upstream);
                    let (number, known) = of.map_or((0, 1), |it| (it.number, it.addresses.max(1)));
                    let (takes, found) = self.plan.next_lookup(number, known);
                    self.add(self.at + takes, Due::LookedUp(upstream, found));
                }
                Action::Close { connection } => {
                    if self.lines.contains_key(&connection) {
                        self.note(&format!(
                            "{}: the core closes a connection",
                            self.on(connection)
                        ));
                        self.lines.remove(&connection);
                    }
                }
            }
        }
        self.out.clear();
        for (end, sent) in todo {
            if let Some((connection, id, message)) = sent {
                self.sent(connection, id, &message);
            } else {
                self.note(&format!("the client gets {end}"));
                self.end.get_or_insert(end);
            }
        }
    }

    fn connect(&mut self, key: ConnectionKey, upstream: usize) {
        let number = self.file.upstreams.get(upstream).map_or(0, |it| it.number);
        let wanted = self.begins.take_if(|one| one.upstream == number);
        if wanted.is_none() && self.at > 0 {
            *self.begun.entry(number).or_default() += 1;
        }
        self.note(&format!("connects to {}", self.label(upstream)));
        let one = wanted.unwrap_or_else(|| self.plan.next_connect(number));
        self.lines.insert(key, (upstream, one.number));
        let shift = one.begun.map_or(0, |begun| self.at - begun);
        if let Some((early, begun)) = one.early.zip(one.begun) {
            self.add(self.at + (early - begun), Due::Early(key));
        }
        match Plan::outcome(&one) {
            Some((takes, Ok(streams))) => {
                // In the preamble it comes up at once.
                let takes = if one.was_up() {
                    takes.min(APART - MS)
                } else {
                    takes
                };
                self.add(self.at + takes, Due::Connected(key, streams));
                let up = self.at + takes;
                // Whatever was up when the query came ends when it did; else as long after its beginning.
                let when = |at: Moment| match one.begun {
                    Some(begun) if begun > 0 => (at + shift).max(up + 1),
                    _ => at.max(up + 1),
                };
                for (at, most) in &one.limits {
                    self.add(when(*at), Due::LimitedByNumber(one.number, *most));
                }
                for at in &one.unmatched {
                    self.add(when(*at), Due::UnmatchedByNumber(one.number));
                }
                match &one.lost {
                    Some((at, why, _)) if *why != ConnectionError::Silent && one.number > 0 => {
                        self.add(when(*at), Due::LostByNumber(one.number, why.clone()));
                    }
                    _ => {}
                }
            }
            Some((takes, Err(why))) => self.add(self.at + takes, Due::ConnectFailed(key, why)),
            None => {}
        }
    }

    fn sent(&mut self, key: ConnectionKey, id: u16, message: &[u8]) {
        let upstream = self.lines.get(&key).map_or(usize::MAX, |it| it.0);
        if is_other(message) {
            let of = self.file.upstreams.get(upstream);
            let answers = of.and_then(|one| one.answered);
            if is_warm(message) && answers.is_some_and(|until| self.at < until.max(0)) {
                let answer = answer_to(message, id, None);
                self.add(self.at + MS, Due::Message(key, answer));
            }
            return;
        }
        self.note(&format!("sent to {}", self.label(upstream)));
        let number = self.file.upstreams.get(upstream).map_or(0, |it| it.number);
        let (takes, came) = self.plan.next_attempt(number);
        let until = self.at + takes;
        match came {
            Came::Nothing | Came::NotSent => {}
            Came::Message(recorded) => {
                let answer = answer_to(message, id, Some(&recorded));
                self.add(until, Due::Message(key, answer));
            }
            Came::Failed => self.add(until, Due::QueryFailed(key, id)),
            Came::Lost(why) => self.add(until, Due::QueryLost(key, id, why)),
            Came::ConnectionEnded => {
                let recorded = self.file.attempts.iter();
                let mut recorded = recorded.filter(|it| it.upstream == number);
                let same = recorded.find(|it| it.until - it.at == takes);
                if let Some(why) = same.and_then(|it| self.plan.loss(it.until, number)) {
                    self.add(until, Due::Lost(key, why));
                }
            }
        }
    }
}

/// How a reply ends the query.
fn action_reply(message: &[u8], how: Option<&Answered>, is_later: bool) -> String {
    let parsed = wire::parse_response(message).ok();
    let rcode = parsed.map_or(0, |it| it.rcode().0);
    let of_reply = parsed.and_then(|it| wire::extended_errors(message, it.opt.as_ref()).next());
    let of_reply = of_reply.map(|it| (it.code, it.text.to_owned()));
    let why = how.and_then(|it| it.why.as_ref());
    let ede = why.and_then(|why| why.ede.clone());
    let ede = ede
        .map(|(code, text)| (code, text.into_string()))
        .or(of_reply);
    let kind = match (how.map(|it| it.source), why) {
        // It had been accepted before.
        (_, Some(why)) if is_later && why.reason.starts_with("in_flight") => "gave_way",
        (_, Some(why)) => why.reason,
        (Some("upstream"), None) => "upstream_error",
        (source, None) => source.unwrap_or("unknown"),
    };
    let ede = ede.map(|(code, text)| (code, without_id(&text)));
    let ede = ede.as_ref().map(|(code, text)| (*code, &**text));
    told(kind, rcode, ede)
}

/// The text without the id at its end.
fn without_id(text: &str) -> String {
    let end = text.rfind(" (id ").filter(|_| text.ends_with(')'));
    text[..end.unwrap_or(text.len())].to_owned()
}

fn moment(at: Time) -> Moment {
    let since = i64::try_from(at.since(ORIGIN).as_nanos()).unwrap_or(Moment::MAX / 2);
    BEGIN + since
}

fn seconds(at: Moment) -> String {
    let sign = if at < 0 { "-" } else { "+" };
    let micros = at.unsigned_abs() / 1_000;
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The configuration of a record.
fn config(file: &File) -> Result<Config, String> {
    let settings = &file.settings;
    let mut upstreams = Vec::new();
    for (index, one) in file.upstreams.iter().enumerate() {
        upstreams
            .push(upstream(file, index).map_err(|why| format!("upstream {}: {why}", one.number))?);
    }
    if upstreams.is_empty() {
        let nobody = Upstream::parse("tcp://192.0.2.1", SCHEMES);
        upstreams.push(nobody.map_err(|error| error.to_string())?);
    }
    let mut config = Config::builder()
        .upstreams(upstreams)
        .cache_bytes(0)
        .policy(settings.policy)
        .hedge(settings.hedge)
        .timeout(settings.timeout)
        .max_in_flight(settings.in_flight)
        .max_in_flight_per_client(settings.in_flight_per_client)
        .max_link_in_flight(settings.link_in_flight)
        .udp_payload(settings.udp_payload)
        .padding(settings.padding.and_then(NonZeroU16::new))
        .driver_resolves_names();
    if file.end.kind == "denied" {
        config = config.allow(AccessList::from_iter([]));
    } else if file.query.from_upstreams > 0 {
        let everybody = "0.0.0.0/0".parse().map_err(|_| "no network")?;
        config = config.allow(AccessList::from_iter([everybody]));
    }
    config.build().map_err(|error| error.to_string())
}

fn upstream(file: &File, index: usize) -> Result<Upstream, String> {
    let one = &file.upstreams[index];
    // One that was looked up meanwhile has no address before that.
    let looked_up = one.is_named
        && file.events.iter().any(|event| {
            event.upstream == one.number && matches!(event.what, super::file::What::LookedUp(_))
        });
    let parameters = match (one.is_opportunistic, one.proxy) {
        (true, None) => "?profile=opportunistic".to_owned(),
        (false, Some(proxy)) => format!("?socks5={proxy}"),
        (true, Some(proxy)) => format!("?profile=opportunistic&socks5={proxy}"),
        (false, None) => String::new(),
    };
    let (protocol, first) = (one.protocol.as_str(), addresses(index, 1)[0]);
    let ip = first.ip();
    let spec = match protocol {
        "tls" | "https" | "quic" => format!("{protocol}://{ip}#replay.test{parameters}"),
        "udp" => format!("udp://{ip}"),
        "tcp" => format!("tcp://{ip}{parameters}"),
        // Of several protocols, or of one that this build lacks, the messages are those of DNS over TLS.
        _ => format!("tls://{ip}#replay.test{parameters}"),
    };
    let parsed = Upstream::parse(&spec, SCHEMES)
        .or_else(|_| Upstream::parse(&format!("tls://{ip}#replay.test{parameters}"), SCHEMES));
    let parsed = parsed.or_else(|_| Upstream::parse(&format!("tcp://{ip}"), SCHEMES));
    let parsed = parsed.map_err(|error| error.to_string())?;
    let parsed = parsed.with_label(&one.label);
    if looked_up {
        let host = Host::new(&format!("u{index}.replay.test"), 853);
        return Ok(parsed.with_host(host.map_err(|error| error.to_string())?));
    }
    let all = addresses(index, one.addresses.max(1));
    Ok(parsed.with_addresses(all[0], &all[1..]))
}

/// Addresses that stand for those of an upstream.
fn addresses(index: usize, count: usize) -> Vec<SocketAddr> {
    let of = |address: usize| ([192, 0, 2, 1 + index as u8], 853 + address as u16).into();
    (0..count).map(of).collect()
}

/// A client by its number.
fn somebody(number: u8, port: u16) -> Client {
    Client {
        addr: ([192, 168, 1, number], 1_024 + port % 60_000).into(),
        via: Via::Datagram {
            socket: 0,
            local: None,
        },
    }
}

/// Queries of others with this number and those behind it are answered, as long as their upstream answers others.
const WARM: u16 = 40_000;

/// The label that begins the names of others.
const OTHERS: &[u8] = b"\x06others";

/// A query that is not the one of the record.
fn other_query(number: u16) -> Vec<u8> {
    let mut query = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query[..2].copy_from_slice(&number.to_be_bytes());
    query.extend_from_slice(OTHERS);
    let label = format!("n{number}");
    query.push(label.len() as u8);
    query.extend_from_slice(label.as_bytes());
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}

fn is_other(message: &[u8]) -> bool {
    message
        .get(12..)
        .is_some_and(|name| name.starts_with(OTHERS))
}

fn is_warm(message: &[u8]) -> bool {
    is_other(message)
        && message
            .get(12 + OTHERS.len()..)
            .is_some_and(|it| it.starts_with(b"\x06n4"))
}

/// The message of the record, with an id.
fn message(file: &File) -> Vec<u8> {
    let mut message = file.query.message.clone();
    if message.len() < wire::HEADER_LEN {
        message = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(b"\x01x\0\0\x01\0\x01");
    }
    wire::set_id(&mut message, 0x1234);
    if file.query.is_signed {
        // TSIG (RFC 8945 section 4.2), of which nobody looks at the signature.
        message[11] += 1;
        message.extend_from_slice(&[0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 17]);
        message.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 44, 0, 0, 0x12, 0x34, 0, 0, 0, 0]);
    }
    message
}

/// A recorded message as the response to this query, or a good response to it.
fn answer_to(query: &[u8], id: u16, recorded: Option<&[u8]>) -> Vec<u8> {
    let question = wire::parse_query(query).ok().map(|it| it.question);
    let own = question.map_or(&[][..], |at| at.octets(query));
    let mut answer = match recorded {
        None => {
            let mut answer = vec![0, 0, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0];
            answer.extend_from_slice(own);
            answer
        }
        Some(recorded) => {
            let mut answer = recorded.to_vec();
            let theirs = wire::parse_response(recorded)
                .ok()
                .and_then(|it| it.question);
            if let Some(at) = theirs {
                answer.splice(wire::HEADER_LEN..at.end(), own.iter().copied());
            }
            answer
        }
    };
    if answer.len() >= 2 {
        answer[..2].copy_from_slice(&id.to_be_bytes());
    }
    answer
}
